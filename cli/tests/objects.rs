//! `medimg verify --objects`: every way in which what lies in a store can differ from its ledger is found, and nothing that a
//! run, a replay, a forgetting, a recovery or a restore leaves is called damage.

#[allow(dead_code)] // Each file of tests uses a part of it.
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Done, Place};

const PASSPHRASE: &str = "correct horse battery staple";

/// A store with the demo's objects, twelve delivered and three refused, and copies of their originals.
struct Processed(Place);

impl Processed {
    fn new() -> Self {
        let place = Place::with_demo();
        assert_eq!(place.run(&["process", "in", "--copy-raw"]).done().code, 1, "three are quarantined");
        Self(place)
    }

    fn run(&self, line: &[&str]) -> Done {
        self.0.run(line).env([("MEDIMG_HEADS", "heads")]).done()
    }

    fn verify(&self) -> Done {
        self.run(&["verify", "--objects", "--json"])
    }

    /// Claims that nothing is found, and returns what is told.
    #[track_caller]
    fn is_sound(&self) -> Value {
        let done = self.verify();
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        done.lines[0]["objects"].clone()
    }

    /// Claims that exactly these are found; each a code, and the path below the store where it stands by an entry.
    #[track_caller]
    fn finds(&self, expected: &[(&str, Option<&Path>)]) {
        let done = self.verify();
        assert_eq!((done.code, done.error().as_str()), (3, "objects_unsound"), "{}{}", done.stdout, done.stderr);
        let found = &done.lines[0]["objects"];
        let mut wanted: Vec<(Value, Value)> = expected
            .iter()
            .map(|(code, path)| ((*code).into(), path.map_or(Value::Null, |path| self.entry_of(path).into())))
            .collect();
        let listed = found["findings"].as_array().expect("a list");
        let mut told: Vec<(Value, Value)> =
            listed.iter().map(|finding| (finding["code"].clone(), finding["leafindex"].clone())).collect();
        wanted.sort_by_key(|(code, at)| (code.to_string(), at.as_u64()));
        told.sort_by_key(|(code, at)| (code.to_string(), at.as_u64()));
        assert_eq!(told, wanted, "{found}");
        let first = wanted.iter().filter_map(|(_, at)| at.as_u64()).min();
        assert_eq!(found["first_bad"].as_u64(), first, "the first bad entry is named");
        assert_eq!(found["findings_count"], wanted.len());
    }

    /// Returns the index of the entry that delivered the object at the path, or received the original whose copy it is.
    fn entry_of(&self, path: &Path) -> u64 {
        let all = self.run(&["history", "--all", "--json"]);
        let name = path.strip_prefix(self.0.store()).expect("below the store").to_str().expect("text").to_owned();
        let is_meant = |entry: &&Value| match name.strip_prefix("processed/") {
            Some(key) => {
                entry["types"][0] == "imaging.instance.delivered.v1" && entry["events"][0]["data"]["key"] == key
            }
            None => {
                entry["types"][0] == "imaging.object.received.v1"
                    && format!("raw/{}.dcm", entry["stream"].as_str().unwrap_or_default()) == name
            }
        };
        let found = all.lines.iter().find(is_meant).expect("an entry names it");
        found["leaf_index"].as_u64().expect("a number")
    }

    fn objects(&self) -> Vec<PathBuf> {
        files(&self.0.store().join("processed"))
    }

    fn copies(&self) -> Vec<PathBuf> {
        files(&self.0.store().join("raw"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort_unstable();
    found
}

fn remark(told: &Value, code: &str) -> u64 {
    let remarks = told["remarks"].as_array().expect("a list");
    remarks.iter().find(|remark| remark["code"] == code).map_or(0, |remark| remark["count"].as_u64().expect("a number"))
}

#[test]
fn a_store_that_was_left_alone_is_sound_and_every_byte_is_read() {
    let store = Processed::new();
    let told = store.is_sound();
    assert_eq!((&told["objects"], &told["copies"]), (&12.into(), &15.into()));
    let all = store.objects().into_iter().chain(store.copies());
    assert_eq!(told["bytes"], all.map(|path| fs::metadata(path).expect("there").len()).sum::<u64>());
    assert_eq!(told["remarks"], serde_json::json!([]));
    let text = store.run(&["verify", "--objects"]);
    assert!(text.stdout.contains("✓ the objects are what the ledger says: 12 processed objects"), "{}", text.stdout);
}

#[test]
fn every_kind_of_damage_to_an_object_is_found_at_the_entry_that_names_it() {
    let store = Processed::new();
    let objects = store.objects();
    let (victim, other) = (&objects[3], &objects[8]);
    let (bytes, others) = (fs::read(victim).expect("read"), fs::read(other).expect("read"));
    assert_ne!(bytes, others);
    let mend = || {
        for (path, bytes) in [(victim, &bytes), (other, &others)] {
            fs::remove_file(path).ok();
            fs::write(path, bytes).expect("written");
        }
        store.is_sound();
    };
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    for damaged in [changed, bytes[..bytes.len() - 1].to_vec(), Vec::new(), [&bytes[..], b"\0"].concat()] {
        fs::write(victim, damaged).expect("written");
        store.finds(&[("object_changed", Some(victim))]);
    }
    mend();
    fs::remove_file(victim).expect("removed");
    store.finds(&[("object_missing", Some(victim))]);
    fs::create_dir(victim).expect("made");
    store.finds(&[("object_foreign", Some(victim))]);
    fs::remove_dir(victim).expect("removed");
    symlink(other, victim).expect("linked");
    store.finds(&[("object_link", Some(victim))]);
    mend();
    // Replaced by another object, swapped with it, and moved to a key that no entry names.
    fs::write(victim, &others).expect("written");
    store.finds(&[("object_changed", Some(victim))]);
    fs::write(other, &bytes).expect("written");
    store.finds(&[("object_changed", Some(victim)), ("object_changed", Some(other))]);
    let told = store.verify().lines[0]["objects"].clone();
    let bytes_of: Vec<_> = told["findings"].as_array().expect("a list").iter().map(|f| &f["bytes_of"]).collect();
    assert!(bytes_of.iter().all(|of| of["leafindex"].is_u64()), "whose bytes they are is told: {told}");
    mend();
    let moved = victim.with_file_name("2.25.7.dcm");
    fs::rename(victim, &moved).expect("moved");
    store.finds(&[("object_missing", Some(victim)), ("object_unknown", None)]);
    fs::rename(&moved, victim).expect("moved");
    store.is_sound();
}

#[test]
fn whatever_lies_among_the_objects_and_is_none_is_found_and_its_name_is_not_told() {
    let store = Processed::new();
    let root = store.0.store().join("processed");
    let object = &store.objects()[0];
    let series = object.parent().expect("a series");
    let foreign: [(&str, &dyn Fn(&Path)); 4] = [
        ("object_foreign", &|path| fs::write(path, b"report").expect("written")),
        ("object_foreign", &|path| fs::create_dir(path).expect("made")),
        ("object_foreign", &|path| symlink("/", path).expect("linked")),
        ("object_foreign", &|path| rustix_fifo(path)),
    ];
    for folder in [root.as_path(), series.parent().expect("a study"), series] {
        for (code, make) in foreign {
            let at = folder.join("Doe^Jane.dcm");
            make(&at);
            store.finds(&[(code, None)]);
            let told = store.run(&["verify", "--objects"]);
            assert!(!told.stdout.contains("Doe") && !told.stderr.contains("Doe"), "{}", told.stdout);
            if at.is_dir() && !at.is_symlink() { fs::remove_dir(&at) } else { fs::remove_file(&at) }.expect("removed");
        }
    }
    // A folder in the place of the folder, and folders of a publication that was cut short.
    fs::create_dir_all(root.join("2.25.1/2.25.2")).expect("made");
    store.is_sound();
    let aside = store.0.path("aside");
    fs::rename(series, &aside).expect("moved");
    let lost: Vec<_> = files(&aside).iter().map(|file| series.join(file.file_name().expect("a name"))).collect();
    let codes: Vec<_> = lost.iter().map(|path| ("object_missing", Some(path.as_path()))).collect();
    store.finds(&codes);
    symlink(&aside, series).expect("linked");
    let linked: Vec<_> = lost.iter().map(|path| ("object_link", Some(path.as_path()))).collect();
    store.finds(&linked.into_iter().chain([("object_foreign", None)]).collect::<Vec<_>>());
}

fn rustix_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo starts");
    assert!(made.success());
}

#[test]
fn copies_of_originals_are_held_against_what_was_received() {
    let store = Processed::new();
    let (copy, other) = (&store.copies()[2], &store.copies()[5]);
    let bytes = fs::read(copy).expect("read");
    fs::write(copy, &bytes[1..]).expect("written");
    store.finds(&[("raw_changed", Some(copy))]);
    fs::write(copy, fs::read(other).expect("read")).expect("written");
    store.finds(&[("raw_changed", Some(copy))]);
    fs::remove_file(copy).expect("removed");
    store.finds(&[("raw_missing", Some(copy))]);
    symlink(other, copy).expect("linked");
    store.finds(&[("raw_foreign", Some(copy))]);
    fs::remove_file(copy).expect("removed");
    fs::write(copy, &bytes).expect("written");
    store.is_sound();
    fs::write(store.0.store().join("raw/Doe^Jane.dcm"), b"new").expect("written");
    store.finds(&[("raw_foreign", None)]);
    fs::remove_file(store.0.store().join("raw/Doe^Jane.dcm")).expect("removed");
    // What a run that was cut short leaves is told, and is no damage.
    for name in ["raw/00112233445566778899aabbccddeeff.dcm", "raw/00112233445566778899aabbccddeeff.part"] {
        fs::write(store.0.store().join(name), b"half").expect("written");
    }
    fs::write(store.0.store().join("staging/00112233445566778899aabbccddeeff-0"), b"half").expect("written");
    let told = store.is_sound();
    assert_eq!((remark(&told, "raw_unexplained"), remark(&told, "staging_unexplained")), (2, 1));
}

#[test]
fn what_may_not_be_read_is_told_as_that() {
    let store = Processed::new();
    let (victim, copy) = (store.objects()[1].clone(), store.copies()[1].clone());
    let (by_object, by_copy) = (store.entry_of(&victim), store.entry_of(&copy));
    for path in [&victim, &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("chmod");
    }
    // Who may read everything is not stopped by a mode: then somebody else asks, who may read all but these two.
    let is_stopped = fs::File::open(&victim).is_err();
    let mut call = std::process::Command::new(env!("CARGO_BIN_EXE_medimg"));
    call.args(["verify", "--objects", "--json", "--store"]).arg(store.0.store()).env_clear();
    if !is_stopped {
        open_up(&store.0.path(""), &[&victim, &copy]);
        let program = store.0.path("medimg");
        fs::copy(env!("CARGO_BIN_EXE_medimg"), &program).expect("copied");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        call = std::process::Command::new(program);
        call.args(["verify", "--objects", "--json", "--store"]).arg(store.0.store()).env_clear();
        call.uid(65_534).gid(65_534);
    }
    let output = call.output().expect("medimg starts");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let told: Value = serde_json::from_str(stdout.lines().next().unwrap_or_else(|| {
        panic!("nothing was told: {}", String::from_utf8_lossy(&output.stderr));
    }))
    .expect("a line of JSON");
    assert_eq!(output.status.code(), Some(3), "{told}");
    let found: Vec<_> = told["objects"]["findings"].as_array().expect("a list").iter().collect();
    let mut codes: Vec<_> = found.iter().map(|f| (f["leafindex"].clone(), f["code"].clone())).collect();
    codes.sort_by_key(|(_, code)| code.to_string());
    let wanted = [(by_object, "object_unreadable"), (by_copy, "raw_unreadable")];
    assert_eq!(codes, wanted.map(|(at, code)| (at.into(), code.into())));
}

/// Lets everybody read below a folder, but for these files.
fn open_up(folder: &Path, but: &[&Path]) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("chmod");
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => open_up(&path, but),
            false if but.contains(&path.as_path()) => {}
            false => fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod"),
        }
    }
}

#[test]
fn a_replay_a_forgetting_and_a_second_run_leave_a_sound_store() {
    let store = Processed::new();
    assert_eq!(store.run(&["process", "in", "--copy-raw"]).code, 1);
    store.is_sound();
    let study = store.0.original_study("in/mr");
    let reason = ["--reason", "asked for"];
    let replayed = store.run(&["replay", "--study", &study, "--step", "deidentification", reason[0], reason[1]]);
    assert!(replayed.code <= 1, "{}", replayed.stderr);
    store.is_sound();
    let copies = store.copies().len();
    let forgotten = store.run(&["forget", &study, "--yes", reason[0], reason[1]]);
    assert_eq!(forgotten.code, 0, "{}", forgotten.stderr);
    assert!(store.copies().len() < copies, "copies were erased");
    assert_eq!(store.is_sound()["copies"], store.copies().len());
    // Forgotten twice over, and processed again: nothing is kept of it again.
    store.run(&["process", "in", "--copy-raw"]);
    assert_eq!(store.is_sound()["copies"], store.copies().len());
    // What another study lost is found all the same.
    let copy = &store.copies()[0];
    let bytes = fs::read(copy).expect("read");
    fs::remove_file(copy).expect("removed");
    store.finds(&[("raw_missing", Some(copy))]);
    fs::write(copy, bytes).expect("written");
    store.is_sound();
}

#[test]
fn a_restored_and_a_recovered_store_are_sound_and_damage_is_found_in_the_log_that_names_it() {
    let store = Processed::new();
    fs::write(store.0.path("pass"), PASSPHRASE).expect("written");
    fs::set_permissions(store.0.path("pass"), fs::Permissions::from_mode(0o600)).expect("chmod");
    let kept = ["--keys-to", "keys.age", "--passphrase-file", "pass"];
    assert_eq!(store.run(&["backup", "-o", "copy", kept[0], kept[1], kept[2], kept[3]]).code, 0);
    let victim = store.objects()[4].clone();
    let entry = store.entry_of(&victim);
    fs::remove_dir_all(store.0.store()).expect("removed");
    let restored = store.run(&["restore", "copy", "--keys", "keys.age", "--passphrase-file", "pass"]);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    store.is_sound();
    assert_eq!(store.run(&["recover", "--reason", "the disk was lost"]).code, 0);
    store.is_sound();
    assert_eq!(store.run(&["process", "in", "--copy-raw"]).code, 1);
    store.is_sound();
    fs::write(&victim, b"rot").expect("written");
    let done = store.verify();
    let found = &done.lines[0]["objects"];
    assert_eq!((done.code, &found["first_bad"]), (3, &entry.into()));
    assert_eq!(found["first_bad_log"], "ledger.0.sqlite", "the entry stands in the log before the recovery");
}

#[test]
fn while_a_run_works_and_after_it_was_killed_nothing_is_called_damage() {
    let place = Place::with_demo();
    let run = |line: &[&str]| place.run(line).env([("MEDIMG_HEADS", "heads")]).done();
    // One worker on many objects: the audit meets it at many points, and so do the kills.
    let (mut audits, mut between) = (0, 0);
    for wait_ms in [40, 70, 110, 160, 220] {
        let call = || place.run(&["process", "in", "--copy-raw", "-j", "1"]).env([("MEDIMG_HEADS", "heads")]);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| call().killed_after(std::time::Duration::from_millis(wait_ms)));
            while !worker.is_finished() {
                if !place.store().join("ledger.sqlite").exists() {
                    continue;
                }
                let done = run(&["verify", "--objects", "--json"]);
                if done.code == 3 || done.code == 0 {
                    let told = done.lines.first().map_or(Value::Null, |line| line["objects"].clone());
                    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
                    between += usize::from(told["objects"].as_u64().is_some_and(|objects| (1..12).contains(&objects)));
                    audits += 1;
                }
            }
        });
        let done = run(&["verify", "--objects", "--json"]);
        assert!(done.code == 0 || done.code == 2, "after a kill: {}{}", done.stdout, done.stderr);
    }
    assert_eq!(run(&["process", "in", "--copy-raw"]).code, 1);
    let done = run(&["verify", "--objects", "--json"]);
    assert_eq!((done.code, &done.lines[0]["objects"]["objects"]), (0, &12.into()), "{}", done.stdout);
    assert!(audits > 0, "an audit met the worker");
    let _ = between;
}
