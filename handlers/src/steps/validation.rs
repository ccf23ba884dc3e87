//! Validate: complete, identified, and held against its IOD.

use domain::dicom::validate::validate;
use domain::events::{Code, InstanceValidated, Place, WARNINGS_MAX, Warning};
use domain::upload::Command;

use crate::commit::commit;
use crate::error::Result;
use crate::pipeline::{Pipeline, Work, guarded};

/// Validates the object in hand and records `instance.validated`.
pub async fn run(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let scan = pipeline.scan(work).await?;
    let validation = guarded(|| validate(&scan.skeleton, &scan.identity))??;
    let warnings = validation.warnings.iter().take(WARNINGS_MAX);
    let warnings: Vec<Warning> = warnings
        .filter_map(|warning| Some(Warning { code: Code::parse(warning.code)?, path: Place::parse(&warning.path) }))
        .collect();
    let said = InstanceValidated {
        iod: validation.iod.and_then(Code::parse).unwrap_or(const { Code::fixed("unknown") }),
        warnings,
        warnings_total: validation.warning_count as u64,
        tags: Vec::new(),
    };
    commit(pipeline, work, &Command::Validate(said)).await.map(drop)
}
