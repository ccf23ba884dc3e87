//! Commit: load, decide, append. The one way in which a step records what it did.

use domain::events::{self, Event, EventData, Time};
use domain::upload::{Command, Decided, Refusal, Upload};
use domain::workflow::Step;
use ledger::{Actor, Appended, Decision, EventTypes, IndexHash, Link, StreamKey, UtcMillis};

use crate::error::{Error, Result, Scope};
use crate::pipeline::{Pipeline, Work};

/// How often a lost answer or another writer makes us read and decide again before we give up.
const ROUNDS_MAX: u32 = 5;

/// What came of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The events are recorded, by this call or by an earlier one whose answer was lost; or they are held back and will be
    /// recorded by the next commit that is not ([`Held`]).
    Recorded(Vec<Event>),
    /// It was done before, or the upload has ended: nothing was added. The upload says where it stands.
    NothingToDo,
}

/// A decision that waits for the next one of its stream, so that one commit of the ledger takes them together. Nothing that
/// others can see follows from it before that: a crash forgets it, and the work is done again.
#[derive(Clone, Debug)]
pub struct Held {
    link: Link,
    events: Vec<Event>,
}

/// Records what `command` says, unless the stream already says it, and what was held back before it.
///
/// # Errors
/// Transient when the ledger is out of reach or full; broken when the command contradicts the stream or the stream is damaged.
/// `entries_behind` when what was held back was not recorded as decided, because somebody else wrote to the stream or an answer
/// was lost: `work.behind` is set, the stream was read again, and its next step is due.
pub async fn commit(pipeline: &Pipeline, work: &mut Work, command: &Command) -> Result<Committed> {
    let mut lost = None;
    for _ in 0..ROUNDS_MAX {
        let now_ms = pipeline.surroundings.now_ms();
        let time = Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX));
        match work.upload.decide(work.stream, command, time) {
            Ok(decided) => {
                let (link, events) = link(pipeline, command, decided, now_ms)?;
                if work.holds && may_be_held(command) {
                    take_in(work, &events)?;
                    work.held.push(Held { link, events: events.clone() });
                    return Ok(Committed::Recorded(events));
                }
                if append(pipeline, work, Some(Held { link, events: events.clone() }), &mut lost).await? {
                    take_in(work, &events)?;
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

/// Records what was held back. For whoever is about to do what others can see.
///
/// # Errors
/// As [`commit`].
pub async fn settle(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    if !work.held.is_empty() {
        append(pipeline, work, None, &mut None).await?;
    }
    Ok(())
}

/// What only the next step of this very run builds on; nobody outside sees or needs it before the next entry stands.
const fn may_be_held(command: &Command) -> bool {
    matches!(command, Command::Ingest(_) | Command::Validate(_) | Command::Deidentify(_))
}

fn link(p: &Pipeline, command: &Command, decided: Decided, now_ms: u64) -> Result<(Link, Vec<Event>)> {
    let Decided { id, events, study } = decided;
    let decision = ledger_decision(id, &events, study, actor_of(p, command))?;
    let nonce = ledger::Nonce(p.surroundings.nonce());
    Ok((Link { decision, at: UtcMillis::from_unix_ms(now_ms), nonce }, events))
}

fn take_in(work: &mut Work, events: &[Event]) -> Result<()> {
    for event in events {
        work.take_in(event).map_err(|misplaced| Error::broken("contradiction", misplaced.to_string()))?;
    }
    Ok(())
}

/// Appends what was held back and then `last`. False: the stream was read again and must be decided on again.
async fn append(p: &Pipeline, work: &mut Work, last: Option<Held>, lost: &mut Option<ledger::Error>) -> Result<bool> {
    let held = !work.held.is_empty();
    let (links, events): (Vec<Link>, Vec<Vec<Event>>) =
        work.held.drain(..).chain(last).map(|held| (held.link, held.events)).unzip();
    let answers = p.ledger.append_chain(&work.tip, &links).await;
    let all = answers.len() == links.len();
    match answers.into_iter().last() {
        Some(Ok(Appended::New(receipt))) if all => {
            work.tip = receipt.tip();
            // What opens a run is put on the bus by the runner itself, with the work in hand.
            let opens = |data: &EventData| matches!(data, EventData::ObjectReceived(_) | EventData::ReplayRequested(_));
            work.news.extend(events.into_iter().flatten().map(|event| event.data).filter(|data| !opens(data)));
            return Ok(true);
        }
        // What stands may say more than we would have said (another stage token): it is read, not assumed.
        Some(Ok(_) | Err(ledger::Error::Conflict { .. })) | None => {}
        // One of them can be no entry: which, is told when each is recorded by itself.
        Some(Err(ledger::Error::Invalid(_))) if held => {}
        Some(Err(error @ ledger::Error::Unknown { .. })) if !error.is_disk_full() => *lost = Some(error),
        Some(Err(error)) => return Err(ledger_error("record a decision", error)),
    }
    reload(p, work).await?;
    if held {
        (work.behind, work.holds) = (true, false);
        let tried = "record several steps of an object together: others wrote to its stream, or an answer was lost";
        return Err(Error::Transient {
            scope: Scope::Object,
            code: "entries_behind",
            tried: tried.to_owned(),
            source: None,
        });
    }
    Ok(false)
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
    work.held.clear();
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
