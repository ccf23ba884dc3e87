//! Encapsulated pixel data: offset table, fragments, frames, cuts.

use super::*;
use crate::dicom::skeleton::{Content, Encapsulated};
use crate::dicom::testkit::{ITEM, SEQUENCE_DELIMITATION};

fn encapsulated(uid: &str, frames: &str, table: &[u32], fragments: &[Vec<u8>]) -> Encapsulated {
    let data_set = DataSet::new(LE).text(Tag(0x0028, 0x0008), VR::IS, frames).pixel_data(table, fragments);
    let skeleton = scanned(&file(uid, &data_set.bytes()));
    let found = skeleton.encapsulated.expect("encapsulated");
    assert_eq!(skeleton.elements[found.element as usize].content, Content::Fragments);
    found
}

#[test]
fn frames_are_told_apart_by_count_table_or_first_bytes() {
    let fragment = vec![0; 10];
    let fragments = |count| vec![fragment.clone(); count];
    assert_eq!(encapsulated(RLE, "1", &[], &fragments(3)).frames, [0]);
    assert_eq!(encapsulated(RLE, "3", &[], &fragments(3)).frames, [0, 1, 2]);
    assert_eq!(encapsulated(RLE, "2", &[0, 36], &fragments(3)).frames, [0, 2]);
    assert_eq!(encapsulated(RLE, "2", &[0, 37], &fragments(3)).frames, [0u32; 0], "the table names no fragment");
    assert_eq!(encapsulated(RLE, "2", &[], &fragments(3)).frames, [0u32; 0]);
    assert_eq!(encapsulated(RLE, "x ", &[], &fragments(3)).frames, [0u32; 0]);
    assert_eq!(encapsulated(RLE, "0", &[], &[]).frames, [0u32; 0]);
    let start = vec![0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 1, 2];
    let end = vec![1, 2, 3, 4, 0xFF, 0xD9];
    let split = encapsulated(JPEG, "2", &[], &[start.clone(), end.clone(), start, end]);
    assert_eq!((split.frames, split.cuts), (vec![0, 2], vec![]));
}

#[test]
fn fragments_and_table_are_where_they_stand() {
    let found = encapsulated(RLE, "2", &[0, 18], &[vec![1; 10], vec![2; 20]]);
    assert_eq!(found.basic_offset_table, [0, 18]);
    let lengths: Vec<u32> = found.fragments.iter().map(|fragment| fragment.len).collect();
    assert_eq!(lengths, [10, 20]);
    assert_eq!(found.fragments[1].value - found.fragments[0].value, 18);
}

#[test]
fn delimiter_bytes_inside_a_fragment_end_nothing() {
    let mut fragment = vec![0; 4];
    fragment.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    assert_eq!(encapsulated(RLE, "1", &[], &[fragment]).fragments[0].len, 12);
}

#[test]
fn fragments_of_an_icon_or_a_private_element_are_opaque() {
    let icon = DataSet::new(LE).pixel_data(&[], &[vec![9; 10]]).bytes();
    let data_set = DataSet::new(LE)
        .sequence(Tag(0x0088, 0x0200), VR::SQ, Length::Undefined, vec![icon])
        .header(Tag(0x7FE1, 0x1010), VR::OB, u32::MAX)
        .header(ITEM, VR::UN, 4)
        .raw(&[1; 4])
        .header(SEQUENCE_DELIMITATION, VR::UN, 0)
        .bytes();
    for uid in [EXPLICIT, JPEG] {
        let skeleton = scanned(&file(uid, &data_set));
        assert!(skeleton.encapsulated.is_none());
        let [_, _, icon, private] = skeleton.elements[..] else { panic!("four elements") };
        assert_eq!((icon.content, icon.undefined, icon.len), (Content::Range, true, 26));
        assert_eq!((private.content, private.undefined, private.len), (Content::Range, true, 12));
    }
}

#[test]
fn broken_fragments_are_refused() {
    let begin = || DataSet::new(LE).header(PIXEL_DATA, VR::OB, u32::MAX);
    for (data_set, reason) in [
        (begin().header(SEQUENCE_DELIMITATION, VR::UN, 0), Reason::BadLength),
        (begin().header(ITEM, VR::UN, 3).raw(&[0; 40]), Reason::BadLength),
        (begin().header(ITEM, VR::UN, u32::MAX).raw(&[0; 40]), Reason::BadLength),
        (begin().header(ITEM, VR::UN, 0).raw(&[0; 40]), Reason::BadLength),
        (begin().header(ITEM, VR::UN, 0), Reason::Truncated),
        (begin().header(ITEM, VR::UN, 0).header(ITEM, VR::UN, 100).raw(&[0; 40]), Reason::Truncated),
        (begin().header(ITEM, VR::UN, 400).raw(&[0; 40]), Reason::Truncated),
    ] {
        assert_eq!(refused(&file(RLE, &data_set.bytes())).reason, reason);
    }
    let limits = Limits { fragments_max: 2, ..Limits::default() };
    for (table, count, fits) in [(0, 2, true), (0, 3, false), (2, 1, true), (3, 1, false)] {
        let data_set = DataSet::new(LE).pixel_data(&vec![0; table], &vec![vec![]; count]).bytes();
        assert_eq!(scan_slice(&file(RLE, &data_set), limits).is_ok(), fits);
    }
}

#[test]
fn elements_behind_the_pixel_data_are_read() {
    let data_set =
        DataSet::new(LE).pixel_data(&[], &[vec![0; 4]]).element(Tag(0xFFFC, 0xFFFC), VR::OB, &[0; 6]).bytes();
    assert_eq!(scanned(&file(RLE, &data_set)).elements.len(), 2);
}

#[test]
fn pixel_data_that_stand_twice_are_refused_and_survive_what_follows() {
    let once = DataSet::new(LE).pixel_data(&[], &[vec![0; 4]]);
    let twice = once.clone().pixel_data(&[], &[vec![0; 4]]).bytes();
    assert_eq!(refused(&file(RLE, &twice)).reason, Reason::Pixel);
    // A UN that is no sequence after all takes back itself alone.
    let followed = once.element(REFERENCED, VR::UN, b"no sequence!").bytes();
    let skeleton = scanned(&file(RLE, &followed));
    assert_eq!(skeleton.elements.len(), 2);
    assert_eq!(skeleton.encapsulated.map(|found| found.fragments.len()), Some(1));
}
