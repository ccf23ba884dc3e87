//! `medimg verify` in the hands of somebody outside, who holds a copy of the store, a checkpoint and the key of the log.

#[allow(dead_code)] // Each file of tests uses its part of it.
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use support::{Done, Place};

/// A store that was worked with; its checkpoint and the key of its log lie beside it.
fn processed() -> Place {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in/ct").done().code, 0);
    keep(&place, "held");
    let key = place.run(&["checkpoint", "--vkey"]).done();
    fs::write(place.path("key"), key.stdout).expect("written");
    place
}

/// Keeps the newest checkpoint under a name.
fn keep(place: &Place, name: &str) {
    let done = place.run(&["checkpoint"]).done();
    assert_eq!(done.code, 0, "{}", done.stderr);
    fs::write(place.path(name), done.stdout).expect("written");
}

fn copy(place: &Place, from: &str, to: &str) {
    let done = Command::new("cp").arg("-r").args([place.path(from), place.path(to)]).status();
    assert!(done.expect("cp").success());
}

fn verify(place: &Place, line: &[&str]) -> Done {
    place.run(&[&["verify", "--json"], line].concat()).done()
}

fn codes(done: &Done) -> Vec<&str> {
    let findings = done.lines[0]["findings"].as_array().expect("findings");
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}

/// Every file and folder below, with bytes and time of change.
fn state(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let (path, meta) = entry.map(|entry| (entry.path(), entry.metadata())).expect("an entry");
        let changed = meta.expect("metadata").modified().expect("a time");
        if path.is_dir() {
            found.extend(state(&path));
        }
        found.insert(path.clone(), (fs::read(&path).unwrap_or_default(), changed));
    }
    found
}

#[test]
fn a_copied_folder_without_keys_is_verified_against_a_checkpoint_and_nothing_of_it_changes() {
    let place = processed();
    copy(&place, "store", "copied");
    fs::remove_dir_all(place.path("copied/keys")).expect("removed");
    fs::remove_file(place.path("copied/sources.sqlite")).expect("removed");
    let before = state(&place.path("copied"));
    for more in [&[][..], &["--headers"]] {
        let line = [&["--store", "copied", "--checkpoint", "held", "--vkey", "key"], more].concat();
        let done = verify(&place, &line);
        assert_eq!(done.code, 0, "{more:?}: {}{}", done.stdout, done.stderr);
        let given = &done.lines[0]["sealed"][0]["checkpoints"][0];
        assert_eq!((&given["agrees"], &given["believed"]), (&true.into(), &true.into()), "{more:?}");
    }
    assert_eq!(before, state(&place.path("copied")), "a verification writes nothing");
}

#[test]
fn a_store_that_was_put_back_is_found_by_a_checkpoint_that_was_kept() {
    let place = processed();
    copy(&place, "store", "old");
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0);
    keep(&place, "newer");
    let size = verify(&place, &["--store", "old"]).lines[0]["entries"].as_u64().expect("entries");
    let done = verify(&place, &["--store", "old", "--checkpoint", "newer", "--vkey", "key"]);
    assert_eq!((done.code, codes(&done)), (3, vec!["checkpoint_beyond"]), "{}", done.stderr);
    assert_eq!(done.lines[0]["first_bad"], size, "the first entry that is not there");
    // The older checkpoint is one of this log too.
    let done = verify(&place, &["--checkpoint", "held", "--checkpoint", "newer", "--vkey", "key"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn a_checkpoint_of_another_log_or_under_another_key_is_not_believed() {
    let (place, other) = (processed(), processed());
    for file in ["held", "key"] {
        fs::copy(other.path(file), place.path(&format!("other-{file}"))).expect("copied");
    }
    let of_another = verify(&place, &["--checkpoint", "other-held", "--vkey", "key"]);
    assert_eq!(of_another.code, 3, "{}", of_another.stdout);
    let by_another = verify(&place, &["--checkpoint", "held", "--vkey", "other-key"]);
    assert_eq!(by_another.code, 3, "{}", by_another.stdout);
    assert!(codes(&by_another).contains(&"checkpoint_signature"), "{:?}", codes(&by_another));
}

#[test]
fn a_published_log_by_itself_is_verified_and_a_changed_byte_is_found_in_every_file() {
    let place = processed();
    let files: Vec<_> = state(&place.path("store/log/0/tile")).into_keys().filter(|path| path.is_file()).collect();
    assert!(files.len() >= 2, "{files:?}");
    copy(&place, "store/log/0", "log");
    let line = ["--log", "log", "--checkpoint", "held", "--vkey", "key"];
    let done = verify(&place, &line);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let published = fs::read_to_string(place.path("log/checkpoint")).expect("a note");
    let size = published.lines().nth(1).expect("a size").to_owned();
    // Files of earlier checkpoints are not what the newest one needs; their bytes are judged against it all the same.
    for file in files.iter().filter(|file| file.ends_with(&size)) {
        let path = place.path("log/tile").join(file.strip_prefix(place.path("store/log/0/tile")).expect("below"));
        let whole = fs::read(&path).expect("read");
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        fs::write(&path, &changed).expect("written");
        let done = verify(&place, &line);
        assert_eq!(done.code, 3, "{}", path.display());
        assert!(done.lines[0]["first_bad"].is_u64(), "{}", done.stdout);
        fs::write(&path, &whole).expect("written");
    }
    assert_eq!(verify(&place, &line).code, 0);
}

#[test]
fn a_quorum_without_witnesses_is_a_mistake_of_the_command_line() {
    let place = processed();
    assert_eq!(verify(&place, &["--checkpoint", "held", "--vkey", "key", "--quorum", "1"]).code, 2);
    assert_eq!(verify(&place, &["--checkpoint", "no-such-file", "--vkey", "key"]).code, 2);
    assert_eq!(verify(&place, &["--checkpoint", "held", "--vkey", "no+such+key"]).code, 2);
}

#[test]
fn a_trigger_under_a_name_that_sqlite_keeps_for_itself_is_found_and_nothing_is_appended_beside_it() {
    let place = processed();
    place.sql(
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES \
         ('trigger', 'sqlite_t', 'tags', 0, 'CREATE TRIGGER sqlite_t AFTER INSERT ON tags BEGIN DELETE FROM tags; END')",
    );
    let done = verify(&place, &["--checkpoint", "held", "--vkey", "key"]);
    assert_eq!((done.code, codes(&done)), (3, vec!["schema"]), "{}", done.stdout);
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 3);
}

#[test]
fn a_rollback_journal_beside_the_ledger_is_refused_by_whoever_reads_and_whoever_would_play_it_in() {
    let place = processed();
    let journal = place.path("store/ledger.sqlite-journal");
    fs::write(&journal, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 and pages of somebody else").expect("written");
    for line in [&["verify"][..], &["checkpoint"], &["history", "--all"]] {
        assert_eq!(place.run(line).done().code, 3, "{line:?}");
        assert!(journal.exists(), "{line:?} leaves what it refuses");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_published_file_keeps_nobody_waiting() {
    for name in ["log/0/checkpoint", "log/vkeys"] {
        let place = processed();
        let path = place.path("store").join(name);
        fs::remove_file(&path).expect("removed");
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
        assert_ne!(verify(&place, &["--checkpoint", "held", "--vkey", "key"]).code, 0, "{name}");
    }
}

#[test]
fn a_store_whose_ledger_is_gone_is_not_taken_for_a_published_log() {
    let place = processed();
    for name in ["checkpoint", "tile"] {
        fs::rename(place.path("store/log/0").join(name), place.path("store").join(name)).expect("moved");
    }
    fs::remove_file(place.path("store/ledger.sqlite")).expect("removed");
    assert_eq!(place.run(&["verify", "--checkpoint", "held", "--vkey", "key"]).done().code, 3);
}

#[test]
fn a_log_before_a_recovery_that_was_taken_away_is_missed() {
    let place = processed();
    let heads = ["--heads", "heads"];
    let with_heads = |line: &[&str]| place.run(&[line, &heads[..]].concat()).done();
    assert_eq!(with_heads(&["history", "--all"]).code, 0);
    copy(&place, "store", "old");
    assert_eq!(with_heads(&["history", "--all"]).code, 0);
    fs::remove_dir_all(place.store()).expect("removed");
    fs::rename(place.path("old"), place.store()).expect("put back");
    assert_eq!(with_heads(&["recover", "--reason", "the disk was lost"]).code, 0);
    let sound = verify(&place, &["--vkey", "key"]);
    assert_eq!(sound.code, 0, "{}{}", sound.stdout, sound.stderr);
    place.sql("DELETE FROM meta WHERE name = 'past'");
    for more in [&[][..], &["--headers"]] {
        let done = verify(&place, &[&["--vkey", "key"], more].concat());
        assert_eq!((done.code, codes(&done)), (3, vec!["step_order"]), "{more:?}: {}", done.stdout);
    }
}

#[test]
fn a_key_of_another_log_is_not_a_key_of_this_one() {
    let place = processed();
    let key = fs::read_to_string(place.path("key")).expect("a key");
    let public = ledger::note::VerifierKey::parse(key.trim()).expect("a key").public();
    let other = "medimg/dev/00112233445566778899aabbccddeeff";
    let renamed = ledger::note::VerifierKey::new(other, ledger::note::KeyKind::Ed25519, &public).expect("a key");
    assert_eq!(verify(&place, &["--vkey", &renamed.to_string()]).code, 3);
}
