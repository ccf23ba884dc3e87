//! Commit: load, decide, append. The one way in which a step records what it did.

use domain::events::{self, Event, EventData, Time};
use domain::upload::{Command, Decided, Refusal, Upload};
use domain::workflow::Step;
use ledger::{Actor, Appended, Decision, EventTypes, IndexHash, StreamKey, UtcMillis};

use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Work};

/// How often a lost answer or another writer makes us read and decide again before we give up.
const ROUNDS_MAX: u32 = 5;

/// What came of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The events are durable from here on, recorded by this call or by an earlier one whose answer was lost.
    Recorded(Vec<Event>),
    /// It was done before, or the upload has ended: nothing was added. The upload says where it stands.
    NothingToDo,
}

/// Records what `command` says, unless the stream already says it.
///
/// # Errors
/// Transient when the ledger is out of reach or full; broken when the command contradicts the stream or the stream is damaged.
pub async fn commit(pipeline: &Pipeline, work: &mut Work, command: &Command) -> Result<Committed> {
    let mut lost = None;
    for _ in 0..ROUNDS_MAX {
        let now_ms = pipeline.surroundings.now_ms();
        let time = Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX));
        match work.upload.decide(work.stream, command, time) {
            Ok(decided) => {
                if let Some(events) = append(pipeline, work, command, decided, now_ms, &mut lost).await? {
                    return Ok(Committed::Recorded(events));
                }
            }
            Err(Refusal::AlreadyDone(_) | Refusal::Ended(_)) => return Ok(Committed::NothingToDo),
            Err(Refusal::OutOfOrder { expected }) => {
                return Err(Error::broken("out_of_order", format!("{} while {expected} is due", command.name())));
            }
            Err(Refusal::Contradicts(why)) => {
                return Err(Error::broken("contradiction", format!("{}: {why}", command.name())));
            }
        }
    }
    let tried = format!("record {} {ROUNDS_MAX} times", command.name());
    // A store that never confirms, for instance because its file may not grow, is told as what it is.
    if let Some(error) = lost {
        return Err(ledger_error(&tried, error));
    }
    Err(Error::lost("ledger_contended", tried, "others kept writing to the stream, or answers were lost"))
}

/// Appends once. `None`: the stream was read again and must be decided on again.
async fn append(
    p: &Pipeline,
    work: &mut Work,
    command: &Command,
    decided: Decided,
    now_ms: u64,
    lost: &mut Option<ledger::Error>,
) -> Result<Option<Vec<Event>>> {
    let Decided { id, events, study } = decided;
    let decision = ledger_decision(id, &events, study, actor_of(p, command))?;
    let nonce = ledger::Nonce(p.surroundings.nonce());
    match p.ledger.append(&work.tip, &decision, UtcMillis::from_unix_ms(now_ms), nonce).await {
        Ok(Appended::New(receipt)) => {
            for event in &events {
                work.take_in(event).map_err(|misplaced| Error::broken("contradiction", misplaced.to_string()))?;
            }
            work.tip = receipt.tip();
            // What opens a run is put on the bus by the runner itself, with the work in hand.
            let opens = |data: &EventData| matches!(data, EventData::ObjectReceived(_) | EventData::ReplayRequested(_));
            work.news.extend(events.iter().map(|event| event.data.clone()).filter(|data| !opens(data)));
            Ok(Some(events))
        }
        // What stands may say more than we would have said (another stage token): it is read, not assumed.
        Ok(Appended::Already(_)) | Err(ledger::Error::Conflict { .. }) => reload(p, work).await.map(|()| None),
        Err(error @ ledger::Error::Unknown { .. }) if !error.is_disk_full() => {
            *lost = Some(error);
            reload(p, work).await.map(|()| None)
        }
        Err(error) => Err(ledger_error("record a decision", error)),
    }
}

/// Returns who decides: the step that gives the command, or the person who asked for it.
fn actor_of(pipeline: &Pipeline, command: &Command) -> Actor {
    match (command.step(), pipeline.operator) {
        (None, Some(person)) => person.actor(),
        (step, _) => {
            Actor::system(step.unwrap_or(Step::Intake).name()).expect("the words of the step table are actor names")
        }
    }
}

/// Returns the ledger's form of a decision.
pub fn ledger_decision(
    id: uuid::Uuid,
    events: &[Event],
    subject: Option<domain::ids::IndexHash>,
    actor: Actor,
) -> Result<Decision> {
    let types: Vec<&str> = events.iter().map(Event::event_type).collect();
    let types = EventTypes::new(&types).ok_or_else(|| Error::broken("event_types", "name the events of a decision"))?;
    let body =
        String::from_utf8(events::body(events)).map_err(|_| Error::broken("event_body", "write a body as UTF-8"))?;
    let subject = subject.map(|hash| IndexHash { version: hash.version, hash: hash.hash.0 });
    Ok(Decision { decision_id: id, types, subject, actor, body })
}

/// Reads the stream in hand again; what is in hand of the object stays.
pub async fn reload(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let stream = work.stream;
    let loaded =
        pipeline.ledger.load(StreamKey(stream.0.0)).await.map_err(|error| ledger_error("load a stream", error))?;
    work.upload = Upload::default();
    work.opened_by = None;
    for entry in &loaded.entries {
        let unreadable = |error: &dyn std::error::Error| {
            Error::broken("stream_unreadable", format!("read entry {} of stream {stream}: {error}", entry.header.seq))
        };
        for event in events::read(entry.body.as_bytes()).map_err(|error| unreadable(&error))? {
            work.take_in(&event).map_err(|error| unreadable(&error))?;
        }
    }
    work.tip = loaded.tip();
    Ok(())
}

/// Says of what kind a failure of the ledger is.
pub fn ledger_error(tried: &str, error: ledger::Error) -> Error {
    let code = error.code();
    match error {
        _ if error.is_disk_full() => Error::lost("disk_full", tried, error),
        // This decision alone can be no entry, for instance because its body is too long.
        ledger::Error::Invalid(_) => Error::broken(code, format!("{tried}: {error}")),
        ledger::Error::Damaged { .. } | ledger::Error::NotALedger { .. } => {
            Error::damaged(code, format!("{tried}: {error}"), Some(Box::new(error)))
        }
        _ => Error::lost(code, tried, error),
    }
}
