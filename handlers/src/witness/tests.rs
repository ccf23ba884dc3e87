//! A witness over logs that tests make: every status of the protocol, no way back, forks kept, malformed requests, hostile
//! connections, and our own client against it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::note::{KeyKind, Note, NoteKey, SignatureLine, VerifierKey};
use ledger::proof::{TileSet, consistency_ranges};
use ledger::tiles::{Edge, TileKind, tiles_between};
use ledger::{Checkpoint, LeafHash, Origin, RootHash, merkle_root};

use super::judge::Logs;
use super::request::{AddCheckpoint, BODY_BYTES_MAX};
use super::server::{self, Limits};
use super::state::{Answer, EVIDENCE_MAX, FORKED, UNPROVED, Witness};
use crate::surroundings::Surroundings;

const ORIGIN: &str = "medimg/test/00112233445566778899aabbccddeeff";
const OTHER: &str = "medimg/test/ffeeddccbbaa99887766554433221100";
const START_S: u64 = 1_795_000_000;

/// A clock that stands until it is set.
#[derive(Clone, Debug)]
pub(super) struct Clock(pub(super) Arc<AtomicU64>);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START_S)))
    }

    fn set(&self, at_s: u64) {
        self.0.store(at_s, Ordering::SeqCst);
    }
}

impl Surroundings for Clock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * 1_000
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A log of entries that `history` makes: two histories are a fork from the first entry on.
pub(super) struct TestLog {
    pub(super) key: NoteKey,
    history: u8,
}

impl TestLog {
    pub(super) fn new(history: u8) -> Self {
        Self::named(ORIGIN, history)
    }

    fn named(origin: &str, history: u8) -> Self {
        let key = NoteKey::from_seed(origin, KeyKind::Ed25519, &[9; 32]).expect("a key");
        Self { key, history }
    }

    fn entry(&self, n: u64) -> Vec<u8> {
        format!("{} {n}", self.history).into_bytes()
    }

    fn leaves(&self, size: u64) -> Vec<LeafHash> {
        (0..size).map(|n| ledger::leaf_hash(&self.entry(n))).collect()
    }

    fn checkpoint(&self, size: u64) -> Checkpoint {
        let origin = Origin::parse(self.key.verifier().name()).expect("an origin");
        Checkpoint::new(&origin, size, merkle_root(&self.leaves(size)))
    }

    pub(super) fn note(&self, size: u64) -> Note {
        let text = self.checkpoint(size).to_string();
        Note::new(text.clone(), vec![self.key.sign(&text, 0)]).expect("a note")
    }

    fn proof(&self, old: u64, new: u64) -> Vec<[u8; 32]> {
        let (mut edge, mut tiles, mut set) = (Edge::new(), Vec::new(), TileSet::new(new));
        (0..new).for_each(|n| assert!(edge.push(&self.entry(n), &mut tiles).is_some()));
        tiles.extend(edge.partial());
        for (path, bytes) in tiles {
            if path.kind != TileKind::Entries && tiles_between(0, new).any(|wanted| wanted == path) {
                assert!(set.insert(path, bytes));
            }
        }
        set.hashes(&consistency_ranges(old, new)).expect("the tiles")
    }

    fn request(&self, old: u64, new: u64) -> Vec<u8> {
        let note = self.note(new).to_string().into_bytes();
        AddCheckpoint { old_size: old, proof: self.proof(old, new), note: &note }.render()
    }
}

pub(super) fn logs(keys: &[&VerifierKey]) -> Logs {
    let mut logs = Logs::default();
    keys.iter().for_each(|key| assert!(logs.add((*key).clone())));
    logs
}

pub(super) fn open(folder: &Path, clock: &Clock) -> Witness {
    let logs = logs(&[TestLog::new(0).key.verifier()]);
    Witness::open(folder, Some("witness.example/w1"), logs, Box::new(clock.clone())).expect("a witness")
}

struct Place {
    folder: tempfile::TempDir,
    clock: Clock,
    witness: Witness,
}

impl Place {
    fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
        let witness = open(folder.path(), &clock);
        Self { folder, clock, witness }
    }

    /// Asks; claims the status; returns the body.
    #[track_caller]
    fn ask(&self, request: &[u8], status: u16) -> String {
        let answer = self.witness.add_checkpoint(request);
        let body = String::from_utf8(answer.body).expect("text");
        assert_eq!(answer.status, status, "{body}");
        if status == 409 {
            assert_eq!(answer.content_type, "text/x.tlog.size");
        }
        body
    }

    /// Claims that the answer is a cosignature of the note; returns its time.
    #[track_caller]
    fn cosigns(&self, log: &TestLog, old: u64, new: u64) -> u64 {
        let body = self.ask(&log.request(old, new), 200);
        let line = SignatureLine::parse(body.strip_suffix('\n').expect("one line")).expect("a signature line");
        let note = Note::new(log.checkpoint(new).to_string(), vec![line]).expect("a note");
        let keys = [self.witness.verifier().clone()];
        note.verify(&keys).expect("it verifies")[0].at_s.expect("a time")
    }

    fn held(&self) -> u64 {
        self.witness.log_states().expect("the state")[0].size
    }

    fn evidence(&self) -> Vec<(String, String)> {
        let found = self.witness.evidence().expect("evidence");
        found.into_iter().map(|one| (one.kind, one.shown)).collect()
    }
}

#[test]
fn a_log_that_goes_on_is_cosigned_whatever_its_sizes() {
    let (place, log) = (Place::new(), TestLog::new(0));
    let mut old = 0;
    for new in [0, 1, 1, 2, 3, 8, 255, 256, 257, 300] {
        assert_eq!(place.cosigns(&log, old, new), START_S, "{old} to {new}");
        assert_eq!(place.held(), new);
        old = new;
    }
    let state = &place.witness.log_states().expect("the state")[0];
    let kept = Note::parse(state.checkpoint.as_deref().expect("a checkpoint").as_bytes()).expect("a note");
    let keys = [log.key.verifier().clone(), place.witness.verifier().clone()];
    assert_eq!(kept.verify(&keys).expect("both sign").len(), 2);
    assert_eq!((state.size, state.root.clone()), (300, Some(merkle_root(&log.leaves(300)).base64())));
}

#[test]
fn every_refusal_has_the_status_of_the_specification() {
    let (place, log) = (Place::new(), TestLog::new(0));
    place.cosigns(&log, 0, 5);
    // 404: a log that is not known, however well it is signed.
    place.ask(&TestLog::named(OTHER, 0).request(5, 6), 404);
    // 403: the log is known, and its key did not sign.
    let text = log.checkpoint(6).to_string();
    let stranger = NoteKey::from_seed(ORIGIN, KeyKind::Ed25519, &[8; 32]).expect("a key");
    let signed = |lines: Vec<SignatureLine>| {
        let note = Note::new(text.clone(), lines).expect("a note").to_string().into_bytes();
        AddCheckpoint { old_size: 5, proof: log.proof(5, 6), note: &note }.render()
    };
    place.ask(&signed(vec![stranger.sign(&text, 0)]), 403);
    let mut wrong = log.key.sign(&text, 0);
    wrong.bytes[3] ^= 1;
    place.ask(&signed(vec![wrong.clone()]), 403);
    place.ask(&signed(vec![stranger.sign(&text, 0), wrong]), 403);
    // 400: no request; an old size above the checkpoint's.
    place.ask(b"old 5\n", 400);
    place.ask(&log.request(5, 5)[..20], 400);
    let mut beyond = log.request(5, 5);
    beyond.splice(..5, *b"old 6");
    place.ask(&beyond, 400);
    // 409 with the size that is held: another old size.
    for (old, new) in [(0, 6), (4, 6), (0, 5), (0, 4), (4, 4)] {
        assert_eq!(place.ask(&log.request(old, new), 409), "5\n", "{old} to {new}");
    }
    // 409: the same size with another root.
    assert_eq!(place.ask(&TestLog::new(1).request(5, 5), 409), "5\n");
    // 422: a proof that does not lead there.
    place.ask(&TestLog::new(1).request(5, 6), 422);
    let mut altered =
        AddCheckpoint { old_size: 5, proof: log.proof(5, 6), note: log.note(6).to_string().as_bytes() }.render();
    let at = altered.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    place.ask(&altered, 422);
    assert_eq!(place.held(), 5, "nothing of it moved what is held");
    // The stranger's line is no harm beside one of the log.
    let body = place.ask(&signed(vec![stranger.sign(&text, 0), log.key.sign(&text, 0)]), 200);
    assert!(body.starts_with("— witness.example/w1 "));
    let kept = place.witness.log_states().expect("the state").remove(0).checkpoint.expect("a checkpoint");
    assert!(!kept.contains(&stranger.sign(&text, 0).to_string()), "what strangers signed is not kept");
}

#[test]
fn the_first_checkpoint_needs_no_proof_and_takes_none() {
    let (place, log) = (Place::new(), TestLog::new(0));
    let note = log.note(5).to_string().into_bytes();
    place.ask(&AddCheckpoint { old_size: 0, proof: vec![[1; 32]], note: &note }.render(), 422);
    assert_eq!(place.ask(&log.request(3, 5), 409), "0\n");
    let text = format!("{ORIGIN}\n0\n{}\n", RootHash([1; 32]).base64());
    let empty = Note::new(text.clone(), vec![log.key.sign(&text, 0)]).expect("a note").to_string().into_bytes();
    assert_eq!(place.ask(&AddCheckpoint { old_size: 0, proof: vec![], note: &empty }.render(), 409), "0\n");
    place.cosigns(&log, 0, 5);
}

#[test]
fn a_fork_is_refused_and_both_notes_are_kept_for_a_person() {
    let (place, log, fork) = (Place::new(), TestLog::new(0), TestLog::new(1));
    place.cosigns(&log, 0, 5);
    for _ in 0..3 {
        place.ask(&fork.request(5, 5), 409);
        place.ask(&fork.request(5, 9), 422);
    }
    let found = place.witness.evidence().expect("evidence");
    let kinds: Vec<_> = found.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, [FORKED, UNPROVED], "each once, however often it is shown");
    assert_eq!(found[0].shown, fork.note(5).to_string());
    assert!(found[0].held.as_ref().is_some_and(|held| held.starts_with(&log.checkpoint(5).to_string())));
    // Restarted, it still knows.
    let again = open(place.folder.path(), &place.clock);
    assert_eq!(again.evidence().expect("evidence"), found);
    let state = again.log_states().expect("the state").remove(0);
    assert_eq!((state.size, state.forked, state.unproved), (5, 1, 1));
}

#[test]
fn a_fork_shown_with_another_old_size_is_evidence_too() {
    let (place, log, fork) = (Place::new(), TestLog::new(0), TestLog::new(1));
    place.cosigns(&log, 0, 5);
    assert_eq!(place.ask(&fork.request(3, 5), 409), "5\n");
    assert_eq!(place.evidence(), [(FORKED.to_owned(), fork.note(5).to_string())]);
}

#[test]
fn a_bad_proof_of_a_good_log_is_taken_back_once_it_is_proved() {
    let (place, log) = (Place::new(), TestLog::new(0));
    place.cosigns(&log, 0, 5);
    let note = log.note(9).to_string().into_bytes();
    place.ask(&AddCheckpoint { old_size: 5, proof: vec![[1; 32]], note: &note }.render(), 422);
    assert_eq!(place.evidence().len(), 1);
    place.cosigns(&log, 5, 9);
    assert_eq!(place.evidence(), []);
}

#[test]
fn evidence_is_bounded() {
    let (place, log) = (Place::new(), TestLog::new(0));
    place.cosigns(&log, 0, 1);
    for history in 1..=20 {
        place.ask(&TestLog::new(history).request(1, 1), 409);
        place.ask(&TestLog::new(history).request(1, 3), 422);
    }
    let of = |kind: &str| place.evidence().iter().filter(|one| one.0 == kind).count() as i64;
    assert_eq!((of(FORKED), of(UNPROVED)), (EVIDENCE_MAX, EVIDENCE_MAX));
    assert_eq!(place.evidence()[0].1, TestLog::new(1).note(1).to_string(), "the first ones stay");
}

#[test]
fn a_log_may_change_its_key_while_both_are_known() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
    let (old, new) = (TestLog::new(0), NoteKey::from_seed(ORIGIN, KeyKind::Ed25519, &[3; 32]).expect("a key"));
    let known = logs(&[old.key.verifier(), new.verifier()]);
    let witness = Witness::open(folder.path(), None, known, Box::new(clock)).expect("a witness");
    assert_eq!(witness.add_checkpoint(&old.request(0, 3)).status, 200);
    let rotated = TestLog { key: new, history: 0 };
    assert_eq!(witness.add_checkpoint(&rotated.request(3, 4)).status, 200);
    assert_eq!(witness.add_checkpoint(&old.request(4, 5)).status, 200);
}

#[test]
fn its_times_never_run_back_and_a_clock_that_was_far_ahead_is_forgotten() {
    let (place, log) = (Place::new(), TestLog::new(0));
    assert_eq!(place.cosigns(&log, 0, 1), START_S);
    place.clock.set(START_S - 100);
    assert_eq!(place.cosigns(&log, 1, 2), START_S, "a larger tree is never the older one");
    place.clock.set(START_S + 1_000_000);
    assert_eq!(place.cosigns(&log, 2, 3), START_S + 1_000_000);
    place.clock.set(START_S);
    assert_eq!(place.cosigns(&log, 3, 4), START_S, "or nobody would count its cosignatures any more");
}

#[test]
fn of_many_requests_at_once_none_takes_the_size_back() {
    let (place, log) = (Place::new(), TestLog::new(0));
    place.cosigns(&log, 0, 10);
    // Another process has the same folder open.
    let beside = open(place.folder.path(), &place.clock);
    let requests: Vec<_> = (11..43).map(|new| (new, log.request(10, new))).collect();
    let answers: Vec<(u64, Answer)> = std::thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .enumerate()
            .map(|(n, (new, request))| {
                let witness = if n % 2 == 0 { &place.witness } else { &beside };
                scope.spawn(move || (*new, witness.add_checkpoint(request)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let cosigned: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 200).map(|(new, _)| *new).collect();
    assert_eq!(cosigned.len(), 1, "all go on from 10, so one is first: {cosigned:?}");
    assert_eq!(place.held(), cosigned[0]);
    for (_, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
        assert_eq!((answer.status, answer.body.clone()), (409, format!("{}\n", cosigned[0]).into_bytes()));
    }
}

#[test]
fn clients_that_race_and_take_up_each_others_size_only_ever_raise_it() {
    let (place, log) = (Place::new(), TestLog::new(0));
    let (most, seen) = (80_u64, AtomicU64::new(0));
    let requests: Vec<Vec<Vec<u8>>> = (0..=most)
        .map(|old| (0..=most).map(|new| if old <= new { log.request(old, new) } else { Vec::new() }).collect())
        .collect();
    std::thread::scope(|scope| {
        for client in 0..4_u64 {
            let (place, requests, seen) = (&place, &requests, &seen);
            scope.spawn(move || {
                let mut random = SplitMix(client);
                let mut old = 0;
                for _ in 0..60 {
                    let before = seen.load(Ordering::SeqCst);
                    let new = (old + random.below(4)).min(most);
                    let answer = place.witness.add_checkpoint(&requests[old as usize][new as usize]);
                    let body = String::from_utf8(answer.body).expect("text");
                    let held = match answer.status {
                        200 => new,
                        409 => body.trim_end().parse().expect("a size"),
                        other => panic!("{other}: {body}"),
                    };
                    assert!(held >= before, "{held} after {before}");
                    seen.fetch_max(held, Ordering::SeqCst);
                    old = held;
                }
            });
        }
    });
    assert_eq!(place.held(), seen.load(Ordering::SeqCst));
}

#[test]
fn what_was_answered_is_there_after_the_file_is_copied_as_a_crash_leaves_it() {
    let (place, log) = (Place::new(), TestLog::new(0));
    for size in 1..20 {
        place.cosigns(&log, size - 1, size);
        // The files as they lie now, with the log of writes that was never copied back: what a kill leaves.
        let copy = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(copy.path().join("keys")).expect("a folder");
        for name in ["witness.sqlite", "witness.sqlite-wal", "keys/witness"] {
            std::fs::copy(place.folder.path().join(name), copy.path().join(name)).expect("a copy");
        }
        let after = open(copy.path(), &place.clock);
        assert_eq!(after.log_states().expect("the state")[0].size, size);
        // The answer was lost: the log asks again with what it knows, is told the size, and gets its cosignature.
        assert_eq!(after.add_checkpoint(&log.request(size - 1, size)).status, 409);
        assert_eq!(after.add_checkpoint(&log.request(size, size)).status, 200);
    }
}

#[test]
fn a_witness_keeps_its_name_and_its_key_and_refuses_to_forget() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
    let open = |name: Option<&str>| Witness::open(folder.path(), name, Logs::default(), Box::new(clock.clone()));
    let first = open(None).expect("a witness").verifier().to_string();
    assert!(first.starts_with("medimg-witness/0707070707070707+"), "{first}");
    assert_eq!(open(None).expect("again").verifier().to_string(), first);
    let code = |name| open(name).expect_err("refused").code();
    assert_eq!(code(Some("another.example")), "witness_name");
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.path().join("keys/witness")).expect("a key"));
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read(folder.path().join("keys/witness")).expect("a key");
    std::fs::write(folder.path().join("keys/witness"), [1; 32]).expect("another key");
    assert_eq!(code(None), "key_other");
    std::fs::remove_file(folder.path().join("keys/witness")).expect("no key");
    assert_eq!(code(None), "key_missing");
    let keep = std::os::unix::fs::OpenOptionsExt::mode(std::fs::OpenOptions::new().write(true).create_new(true), 0o600)
        .open(folder.path().join("keys/witness"));
    keep.and_then(|mut file| file.write_all(&key)).expect("the key");
    assert_eq!(open(None).expect("as before").verifier().to_string(), first);
    for name in ["witness.sqlite", "witness.sqlite-wal", "witness.sqlite-shm"] {
        std::fs::remove_file(folder.path().join(name)).ok();
    }
    assert_eq!(code(None), "witness_gone");
    std::fs::write(folder.path().join("ledger.sqlite"), "").expect("a file");
    assert_eq!(code(None), "witness_store");
    let fresh = tempfile::tempdir().expect("a folder");
    let named = |name| Witness::open(fresh.path(), Some(name), Logs::default(), Box::new(Clock::new()));
    assert_eq!(named("a b").expect_err("a space").code(), "witness_name");
}

/// SplitMix64.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Alters a good request at random: bytes, lines, cuts, repeats.
fn altered(good: &[u8], random: &mut SplitMix) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=random.below(3) {
        let length = bytes.len() as u64;
        let at = random.below(length.max(1)) as usize;
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, b"\n \x00+\xe2\xff9-"[random.below(8) as usize]),
            4 => drop(bytes.drain(at..(at + random.below(60) as usize).min(bytes.len()))),
            5 => {
                let piece = bytes[at..(at + random.below(200) as usize).min(bytes.len())].to_vec();
                (0..random.below(40)).for_each(|_| drop(bytes.splice(at..at, piece.iter().copied())));
            }
            _ => {
                let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
                let (a, b) = (random.below(lines.len() as u64) as usize, random.below(lines.len() as u64) as usize);
                lines.swap(a, b);
                bytes = lines.join(&b'\n');
            }
        }
    }
    bytes
}

#[test]
fn ten_thousand_malformed_requests_are_refused_and_move_nothing() {
    let seed = std::env::var("MEDIMG_WITNESS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x7769_746e_u64);
    let (fresh, log) = (
        || {
            let place = Place::new();
            place.cosigns(&TestLog::new(0), 0, 5);
            place
        },
        TestLog::new(0),
    );
    let good = [log.request(5, 9), log.request(0, 9), log.request(5, 5), log.request(5, 300)];
    let (mut place, mut random) = (fresh(), SplitMix(seed));
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    for round in 0..10_000 {
        let request = match random.below(2) {
            0 => altered(&good[random.below(4) as usize], &mut random),
            _ => altered_by_the_log(&log, &mut random),
        };
        if good.contains(&request) {
            continue;
        }
        let answer = place.witness.add_checkpoint(&request);
        *statuses.entry(answer.status).or_default() += 1;
        if answer.status == 200 {
            // Strangers may add lines, and the log may sign what it likes, as long as it goes on from what is held.
            assert!(goes_on(&request, &log), "seed {seed}, round {round}");
            place = fresh();
        } else {
            assert!((400..500).contains(&answer.status), "seed {seed}, round {round}: {}", answer.status);
        }
    }
    assert!(statuses.get(&200).copied().unwrap_or(0) < 1_000, "seed {seed}: few are good: {statuses:?}");
    assert!(statuses.len() >= 4, "seed {seed} reaches few refusals: {statuses:?}");
    assert_eq!(place.held(), 5);
    place.cosigns(&log, 5, 9);
}

/// The same with another text, signed by the log itself: what a log gone wrong may send.
fn altered_by_the_log(log: &TestLog, random: &mut SplitMix) -> Vec<u8> {
    let (old, new) = [(5, 9), (0, 9), (5, 5), (5, 300)][random.below(4) as usize];
    let text = String::from_utf8_lossy(&altered(log.checkpoint(new).to_string().as_bytes(), random)).into_owned();
    let line = log.key.sign(&text, 0);
    AddCheckpoint { old_size: old, proof: log.proof(old, new), note: format!("{text}\n{line}\n").as_bytes() }.render()
}

/// Whether the request goes on from the five entries that are held. (A proof does not tell 9 leaves from 10: the root of a tree
/// says nothing of its size, so a log that signs another size under a root is not found by its proof. RFC 9162 §2.1.4.2.)
fn goes_on(request: &[u8], log: &TestLog) -> bool {
    let request = AddCheckpoint::parse(request).expect("a request");
    let note = Note::parse(request.note).expect("a note");
    let (shown, root) = (Checkpoint::parse(note.text()).expect("a checkpoint"), merkle_root(&log.leaves(5)));
    let proved = ledger::proof::verify_consistency(5, &root, shown.size, &shown.root, &request.proof);
    note.verify(&[log.key.verifier().clone()]).is_ok() && shown.origin == ORIGIN && request.old_size == 5 && proved
}

/// A witness that listens on this machine, and what ends it.
struct Served {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Served {
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let witness = Arc::new(open(folder.path(), &Clock::new()));
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (listener, address) = server::listen("127.0.0.1:0").await.expect("a port");
                tell.send(address).expect("the test waits");
                server::serve(listener, witness, limits, async { drop(stopped.await) }).await;
            });
        });
        let address = told.recv().expect("an address");
        Self { address, stop: Some(stop), thread: Some(thread), _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        stream
    }

    /// Sends the bytes and returns all that comes back until the connection is closed.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has refused may have closed already.
        stream.write_all(request).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn post(&self, body: &[u8]) -> String {
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn end(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

fn short() -> Limits {
    let ms = Duration::from_millis;
    Limits { connections_max: 4, headers: ms(300), body: ms(300), connection: ms(1_500), grace: ms(500) }
}

#[test]
fn over_http_a_log_is_cosigned_and_monitors_are_told() {
    let (served, log) = (Served::new(Limits::default()), TestLog::new(0));
    let answer = served.post(&log.request(0, 5));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("— witness.example/w1 "), "{answer}");
    let answer = served.post(&log.request(0, 7));
    assert!(
        answer.starts_with("HTTP/1.1 409 ") && answer.contains("text/x.tlog.size") && answer.ends_with("\r\n\r\n5\n"),
        "{answer}"
    );
    let get =
        |path: &str| served.raw(format!("GET {path} HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n").as_bytes());
    let state = get("/state");
    assert!(state.starts_with("HTTP/1.1 200 ") && state.contains("\"size\":5") && state.contains(ORIGIN), "{state}");
    let hash =
        <sha2::Sha256 as sha2::Digest>::digest(ORIGIN).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let checkpoint = get(&format!("/{hash}/checkpoint"));
    assert!(
        checkpoint.contains(&log.checkpoint(5).to_string()) && checkpoint.contains("— witness.example/w1 "),
        "{checkpoint}"
    );
    for (path, status) in
        [("/", 404), ("/add-checkpoint", 405), ("/state/", 404), ("/00/checkpoint", 404), ("/checkpoint", 404)]
    {
        assert!(get(path).starts_with(&format!("HTTP/1.1 {status} ")), "{path}");
    }
    let posted = served.raw(b"POST /state HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
}

#[test]
fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let served = Served::new(short());
    let told = format!("POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
    assert!(served.raw(told.as_bytes()).starts_with("HTTP/1.1 413 "), "no byte of it is waited for");
    let mut untold = b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    (0..20).for_each(|_| untold.extend([b"1000\r\n".as_slice(), &[b'a'; 0x1000], b"\r\n"].concat()));
    assert!(served.raw(&untold).starts_with("HTTP/1.1 413 "));
    let headers = format!("GET /state HTTP/1.1\r\nhost: w\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    let answer = served.raw(headers.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    let many: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
    let answer = served.raw(format!("GET /state HTTP/1.1\r\nhost: w\r\n{many}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(served.post(&TestLog::new(0).request(0, 1)).starts_with("HTTP/1.1 200 "), "others are served as before");
}

#[test]
fn connections_that_say_nothing_or_little_are_ended_and_others_are_served() {
    // A long life, so that it is the time for headers and for a body that ends them.
    let served = Served::new(Limits { connection: Duration::from_secs(60), ..short() });
    let began = Instant::now();
    // More than there are places: silent ones, half a head, half a body, one byte at a time.
    let mut slow: Vec<_> = (0..8).map(|_| served.connect()).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        let said: &[u8] = match n % 3 {
            0 => b"",
            1 => b"POST /add-checkpoint HTTP/1.1\r\nhost:",
            _ => b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 100\r\n\r\nold",
        };
        stream.write_all(said).expect("it takes the first bytes");
    }
    assert!(served.post(&TestLog::new(0).request(0, 1)).starts_with("HTTP/1.1 200 "));
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    for (n, stream) in slow.iter_mut().enumerate() {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it is closed");
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408 "), "{rest}");
        assert!(n % 3 != 2 || !rest.is_empty(), "half a body is told that it was too slow");
    }
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}");
}

#[test]
fn a_connection_that_goes_on_and_on_has_an_end() {
    let served = Served::new(short());
    // Each request comes within its limit.
    let (mut drip, began) = (served.connect(), Instant::now());
    let mut byte = [0; 4_096];
    while began.elapsed() < Duration::from_secs(20) {
        if drip.write_all(b"GET /state HTTP/1.1\r\nhost: w\r\n\r\n").is_err()
            || !matches!(drip.read(&mut byte), Ok(1..))
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[test]
fn what_was_begun_is_finished_when_it_is_to_end() {
    let mut served = Served::new(Limits { headers: Duration::from_secs(30), ..Limits::default() });
    let request = TestLog::new(0).request(0, 5);
    let (mut begun, mut idle) = (served.connect(), served.connect());
    let head = format!("POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n", request.len());
    begun.write_all(head.as_bytes()).expect("a head");
    idle.write_all(b"GET /state HTTP/1.1\r\nhost: w\r\n\r\n").expect("a request");
    let mut byte = [0; 1];
    idle.read_exact(&mut byte).expect("an answer");
    std::thread::sleep(Duration::from_millis(100));
    served.stop.take().map(|stop| stop.send(()));
    std::thread::sleep(Duration::from_millis(100));
    begun.write_all(&request).expect("its body");
    let mut answer = String::new();
    begun.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let began = Instant::now();
    served.end();
    assert!(began.elapsed() < Duration::from_secs(5), "an idle connection is not waited for: {:?}", began.elapsed());
    assert!(TcpStream::connect(served.address).is_err(), "nobody listens any more");
}
