//! Every refusal, with its reason and the offset at which it holds.

use super::*;
use crate::dicom::testkit::{ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, meta};

/// Where the data set of [`file`] begins.
fn data_set_at(uid: &str) -> usize {
    132 + meta(uid).len()
}

/// Refuses a data set in explicit little endian; `at` counts from its begin.
fn refuses(data_set: DataSet, reason: Reason, at: usize) {
    let refused = refused(&file(EXPLICIT, &data_set.bytes()));
    assert_eq!(
        (refused.reason, refused.at.clone()),
        (reason, Some(format!("@{}", data_set_at(EXPLICIT) + at))),
        "{refused}"
    );
}

fn begun() -> DataSet {
    // 14 bytes.
    DataSet::new(LE).text(Tag(0x0008, 0x0005), VR::CS, "GB1803")
}

#[test]
fn bytes_that_are_no_data_set_are_not_dicom() {
    let mut random = crate::dicom::testkit::Random::new(1);
    let noise: Vec<u8> = (0..5000).map(|_| random.number() as u8).collect();
    let texts: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\x1f\x8b\x08\0 gzip and so on",
        b"{\"00080005\": {\"vr\": \"CS\"}}",
        b"\0\0\0\0\0\0\0\0",
        &[0; 4096],
        b"\x02\0\x06 a text that begins like meta",
        &noise,
        b"ABCDEFGH",
    ];
    for bytes in texts {
        assert_eq!(refused(bytes).reason, Reason::NotDicom, "{:?}", &bytes[..bytes.len().min(20)]);
    }
}

#[test]
fn lengths_past_the_object_are_truncated() {
    refuses(begun().header(COMMENTS, VR::LT, 100).raw(b"short"), Reason::Truncated, 14);
    refuses(begun().header(PIXEL_DATA, VR::OW, 0xFFFF_FFFE).raw(b"short"), Reason::Truncated, 14);
    refuses(begun().header(REFERENCED, VR::SQ, 100), Reason::Truncated, 14);
    refuses(begun().header(REFERENCED, VR::SQ, u32::MAX), Reason::Truncated, 14 + 12);
    refuses(begun().header(REFERENCED, VR::SQ, u32::MAX).header(ITEM, VR::UN, 100), Reason::Truncated, 14 + 12);
    refuses(begun().header(REFERENCED, VR::SQ, u32::MAX).header(ITEM, VR::UN, u32::MAX), Reason::Truncated, 14 + 20);
    refuses(begun().raw(&[0x20, 0, 0, 0x40]), Reason::Truncated, 14);
    refuses(begun().raw(&[0x20, 0, 0, 0x40, b'U', b'T', 0, 0, 1]), Reason::Truncated, 14);
}

#[test]
fn a_declared_length_costs_nothing_until_the_bytes_are_there() {
    let bytes = file(EXPLICIT, &begun().header(COMMENTS, VR::UT, 0xFFFF_FFF0).bytes());
    let mut scanner = Scanner::new(5 << 30, Limits::default());
    // Behind it the object has 5 GiB: the value is bulk, not something to be asked for.
    assert!(matches!(scanner.feed(&bytes), Ok(Want::Bulk { len: 0xFFFF_FFF0, .. })));
}

#[test]
fn lengths_past_the_parent_and_missing_delimiters_are_bad_lengths() {
    let item = DataSet::new(LE).text(REFERENCED_UID, VR::UI, "1.2.3").bytes();
    let end = || [0; 40];
    let sequence = |len| begun().header(REFERENCED, VR::SQ, len);
    refuses(sequence(8).header(ITEM, VR::UN, 20).raw(&end()), Reason::BadLength, 14 + 12);
    refuses(sequence(20).header(ITEM, VR::UN, 12).header(COMMENTS, VR::LT, 20).raw(&end()), Reason::BadLength, 14 + 20);
    refuses(sequence(12).header(ITEM, VR::UN, 4).raw(&end()), Reason::BadLength, 14 + 20);
    refuses(sequence(u32::MAX).raw(&item).raw(&end()), Reason::BadLength, 14 + 12);
    let open = sequence(u32::MAX).header(ITEM, VR::UN, u32::MAX).raw(&item);
    refuses(open.clone().header(SEQUENCE_DELIMITATION, VR::UN, 0), Reason::BadLength, 14 + 20 + item.len());
    refuses(open.header(ITEM, VR::UN, 0).raw(&end()), Reason::BadLength, 14 + 20 + item.len());
    refuses(sequence(u32::MAX).header(ITEM_DELIMITATION, VR::UN, 4).raw(&end()), Reason::BadLength, 14 + 12);
    refuses(begun().header(COMMENTS, VR::UT, u32::MAX).raw(&end()), Reason::BadLength, 14);
    refuses(begun().header(ITEM, VR::UN, 0).raw(b"more"), Reason::BadLength, 14);
}

#[test]
fn an_undefined_length_of_implicit_text_is_a_bad_length() {
    let data_set = DataSet::new(Encoding::IMPLICIT_LE).identity().header(COMMENTS, VR::LT, u32::MAX).raw(&[1; 40]);
    assert_eq!(refused(&file(IMPLICIT, &data_set.bytes())).reason, Reason::BadLength);
}

#[test]
fn sequences_may_nest_64_deep_and_not_deeper() {
    for (encoding, uid) in [(LE, EXPLICIT), (Encoding::IMPLICIT_LE, IMPLICIT)] {
        let nested = |depth: usize| {
            let mut data_set = DataSet::new(encoding).text(REFERENCED_UID, VR::UI, "1.2.3").bytes();
            for _ in 0..depth {
                data_set =
                    DataSet::new(encoding).sequence(REFERENCED, VR::SQ, Length::Undefined, vec![data_set]).bytes();
            }
            file(uid, &data_set)
        };
        assert_eq!(scanned(&nested(64)).elements.len(), 129);
        assert_eq!(refused(&nested(65)).reason, Reason::Depth);
        assert_eq!(refused(&nested(5000)).reason, Reason::Depth);
    }
}

#[test]
fn letters_that_are_no_vr_are_refused() {
    for letters in [b"ZZ", b"??", b"us", b"\0\0", b"  "] {
        let mut bytes = begun().raw(&[0x10, 0, 0x20, 0]).raw(letters).raw(&[2, 0, b'1', b'2']);
        bytes = bytes.us(Tag(0x0028, 0x0010), 1);
        refuses(bytes, Reason::Vr, 14);
    }
}

#[test]
fn meta_that_contradicts_the_data_set_is_bad_meta() {
    for (uid, encoding) in [
        (EXPLICIT, Encoding::IMPLICIT_LE),
        (EXPLICIT, Encoding::EXPLICIT_BE),
        (IMPLICIT, LE),
        (BIG, LE),
        (BIG, Encoding::IMPLICIT_LE),
        (JPEG, Encoding::IMPLICIT_LE),
    ] {
        let data_set = DataSet::new(encoding).identity().us(Tag(0x0028, 0x0010), 1).bytes();
        assert_eq!(refused(&file(uid, &data_set)).reason, Reason::BadMeta, "{uid} {encoding:?}");
    }
    // Native pixels under an encapsulated syntax, and the other way round.
    assert_eq!(refused(&file(JPEG, &sample(LE))).reason, Reason::BadMeta);
    let fragments = begun().pixel_data(&[], &[vec![0; 10]]).bytes();
    assert_eq!(refused(&file(EXPLICIT, &fragments)).reason, Reason::BadMeta);
    // Deflated that is not.
    assert_eq!(refused(&file(DEFLATED, &sample(LE))).reason, Reason::BadMeta);
}

#[test]
fn meta_that_is_damaged_is_bad_meta() {
    let good = file(EXPLICIT, &sample(LE));
    for (at, value) in [(136, b'?'), (148, b'z')] {
        let mut bytes = good.clone();
        bytes[at] = value;
        let refused = refused(&bytes);
        assert_eq!(refused.reason, Reason::BadMeta, "{refused}");
    }
    assert_eq!(refused(&file("1.2.840.10008.1.2.x", &sample(LE))).reason, Reason::BadMeta);
    let sequence = DataSet::new(LE).sequence(Tag(0x0002, 0x0102), VR::SQ, Length::Undefined, vec![]).bytes();
    assert_eq!(refused(&file(EXPLICIT, &sequence)).reason, Reason::BadMeta);
}

#[test]
fn transfer_syntaxes_that_cannot_be_read_are_unsupported() {
    for uid in ["1.2.840.113619.5.2", "1.2.3.4", "1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.4.999"] {
        assert_eq!(refused(&file(uid, &sample(LE))).reason, Reason::UnsupportedTs, "{uid}");
    }
    let fragments = begun().pixel_data(&[], &[vec![0; 10]]).bytes();
    assert_eq!(refused(&fragments).reason, Reason::UnsupportedTs, "fragments, and no meta that says what they are");
}

#[test]
fn objects_beyond_the_limits_are_oversize() {
    let bytes = file(EXPLICIT, &sample(LE));
    let limits = Limits::default();
    for limits in [
        Limits { object_bytes_max: bytes.len() as u64 - 1, ..limits },
        Limits { elements_max: 27, ..limits },
        Limits { kept_bytes_max: 500, ..limits },
        Limits { memory_bytes_max: 1000, ..limits },
    ] {
        assert_eq!(scan_slice(&bytes, limits).unwrap_err().reason, Reason::Oversize);
    }
    let enough = Limits { object_bytes_max: bytes.len() as u64, elements_max: 28, ..limits };
    assert!(scan_slice(&bytes, enough).is_ok());
    let item = DataSet::new(LE).bytes();
    let many = DataSet::new(LE).sequence(REFERENCED, VR::SQ, Length::Defined, vec![item; 500_001]).bytes();
    assert_eq!(refused(&file(EXPLICIT, &many)).reason, Reason::Oversize);
    let texts = (0..17).fold(DataSet::new(LE), |d, n| d.element(Tag(0x0011, 0x1000 + n), VR::UT, &[b'a'; 1 << 20]));
    assert_eq!(refused(&file(EXPLICIT, &texts.bytes())).reason, Reason::Oversize);
}

#[test]
fn a_bomb_is_refused_and_what_expands_within_bounds_is_not() {
    let blank = |megabytes: usize| {
        DataSet::new(LE)
            .identity()
            .header(PIXEL_DATA, VR::OW, (megabytes as u32) << 20)
            .raw(&vec![0; megabytes << 20])
            .bytes()
    };
    assert_eq!(refused(&deflated(&blank(40))).reason, Reason::Bomb);
    assert!(scan_slice(&deflated(&blank(12)), Limits::default()).unwrap().1.is_some());
    // Beyond what is handed out the scan slides over the inflated bytes.
    let limits = Limits { inflated_slice_bytes_max: 1 << 20, ..Limits::default() };
    let (skeleton, data_set) = scan_slice(&deflated(&blank(12)), limits).unwrap();
    assert_eq!((skeleton.elements.len(), data_set), (7, None));
    let whole = scanned(&deflated(&blank(12)));
    assert_eq!(text(&skeleton), text(&whole));
}

#[test]
fn a_refused_scan_stays_refused_and_an_unfinished_one_is_truncated() {
    let mut scanner = Scanner::new(0, Limits::default());
    let first = scanner.feed(&[]).unwrap_err();
    assert_eq!(scanner.feed(&[]).unwrap_err(), first);
    assert_eq!(scanner.finish().unwrap_err(), first);
    let bytes = file(EXPLICIT, &sample(LE));
    let mut scanner = Scanner::new(bytes.len() as u64, Limits::default());
    assert!(matches!(scanner.feed(&bytes[..200]), Ok(Want::Bytes(_))));
    assert_eq!(scanner.finish().unwrap_err().reason, Reason::Truncated);
}
