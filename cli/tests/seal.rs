//! Sealing as a user meets it: every command that records something ends with a signed checkpoint over everything, what only reads
//! writes nothing, and what cannot be sealed now is told and sealed by the next command.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::Place;

/// Size of the published checkpoint; none without one.
fn sealed(place: &Place) -> Option<u64> {
    let note = fs::read_to_string(place.store().join("log/0/checkpoint")).ok()?;
    note.lines().nth(1)?.parse().ok()
}

/// Entries of the ledger.
fn entries(place: &Place) -> u64 {
    let ledger = rusqlite::Connection::open(place.store().join("ledger.sqlite")).expect("opens");
    let count: i64 = ledger.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).expect("counted");
    count.unsigned_abs()
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.to_string_lossy().into_owned(), fs::read(path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn every_command_that_records_something_ends_with_a_checkpoint_over_everything() {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0);
    assert_eq!(sealed(&place), Some(entries(&place)));
    for line in [&["history", "--all"][..], &["views", "refresh"], &["report", "--format", "json", "-o", "report.json"]]
    {
        let before = entries(&place);
        assert_eq!(place.run(line).done().code, 0, "{line:?}");
        assert!(entries(&place) > before || line[0] == "views", "{line:?} is recorded");
        assert_eq!(sealed(&place), Some(entries(&place)), "{line:?}");
    }
    assert_eq!(place.run(&["verify"]).done().code, 0);
}

#[test]
fn the_newest_checkpoint_is_kept_outside_the_store_beside_the_head() {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process", "--heads", "heads"]).path("in/mr").done().code, 0);
    let kept: Vec<_> =
        files(&place.path("heads")).into_iter().filter(|(name, _)| name.ends_with(".checkpoint")).collect();
    let published = fs::read(place.store().join("log/0/checkpoint")).expect("published");
    assert_eq!((kept.len(), &kept[0].1), (1, &published));
}

#[test]
fn what_only_reads_seals_nothing() {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0);
    // As a version without sealing left it.
    place.sql("DROP TABLE seal; DROP TABLE checkpoints; PRAGMA user_version = 1; PRAGMA journal_mode = DELETE");
    fs::remove_dir_all(place.store().join("log")).expect("removed");
    fs::remove_file(place.store().join("keys/signing")).expect("removed");
    let before = files(&place.store());
    assert_eq!(place.run(&["verify"]).done().code, 0);
    assert_eq!(place.run(&["export", "-o", "export.ndjson"]).done().code, 0);
    assert!(files(&place.store()) == before, "verify and export write nothing");
    place.run(&["replay", "--failed", "--reason", "none", "--dry-run"]).done();
    place.run(&["doctor"]).done();
    assert_eq!(sealed(&place), None);
    assert!(!place.store().join("keys/signing").exists());
    let asked = place.run(&["history", "--all"]).done();
    assert_eq!(
        (asked.code, sealed(&place)),
        (0, Some(entries(&place))),
        "the next command that records seals all: {}",
        asked.stderr
    );
}

#[test]
fn what_cannot_be_sealed_is_told_and_the_next_command_seals_it() {
    let place = Place::with_demo();
    fs::create_dir_all(place.store()).expect("a folder");
    fs::write(place.store().join("log"), "no folder").expect("written");
    let run = place.run(&["process"]).path("in/mr").done();
    assert_eq!(run.code, 0, "what was processed stands: {}", run.stderr);
    assert!(run.stderr.contains("warning["), "{}", run.stderr);
    assert!(entries(&place) > 0);
    fs::remove_file(place.store().join("log")).expect("removed");
    let run = place.run(&["process"]).path("in/mr").done();
    assert_eq!((run.code, sealed(&place)), (0, Some(entries(&place))), "{}", run.stderr);
}

#[test]
fn a_checkpoint_is_printed_and_its_key_may_change() {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0);
    let note = place.run(&["checkpoint"]).done();
    assert_eq!(note.stdout, fs::read_to_string(place.store().join("log/0/checkpoint")).expect("published"));
    let vkey = |place: &Place| place.run(&["checkpoint", "--vkey"]).done().stdout;
    let first = vkey(&place);
    let before = entries(&place);
    let rotated = place.run(&["checkpoint", "--rotate-key", "--json"]).done();
    assert_eq!((rotated.code, entries(&place)), (0, before + 1), "{}", rotated.stderr);
    assert_eq!(rotated.lines[0]["rotated"]["before"].as_str(), Some(first.trim_end()));
    let both = vkey(&place);
    assert_eq!(both, format!("{first}{}\n", rotated.lines[0]["rotated"]["after"].as_str().expect("a key")));
    assert_eq!(both, fs::read_to_string(place.store().join("log/vkeys")).expect("a list"));
    let printed = place.run(&["checkpoint", "--json"]).done();
    let in_use = both.lines().nth(1).and_then(|line| line.split('+').nth(1)).expect("an id");
    assert_eq!(printed.lines[0]["checkpoint"]["keys"], serde_json::json!([in_use]));
    assert_eq!(sealed(&place), Some(before + 1));
    assert_eq!(place.run(&["verify"]).done().code, 0);
}

#[test]
fn tiles_that_were_changed_are_told_and_made_anew_when_asked() {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0);
    let tile = place.store().join(format!("log/0/tile/0/000.p/{}", entries(&place)));
    let bytes = fs::read(&tile).expect("a tile");
    fs::write(&tile, [&bytes[32..], &bytes[..32]].concat()).expect("changed");
    let doctor = place.run(&["doctor", "--json"]).done();
    let check = doctor.lines.iter().find(|line| line["check"] == "sealing").expect("a check");
    assert_eq!((doctor.code, check["code"].as_str()), (1, Some("tiles_damaged")));
    let asked = place.run(&["history", "--all"]).done();
    assert_eq!((asked.code, asked.error().as_str()), (3, "tiles_damaged"));
    let mended = place.run(&["checkpoint", "--mend", "--json"]).done();
    assert_eq!((mended.code, mended.lines[0]["mended"]["written"].as_u64()), (0, Some(1)), "{}", mended.stderr);
    assert_eq!(fs::read(&tile).expect("a tile"), bytes);
    assert_eq!(sealed(&place), Some(entries(&place)));
}
