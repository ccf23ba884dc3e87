//! What is right, written from DESIGN §3 to §5 and not from the code: small enough to be believed by reading it.
//!
//! Each object has one right end. Of objects with one output key the lowest received is delivered, the same bytes elsewhere
//! are delivered as already present, other bytes conflict. Nothing is recorded twice, nothing is lost, nothing stays behind.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids::StreamId;
use ledger::verify::{Cell, EntryRow, HeadRow, TagRow, Verifier};
use ledger::{LogEntry, MemoryLedger};
use sha2::{Digest as _, Sha256};

use super::inputs::{Input, Kind};
use super::ledger::entries;
use super::objects::Trouble;
use super::scenario::{Job, Life, Simulation, keys, location, path};
use super::world::Plan;
use crate::runner::report::{Outcome, Report};

const RECEIVED: &str = "imaging.object.received.v1";
const INGESTED: &str = "imaging.instance.ingested.v1";
const VALIDATED: &str = "imaging.instance.validated.v1";
const DEIDENTIFIED: &str = "imaging.instance.deidentified.v1";
const DELIVERED: &str = "imaging.instance.delivered.v1";
const QUARANTINED: &str = "imaging.instance.quarantined.v1";
const FAILED: &str = "imaging.processing.failed.v1";
const REPLAY: &str = "imaging.replay.requested.v1";

/// The steps that lead to an output.
const TO_OUTPUT: [&str; 4] = [RECEIVED, INGESTED, VALIDATED, DEIDENTIFIED];

/// An output: key and bytes.
type Output = (String, Vec<u8>);

/// Where an object of this kind ends, if it never gets an output: at which step, and why.
const fn refused(kind: Kind) -> Option<(usize, &'static str)> {
    match kind {
        Kind::Slice { .. } => None,
        Kind::NotDicom => Some((1, "not_dicom")),
        Kind::Cut { .. } => Some((1, "truncated")),
        Kind::StrangeSyntax => Some((1, "unsupported_ts")),
        Kind::Nameless => Some((2, "missing_required")),
        Kind::Ultrasound => Some((3, "pixels_not_judged")),
    }
}

/// One stream as the ledger tells it.
#[derive(Debug, Default)]
struct Told {
    types: Vec<String>,
    /// Leaf indices of `types`.
    at: Vec<u64>,
    body: Vec<serde_json::Value>,
}

/// What may be in a stream.
struct Known {
    input: Input,
    content: Vec<u8>,
    /// Whether the source holds this content in the end.
    held: bool,
}

/// Says what is wrong with a simulation that has settled; nothing if nothing is.
pub(super) fn judge(simulation: &Simulation, last: &Life) -> Vec<String> {
    let log = entries(&simulation.ledger);
    let mut wrong = simulation.wrong.take();
    verify(&simulation.ledger, &log, &mut wrong);
    let (known, told) = (known(simulation), told(&log));
    for (stream, known) in &known {
        match told.get(stream) {
            Some(told) => judge_stream(known, told, &mut wrong),
            None if known.held => wrong.push(format!("{:?} was lost: it has no stream", known.input)),
            None => {}
        }
    }
    wrong.extend(told.keys().filter(|s| !known.contains_key(s)).map(|s| format!("stream {s} is of no object")));
    judge_outputs(simulation, &known, &told, &mut wrong);
    judge_rest(simulation, &told, last, &mut wrong);
    wrong
}

/// Says what must never be, at whatever moment a process stopped: an output that no durable entry names, an end that was
/// told and is not recorded.
pub(super) fn judge_moment(simulation: &Simulation, reports: &[Report], wrong: &mut Vec<String>) {
    let told = told(&entries(&simulation.ledger));
    let said = |name| told.values().filter_map(move |told: &Told| told.said(name));
    for (key, bytes) in simulation.objects.visible() {
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if !said(DEIDENTIFIED).any(|said| said["key"] == key.as_str() && said["sha256"] == sha256.as_str()) {
            wrong.push(format!("{key} of {} bytes is visible, and no entry names it with its digest", bytes.len()));
        }
    }
    for (stream, _) in simulation.sources.all().into_iter().filter(|(_, ended)| *ended) {
        if !told.get(&stream).is_some_and(|told| [DELIVERED, QUARANTINED, FAILED].iter().any(|end| told.ends_with(end)))
        {
            wrong.push(format!("stream {stream} is noted as ended and is not"));
        }
    }
    for report in reports {
        let end = match report.outcome {
            Outcome::Delivered => DELIVERED,
            Outcome::Quarantined => QUARANTINED,
            Outcome::Failed => FAILED,
            Outcome::Pending | Outcome::Unreadable => continue,
        };
        if !report.stream.and_then(|stream| told.get(&stream)).is_some_and(|told| told.ends_with(end)) {
            wrong.push(format!("told and not recorded: {report:?}"));
        }
    }
}

/// Says what a start alone must have brought to an end: everything that was received, whether its path is named again or not.
pub(super) fn judge_resumed(simulation: &Simulation, wrong: &mut Vec<String>) {
    for (stream, told) in told(&entries(&simulation.ledger)) {
        if ![DELIVERED, QUARANTINED, FAILED].iter().any(|end| told.ends_with(end)) {
            wrong.push(format!("stream {stream} was not taken up by a start alone: {:?}", told.types));
        }
    }
}

/// The ledger verifies, and no decision and no nonce stands twice.
fn verify(ledger: &MemoryLedger, log: &[LogEntry], wrong: &mut Vec<String>) {
    use futures::FutureExt;
    use ledger::{Ledger, Log};
    let head = ledger.head().now_or_never().expect("at once").expect("no faults in it");
    let frontier = head.frontier.to_bytes();
    let size = i64::try_from(head.size).expect("a small log");
    let row = HeadRow { size: Cell::Integer(size), root: Cell::Blob(&head.root.0), frontier: Cell::Blob(&frontier) };
    let mut verifier = Verifier::new(Some(ledger.origin().clone()), Some(row));
    let (mut ids, mut nonces, mut slots) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for LogEntry { leaf_index, entry } in log {
        let index = i64::try_from(*leaf_index).expect("a small log");
        for tag in &entry.read_body().expect("a body that was appended").tags {
            let (kind, version) = (tag.kind.as_str().as_bytes(), i64::from(tag.hash.version));
            let (leaf_index, version) = (Cell::Integer(index), Cell::Integer(version));
            verifier.tag(&TagRow { leaf_index, kind: Cell::Text(kind), version, hash: Cell::Blob(&tag.hash.hash) });
        }
        let header = &entry.header;
        verifier.entry(&EntryRow {
            leaf_index: index,
            stream: Cell::Blob(&header.stream.0),
            seq: Cell::Integer(i64::try_from(header.seq).expect("a short stream")),
            leaf: Cell::Blob(&entry.leaf.0),
            nonce: Cell::Blob(&entry.nonce.0),
            header: Cell::Text(&entry.header_bytes),
            body: Cell::Text(entry.body.as_bytes()),
        });
        for (new, what) in [
            (ids.insert(header.decision_id), "decision"),
            (nonces.insert(entry.nonce.0), "nonce"),
            (slots.insert((header.stream.0, header.seq)), "(stream, seq)"),
        ] {
            if !new {
                wrong.push(format!("entry {leaf_index}: its {what} stands twice"));
            }
        }
    }
    let report = verifier.finish();
    if !report.is_sound() {
        wrong.push(format!("the ledger does not verify: {:?}", report.findings));
    }
}

/// Every content that a path ever held, by its stream.
fn known(simulation: &Simulation) -> HashMap<StreamId, Known> {
    let mut known = HashMap::new();
    for (number, input) in simulation.inputs.iter().enumerate() {
        let content = input.kind.file();
        let other = input.trouble.after(&content);
        let kind_of_other = if input.trouble == Trouble::Replaced { Kind::NotDicom } else { input.kind };
        // Where nothing is changed both are one stream, which is held.
        for (content, kind, held) in [(other, kind_of_other, false), (content, input.kind, true)] {
            let stream = keys().object_stream(&location(&path(number), &content));
            known.insert(stream, Known { input: Input { kind, ..*input }, content, held });
        }
    }
    known
}

fn told(log: &[LogEntry]) -> HashMap<StreamId, Told> {
    let mut streams: HashMap<StreamId, Told> = HashMap::new();
    for LogEntry { leaf_index, entry } in log {
        let stream = StreamId(domain::ids::KeyedHash(entry.header.stream.0));
        let told = streams.entry(stream).or_default();
        told.types.push(entry.header.types.as_str().to_owned());
        told.at.push(*leaf_index);
        told.body.push(serde_json::from_str(&entry.body).expect("a body is JSON"));
    }
    streams
}

impl Told {
    /// The steps without those that failed and were asked for again.
    fn steps(&self) -> Vec<&str> {
        self.types.iter().map(String::as_str).filter(|name| *name != FAILED && *name != REPLAY).collect()
    }

    fn said(&self, name: &str) -> Option<&serde_json::Value> {
        let at = self.types.iter().rposition(|found| found == name)?;
        Some(&self.body[at][0]["data"])
    }

    fn index_of(&self, name: &str) -> Option<u64> {
        self.types.iter().position(|found| found == name).map(|at| self.at[at])
    }

    fn ends_with(&self, name: &str) -> bool {
        self.types.last().is_some_and(|last| last == name)
    }
}

/// The stream goes the one way that its object must go, each step once.
fn judge_stream(known: &Known, told: &Told, wrong: &mut Vec<String>) {
    let Known { input, held, .. } = known;
    let steps = told.steps();
    // Also a source that fails now and then: with further failures that the seed draws, its retries may be exhausted.
    let may_fail = input.trouble != Trouble::None;
    let fails = told.types.iter().filter(|name| *name == FAILED).count();
    if fails > 0 && !may_fail {
        wrong.push(format!("{input:?} failed, though its source is sound: {:?}", told.types));
    }
    if told.ends_with(FAILED) {
        if *held {
            wrong.push(format!("{input:?} stands failed after the repair"));
        }
        return;
    }
    let right = match refused(input.kind) {
        Some((steps_before, _)) => [&TO_OUTPUT[..steps_before], &[QUARANTINED]].concat(),
        None if told.ends_with(QUARANTINED) => [&TO_OUTPUT[..], &[QUARANTINED]].concat(),
        None => [&TO_OUTPUT[..], &[DELIVERED]].concat(),
    };
    if steps != right {
        wrong.push(format!("{input:?} went another way than {right:?}: {:?}", told.types));
    }
    let reason = refused(input.kind).map_or("dup_conflict", |(_, reason)| reason);
    if let Some(said) = told.said(QUARANTINED).filter(|said| said["reason"] != reason) {
        wrong.push(format!("{input:?} is refused as {}, not as {reason}", said["reason"]));
    }
}

/// Of each output key the lowest received is delivered, whole; what is visible is that and nothing else.
fn judge_outputs(
    simulation: &Simulation,
    known: &HashMap<StreamId, Known>,
    told: &HashMap<StreamId, Told>,
    wrong: &mut Vec<String>,
) {
    let mut of_key: BTreeMap<String, Vec<(StreamId, Vec<u8>)>> = BTreeMap::new();
    let mut visible = BTreeMap::new();
    for stream in simulation.streams() {
        let Some(known) = known.get(&stream).filter(|known| refused(known.input.kind).is_none()) else { continue };
        let (key, bytes) = output_of(&known.content);
        of_key.entry(key).or_default().push((stream, bytes));
    }
    for (key, streams) in of_key {
        let first = |(stream, _): &&(StreamId, Vec<u8>)| told[stream].index_of(DELIVERED).unwrap_or(u64::MAX);
        let Some((winner, bytes)) = streams.iter().min_by_key(first) else { continue };
        let Some(delivered) = told[winner].index_of(DELIVERED) else { continue };
        visible.insert(key.clone(), bytes.clone());
        let by_hand = streams.iter().any(|(stream, _)| simulation.put_by_hand.contains(stream));
        for (stream, others) in &streams {
            let (input, told) = (&known[stream].input, &told[stream]);
            let failed_before = told.index_of(FAILED).is_some_and(|at| at < delivered);
            let chosen = simulation.put_by_hand.contains(winner);
            if lower(simulation, *stream, *winner) && !failed_before && !chosen {
                wrong.push(format!("{input:?} was received before the one that is delivered under its key"));
            }
            if told.ends_with(FAILED) {
                continue;
            }
            let said = told.said(DELIVERED);
            let present = said.map(|said| said["already_present"] == true);
            let right = match (stream == winner, others == bytes) {
                (_, true) if by_hand || simulation.power_failed => present.is_some(),
                (true, _) => present == Some(false),
                (false, true) => present == Some(true),
                (false, false) => said.is_none(),
            };
            if !right {
                wrong.push(format!("{input:?} of key {key}: wrong end {:?}, already present {present:?}", told.types));
            }
        }
    }
    if simulation.objects.visible() != visible {
        let keys =
            |all: &BTreeMap<String, Vec<u8>>| all.iter().map(|(k, b)| format!("{k} {}", b.len())).collect::<Vec<_>>();
        wrong.push(format!("visible is {:?}, right is {:?}", keys(&simulation.objects.visible()), keys(&visible)));
    }
}

/// Whether `one` came before `other`: both by its entry and by its row, for one run receives in walk order, and what was
/// unreadable in one run may come in behind its place in the next.
fn lower(simulation: &Simulation, one: StreamId, other: StreamId) -> bool {
    let received = simulation.streams();
    let rows: Vec<StreamId> = simulation.sources.all().into_iter().map(|(stream, _)| stream).collect();
    let before = |order: &[StreamId]| {
        let place = |stream| order.iter().position(|found| *found == stream);
        place(one) < place(other)
    };
    before(&received) && before(&rows)
}

/// Inputs = delivered + quarantined (+ failed, which is told); nothing stays staged or open; a further run adds nothing.
fn judge_rest(simulation: &Simulation, told: &HashMap<StreamId, Told>, last: &Life, wrong: &mut Vec<String>) {
    match &last.summary {
        Some(summary) => {
            let ended = summary.delivered + summary.quarantined;
            if summary.stopped_by.is_some() || ended != simulation.inputs.len() as u64 {
                wrong.push(format!("{} inputs came to {summary:?}", simulation.inputs.len()));
            }
        }
        None => wrong.push("the last life did not end".to_owned()),
    }
    wrong.extend(last.reports.iter().filter(|r| !r.repeated).map(|r| format!("the last life did more: {r:?}")));
    let staged = simulation.objects.staged();
    if !staged.is_empty() {
        wrong.push(format!("left in staging: {staged:?}"));
    }
    for (stream, ended) in simulation.sources.all() {
        if told.contains_key(&stream) && !ended {
            wrong.push(format!("stream {stream} ended and is not noted so"));
        }
    }
}

/// Tells the objects and the log, for whoever looks at a failure.
pub(super) fn story(simulation: &Simulation) -> Vec<String> {
    let known = known(simulation);
    let object = |(number, input): (usize, &Input)| {
        let stream = keys().object_stream(&location(&path(number), &input.kind.file()));
        format!("{number:>2} {stream} {input:?}")
    };
    let entry = |row: &LogEntry| {
        let (header, stream) = (&row.entry.header, StreamId(domain::ids::KeyedHash(row.entry.header.stream.0)));
        let held = known.get(&stream).is_some_and(|known| known.held);
        format!(
            "{:>3} {:.8} {} {}{}",
            row.leaf_index,
            stream,
            header.seq,
            header.types.as_str(),
            if held { "" } else { " (changed)" }
        )
    };
    simulation.inputs.iter().enumerate().map(object).chain(entries(&simulation.ledger).iter().map(entry)).collect()
}

/// Returns what a run without any fault makes of a content.
fn output_of(content: &[u8]) -> Output {
    thread_local!(static MADE: RefCell<HashMap<Vec<u8>, Output>> = RefCell::default());
    if let Some(made) = MADE.with_borrow(|made| made.get(content).cloned()) {
        return made;
    }
    let none = Input { kind: Kind::NotDicom, trouble: Trouble::None };
    let mut alone = Simulation::new(0, |_| vec![none]);
    alone.objects.put_raw(&path(0), content.to_vec(), Trouble::None);
    alone.live(Job::Process, Plan::Calm);
    let made = alone.objects.visible().into_iter().next().expect("it is delivered");
    MADE.with_borrow_mut(|all| all.insert(content.to_vec(), made.clone()));
    made
}
