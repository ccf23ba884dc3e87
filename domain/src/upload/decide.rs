//! What a command may add to an upload.

use super::{Command, Quarantined, Refusal, State, Upload};
use crate::Reason;
use crate::events::{
    EventData, InstanceDelivered, InstanceQuarantined, ObjectReceived, ProcessingFailed, ReplayCause, ReplayRequested,
    ReplayScope, RunId, WARNINGS_MAX,
};
use crate::workflow::{FailureKind, Step};

/// The most notes and the most tags that an event carries.
const LIST_MAX: usize = 16;

/// Returns the events that `command` adds to `upload`: one, since there is one entry per step.
///
/// # Errors
/// [`Refusal`], when it adds none; `AlreadyDone` and `Ended` are ordinary answers to a step that runs twice.
pub fn decide(upload: &Upload, command: &Command) -> Result<Vec<EventData>, Refusal> {
    check_bounds(command)?;
    let event = match command {
        Command::Receive(said) => receive(upload, said)?,
        Command::Ingest(said) => due(upload, Step::Ingestion).map(|()| said.clone().into())?,
        Command::Validate(said) => due(upload, Step::Validation).map(|()| said.clone().into())?,
        Command::Deidentify(said) => due(upload, Step::Deidentification).map(|()| said.clone().into())?,
        Command::Deliver(said) => deliver(upload, said)?,
        Command::Quarantine(said) => quarantine(upload, said)?,
        Command::RecordFailure(said) => record_failure(upload, said)?,
        Command::RequestReplay(said) => request_replay(upload, said)?,
    };
    Ok(vec![event])
}

fn check_bounds(command: &Command) -> Result<(), Refusal> {
    let tags = match command {
        Command::Ingest(said) if said.notes.len() > LIST_MAX => return Err(Refusal::Contradicts("more than 16 notes")),
        Command::Validate(said)
            if said.warnings.len() > WARNINGS_MAX || said.warnings.len() as u64 > said.warnings_total =>
        {
            return Err(Refusal::Contradicts("more warnings than the bound or the total"));
        }
        Command::Ingest(said) => &said.tags,
        Command::Validate(said) => &said.tags,
        Command::Deidentify(said) => &said.tags,
        Command::Quarantine(said) => &said.tags,
        Command::RequestReplay(said) => &said.tags,
        Command::Receive(_) | Command::Deliver(_) | Command::RecordFailure(_) => return Ok(()),
    };
    if tags.len() > LIST_MAX { Err(Refusal::Contradicts("more than 16 tags")) } else { Ok(()) }
}

/// Refuses unless `step` is the one that is due.
fn due(upload: &Upload, step: Step) -> Result<(), Refusal> {
    match upload.next_step() {
        Some(expected) if expected == step => Ok(()),
        Some(expected) if expected > step => Err(Refusal::AlreadyDone(upload.state.clone())),
        Some(expected) => Err(Refusal::OutOfOrder { expected }),
        None => Err(ended(upload)),
    }
}

fn ended(upload: &Upload) -> Refusal {
    upload.ended().map_or(Refusal::Contradicts("the upload has no step due, yet has not ended"), Refusal::Ended)
}

fn receive(upload: &Upload, said: &ObjectReceived) -> Result<EventData, Refusal> {
    if upload.source.is_some_and(|source| source.sha256 != said.sha256 || source.size_bytes != said.size_bytes) {
        // The stream id pins the content (its digest, or the bucket's version), so other bytes are another stream.
        return Err(Refusal::Contradicts("the stream was received with another digest or size"));
    }
    due(upload, Step::Intake).map(|()| said.clone().into())
}

fn deliver(upload: &Upload, said: &InstanceDelivered) -> Result<EventData, Refusal> {
    let same = upload.output.as_ref().is_some_and(|output| {
        output.key == said.key && output.sha256 == said.sha256 && output.size_bytes == said.size_bytes
    });
    match upload.state {
        State::Delivered if same => Err(Refusal::AlreadyDone(State::Delivered)),
        State::Deidentified if !same => Err(Refusal::Contradicts("what is delivered is not what was de-identified")),
        _ => due(upload, Step::Delivery).map(|()| said.clone().into()),
    }
}

fn quarantine(upload: &Upload, said: &InstanceQuarantined) -> Result<EventData, Refusal> {
    let asked = Quarantined { reason: said.reason, step: said.step, profile_digest: said.profile_digest };
    if upload.state == State::Quarantined(asked) {
        return Err(Refusal::AlreadyDone(upload.state.clone()));
    }
    if said.reason == Reason::PixelsNotJudged && (said.profile_digest.is_none() || said.step != Step::Deidentification)
    {
        return Err(Refusal::Contradicts("pixels are judged by de-identification, under a profile"));
    }
    if said.step == Step::Intake {
        return Err(Refusal::Contradicts("intake parses nothing, so it can refuse nothing"));
    }
    due(upload, said.step).map(|()| said.clone().into())
}

fn record_failure(upload: &Upload, said: &ProcessingFailed) -> Result<EventData, Refusal> {
    if let State::Failed(failed) = &upload.state
        && failed.step == said.step
    {
        return Err(Refusal::AlreadyDone(upload.state.clone()));
    }
    if said.kind == FailureKind::Rejected {
        return Err(Refusal::Contradicts("a rejection is quarantined, not recorded as a failure"));
    }
    if said.step == Step::Intake {
        return Err(Refusal::Contradicts("what fails at intake has no stream yet"));
    }
    due(upload, said.step).map(|()| said.clone().into())
}

/// Every end can be taken up again, each for its own cause: `pixels_not_judged` by a run under another profile and only so,
/// a failure after a repair, a delivery and the other quarantines because a person asks. No run begins behind the step that
/// the upload had come to.
fn request_replay(upload: &Upload, said: &ReplayRequested) -> Result<EventData, Refusal> {
    if said.scope != ReplayScope::Object {
        return Err(Refusal::Contradicts("a replay of more than this object is said in the stream of its run"));
    }
    if let Some(expected) = upload.next_step() {
        let underway = expected != Step::Intake && upload.run == said.run;
        return Err(if underway {
            Refusal::AlreadyDone(upload.state.clone())
        } else {
            Refusal::OutOfOrder { expected }
        });
    }
    if upload.has_run(&said.run) {
        return Err(ended(upload));
    }
    match (said.cause, &upload.state) {
        (ReplayCause::PixelsAccepted, State::Quarantined(quarantined)) => {
            let digest = said.profile_digest.ok_or(Refusal::Contradicts("pixels are accepted under a profile"))?;
            if said.run != RunId::pixels(digest) || said.from_step != Step::Deidentification {
                return Err(Refusal::Contradicts(
                    "such a run begins at de-identification and is named after its profile",
                ));
            }
            let may = quarantined.reason == Reason::PixelsNotJudged && quarantined.profile_digest != Some(digest);
            if may { Ok(said.clone().into()) } else { Err(ended(upload)) }
        }
        (ReplayCause::FailureRepaired, State::Failed(failed)) => begins_by(said, failed.step),
        (ReplayCause::OperatorAsked, State::Delivered) => begins_by(said, Step::Delivery),
        (ReplayCause::OperatorAsked, State::Quarantined(quarantined))
            if quarantined.reason != Reason::PixelsNotJudged =>
        {
            begins_by(said, quarantined.step)
        }
        _ => Err(ended(upload)),
    }
}

/// Takes the request if it begins at `reached` or at a step before it.
fn begins_by(said: &ReplayRequested, reached: Step) -> Result<EventData, Refusal> {
    if said.from_step == Step::Intake || said.from_step > reached {
        return Err(Refusal::Contradicts("a replay begins at the step that ended the work or at one before it"));
    }
    Ok(said.clone().into())
}
