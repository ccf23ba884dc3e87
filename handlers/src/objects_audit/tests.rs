//! Random stores, made of entries and files step by step as a run, a crash, a replay and a forgetting make them: in no state on
//! the way is anything called damage, and at the end a damage is found at the entry that names it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::Reason;
use domain::events::{
    Code as Word, Counts, Decision, Detail, Digest, Event, EventData, InstanceDeidentified, InstanceDelivered,
    InstanceIngested, InstanceQuarantined, Intake, ObjectReceived, PackedReceipt, ProcessedKey, RegisteredUid,
    ReplayCause, ReplayRequested, ReplayScope, RunId, SourceForgotten, StageToken, Tag, TagKind, Time,
};
use domain::ids::{IndexHash, KeyedHash, StreamId};
use domain::workflow::Step;
use ledger::{Actor, Ledger as _, Nonce, Open, Origin, SqliteLedger, StreamKey, UtcMillis};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::*;
use crate::audit::audit_with;
use crate::commit::ledger_decision;

/// SplitMix64: a seed, printed when a claim fails, gives the same store again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// How far an object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Nowhere,
    Copied,
    Received,
    Ingested,
    Staged,
    Named,
    Visible { already: bool },
    Delivered,
    Ended,
}

#[derive(Clone, Debug)]
struct Object {
    stream: StreamId,
    study: u8,
    bytes: Vec<u8>,
    key: ProcessedKey,
    copied: bool,
    stands: Stands,
}

/// A store that is made step by step.
struct Made {
    _folder: tempfile::TempDir,
    root: PathBuf,
    ledger: SqliteLedger,
    objects: Vec<Object>,
    entries: u64,
    /// Keys that are delivered, with the first entry that says so.
    delivered: BTreeMap<String, u64>,
    /// Copies that were forgotten and are still to be erased.
    to_erase: Vec<PathBuf>,
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn subject(study: u8) -> IndexHash {
    IndexHash { version: 1, hash: KeyedHash([study; 16]) }
}

impl Made {
    fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("canonical");
        for name in ["processed", "raw", "staging"] {
            fs::create_dir(root.join(name)).expect("a folder");
        }
        let origin = Origin::new("medimg", "test", [0; 16]).expect("an origin");
        let ledger = SqliteLedger::open(root.join("ledger.sqlite"), Open::CreateWith(origin)).expect("a ledger");
        // Two objects of one instance, with the same bytes or with others.
        let objects = (0..8u8).map(|number| Object {
            stream: StreamId(KeyedHash([number + 1; 16])),
            study: number % 3,
            bytes: vec![number / 2 + 100 * u8::from(number == 5); 40 + usize::from(number / 2)],
            key: ProcessedKey::of("2.25.1", "2.25.2", &format!("2.25.{}", 10 + number / 2)).expect("a key"),
            copied: number % 2 == 0,
            stands: Stands::Nowhere,
        });
        let objects = objects.collect();
        let (delivered, to_erase) = (BTreeMap::new(), Vec::new());
        Self { _folder: folder, root, ledger, objects, entries: 0, delivered, to_erase }
    }

    async fn say(&mut self, stream: StreamId, about: Option<IndexHash>, said: EventData) {
        let loaded = self.ledger.load(StreamKey(stream.0.0)).await.expect("loads");
        let id = Uuid::from_u128(u128::from(self.entries) + 1);
        let time = Time::from_unix_ms(0);
        let decision = Decision { id, stream, time, correlation_id: None, causation_id: None };
        let actor = Actor::system("intake").expect("a step");
        let decision = ledger_decision(id, &Event::of(&decision, vec![said]), about, actor).expect("a decision");
        let at = UtcMillis::from_unix_ms(0);
        self.ledger.append(&loaded.tip(), &decision, at, Nonce([0; 16])).await.expect("appended");
        self.entries += 1;
    }

    fn path(&self, object: &Object, area: &str) -> PathBuf {
        let folder = self.root.join(area);
        match area {
            "processed" => folder.join(object.key.as_str()),
            "raw" => folder.join(format!("{}.dcm", object.stream)),
            _ => folder.join(format!("{}-0", object.stream)),
        }
    }

    /// One thing happens to one object, or to a study.
    async fn step(&mut self, seeded: &mut Seeded) {
        if let Some(path) = self.to_erase.pop() {
            fs::remove_file(path).ok();
            return;
        }
        if seeded.one_in(25) {
            return self.forget(u8::try_from(seeded.below(3)).expect("small")).await;
        }
        let at = usize::try_from(seeded.below(self.objects.len() as u64)).expect("small");
        let object = self.objects[at].clone();
        let next = self.advance(&object, seeded).await;
        self.objects[at].stands = next;
    }

    async fn forget(&mut self, study: u8) {
        let said = SourceForgotten {
            sources: 1,
            copies: 1,
            notes: 0,
            unfinished: 0,
            reason: Digest([0; 32]),
            tags: vec![Tag { kind: TagKind::Study, hash: subject(study) }],
        };
        let stream = StreamId(KeyedHash([100 + u8::try_from(self.entries % 100).expect("small"); 16]));
        self.say(stream, Some(subject(study)), said.into()).await;
        // Found are those whose study was read; as `forget` finds them.
        let read = |object: &&Object| {
            object.study == study && !matches!(object.stands, Stands::Nowhere | Stands::Copied | Stands::Received)
        };
        let paths: Vec<PathBuf> = self.objects.iter().filter(read).map(|object| self.path(object, "raw")).collect();
        self.to_erase = paths.into_iter().filter(|path| path.exists()).collect();
    }

    async fn advance(&mut self, object: &Object, seeded: &mut Seeded) -> Stands {
        let (stream, about) = (object.stream, Some(subject(object.study)));
        let digest = sha256(&object.bytes);
        let size_bytes = object.bytes.len() as u64;
        match object.stands {
            Stands::Nowhere => {
                if object.copied {
                    fs::write(self.root.join("raw").join(format!("{stream}.part")), b"half").expect("written");
                    if seeded.one_in(2) {
                        return Stands::Nowhere; // Killed here, and begun again.
                    }
                    fs::remove_file(self.root.join("raw").join(format!("{stream}.part"))).expect("renamed");
                    fs::write(self.path(object, "raw"), &object.bytes).expect("written");
                }
                Stands::Copied
            }
            Stands::Copied => {
                let (intake, raw_copied) = (Intake::Process, object.copied);
                let said = ObjectReceived { sha256: digest, size_bytes, intake, raw_copied };
                self.say(stream, None, said.into()).await;
                Stands::Received
            }
            Stands::Received => {
                self.say(stream, about, ingested(object.study).into()).await;
                Stands::Ingested
            }
            Stands::Ingested => {
                fs::write(self.path(object, "staging"), &object.bytes).expect("written");
                Stands::Staged
            }
            Stands::Staged => {
                self.say(stream, about, deidentified(object).into()).await;
                Stands::Named
            }
            Stands::Named => self.publish(object).await,
            Stands::Visible { already } => {
                let said =
                    InstanceDelivered { key: object.key.clone(), sha256: digest, size_bytes, already_present: already };
                self.delivered.entry(object.key.to_string()).or_insert(self.entries);
                self.say(stream, about, said.into()).await;
                Stands::Delivered
            }
            Stands::Delivered => {
                fs::remove_file(self.path(object, "staging")).ok();
                Stands::Ended
            }
            Stands::Ended => {
                self.say(stream, about, replayed().into()).await;
                Stands::Named
            }
        }
    }

    async fn publish(&mut self, object: &Object) -> Stands {
        let path = self.path(object, "processed");
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        match fs::read(&path) {
            Err(_) => fs::write(&path, &object.bytes).expect("written"),
            Ok(found) if found == object.bytes => return Stands::Visible { already: true },
            Ok(_) => {
                let (reason, step) = (Reason::DupConflict, Step::Delivery);
                let (detail, tags) = (Detail::of("another one is delivered"), Vec::new());
                let said = InstanceQuarantined { reason, step, detail, at: None, profile_digest: None, tags };
                self.say(object.stream, Some(subject(object.study)), said.into()).await;
                return Stands::Ended;
            }
        }
        Stands::Visible { already: false }
    }
}

fn ingested(study: u8) -> InstanceIngested {
    InstanceIngested {
        transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
        sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
        modality: None,
        elements: 9,
        notes: Vec::new(),
        tags: vec![Tag { kind: TagKind::Study, hash: subject(study) }],
    }
}

fn deidentified(object: &Object) -> InstanceDeidentified {
    InstanceDeidentified {
        profile: Word::fixed("basic"),
        profile_digest: Digest([3; 32]),
        edition: Word::fixed("2026c"),
        key: object.key.clone(),
        sha256: sha256(&object.bytes),
        size_bytes: object.bytes.len() as u64,
        transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
        stage: StageToken::parse(&format!("{}-0", object.stream)).expect("a token"),
        receipt: PackedReceipt::parse("00100010 Z r301").expect("a receipt"),
        counts: Counts::of(&[('Z', 1)]).expect("counts"),
        tags: Vec::new(),
    }
}

fn replayed() -> ReplayRequested {
    ReplayRequested {
        scope: ReplayScope::Object,
        cause: ReplayCause::OperatorAsked,
        from_step: Step::Delivery,
        run: RunId::parse("01931234-5678-7abc-8def-0123456789ab").expect("a run"),
        profile_digest: None,
        reason_given: true,
        streams: None,
        note_digest: None,
        tags: Vec::new(),
    }
}

fn audited(root: &Path) -> Report {
    let mut claims = Claims::new(root).expect("claims");
    audit_with(root, &mut |index, header, events| claims.entry(index, header, events)).expect("it takes place");
    super::audit(claims, root, 2, &mut |_| {}).expect("it takes place")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn a_store_in_any_state_that_a_run_can_leave_raises_no_alarm() {
    let (stores, steps) = (17, 60);
    let (mut states, mut pending, mut remarks) = (0, 0, BTreeMap::new());
    for seed in 0..stores {
        let (mut made, mut seeded) = (Made::empty(), Seeded(seed));
        for step in 0..steps {
            runtime().block_on(made.step(&mut seeded));
            let report = audited(&made.root);
            let found: Vec<_> = report.findings().collect();
            assert!(report.is_sound(), "seed {seed}, step {step}: {found:?}\n{:?}", made.objects);
            assert_eq!(report.entries, made.entries);
            pending += report.remarks.get(&Remark::Pending).copied().unwrap_or(0);
            report.remarks.keys().for_each(|remark| *remarks.entry(*remark).or_insert(0) += 1);
            states += 1;
        }
        damage(&made, &mut seeded, seed);
    }
    // The campaign went through what it is for.
    assert!(states > 1_000 && pending > 0 && remarks.len() == Remark::ALL.len(), "{states} states, {remarks:?}");
}

/// Damages a delivered object and claims that exactly that is found.
fn damage(made: &Made, seeded: &mut Seeded, seed: u64) {
    let at = usize::try_from(seeded.below(made.delivered.len() as u64)).expect("small");
    let (key, leaf_index) = made.delivered.iter().nth(at).expect("something is delivered");
    let path = made.root.join("processed").join(key);
    let bytes = fs::read(&path).expect("read");
    let mut changed = bytes.clone();
    let byte = usize::try_from(seeded.below(bytes.len() as u64)).expect("small");
    changed[byte] ^= 1 << seeded.below(8);
    let code = match seeded.below(3) {
        0 => fs::remove_file(&path).map(|()| Code::ObjectMissing),
        1 => fs::write(&path, &bytes[..byte]).map(|()| Code::ObjectChanged),
        _ => fs::write(&path, changed).map(|()| Code::ObjectChanged),
    };
    let report = audited(&made.root);
    let found: Vec<_> = report.findings().collect();
    assert_eq!(found.len(), 1, "seed {seed}: {found:?}");
    assert_eq!(found[0].code, code.expect("damaged"), "seed {seed}");
    assert_eq!(report.first_bad().map(|named| named.leaf_index), Some(*leaf_index), "seed {seed}: {found:?}");
}

#[test]
fn of_more_findings_than_are_listed_the_first_are_listed_and_all_are_counted() {
    let mut report = Report::of(0);
    for leaf_index in (0..1_000).rev() {
        let at = Some(Named::of(claims::At { log: 0, leaf_index }, None));
        let (code, area) = (Code::ObjectMissing, Area::Processed);
        report.add(Finding { at, code, area, name: None, number: None, size_bytes: None, bytes_of: None });
    }
    assert_eq!((report.findings().count(), report.findings_count), (FINDINGS_MAX, 1_000));
    assert_eq!(report.first_bad().map(|named| named.leaf_index), Some(0));
}
