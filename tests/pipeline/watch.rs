//! A watched folder: what is complete comes in once, whatever the surroundings do; nothing outside the folder is read.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pipeline_tests::medimg::{Place, Ran};
use pipeline_tests::objects::Object;
use serde_json::Value;

/// Nothing that is waited for here takes longer on a machine that works at all.
const PATIENCE: Duration = Duration::from_secs(40);
const QUICK: [&str; 4] = ["--settle", "100ms", "--rescan", "200ms"];

/// A watch that goes on beside the test; killed with it.
struct Watching<'p> {
    place: &'p Place,
    child: Child,
}

impl<'p> Watching<'p> {
    fn begin(place: &'p Place, flags: &[&str]) -> Self {
        Self::begin_with(place, flags, &[])
    }

    fn begin_with(place: &'p Place, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = place.command("watch", &["--json"]);
        command.args(flags).arg(place.inputs());
        let stream = |name| File::create(place.root().join(name)).expect("a file for what is told");
        command.stdout(stream("told")).stderr(stream("noted")).env("MEDIMG_IN_FLIGHT_MAX", "128");
        command.envs(variables.iter().copied());
        Self { place, child: command.spawn().expect("the program starts") }
    }

    /// The lines that are whole by now.
    fn told(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.place.root().join("told")).expect("told");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn delivered(&self) -> usize {
        self.told().iter().filter(|line| line["outcome"] == "delivered" && line["repeated"] == false).count()
    }

    fn has_news(&self, what: &str) -> bool {
        self.told().iter().any(|line| line["watch"] == what)
    }

    #[track_caller]
    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            let ended = self.child.try_wait().expect("a child");
            let noted = fs::read_to_string(self.place.root().join("noted")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{what}: {ended:?} {:?} {noted}", self.told());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the watch to end and returns its exit code.
    fn ended(mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.expect("kill").success());
        self.child.wait().expect("a child").code()
    }

    fn killed(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("a child");
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        // It may have ended: then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Takes in what is complete now.
fn once(place: &Place, flags: &[&str]) -> Ran {
    let mut command = place.command("watch", &["--json", "--once", "--settle", "50ms"]);
    command.args(flags).arg(place.inputs()).stdout(Stdio::piped());
    place.run_command(command)
}

/// Streams with an entry of this type.
fn count(place: &Place, event: &str) -> usize {
    place.entries().iter().filter(|entry| entry.types().contains(&event)).count()
}

#[test]
fn a_file_written_in_slow_pieces_is_taken_in_once_and_whole_and_never_while_it_grows() {
    let place = Place::new();
    let mut watching = Watching::begin(&place, &["--settle", "400ms", "--rescan", "100ms"]);
    let slow = Object { ballast: 5_000, ..Object::ct(1, 1) }.file();
    let mut file = File::create(place.inputs().join("slow.dcm")).expect("a file");
    let mut growing = File::create(place.inputs().join("growing.dcm")).expect("a file");
    growing.write_all(&Object::ct(2, 2).file()).expect("written");
    for piece in slow.chunks(slow.len().div_ceil(20)) {
        file.write_all(piece).expect("written");
        growing.write_all(&[0]).expect("written");
        thread::sleep(Duration::from_millis(80));
    }
    watching.wait_until("the slow file is delivered", |watching| {
        (&growing).write_all(&[0]).expect("written");
        watching.delivered() == 1
    });
    assert_eq!(count(&place, "object.received"), 1, "the growing file was taken in while it grew");
    drop(growing);
    watching.wait_until("the other has an end", |watching| {
        watching.told().iter().filter(|line| line.get("outcome").is_some()).count() == 2
    });
    assert_eq!(watching.ended(), Some(0));
    let received: Vec<_> = place.entries().into_iter().filter(|entry| entry.types() == ["object.received"]).collect();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|entry| entry.body[0]["data"]["intake"] == "watch"), "{received:?}");
    assert_eq!(received[0].body[0]["data"]["size_bytes"], slow.len());
    place.assert_whole();
}

#[test]
fn a_file_that_is_renamed_in_is_complete_at_once_and_a_temporary_name_waits() {
    let place = Place::new();
    let mut watching = Watching::begin(&place, &["--settle", "10m", "--rescan", "1h"]);
    watching.wait_until("it watches", |watching| watching.has_news("scanned"));
    place.input("one.dcm.part", &Object::ct(1, 1).file());
    place.input(".two.dcm", &Object::ct(1, 2).file());
    fs::write(place.root().join("three.dcm"), Object::ct(1, 3).file()).expect("written");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(watching.delivered(), 0);
    for (from, to) in [("in/one.dcm.part", "in/one.dcm"), ("in/.two.dcm", "in/two.dcm"), ("three.dcm", "in/three.dcm")]
    {
        fs::rename(place.root().join(from), place.root().join(to)).expect("renamed");
    }
    watching.wait_until("all three are delivered", |watching| watching.delivered() == 3);
    assert_eq!(watching.ended(), Some(0));
    place.assert_whole();
}

#[test]
fn without_notifications_scans_find_everything_and_a_restart_knows_what_it_has() {
    let place = Place::new();
    let mut watching = Watching::begin(&place, &[&QUICK[..], &["--scan-only"]].concat());
    for number in 0..20 {
        place.input(&format!("{}/{number}.dcm", number % 3), &Object::ct(1, number).file());
    }
    let hour = Duration::from_secs(3_600);
    for (name, time) in [("0/0.dcm", SystemTime::now() + hour), ("1/1.dcm", SystemTime::now() - hour)] {
        let file = OpenOptions::new().write(true).open(place.inputs().join(name)).expect("a file");
        file.set_modified(time).expect("its time is set");
    }
    watching.wait_until("all are delivered", |watching| watching.delivered() == 20);
    assert_eq!(watching.ended(), Some(0));
    let again = once(&place, &[]).ended(0);
    let scanned = again.lines().into_iter().find(|line| line["watch"] == "scanned").expect("a scan");
    assert_eq!((scanned["files"].as_u64(), scanned["known"].as_u64()), (Some(20), Some(20)), "they were read again");
    assert!(again.items().is_empty());
    place.assert_whole();
}

#[test]
fn killed_and_started_again_while_files_come_every_file_ends_once() {
    const FILES: u32 = 500;
    let place = Place::new();
    let flags = ["--settle", "30ms", "--rescan", "100ms"];
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..FILES {
                place.input(&format!("{:02}/{number}.dcm", number % 7), &Object::ct(number / 4, number).file());
                thread::sleep(Duration::from_millis(6));
            }
        });
        for life in 0..5_u64 {
            let watching = Watching::begin(&place, &flags);
            thread::sleep(Duration::from_millis(400 + 130 * life));
            watching.killed();
        }
    });
    let mut watching = Watching::begin(&place, &flags);
    watching.wait_until("all are there", |_| place.processed().len() == FILES as usize);
    assert_eq!(watching.ended(), Some(0));
    once(&place, &[]).ended(0);
    assert_eq!(count(&place, "object.received"), FILES as usize);
    assert_eq!(count(&place, "instance.delivered"), FILES as usize, "each ended once");
    place.assert_whole();
}

#[test]
fn nothing_outside_the_folder_is_read_however_links_are_swapped() {
    const SWAPS: u32 = 1_000;
    const FILES: u32 = 100;
    let place = Place::new();
    let (outside, parked, sub) =
        (place.root().join("outside"), place.root().join("parked"), place.inputs().join("sub"));
    fs::create_dir(&outside).expect("a folder");
    fs::create_dir(&sub).expect("a folder");
    fs::write(outside.join("canary.dcm"), Object::ct(666, 666).file()).expect("the canary");
    for number in 0..FILES {
        fs::hard_link(outside.join("canary.dcm"), outside.join(format!("{number}.dcm"))).expect("the same, elsewhere");
    }
    symlink(&outside, place.inputs().join("folder")).expect("a link");
    symlink(outside.join("canary.dcm"), place.inputs().join("file.dcm")).expect("a link");
    let mut watching = Watching::begin(&place, &["--settle", "10ms", "--rescan", "50ms"]);
    for swap in 0..SWAPS {
        fs::rename(&sub, &parked).expect("taken away");
        symlink(&outside, &sub).expect("a link in its place");
        thread::sleep(Duration::from_micros(u64::from(swap % 7) * 300));
        fs::remove_file(&sub).expect("the link goes");
        if swap % (SWAPS / FILES) == 0 {
            // A new file all the time, so that one is due at any moment; outside there is one of the same name.
            let number = swap / (SWAPS / FILES);
            fs::write(parked.join(format!("{number}.dcm")), Object::ct(1, number).file()).expect("written");
        }
        fs::rename(&parked, &sub).expect("put back");
        thread::sleep(Duration::from_micros(u64::from(swap % 5) * 900));
    }
    let in_the_race = watching.delivered();
    watching.wait_until("those inside are delivered", |watching| watching.delivered() == FILES as usize);
    assert_eq!(watching.ended(), Some(0));
    assert_eq!(count(&place, "object.received"), FILES as usize, "something outside was read");
    assert_eq!(place.processed().len(), FILES as usize);
    assert!(in_the_race > 20, "only {in_the_race} files were opened in the race: little was shown");
    place.assert_whole();
}

#[test]
fn a_second_watch_on_the_store_is_told_to_wait() {
    let place = Place::new();
    let mut watching = Watching::begin(&place, &QUICK);
    watching.wait_until("it watches", |watching| watching.has_news("scanned"));
    let second = once(&place, &[]).ended(75);
    assert_eq!(second.error()["code"], "store_locked");
    assert_eq!(watching.ended(), Some(0));
}

#[test]
fn asked_to_end_with_a_hundred_in_flight_it_ends_them_all() {
    let place = Place::new();
    let mut watching = Watching::begin(&place, &QUICK);
    place.ct_slices(400);
    watching.wait_until("many are on their way", |watching| watching.delivered() > 20);
    assert_eq!(watching.ended(), Some(0));
    let received = count(&place, "object.received");
    assert!(
        (21..400).contains(&received),
        "{received} were received: the end came too early or too late to show anything"
    );
    assert_eq!(count(&place, "instance.delivered"), received, "an object in flight was let go");
    place.assert_whole();
    once(&place, &[]).ended(0);
    assert_eq!((count(&place, "object.received"), place.processed().len()), (400, 400));
}

#[test]
fn a_folder_that_vanishes_is_told_and_the_watch_goes_on_when_it_returns() {
    let place = Place::new();
    let away = place.root().join("away");
    let mut watching = Watching::begin(&place, &QUICK);
    watching.wait_until("it watches", |watching| watching.has_news("scanned"));
    fs::rename(place.inputs(), &away).expect("taken away");
    watching.wait_until("it is told", |watching| watching.has_news("folder_gone"));
    fs::write(away.join("new.dcm"), Object::ct(1, 1).file()).expect("written");
    fs::rename(&away, place.inputs()).expect("put back");
    watching.wait_until("it is delivered", |watching| watching.delivered() == 1 && watching.has_news("folder_back"));
    place.input("later.dcm", &Object::ct(1, 2).file());
    watching.wait_until("it goes on", |watching| watching.delivered() == 2);
    assert_eq!(watching.ended(), Some(0));
    fs::remove_dir_all(place.inputs()).expect("removed");
    assert_eq!(once(&place, &[]).ended(2).error()["code"], "watch_folder");
}

#[test]
fn files_that_may_not_grow_stop_the_watch_and_lose_nothing() {
    let place = Place::new();
    for number in 0..3 {
        place.input(&format!("{number}.dcm"), &Object { ballast: 300_000, ..Object::ct(1, number) }.file());
    }
    // 200 KiB a file: room for the ledger's first pages and not for an object. The signal is ignored, so writes fail.
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(pipeline_tests::medimg::program());
    command.args(["watch", "--json", "--settle", "50ms", "--store"]).arg(place.store()).arg(place.inputs());
    let limited = place.run_command(command).ended(75);
    let code = limited.error()["code"].as_str().expect("a code").to_owned();
    assert!(["disk_full", "ledger_unknown"].contains(&code.as_str()), "{code}");
    once(&place, &[]).ended(0);
    assert_eq!((count(&place, "object.received"), place.processed().len()), (3, 3));
    place.assert_whole();
}

#[test]
fn the_store_inside_the_folder_is_left_out_and_a_folder_inside_the_store_is_refused() {
    let place = Place::new();
    place.ct_slices(3);
    let watch = |folder: &Path, flags: &[&str]| {
        let mut command = place.command("watch", &["--json", "--once", "--settle", "50ms"]);
        command.args(flags).arg(folder);
        place.run_command(command)
    };
    watch(place.root(), &["--copy-raw"]).ended(0);
    watch(place.root(), &["--copy-raw"]).ended(0);
    assert_eq!(count(&place, "object.received"), 3, "the store's own files were taken in");
    for folder in [place.store(), place.store().join("raw")] {
        assert_eq!(watch(&folder, &[]).ended(2).error()["code"], "watch_in_store");
    }
}

#[test]
fn pipes_block_nothing_and_one_pass_tells_how_its_objects_ended() {
    let place = Place::new();
    place.ct_slices(2);
    place.input("cut.dcm", &Object::ct(9, 9).file()[..700]);
    let made = Command::new("mkfifo").arg(place.inputs().join("pipe.dcm")).status();
    assert!(made.expect("mkfifo").success());
    let run = once(&place, &[]).ended(1);
    let scanned = run.lines().into_iter().find(|line| line["watch"] == "scanned").expect("a scan");
    assert_eq!((scanned["files"].as_u64(), scanned["special"].as_u64()), (Some(3), Some(1)));
    let summary = run.lines().last().expect("a summary")["summary"].clone();
    assert_eq!((summary["delivered"].as_u64(), summary["quarantined"].as_u64()), (Some(2), Some(1)));
    once(&place, &[]).ended(0);
    place.assert_whole();
}

#[test]
fn a_study_to_which_nothing_comes_is_complete_while_the_watch_goes_on() {
    let place = Place::new();
    place.input("one.dcm", &Object::ct(1, 1).file());
    let mut watching = Watching::begin_with(&place, &QUICK, &[("MEDIMG_STUDY_IDLE_MS", "1")]);
    watching.wait_until("the object is delivered", |watching| watching.delivered() == 1);
    watching.wait_until("the study is complete", |watching| count(watching.place, "study.completed") == 1);
    assert_eq!(watching.ended(), Some(0));
    place.assert_whole();
}

#[test]
fn while_nothing_comes_the_watch_says_that_the_log_lives_and_each_time_what_it_said_is_sealed() {
    let place = Place::new();
    place.input("one.dcm", &Object::ct(1, 1).file());
    let mut watching = Watching::begin_with(&place, &QUICK, &[("MEDIMG_HEARTBEAT_IDLE_MS", "500")]);
    watching.wait_until("the object is delivered", |watching| watching.delivered() == 1);
    // The second comes only when the first is sealed.
    watching.wait_until("the log lives", |watching| count(watching.place, "ledger.heartbeat") >= 2);
    assert_eq!(watching.ended(), Some(0));
    place.assert_whole();
}
