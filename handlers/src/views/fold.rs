//! What one entry means to the views: a pure function of header and body. The same fold that fills the rows checks them
//! when they are answered.

use domain::events::{self, EventData};
use domain::ids::{IndexHash, KeyedHash};
use domain::study::Count;
use ledger::{Entry, Tag, TagKind};

use crate::error::{Error, Result};
use crate::ports::views::{Standing, StreamKind};

/// What an entry changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the stream is about, if this is its first entry.
    pub kind: StreamKind,
    /// How the stream stands from here on; `None` leaves it as it was.
    pub standing: Option<(Standing, Option<String>)>,
    /// The study, if the entry names it.
    pub study: Option<IndexHash>,
    /// The tags of its body, and its subject as one.
    pub tags: Vec<Tag>,
    /// What it says about a study as a whole: completed with these counts, or reopened.
    pub completed: Option<Option<Count>>,
}

/// Returns what the entry changes. Types that this program does not know change nothing.
///
/// # Errors
/// `ledger_damaged` when the body is not what its header says, `stream_unreadable` when an event that moves the stream
/// cannot be read.
pub fn of(entry: &Entry) -> Result<Facts> {
    let body = entry.read_body().map_err(|error| crate::commit::ledger_error("read an entry", error))?;
    let subject = entry.header.subject.map(|hash| Tag { kind: TagKind::Study, hash });
    let mut facts = of_header(entry)?;
    facts.tags = body.tags;
    facts.tags.extend(subject.filter(|tag| !facts.tags.contains(tag)));
    Ok(facts)
}

/// Returns what the entry changes, without its tags: the body is read only where the header does not say it all.
///
/// # Errors
/// As [`of`].
pub fn of_header(entry: &Entry) -> Result<Facts> {
    let header = &entry.header;
    let study = header.subject.map(|subject| IndexHash { version: subject.version, hash: KeyedHash(subject.hash) });
    let mut facts = Facts { kind: StreamKind::Act, standing: None, study, tags: Vec::new(), completed: None };
    for name in header.types.iter() {
        facts.take_in(name);
    }
    if header.types.iter().any(says_more) {
        read_more(entry, &mut facts)?;
    }
    Ok(facts)
}

/// Types of which the body says what the views hold.
fn says_more(name: &str) -> bool {
    matches!(name, "imaging.instance.quarantined.v1" | "imaging.processing.failed.v1" | "imaging.study.completed.v1")
}

impl Facts {
    fn take_in(&mut self, name: &str) {
        let standing = match name {
            "imaging.object.received.v1" => {
                self.kind = StreamKind::Object;
                Standing::Open
            }
            "imaging.instance.delivered.v1" => Standing::Delivered,
            "imaging.instance.quarantined.v1" => Standing::Quarantined,
            "imaging.processing.failed.v1" => Standing::Failed,
            // In the stream of an object; elsewhere it is an act, and acts keep their standing.
            "imaging.replay.requested.v1" => Standing::Open,
            "imaging.study.completed.v1" => {
                self.kind = StreamKind::Study;
                Standing::Completed
            }
            "imaging.study.reopened.v1" => {
                self.kind = StreamKind::Study;
                self.completed = Some(None);
                Standing::Open
            }
            _ => return,
        };
        self.standing = Some((standing, None));
    }
}

fn read_more(entry: &Entry, facts: &mut Facts) -> Result<()> {
    let (stream, seq) = (entry.header.stream, entry.header.seq);
    let unreadable = |error: events::ReadError| {
        Error::damaged("stream_unreadable", format!("read entry {seq} of stream {stream}: {error}"), None)
    };
    for event in events::read(entry.body.as_bytes()).map_err(unreadable)? {
        match event.data {
            EventData::InstanceQuarantined(said) => {
                facts.standing = Some((Standing::Quarantined, Some(said.reason.to_string())));
            }
            EventData::ProcessingFailed(said) => {
                facts.standing = Some((Standing::Failed, Some(said.code.to_string())));
            }
            EventData::StudyCompleted(said) => {
                let (delivered, quarantined, failed) = (said.delivered, said.quarantined, said.failed);
                facts.completed = Some(Some(Count { delivered, quarantined, failed, open: 0 }));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the entries of a stream come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// What the stream is about.
    pub kind: StreamKind,
    /// How it stands.
    pub standing: Standing,
    /// The reason class or the code of the failure.
    pub why: Option<String>,
    /// The study, once known.
    pub study: Option<IndexHash>,
}

impl Default for Folded {
    fn default() -> Self {
        Self { kind: StreamKind::Act, standing: Standing::Recorded, why: None, study: None }
    }
}

impl Folded {
    /// Takes in the facts of entry `seq`.
    pub fn take_in(&mut self, facts: &Facts, seq: u64) {
        if seq == 0 {
            self.kind = facts.kind;
        }
        if let Some((standing, why)) = facts.standing.as_ref().filter(|_| self.kind != StreamKind::Act) {
            (self.standing, self.why) = (*standing, why.clone());
        }
        self.study = facts.study.or(self.study);
    }
}
