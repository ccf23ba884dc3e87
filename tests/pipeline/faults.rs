//! What goes wrong around the pipeline: a coded error that says what to do; nothing lost, nothing half written.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use pipeline_tests::medimg::{Place, Ran, files_below, not_run};
use pipeline_tests::objects::Object;
use serde_json::Value;

const TRY_AGAIN: i32 = 75;
const INTEGRITY: i32 = 3;

/// Claims that the run failed with this code, an exit code of the list, and words on what to do next.
#[track_caller]
fn assert_told(run: &Ran, codes: &[&str], exits: &[i32]) -> Value {
    let error = run.error();
    let code = error["code"].as_str().expect("an error has a code").to_owned();
    assert!(codes.contains(&code.as_str()), "told as {code}: {error}");
    assert!(run.code.is_some_and(|exit| exits.contains(&exit)), "exit code {:?} for {code}", run.code);
    assert_eq!(error["exit"].as_i64(), run.code.map(i64::from));
    assert!(error["next"].as_str().is_some_and(|next| next.len() > 10), "it does not say what to do: {error}");
    error
}

/// A store with four delivered slices, and its state.
fn worked_store() -> Place {
    let place = Place::new();
    place.ct_slices(4);
    place.process(&[]).ended(0);
    place
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn keys_and_sources_are_for_their_owner_only() {
    let place = worked_store();
    let keys = files_below(&place.store().join("keys"));
    assert!(keys.len() >= 3, "{:?}", keys.keys());
    for name in keys.keys() {
        assert_eq!(mode_of(&place.store().join("keys").join(name)), 0o600, "keys/{name}");
    }
    assert_eq!(mode_of(&place.store().join("sources.sqlite")), 0o600);
}

#[test]
fn keys_that_others_may_read_are_refused() {
    for (name, mode) in [("stream", 0o644), ("mapping", 0o640), ("index.v1", 0o604)] {
        let place = worked_store();
        let before = place.processed();
        fs::set_permissions(place.store().join("keys").join(name), Permissions::from_mode(mode)).expect("chmod");
        place.input("more.dcm", &Object::ct(7, 700).file());
        assert_told(&place.process(&[]), &["key_permissions"], &[2, INTEGRITY, TRY_AGAIN]);
        assert!(place.processed() == before, "something was delivered under a key that others can read");
        fs::set_permissions(place.store().join("keys").join(name), Permissions::from_mode(0o600)).expect("chmod");
        place.process(&[]).ended(0);
        place.assert_whole();
    }
}

#[test]
fn a_store_of_another_key_is_refused() {
    for name in ["stream", "mapping", "index.v1"] {
        let (place, other) = (worked_store(), worked_store());
        let before = place.processed();
        let (ours, kept) = (place.store().join("keys").join(name), place.root().join("kept"));
        fs::copy(&ours, &kept).expect("kept");
        fs::copy(other.store().join("keys").join(name), &ours).expect("another key");
        place.input("more.dcm", &Object::ct(7, 700).file());
        assert_told(&place.process(&[]), &["key_other"], &[2, INTEGRITY]);
        assert!(place.processed() == before);
        fs::copy(&kept, &ours).expect("put back");
        place.process(&[]).ended(0);
        place.assert_whole();
    }
}

#[test]
fn a_store_that_lost_a_key_makes_no_new_one() {
    let place = worked_store();
    fs::remove_file(place.store().join("keys/mapping")).expect("removed");
    place.input("more.dcm", &Object::ct(7, 700).file());
    assert_told(&place.process(&[]), &["key_missing"], &[2, INTEGRITY]);
    assert!(!place.store().join("keys/mapping").exists(), "a new key under an old ledger is another project");
}

#[test]
fn a_second_worker_on_the_store_is_told_to_wait() {
    let place = worked_store();
    let lock = File::options().write(true).open(place.store().join("lock")).expect("the store has a lock");
    lock.lock().expect("held");
    place.input("more.dcm", &Object::ct(7, 700).file());
    assert_told(&place.process(&[]), &["store_locked"], &[TRY_AGAIN]);
    // Asking is no work: it does not wait for the worker.
    place.run("history", &["--all"]).ended(0);
    place.run("verify", &[] as &[&str]).ended(0);
    drop(lock);
    place.process(&[]).ended(0);
}

#[test]
fn an_unreadable_path_is_counted_apart_and_the_rest_is_delivered() {
    let place = Place::new();
    place.ct_slices(2);
    symlink(place.inputs().join("never.dcm"), place.inputs().join("dangling.dcm")).expect("a link");
    let made = Command::new("mkfifo").arg(place.inputs().join("pipe.dcm")).status();
    assert!(made.expect("mkfifo").success());
    let run = place.process(&[]).ended(1);
    let outcomes: Vec<_> =
        run.by_number().values().map(|item| item["outcome"].as_str().expect("outcome").to_owned()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "delivered").count(), 2, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| matches!(outcome.as_str(), "delivered" | "unreadable")), "{outcomes:?}");
    let received = place.entries().iter().filter(|entry| entry.types() == ["object.received"]).count();
    assert_eq!(received, 2, "what cannot be read has no entry");
    place.assert_whole();
}

#[test]
fn a_file_that_its_owner_alone_may_read_is_unreadable_to_others() {
    const NAME: &str = "a_file_that_its_owner_alone_may_read_is_unreadable_to_others";
    let place = Place::new();
    place.ct_slices(2);
    fs::set_permissions(place.inputs().join("00001.dcm"), Permissions::from_mode(0o000)).expect("chmod");
    fs::set_permissions(place.root(), Permissions::from_mode(0o777)).expect("chmod");
    let run = if is_root() {
        // Root reads everything: somebody else has to try.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(pipeline_tests::medimg::program());
        command.args(["process", "--json", "--store"]).arg(place.store()).arg(place.inputs());
        match command.output() {
            Ok(_) if !everyone_may_run(&pipeline_tests::medimg::program()) => {
                return not_run(NAME, "others cannot reach the program");
            }
            Ok(_) => place.run_command(command),
            Err(_) => return not_run(NAME, "this is root, and setpriv is not installed"),
        }
    } else {
        place.process(&[])
    };
    let items = run.ended(1).by_number();
    assert_eq!((&items[&1]["outcome"], &items[&2]["outcome"]), (&Value::from("delivered"), &Value::from("unreadable")));
}

fn is_root() -> bool {
    let told = Command::new("id").arg("-u").output().expect("id");
    told.stdout.starts_with(b"0\n")
}

fn everyone_may_run(program: &Path) -> bool {
    program.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
}

#[test]
fn a_missing_path_is_told_and_nothing_is_made_of_it() {
    let place = Place::new();
    let run = place.run("process", &["--json".as_ref(), place.inputs().join("Ravenscroft.dcm").as_os_str()]);
    assert!(matches!(run.code, Some(1 | 2)), "{run:?}");
    assert!(!run.stdout.contains("Ravenscroft") && !run.stderr.contains("Ravenscroft"), "{run:?}");
    assert!(place.processed().is_empty());
}

/// Runs over a store that has no room, then with room, and claims that all is delivered in the end.
fn full_then_free(place: &Place, full: Ran, count: usize, codes: &[&str]) {
    assert_told(&full, codes, &[TRY_AGAIN]);
    assert!(!full.stdout.contains("\"failed\":1"), "a full disk is nobody's failure: {}", full.stdout);
    let halfway = place.processed();
    let again = place.process(&[]).ended(0).by_number();
    assert_eq!(again.values().filter(|item| item["outcome"] == "delivered").count(), count);
    for (name, content) in halfway {
        assert!(
            place.processed().get(&name) == Some(&content),
            "what was visible on the full disk was half written: {name}"
        );
    }
    let failed = place.entries().iter().filter(|entry| entry.types() == ["processing.failed"]).count();
    assert_eq!(failed, 0);
    place.assert_whole();
}

/// Objects that need more room than is left for them.
fn large_inputs(place: &Place, count: u32) {
    for number in 0..count {
        let object = Object::ct(1, number).file();
        place.input(&format!("{number:03}.dcm"), &large(&object));
    }
}

/// Adds a second private block's worth of pixels: frames that are delivered, so that the output is large too.
fn large(object: &[u8]) -> Vec<u8> {
    let frames = 200u16;
    let mut bigger = object[..object.len() - pixel_element_length()].to_vec();
    let at = find(&bigger, &[0x28, 0x00, 0x10, 0x00]);
    bigger.splice(at..at, pipeline_tests::objects::text(0x0028, 0x0008, "IS", &frames.to_string()));
    let pixels = Object::ct(1, 1).pixels().repeat(frames.into());
    bigger.extend(pipeline_tests::objects::element(0x7fe0, 0x0010, "OW", &pixels));
    bigger
}

fn pixel_element_length() -> usize {
    Object::ct(1, 1).pixels().len() + 12
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).expect("the element is there")
}

#[test]
fn a_disk_that_fills_up_stops_the_run_and_loses_nothing() {
    const NAME: &str = "a_disk_that_fills_up_stops_the_run_and_loses_nothing";
    let place = Place::new();
    large_inputs(&place, 12);
    fs::create_dir_all(place.store()).expect("a folder");
    let Some(disk) = SmallDisk::mount(&place.store()) else {
        return not_run(NAME, "only root can mount a small file system");
    };
    let full = place.process(&[]);
    disk.resize("200m");
    full_then_free(&place, full, 12, &["disk_full"]);
}

#[test]
fn a_backups_disk_that_fills_up_leaves_no_backup_and_the_next_one_is_whole() {
    const NAME: &str = "a_backups_disk_that_fills_up_leaves_no_backup_and_the_next_one_is_whole";
    let place = Place::new();
    large_inputs(&place, 12);
    place.process(&[]).ended(0);
    let copy = place.root().join("copy");
    fs::create_dir_all(&copy).expect("a folder");
    let Some(disk) = SmallDisk::mount(&copy) else {
        return not_run(NAME, "only root can mount a small file system");
    };
    let to = copy.to_str().expect("text");
    let full = place.run("backup", &["--json", "-o", to]);
    assert_told(&full, &["backup_full"], &[TRY_AGAIN]);
    assert!(!copy.join("manifest.json").exists());
    disk.resize("200m");
    place.run("backup", &["--json", "-o", to]).ended(0);
    place.run("restore", &["--json", "--check", to]).ended(0);
}

/// A file system in memory, 3 MiB at first; unmounted when the test ends, however it ends.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(at).output();
        done.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    fn resize(&self, size: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.0).status();
        assert!(done.expect("mount").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

#[test]
fn files_that_may_not_grow_stop_the_run_and_lose_nothing() {
    let place = Place::new();
    large_inputs(&place, 3);
    // 200 KiB a file: room for the ledger's first pages and not for an object. The signal is ignored, so writes fail.
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(pipeline_tests::medimg::program());
    command.args(["process", "--json", "--store"]).arg(place.store()).arg(place.inputs());
    let limited = place.run_command(command);
    // Whichever file meets the bound first: SQLite does not say that a file may not grow, only that it could not write.
    full_then_free(&place, limited, 3, &["disk_full", "ledger_unknown"]);
}

fn scribbled_over(mut ledger: Vec<u8>) -> Vec<u8> {
    // Two whole pages: less might fall into unused room of a page, where nothing is recorded and nothing is lost.
    let middle = ledger.len() / 2 / 8192 * 8192;
    let end = ledger.len().min(middle + 16_384);
    ledger[middle..end].fill(0xa5);
    ledger
}

fn cut_in_half(mut ledger: Vec<u8>) -> Vec<u8> {
    ledger.truncate(ledger.len() / 2);
    ledger
}

#[test]
fn a_damaged_ledger_is_told_and_left_as_it_is() {
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] =
        [scribbled_over, cut_in_half, |_| Vec::new(), |_| b"no ledger at all".repeat(900)];
    for (number, damage) in damages.iter().enumerate() {
        let place = worked_store();
        let path = place.store().join("ledger.sqlite");
        let damaged = damage(fs::read(&path).expect("the ledger"));
        fs::write(&path, &damaged).expect("damaged");
        let before = place.processed();
        place.run("verify", &["--json"]).ended(INTEGRITY);
        assert!(fs::read(&path).expect("the ledger") == damaged, "damage {number}: verify wrote to the ledger");
        place.input("more.dcm", &Object::ct(7, 700).file());
        let run = place.process(&[]);
        assert_eq!(run.code, Some(INTEGRITY), "damage {number}: {}{}", run.stdout, run.stderr);
        assert_eq!(run.error()["exit"], INTEGRITY, "damage {number}: {}", run.error());
        assert!(place.processed() == before, "damage {number}: work went on over a damaged ledger");
    }
}

#[test]
fn a_damaged_map_of_sources_is_told() {
    let place = worked_store();
    fs::write(place.store().join("sources.sqlite"), b"not a database either".repeat(400)).expect("damaged");
    place.input("more.dcm", &Object::ct(7, 700).file());
    let run = place.process(&[]);
    let error = run.error();
    assert!(error["code"].as_str().is_some_and(|code| code.starts_with("sources_")), "{error}");
    assert_eq!(place.processed().len(), 4);
}

#[test]
fn a_folder_where_no_store_is_answers_no_question() {
    let place = Place::new();
    for verb in ["verify", "history", "export"] {
        let run = match verb {
            "history" => place.run(verb, &["--all", "--json"]),
            "export" => place.run(verb, &["-o", "x", "--json"]),
            _ => place.run(verb, &["--json"]),
        };
        assert!(matches!(run.code, Some(2 | INTEGRITY | TRY_AGAIN)), "{verb}: {run:?}");
        assert_told(&run, &["store_missing"], &[2, INTEGRITY, TRY_AGAIN]);
        assert!(!place.store().exists(), "{verb} made a store");
    }
}
