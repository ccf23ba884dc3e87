//! Deliver: makes the staged output visible, in the order of receipt among objects of one key.

use domain::events::InstanceDelivered;
use domain::upload::{Command, Output};
use domain::{Reason, Rejection};

use super::{Turn, deidentification};
use crate::commit::{commit, settle};
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Work};
use crate::ports::objects::{Digest, OutputKey, Published, StageToken};

/// Publishes the staged output and records `instance.delivered`.
pub async fn run(pipeline: &Pipeline, work: &mut Work, turn: Turn<'_>) -> Result<()> {
    // Without an output delivery is out of order; the commit below refuses it, so there is nothing to publish here.
    let Some(output) = work.upload.output().cloned() else {
        return Err(Error::broken("out_of_order", "deliver an object that has no output"));
    };
    let key = OutputKey::parse(output.key.as_str())
        .ok_or_else(|| Error::broken("output_key", "read the key of an output"))?;
    turn.turnstile.identify(turn.place, &key);
    // Only what is recorded may become visible.
    settle(pipeline, work).await?;
    if !turn.turnstile.pass(turn.place).await {
        return Err(Error::lost("run_stopped", "deliver an object", "the run stops, and a lower object may be open"));
    }
    let (published, token) = publish(pipeline, work, &output, &key).await?;
    if published == Published::Conflict {
        let detail = "an object with the same UIDs and other bytes was received earlier and is delivered";
        return Err(Rejection::new(Reason::DupConflict, detail).into());
    }
    let Output { key, sha256, size_bytes, .. } = output;
    let said = InstanceDelivered { key, sha256, size_bytes, already_present: published == Published::AlreadyThere };
    commit(pipeline, work, &Command::Deliver(said)).await?;
    // Only now: as long as the stage stands, a repeated publication knows its own work.
    pipeline.objects.discard(&token).await
}

async fn publish(p: &Pipeline, work: &mut Work, output: &Output, key: &OutputKey) -> Result<(Published, StageToken)> {
    let (token, digest) = (StageToken(output.stage.as_str().to_owned()), Digest(output.sha256.0));
    if let Some(published) = p.objects.publish(&token, key, digest).await? {
        return Ok((published, token));
    }
    // The stage was lost, for instance with the folder's entry in a crash. The bytes are deterministic: make them again.
    let plan = deidentification::plan(p, work).await?;
    let (token, sha256, _) = deidentification::stage(p, work, &plan).await?;
    if sha256 != output.sha256 {
        p.objects.discard(&token).await?;
        return Err(Error::broken(
            "output_differs",
            "make a lost output again: other bytes than those recorded came out",
        ));
    }
    match p.objects.publish(&token, key, digest).await? {
        Some(published) => Ok((published, token)),
        None => Err(Error::lost("stage_lost", "publish an output", "the staged object vanished twice")),
    }
}
