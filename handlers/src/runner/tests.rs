//! The runner over ports of which one call fails, kept and not kept: whichever it is, the next run ends where a run
//! without the fault ends, and nothing is recorded twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use domain::dicom::skeleton::Encoding;
use domain::dicom::testkit::{DataSet, Length, Random, file};
use domain::dicom::{Profile, Tag, VR};
use domain::ids::{Key, Keys};
use ledger::faulty::{Fault, Faulty};
use ledger::{Ledger, Log, MemoryLedger, Origin};

use super::items;
use super::report::{Observer, Report};
use super::*;
use crate::objects::faulty::{Effect, FaultyObjects, Plan};
use crate::objects::folder::FolderObjects;
use crate::ports::objects::Objects;
use crate::sources::Sources;
use crate::surroundings::Surroundings;

mod replay;
mod serve;

/// A clock that moves by a millisecond at each look, and a random source with a seed.
struct World(Mutex<(u64, Random)>);

impl World {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new((1_795_000_000_000, Random::new(seed)))))
    }
}

impl Surroundings for World {
    fn now_ms(&self) -> u64 {
        let mut world = self.0.lock().expect("world");
        world.0 += 1;
        world.0
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut world = self.0.lock().expect("world");
        bytes.iter_mut().for_each(|byte| *byte = world.1.below(256) as u8);
    }
}

#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Report>>);

impl Observer for Kept {
    fn ended(&self, report: &Report) {
        self.0.lock().expect("reports").push(report.clone());
    }
}

fn keys() -> Keys {
    Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) }
}

/// A CT slice of 2 x 2 pixels.
fn ct(instance: &str, pixels: [u16; 4]) -> Vec<u8> {
    let text = |set: DataSet, tag, vr, value: &str| set.text(tag, vr, value);
    let mut set = DataSet::new(Encoding::EXPLICIT_LE);
    for (tag, vr, value) in [
        (Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        (Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        (Tag(0x0008, 0x0018), VR::UI, instance),
        (Tag(0x0008, 0x0060), VR::CS, "CT"),
        (Tag(0x0010, 0x0010), VR::PN, "Nightingale^Florence"),
        (Tag(0x0010, 0x0020), VR::LO, "PID-77001"),
        (Tag(0x0020, 0x000D), VR::UI, "1.2.3.4"),
        (Tag(0x0020, 0x000E), VR::UI, "1.2.3.4.5"),
    ] {
        set = text(set, tag, vr, value);
    }
    set = set.us(Tag(0x0028, 0x0002), 1).text(Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2");
    for (element, number) in [(0x0010, 2), (0x0011, 2), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)] {
        set = set.us(Tag(0x0028, element), number);
    }
    let pixels: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
    file("1.2.840.10008.1.2.1", &set.element(Tag(0x7FE0, 0x0010), VR::OW, &pixels).bytes())
}

/// One object of each end, and two that conflict; the lower name must win.
pub(crate) fn write_items(folder: &Path) {
    let whole = ct("1.2.3.4.5.1", [1, 2, 3, 4]);
    fs::write(folder.join("a.dcm"), &whole).expect("write");
    fs::write(folder.join("b-not-dicom"), b"a letter, not an image").expect("write");
    fs::write(folder.join("c-conflict.dcm"), ct("1.2.3.4.5.1", [9, 9, 9, 9])).expect("write");
    fs::write(folder.join("d-same.dcm"), &whole).expect("write");
    fs::write(folder.join("e-cut.dcm"), &whole[..whole.len() - 3]).expect("write");
    fs::write(folder.join("f.dcm"), ct("1.2.3.4.5.2", [5, 6, 7, 8])).expect("write");
}

struct Bench {
    root: tempfile::TempDir,
    ledger: Arc<MemoryLedger>,
    world: Arc<World>,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("temporary folder");
        for name in ["in", "processed", "staging"] {
            fs::create_dir(root.path().join(name)).expect("folder");
        }
        write_items(&root.path().join("in"));
        let origin = Origin::new("medimg", "test", [7; 16]).expect("origin");
        Self { root, ledger: Arc::new(MemoryLedger::new(origin)), world: World::new(42) }
    }

    fn objects(&self) -> FolderObjects {
        FolderObjects::new(self.root.path().join("processed"), self.root.path().join("staging"))
    }

    fn pipeline(
        &self,
        ledger: Arc<dyn Ledger>,
        objects: Arc<dyn Objects>,
        sources: Sources,
        world: Arc<dyn Surroundings>,
    ) -> Pipeline {
        let profile = Profile::basic().expect("profile");
        let (limits, sources) = (domain::dicom::limits::Limits::default(), Arc::new(sources));
        Pipeline::new(ledger, objects, sources, keys(), profile, limits, world).expect("pipeline")
    }

    fn sources(&self) -> Sources {
        Sources::open(&self.root.path().join("sources.sqlite")).expect("sources")
    }

    fn runner(
        &self,
        ledger: Arc<dyn Ledger>,
        objects: Arc<dyn Objects>,
        world: Arc<dyn Surroundings>,
        off: &[&str],
    ) -> (Runner, Arc<Kept>) {
        let pipeline = self.pipeline(ledger, objects, self.sources(), world);
        let seen = Arc::new(Kept::default());
        let bus = Bus::new(off.iter().copied()).expect("rules");
        let limits = RunLimits { retry_delay_ms_max: 0, ..RunLimits::default() };
        (Runner::new(pipeline, bus, limits, IntakeOptions::default(), seen.clone()), seen)
    }

    async fn run(&self, ledger: Arc<dyn Ledger>, objects: Arc<dyn Objects>, off: &[&str]) -> (Summary, Vec<Report>) {
        let (runner, seen) = self.runner(ledger, objects, self.world.clone(), off);
        let items = items::list(&[self.root.path().join("in")], self.root.path());
        let summary = runner.process(items).await;
        let reports = std::mem::take(&mut *seen.0.lock().expect("reports"));
        (summary, reports)
    }

    async fn run_clean(&self) -> (Summary, Vec<Report>) {
        self.run(self.ledger.clone(), Arc::new(self.objects()), &[]).await
    }

    /// What is visible, by key, and what the ledger says of each stream: event types in order.
    async fn state(&self) -> (BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<String>>) {
        let mut visible = BTreeMap::new();
        let processed = self.root.path().join("processed");
        for item in items::list(std::slice::from_ref(&processed), Path::new("/nowhere")) {
            let name = item.path.strip_prefix(&processed).expect("below").to_string_lossy().into_owned();
            visible.insert(name, fs::read(&item.path).expect("read"));
        }
        let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in self.ledger.entries(0, 1_000).await.expect("entries") {
            let header = &entry.entry.header;
            streams.entry(header.stream.to_string()).or_default().push(header.types.as_str().to_owned());
        }
        (visible, streams)
    }
}

fn outcomes(reports: &[Report]) -> BTreeMap<u64, (Outcome, Option<&'static str>, bool)> {
    let of_item = |report: &Report| {
        Some((report.item?, (report.outcome, report.reason.map(|r| r.code()), report.already_present)))
    };
    reports.iter().filter_map(of_item).collect()
}

#[tokio::test]
async fn each_object_ends_once_and_the_lowest_of_conflicting_ones_is_delivered() {
    let bench = Bench::new();
    let (summary, reports) = bench.run_clean().await;
    assert!(summary.stopped_by.is_none(), "{summary:?}");
    let expected = [
        (1, (Outcome::Delivered, None, false)),
        (2, (Outcome::Quarantined, Some("not_dicom"), false)),
        (3, (Outcome::Quarantined, Some("dup_conflict"), false)),
        (4, (Outcome::Delivered, None, true)),
        (5, (Outcome::Quarantined, Some("truncated"), false)),
        (6, (Outcome::Delivered, None, false)),
    ];
    assert_eq!(outcomes(&reports), BTreeMap::from(expected));
    let staged = fs::read_dir(bench.root.path().join("staging")).expect("staging").count();
    assert_eq!(staged, 0, "nothing stays staged");
}

#[tokio::test]
async fn a_second_run_repeats_the_verdicts_and_records_nothing() {
    let bench = Bench::new();
    let (_, first) = bench.run_clean().await;
    let before = bench.state().await;
    let (_, second) = bench.run_clean().await;
    assert_eq!(outcomes(&first), outcomes(&second));
    assert!(second.iter().all(|report| report.repeated), "{second:?}");
    assert_eq!(before, bench.state().await);
}

#[tokio::test]
async fn with_the_rule_off_nothing_runs_and_with_it_on_again_everything_does() {
    let bench = Bench::new();
    let (summary, _) = bench.run(bench.ledger.clone(), Arc::new(bench.objects()), &["object-received"]).await;
    assert_eq!((summary.pending, summary.delivered), (6, 0));
    assert!(bench.state().await.1.values().all(|types| types == &["imaging.object.received.v1"]));
    let (summary, _) = bench.run_clean().await;
    assert_eq!((summary.pending, summary.resumed), (0, 6));
}

/// Runs with one fault, then without, and compares with a run that had none.
async fn check_fault(fault: impl Fn(&Bench) -> (Arc<dyn Ledger>, Arc<dyn Objects>), reference: &Bench, what: &str) {
    let bench = Bench::new();
    let (ledger, objects) = fault(&bench);
    let (first, _) = bench.run(ledger, objects, &[]).await;
    assert_eq!(first.failed, 0, "{what}: a fault of the surroundings never fails an object: {first:?}");
    let (second, reports) = bench.run_clean().await;
    assert!(second.stopped_by.is_none() && second.pending == 0, "{what}: {second:?}");
    let words = |state: (BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<String>>)| {
        let mut streams: Vec<_> = state.1.into_values().collect();
        streams.sort();
        (state.0, streams)
    };
    // The folders differ, so the streams have other ids; what they say and what is visible is the same.
    assert_eq!(words(bench.state().await), words(reference.state().await), "{what}");
    assert_eq!(reports.iter().filter(|report| report.item.is_some()).count(), 6, "{what}: none lost");
    let staged = fs::read_dir(bench.root.path().join("staging")).expect("staging").count();
    assert!(staged <= 1, "{what}: at most the object of the failed call stays staged until the next start sweeps it");
}

#[tokio::test]
async fn whichever_call_of_the_objects_fails_the_next_run_ends_the_same() {
    let reference = Bench::new();
    reference.run_clean().await;
    let counter = Plan::fail(u64::MAX, Effect::NotKept);
    let counted = Bench::new();
    counted.run(counted.ledger.clone(), Arc::new(FaultyObjects::new(counted.objects(), counter.clone())), &[]).await;
    assert!(counter.calls() > 20, "{} calls", counter.calls());
    for effect in [Effect::Kept, Effect::NotKept] {
        for at in 0..counter.calls() {
            let fault = |bench: &Bench| -> (Arc<dyn Ledger>, Arc<dyn Objects>) {
                (bench.ledger.clone(), Arc::new(FaultyObjects::new(bench.objects(), Plan::fail(at, effect))))
            };
            check_fault(fault, &reference, &format!("objects call {at} {effect:?}")).await;
        }
    }
}

#[tokio::test]
async fn whichever_call_of_the_ledger_fails_the_next_run_ends_the_same() {
    let reference = Bench::new();
    reference.run_clean().await;
    let calls = 40;
    for fault in [Fault::Kept, Fault::NotKept] {
        for at in 0..calls {
            let faulty = |bench: &Bench| -> (Arc<dyn Ledger>, Arc<dyn Objects>) {
                (Arc::new(Faulty::at(bench.ledger.clone(), at, fault)), Arc::new(bench.objects()))
            };
            check_fault(faulty, &reference, &format!("ledger call {at} {fault:?}")).await;
        }
    }
}

/// A ledger that is slow with the stream it hears of first, so that every other object is ready before it.
struct SlowForTheFirst(Arc<MemoryLedger>, std::sync::OnceLock<ledger::StreamKey>);

#[async_trait::async_trait]
impl Ledger for SlowForTheFirst {
    fn origin(&self) -> &Origin {
        self.0.origin()
    }

    async fn load(&self, stream: ledger::StreamKey) -> Result<ledger::Stream, ledger::Error> {
        self.0.load(stream).await
    }

    async fn append(
        &self,
        tip: &ledger::Tip,
        decision: &ledger::Decision,
        at: ledger::UtcMillis,
        nonce: ledger::Nonce,
    ) -> Result<ledger::Appended, ledger::Error> {
        if *self.1.get_or_init(|| tip.stream()) == tip.stream() && tip.count() > 0 {
            for _ in 0..500 {
                tokio::task::yield_now().await;
            }
        }
        self.0.append(tip, decision, at, nonce).await
    }
}

#[tokio::test]
async fn a_higher_object_of_the_same_key_waits_even_if_it_is_ready_first() {
    let bench = Bench::new();
    let slow = Arc::new(SlowForTheFirst(bench.ledger.clone(), std::sync::OnceLock::new()));
    let (summary, reports) = bench.run(slow, Arc::new(bench.objects()), &[]).await;
    assert!(summary.stopped_by.is_none(), "{summary:?}");
    let outcomes = outcomes(&reports);
    assert_eq!(outcomes[&1], (Outcome::Delivered, None, false));
    assert_eq!(outcomes[&3], (Outcome::Quarantined, Some("dup_conflict"), false));
}

/// A ledger in which somebody else has already recorded the first decisions of each chain, as a second worker would.
struct AnotherWorker(Arc<MemoryLedger>, usize);

#[async_trait::async_trait]
impl Ledger for AnotherWorker {
    fn origin(&self) -> &Origin {
        self.0.origin()
    }

    async fn load(&self, stream: ledger::StreamKey) -> Result<ledger::Stream, ledger::Error> {
        self.0.load(stream).await
    }

    async fn append(
        &self,
        tip: &ledger::Tip,
        decision: &ledger::Decision,
        at: ledger::UtcMillis,
        nonce: ledger::Nonce,
    ) -> Result<ledger::Appended, ledger::Error> {
        self.0.append(tip, decision, at, nonce).await
    }

    async fn append_chain(
        &self,
        tip: &ledger::Tip,
        links: &[ledger::Link],
    ) -> Vec<Result<ledger::Appended, ledger::Error>> {
        if links.len() > 1 {
            let theirs = links.iter().take(self.1).cloned();
            let theirs: Vec<_> = theirs.map(|link| ledger::Link { nonce: ledger::Nonce([9; 16]), ..link }).collect();
            self.0.append_chain(tip, &theirs).await;
        }
        self.0.append_chain(tip, links).await
    }
}

#[tokio::test]
async fn what_another_worker_recorded_first_stands_and_the_rest_goes_on_from_there() {
    let reference = Bench::new();
    reference.run_clean().await;
    let (visible, streams) = reference.state().await;
    for theirs in 1..=3 {
        let bench = Bench::new();
        let ledger = Arc::new(AnotherWorker(bench.ledger.clone(), theirs));
        let (summary, reports) = bench.run(ledger, Arc::new(bench.objects()), &[]).await;
        assert!(summary.stopped_by.is_none() && summary.pending == 0, "{theirs}: {summary:?}");
        let found = bench.state().await;
        assert_eq!(found.0, visible, "{theirs} first");
        let sorted = |streams: &BTreeMap<String, Vec<String>>| {
            let mut types: Vec<_> = streams.values().cloned().collect();
            types.sort();
            types
        };
        assert_eq!(sorted(&found.1), sorted(&streams), "{theirs} first");
        assert_eq!(outcomes(&reports)[&1], (Outcome::Delivered, None, false));
    }
}

/// A structure set with one contour of these points.
fn contours(instance: &str, points: &str) -> Vec<u8> {
    let set = |tags: &[(Tag, VR, &str)]| {
        tags.iter().fold(DataSet::new(Encoding::IMPLICIT_LE), |set, (tag, vr, text)| set.text(*tag, *vr, text))
    };
    let contour = set(&[(Tag(0x3006, 0x0042), VR::CS, "CLOSED_PLANAR"), (Tag(0x3006, 0x0050), VR::DS, points)]);
    let roi = set(&[]).sequence(Tag(0x3006, 0x0040), VR::SQ, Length::Undefined, vec![contour.bytes()]);
    let whole = set(&[
        (Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.481.3"),
        (Tag(0x0008, 0x0018), VR::UI, instance),
        (Tag(0x0008, 0x0060), VR::CS, "RTSTRUCT"),
        (Tag(0x0010, 0x0010), VR::PN, "Nightingale^Florence"),
        (Tag(0x0010, 0x0020), VR::LO, "7700123"),
        (Tag(0x0020, 0x000D), VR::UI, "1.2.3.4"),
        (Tag(0x0020, 0x000E), VR::UI, "1.2.3.4.6"),
    ]);
    let whole = whole.sequence(Tag(0x3006, 0x0039), VR::SQ, Length::Undefined, vec![roi.bytes()]);
    file("1.2.840.10008.1.2", &whole.bytes())
}

#[tokio::test]
async fn contours_of_any_length_are_delivered_unless_an_identifier_stands_among_them() {
    let bench = Bench::new();
    let folder = bench.root.path().join("in");
    fs::remove_dir_all(&folder).expect("empty");
    fs::create_dir(&folder).expect("folder");
    // Kept and judged, read on the way from memory, and read on the way from the source.
    for (name, count) in [("a", 10), ("b", 1_000), ("c", 2 << 20)] {
        let clean = "-12.5\\0\\77001\\".repeat(count / 2) + "1";
        let hit = format!("{clean}\\ +7700123 \\2");
        fs::write(folder.join(format!("{name}1")), contours(&format!("1.2.3.4.6.{count}1"), &clean)).expect("write");
        fs::write(folder.join(format!("{name}2")), contours(&format!("1.2.3.4.6.{count}2"), &hit)).expect("write");
    }
    let (summary, reports) = bench.run_clean().await;
    assert!(summary.stopped_by.is_none(), "{summary:?}");
    let outcomes = outcomes(&reports);
    for item in [1, 3, 5] {
        assert_eq!(outcomes[&item], (Outcome::Delivered, None, false), "item {item}");
    }
    // A short one goes alone: its attribute gets a dummy.
    assert_eq!(outcomes[&2], (Outcome::Delivered, None, false));
    for item in [4, 6] {
        assert_eq!(outcomes[&item], (Outcome::Quarantined, Some("residual_identifier"), false), "item {item}");
    }
    let (visible, _) = bench.state().await;
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(visible.values().all(|bytes| !holds(bytes, b"7700123")), "the identifier is nowhere");
    assert_eq!(visible.values().filter(|bytes| holds(bytes, b"-12.5\\0\\77001")).count(), 3, "the contours are whole");
    assert!(visible.values().any(|bytes| bytes.len() > 10 << 20), "the longest as well");
    assert_eq!(fs::read_dir(bench.root.path().join("staging")).expect("staging").count(), 0);
}

/// A ledger for which one kind of decision can be no entry.
struct Refusing(Arc<MemoryLedger>);

#[async_trait::async_trait]
impl Ledger for Refusing {
    fn origin(&self) -> &Origin {
        self.0.origin()
    }

    async fn load(&self, stream: ledger::StreamKey) -> Result<ledger::Stream, ledger::Error> {
        self.0.load(stream).await
    }

    async fn append(
        &self,
        tip: &ledger::Tip,
        decision: &ledger::Decision,
        at: ledger::UtcMillis,
        nonce: ledger::Nonce,
    ) -> Result<ledger::Appended, ledger::Error> {
        if decision.types.as_str().contains("deidentified") {
            return Err(ledger::Error::Invalid(ledger::InvalidDecision::StreamFull));
        }
        self.0.append(tip, decision, at, nonce).await
    }
}

#[tokio::test]
async fn a_decision_that_can_be_no_entry_fails_its_own_step_and_what_came_before_it_stands() {
    let bench = Bench::new();
    let (summary, reports) = bench.run(Arc::new(Refusing(bench.ledger.clone())), Arc::new(bench.objects()), &[]).await;
    assert!(summary.stopped_by.is_none(), "{summary:?}");
    assert_eq!(outcomes(&reports)[&1].0, Outcome::Failed);
    let failed = ["object.received", "instance.ingested", "instance.validated", "processing.failed"];
    let failed: Vec<String> = failed.iter().map(|name| format!("imaging.{name}.v1")).collect();
    let (visible, streams) = bench.state().await;
    assert!(visible.is_empty() && streams.values().any(|types| *types == failed), "{streams:?}");
    let entries = bench.ledger.entries(0, 1_000).await.expect("entries");
    let last = entries.iter().find(|row| row.entry.header.types.as_str() == failed[3]).expect("a failure");
    assert!(last.entry.body.contains("\"step\":\"deidentification\""), "{}", last.entry.body);
}
