//! RecordFailure: records that retries are exhausted or something is broken, so that a person can be called.

use domain::events::{Code, ProcessingFailed};
use domain::upload::Command;
use domain::workflow::FailureKind;

use crate::commit::commit;
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Work};

/// Records `processing.failed` for the failure in hand.
pub async fn run(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let Some(failure) = work.failure.clone() else {
        return Err(Error::broken("no_failure", "record a failure without one"));
    };
    let said = ProcessingFailed {
        // The step that is due is the one that failed, also where recording a quarantine was what failed.
        step: work.upload.next_step().unwrap_or(failure.step),
        kind: if failure.kind == FailureKind::Rejected { FailureKind::Broken } else { failure.kind },
        code: Code::parse(failure.code).unwrap_or(const { Code::fixed("unknown") }),
        attempts: failure.attempts,
    };
    commit(pipeline, work, &Command::RecordFailure(said)).await.map(drop)
}
