//! Deidentify: makes the output, stages it, and records its final key and digest.

use domain::dicom::deidentify::deidentify;
use domain::dicom::plan::Plan;
use domain::events::{
    Counts, Digest, InstanceDeidentified, PackedReceipt, ProcessedKey, RegisteredUid, StageToken, Tag, TagKind,
};
use domain::upload::Command;

use crate::commit::commit;
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Raw, Work, guarded};
use crate::ports::objects::{self, OutputKey};
use crate::pump::{self, Input};

/// De-identifies the object in hand, stages the output and records `instance.deidentified`.
pub async fn run(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let plan = plan(pipeline, work).await?;
    let (token, sha256, size_bytes) = stage(pipeline, work, &plan).await?;
    let said = said(pipeline, &plan, &token, sha256, size_bytes)?;
    // Delivery needs the stage alone. What is held while the entry waits for its commit is held by all objects in flight.
    drop(plan);
    work.let_go();
    let recorded = commit(pipeline, work, &Command::Deidentify(said)).await;
    // An earlier try whose answer was lost may have recorded its own staged object; then ours is nobody's.
    let ours = work.upload.output().is_some_and(|output| output.stage.as_str() == token.0);
    if recorded.is_ok() && !ours {
        pipeline.objects.discard(&token).await?;
    }
    recorded.map(drop)
}

/// Returns how the output of the object in hand is made.
pub async fn plan(pipeline: &Pipeline, work: &mut Work) -> Result<Plan> {
    let scan = pipeline.scan(work).await?;
    Ok(guarded(|| deidentify(&scan.skeleton, &pipeline.profile, &pipeline.keys))??)
}

/// Makes the output as planned and stages it; returns its token, digest and size.
pub async fn stage(pipeline: &Pipeline, work: &mut Work, plan: &Plan) -> Result<(objects::StageToken, Digest, u64)> {
    let mut staging = pipeline.objects.stage(work.stream).await?;
    let scan = work.scan.as_ref().map(|scan| (&scan.inflated, scan.skeleton.syntax.deflated, scan.skeleton.data_set));
    let input = match (scan, &work.raw) {
        (Some((Some(bytes), _, base)), _) => Some(Input::Memory { bytes, base }),
        (Some((None, false, _)), Some(Raw::Memory(bytes))) => Some(Input::Memory { bytes, base: 0 }),
        _ => None,
    };
    let pumped = match input {
        Some(input) => pump::pump(plan, input, staging.as_mut()).await,
        None => {
            let mut source = pipeline.sequential(work).await?;
            pump::pump(plan, Input::Stream(&mut source), staging.as_mut()).await
        }
    };
    let (digest, size_bytes) = pumped?;
    let token = staging.finish().await?;
    Ok((token, Digest(digest.0), size_bytes))
}

/// Returns the key under which the planned output becomes visible.
pub fn output_key(plan: &Plan) -> OutputKey {
    OutputKey::of_uids(&plan.new_study_instance_uid, &plan.new_series_instance_uid, &plan.new_sop_instance_uid)
}

fn said(
    p: &Pipeline,
    plan: &Plan,
    token: &objects::StageToken,
    sha256: Digest,
    size_bytes: u64,
) -> Result<InstanceDeidentified> {
    let ill_formed =
        |what: &str| Error::broken("deidentified_facts", format!("record {what} of a de-identified object"));
    let hash = p.keys.new_study_k(&plan.new_study_instance_uid);
    Ok(InstanceDeidentified {
        profile: p.profile_name.clone(),
        profile_digest: p.profile_digest,
        edition: p.edition.clone(),
        key: ProcessedKey::parse(output_key(plan).as_str()).ok_or_else(|| ill_formed("the key"))?,
        sha256,
        size_bytes,
        transfer_syntax: RegisteredUid::transfer_syntax(&plan.transfer_syntax_uid),
        stage: StageToken::parse(&token.0).ok_or_else(|| ill_formed("the stage token"))?,
        receipt: PackedReceipt::parse(&plan.receipt.packed).ok_or_else(|| ill_formed("the receipt"))?,
        counts: Counts::of(&plan.receipt.counts).ok_or_else(|| ill_formed("the counts"))?,
        tags: vec![Tag { kind: TagKind::NewStudy, hash }],
    })
}
