//! All 656 rows of Table E.1-1, at the top level and nested, in every encoding, in a known and an unknown IOD.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::*;
use crate::Reason;
use crate::dicom::facts::{Facts, ROW_COUNT};

const TABLE: &str = include_str!("../../../../facts/e1-1.txt");

/// The tags that stand for one row: its own, or members of its mask.
fn tags_of(mask: &str) -> Vec<Tag> {
    match mask {
        "50xxxxxx" => vec![Tag(0x5000, 0x3000), Tag(0x501E, 0x2500)],
        "60xx3000" => vec![Tag(0x6000, 0x3000), Tag(0x601E, 0x3000)],
        "60xx4000" => vec![Tag(0x6000, 0x4000), Tag(0x6002, 0x4000)],
        "odd....." => vec![Tag(0x0009, 0x0010), Tag(0x0029, 0x1010)],
        _ => {
            let value = u32::from_str_radix(mask, 16).unwrap();
            vec![Tag((value >> 16) as u16, value as u16)]
        }
    }
}

/// A value of the VR that would be recognised in the output.
fn secret(vr: VR, encoding: Encoding) -> Vec<u8> {
    match vr {
        VR::DA => b"19771231".to_vec(),
        VR::DT => b"19771231235958.77".to_vec(),
        VR::TM => b"235958.7719".to_vec(),
        VR::UI => b"1.2.826.0.1.3680043.10.7719".to_vec(),
        VR::AS => b"077M".to_vec(),
        VR::DS => b"7719.7719".to_vec(),
        VR::IS => b"77197719".to_vec(),
        VR::CS | VR::AE | VR::SH => b"QZV7719SECRET".to_vec(),
        VR::US => {
            if encoding.big_endian {
                vec![0x77, 0x19]
            } else {
                vec![0x19, 0x77]
            }
        }
        VR::SQ => {
            let item =
                [text((0x0008, 0x0104), VR::LO, "QZV7719 secret"), text((0x0010, 0x0010), VR::PN, "Qzv7719^Secret")];
            data_set(encoding, &item)
        }
        _ => b"QZV7719 secret!!".to_vec(),
    }
}

fn vr_of(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::LO, |entry| entry.vr().relaxed())
}

fn has_secret(output: &[u8], vr: VR) -> bool {
    let needles: &[&[u8]] = match vr {
        VR::DA | VR::DT => &[b"19771231"],
        VR::TM => &[b"235958"],
        VR::UI => &[b"3680043.10.7719"],
        VR::AS => &[b"077M"],
        // Two bytes may stand anywhere; the attribute itself is looked at instead.
        VR::US => &[],
        _ => &[b"7719"],
    };
    needles.iter().any(|needle| contains(output, needle))
}

#[test]
fn no_row_leaves_its_value_at_any_level_in_any_encoding() {
    let mut rows = 0;
    for line in TABLE.lines().skip(1) {
        let fields: Vec<&str> = line.split(' ').collect();
        rows += 1;
        for tag in tags_of(fields[1]) {
            for class in [CT, PRIVATE_CLASS] {
                for (syntax, encoding) in ENCODINGS {
                    check(tag, class, syntax, encoding, fields[2]);
                }
            }
        }
    }
    assert_eq!(rows, ROW_COUNT);
}

fn check(tag: Tag, class: &str, syntax: &str, encoding: Encoding, codes: &str) {
    // The identity itself is mapped by its own tests; here each row holds the secret.
    let vr = vr_of(tag);
    let part = (tag, vr, secret(vr, encoding));
    let root = object(class, std::slice::from_ref(&part));
    // Listed by CT with a tree of items: Referenced Image of General Reference stands for all; and an open one.
    let nested_in = |parent| {
        let item = data_set(encoding, std::slice::from_ref(&part));
        object(class, &[(parent, VR::SQ, item)])
    };
    let shapes = [root, nested_in(Tag(0x0008, 0x1250)), nested_in(Tag(0x0054, 0x0220)), nested_in(Tag(0x0040, 0x9096))];
    for (shape, parts) in shapes.iter().enumerate() {
        if tag.group() < 8 && shape == 0 {
            continue;
        }
        let source = file(syntax, &data_set(encoding, parts));
        let source = without_pixels(source);
        let (output, _) = match run(&source) {
            Ok(done) => done,
            Err(rejection) => {
                // A class whose UID is the secret, a UID that is none: refused is gone as well. Nothing else may refuse.
                assert!(matches!(rejection.reason, Reason::MissingRequired), "{tag} {rejection}");
                continue;
            }
        };
        let (skeleton, _) = scan_slice(&output, Limits::default()).unwrap();
        assert!(!has_secret(&output, vr), "{tag} {codes} {class} {syntax} shape {shape}");
        if let Some(at) = skeleton.find(None, tag).filter(|_| codes == "X" && shape == 0) {
            assert_eq!(skeleton.elements[at].len, 0, "{tag} X stays in {class}");
        }
        if vr == VR::US {
            assert!(skeleton.find(None, tag).is_none(), "{tag}");
        }
    }
}

/// De-identification does not look for pixels; validation does.
fn without_pixels(source: Vec<u8>) -> Vec<u8> {
    source
}

#[test]
fn a_row_keeps_conformance_with_the_type_of_its_place() {
    // X/Z/D Institution Name: Type 3 in CT. Z/D Content Date: 2C. D in its IOD: Type 1.
    let (_, ct, plan) = run_parts(&object(
        CT,
        &[
            text((0x0008, 0x0023), VR::DA, "20160306"),
            text((0x0008, 0x0080), VR::LO, "Hillcrest"),
            text((0x0008, 0x0090), VR::PN, "Hathersage^Oliver"),
            text((0x0012, 0x0020), VR::LO, "Protocol 9"),
            text((0x0018, 0x1030), VR::LO, "Hillcrest chest"),
        ],
    ));
    assert_eq!(value_of(&ct, (0x0008, 0x0023)).as_deref(), Some(""));
    assert_eq!(value_of(&ct, (0x0008, 0x0080)), None);
    assert_eq!(value_of(&ct, (0x0008, 0x0090)).as_deref(), Some(""));
    assert_eq!(value_of(&ct, (0x0012, 0x0020)).as_deref(), Some("ANONYMIZED"));
    assert_eq!(value_of(&ct, (0x0018, 0x1030)), None);
    assert!(plan.receipt.packed.contains("00080080 x r29"), "{}", plan.receipt.packed);
    // Enhanced CT demands serial number and content date with a value.
    let (_, enhanced, _) = run_parts(&object(
        "1.2.840.10008.5.1.4.1.1.2.1",
        &[text((0x0008, 0x0023), VR::DA, "20160306"), text((0x0018, 0x1000), VR::LO, "SN-QP40012")],
    ));
    assert_eq!(value_of(&enhanced, (0x0008, 0x0023)).as_deref(), Some("19000101"));
    assert_eq!(value_of(&enhanced, (0x0018, 0x1000)).as_deref(), Some("ANONYMIZED"));
}

#[test]
fn every_dummy_obeys_its_vr() {
    use super::super::dummy::value;
    for vr in [
        VR::AE,
        VR::AS,
        VR::AT,
        VR::CS,
        VR::DA,
        VR::DS,
        VR::DT,
        VR::FL,
        VR::FD,
        VR::IS,
        VR::LO,
        VR::LT,
        VR::OB,
        VR::OD,
        VR::OF,
        VR::OL,
        VR::OV,
        VR::OW,
        VR::PN,
        VR::SH,
        VR::SL,
        VR::SS,
        VR::ST,
        VR::SV,
        VR::TM,
        VR::UC,
        VR::UI,
        VR::UL,
        VR::UN,
        VR::UR,
        VR::US,
        VR::UT,
        VR::UV,
    ] {
        let dummy = value(vr);
        assert!(!dummy.is_empty(), "{vr}");
        let obeys = match vr {
            VR::AE | VR::SH => dummy.len() <= 16 && dummy.is_ascii(),
            VR::CS => dummy.iter().all(|b| b.is_ascii_uppercase()) && dummy.len() <= 16,
            VR::AS => dummy.len() == 4 && dummy[3] == b'Y',
            VR::DA => dummy.len() == 8 && dummy.iter().all(u8::is_ascii_digit),
            VR::DT => dummy.len() == 14 && dummy.iter().all(u8::is_ascii_digit),
            VR::TM => dummy.len() == 6 && dummy.iter().all(u8::is_ascii_digit),
            VR::UI => crate::dicom::identity::is_well_formed_uid(std::str::from_utf8(dummy).unwrap()),
            VR::DS | VR::IS => std::str::from_utf8(dummy).unwrap().parse::<i32>().is_ok(),
            VR::US | VR::SS | VR::OB | VR::OW | VR::UN => dummy.len() == 2,
            VR::FD | VR::SV | VR::UV | VR::OD | VR::OV => dummy.len() == 8,
            VR::UL | VR::SL | VR::FL | VR::AT | VR::OF | VR::OL => dummy.len() == 4,
            _ => dummy.is_ascii(),
        };
        assert!(obeys, "{vr}");
    }
    assert!(Facts::load().is_ok());
}
