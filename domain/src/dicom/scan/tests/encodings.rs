//! What is read, and how, in each transfer syntax and in files that are odd but readable.

use super::*;
use crate::dicom::skeleton::Content;
use crate::dicom::testkit::{ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, meta};

/// (tag, VR, kept value) of every element, items left out.
fn flat(skeleton: &Skeleton) -> Vec<(Tag, VR, Option<Vec<u8>>)> {
    let elements = skeleton.elements.iter().filter(|element| element.content != Content::Item);
    elements.map(|element| (element.tag, element.vr, skeleton.bytes(element).map(<[u8]>::to_vec))).collect()
}

#[test]
fn explicit_little_big_and_deflated_give_the_same_elements() {
    let plain = scanned(&file(EXPLICIT, &sample(LE)));
    assert_eq!(plain.elements.len(), 23);
    let big = scanned(&file(BIG, &sample(Encoding::EXPLICIT_BE)));
    assert_eq!(flat(&big).len(), flat(&plain).len());
    for (ours, theirs) in flat(&big).iter().zip(flat(&plain)) {
        let number = ours.1 == VR::US;
        assert!(number || *ours == theirs, "{ours:?} {theirs:?}");
    }
    let (inflated, data_set) = scan_slice(&deflated(&sample(LE)), Limits::default()).unwrap();
    assert_eq!(flat(&inflated), flat(&plain));
    assert_eq!(data_set.unwrap(), sample(LE));
    assert!(inflated.syntax.deflated);
    assert_eq!(inflated.len - inflated.data_set, sample(LE).len() as u64);
}

#[test]
fn implicit_takes_its_vrs_from_the_dictionary() {
    let skeleton = scanned(&file(IMPLICIT, &sample(Encoding::IMPLICIT_LE)));
    let of = |tag| skeleton.elements[skeleton.find(None, tag).unwrap()];
    assert_eq!(of(Tag(0x0008, 0x1115)).vr, VR::SQ);
    assert_eq!(of(Tag(0x0009, 0x0010)).vr, VR::LO);
    assert_eq!(of(PIXEL_DATA).vr, VR::OW);
    assert_eq!(of(PIXEL_DATA).content, Content::Range);
    assert_eq!(of(Tag(0x0009, 0x1001)).content, Content::Sequence, "a private element without a length is a sequence");
    assert_eq!(skeleton.notes, []);
}

#[test]
fn subtrees_lengths_and_offsets_are_those_of_the_source() {
    let bytes = file(EXPLICIT, &sample(LE));
    let skeleton = scanned(&bytes);
    let sequence = skeleton.find(None, Tag(0x0008, 0x1115)).unwrap();
    let items: Vec<usize> = skeleton.children(Some(sequence)).collect();
    assert_eq!(items.len(), 2);
    let inner = skeleton.find(Some(items[1]), REFERENCED).unwrap();
    let inner_items: Vec<usize> = skeleton.children(Some(inner)).collect();
    assert_eq!(inner_items.len(), 2);
    assert!(skeleton.elements[inner].undefined);
    let uid = skeleton.find(Some(inner_items[1]), REFERENCED_UID).unwrap();
    assert_eq!(skeleton.bytes(&skeleton.elements[uid]), Some(&b"1.2.3\0"[..]));
    for element in &skeleton.elements {
        let value = &bytes[element.value as usize..(element.value + element.len) as usize];
        if let Some(kept) = skeleton.bytes(element) {
            assert_eq!(kept, value);
        }
        if element.undefined {
            let delimiter = &bytes[element.value as usize + value.len()..][..8];
            assert_eq!(&delimiter[..2], [0xFE, 0xFF], "an undefined length ends before its delimiter");
        }
    }
    assert_eq!(skeleton.data_set_end, bytes.len() as u64);
}

#[test]
fn every_vr_is_read_in_its_own_form() {
    let vrs = [
        "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW",
        "PN", "SH", "SL", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV",
    ];
    for encoding in [LE, Encoding::EXPLICIT_BE] {
        let mut data_set = DataSet::new(encoding);
        for (number, vr) in vrs.iter().enumerate() {
            let vr = VR::from_binary(vr.as_bytes().try_into().unwrap()).unwrap();
            data_set = data_set.element(Tag(0x0011, 0x1000 + number as u16), vr, &[b'1'; 8]);
        }
        let skeleton = scanned(&file(if encoding == LE { EXPLICIT } else { BIG }, &data_set.bytes()));
        let found: Vec<&str> = skeleton.elements.iter().map(|element| element.vr.to_string()).collect();
        assert_eq!(found, vrs);
    }
}

#[test]
fn text_is_kept_and_bulk_stays_a_range() {
    let data_set = DataSet::new(LE)
        .element(Tag(0x0011, 0x1001), VR::UT, &[b'a'; 1 << 20])
        .element(Tag(0x0011, 0x1002), VR::UT, &[b'a'; (1 << 20) + 2])
        .element(Tag(0x0011, 0x1003), VR::OB, &[1; 256])
        .element(Tag(0x0011, 0x1004), VR::OB, &[1; 258])
        .element(Tag(0x0011, 0x1005), VR::UN, &[1; 258])
        .element(Tag(0x0011, 0x1006), VR::US, &[1; 258])
        .element(Tag(0x0011, 0x1007), VR::DS, &[b'1'; 258])
        .element(Tag(0x0011, 0x1008), VR::LO, &[b'1'; 258]);
    let skeleton = scanned(&file(EXPLICIT, &data_set.bytes()));
    let kept: Vec<bool> = skeleton.elements.iter().map(|element| element.content != Content::Range).collect();
    assert_eq!(kept, [true, false, true, false, false, false, false, true]);
}

#[test]
fn un_of_undefined_length_is_implicit_little_endian_in_any_data_set() {
    let item = DataSet::new(Encoding::IMPLICIT_LE).text(REFERENCED_UID, VR::UI, "1.2.3").bytes();
    let inside = DataSet::new(Encoding::IMPLICIT_LE)
        .items(Length::Undefined, vec![item])
        .header(SEQUENCE_DELIMITATION, VR::UN, 0)
        .bytes();
    for (uid, encoding) in [(EXPLICIT, LE), (BIG, Encoding::EXPLICIT_BE)] {
        for tag in [REFERENCED, Tag(0x0009, 0x1001)] {
            let data_set = DataSet::new(encoding).header(tag, VR::UN, u32::MAX).raw(&inside).us(Tag(0x0028, 0x0010), 1);
            let skeleton = scanned(&file(uid, &data_set.bytes()));
            let [sequence, item, uid, rows] = skeleton.elements[..] else { panic!("four elements") };
            assert_eq!((sequence.content, sequence.was_un), (Content::Sequence, tag == REFERENCED));
            assert_eq!(item.encoding, Encoding::IMPLICIT_LE);
            assert_eq!(uid.vr, VR::UI);
            assert_eq!(rows.encoding, encoding);
        }
    }
}

#[test]
fn un_of_defined_length_is_a_sequence_only_if_it_can_be_read_as_one() {
    let item = DataSet::new(Encoding::IMPLICIT_LE).text(REFERENCED_UID, VR::UI, "1.2.3").bytes();
    let good = DataSet::new(Encoding::IMPLICIT_LE).items(Length::Defined, vec![item.clone()]).bytes();
    let mut cut = good.clone();
    cut.truncate(good.len() - 2);
    let nested =
        DataSet::new(Encoding::IMPLICIT_LE).sequence(REFERENCED, VR::SQ, Length::Defined, vec![item.clone(); 40]);
    let long = DataSet::new(Encoding::IMPLICIT_LE).items(Length::Undefined, vec![nested.bytes()]).bytes();
    let mut long_cut = long.clone();
    let last = long_cut.len() - 1;
    long_cut[last] = 7;
    for (value, is_sequence) in [(good, true), (cut, false), (long, true), (long_cut, false), (vec![], true)] {
        let data_set = DataSet::new(LE).element(REFERENCED, VR::UN, &value).text(REFERENCED_UID, VR::UI, "1.2").bytes();
        let bytes = file(EXPLICIT, &data_set);
        for size in [1, 300, usize::MAX >> 1] {
            let skeleton = scan_in_windows(&bytes, size).unwrap();
            let element = skeleton.elements[0];
            assert_eq!(element.was_un, is_sequence, "{} bytes", value.len());
            assert_eq!(element.vr, if is_sequence { VR::SQ } else { VR::UN });
            assert_eq!(element.len, value.len() as u64);
            assert_eq!(skeleton.find(None, REFERENCED_UID), Some(element.end as usize));
            if !is_sequence && value.len() <= 256 {
                assert_eq!(skeleton.bytes(&element), Some(&value[..]));
            }
        }
    }
}

#[test]
fn un_of_a_known_tag_has_the_vr_of_the_dictionary() {
    let data_set = DataSet::new(LE).text(Tag(0x0010, 0x0010), VR::UN, "Example^Eva").bytes();
    let skeleton = scanned(&file(EXPLICIT, &data_set));
    assert_eq!((skeleton.elements[0].vr, skeleton.elements[0].was_un), (VR::PN, true));
}

#[test]
fn files_without_meta_are_read_in_the_encoding_that_is_found() {
    for (encoding, uid) in [(LE, EXPLICIT), (Encoding::IMPLICIT_LE, IMPLICIT), (Encoding::EXPLICIT_BE, BIG)] {
        let bare = scanned(&sample(encoding));
        assert_eq!((bare.syntax.uid.as_str(), bare.preamble), (uid, false));
        assert_eq!(bare.notes, [Note::NoMeta]);
        let mut prefixed = vec![0; 128];
        prefixed.extend_from_slice(b"DICM");
        prefixed.extend(sample(encoding));
        assert_eq!(flat(&scanned(&prefixed)), flat(&bare));
    }
}

#[test]
fn damaged_meta_is_read_where_its_end_is_plain() {
    let data_set = sample(LE);
    let whole = meta(EXPLICIT);
    let mut wrong_length = whole.clone();
    wrong_length[8] ^= 4;
    let no_length = &whole[12..];
    let no_syntax = &whole[..whole.len() - 28];
    for (bytes, notes) in [
        ([&wrong_length[..], &data_set].concat(), vec![Note::MetaGroupLength]),
        ([no_length, &data_set].concat(), vec![Note::MetaGroupLength]),
        ([no_syntax, &data_set].concat(), vec![Note::MetaGroupLength, Note::NoTransferSyntax]),
        ([&whole[..], &data_set].concat(), vec![]),
    ] {
        let skeleton = scanned(&bytes);
        assert_eq!(skeleton.notes, notes);
        assert_eq!(skeleton.syntax.uid, EXPLICIT);
        assert_eq!(skeleton.elements.len(), 23);
    }
}

#[test]
fn a_transfer_syntax_may_be_padded_with_nul_or_space() {
    for padding in ["\0", " ", "\0\0", "  "] {
        let uid = format!("{EXPLICIT}{padding}");
        assert_eq!(scanned(&file(&uid, &sample(LE))).syntax.uid, EXPLICIT);
    }
}

#[test]
fn what_follows_the_data_set_is_noted_and_left_out() {
    let good = file(EXPLICIT, &sample(LE));
    for (tail, elements) in
        [(vec![0; 7], 23), (vec![0; 5000], 23), (vec![0xFF; 64], 23), (b"Example^Eva ".repeat(9), 23)]
    {
        let skeleton = scanned(&[&good[..], &tail].concat());
        assert_eq!(skeleton.notes, [Note::TrailingBytes], "{tail:?}");
        assert_eq!(skeleton.elements.len(), elements);
        assert_eq!(skeleton.data_set_end, good.len() as u64);
        assert_eq!(skeleton.len, (good.len() + tail.len()) as u64);
    }
    let padded = DataSet::new(LE).raw(&sample(LE)).element(Tag(0xFFFC, 0xFFFC), VR::OB, &[0; 40]).bytes();
    let skeleton = scanned(&file(EXPLICIT, &padded));
    assert_eq!((skeleton.elements.len(), skeleton.notes.len()), (24, 0));
    // The same without pixels: only a run of one byte is padding.
    for (uid, encoding) in [(EXPLICIT, LE), (IMPLICIT, Encoding::IMPLICIT_LE), (BIG, Encoding::EXPLICIT_BE)] {
        let report = file(uid, &DataSet::new(encoding).identity().bytes());
        let skeleton = scanned(&[&report[..], &[0; 513]].concat());
        assert_eq!((skeleton.elements.len(), &skeleton.notes[..]), (6, &[Note::TrailingBytes][..]), "{uid}");
    }
}

#[test]
fn oddities_are_noted_and_read() {
    let item = DataSet::new(LE).text(REFERENCED_UID, VR::UI, "1.2.3").bytes();
    let identity = || DataSet::new(LE).text(Tag(0x0008, 0x0018), VR::UI, "1.2");
    let open_in_item = DataSet::new(LE).sequence(REFERENCED, VR::SQ, Length::Open, vec![item.clone()]).bytes();
    for (data_set, note) in [
        (identity().us(Tag(0x0028, 0x0010), 1).us(Tag(0x0028, 0x0008), 1), Note::Order),
        (identity().text(Tag(0x0008, 0x0018), VR::UI, "1.2"), Note::Order),
        (identity().element(COMMENTS, VR::LT, b"odd"), Note::OddLength),
        (identity().sequence(Tag(0x0008, 0x1115), VR::SQ, Length::Defined, vec![open_in_item]), Note::NoDelimiter),
        (
            identity()
                .sequence(REFERENCED, VR::SQ, Length::Defined, vec![item.clone()])
                .header(SEQUENCE_DELIMITATION, VR::UN, 0)
                .us(Tag(0x0028, 0x0010), 1),
            Note::StrayDelimiter,
        ),
        (
            identity()
                .header(REFERENCED, VR::SQ, u32::MAX)
                .header(ITEM, VR::UN, item.len() as u32)
                .raw(&item)
                .header(ITEM_DELIMITATION, VR::UN, 0)
                .header(SEQUENCE_DELIMITATION, VR::UN, 0),
            Note::StrayDelimiter,
        ),
        (
            identity()
                .header(REFERENCED, VR::SQ, u32::MAX)
                .header(ITEM, VR::UN, item.len() as u32 + 8)
                .raw(&item)
                .header(ITEM_DELIMITATION, VR::UN, 0)
                .header(SEQUENCE_DELIMITATION, VR::UN, 0),
            Note::StrayDelimiter,
        ),
    ] {
        assert_eq!(scanned(&file(EXPLICIT, &data_set.bytes())).notes, [note]);
    }
}

#[test]
fn group_lengths_are_elements_like_others() {
    let data_set = DataSet::new(LE).element(Tag(0x0008, 0x0000), VR::UL, &[1, 2, 3, 4]).bytes();
    let skeleton = scanned(&file(EXPLICIT, &data_set));
    assert_eq!(skeleton.value(Tag(0x0008, 0x0000)), Some(&[1, 2, 3, 4][..]));
}

#[test]
fn jpip_is_read_and_deflated_jpip_is_inflated() {
    assert_eq!(scanned(&file("1.2.840.10008.1.2.4.94", &sample(LE))).elements.len(), 23);
    let mut bytes = deflated(&sample(LE));
    let at = bytes.windows(DEFLATED.len()).position(|window| window == DEFLATED.as_bytes()).unwrap();
    bytes[at..at + DEFLATED.len()].copy_from_slice(b"1.2.840.10008.1.2.4.95");
    let skeleton = scanned(&bytes);
    assert!(skeleton.syntax.deflated);
    assert_eq!(skeleton.elements.len(), 23);
}
