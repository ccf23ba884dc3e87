//! The tamper matrix: everything that somebody with the store's files, and with its keys, can do to the log, and what a verifier
//! finds. The table is printed; docs/COMPLIANCE.md quotes it.

#![allow(clippy::print_stderr, reason = "seeds and the table are printed")]

mod kinds;
mod log;

use std::path::{Path, PathBuf};

use ledger::note::{KeyKind, NoteKey, VerifierKey};
use ledger::verify::FirstBad;

use super::{Audit, Outside, audit, audit_against, audit_published};
use log::{Seeded, Writing, copy};

const SEED: u64 = 0x7a3b_e211;
/// Entries at each sealing; the rest of the log is not sealed.
const SEALED: [u64; 4] = [90, 300, 420, 540];
const ENTRIES: u64 = 570;

/// A store, sealed several times, and what was kept of it elsewhere.
struct Bench {
    _folder: tempfile::TempDir,
    root: PathBuf,
    /// Checkpoints as they were published, by size.
    held: Vec<Vec<u8>>,
    key: VerifierKey,
}

impl Bench {
    async fn new(seeded: &mut Seeded) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("store");
        std::fs::create_dir(&root).expect("a folder");
        let mut writing = Writing::begin(&root, seeded);
        let (mut held, mut size) = (Vec::new(), 0);
        for sealed in SEALED {
            writing.append(sealed - size, seeded).await;
            held.push(writing.seal());
            size = sealed;
        }
        writing.append(ENTRIES - size, seeded).await;
        drop(writing);
        let key = crate::sealer::verifier_keys(&root).expect("keys").pop().expect("a key");
        drop(log::open(&root));
        Self { _folder: folder, root, held, key }
    }
}

/// What a verifier has beside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brings {
    Nothing,
    /// The log's key.
    Key,
    /// The key, and the checkpoint of this number of [`SEALED`].
    Held(usize),
}

/// What a verifier must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// Exactly this entry.
    At(u64),
    /// This entry, said as "this or a later one" from some entry not behind it.
    From(u64),
    /// Something that is no entry.
    Around,
    /// Nothing: it cannot be known from this. The limits are part of the table.
    Unknowable,
}

/// One thing that is done to a copy of the store.
struct Case {
    root: PathBuf,
    seeded: Seeded,
    outside: Outside,
    /// The entry that is meddled with: one that is sealed, in the middle of the log.
    victim: u64,
}

struct Told {
    codes: Vec<&'static str>,
    first: Option<FirstBad>,
}

fn told(audit: &Audit) -> Told {
    let mut codes: Vec<&'static str> = audit.ledger.findings.iter().map(|finding| finding.code.code()).collect();
    codes.extend(audit.misstep.is_some().then_some("step_order"));
    codes.sort_unstable();
    codes.dedup();
    let misstep = audit.misstep.as_ref().map(|misstep| FirstBad::At(misstep.leaf_index));
    Told { codes, first: audit.ledger.first_bad.or(misstep) }
}

fn is_right(expect: Expect, first: Option<FirstBad>) -> bool {
    match (expect, first) {
        (Expect::At(index), Some(FirstBad::At(found))) => index == found,
        (Expect::From(index), Some(FirstBad::At(found))) => index == found,
        (Expect::From(index), Some(FirstBad::AtOrAfter(found))) => found <= index,
        (Expect::Around, Some(FirstBad::NoEntry)) | (Expect::Unknowable, None) => true,
        _ => false,
    }
}

fn row(kind: &kinds::Kind, expect: Expect, told: &Told) -> String {
    let brings = match kind.brings {
        Brings::Nothing => "the store".to_owned(),
        Brings::Key => "the store, a key".to_owned(),
        Brings::Held(at) => format!("the store, a key, a checkpoint of {}", SEALED[at]),
    };
    let first = match (expect, told.first) {
        (Expect::Unknowable, _) => "not to be found from this",
        (_, Some(FirstBad::At(_))) => "this entry",
        (_, Some(FirstBad::AtOrAfter(_))) => "from an earlier entry on",
        (_, Some(FirstBad::NoEntry)) => "no entry: the file",
        (_, None) => "NOT FOUND",
    };
    format!("| {} | {brings} | {} | {first} |", kind.name, told.codes.join(", "))
}

#[tokio::test]
async fn whatever_is_done_to_a_log_is_found_with_the_first_bad_entry() {
    eprintln!("seed {SEED:#x}");
    let mut seeded = Seeded(SEED);
    let bench = Bench::new(&mut seeded).await;
    assert!(audit(&bench.root).expect("it takes place").is_sound());
    let folder = tempfile::tempdir().expect("a folder");
    let (mut table, mut wrong) = (Vec::new(), Vec::new());
    let kinds = kinds::all();
    for (number, kind) in kinds.iter().enumerate() {
        for round in 0..3 {
            let root = folder.path().join(format!("{number}-{round}"));
            copy(&bench.root, &root);
            let mut outside = Outside::default();
            if kind.brings != Brings::Nothing {
                outside.keys.push(bench.key.clone());
            }
            if let Brings::Held(at) = kind.brings {
                outside.checkpoints.push(bench.held[at].clone());
            }
            let mut seeded = Seeded(seeded.next());
            let victim = 5 + seeded.below(SEALED[1] - 10);
            let mut case = Case { root: root.clone(), seeded, outside, victim };
            let expect = (kind.act)(&bench, &mut case);
            let told = told(&audit_against(&root, &case.outside, &mut |_, _, _| {}).expect("it takes place"));
            let named = told.codes.contains(&kind.code) || expect == Expect::Unknowable;
            if !is_right(expect, told.first) || !named {
                wrong.push(format!(
                    "{} of {}: {expect:?} and {}, told {:?} {:?}",
                    kind.name, case.victim, kind.code, told.first, told.codes
                ));
            }
            if round == 0 {
                table.push(row(kind, expect, &told));
            }
            std::fs::remove_dir_all(root).expect("removed");
        }
    }
    let (found, limits) = (kinds.iter().filter(|kind| kind.code != kinds::NOTHING).count(), kinds.len());
    eprintln!(
        "| what is done | what the verifier has | findings | first bad |\n| --- | --- | --- | --- |\n{}",
        table.join("\n")
    );
    eprintln!("{found} kinds to be found, {} limits, 3 rounds each", limits - found);
    assert!(found >= 25 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn clean_logs_of_random_shape_raise_no_alarm() {
    let logs = std::env::var("MEDIMG_CLEAN_LOGS").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    eprintln!("{logs} logs, seeds from {SEED:#x}");
    for number in 0..logs {
        let mut seeded = Seeded(SEED + number);
        let folder = tempfile::tempdir().expect("a folder");
        let mut writing = Writing::begin(folder.path(), &mut seeded);
        let mut held = Vec::new();
        // Most are short; some reach into a second tile.
        let longest = if number % 25 == 0 { 300 } else { 25 };
        for _ in 0..seeded.below(4) {
            writing.append(seeded.below(longest), &mut seeded).await;
            if seeded.below(4) > 0 {
                held.push(writing.seal());
            }
        }
        drop(writing);
        let keys = crate::sealer::verifier_keys(folder.path()).expect("keys");
        held.retain(|note| !note.is_empty());
        let sealed = !held.is_empty();
        let outside = Outside { checkpoints: held, keys, ..Outside::default() };
        let audit = audit_against(folder.path(), &outside, &mut |_, _, _| {}).expect("it takes place");
        assert!(audit.is_sound(), "seed {:#x}: {audit:?}", SEED + number);
        assert!(
            audit.sealed.iter().flat_map(|sealed| &sealed.given).all(|(_, signed, agrees)| signed.is_some() && *agrees)
        );
        if sealed {
            let audit = audit_published(&folder.path().join("log").join("0"), &outside).expect("it takes place");
            assert!(audit.is_sound(), "seed {:#x}, published: {audit:?}", SEED + number);
        }
    }
}

#[tokio::test]
async fn a_published_log_by_itself_is_verified_and_every_changed_file_is_found() {
    eprintln!("seed {SEED:#x}");
    let mut seeded = Seeded(SEED + 1);
    let bench = Bench::new(&mut seeded).await;
    let folder = bench.root.join("log").join("0");
    let outside = Outside { keys: vec![bench.key.clone()], checkpoints: bench.held.clone(), ..Outside::default() };
    let audit = audit_published(&folder, &outside).expect("it takes place");
    assert!(audit.is_sound() && audit.ledger.entries == SEALED[3], "{audit:?}");
    for file in files(&folder.join("tile")) {
        let bytes = std::fs::read(&file).expect("read");
        let at = seeded.below(bytes.len() as u64) as usize;
        let mut changed = bytes.clone();
        changed[at] ^= 1 << seeded.below(8);
        std::fs::write(&file, &changed).expect("changed");
        let audit = audit_published(&folder, &outside).expect("it takes place");
        assert!(!audit.is_sound(), "byte {at} of {file:?} was changed");
        std::fs::write(&file, bytes).expect("put back");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// A key of somebody else under the name of the log.
fn other_key(bench: &Bench) -> NoteKey {
    NoteKey::from_seed(bench.key.name(), KeyKind::Ed25519, &[0x66; 32]).expect("a key")
}
