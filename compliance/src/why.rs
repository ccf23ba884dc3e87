//! Why objects ended as they did: the event that decided, grouped by cause.

use std::collections::BTreeMap;

use domain::Reason;
use domain::events::{self, EventData};
use domain::workflow::{FailureKind, Step};
use ledger::Entry;

/// What ended an object, or keeps it from its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Work on it was given up.
    Failed {
        /// Code of the error.
        code: String,
        /// The step that was due.
        step: Step,
        /// Transient or broken.
        kind: FailureKind,
    },
    /// It was refused because of what it is.
    Quarantined {
        /// The reason class.
        reason: Reason,
        /// The step that refused it.
        step: Step,
        /// Which condition did not hold.
        detail: String,
    },
    /// It has no end yet; the last step that was done.
    Open {
        /// The actor of the last entry.
        after: String,
    },
}

/// One object of a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its stream, 32 hex digits.
    pub stream: String,
    /// The entry that decided, by its number in the stream.
    pub seq: u64,
    /// When it was recorded.
    pub recorded_at: String,
    /// Where in the object, if that was recorded: a tag path or a byte offset.
    pub at: Option<String>,
    /// How often the step was tried, where it failed.
    pub attempts: Option<u32>,
}

/// The objects of a question, by how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// How many are delivered.
    pub delivered: u64,
    /// The others by cause: failures first, then quarantine, then what is open; each in the order of receipt.
    pub causes: BTreeMap<Cause, Vec<Object>>,
}

impl Why {
    /// Returns how many objects there are.
    pub fn objects(&self) -> u64 {
        self.delivered + self.causes.values().map(|objects| objects.len() as u64).sum::<u64>()
    }
}

/// An entry whose body this program cannot read: damaged, or written by a newer version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its stream.
    pub stream: String,
    /// Its number in the stream.
    pub seq: u64,
    /// Why not, as the reader of events says it.
    pub code: &'static str,
}

/// Returns why the objects of these streams ended as they did. Streams that are about no object are passed over.
///
/// # Errors
/// The first entry that cannot be read.
pub fn of_streams(streams: &[Vec<Entry>]) -> Result<Why, Unreadable> {
    let mut why = Why::default();
    for stream in streams {
        match of_stream(stream)? {
            Ended::NoObject => {}
            Ended::Delivered => why.delivered += 1,
            Ended::Otherwise(cause, object) => why.causes.entry(cause).or_default().push(object),
        }
    }
    Ok(why)
}

enum Ended {
    NoObject,
    Delivered,
    Otherwise(Cause, Object),
}

fn of_stream(stream: &[Entry]) -> Result<Ended, Unreadable> {
    let mut ended = Ended::NoObject;
    for entry in stream {
        let header = &entry.header;
        let object = |at, attempts| Object {
            stream: header.stream.to_string(),
            seq: header.seq,
            recorded_at: header.recorded_at.to_string(),
            at,
            attempts,
        };
        let read = events::read(entry.body.as_bytes());
        let unreadable = |code| Unreadable { stream: header.stream.to_string(), seq: header.seq, code };
        for event in read.map_err(|error| unreadable(error.code()))? {
            ended = match event.data {
                EventData::InstanceDelivered(_) => Ended::Delivered,
                EventData::InstanceQuarantined(said) => {
                    let detail = said.detail.to_string();
                    let at = said.at.map(|at| at.to_string());
                    Ended::Otherwise(
                        Cause::Quarantined { reason: said.reason, step: said.step, detail },
                        object(at, None),
                    )
                }
                EventData::ProcessingFailed(said) => {
                    let cause = Cause::Failed { code: said.code.to_string(), step: said.step, kind: said.kind };
                    Ended::Otherwise(cause, object(None, Some(said.attempts)))
                }
                EventData::ObjectReceived(_)
                | EventData::InstanceIngested(_)
                | EventData::InstanceValidated(_)
                | EventData::InstanceDeidentified(_)
                | EventData::ReplayRequested(_) => match ended {
                    // A replay that is about more than this object stands in a stream of its own.
                    Ended::NoObject if header.seq > 0 || !matches!(event.data, EventData::ObjectReceived(_)) => {
                        Ended::NoObject
                    }
                    _ => Ended::Otherwise(Cause::Open { after: header.actor.to_string() }, object(None, None)),
                },
                _ => ended,
            };
        }
    }
    Ok(ended)
}
