//! Bundles made of a store whose log the sealer published. That they check out with their own scripts, and no changed copy
//! does, is for `tests/oracles/prove_run.py`.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use domain::Phi;
use domain::events::{
    Decision, Digest, Event, EventData, InstanceIngested, Intake, ObjectReceived, RegisteredUid, Tag, TagKind, Time,
};
use domain::ids::{KeyedHash, StreamId};
use ledger::proof::{TileSet, inclusion_ranges};
use ledger::tiles::Edge;
use ledger::{Actor, Checkpoint, Ledger as _, Log as _, Nonce, StreamKey, UtcMillis};
use serde_json::Value;
use uuid::Uuid;

use super::tree::Tree;
use super::*;
use crate::commit::ledger_decision;
use crate::sealer::StoreSealer;
use crate::store::Access;
use crate::surroundings::System;
use crate::views::testkit::block_on;

const STUDY: &str = "1.2.3.4.5";
const OTHER: &str = "1.2.3.4.6";
const AT_MS: u64 = 1_790_812_800_000;

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    /// A sealed store: six objects in turn of two studies, each received and then ingested.
    fn sealed() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store"), Access::Work, "test", &System).expect("a store");
        let place = Self { folder, store };
        for object in 0..6 {
            place.receive(object);
        }
        for object in 0..6 {
            place.ingest(object, if object % 2 == 0 { STUDY } else { OTHER });
        }
        place.seal();
        place
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn seal(&self) {
        block_on(StoreSealer::open(&self.root()).expect("a sealer").seal()).expect("sealed");
    }

    fn size(&self) -> u64 {
        block_on(self.store.ledger.head()).expect("a head").size
    }

    fn receive(&self, object: u8) {
        let sha256 = Digest([object; 32]);
        let said = ObjectReceived { sha256, size_bytes: 9, intake: Intake::Process, raw_copied: false };
        self.say(object, None, "system:intake", said.into());
    }

    fn ingest(&self, object: u8, study: &str) {
        let hash = self.store.keys.study_k(&Phi::new(study.to_owned()));
        let said = InstanceIngested {
            transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
            sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
            modality: None,
            elements: 9,
            notes: Vec::new(),
            tags: vec![Tag { kind: TagKind::Study, hash }],
        };
        self.say(object, Some(hash), "system:ingestion", said.into());
    }

    fn say(&self, object: u8, about: Option<IndexHash>, actor: &str, said: EventData) {
        let stream = StreamId(KeyedHash([object; 16]));
        let loaded = block_on(self.store.ledger.load(StreamKey([object; 16]))).expect("loads");
        let id = Uuid::from_u128(u128::from(object) << 32 | loaded.entries.len() as u128);
        let time = Time::from_unix_ms(AT_MS as i64);
        let events = Event::of(&Decision { id, stream, time, correlation_id: None, causation_id: None }, vec![said]);
        let decision = ledger_decision(id, &events, about, Actor::parse(actor).expect("an actor")).expect("a decision");
        let tip = loaded.tip();
        let appended = self.store.ledger.append(&tip, &decision, UtcMillis::from_unix_ms(AT_MS), Nonce([1; 16]));
        block_on(appended).expect("appended");
    }

    fn person(&self) -> Person {
        Person::of_user(&Phi::new("a person".to_owned()), &self.store.keys)
    }

    fn request(&self, asked: Asked) -> Request {
        Request { asked, log: None, with_log: true, checkpoint: None, size_min: self.size() }
    }

    fn made(&self, request: &Request, name: &str) -> Result<(Made, Bundle)> {
        let path = self.folder.path().join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        let made = block_on(prove(&self.store, &System, self.person(), request, file))?;
        Ok((made, Bundle::read(&path)))
    }

    fn code(&self, request: &Request) -> &'static str {
        self.made(request, "refused.zip").expect_err("refused").code()
    }
}

/// The members of a bundle, in their order.
#[derive(Debug)]
struct Bundle(Vec<(String, Vec<u8>)>);

impl Bundle {
    fn read(path: &Path) -> Self {
        let mut zip = zip::ZipArchive::new(File::open(path).expect("a file")).expect("a zip");
        let mut members = Vec::new();
        for at in 0..zip.len() {
            let (mut member, mut bytes) = (zip.by_index(at).expect("a member"), Vec::new());
            member.read_to_end(&mut bytes).expect("read");
            members.push((member.name().expect("a name").into_owned(), bytes));
        }
        Self(members)
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn bytes(&self, name: &str) -> &[u8] {
        &self.0.iter().find(|(other, _)| other == name).expect(name).1
    }

    fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.bytes(name)).expect("text")
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        self.text(name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn leaves(&self, name: &str) -> Vec<u64> {
        self.lines(name).iter().map(|line| line["leafindex"].as_u64().expect("a number")).collect()
    }
}

fn study(name: &str) -> Asked {
    Asked::Study(Phi::new(name.to_owned()))
}

#[test]
fn a_study_is_every_entry_that_carries_it_and_all_others_of_their_streams() {
    let place = Place::sealed();
    let (made, bundle) = place.made(&place.request(study(STUDY)), "study.zip").expect("made");
    assert_eq!((made.entries, made.carrying, made.streams, made.size), (6, 3, 3, 12));
    let leaves = [0, 2, 4, 6, 8, 10];
    assert_eq!(bundle.leaves("entries.ndjson"), leaves);
    assert_eq!(bundle.leaves("proofs.ndjson"), leaves);
    let statement: Value = serde_json::from_str(bundle.text("statement.json")).expect("JSON");
    assert_eq!(statement["leaves"], serde_json::json!(leaves));
    assert_eq!(statement["carrying"], serde_json::json!([6, 8, 10]));
    let subject = format!("{}", place.store.keys.study_k(&Phi::new(STUDY.to_owned())));
    assert_eq!(statement["subjects"], serde_json::json!([subject]));
    let (names, mut sorted) = (bundle.names(), bundle.names());
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    assert!(names.contains(&"log/tile/entries/000.p/12") && names.contains(&"log/tile/0/000.p/12"), "{names:?}");
}

#[test]
fn a_bundle_of_an_entry_holds_no_other_header() {
    let place = Place::sealed();
    for asked in [Asked::Leaf(8), Asked::Entry(StreamKey([2; 16]), 1)] {
        let (made, bundle) = place.made(&place.request(asked), "entry.zip").expect("made");
        assert_eq!((made.kind, made.entries), (Kind::Entry, 1));
        assert_eq!(bundle.leaves("entries.ndjson"), [8]);
        assert!(!bundle.names().iter().any(|name| name.starts_with("log/")), "{:?}", bundle.names());
        assert!(bundle.text("8.tlog-proof").starts_with("c2sp.org/tlog-proof@v1\nindex 8\n"));
        let headers: usize = bundle.0.iter().map(|(_, bytes)| count(bytes, b"imgledger/v1\\nmedimg/")).sum();
        assert_eq!(headers, 1, "headers as JSON spells them");
        assert!(bundle.0.iter().all(|(_, bytes)| count(bytes, b"imgledger/v1\nmedimg/") == 0), "headers as they are");
    }
    let (made, bundle) = place.made(&place.request(Asked::Stream(StreamKey([2; 16]))), "stream.zip").expect("made");
    assert_eq!((made.kind, bundle.leaves("entries.ndjson")), (Kind::Stream, vec![2, 8]));
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).filter(|window| *window == wanted).count()
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes_whatever_was_recorded_since() {
    let place = Place::sealed();
    let (first, bundle) = place.made(&place.request(study(STUDY)), "first.zip").expect("made");
    block_on(record(&place.store, &System, place.person(), &first)).expect("recorded");
    place.receive(9);
    place.ingest(9, STUDY);
    place.seal();
    let earlier = Some(checkpoint_of(&place.store, first.size).expect("it was published"));
    let again = Request { checkpoint: earlier, ..place.request(study(STUDY)) };
    let (second, other) = place.made(&again, "second.zip").expect("made");
    assert_eq!((second.sha256, other.0), (first.sha256, bundle.0));
    let (third, _) = place.made(&place.request(study(STUDY)), "third.zip").expect("made");
    assert_eq!(third.entries, first.entries + 3, "an object of two entries, and the record of the first bundle");
    assert_eq!(checkpoint_of(&place.store, 3).expect_err("none").code(), "checkpoint_unknown");
}

#[test]
fn what_no_checkpoint_covers_is_not_proved() {
    let place = Place::sealed();
    place.receive(9);
    for asked in [study(STUDY), Asked::Leaf(12), Asked::Leaf(3), Asked::Stream(StreamKey([9; 16]))] {
        assert_eq!(place.code(&place.request(asked)), "not_sealed");
    }
    let before = Request { size_min: 12, ..place.request(Asked::Leaf(12)) };
    assert_eq!(place.code(&before), "not_sealed");
    place.seal();
    assert_eq!(place.made(&before, "after.zip").expect("made").0.entries, 1);
}

#[test]
fn a_published_log_that_is_not_what_was_signed_gives_no_bundle() {
    let changed = ["tile/0/000.p/12", "tile/entries/000.p/12"];
    for name in changed {
        let place = Place::sealed();
        let path = place.root().join("log/0").join(name);
        let mut bytes = fs::read(&path).expect("a tile");
        let at = bytes.len() - 9;
        bytes[at] ^= 1;
        fs::write(&path, bytes).expect("written");
        assert_eq!(place.code(&place.request(study(STUDY))), "tiles_damaged", "{name}");
        if name.starts_with("tile/0") {
            assert_eq!(place.code(&place.request(Asked::Leaf(3))), "tiles_damaged");
        }
        fs::remove_file(&path).expect("removed");
        assert_eq!(place.code(&place.request(study(STUDY))), "tiles_damaged", "{name} is gone");
    }
    let place = Place::sealed();
    let path = place.root().join("log/0/checkpoint");
    let text = fs::read_to_string(&path).expect("a checkpoint").replacen("\n12\n", "\n11\n", 1);
    fs::write(&path, text).expect("written");
    assert_eq!(place.code(&Request { size_min: 0, ..place.request(Asked::Leaf(3)) }), "tiles_damaged");
}

#[test]
fn a_bundle_is_recorded_with_its_digest_and_so_is_who_asked_in_vain() {
    let place = Place::sealed();
    let (made, _) = place.made(&place.request(study(STUDY)), "study.zip").expect("made");
    block_on(record(&place.store, &System, place.person(), &made)).expect("recorded");
    let last = || {
        let rows = block_on(place.store.ledger.entries(place.size() - 1, 1)).expect("entries");
        let body: Value = serde_json::from_str(&rows[0].entry.body).expect("JSON");
        (rows[0].entry.header.clone(), body[0]["data"].clone())
    };
    let (header, said) = last();
    assert_eq!(said["sha256"], made.sha256.to_string());
    assert_eq!((&said["format"], &said["scope"]), (&"proof".into(), &"study".into()));
    assert_eq!(said["as_of_size"], 12);
    let subject = header.subject.map(|subject| subject.to_string());
    assert_eq!(subject, Some(place.store.keys.study_k(&Phi::new(STUDY.to_owned())).to_string()));
    for (asked, code) in [
        (study("1.2.3"), "study_unknown"),
        (Asked::Leaf(1_000), "entry_unknown"),
        (Asked::Stream(StreamKey([77; 16])), "stream_unknown"),
        (Asked::Entry(StreamKey([2; 16]), 2), "entry_unknown"),
    ] {
        let before = place.size();
        assert_eq!(place.code(&place.request(asked)), code);
        assert_eq!((place.size(), &last().1["matched"]), (before + 1, &0.into()));
    }
}

#[test]
fn proofs_of_neighbours_are_those_that_are_made_one_by_one() {
    for size in [1_u64, 2, 3, 255, 256, 257, 300, 513, 65_535, 65_537, 66_100] {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut edge, mut tiles) = (Edge::new(), Vec::new());
        for leaf in 0..size {
            edge.push(format!("leaf {leaf}").as_bytes(), &mut tiles).expect("short");
        }
        tiles.extend(edge.partial());
        for (path, bytes) in &tiles {
            let path = folder.path().join(path.to_string());
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        }
        let origin = Origin::new("medimg", "test", [7; 16]).expect("an origin");
        let published = Published::in_folder(folder.path(), Checkpoint::new(&origin, size, edge.root()));
        let mut whole = TileSet::new(size);
        assert!(
            tiles.into_iter().all(|(path, bytes)| path.to_string().contains("entries") || whole.insert(path, bytes))
        );
        let mut tree = Tree::of(&published);
        let step = (size / 700).max(1) as usize;
        for leaf in (0..size).step_by(step).chain([size - 1]) {
            let proof = tree.inclusion(leaf).expect("a proof");
            assert_eq!(Some(proof), whole.hashes(&inclusion_ranges(leaf, size)), "leaf {leaf} of {size}");
        }
        assert!(tree.leaf(size).is_err(), "there is no leaf behind the last");
    }
}
