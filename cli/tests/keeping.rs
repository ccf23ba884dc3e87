//! Backup, restore, the head kept outside the store, recover and forget, as an operator meets them.

#[allow(dead_code)] // Each file of tests uses a part of it.
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Done, Place};

const PASSPHRASE: &str = "correct horse battery staple";
const REASON: &str = "the disk of Mrs Doe's site was lost";

/// A place with a processed demo, whose newest head is kept in `heads/`.
struct Kept(Place);

impl Kept {
    fn processed(args: &[&str]) -> Self {
        let place = Place::with_demo();
        for (name, text) in [("pass", PASSPHRASE), ("wrong", "another long passphrase")] {
            fs::write(place.path(name), text).expect("written");
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).expect("chmod");
        }
        let kept = Self(place);
        let line: Vec<&str> = ["process", "in"].iter().chain(args).copied().collect();
        assert_eq!(kept.run(&line).code, 1, "three are quarantined");
        kept
    }

    fn run(&self, line: &[&str]) -> Done {
        self.0.run(line).env([("MEDIMG_HEADS", "heads")]).done()
    }

    fn on(&self, store: &str, line: &[&str]) -> Done {
        self.0.run(line).env([("MEDIMG_HEADS", "heads"), ("MEDIMG_STORE", store)]).done()
    }

    fn well(&self, line: &[&str]) -> Done {
        let done = self.run(line);
        assert_eq!(done.code, 0, "{line:?}: {}", done.stderr);
        done
    }

    fn backup(&self) -> Done {
        self.well(&["backup", "-o", "copy", "--keys-to", "keys.age", "--passphrase-file", "pass", "--json"])
    }

    fn restore(&self, store: &str) -> Done {
        self.on(store, &["restore", "copy", "--keys", "keys.age", "--passphrase-file", "pass", "--json"])
    }

    /// The outputs of a store by path, with their bytes.
    fn outputs(&self, store: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = self.0.path(store).join("processed");
        let read =
            |path: PathBuf| (path.strip_prefix(&folder).expect("below").to_owned(), fs::read(path).expect("read"));
        files(&folder).into_iter().map(read).collect()
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

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Puts a copy of a folder in the place of another.
fn put_back(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let at = to.join(file.strip_prefix(from).expect("below"));
        fs::create_dir_all(at.parent().expect("a folder")).expect("made");
        fs::copy(file, at).expect("copied");
    }
    for folder in ["staging", "raw"] {
        fs::create_dir_all(to.join(folder)).expect("made");
    }
}

#[test]
fn a_restored_store_holds_the_same_and_gives_the_same_pseudonyms() {
    let kept = Kept::processed(&["--copy-raw"]);
    let made = kept.backup();
    let (backup, size) = (&made.lines[0]["backup"], 68);
    assert_eq!(
        (&backup["size"], &backup["keys_wrapped"], &backup["missing"]),
        (&size.into(), &true.into(), &Value::Array(vec![]))
    );
    let checked = kept.well(&["restore", "copy", "--check", "--json"]);
    assert_eq!(checked.lines[0]["checked"]["manifest"], backup["manifest"]);
    let restored = kept.restore("second");
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert_eq!(kept.outputs("second"), kept.outputs("store"));
    assert_eq!(files(&kept.0.path("second/raw")).len(), files(&kept.0.path("store/raw")).len());
    // Before it works, it is recovered; then what ended repeats its verdict, byte for byte.
    assert_eq!(kept.on("second", &["process", "in"]).error(), "ledger_rolled_back");
    assert_eq!(kept.on("second", &["recover", "--reason", REASON]).code, 0);
    let again = kept.on("second", &["process", "in", "--json"]);
    let summary = &again.lines.last().expect("a summary")["summary"];
    assert_eq!((&summary["delivered"], &summary["quarantined"]), (&12.into(), &3.into()), "{}", again.stderr);
    assert!(again.lines.iter().filter(|line| line["item"].is_u64()).all(|line| line["repeated"] == true));
    // And a new store of the same keys makes the same bytes of the same files.
    fs::create_dir(kept.0.path("third")).expect("made");
    put_back(&kept.0.path("second/keys"), &kept.0.path("third/keys"));
    for folder in ["staging", "raw"] {
        let _ = fs::remove_dir_all(kept.0.path("third/keys").join(folder));
    }
    for key in files(&kept.0.path("third/keys")) {
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    assert_eq!(kept.on("third", &["process", "in"]).code, 1);
    assert_eq!(kept.outputs("third"), kept.outputs("store"));
}

#[test]
fn no_byte_of_a_backup_holds_an_identifier_or_a_key() {
    let kept = Kept::processed(&["--copy-raw"]);
    let backup = kept.backup();
    let identifiers = kept.0.identifiers();
    assert!(identifiers.len() > 10);
    let keys: Vec<Vec<u8>> =
        files(&kept.0.path("store/keys")).iter().map(|key| fs::read(key).expect("a key")).collect();
    let mut copied = files(&kept.0.path("copy"));
    copied.push(kept.0.path("keys.age"));
    assert!(copied.len() > 25);
    for file in copied {
        let bytes = fs::read(&file).expect("read");
        for identifier in &identifiers {
            assert!(!holds(&bytes, identifier), "{identifier} in {}", file.display());
        }
        assert!(keys.iter().all(|key| !bytes.windows(32).any(|window| window == key.as_slice())), "{}", file.display());
    }
    for identifier in &identifiers {
        assert!(!holds(backup.stdout.as_bytes(), identifier) && !holds(backup.stderr.as_bytes(), identifier));
    }
    assert!(files(&kept.0.path("store/staging")).is_empty(), "the unsealed copy of the sources is gone");
}

#[test]
fn what_is_in_a_backup_already_is_checked_and_not_copied_again() {
    let kept = Kept::processed(&[]);
    let first = kept.backup().lines[0]["backup"].clone();
    let second = kept.well(&["backup", "-o", "copy", "--json"]).lines[0]["backup"].clone();
    assert_eq!(
        second["copied"], 4,
        "the ledger, which has grown by one entry, and what is sealed anew: sources, signing key, its list"
    );
    assert_eq!((&second["size"], &second["keys_wrapped"]), (&69.into(), &false.into()));
    assert_eq!(first["parts"], second["parts"]);
    assert_eq!(files(&kept.0.path("copy/objects")).len(), 13, "twelve objects and one ledger: the older copy is gone");
    // A part that rotted is found, and copied anew from the store.
    let victim = files(&kept.0.path("store/processed")).remove(0);
    let bytes = fs::read(&victim).expect("read");
    let part = files(&kept.0.path("copy/objects")).into_iter().find(|part| fs::read(part).expect("read") == bytes);
    let part = part.expect("the object is in the backup");
    fs::write(&part, &bytes[1..]).expect("written");
    assert_eq!(kept.run(&["restore", "copy", "--check"]).error(), "part_altered");
    assert_eq!(kept.well(&["backup", "-o", "copy", "--json"]).lines[0]["backup"]["copied"], 3);
    kept.well(&["restore", "copy", "--check"]);
    // One that rotted in the store is kept as it was, and one that is in neither is told.
    fs::write(&victim, b"rot").expect("written");
    kept.well(&["backup", "-o", "copy"]);
    fs::remove_file(&part).expect("removed");
    let told = kept.run(&["backup", "-o", "copy", "--json"]);
    assert_eq!((told.code, told.lines[0]["backup"]["missing"].as_array().expect("a list").len()), (1, 1));
}

#[test]
fn what_is_wrong_with_a_backup_is_named_and_nothing_is_put_in_place() {
    let kept = Kept::processed(&["--copy-raw"]);
    kept.backup();
    let manifest = fs::read_to_string(kept.0.path("copy/manifest.json")).expect("text");
    let ways = ["restore", "copy", "--keys", "keys.age", "--passphrase-file"];
    let refused = |line: &[&str], code: &str, item: &str| {
        let done = kept.on("second", line);
        assert_eq!(done.error(), code, "{}", done.stderr);
        assert!(done.code != 0 && done.stderr.contains(item), "{item}: {}", done.stderr);
        assert!(!kept.0.path("second").exists());
    };
    let right: Vec<&str> = ways.iter().copied().chain(["pass"]).collect();
    refused(&ways.iter().copied().chain(["wrong"]).collect::<Vec<_>>(), "passphrase_wrong", "keys");
    // One that lies there as it is and one that is sealed; each restore takes a second of scrypt.
    for part in ["copy/objects", "copy/sealed"].map(|folder| files(&kept.0.path(folder)).remove(0)) {
        let bytes = fs::read(&part).expect("read");
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&part, changed).expect("written");
        refused(&right, "part_altered", "part ");
        fs::remove_file(&part).expect("removed");
        refused(&right, "part_missing", "part ");
        fs::write(&part, bytes).expect("written");
    }
    fs::write(kept.0.path("copy/manifest.json"), manifest.replace("\"size\": 68", "\"size\": 67")).expect("written");
    refused(&right, "backup_contradicts", "manifest");
    fs::remove_file(kept.0.path("copy/manifest.json")).expect("removed");
    refused(&right, "backup_missing", "never finished");
    fs::write(kept.0.path("copy/manifest.json"), manifest).expect("written");
    // Keys of another store.
    let other = kept.on("other", &["process", "in/mr"]);
    assert_eq!(other.code, 0);
    let wrap = ["backup", "-o", "other-copy", "--keys-to", "other.age", "--passphrase-file", "pass"];
    assert_eq!(kept.on("other", &wrap).code, 0);
    let keys = ["restore", "copy", "--check", "--keys", "other.age", "--passphrase-file", "pass"];
    assert_eq!(kept.run(&keys).error(), "key_other");
    // A store that holds something is left as it is.
    assert_eq!(kept.on("store", &right).error(), "restore_occupied");
    assert_eq!(kept.on("other", &["backup", "-o", "copy"]).error(), "backup_other_store");
    assert_eq!(kept.run(&["backup", "-o", "in"]).error(), "backup_folder");
    assert_eq!(kept.run(&["backup", "-o", "store/copy"]).error(), "backup_folder");
    let inside = ["backup", "-o", "copy", "--keys-to", "copy/k.age", "--passphrase-file", "pass"];
    assert_eq!(kept.run(&inside).error(), "keys_inside_backup");
    let twice = ["backup", "-o", "copy", "--keys-to", "keys.age", "--passphrase-file", "pass"];
    assert_eq!(kept.run(&twice).error(), "keys_file_exists");
}

#[test]
fn a_store_that_was_put_back_or_written_anew_is_refused_and_still_answers() {
    let kept = Kept::processed(&[]);
    put_back(&kept.0.store(), &kept.0.path("older"));
    for file in files(&kept.0.path("older")) {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    kept.well(&["history", "--all"]);
    kept.well(&["history", "--all"]);
    kept.well(&["verify"]);
    put_back(&kept.0.path("older"), &kept.0.store());
    let refused = kept.run(&["process", "in"]);
    assert_eq!((refused.code, refused.error().as_str()), (3, "ledger_rolled_back"));
    assert!(
        refused.stderr.contains("68") && refused.stderr.contains("70") && refused.stderr.contains("recover --reason")
    );
    let asked = kept.well(&["verify"]);
    assert!(asked.stderr.contains("warning[ledger_rolled_back]"), "{}", asked.stderr);
}

#[test]
fn a_fork_of_the_same_size_and_one_that_is_longer_are_refused() {
    let kept = Kept::processed(&[]);
    put_back(&kept.0.store(), &kept.0.path("older"));
    kept.well(&["history", "--all"]);
    put_back(&kept.0.path("older"), &kept.0.store());
    for _ in 0..2 {
        assert_eq!(kept.run(&["history", "--all"]).code, 0);
        let refused = kept.run(&["process", "in"]);
        assert_eq!((refused.code, refused.error().as_str()), (3, "ledger_forked"), "{}", refused.stderr);
    }
    // Where no head is kept, the same store goes on.
    assert_eq!(kept.0.run(&["process", "in"]).env([("MEDIMG_HEADS", "none-yet")]).done().code, 1);
}

#[test]
fn a_recovered_store_goes_on_and_both_logs_are_told_and_verified() {
    let kept = Kept::processed(&[]);
    put_back(&kept.0.store(), &kept.0.path("older"));
    kept.well(&["history", "--all"]);
    assert_eq!(kept.run(&["recover", "--reason", REASON]).error(), "nothing_to_recover");
    put_back(&kept.0.path("older"), &kept.0.store());
    assert_eq!(kept.run(&["recover", "--reason", " "]).error(), "note_form");
    let done = kept.well(&["recover", "--reason", REASON, "--json"]).lines[0]["recovered"].clone();
    assert!(done["origin"].as_str().expect("text").ends_with("#1"));
    assert_eq!((&done["held_size"], &done["restored_size"], &done["unfinished"]), (&69.into(), &68.into(), &0.into()));
    // Ended objects repeat their verdict: nothing is delivered twice.
    let again = kept.run(&["process", "in", "--json"]);
    assert_eq!(again.lines.last().expect("a summary")["summary"]["delivered"], 12, "{}", again.stderr);
    assert!(again.lines.iter().filter(|line| line["item"].is_u64()).all(|line| line["repeated"] == true));
    let study = kept.0.original_study("in/mr");
    let told = kept.well(&["history", "--json", &study]);
    assert_eq!(told.lines.iter().filter(|line| line["seq"].is_u64()).count(), 15);
    let verified = kept.well(&["verify", "--json"]).lines[0].clone();
    assert_eq!((&verified["entries"], &verified["past"][0]["entries"]), (&2.into(), &68.into()));
    let all = kept.well(&["history", "--all", "--json"]);
    assert_eq!(all.lines.iter().filter(|line| line["seq"].is_u64()).count(), 70);
    let first = all.lines.iter().find(|line| line["types"][0] == "imaging.ledger.recovered.v1").expect("recorded");
    assert_eq!(first["events"][0]["data"]["restored_size"], 68);
    assert!(!all.stdout.contains("Doe"), "the reason is kept beside the sources");
    // A changed byte of the old log is found in it.
    let old = rusqlite::Connection::open(kept.0.store().join("ledger.0.sqlite")).expect("opens");
    old.execute_batch("UPDATE entries SET body = replace(body, 'time', 'tine') WHERE gseq = 20").expect("changed");
    drop(old);
    let found = kept.run(&["verify"]);
    assert_eq!((found.code, found.error().as_str()), (3, "ledger_unsound"));
    assert!(found.stderr.contains("entry 20 of ledger.0.sqlite"), "{}", found.stderr);
}

#[test]
fn a_recovered_store_is_backed_up_and_restored_with_both_logs() {
    let kept = Kept::processed(&[]);
    kept.backup();
    assert_eq!(kept.restore("second").code, 0);
    assert_eq!(kept.on("second", &["recover", "--reason", REASON]).code, 0);
    assert_eq!(kept.on("second", &["backup", "-o", "copy"]).code, 0);
    // The store of before is now the older one.
    assert_eq!(kept.run(&["process", "in"]).error(), "ledger_rolled_back");
    assert_eq!(kept.restore("third").code, 0);
    assert_eq!(kept.on("third", &["recover", "--reason", REASON]).code, 0);
    let verified = kept.on("third", &["verify", "--json"]).lines[0].clone();
    assert_eq!((&verified["sound"], verified["past"].as_array().map(Vec::len)), (&true.into(), Some(2)), "{verified}");
    assert_eq!(kept.outputs("third"), kept.outputs("store"));
}

#[test]
fn a_forgotten_study_leaves_no_byte_of_its_paths_and_the_chain_is_whole() {
    let kept = Kept::processed(&["--copy-raw"]);
    let study = kept.0.original_study("in/us");
    let all_of = |store: &str| -> Vec<u8> {
        files(&kept.0.path(store))
            .into_iter()
            .filter(|file| !file.starts_with(kept.0.path("store/keys")))
            .flat_map(|file| fs::read(file).expect("read"))
            .collect()
    };
    assert!(holds(&all_of("store"), "in/us/"), "before, the paths are there");
    let (raw, outputs) = (files(&kept.0.path("store/raw")).len(), kept.outputs("store"));
    assert_eq!(kept.run(&["forget", &study, "--reason", REASON]).error(), "not_confirmed");
    let done = kept.well(&["forget", &study, "--reason", REASON, "--yes", "--json"]).lines[0]["forgotten"].clone();
    assert_eq!(
        (&done["sources"], &done["copies"], &done["recorded"]),
        (&done["objects"], &done["objects"], &true.into())
    );
    let objects = usize::try_from(done["objects"].as_u64().expect("a number")).expect("small");
    assert!(objects > 0);
    assert!(!holds(&all_of("store"), "in/us/"), "no byte of the paths stays");
    assert_eq!(files(&kept.0.path("store/raw")).len(), raw - objects);
    assert_eq!(kept.outputs("store"), outputs, "the processed objects stay");
    kept.well(&["verify"]);
    // The same files again: their verdicts, and nothing written down.
    let again = kept.run(&["process", "in/us", "--copy-raw", "--json"]);
    assert!(
        again.lines.iter().filter(|line| line["item"].is_u64()).all(|line| line["repeated"] == true),
        "{}",
        again.stdout
    );
    assert!(!holds(&all_of("store"), "in/us/"), "a forgetting is not undone by processing again");
    assert_eq!(files(&kept.0.path("store/raw")).len(), raw - objects);
    let rest = kept.well(&["forget", &study, "--reason", REASON, "--yes", "--json"]).lines[0]["forgotten"].clone();
    assert_eq!((&rest["sources"], &rest["recorded"]), (&0.into(), &false.into()));
    let told = kept.well(&["history", "--json", &study]);
    let forgotten = told.lines.iter().filter(|line| line["types"][0] == "imaging.source.forgotten.v1").count();
    assert_eq!(forgotten, 1, "it is part of the study's history, once");
}

#[test]
fn a_backup_beside_a_worker_is_whole_and_one_that_is_killed_is_none_or_whole() {
    let kept = Kept(Place::with_demo());
    let start = |line: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_medimg"));
        command
            .args(line)
            .current_dir(kept.0.path("."))
            .env_clear()
            .env("MEDIMG_STORE", "store")
            .env("MEDIMG_HEADS", "heads");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts")
    };
    kept.run(&["process", "in/mr"]);
    let mut worker = start(&["process", "in", "-j", "1"]);
    for _ in 0..3 {
        kept.well(&["backup", "-o", "beside"]);
        kept.well(&["restore", "beside", "--check"]);
    }
    assert_eq!(worker.wait().expect("ended").code(), Some(1));
    let mut killed = 0;
    for kill in 0..20 {
        let mut backup = start(&["backup", "-o", "copy"]);
        std::thread::sleep(std::time::Duration::from_millis(3 * kill));
        killed += usize::from(backup.try_wait().expect("a child").is_none());
        backup.kill().expect("killed");
        backup.wait().expect("a child");
        let checked = kept.run(&["restore", "copy", "--check"]);
        assert!(checked.code == 0 || checked.error() == "backup_missing", "kill {kill}: {}", checked.stderr);
    }
    assert!(killed > 0, "nothing was killed in the middle, so nothing was shown");
    kept.well(&["backup", "-o", "copy"]);
    kept.well(&["restore", "copy", "--check"]);
    kept.well(&["verify"]);
}

#[test]
fn the_demo_leaves_nothing_outside_its_store() {
    let place = Place::with_demo();
    fs::create_dir(place.path("home")).expect("made");
    let home = place.path("home").to_str().expect("text").to_owned();
    for line in [&["demo"][..], &["verify"], &["history", "--all"]] {
        assert_eq!(place.run(line).env([("HOME", &home)]).done().code, 0);
    }
    assert!(files(&place.path("home")).is_empty() && place.store().join("heads").is_dir());
    // Any other store's head is kept in the user's state folder.
    assert_eq!(place.run(&["process", "in", "--store", "other"]).env([("HOME", &home)]).done().code, 1);
    let held = files(&place.path("home/.local/state/medimg/heads"));
    let line = held.iter().filter_map(|file| fs::read_to_string(file).ok()).find(|text| !text.is_empty());
    let line: Value = serde_json::from_str(&line.expect("a head")).expect("JSON");
    assert_eq!(line["size"], 68);
}

#[test]
fn a_place_for_heads_that_cannot_be_written_is_told_once_and_nothing_stops() {
    let place = Place::with_demo();
    fs::write(place.path("file"), b"").expect("written");
    let done = place.run(&["process", "in"]).env([("MEDIMG_HEADS", "file/heads")]).done();
    assert_eq!((done.code, done.stderr.matches("warning[heads_io]").count()), (1, 1), "{}", done.stderr);
}
