//! Audit: is what the log says an order of steps that this pipeline can have walked? A fold over the log, on top of the
//! ledger's own verification. Reads only.
//!
//! Memory: the uploads that have no end at the present entry. An upload that goes on after an end (a replay) is folded anew
//! from its first entry in a second reading, which holds those uploads only.

#[cfg(test)]
mod matrix;
mod published;
mod sealed;
mod tiles;
mod trust;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use domain::events::{self, Event, EventData, ReadError};
use domain::ids::{KeyedHash, StreamId};
use domain::study::Study;
use domain::upload::Upload;
use ledger::verify::{Code, Finding};
use ledger::{Depth, Frontier, Header, Origin, StreamKey, Watcher, stated_origin, verify, verify_store_with};

use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::segments;
use crate::store::no_ledger;
pub use published::audit_published;
pub use sealed::Sealed;
pub use trust::{GIVEN_MAX, Outside, Signed};

/// The first entry that cannot stand where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misstep {
    /// Index of the entry in the log, from 0.
    pub leaf_index: u64,
    /// Its stream, 32 hex digits.
    pub stream: String,
    /// Its number in the stream, from 0.
    pub seq: u64,
    /// The log that ended before a recovery in which it stands, by its file; none for the present one.
    pub log: Option<String>,
    /// What does not fit; a constant sentence.
    pub why: &'static str,
}

/// What a verification of a store found.
#[derive(Debug)]
pub struct Audit {
    /// What the ledger says of itself.
    pub ledger: verify::Report,
    /// What each log that ended before a recovery says of itself, oldest first, with the name of its file.
    pub past: Vec<(String, verify::Report)>,
    /// What was seen of the checkpoints and published tiles of each of these logs, in their order, the present one last. What does not
    /// hold is among the findings of the log's report.
    pub sealed: Vec<Sealed>,
    /// The first entry out of order. Judged only if the ledger is sound: of a damaged log the order says nothing.
    pub misstep: Option<Misstep>,
}

impl Audit {
    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.ledger.is_sound() && self.misstep.is_none() && self.past.iter().all(|(_, report)| report.is_sound())
    }
}

/// Verifies the ledger of the store at `root`, then the order of its steps. Writes nothing and needs no key.
///
/// # Errors
/// When the verification did not take place: no store, no access, no ledger, another schema version.
pub fn audit(root: &Path) -> Result<Audit> {
    audit_against(root, &Outside::default(), &mut |_, _, _| {})
}

/// What [`audit_with`] shows of each sound entry: its index, its header, and its events, or why they cannot be read.
pub type Visit<'a> = dyn FnMut(u64, &Header, std::result::Result<&[Event], &ReadError>) + 'a;

/// As [`audit`], and shows each sound entry of the present log to `visit` as it is read: bodies are parsed once. A lower index
/// than before means that the reading began anew.
///
/// # Errors
/// As [`audit`].
pub fn audit_with(root: &Path, visit: &mut Visit<'_>) -> Result<Audit> {
    audit_against(root, &Outside::default(), visit)
}

/// As [`audit_with`], and holds the logs against what the verifier brings along. Of headers only, nothing is shown.
///
/// # Errors
/// As [`audit`].
pub fn audit_against(root: &Path, outside: &Outside, visit: &mut Visit<'_>) -> Result<Audit> {
    // A ledger whose head cannot be looked at is verified all the same, by itself.
    let present = vec![("ledger.sqlite".to_owned(), root.join("ledger.sqlite"))];
    let logs = segments::paths(root).unwrap_or(present);
    let mut first = Fold::new(None);
    let mut seals = watches(root, &logs, outside)?;
    let mut reports = walk(root, &logs, &mut first, visit, (&mut seals, outside.headers_only))?;
    let known: Vec<Origin> = seals.iter().flatten().map(|(origin, _)| origin.clone()).collect();
    let sealed = seals.into_iter().zip(&mut reports).map(|(watch, (_, report))| match watch {
        Some((_, watch)) => watch.finish(report),
        None => Sealed::default(),
    });
    let sealed: Vec<Sealed> = sealed.collect();
    let (_, mut ledger) = reports.pop().expect("the present log is always one of them");
    let mut audit = Audit { past: reports, sealed, misstep: None, ledger: ledger.clone() };
    strangers(outside, &known, &mut ledger, audit.sealed.last_mut());
    audit.ledger = ledger;
    // Which logs ended before a recovery stands in no entry but the first of the next log: the chain must begin with the first.
    if known.first().is_some_and(|oldest| segments::number(oldest) > 0) {
        let log = logs.first().filter(|_| logs.len() > 1).map(|(name, _)| name.clone());
        let why = "a log that ended before a recovery is not there, although this one goes on from it";
        audit.misstep = Some(Misstep { leaf_index: 0, stream: String::new(), seq: 0, log, why });
    }
    if !audit.is_sound() || outside.headers_only {
        return Ok(audit);
    }
    let mut missteps = vec![first.misstep.take(), joint(&logs, &audit)?];
    if !first.again.is_empty() {
        let mut second = Fold::new(Some(std::mem::take(&mut first.again)));
        walk(root, &logs, &mut second, &mut |_, _, _| {}, (&mut [], false))?;
        missteps.push(second.misstep);
    }
    let place = |misstep: &Misstep| logs.iter().position(|(name, _)| misstep.log.as_ref() == Some(name));
    let last = logs.len();
    audit.misstep =
        missteps.into_iter().flatten().min_by_key(|misstep| (place(misstep).unwrap_or(last), misstep.leaf_index));
    Ok(audit)
}

/// What is compared with the log of an origin while it is read; none where the store does not say which log it is.
type SealWatch = Option<(Origin, sealed::Watch)>;

fn watches(root: &Path, logs: &[(String, PathBuf)], outside: &Outside) -> Result<Vec<SealWatch>> {
    let listed = trust::listed(root)?;
    let watch = |(_, path): &(String, PathBuf)| {
        // A log that cannot be looked at is verified all the same, by itself.
        let Ok(origin) = stated_origin(path) else { return Ok(None) };
        let watch = sealed::Watch::of_store(root, path, &origin, outside, &listed)?;
        Ok(Some((origin, watch)))
    };
    logs.iter().map(watch).collect()
}

/// A checkpoint that was given and is of none of the store's logs is a finding of the present one.
fn strangers(outside: &Outside, known: &[Origin], report: &mut verify::Report, sealed: Option<&mut Sealed>) {
    let Some(sealed) = sealed else { return };
    for (number, bytes) in outside.checkpoints.iter().enumerate() {
        let origin = trust::origin_of(bytes);
        if origin.as_ref().is_some_and(|origin| known.contains(origin)) {
            continue;
        }
        let code = if origin.is_some() { Code::CheckpointOrigin } else { Code::CheckpointForm };
        let finding = Finding { code, leaf_index: None, at_or_after: false };
        report.add(finding);
        sealed.about.push((finding, sealed::given_name(number)));
        sealed.given.push((number, None, false));
    }
}

/// Shows a log to the fold, and to what is compared with it.
struct Both<'a> {
    seals: Option<&'a mut sealed::Watch>,
    entry: &'a mut dyn FnMut(u64, &Header, &str),
}

impl Watcher for Both<'_> {
    fn begin(&mut self) {
        if let Some(seals) = &mut self.seals {
            seals.begin();
        }
    }

    fn leaf(&mut self, header: &[u8], tree: &Frontier) {
        if let Some(seals) = &mut self.seals {
            seals.leaf(header, tree);
        }
    }

    fn entry(&mut self, index: u64, header: &Header, body: &str) {
        (self.entry)(index, header, body);
    }
}

/// Verifies each log and shows its entries to the fold, one log after the other.
fn walk(
    root: &Path,
    logs: &[(String, PathBuf)],
    fold: &mut Fold,
    visit: &mut Visit<'_>,
    (seals, headers_only): (&mut [SealWatch], bool),
) -> Result<Vec<(String, verify::Report)>> {
    let mut reports = Vec::new();
    for (at, (name, path)) in logs.iter().enumerate() {
        let ended = at + 1 < logs.len();
        fold.log = ended.then(|| name.clone());
        fold.continued = at > 0;
        fold.next = 0;
        // A log that is changed while it is read is read anew, from its beginning.
        let begun = (logs.len() > 1).then(|| fold.clone());
        let mut show = |index, header: &Header, body: &str| {
            if headers_only {
                return;
            }
            if index < fold.next {
                match &begun {
                    Some(begun) => *fold = begun.clone(),
                    None => *fold = Fold::new(fold.only.take()),
                }
            }
            let wanted = !ended || fold.only.as_ref().is_none_or(|only| only.contains(&header.stream));
            let events = if wanted { events::read(body.as_bytes()) } else { Ok(Vec::new()) };
            if !ended {
                visit(index, header, events.as_deref());
            }
            fold.entry(index, header, events.as_deref().ok());
        };
        let depth = if headers_only { Depth::Headers } else { Depth::Whole };
        let seals = seals.get_mut(at).and_then(|watch| watch.as_mut().map(|(_, watch)| watch));
        let mut both = Both { seals, entry: &mut show };
        let report = verify_store_with(path, depth, &mut both).map_err(|error| match error {
            ledger::Error::Missing if ended => {
                Error::damaged("ledger_gone", format!("verify {name}, a log that ended before a recovery"), None)
            }
            ledger::Error::Missing => no_ledger(root),
            error => ledger_error("verify the ledger", error),
        })?;
        reports.push((name.clone(), report));
    }
    Ok(reports)
}

/// Whether the first entry of each log after a recovery names the log before it as that lies there.
fn joint(logs: &[(String, PathBuf)], audit: &Audit) -> Result<Option<Misstep>> {
    for (at, (_, before)) in audit.past.iter().enumerate() {
        let path = &logs[at + 1].1;
        let mut first = None;
        let mut show = |index, header: &Header, body: &str| {
            if index == 0 {
                let named =
                    events::read(body.as_bytes()).unwrap_or_default().into_iter().next().map(|event| event.data);
                first = Some((header.stream.to_string(), named));
            }
        };
        ledger::verify_store(path, &mut show).map_err(|error| ledger_error("verify the ledger", error))?;
        let named = match &first {
            Some((_, Some(EventData::LedgerRecovered(said)))) => Some((said.restored_size, said.restored_root.0)),
            _ => None,
        };
        if named != before.root.map(|root| (before.entries, root.0)) {
            let log = (at + 2 < logs.len()).then(|| logs[at + 1].0.clone());
            let stream = first.map(|(stream, _)| stream).unwrap_or_default();
            let why = "the first entry after a recovery does not name the log before it as it lies there";
            return Ok(Some(Misstep { leaf_index: 0, stream, seq: 0, log, why }));
        }
    }
    Ok(None)
}

/// What a stream is, by its first entry.
#[derive(Clone, Debug)]
enum Kind {
    /// Of an object.
    Upload(Box<Upload>),
    /// Of a study as a whole, written by the sweeper.
    Study(Box<Study>),
    /// What a person did.
    Act,
}

/// One reading of the log.
#[derive(Clone, Debug)]
struct Fold {
    /// The streams to fold from beginning to end; without it all, each as long as it has no end.
    only: Option<BTreeSet<StreamKey>>,
    open: HashMap<StreamKey, Kind>,
    /// Streams that went on after they had been let go of.
    again: BTreeSet<StreamKey>,
    misstep: Option<Misstep>,
    /// Index that the next entry has at least; a lower one means that the reading began anew.
    next: u64,
    /// The log that is read, if it ended before a recovery.
    log: Option<String>,
    /// Whether a log was read before it, in which a stream may have begun.
    continued: bool,
}

impl Fold {
    fn new(only: Option<BTreeSet<StreamKey>>) -> Self {
        Self { only, open: HashMap::new(), again: BTreeSet::new(), misstep: None, next: 0, log: None, continued: false }
    }

    /// Takes in an entry; `None` stands for events that this program does not know.
    fn entry(&mut self, leaf_index: u64, header: &Header, events: Option<&[Event]>) {
        self.next = leaf_index + 1;
        if self.misstep.is_some() || self.only.as_ref().is_some_and(|only| !only.contains(&header.stream)) {
            return;
        }
        if let Err(why) = self.take_in(header, events) {
            let (stream, seq) = (header.stream.to_string(), header.seq);
            let log = self.log.clone();
            self.misstep = Some(Misstep { leaf_index, stream, seq, log, why });
        }
    }

    fn take_in(&mut self, header: &Header, events: Option<&[Event]>) -> std::result::Result<(), &'static str> {
        let events = events.ok_or("its body holds no events that this program knows")?;
        let stream = StreamId(KeyedHash(header.stream.0));
        if events.iter().any(|event| event.subject != stream) {
            return Err("an event names another stream than its entry");
        }
        let mut kind = match self.open.remove(&header.stream) {
            Some(kind) => kind,
            None if header.seq == 0 && !(self.continued && self.only.is_none() && goes_on(events)) => first(events),
            None => {
                self.again.insert(header.stream);
                return Ok(());
            }
        };
        match &mut kind {
            Kind::Act if events.iter().any(is_of_upload) => {
                return Err("a step of an object stands in a stream that received none");
            }
            Kind::Act if events.iter().any(is_of_study) => {
                return Err("a word about a study as a whole stands in a stream that is not the study's");
            }
            Kind::Act => {}
            Kind::Study(study) => {
                events.iter().try_for_each(|event| study.apply(event)).map_err(|misplaced| misplaced.why)?;
            }
            Kind::Upload(upload) => step(upload, events, header)?,
        }
        // A study completed is an end that a late object takes back: it is then folded anew, like a replay.
        let open = match &kind {
            Kind::Upload(upload) => upload.ended().is_none(),
            Kind::Study(study) => study.completed().is_none(),
            Kind::Act => false,
        };
        if self.only.is_some() || open {
            self.open.insert(header.stream, kind);
        }
        Ok(())
    }
}

fn first(events: &[Event]) -> Kind {
    match events.first().map(|event| &event.data) {
        Some(EventData::ObjectReceived(_)) => Kind::Upload(Box::default()),
        Some(EventData::StudyCompleted(_) | EventData::StudyReopened(_)) => Kind::Study(Box::default()),
        _ => Kind::Act,
    }
}

/// Whether the first events that a stream has in a log may go on from one that ended.
fn goes_on(events: &[Event]) -> bool {
    let goes_on = |event: &Event| {
        let data = &event.data;
        let taken_up = matches!(data, EventData::ReplayRequested(_) | EventData::ReviewDecided(_));
        taken_up || is_of_upload(event) && !matches!(data, EventData::ObjectReceived(_))
    };
    events.first().is_some_and(goes_on)
}

/// Whether the event can stand in the stream of an object only.
fn is_of_upload(event: &Event) -> bool {
    matches!(
        event.data,
        EventData::ObjectReceived(_)
            | EventData::InstanceIngested(_)
            | EventData::InstanceValidated(_)
            | EventData::InstanceQuarantined(_)
            | EventData::InstanceDeidentified(_)
            | EventData::InstanceDelivered(_)
            | EventData::ProcessingFailed(_)
    )
}

fn is_of_study(event: &Event) -> bool {
    matches!(event.data, EventData::StudyCompleted(_) | EventData::StudyReopened(_))
}

fn step(upload: &mut Upload, events: &[Event], header: &Header) -> std::result::Result<(), &'static str> {
    for event in events {
        upload.apply(event).map_err(|misplaced| misplaced.why)?;
    }
    let named = header.subject.map(|subject| (subject.version, subject.hash));
    let known = upload.study().map(|study| (study.version, study.hash.0));
    if named == known { Ok(()) } else { Err("the entry names another study than its events") }
}

#[cfg(test)]
mod tests {
    use domain::events::{Decision, Digest, InstanceQuarantined, Intake, ObjectReceived, Time};
    use domain::workflow::Step;
    use domain::{Reason, Rejection};
    use ledger::{Actor, Ledger, Nonce, Open, Origin, SqliteLedger, Tip, UtcMillis};
    use uuid::Uuid;

    use super::*;
    use crate::commit::ledger_decision;

    fn received() -> EventData {
        ObjectReceived { sha256: Digest([1; 32]), size_bytes: 1, intake: Intake::Process, raw_copied: false }.into()
    }

    fn quarantined() -> EventData {
        let rejection = Rejection::new(Reason::NotDicom, "it is none");
        InstanceQuarantined {
            reason: rejection.reason,
            step: Step::Ingestion,
            detail: domain::events::Detail::of(&rejection.detail),
            at: None,
            profile_digest: None,
            tags: Vec::new(),
        }
        .into()
    }

    /// Writes a log in which each stream says these events, one an entry, and audits it. The ledger itself is sound.
    async fn audit_of(entries: &[(u8, EventData)]) -> Audit {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let origin = Origin::new("medimg", "test", [0; 16]).expect("an origin");
        let ledger = SqliteLedger::open(folder.path().join("ledger.sqlite"), Open::CreateWith(origin)).expect("open");
        let mut tips: HashMap<u8, Tip> = HashMap::new();
        for (number, (stream, data)) in (1u128..).zip(entries) {
            let id = Uuid::from_u128(number);
            let said = Decision {
                id,
                stream: StreamId(KeyedHash([*stream; 16])),
                time: Time::from_unix_ms(0),
                correlation_id: None,
                causation_id: None,
            };
            let actor = Actor::system("intake").expect("a step");
            let decision = ledger_decision(id, &Event::of(&said, vec![data.clone()]), None, actor).expect("a decision");
            let tip = tips.entry(*stream).or_insert(Tip::empty(StreamKey([*stream; 16])));
            let done = ledger.append(tip, &decision, UtcMillis::from_unix_ms(0), Nonce([0; 16])).await.expect("append");
            *tip = done.receipt().tip();
        }
        drop(ledger);
        audit(folder.path()).expect("it takes place")
    }

    #[tokio::test]
    async fn a_log_in_the_order_of_the_steps_is_sound() {
        let audit = audit_of(&[(1, received()), (2, received()), (1, quarantined())]).await;
        assert!(audit.is_sound(), "{audit:?}");
        assert_eq!(audit.ledger.entries, 3);
    }

    #[tokio::test]
    async fn the_first_entry_that_cannot_stand_where_it_does_is_named() {
        let audit = audit_of(&[(1, received()), (2, received()), (2, received()), (1, received())]).await;
        assert!(audit.ledger.is_sound() && !audit.is_sound());
        assert_eq!(audit.misstep.expect("found").leaf_index, 2);
    }

    #[tokio::test]
    async fn a_step_without_an_object_and_a_step_after_the_end_are_found() {
        let lone = audit_of(&[(1, received()), (2, quarantined())]).await;
        assert_eq!(lone.misstep.expect("found").leaf_index, 1);
        let late = audit_of(&[(1, received()), (1, quarantined()), (3, received()), (1, quarantined())]).await;
        assert_eq!(late.misstep.expect("found").leaf_index, 3, "the stream is read again from its first entry");
    }
}
