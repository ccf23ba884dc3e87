//! A disk that fills up at every write and fails at every fsync: told with a code, nothing half written, nothing lost. And
//! what must be durable before what: an output before the entry that names it, that entry before the output is visible.
//!
//! A small C library, made here, stands between the program and its calls to the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline_tests::medimg::{Place, Ran, files_below, not_run};
use pipeline_tests::objects::Object;
use pipeline_tests::random::count_from;

use crate::faults::{SmallDisk, assert_told};

const TRY_AGAIN: i32 = 75;
/// So many KiB more of disk in each turn: a page, the least that a write can be short of.
const STEP_KIB: usize = 4;
/// A store of the few objects below takes less.
const ROOM_KIB_MAX: usize = 4_096;
/// More calls than a run of the few objects makes.
const SYNCS_MAX: usize = 400;

/// Few objects, of which one is delivered, one is there already, one conflicts and one is refused.
fn few_objects(place: &Place) {
    let slice = Object::ct(1, 1);
    place.input("1.dcm", &Object { ballast: 40_000, ..slice.clone() }.file());
    place.input("2-same.dcm", &Object { ballast: 40_000, ..slice.clone() }.file());
    place.input("3-conflict.dcm", &Object { shade: 5, ..slice }.file());
    place.input("4-cut.dcm", &Object::ct(2, 2).file()[..900]);
    place.input("5.dcm", &Object::ct(2, 3).file());
}

/// Claims that a run after the trouble ends everything as it must, and that what was visible before stays as it was.
fn assert_recovers(place: &Place, when: &str) {
    let before = place.processed();
    let run = place.process(&[]);
    assert_eq!(run.code, Some(1), "{when}: {}{}", run.stdout, run.stderr);
    let items = run.by_number();
    let told: Vec<_> = items.values().map(|item| item["outcome"].as_str().expect("an outcome").to_owned()).collect();
    assert_eq!(told, ["delivered", "delivered", "quarantined", "quarantined", "delivered"], "{when}");
    assert_eq!(items[&3]["reason"], "dup_conflict", "{when}: the lowest is delivered");
    let after = place.processed();
    assert_eq!(after.len(), 2, "{when}");
    assert!(
        before.iter().all(|(name, content)| after.get(name) == Some(content)),
        "{when}: an output was half written"
    );
    let failed = place.entries().iter().filter(|entry| entry.types() == ["processing.failed"]).count();
    assert_eq!(failed, 0, "{when}: the disk is nobody's failure");
    place.assert_whole();
}

/// Claims that a run either ended as it must or said, with a code and what to do, that it is to be tried again.
fn assert_ended_or_told(run: &Ran, codes: &[&str], when: &str) -> bool {
    if run.code == Some(1) && !run.stderr.contains("{\"error\"") {
        return true;
    }
    assert_eq!(run.code, Some(TRY_AGAIN), "{when}: {}{}", run.stdout, run.stderr);
    assert_told(run, codes, &[TRY_AGAIN]);
    false
}

#[test]
fn a_disk_that_is_full_at_any_write_is_told_and_loses_nothing() {
    const NAME: &str = "a_disk_that_is_full_at_any_write_is_told_and_loses_nothing";
    let step = count_from("MEDIMG_DISK_STEP_KIB", STEP_KIB);
    let (mut room, mut full) = (step, 0);
    while room < ROOM_KIB_MAX {
        let place = Place::new();
        few_objects(&place);
        fs::create_dir_all(place.store()).expect("a folder");
        let Some(disk) = SmallDisk::mount(&place.store()) else {
            return not_run(NAME, "only root can mount a small file system");
        };
        disk.resize(&format!("{room}k"));
        let (run, when) = (place.process(&[]), format!("room for {room} KiB"));
        // SQLite does not say that its shared memory found no room, only that it could not be made larger.
        let ended =
            assert_ended_or_told(&run, &["disk_full", "ledger_unavailable", "ledger_unknown", "sources_io"], &when);
        disk.resize("200m");
        assert_recovers(&place, &when);
        if ended {
            break;
        }
        full += 1;
        room += step;
    }
    assert!(full > 3 && room < ROOM_KIB_MAX, "the disk was full {full} times, and {room} KiB were room enough");
    say(&format!("the disk was full {full} times, each {step} KiB later; {room} KiB are room enough"));
}

/// The library between the program and the disk.
struct Shim(PathBuf);

impl Shim {
    /// Makes the library; `None` without a C compiler.
    fn make(at: &Path) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/disk_shim.c");
        let library = at.join("disk_shim.so");
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").output();
        let made = made.ok()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(Self(library))
    }

    /// Processes the inputs; the `fail_at`-th sync of a file or folder fails, from 1. Returns the run and the calls.
    fn process(&self, place: &Place, fail_at: usize) -> (Ran, Vec<String>) {
        let log = place.root().join("calls");
        fs::remove_file(&log).ok();
        let mut command = place.command("process", &["--json"]);
        command.arg(place.inputs()).env("LD_PRELOAD", &self.0).env("DISK_SHIM_LOG", &log);
        command.env("DISK_SHIM_FAIL_AT", fail_at.to_string());
        let run = place.run_command(command);
        let calls = fs::read_to_string(&log).unwrap_or_default();
        (run, calls.lines().map(str::to_owned).collect())
    }
}

#[test]
fn whichever_sync_fails_is_told_and_loses_nothing() {
    const NAME: &str = "whichever_sync_fails_is_told_and_loses_nothing";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = Shim::make(folder.path()) else { return not_run(NAME, "there is no C compiler") };
    let (mut failed, mut stopped) = (0, 0);
    for fail_at in 1..SYNCS_MAX {
        let place = Place::new();
        few_objects(&place);
        let (run, calls) = shim.process(&place, fail_at);
        let when = format!("sync {fail_at} fails");
        let Some(call) = calls.iter().find(|call| call.starts_with("fail ")) else {
            assert!(calls.len() > 20, "the library stands between the program and the disk: {calls:?}");
            assert_recovers(&place, &when);
            say(&format!("each of {failed} syncs failed once; {stopped} runs stopped with 75"));
            return assert!(failed > 20 && stopped > 10, "{failed} syncs, {stopped} stops");
        };
        failed += 1;
        let codes = ["store_io", "ledger_unknown", "ledger_unavailable", "sources_io", "disk_full"];
        stopped += usize::from(!assert_ended_or_told(&run, &codes, &format!("{when}: {call}")));
        assert_recovers(&place, &format!("{when}: {call}"));
    }
    panic!("a run of five objects syncs more than {SYNCS_MAX} times");
}

/// Returns the place of the first call after `from` that `is` wanted.
fn next(calls: &[String], from: usize, what: &str, is: impl Fn(&str) -> bool) -> usize {
    let found = calls.iter().skip(from).position(|call| is(call));
    from + found.unwrap_or_else(|| panic!("no {what} after call {from} of {calls:#?}")) + 1
}

#[test]
fn an_output_is_durable_before_it_is_named_and_named_before_it_is_visible() {
    const NAME: &str = "an_output_is_durable_before_it_is_named_and_named_before_it_is_visible";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = Shim::make(folder.path()) else { return not_run(NAME, "there is no C compiler") };
    let place = Place::new();
    place.input("1.dcm", &Object::ct(1, 1).file());
    let (run, calls) = shim.process(&place, 0);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let is_ledger = |call: &str| call.starts_with("sync ") && call.contains("/ledger.sqlite-wal");
    let at = next(&calls, 0, "write of the object's place", |call| {
        call.starts_with("sync ") && call.contains("/sources.sqlite-wal")
    });
    let at = next(&calls, at, "entry that it was received", is_ledger);
    let at =
        next(&calls, at, "sync of the staged file", |call| call.starts_with("sync ") && call.contains("/staging/"));
    let at =
        next(&calls, at, "name of the whole stage", |call| call.starts_with("rename ") && call.contains("/staging/"));
    let at = next(&calls, at, "entry that names the output", is_ledger);
    let at = next(&calls, at, "link", |call| call.starts_with("link ") && call.contains("/processed/"));
    let at = next(&calls, at, "sync of the folder", |call| call.starts_with("sync ") && call.contains("/processed/"));
    let at = next(&calls, at, "entry that it is delivered", is_ledger);
    next(&calls, at, "end of the stage", |call| call.starts_with("unlink ") && call.contains("/staging/"));
    let made = calls.iter().filter(|call| call.starts_with("mkdir ") && call.contains("/processed/")).count();
    assert_eq!(made, 2, "study and series: {calls:#?}");
    for (at, call) in
        calls.iter().enumerate().filter(|(_, call)| call.starts_with("mkdir ") && call.contains("/processed/"))
    {
        let above = call["mkdir ".len()..].rsplit_once('/').expect("a path").0;
        next(&calls, at, "sync of the folder above a new one", |call| call == format!("sync {above}"));
    }
    assert_eq!(files_below(&place.store().join("processed")).len(), 1);
}

/// Prints a figure for `./test`, which shows what tests print.
#[expect(clippy::print_stderr, reason = "a figure of the test itself")]
fn say(line: &str) {
    eprintln!("{line}");
}
