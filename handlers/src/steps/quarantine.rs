//! Quarantine: records a rejection. The original stays where it is, pinned, byte for byte.

use domain::Reason;
use domain::upload::Command;

use super::ingestion;
use crate::commit::commit;
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Raw, Work};
use crate::ports::objects::StageToken;

/// Records `instance.quarantined` for the rejection in hand and forgets an output that was staged.
pub async fn run(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let Some((step, rejection)) = work.failure.as_ref().and_then(|f| Some((f.step, f.rejection.clone()?))) else {
        return Err(Error::broken("no_rejection", "quarantine an object without a rejection"));
    };
    // A refusal stands for good, so it must be of the bytes that were received. An output was held to them by the pump.
    if work.upload.output().is_none() && matches!(work.raw, Some(Raw::AtSource)) {
        pipeline.check_source(work).await?;
    }
    // The profile decides whether pixels need a judgement, so a run under another one may take the object up again.
    let profile_digest = (rejection.reason == Reason::PixelsNotJudged).then_some(pipeline.profile_digest);
    // An object that was refused while it was ingested has no entry yet that says what it belongs to.
    let known = work.upload.study().is_some();
    let tags =
        work.scan.as_ref().filter(|_| !known).map(|scan| ingestion::tags(scan, &pipeline.keys)).unwrap_or_default();
    let staged = work.upload.output().map(|output| StageToken(output.stage.as_str().to_owned()));
    commit(pipeline, work, &Command::quarantine(step, &rejection, profile_digest, tags)).await?;
    match staged {
        Some(token) => pipeline.objects.discard(&token).await,
        None => Ok(()),
    }
}
