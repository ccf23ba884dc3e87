//! A run that is served its items, by hand or by a watch.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::*;
use crate::runner::feed::Feed;
use crate::runner::items::Item;
use crate::watch::{News, Told, WatchOptions, Watcher};

const HOUR_MS: u64 = 3_600_000;

/// A clock that is set an hour forth and back at every look.
struct Jumping(Arc<World>, AtomicU64);

impl Surroundings for Jumping {
    fn now_ms(&self) -> u64 {
        let now = self.0.now_ms();
        if self.1.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { now + HOUR_MS } else { now - HOUR_MS }
    }

    fn random(&self, bytes: &mut [u8]) {
        self.0.random(bytes);
    }
}

/// Numbers of items that were taken, and of those that were put back, with the code.
type Intakes = (Vec<u64>, Vec<(u64, &'static str)>);

#[derive(Default)]
struct Heard(Mutex<Intakes>);

impl Feed for Heard {
    fn taken(&self, number: u64) {
        self.0.lock().expect("heard").0.push(number);
    }

    fn put_back(&self, number: u64, code: &'static str) -> bool {
        self.0.lock().expect("heard").1.push((number, code));
        false
    }
}

struct Unheard;

impl Told for Unheard {
    fn news(&self, _: News) {}

    fn keeps_up(&self) -> bool {
        true
    }
}

/// Watches the inputs once and follows what is in them to its end.
async fn watch_once(bench: &Bench, world: Arc<dyn Surroundings>) -> (Summary, Vec<Report>) {
    let (folder, store) = (bench.root.path().join("in"), bench.root.path().join("processed"));
    let options = WatchOptions {
        settle: Duration::from_millis(20),
        rescan: Duration::from_secs(60),
        notifications: false,
        once: true,
    };
    let watcher =
        Watcher::new(&folder, &store, bench.sources().into(), keys(), world.clone(), options, Arc::new(Unheard))
            .expect("watch");
    let (runner, seen) = bench.runner(bench.ledger.clone(), Arc::new(bench.objects()), world, &[]);
    let (items, handed_over) = mpsc::channel(2);
    let feed = watcher.feed();
    let watching = std::thread::spawn(move || watcher.run(&items));
    let summary = runner.serve(handed_over, feed).await;
    watching.join().expect("the watch ends");
    let reports = std::mem::take(&mut *seen.0.lock().expect("reports"));
    (summary, reports)
}

#[tokio::test]
async fn a_watch_ends_every_object_as_a_run_over_the_list_does_and_takes_in_none_twice() {
    let (listed, watched) = (Bench::new(), Bench::new());
    let (_, of_list) = listed.run_clean().await;
    let (summary, of_watch) = watch_once(&watched, watched.world.clone()).await;
    assert!(summary.stopped_by.is_none() && !summary.interrupted, "{summary:?}");
    assert_eq!(outcomes(&of_list), outcomes(&of_watch), "byte order, whatever order the folder lists");
    let (summary, again) = watch_once(&watched, watched.world.clone()).await;
    assert!(again.is_empty() && summary.delivered == 0, "they are known: {again:?}");
}

#[tokio::test]
async fn a_clock_that_jumps_an_hour_both_ways_changes_no_end_and_recorded_times_go_forward() {
    let (steady, jumping) = (Bench::new(), Bench::new());
    let (_, expected) = steady.run_clean().await;
    let world = Arc::new(Jumping(jumping.world.clone(), AtomicU64::new(0)));
    let (summary, reports) = watch_once(&jumping, world).await;
    assert!(summary.stopped_by.is_none(), "{summary:?}");
    assert_eq!(outcomes(&reports), outcomes(&expected));
    let mut last = BTreeMap::new();
    for entry in jumping.ledger.entries(0, 1_000).await.expect("entries") {
        let (stream, time) = (entry.entry.header.stream.to_string(), entry.entry.header.recorded_at);
        let before = last.insert(stream, time);
        assert!(before.is_none_or(|before| before <= time), "time went back within a stream");
    }
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_judged_complete_is_put_back_and_not_recorded() {
    let bench = Bench::new();
    let (runner, seen) = bench.runner(bench.ledger.clone(), Arc::new(bench.objects()), bench.world.clone(), &[]);
    let path = bench.root.path().canonicalize().expect("canonical").join("in/a.dcm");
    let looked = || crate::objects::beneath::seen(&crate::objects::beneath::look(&path).expect("a file"));
    let then = looked();
    fs::write(&path, ct("1.2.3.4.5.9", [1, 2, 3, 4])).expect("changed");
    let (items, handed_over) = mpsc::channel(4);
    for (number, expected) in [(1, then), (2, looked())] {
        items.try_send(Item { number, path: path.clone(), size_bytes: 9, unreadable: None, expected }).expect("room");
    }
    drop(items);
    let heard = Arc::new(Heard::default());
    let summary = runner.serve(handed_over, heard.clone()).await;
    assert_eq!(*heard.0.lock().expect("heard"), (vec![2], vec![(1, "source_changed")]));
    assert_eq!((summary.delivered, summary.unreadable), (1, 0));
    assert_eq!(seen.0.lock().expect("reports").len(), 1);
    assert_eq!(bench.state().await.1.len(), 1, "one stream");
}

#[tokio::test]
async fn what_has_ended_is_written_down_while_a_served_run_waits_for_more() {
    let bench = Bench::new();
    let (runner, seen) = bench.runner(bench.ledger.clone(), Arc::new(bench.objects()), bench.world.clone(), &[]);
    let (items, handed_over) = mpsc::channel(16);
    let serving = tokio::spawn({
        let runner = runner.clone();
        async move { runner.serve(handed_over, Arc::new(Heard::default())).await }
    });
    for item in items::list(&[bench.root.path().join("in")], bench.root.path()) {
        items.send(item).await.expect("it is served");
    }
    let (sources, began) = (bench.sources(), Instant::now());
    let open = || sources.open_streams(100).expect("asked").len();
    while seen.0.lock().expect("reports").len() < 6 || open() > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "{} streams look open", open());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    runner.stop();
    let summary = serving.await.expect("it ends");
    assert!(summary.interrupted && summary.pending == 0, "a stop wakes a run that waits: {summary:?}");
    assert_eq!((summary.delivered, summary.quarantined), (3, 3));
}
