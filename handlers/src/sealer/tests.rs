//! The folder of a log against the suite of the port and against a power cut at every call to its disk; keys, rotation,
//! heartbeats and mending on a real store.

mod sim_disk;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::Phi;
use ledger::note::Note;
use ledger::seal::{
    FollowedLog, KeyInMemory, MemorySealHead, Published, SealError, Sealer, conformance, consistency_proof,
};
use ledger::tiles::{Edge, tiles_between};
use ledger::{
    Actor, Checkpoint, Decision, EventTypes, Ledger as _, Log as _, MemoryLedger, Nonce, Origin, StreamKey, Tip,
    UtcMillis, verify_store,
};
use uuid::Uuid;

use super::disk::RealDisk;
use super::folder::{FolderPublished, Keeps};
use super::*;
use crate::acting::Person;
use crate::store::{Access, Store};
use crate::surroundings::{Surroundings, System};
use crate::views::testkit::block_on;
use sim_disk::SimDisk;

/// Checkpoints that are kept in memory.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<BTreeMap<u64, Vec<u8>>>>);

impl Keeps for Kept {
    fn keep(&self, size: u64, note: &[u8]) -> std::result::Result<(), SealError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parse = |bytes: &[u8]| Note::parse(bytes).expect("a note");
        let mut both = kept.get(&size).map_or_else(|| parse(note), |bytes| parse(bytes));
        if both.text() != parse(note).text() {
            return Err(SealError::Forked { size });
        }
        parse(note).signatures().iter().for_each(|line| both.add(line.clone()));
        kept.insert(size, both.to_string().into_bytes());
        Ok(())
    }
}

fn origin() -> Origin {
    Origin::new("medimg", "test", [7; 16]).expect("an origin")
}

fn decision(number: u64) -> (Tip, Decision) {
    let stream = StreamKey(u128::from(number).to_be_bytes());
    let kind = "imaging.ledger.heartbeat.v1";
    let decision = Decision {
        decision_id: Uuid::from_u128(u128::from(number)),
        types: EventTypes::new(&[kind]).expect("a type"),
        subject: None,
        actor: Actor::system("sealer").expect("an actor"),
        body: format!(r#"[{{"type":"{kind}","subject":"{stream}"}}]"#),
    };
    (Tip::empty(stream), decision)
}

fn fill(log: &MemoryLedger, from: u64, count: u64) {
    for number in from..from + count {
        let (tip, decision) = decision(number);
        let at = UtcMillis::from_unix_ms(1_795_000_000_000 + number);
        block_on(log.append(&tip, &decision, at, Nonce([1; 16]))).expect("appended");
    }
}

#[test]
fn a_folder_keeps_the_promises_of_the_port() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let kept = Kept::default();
    let published = FolderPublished::new(place.path().join("log/0"), kept.clone(), RealDisk);
    let of = async |size: u64| kept.0.lock().expect("whole").get(&size).cloned();
    block_on(conformance::what_is_published_stays(&published, of));
    let log = MemoryLedger::new(origin());
    fill(&log, 0, 300);
    let published = FolderPublished::new(place.path().join("log/1"), Kept::default(), RealDisk);
    let ports = (MemorySealHead::default(), FollowedLog(log.clone()), published);
    block_on(conformance::a_sealer_publishes_the_log(origin(), ports, &log));
    assert_eq!(
        fs::read_dir(place.path().join("log/1/part")).expect("a folder").count(),
        0,
        "nothing is left half written"
    );
}

/// A log whose publication lies on a simulated disk; the rest is durable by itself.
struct Place {
    disk: SimDisk,
    log: MemoryLedger,
    cell: MemorySealHead,
    kept: Kept,
    lives: AtomicU64,
}

impl Place {
    fn empty() -> Self {
        let (disk, log) = (SimDisk::with_folder(Path::new("/store")), MemoryLedger::new(origin()));
        Self { disk, log, cell: MemorySealHead::default(), kept: Kept::default(), lives: AtomicU64::new(0) }
    }

    /// Begins just below a full tile, sealed.
    fn new() -> Self {
        let place = Self::empty();
        fill(&place.log, 0, 250);
        place.seal().expect("sealed");
        place
    }

    fn published(&self) -> FolderPublished<Kept, SimDisk> {
        // Each life of the process has a token of its own.
        let token = self.lives.fetch_add(1, Ordering::Relaxed);
        FolderPublished::with_token(PathBuf::from("/store/log/0"), self.kept.clone(), self.disk.clone(), token)
    }

    fn seal(&self) -> std::result::Result<Head, SealError> {
        let key = KeyInMemory::of(&origin(), &[3; 32]).expect("a key");
        let unsealed = FollowedLog(self.log.clone());
        block_on(Sealer::new(origin(), self.cell.clone(), unsealed, self.published(), key).seal())
    }

    /// Claims that whatever checkpoint can be seen has all of its tiles; returns its size.
    fn assert_seen_is_whole(&self, when: &str) -> u64 {
        let published = self.published();
        let Some(bytes) = block_on(published.checkpoint()).expect("a read") else { return 0 };
        let note = Note::parse(&bytes).unwrap_or_else(|error| panic!("{when}: the checkpoint is torn: {error}"));
        let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
        let headers = block_on(self.log.entries(0, 1_000)).expect("entries");
        let (mut edge, mut full) = (Edge::new(), Vec::new());
        for row in headers.iter().take(usize::try_from(checkpoint.size).expect("small")) {
            edge.push(&row.entry.header_bytes, &mut full).expect("short");
        }
        assert_eq!(edge.root(), checkpoint.root, "{when}");
        full.extend(edge.partial());
        assert_eq!(full.len(), tiles_between(0, checkpoint.size).count());
        for (path, bytes) in full {
            let seen = block_on(published.tile(&path)).expect("a read");
            let whole = block_on(published.tile(&path.full())).expect("a read");
            let same = seen.as_ref() == Some(&bytes) || whole.is_some_and(|whole| whole.starts_with(&bytes));
            assert!(same, "{when}: {path} of the checkpoint over {} is not there as it was", checkpoint.size);
        }
        checkpoint.size
    }
}

#[test]
fn whatever_a_power_cut_leaves_a_checkpoint_that_is_seen_has_its_tiles_and_sealing_goes_on() {
    let count = |place: &Place| {
        fill(&place.log, 250, 10);
        place.disk.die_at(None);
        place.seal().expect("sealed");
        place.disk.calls()
    };
    let calls = count(&Place::new());
    assert!(calls > 30, "{calls} calls to the disk");
    for index in 0..=calls {
        for seed in 0..12_u64 {
            let place = Place::new();
            fill(&place.log, 250, 10);
            place.disk.die_at(Some(index));
            let done = place.seal();
            assert_eq!(done.is_ok(), index == calls, "the power goes at call {index}");
            // First everything that was not synced is gone, then everything is there, then what the seed says.
            let mut random = domain::dicom::testkit::Random::new(seed + 100 * index);
            place.disk.power_loss(|| seed == 1 || (seed > 1 && random.below(2) == 0));
            let when = format!("the power goes at call {index} of {calls}, seed {seed}");
            let seen = place.assert_seen_is_whole(&when);
            assert!(seen == 250 || seen == 260, "{when}: {seen}");
            assert!(done.is_err() || seen == 260, "{when}: what was published is not durable");
            fill(&place.log, 260, 3);
            let sealed = place.seal().unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!((sealed.size, place.assert_seen_is_whole(&when)), (263, 263), "{when}");
        }
    }
}

#[test]
fn a_publication_that_is_new_survives_a_power_cut_at_every_call() {
    let fresh = || {
        let place = Place::empty();
        fill(&place.log, 0, 3);
        place
    };
    let place = fresh();
    place.disk.die_at(None);
    place.seal().expect("sealed");
    for index in 0..=place.disk.calls() {
        for survives in [false, true] {
            let place = fresh();
            place.disk.die_at(Some(index));
            let done = place.seal();
            place.disk.power_loss(|| survives);
            let seen = place.assert_seen_is_whole(&format!("call {index}"));
            assert!(done.is_err() || seen == 3, "call {index}: what was published is not durable");
            let sealed = place.seal().unwrap_or_else(|error| panic!("call {index}, {survives}: {error}"));
            assert_eq!(sealed.size, 3);
        }
    }
}

/// A store with a few entries.
fn store(root: &Path, entries: u64) -> Store {
    let store = Store::open(root, Access::Work, "test", &System).expect("a store");
    append(&store, 0, entries);
    store
}

fn append(store: &Store, from: u64, count: u64) {
    for number in from..from + count {
        let (tip, decision) = decision(number);
        let at = UtcMillis::from_unix_ms(System.now_ms());
        block_on(store.ledger.append(&tip, &decision, at, Nonce([1; 16]))).expect("appended");
    }
}

fn seal(root: &Path) -> Result<Head> {
    block_on(StoreSealer::open(root)?.seal())
}

#[test]
fn a_store_is_sealed_and_looking_at_it_changes_nothing() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let store = store(place.path(), 5);
    assert!(!is_sealed(place.path()));
    assert_eq!(seal(place.path()).expect("sealed").size, 5);
    assert!(is_sealed(place.path()));
    let (note, checkpoint) = published(place.path(), store.ledger.origin()).expect("read").expect("published");
    let keys = verifier_keys(place.path()).expect("a list");
    assert_eq!((keys.len(), checkpoint.size), (1, 5));
    assert!(note.verify(&keys).is_ok());
    let mode = fs::metadata(place.path().join("keys/signing")).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(store);
    assert!(verify_store(place.path().join("ledger.sqlite"), &mut |_, _, _| {}).expect("verified").is_sound());
}

#[test]
fn a_key_that_others_may_read_or_that_is_gone_signs_nothing() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let store = store(place.path(), 5);
    seal(place.path()).expect("sealed");
    append(&store, 5, 1);
    let key = place.path().join("keys/signing");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("chmod");
    assert_eq!(seal(place.path()).expect_err("refused").code(), "key_permissions");
    fs::remove_file(&key).expect("removed");
    assert_eq!(seal(place.path()).expect_err("refused").code(), "key_missing");
    assert!(!key.exists(), "no other key is made in its place");
}

#[test]
fn a_change_of_the_key_cut_short_at_any_step_goes_on_and_leads_from_the_old_key_to_the_new() {
    let steps = std::cell::Cell::new(0);
    let run = |root: &Path, dies_at: Option<u32>| {
        let store = store(root, 5);
        let person = Person::of_user(&Phi::new("doe".to_owned()), &store.keys);
        steps.set(0);
        let before = |_: &str| {
            steps.set(steps.get() + 1);
            if dies_at == Some(steps.get() - 1) { Err(std::io::Error::other("cut short")) } else { Ok(()) }
        };
        (block_on(rotate(&store, &System, person, &before)), store, person)
    };
    let place = tempfile::tempdir().expect("a temporary folder");
    run(place.path(), None).0.expect("rotated");
    let all = steps.get();
    assert!(all >= 7, "{all} steps");
    for index in 0..=all {
        let place = tempfile::tempdir().expect("a temporary folder");
        let root = place.path();
        let (done, store, person) = run(root, Some(index));
        assert_eq!(done.is_ok(), index == all, "step {index}");
        // Whatever stands: a key signs, everything is sealed, and the list knows the key.
        append(&store, 100, 1);
        seal(root).unwrap_or_else(|error| panic!("step {index}: {error}"));
        let old = verifier_keys(root).expect("a list")[0].clone();
        if !StoreSealer::open(root).expect("opened").verifier().eq(&old) {
            assert!(index >= 5, "step {index}: the key changed before the change was recorded");
        } else {
            block_on(rotate(&store, &System, person, &|_| Ok(())))
                .unwrap_or_else(|error| panic!("step {index}: {error}"));
        }
        let keys = verifier_keys(root).expect("a list");
        assert_eq!(keys.len(), 2, "step {index}: one key follows the other");
        let sealer = StoreSealer::open(root).expect("opened");
        assert_eq!(*sealer.verifier(), keys[1], "step {index}");
        assert!(!root.join("keys/signing.next").exists(), "step {index}");
        let (note, _) = sealer.published().expect("read").expect("published");
        assert_eq!(note.verify(&keys[1..]).map(|verified| verified.len()), Ok(1), "step {index}");
        let changed = block_on(store.ledger.entries(0, 1_000)).expect("entries");
        let changed =
            changed.iter().filter(|row| row.entry.header.types.as_str() == "imaging.config.changed.v1").count();
        assert_eq!(changed, 1, "step {index}: it is recorded once");
    }
}

#[test]
fn old_checkpoints_still_verify_by_the_key_that_signed_them_and_one_is_signed_by_both() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let store = store(place.path(), 5);
    seal(place.path()).expect("sealed");
    append(&store, 5, 2);
    let person = Person::of_user(&Phi::new("doe".to_owned()), &store.keys);
    let rotated = block_on(rotate(&store, &System, person, &|_| Ok(()))).expect("rotated");
    let seal = ledger::SqliteSeal::open(place.path().join("ledger.sqlite")).expect("opened");
    let note = |size| Note::parse(seal.checkpoint(size).expect("read").expect("kept").as_bytes()).expect("a note");
    let by = |size: u64, key: &VerifierKey| note(size).verify(std::slice::from_ref(key)).is_ok();
    assert_eq!(rotated.size, 7);
    let (before, after) = (&rotated.before, &rotated.after);
    assert_eq!([5, 7, 8].map(|size| (by(size, before), by(size, after))), [(true, false), (true, true), (false, true)]);
}

#[test]
fn a_log_is_mended_from_the_ledger_and_held_against_what_was_signed() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let root = place.path();
    let store = store(root, 300);
    seal(root).expect("sealed");
    let origin = store.ledger.origin().clone();
    let before = files(&root.join("log"));
    fs::remove_dir_all(root.join("log/0")).expect("removed");
    append(&store, 300, 1);
    assert_eq!(seal(root).expect_err("refused").code(), "tiles_damaged");
    let mended = block_on(mend_store(root)).expect("mended");
    assert_eq!(mended.len(), 1);
    assert_eq!((mended[0].1.written, mended[0].1.tiles), (tiles_between(0, 300).count() as u64, mended[0].1.tiles));
    let after = files(&root.join("log"));
    for (name, bytes) in before.iter().filter(|(name, _)| name.contains("tile") || name.ends_with("checkpoint")) {
        assert_eq!(after.get(name), Some(bytes), "{name}");
    }
    assert_eq!(seal(root).expect("sealed").size, 301);
    let proof = block_on(consistency_proof(StoreSealer::open(root).expect("opened").publication().as_ref(), 300, 301));
    assert!(proof.is_ok() && published(root, &origin).expect("read").is_some());
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                    found.insert(name, fs::read(path).expect("a file"));
                }
            }
        }
    }
    found
}

/// A clock that stands.
struct At(u64);

impl Surroundings for At {
    fn now_ms(&self) -> u64 {
        self.0
    }

    fn random(&self, bytes: &mut [u8]) {
        System.random(bytes);
    }
}

#[test]
fn a_heartbeat_comes_when_nothing_was_recorded_for_long_and_names_the_newest_checkpoint() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let store = store(place.path(), 5);
    let now = System.now_ms();
    let beat = |at: u64| block_on(super::beat(&store, &At(at), 1_000)).expect("looked");
    assert!(!beat(now + 60_000), "what is not sealed yet is sealed first");
    seal(place.path()).expect("sealed");
    assert!(!beat(now.saturating_sub(60_000)), "a clock that was set back makes it wait");
    assert!(!beat(now + 500), "nothing is due yet");
    assert!(beat(now + 60_000));
    assert!(!beat(now + 60_000), "it was just recorded");
    let last = block_on(store.ledger.entries(5, 1)).expect("entries").remove(0).entry;
    assert_eq!(last.header.types.as_str(), "imaging.ledger.heartbeat.v1");
    assert!(last.body.contains(r#""size":5"#), "{}", last.body);
    assert_eq!(last.header.actor.to_string(), "system:sealer");
    assert_eq!(seal(place.path()).expect("sealed").size, 6);
}

#[test]
fn a_thread_beside_a_run_publishes_within_a_second() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let store = store(place.path(), 5);
    let beside = Beside::start(place.path());
    let began = std::time::Instant::now();
    // The claim is of time, so this one test waits: as long as it takes, and says if that is too long.
    while !is_sealed(place.path()) && began.elapsed().as_secs() < 30 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(is_sealed(place.path()), "nothing was sealed");
    assert!(began.elapsed().as_millis() < 1_000, "{:?}", began.elapsed());
    append(&store, 5, 2);
    beside.finish().expect("sealed");
    assert!(is_sealed(place.path()), "the end seals what is left");
}
