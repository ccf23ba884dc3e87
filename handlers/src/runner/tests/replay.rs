//! Replays over real files: what failed is done again from where it failed, what is delivered stays byte for byte, and
//! whichever call of a port fails, the same request again ends the same.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use async_trait::async_trait;
use domain::Phi;
use domain::events::{self, EventData, ReplayCompleted, ReplayRequested};
use domain::ids::Location;
use domain::upload::Kept as Stays;

use super::*;
use crate::ports::objects::{Digest, OutputKey, Published, Source, StageToken, Staging};
use crate::replay::dry::{DryLedger, DryObjects};
use crate::replay::plan::{Plan as DryPlan, plan};
use crate::replay::{Left, Request, Selection, Span, Why};
use crate::runner::replay::Replayed;

/// Objects that cannot be staged, as if something about each object were broken.
struct Ailing(FolderObjects);

#[async_trait]
impl Objects for Ailing {
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>> {
        self.0.open(location).await
    }

    async fn stage(&self, _: StreamId) -> Result<Box<dyn Staging>> {
        Err(Error::broken("rule_panicked", "stage an object that ails"))
    }

    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>> {
        self.0.publish(token, key, digest).await
    }

    async fn discard(&self, token: &StageToken) -> Result<()> {
        self.0.discard(token).await
    }

    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>> {
        self.0.digest(key).await
    }
}

/// How a replay is called.
struct Call<'b> {
    bench: &'b Bench,
    ledger: Arc<dyn Ledger>,
    log: Arc<dyn Log>,
    objects: Arc<dyn Objects>,
    sources: Sources,
    off: &'static [&'static str],
    accept_pixels: bool,
}

impl Bench {
    fn call(&self) -> Call<'_> {
        Call {
            bench: self,
            ledger: self.ledger.clone(),
            log: self.ledger.clone(),
            objects: Arc::new(self.objects()),
            sources: self.sources(),
            off: &[],
            accept_pixels: false,
        }
    }

    /// Runs, with every object that is staged failing at de-identification.
    async fn run_ailing(&self) {
        let (summary, _) = self.run(self.ledger.clone(), Arc::new(Ailing(self.objects())), &[]).await;
        assert_eq!((summary.failed, summary.quarantined, summary.delivered), (4, 2, 0), "{summary:?}");
    }

    /// Every event of the log that says something of a replay as a whole.
    async fn acts(&self) -> Vec<EventData> {
        let entries = self.ledger.entries(0, 1_000).await.expect("entries");
        let events = entries.iter().flat_map(|row| events::read(row.entry.body.as_bytes()).expect("events"));
        let is_act = |event: &events::Event| match &event.data {
            EventData::ReplayRequested(said) => said.streams.is_some(),
            EventData::ReplayCompleted(_) => true,
            _ => false,
        };
        events.filter(is_act).map(|event| event.data).collect()
    }

    fn item(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("in").join(name)
    }

    /// Name, inode, times and content of every visible file.
    fn files(&self) -> BTreeSet<(std::path::PathBuf, u64, i64, i64, Vec<u8>)> {
        let processed = self.root.path().join("processed");
        let files = items::list(std::slice::from_ref(&processed), Path::new("/nowhere")).into_iter();
        let told = files.map(|item| {
            let meta = fs::metadata(&item.path).expect("a visible file");
            let bytes = fs::read(&item.path).expect("read");
            (item.path, meta.ino(), meta.mtime(), meta.mtime_nsec(), bytes)
        });
        told.collect()
    }

    /// Every file of the place with its bytes.
    fn every_file(&self) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
        let root = self.root.path().to_owned();
        let all = items::list(std::slice::from_ref(&root), Path::new("/nowhere")).into_iter();
        all.map(|item| (item.path.clone(), fs::read(&item.path).expect("read"))).collect()
    }
}

impl Call<'_> {
    fn pipeline(self) -> (Pipeline, Bus, Arc<dyn Log>) {
        let copies = self.bench.root.path().join("raw");
        let mut pipeline = self.bench.pipeline(self.ledger, self.objects, self.sources).with_copies(copies);
        if self.accept_pixels {
            pipeline.profile = pipeline.profile.clone().with_accept_pixels(true);
            pipeline.profile_digest = events::Digest::parse(pipeline.profile.digest()).expect("a digest");
        }
        let pipeline = pipeline.by(Person::of_user(&Phi::new("operator".into()), &keys()));
        (pipeline, Bus::new(self.off.iter().copied()).expect("rules"), self.log)
    }

    async fn replay(self, request: &Request) -> (Summary, Option<Replayed>) {
        let (pipeline, bus, log) = self.pipeline();
        let limits = RunLimits { retry_delay_ms_max: 0, ..RunLimits::default() };
        let silent = Arc::new(crate::runner::report::Silent);
        let runner = Runner::new(pipeline, bus, limits, IntakeOptions::default(), silent);
        runner.replay(log.as_ref(), request).await
    }

    async fn done(self, request: &Request) -> Replayed {
        let (summary, replayed) = self.replay(request).await;
        assert!(summary.stopped_by.is_none(), "{summary:?}");
        replayed.expect("it knew what to do")
    }

    async fn planned(self, request: &Request) -> DryPlan {
        let (pipeline, bus, log) = self.pipeline();
        plan(&pipeline, &bus, log.as_ref(), request).await.expect("a plan")
    }

    /// Lays the ports of a dry run over these.
    fn dry(self) -> Self {
        let sources = Sources::open_discarding(&self.bench.root.path().join("sources.sqlite")).expect("sources");
        let ledger = Arc::new(DryLedger::new(self.ledger));
        Self { ledger, objects: Arc::new(DryObjects::new(self.objects)), sources, ..self }
    }
}

fn request(selection: Selection, from_step: Option<Step>) -> Request {
    let (span_said, reason) = (format!("{:?}", selection.span), Phi::new("the disk was repaired".into()));
    Request { selection, span_said, from_step, profile_given: false, reason }
}

fn failed() -> Request {
    request(Selection { failed: true, ..Selection::default() }, None)
}

/// Everything that was ever received.
fn everything(from_step: Option<Step>) -> Request {
    let span = Some(Span { from_ms: 0, to_ms: u64::MAX });
    request(Selection { span, ..Selection::default() }, from_step)
}

fn codes(left: &[Left]) -> Vec<&'static str> {
    let mut codes: Vec<_> = left.iter().map(Left::code).collect();
    codes.sort_unstable();
    codes
}

fn requested(acts: &[EventData]) -> Vec<&ReplayRequested> {
    acts.iter().filter_map(|act| if let EventData::ReplayRequested(said) = act { Some(said) } else { None }).collect()
}

fn completed(acts: &[EventData]) -> Vec<&ReplayCompleted> {
    acts.iter().filter_map(|act| if let EventData::ReplayCompleted(said) = act { Some(said) } else { None }).collect()
}

#[tokio::test]
async fn what_failed_is_done_again_from_where_it_failed_and_the_lowest_of_conflicting_ones_is_delivered() {
    let (bench, reference) = (Bench::new(), Bench::new());
    reference.run_clean().await;
    bench.run_ailing().await;
    let replayed = bench.call().done(&failed()).await;
    let counts = replayed.counts;
    assert_eq!((counts.streams, counts.delivered, counts.already_done, counts.quarantined), (4, 3, 1, 1));
    assert_eq!((counts.failed, counts.steps, replayed.pending), (0, 8, 0), "two steps each");
    assert!(replayed.completed && !replayed.continued && replayed.left.is_empty());
    assert_eq!(bench.state().await.0, reference.state().await.0, "the same files as without the failure");
    let redone = bench.state().await.1.into_values().filter(|types| types.len() > 4).collect::<Vec<_>>();
    assert_eq!(redone.len(), 4);
    for types in redone {
        assert_eq!(types[3..5], ["imaging.processing.failed.v1", "imaging.replay.requested.v1"]);
        assert_eq!(types[5], "imaging.instance.deidentified.v1", "it began at the step that failed");
    }
    let acts = bench.acts().await;
    let (asked, ended) = (requested(&acts), completed(&acts));
    assert_eq!((asked.len(), ended.len()), (1, 1));
    assert_eq!((asked[0].streams, asked[0].from_step, asked[0].reason_given), (Some(4), Step::Deidentification, true));
    assert_eq!((ended[0].streams, ended[0].delivered, ended[0].steps), (4, 3, Some(8)));
    let run = uuid::Uuid::parse_str(asked[0].run.as_str()).expect("a run is a UUID");
    assert_eq!(run.get_version_num(), 7);
    assert_eq!(bench.sources().note(run).expect("look"), Some(failed().reason));
    let again = bench.call().done(&failed()).await;
    assert_eq!((again.counts.streams, again.continued), (0, false), "nothing is failed any more");
}

#[tokio::test]
async fn a_delivered_object_that_is_done_again_changes_no_file_and_is_delivered_only_once() {
    let bench = Bench::new();
    bench.run_clean().await;
    let before = bench.files();
    for step in [Step::Ingestion, Step::Deidentification, Step::Delivery] {
        let replayed = bench.call().done(&everything(Some(step))).await;
        let counts = replayed.counts;
        assert_eq!((counts.delivered, counts.already_done, counts.failed), (3, 3, 0), "{step}: {replayed:?}");
        assert_eq!(bench.files(), before, "{step}");
    }
    // Without a step there is nothing to do again; the conflict may be gone, and is not.
    let replayed = bench.call().done(&everything(None)).await;
    assert_eq!((replayed.counts.streams, replayed.counts.quarantined), (1, 1));
    let stays = ["already_done", "already_done", "already_done", "still_quarantined", "still_quarantined"];
    assert_eq!(codes(&replayed.left), stays);
    assert_eq!(bench.files(), before);
    let staged = fs::read_dir(bench.root.path().join("staging")).expect("staging").count();
    assert_eq!(staged, 0, "nothing stays staged");
}

#[tokio::test]
async fn with_the_rule_off_reopened_streams_wait_and_the_same_request_goes_on_with_them() {
    let bench = Bench::new();
    bench.run_ailing().await;
    let off = || Call { off: &["replay-requested"], ..bench.call() };
    for continued in [false, true] {
        let waits = off().done(&failed()).await;
        assert_eq!((waits.pending, waits.counts.delivered, waits.completed), (4, 0, false));
        assert_eq!(waits.continued, continued);
    }
    let acts = bench.acts().await;
    assert_eq!((requested(&acts).len(), completed(&acts).len()), (1, 0), "one request, and no end yet");
    let done = bench.call().done(&failed()).await;
    assert!(done.continued && done.completed);
    assert_eq!((done.counts.streams, done.counts.delivered, done.counts.quarantined, done.counts.steps), (4, 3, 1, 8));
    assert_eq!(completed(&bench.acts().await)[0].steps, Some(8));
}

#[tokio::test]
async fn another_reason_is_another_replay_even_while_one_waits() {
    let bench = Bench::new();
    bench.run_ailing().await;
    let waits = Call { off: &["replay-requested"], ..bench.call() }.done(&failed()).await;
    let other = Request { reason: Phi::new("another reason".into()), ..failed() };
    let done = bench.call().done(&other).await;
    assert!(!done.continued && done.run != waits.run);
    // The streams that waited were taken up first, as every run does.
    assert_eq!((done.counts.streams, done.pending), (0, 0));
}

#[tokio::test]
async fn a_source_that_is_gone_or_changed_is_named_and_its_stream_keeps_its_end() {
    let bench = Bench::new();
    bench.run_clean().await;
    let before = bench.state().await;
    fs::remove_file(bench.item("a.dcm")).expect("removed");
    let mut other = fs::read(bench.item("f.dcm")).expect("read");
    *other.last_mut().expect("a byte") ^= 1;
    fs::write(bench.item("f.dcm"), other).expect("changed, of the same size");
    let replayed = bench.call().done(&everything(Some(Step::Deidentification))).await;
    // Only `d` is left of those delivered, and the conflicting one of those refused behind de-identification.
    assert_eq!((replayed.counts.streams, replayed.counts.already_done, replayed.counts.quarantined), (2, 1, 1));
    let stays = ["source_changed", "source_gone", "step_not_reached", "step_not_reached"];
    assert_eq!(codes(&replayed.left), stays);
    assert!(replayed.left.iter().all(Left::needs_a_person));
    let after = bench.state().await;
    for left in &replayed.left {
        let stream = left.stream.to_string();
        assert_eq!(before.1[&stream], after.1[&stream], "nothing was added");
    }
    assert_eq!(before.0, after.0);
    let acts = bench.acts().await;
    let skipped: Vec<_> = completed(&acts)[0].skipped.iter().map(|s| (s.code.as_str(), s.count)).collect();
    assert_eq!(skipped, [("source_changed", 1), ("source_gone", 1), ("step_not_reached", 2)]);
}

#[tokio::test]
async fn where_a_source_is_gone_the_copy_of_the_store_is_read_if_it_is_what_was_received() {
    let bench = Bench::new();
    bench.run_clean().await;
    let raw = bench.root.path().join("raw");
    fs::create_dir(&raw).expect("folder");
    let (sources, mut rows) = (bench.sources(), Vec::new());
    for stream in bench.state().await.1.into_keys() {
        let stream = StreamId::parse(&stream).expect("a stream");
        let row = sources.get(stream, &keys()).expect("look").expect("a row");
        let path = String::from_utf8(row.location.key.expose().clone()).expect("text");
        fs::copy(path, raw.join(format!("{stream}.dcm"))).expect("copied");
        rows.push(crate::sources::SourceRow { copied: true, ..row });
    }
    sources.put(&rows).expect("put");
    for name in ["a.dcm", "d-same.dcm", "f.dcm"] {
        fs::remove_file(bench.item(name)).expect("removed");
    }
    let planned = bench.call().planned(&everything(Some(Step::Deidentification))).await;
    assert!(planned.left.iter().all(|left| left.code() == "step_not_reached"), "{planned:?}");
    let replayed = bench.call().done(&everything(Some(Step::Deidentification))).await;
    assert_eq!((replayed.counts.already_done, codes(&replayed.left).len()), (3, 2), "{replayed:?}");
    // A copy that was altered is no source.
    for row in &rows {
        fs::write(raw.join(format!("{}.dcm", row.stream)), b"altered").expect("written");
    }
    let replayed = bench.call().done(&everything(Some(Step::Deidentification))).await;
    let gone = codes(&replayed.left).into_iter().filter(|code| *code == "source_gone").count();
    assert_eq!((gone, replayed.counts.delivered), (3, 0));
}

#[tokio::test]
async fn under_another_profile_nothing_is_redone_unless_the_request_names_it() {
    let bench = Bench::new();
    bench.run_clean().await;
    let (files, ask) = (bench.files(), everything(Some(Step::Delivery)));
    let other = || Call { accept_pixels: true, ..bench.call() };
    let replayed = other().done(&ask).await;
    let differs = |left: &&Left| matches!(left.why, Why::Kept(Stays::ProfileDiffers { recorded, current }) if recorded != current);
    assert_eq!(replayed.left.iter().filter(differs).count(), 4, "{replayed:?}");
    assert_eq!(replayed.counts.streams, 0);
    let named = Request { profile_given: true, ..ask };
    let planned = other().planned(&named).await;
    assert_eq!((planned.may_conflict, planned.deliver, planned.steps), (3, 1, 8), "{planned:?}");
    let replayed = other().done(&named).await;
    assert_eq!(replayed.counts.streams, 4);
    assert_eq!(bench.files(), files, "a key keeps its bytes under every profile");
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_says_what_the_run_then_does() {
    let bench = Bench::new();
    bench.run_ailing().await;
    fs::remove_file(bench.item("f.dcm")).expect("removed");
    let before = (bench.every_file(), bench.ledger.head().await.expect("head").size);
    for ask in [failed(), everything(None), everything(Some(Step::Deidentification))] {
        let planned = bench.call().planned(&ask).await;
        assert_eq!((planned.streams, planned.steps, planned.deliver), (3, 6, 3), "{planned:?}");
        assert!(codes(&planned.left).contains(&"source_gone"));
        let deep = bench.call().dry().done(&ask).await;
        let counts = deep.counts;
        assert_eq!((counts.streams, counts.steps), (planned.streams, planned.steps));
        // Reading finds what the plan cannot know: one of the three is the same object, one conflicts.
        assert_eq!((counts.delivered, counts.already_done, counts.quarantined), (2, 1, 1), "{deep:?}");
        assert!((bench.every_file(), bench.ledger.head().await.expect("head").size) == before, "something was written");
    }
    let deep = bench.call().dry().done(&failed()).await;
    let real = bench.call().done(&failed()).await;
    assert_eq!((real.counts, codes(&real.left)), (deep.counts, codes(&deep.left)));
    let off = Call { off: &["replay-requested"], ..bench.call() };
    let planned = off.planned(&everything(Some(Step::Deidentification))).await;
    assert_eq!((planned.waiting, planned.steps), (3, 0));
}

#[tokio::test]
async fn a_step_alone_means_what_failed_there_and_a_span_what_was_received_or_ended_in_it() {
    let bench = Bench::new();
    bench.run_ailing().await;
    let at = |step| request(Selection::default(), Some(step));
    assert_eq!(bench.call().planned(&at(Step::Delivery)).await.streams, 0);
    assert_eq!(bench.call().planned(&at(Step::Deidentification)).await.streams, 4);
    let size = bench.ledger.head().await.expect("head").size;
    let last = bench.ledger.entries(size - 1, 1).await.expect("entries")[0].entry.header.recorded_at.unix_ms();
    let span = |from_ms, to_ms| Selection { span: Some(Span { from_ms, to_ms }), ..Selection::default() };
    assert_eq!(bench.call().planned(&request(span(last, last + 1), None)).await.streams, 1);
    assert_eq!(bench.call().planned(&request(span(last + 1, u64::MAX), None)).await.streams, 0);
    let failed_then = Selection { failed: true, ..span(0, last) };
    assert_eq!(bench.call().planned(&request(failed_then, None)).await.streams, 4, "received in it");
}

/// Replays through `call`, in which one call fails, then the same request without, and compares with a replay that had none.
async fn check_fault(bench: &Bench, call: Call<'_>, reference: &Bench, what: &str) {
    call.replay(&failed()).await;
    let done = bench.call().done(&failed()).await;
    assert!(done.completed && done.pending == 0, "{what}: {done:?}");
    let words = |state: (BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<String>>)| {
        let mut streams: Vec<_> = state.1.into_values().filter(|types| types[0].contains("received")).collect();
        streams.sort();
        (state.0, streams)
    };
    assert!(words(bench.state().await) == words(reference.state().await), "{what}");
    let acts = bench.acts().await;
    let runs: BTreeSet<_> = requested(&acts).into_iter().map(|said| said.run.clone()).collect();
    assert_eq!(runs.len(), requested(&acts).len(), "{what}: a run is asked for once");
    // A call that was stopped is gone on with, so that the objects' work is counted once and whole.
    let counted: u64 = completed(&acts).iter().map(|said| said.streams).sum();
    assert_eq!((counted, completed(&acts).len()), (4, runs.len()), "{what}: {acts:?}");
}

#[tokio::test]
async fn whichever_call_of_the_objects_fails_the_same_request_again_ends_the_same() {
    let reference = Bench::new();
    reference.run_ailing().await;
    let counter = Plan::fail(u64::MAX, Effect::NotKept);
    let objects = Arc::new(FaultyObjects::new(reference.objects(), counter.clone()));
    assert!(Call { objects, ..reference.call() }.done(&failed()).await.completed);
    assert!(counter.calls() > 15, "{} calls", counter.calls());
    for at in 0..counter.calls() {
        for effect in [Effect::Kept, Effect::NotKept] {
            let bench = Bench::new();
            bench.run_ailing().await;
            let objects = Arc::new(FaultyObjects::new(bench.objects(), Plan::fail(at, effect)));
            let call = Call { objects, ..bench.call() };
            check_fault(&bench, call, &reference, &format!("objects call {at} {effect:?}")).await;
        }
    }
}

#[tokio::test]
async fn whichever_call_of_the_ledger_fails_the_same_request_again_ends_the_same() {
    let reference = Bench::new();
    reference.run_ailing().await;
    let counter = Arc::new(Faulty::at((*reference.ledger).clone(), u64::MAX, Fault::Kept));
    let call = Call { ledger: counter.clone(), log: counter.clone(), ..reference.call() };
    assert!(call.done(&failed()).await.completed);
    assert!(counter.calls() > 20, "{} calls", counter.calls());
    for at in 0..counter.calls() {
        for fault in [Fault::Kept, Fault::NotKept] {
            let bench = Bench::new();
            bench.run_ailing().await;
            let faulty = Arc::new(Faulty::at((*bench.ledger).clone(), at, fault));
            let call = Call { ledger: faulty.clone(), log: faulty, ..bench.call() };
            check_fault(&bench, call, &reference, &format!("ledger call {at} {fault:?}")).await;
        }
    }
}
