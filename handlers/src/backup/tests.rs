//! Backup, restore, forget and recover, stopped before each change of the disk in turn: what was promised holds, and the
//! same call again ends where one without the stop ends.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Phi;
use domain::dicom::{Profile, limits::Limits};

use super::*;
use crate::acting::Person;
use crate::bus::Bus;
use crate::forget::{self, forget};
use crate::heads::Heads;
use crate::ports::views::Standing;
use crate::recover::{self, recover};
use crate::runner::tests::{Kept, write_items};
use crate::runner::{IntakeOptions, RunLimits, Runner, items};
use crate::search::{self, Paging, Part, Question};
use crate::store::{self, Access};
use crate::surroundings::System;
use crate::{audit, heads};

/// A folder with a store in which one object of each end was processed.
struct Bench(tempfile::TempDir);

/// Stops before the step of this number; counts the steps.
struct Stop {
    at: Option<usize>,
    steps: Cell<usize>,
}

impl Stop {
    fn at(at: Option<usize>) -> Self {
        Self { at, steps: Cell::new(0) }
    }

    fn before(&self) -> io::Result<()> {
        let step = self.steps.replace(self.steps.get() + 1);
        if self.at.is_some_and(|at| step >= at) { Err(io::Error::other("the test stops here")) } else { Ok(()) }
    }
}

impl Bench {
    async fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("temporary folder"));
        let inputs = bench.at("Nightingale");
        fs::create_dir(&inputs).expect("folder");
        write_items(&inputs);
        bench.process("store").await;
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str, access: Access) -> Store {
        Store::open(&self.at(name), access, "test", &System).expect("open")
    }

    /// Returns how many objects were delivered.
    async fn process(&self, name: &str) -> u64 {
        let store = self.open(name, Access::Work);
        let profile = Profile::basic().expect("profile");
        let pipeline = store::pipeline(&store, profile, Limits::default(), Arc::new(System)).expect("pipeline");
        let intake = IntakeOptions { copy_raw_to: Some(store.raw()), ..IntakeOptions::default() };
        let bus = Bus::new([]).expect("bus");
        let runner = Runner::new(pipeline, bus, RunLimits::default(), intake, Arc::<Kept>::default());
        let summary = runner.process(items::list(&[self.at("Nightingale")], store.root())).await;
        assert!(summary.stopped_by.is_none(), "{:?}", summary.stopped_by);
        summary.delivered
    }

    fn backup(&self, stop: &Stop) -> Result<Made> {
        let store = self.open("store", Access::Ask);
        copy(&store, &self.at("copy"), None, &System, &|_| stop.before())
    }

    fn copy_of_store(&self, to: &str) {
        let _ = fs::remove_dir_all(self.at(to));
        copy_folder(&self.at("store"), &self.at(to));
    }

    fn outputs(&self, store: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = self.at(store).join("processed");
        let file =
            |path: PathBuf| (path.strip_prefix(&folder).expect("below").to_owned(), fs::read(path).expect("read"));
        files_below(&folder).into_iter().map(file).collect()
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort_unstable();
    found
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let at = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &at)
        } else {
            fs::copy(entry.path(), at).map(drop).expect("copy")
        }
    }
}

fn phi(text: &str) -> Phi<String> {
    Phi::new(text.to_owned())
}

#[tokio::test]
async fn a_backup_that_is_stopped_anywhere_is_none_or_whole_and_the_next_one_is_whole() {
    let bench = Bench::new().await;
    let whole = Stop::at(None);
    bench.backup(&whole).expect("a backup");
    let steps = whole.steps.get();
    assert!(steps > 30, "only {steps} steps");
    for step in 0..steps {
        fs::remove_dir_all(bench.at("copy")).expect("removed");
        let stopped = bench.backup(&Stop::at(Some(step))).map(drop);
        assert_eq!(stopped.expect_err("it stops").code(), "backup_io", "step {step}");
        if Manifest::read(&bench.at("copy")).expect("none or a whole one").is_some() {
            check(&bench.at("copy"), None).unwrap_or_else(|error| panic!("step {step}: {error}"));
        }
        assert!(!unsealed_sources(&bench.open("store", Access::Ask)).exists(), "step {step}: paths lie about unsealed");
        bench.backup(&Stop::at(None)).unwrap_or_else(|error| panic!("after step {step}: {error}"));
        check(&bench.at("copy"), None).unwrap_or_else(|error| panic!("after step {step}: {error}"));
        // Over a whole one: whichever of the two stands then, it is whole.
        let _ = bench.backup(&Stop::at(Some(step)));
        check(&bench.at("copy"), None).unwrap_or_else(|error| panic!("over a whole one, step {step}: {error}"));
    }
}

#[tokio::test]
async fn a_restore_that_is_stopped_anywhere_leaves_no_store_or_a_whole_one() {
    let bench = Bench::new().await;
    let passphrase = Passphrase::of_person("a passphrase for tests".to_owned()).with_work(2);
    let keys = KeysFile { path: &bench.at("keys.age"), passphrase: &passphrase };
    let store = bench.open("store", Access::Ask);
    copy(&store, &bench.at("copy"), Some(&keys), &System, &|_| Ok(())).expect("a backup");
    drop(store);
    let whole = Stop::at(None);
    let outputs = bench.outputs("store");
    for step in 0.. {
        let stop = Stop::at(Some(step));
        let done = restore(&bench.at("copy"), &bench.at("second"), &keys, &|_| stop.before());
        if bench.at("second").exists() {
            assert_eq!(bench.outputs("second"), outputs, "step {step}");
            assert!(audit::audit(&bench.at("second")).expect("it takes place").is_sound(), "step {step}");
        } else {
            assert!(done.is_err(), "step {step}");
            restore(&bench.at("copy"), &bench.at("second"), &keys, &|_| whole.before()).expect("the next one");
            assert!(!bench.at("second.restoring").exists(), "step {step}");
            assert_eq!(bench.outputs("second"), outputs, "step {step}");
        }
        fs::remove_dir_all(bench.at("second")).expect("removed");
        if done.is_ok() {
            assert!(step > 30, "only {step} steps");
            return;
        }
    }
}

#[tokio::test]
async fn a_forgetting_that_is_stopped_anywhere_is_finished_by_the_next() {
    let bench = Bench::new().await;
    let (study, reason) = (phi("1.2.3.4"), phi("asked for by Florence"));
    let asked = || forget::Asked { study: &study, reason: &reason, unfinished_too: false };
    for step in 0.. {
        bench.copy_of_store("second");
        let store = bench.open("second", Access::Work);
        let person = Person::of_user(&phi("jdoe"), &store.keys);
        let stop = Stop::at(Some(step));
        let done = forget(&store, &System, person, asked(), &|_| stop.before()).await;
        let ended = done.is_ok();
        let before = forget::look(&store, &study).await.expect("look");
        forget(&store, &System, person, asked(), &|_| Ok(())).await.expect("the next one");
        let after = forget::look(&store, &study).await.expect("look");
        assert!(after.is_nothing() && after.objects == before.objects && after.objects > 0, "step {step}: {after:?}");
        drop(store);
        assert!(audit::audit(&bench.at("second")).expect("it takes place").is_sound(), "step {step}");
        // Every object of the study but one lies under a path that names her; of the refused ones the path stays known.
        let bytes: Vec<u8> =
            files_below(&bench.at("second")).iter().flat_map(|file| fs::read(file).expect("read")).collect();
        for name in ["/a.dcm", "/c-conflict.dcm", "/d-same.dcm", "/f.dcm"] {
            let there = bytes.windows(name.len()).any(|window| window == name.as_bytes());
            assert!(!there, "step {step}: {name} is still there");
        }
        if ended {
            assert!(step > 4, "only {step} steps");
            return;
        }
    }
}

#[tokio::test]
async fn a_recovery_that_is_stopped_anywhere_is_done_by_the_next() {
    let bench = Bench::new().await;
    bench.copy_of_store("older");
    let (user, reason) = (phi("jdoe"), phi("the disk was lost"));
    let asked = || recover::Asked { user: &user, reason: &reason };
    let kept = Heads::at(bench.at("heads"));
    let delivered = bench.process("store").await;
    for step in 0.. {
        let _ = fs::remove_dir_all(bench.at("second"));
        copy_folder(&bench.at("older"), &bench.at("second"));
        let peek = Peek::open(bench.at("second").join("ledger.sqlite")).expect("peek");
        let text = heads::restored_mark(peek.origin.as_str(), peek.head.size, Digest(peek.head.root.0));
        fs::write(bench.at("second").join(heads::RESTORED), text).expect("mark");
        assert_eq!(kept.check(&bench.at("second")).expect_err("refused").code(), "ledger_restored");
        let stop = Stop::at(Some(step));
        let done = recover(&bench.at("second"), "test", &kept, &System, asked(), &|_| stop.before()).await;
        let ended = done.is_ok();
        if kept.check(&bench.at("second")).is_err() {
            recover(&bench.at("second"), "test", &kept, &System, asked(), &|_| Ok(())).await.expect("the next one");
        }
        kept.check(&bench.at("second")).expect("it may be worked with");
        let audit = audit::audit(&bench.at("second")).expect("it takes place");
        assert!(audit.is_sound() && audit.past.len() == 1, "step {step}: {audit:?}");
        assert_eq!(bench.process("second").await, delivered, "step {step}: what ended repeats its verdict");
        assert!(audit::audit(&bench.at("second")).expect("it takes place").is_sound(), "step {step}");
        assert_eq!(bench.outputs("second"), bench.outputs("store"), "step {step}");
        if ended {
            assert!(step > 4, "only {step} steps");
            return;
        }
    }
}

#[tokio::test]
async fn an_object_that_was_cut_off_by_a_loss_goes_on_in_the_next_log_from_where_it_stood() {
    let bench = Bench::new().await;
    let outputs = bench.outputs("store");
    bench.copy_of_store("again");
    let delivered = bench.process("again").await;
    // The store as it was after every number of entries: cut there, as an older backup would be.
    let size = Peek::open(bench.at("store").join("ledger.sqlite")).expect("peek").head.size;
    let kept = Heads::at(bench.at("heads"));
    kept.keep(&bench.at("store"), 0).expect("kept");
    for cut in 1..size {
        bench.copy_of_store("second");
        cut_log(&bench.at("second").join("ledger.sqlite"), cut);
        // Sources and outputs are ahead of the ledger, as where a disk lost its last writes.
        let (user, reason) = (phi("jdoe"), phi("the disk was lost"));
        let asked = recover::Asked { user: &user, reason: &reason };
        let done = recover(&bench.at("second"), "test", &kept, &System, asked, &|_| Ok(())).await.expect("recover");
        assert_eq!((done.held_size, done.restored_size), (size, cut));
        // What has no end in the log is taken up by itself, whatever sources said.
        let open = bench.open("second", Access::Ask).sources.open_streams(100).expect("list").len() as u64;
        assert!(open == done.unfinished && (open > 0 || cut + 1 == size), "cut at {cut}: {open} of {done:?}");
        assert_eq!(bench.process("second").await, delivered, "cut at {cut}: every object ends as it did");
        let audit = audit::audit(&bench.at("second")).expect("it takes place");
        assert!(audit.is_sound(), "cut at {cut}: {audit:?}");
        assert_eq!(bench.outputs("second"), outputs, "cut at {cut}");
        assert_eq!(
            told(&bench.open("second", Access::Ask)).await,
            5 * usize::try_from(delivered).expect("few"),
            "cut at {cut}"
        );
    }
}

/// Asks for every delivered object and returns how many entries are told: each stream is held against its links, in each log.
async fn told(store: &Store) -> usize {
    let question = Question { standing: Some(Standing::Delivered), ..Question::default() };
    let paging = Paging { after: None, limit: 1_000 };
    let person = Person::of_user(&phi("jdoe"), &store.keys);
    let mut answer = search::search(store, &System, person, &question, paging).await.expect("an answer");
    let mut entries = 0;
    loop {
        let parts = answer.next(store).await.expect("what the views say is what the logs say");
        if parts.is_empty() {
            return entries;
        }
        for part in parts {
            let Part::Stream(rows) = part else { panic!("streams were asked for") };
            assert!(rows.is_sorted_by_key(|row| row.leaf_index), "positions count on from log to log");
            entries += rows.len();
        }
    }
}

/// Cuts a log to its first entries and gives it the head that it had then.
fn cut_log(path: &Path, size: u64) {
    let peek = Peek::open(path).expect("peek");
    let tree = peek.grown(&Frontier::new(), size).expect("the tree of then");
    let connection = rusqlite::Connection::open(path).expect("open");
    let size = i64::try_from(size).expect("small");
    connection.execute("DELETE FROM entries WHERE gseq >= ?", [size]).expect("cut");
    connection.execute("DELETE FROM tags WHERE gseq >= ?", [size]).expect("cut");
    let row = rusqlite::params![size, tree.root().0, tree.to_bytes()];
    connection.execute("UPDATE head SET size = ?, root = ?, frontier = ?", row).expect("head");
}
