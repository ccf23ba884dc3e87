//! Comparisons of invented objects, right and mutated ones, with what the de-identification itself makes of them.

use std::fs;
use std::path::PathBuf;

use domain::dicom::VR;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::{Encoding, Note};
use domain::dicom::testkit::{self, DataSet, Length, Random};
use domain::ids::KeyedHash;

use super::*;

const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

/// What the pipeline makes of an object: the output, and the record that goes with it. `None` if it refuses the object.
fn made(raw: &[u8]) -> Option<(Vec<u8>, Record)> {
    let plan = testkit::deidentify_and_check(raw).ok()?;
    let (skeleton, inflated) = scan_slice(raw, Limits::default()).ok()?;
    let from = usize::try_from(skeleton.data_set).ok()?;
    let logical = inflated.map_or_else(|| raw.to_vec(), |inflated| [&raw[..from], &inflated].concat());
    let record = Record {
        stream: domain::ids::StreamId(KeyedHash([7; 16])),
        seq: 3,
        recorded_at: "2026-11-23T05:00:00.000Z".to_owned(),
        study: None,
        raw_is_received: true,
        out_is_written: true,
        order_noted: skeleton.notes.contains(&Note::Order),
        receipt: Receipt::read(&plan.receipt.packed).expect("a receipt"),
    };
    Some((testkit::assemble(&plan, &logical), record))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    async fn compare(&self, raw: &[u8], out: &[u8], record: Option<&Record>) -> Comparison {
        let [raw, out] = [("raw", raw), ("out", out)].map(|(name, bytes)| {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).expect("written");
            path
        });
        let (raw, out) = (read(&raw, Limits::default()).await, read(&out, Limits::default()).await);
        compare(&raw.expect("RAW reads"), &out.expect("OUT reads"), record)
    }
}

fn item(element: u16, value: &str) -> Vec<u8> {
    let encoding = Encoding::EXPLICIT_LE;
    DataSet::new(encoding).text(Tag(0x0008, element), VR::UI, value).text(Tag(0x0008, 0x0104), VR::LO, "Eva's").bytes()
}

/// A Secondary Capture with sequences, private attributes, a group length, and whatever comes last.
fn object(last: impl Fn(DataSet) -> DataSet) -> Vec<u8> {
    let references = vec![item(0x1155, "1.2.826.0.1.3680043.10.1.8"), item(0x1155, "1.2.826.0.1.3680043.10.1.9")];
    let set = DataSet::new(Encoding::EXPLICIT_LE)
        .element(Tag(0x0008, 0x0000), VR::UL, &[0; 4])
        .identity()
        .text(Tag(0x0008, 0x0060), VR::CS, "OT")
        .text(Tag(0x0008, 0x0070), VR::LO, "Maker")
        .text(Tag(0x0008, 0x0090), VR::PN, "Example^Physician")
        .sequence(Tag(0x0008, 0x1140), VR::SQ, Length::Undefined, references.clone())
        .sequence(Tag(0x0008, 0x2112), VR::SQ, Length::Defined, references)
        .text(Tag(0x0009, 0x0010), VR::LO, "MAKER")
        .text(Tag(0x0009, 0x1001), VR::LO, "Example^Eva")
        .text(Tag(0x0018, 0x1020), VR::LO, "v1")
        .text(Tag(0x0020, 0x4000), VR::LT, "seen by Example")
        .us(Tag(0x0028, 0x0002), 1)
        .text(Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2")
        .us(Tag(0x0028, 0x0010), 2)
        .us(Tag(0x0028, 0x0011), 2)
        .us(Tag(0x0028, 0x0100), 8)
        .us(Tag(0x0028, 0x0101), 8)
        .us(Tag(0x0028, 0x0102), 7)
        .us(Tag(0x0028, 0x0103), 0);
    last(set).bytes()
}

fn native() -> Vec<u8> {
    testkit::file(EXPLICIT_LE, &object(|set| set.element(Tag(0x7FE0, 0x0010), VR::OB, &[1, 2, 3, 4])))
}

fn segment(code: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&[0xFF, code], &length[..], content].concat()
}

/// One JPEG frame with a comment that names a person.
fn encapsulated() -> Vec<u8> {
    let tables = [segment(0xDB, &[7; 65]), segment(0xC0, &[8; 15]), segment(0xC4, &[0xFF; 20])].concat();
    let scan = [segment(0xDA, &[0; 10]), vec![1, 2, 3, 4]].concat();
    let frame = [&[0xFF, 0xD8][..], &segment(0xFE, b"Example^Eva!"), &tables, &scan, &[0xFF, 0xD9]].concat();
    let frame = if frame.len() % 2 == 1 { [frame, vec![0]].concat() } else { frame };
    testkit::file(JPEG, &object(|set| set.pixel_data(&[0], std::slice::from_ref(&frame))))
}

#[tokio::test]
async fn every_change_has_its_line_and_every_line_its_change() {
    let folder = Folder::new();
    let raw = native();
    let (out, record) = made(&raw).expect("accepted");
    let found = folder.compare(&raw, &out, Some(&record)).await;
    assert_eq!(found.unexplained(), 0, "{:?}", found.verdict);
    assert_eq!(found.pixels, Pixels::Identical);
    let places: Vec<&str> = found.verdict.changes.iter().map(|judged| judged.change.place.as_str()).collect();
    for place in ["(0008,0000)", "(0008,0090)", "(0009,1001)", "(0010,0010)", "(0012,0064)"] {
        assert!(places.contains(&place), "{place}: {places:?}");
    }
    let blind = folder.compare(&raw, &out, None).await;
    assert_eq!(blind.verdict.changes.len(), blind.unexplained() as usize);
}

#[tokio::test]
async fn a_stripped_segment_is_told_and_the_frames_are_the_same() {
    let folder = Folder::new();
    let raw = encapsulated();
    let (out, record) = made(&raw).expect("accepted");
    let found = folder.compare(&raw, &out, Some(&record)).await;
    assert_eq!((found.unexplained(), &found.pixels), (0, &Pixels::IdenticalButFor(BTreeMap::from([("COM", 1)]))));
    // A byte of a quantisation table: no segment that may go.
    let at = out.windows(8).position(|window| window == [7; 8]).expect("a table");
    let mut changed = out.clone();
    changed[at] ^= 1;
    let found = folder.compare(&raw, &changed, Some(&record)).await;
    assert_eq!((found.unexplained(), found.pixels), (1, Pixels::Different));
    // The comment is still there: the receipt says otherwise.
    let found = folder.compare(&raw, &raw, Some(&record)).await;
    assert_eq!(found.pixels, Pixels::Different);
}

#[tokio::test]
async fn every_bit_of_what_was_kept_counts() {
    let folder = Folder::new();
    let raw = native();
    let (out, record) = made(&raw).expect("accepted");
    // Manufacturer, Software Versions, Rows, and the pixels: kept as they were.
    for kept in [&b"Maker"[..], b"v1", &[0x28, 0, 0x10, 0, b'U', b'S', 2, 0, 2, 0], &[1, 2, 3, 4]] {
        let start = out.windows(kept.len()).rposition(|window| window == kept).expect("kept");
        for bit in 0..8 {
            let mut changed = out.clone();
            changed[start + kept.len() - 1] ^= 1 << bit;
            let found = folder.compare(&raw, &changed, Some(&record)).await;
            assert!(found.unexplained() > 0, "bit {bit} of {kept:?}");
        }
    }
}

#[tokio::test]
async fn another_vr_is_a_change_and_padding_is_none() {
    let folder = Folder::new();
    // An odd length is written even; nothing of the value changes.
    let pixels = vec![9; 301];
    let of = |len, padding: &[u8]| {
        let pixels = [&pixels, padding].concat();
        testkit::file(EXPLICIT_LE, &object(|set| set.header(Tag(0x7FE0, 0x0010), VR::OB, len).raw(&pixels)))
    };
    let found = folder.compare(&of(301, &[]), &of(302, &[0]), None).await;
    assert_eq!((found.pixels, found.verdict.changes.len()), (Pixels::Identical, 0));
    let found = folder.compare(&of(301, &[]), &of(302, &[1]), None).await;
    assert_eq!((found.pixels, found.verdict.changes.len()), (Pixels::Different, 1));
    let (out, record) = made(&native()).expect("accepted");
    let at = out.windows(6).position(|window| window == [8, 0, 0x70, 0, b'L', b'O']).expect("Manufacturer is kept");
    let mut changed = out.clone();
    changed[at + 4..at + 6].copy_from_slice(b"SH");
    let found = folder.compare(&native(), &changed, Some(&record)).await;
    assert_eq!(found.unexplained(), 1);
}

#[tokio::test]
async fn a_line_explains_as_many_dummies_as_it_counts() {
    let folder = Folder::new();
    let sequence = |values: [&str; 2]| {
        let inner = |value: &str| DataSet::new(Encoding::EXPLICIT_LE).text(Tag(0x0008, 0x0100), VR::SH, value).bytes();
        let item = |value: &str| {
            let set = DataSet::new(Encoding::EXPLICIT_LE);
            set.sequence(Tag(0x0040, 0x0008), VR::SQ, Length::Defined, vec![inner(value)]).bytes()
        };
        let items = values.iter().map(|value| item(value)).collect();
        let set = DataSet::new(Encoding::EXPLICIT_LE).identity();
        testkit::file(EXPLICIT_LE, &set.sequence(Tag(0x0040, 0x0275), VR::SQ, Length::Defined, items).bytes())
    };
    let (raw, out) = (sequence(["A1", "A2"]), sequence(["B1", "B2"]));
    let (_, mut record) = made(&native()).expect("accepted");
    for (count, unexplained) in [("", 1), (" *2", 0), (" *3", 1)] {
        record.receipt = Receipt::read(&format!("00400275.*.00400008 d r335{count}")).expect("a receipt");
        let found = folder.compare(&raw, &out, Some(&record)).await;
        assert_eq!(found.unexplained(), unexplained, "{count}: {:?}", found.verdict);
    }
}

/// Objects to mutate: invented ones, and real ones where `MEDIMG_CORPUS` names a folder of them.
fn seeds() -> Vec<Vec<u8>> {
    let big = DataSet::new(Encoding::EXPLICIT_BE).identity().us(Tag(0x0028, 0x0010), 2).bytes();
    let mut seeds = vec![native(), encapsulated(), testkit::file("1.2.840.10008.1.2.2", &big)];
    let folder = std::env::var_os("MEDIMG_CORPUS").map(PathBuf::from);
    let mut paths: Vec<PathBuf> = folder
        .and_then(|folder| fs::read_dir(folder).ok())
        .map(|entries| entries.take(10_000).flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort_unstable();
    seeds.extend(paths.into_iter().filter_map(|path| fs::read(path).ok()).filter(|bytes| bytes.len() < 200_000));
    seeds
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "the seed repeats a run")]
async fn the_receipt_explains_whatever_is_made_of_mutated_objects() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, seed) = (number("MEDIMG_MUTATIONS", 1_500), number("MEDIMG_SEED", 1));
    println!("seed {seed}, {count} mutations");
    let (folder, seeds, mut random) = (Folder::new(), seeds(), Random::new(seed));
    let (mut accepted, mut wrong) = (0, Vec::new());
    for turn in 0..count {
        let seed = &seeds[random.below(seeds.len())];
        let raw =
            if turn < seeds.len() as u64 { seeds[turn as usize].clone() } else { testkit::mutated(seed, &mut random) };
        let Some((out, record)) = made(&raw) else { continue };
        accepted += 1;
        let found = folder.compare(&raw, &out, Some(&record)).await;
        if found.unexplained() > 0 || found.pixels == Pixels::Different {
            let changes = found.verdict.changes.iter().filter(|judged| judged.why == Why::Unexplained);
            let places: Vec<_> =
                changes.map(|judged| (judged.change.place.clone(), judged.change.kind)).take(3).collect();
            let undone: Vec<_> = found.verdict.undone.iter().take(3).collect();
            wrong.push(format!("turn {turn}: {:?} {places:?} {undone:?}", found.pixels));
        }
    }
    assert!(accepted > count / 20, "only {accepted} of {count} were accepted");
    assert!(wrong.is_empty(), "{} of {accepted}:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"));
}

#[tokio::test]
async fn that_values_were_shown_is_recorded_with_the_person_and_the_object() {
    use ledger::Log as _;

    use crate::acting::Person;
    use crate::store::{Access, Store};
    use crate::surroundings::System;

    let folder = Folder::new();
    let store = Store::open(&folder.0.path().join("store"), Access::Work, "test", &System).expect("a store");
    let (_, record) = made(&native()).expect("accepted");
    let person = Person::of_user(&domain::Phi::new("jdoe".to_owned()), &store.keys);
    record_access(&store, &System, person, Some(&record)).await.expect("recorded");
    let rows = store.ledger.entries(0, 10).await.expect("read");
    assert_eq!(rows.len(), 1);
    let entry = &rows[0].entry;
    assert_eq!(entry.header.types.iter().collect::<Vec<_>>(), ["imaging.object.accessed.v1"]);
    assert!(
        entry.body.contains(&format!("\"object\":\"{}\"", record.stream))
            && entry.body.contains("\"purpose\":\"diff\"")
    );
    assert!(entry.header.actor.to_string().starts_with("u:k1:") && !entry.body.contains("jdoe"));
}
