//! Claims about whole objects: consistency, determinism, encodings, what is put in and what is left out.

use super::*;
use crate::Reason;

#[test]
fn the_same_uid_is_the_same_new_uid_wherever_it_stands() {
    let study = "1.2.826.0.1.3680043.10.1.2";
    let (_, ct, plan) = run_parts(&object(CT, &[]));
    let series = data_set(
        Encoding::EXPLICIT_LE,
        &[text((0x0008, 0x1150), VR::UI, CT), text((0x0008, 0x1155), VR::UI, "1.2.826.0.1.3680043.10.1.1")],
    );
    let series = DataSet::new(Encoding::EXPLICIT_LE)
        .sequence(Tag(0x0008, 0x1199), VR::SQ, Length::Undefined, vec![series])
        .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.1.3")
        .bytes();
    let evidence = DataSet::new(Encoding::EXPLICIT_LE)
        .sequence(Tag(0x0008, 0x1115), VR::SQ, Length::Undefined, vec![series])
        .text(Tag(0x0020, 0x000D), VR::UI, study)
        .bytes();
    let (_, sr, sr_plan) = run_parts(&object(
        COMPREHENSIVE_SR,
        &[text((0x0008, 0x0018), VR::UI, "1.2.826.0.1.3680043.10.1.9"), (Tag(0x0040, 0xA375), VR::SQ, evidence)],
    ));
    assert_eq!(plan.new_study_instance_uid, sr_plan.new_study_instance_uid);
    let mapped: Vec<&[u8]> =
        sr.elements.iter().filter(|e| e.tag == Tag(0x0008, 0x1155)).filter_map(|e| sr.bytes(e)).collect();
    assert_eq!(mapped.len(), 1);
    assert_eq!(String::from_utf8_lossy(mapped[0]).trim_end_matches('\0'), plan.new_sop_instance_uid);
    assert_eq!(value_of(&ct, (0x0020, 0x000D)).unwrap(), keys().new_uid(study));
    let meta = ct.meta_value(Tag(0x0002, 0x0003)).unwrap();
    assert_eq!(String::from_utf8_lossy(meta).trim_end_matches('\0'), plan.new_sop_instance_uid);
    assert_eq!(value_of(&ct, (0x0010, 0x0020)), value_of(&sr, (0x0010, 0x0020)));
    assert_eq!(value_of(&ct, (0x0010, 0x0010)), value_of(&ct, (0x0010, 0x0020)));
}

#[test]
fn values_of_a_multi_valued_uid_are_mapped_one_by_one_and_dicoms_own_stay() {
    let (_, out, _) = run_parts(&object(
        PRIVATE_CLASS,
        &[text((0x0008, 0x0058), VR::UI, "1.2.826.1\\1.2.840.10008.1.1\\1.2.826.1 \\\\Smith John")],
    ));
    let value = value_of(&out, (0x0008, 0x0058)).unwrap();
    let uids: Vec<&str> = value.split('\\').collect();
    assert_eq!(uids.len(), 5);
    assert_eq!((uids[0], uids[1], uids[3]), (uids[2], "1.2.840.10008.1.1", ""));
    assert!(uids[4].starts_with("2.25.") && uids[0] != uids[4]);
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let parts =
        object(CT, &[text((0x0008, 0x0070), VR::LO, "GE MEDICAL SYSTEMS"), text((0x0010, 0x1001), VR::PN, "A^B\\C^D")]);
    let (first, _, plan) = run_parts(&parts);
    for _ in 0..5 {
        let (again, _, other) = run_parts(&parts);
        assert_eq!((&first, &plan.receipt), (&again, &other.receipt));
    }
}

#[test]
fn what_the_profile_says_of_itself_stands_in_the_object_once() {
    let (output, out, _) = run_parts(&object(
        CT,
        &[
            text((0x0012, 0x0062), VR::CS, "NO"),
            text((0x0012, 0x0063), VR::LO, "Hand of Exemplar"),
            (Tag(0x0012, 0x0064), VR::SQ, data_set(Encoding::EXPLICIT_LE, &[text((0x0008, 0x0104), VR::LO, "lies")])),
            text((0x0028, 0x0303), VR::CS, "UNMODIFIED"),
        ],
    ));
    assert_eq!(value_of(&out, (0x0012, 0x0062)).as_deref(), Some("YES"));
    assert_eq!(value_of(&out, (0x0028, 0x0303)).as_deref(), Some("REMOVED"));
    assert!(contains(&output, b"113100") && !contains(&output, b"lies") && !contains(&output, b"hand of"));
    let tags: Vec<Tag> = out.children(None).map(|index| out.elements[index].tag).collect();
    assert!(tags.is_sorted_by(|a, b| a < b), "{tags:?}");
}

#[test]
fn every_encoding_keeps_numbers_and_drops_the_rest() {
    for (syntax, encoding) in ENCODINGS {
        let number = |value: u16| if encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }.to_vec();
        let parts = object(
            CT,
            &[
                (Tag(0x0028, 0x0010), VR::US, number(513)),
                text((0x0018, 0x0050), VR::DS, "1.25"),
                text((0x0009, 0x0010), VR::LO, "Exemplar secret"),
                (Tag(0x7FE0, 0x0010), VR::OW, vec![1; 600]),
                (Tag(0xFFFC, 0xFFFC), VR::OB, b"Evangeline".to_vec()),
            ],
        );
        let (output, plan) = run(&file(syntax, &data_set(encoding, &parts))).unwrap();
        assert_eq!(plan.transfer_syntax_uid, syntax);
        let (out, _) = scan_slice(&output, Limits::default()).unwrap();
        assert_eq!(out.value(Tag(0x0028, 0x0010)), Some(number(513).as_slice()), "{syntax}");
        assert_eq!(value_of(&out, (0x0018, 0x0050)).as_deref(), Some("1.25"));
        assert!(!contains(&output, b"exemplar") && !contains(&output, b"evangeline"));
        assert!(plan.emit.iter().any(|piece| matches!(piece, Emit::Copy { len: 600, .. })));
    }
}

#[test]
fn elements_out_of_order_come_out_in_order_and_the_last_of_two_counts() {
    let set = DataSet::new(Encoding::EXPLICIT_LE)
        .text(Tag(0x0018, 0x0060), VR::DS, "120")
        .text(Tag(0x0008, 0x0016), VR::UI, CT)
        .text(Tag(0x0008, 0x0018), VR::UI, "1.2.826.0.1.3680043.10.1.1")
        .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.1.2")
        .text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.1.3")
        .text(Tag(0x0018, 0x0060), VR::DS, "80")
        .bytes();
    let (output, _) = run(&file("1.2.840.10008.1.2.1", &set)).unwrap();
    let (out, _) = scan_slice(&output, Limits::default()).unwrap();
    assert_eq!(value_of(&out, (0x0018, 0x0060)).as_deref(), Some("80"));
    assert!(out.notes.is_empty(), "{:?}", out.notes);
}

#[test]
fn a_report_loses_its_content_but_stays_a_report() {
    let item = data_set(
        Encoding::EXPLICIT_LE,
        &[text((0x0040, 0xA040), VR::CS, "TEXT"), text((0x0040, 0xA160), VR::UT, "a nodule of 12 mm")],
    );
    let observer = data_set(Encoding::EXPLICIT_LE, &[text((0x0040, 0xA075), VR::PN, "Hathersage^Oliver")]);
    let (output, out, _) = run_parts(&object(
        COMPREHENSIVE_SR,
        &[
            text((0x0040, 0xA040), VR::CS, "CONTAINER"),
            (Tag(0x0040, 0xA073), VR::SQ, observer),
            (Tag(0x0040, 0xA730), VR::SQ, item),
        ],
    ));
    assert!(!contains(&output, b"nodule") && !contains(&output, b"hathersage"));
    let find = |tag| out.elements.iter().filter(|element| element.tag == tag).count();
    assert_eq!((find(Tag(0x0040, 0xA730)), find(Tag(0x0040, 0xA160)), find(Tag(0x0040, 0xA075))), (1, 1, 1));
}

#[test]
fn objects_that_may_show_identifiers_wait_for_a_judge() {
    let profile = Profile::basic().unwrap();
    let refused = |parts: &[Part]| {
        let source = file("1.2.840.10008.1.2.1", &data_set(Encoding::EXPLICIT_LE, parts));
        let (skeleton, _) = scan_slice(&source, Limits::default()).unwrap();
        deidentify(&skeleton, &profile, &keys()).err().map(|rejection| rejection.reason)
    };
    let class = |suffix: &str| object(&format!("1.2.840.10008.5.1.4.1.1.{suffix}"), &[]);
    for suffix in ["6.1", "3.1", "7", "7.4", "12.1", "12.2", "77.1.1", "77.1.4", "77.1.6", "104.1", "104.2"] {
        assert_eq!(refused(&class(suffix)), Some(Reason::PixelsNotJudged), "{suffix}");
    }
    for suffix in ["1", "2", "4", "1.2", "20", "128", "481.3", "66.4", "88.33"] {
        assert_eq!(refused(&class(suffix)), None, "{suffix}");
    }
    let image_type = |class: &str, value| object(class, &[text((0x0008, 0x0008), VR::CS, value)]);
    for value in
        ["DERIVED\\SECONDARY", "ORIGINAL\\PRIMARY\\SCREEN SAVE", "DERIVED\\PRIMARY\\SCREEN_SAVE", "DERIVED\\Secondary "]
    {
        assert_eq!(refused(&image_type(CT, value)), Some(Reason::PixelsNotJudged), "{value}");
    }
    assert_eq!(refused(&image_type(CT, "DERIVED\\PRIMARY\\MPR")), None);
    assert_eq!(refused(&image_type("1.2.840.10008.5.1.4.1.1.1", "DERIVED\\SECONDARY")), None);
    let burned = |value| object("1.2.840.10008.5.1.4.1.1.1", &[text((0x0028, 0x0301), VR::CS, value)]);
    assert_eq!(refused(&burned("YES")), Some(Reason::PixelsNotJudged));
    assert_eq!(refused(&burned("NO")), None);
}

#[test]
fn the_receipt_names_places_and_rules_but_no_values() {
    let (_, _, plan) = run_parts(&object(
        CT,
        &[
            text((0x0009, 0x0010), VR::LO, "Secretive"),
            text((0x0009, 0x1001), VR::LO, "x"),
            text((0x0020, 0x4000), VR::LT, "y"),
        ],
    ));
    let packed = &plan.receipt.packed;
    assert!(packed.contains("0009xxxx x r656 *2") && packed.contains("00204000 x r257"), "{packed}");
    assert!(packed.len() < 2048 && !packed.contains("Secretive") && !packed.contains("Exemplar"));
    assert!(plan.receipt.counts.iter().any(|(letter, count)| *letter == 'k' && *count > 0));
}

#[test]
#[allow(clippy::print_stdout)]
fn whatever_the_scan_accepts_is_de_identified_or_refused_without_panic() {
    use crate::dicom::testkit::{Random, mutated};
    let seed = 20_261_123;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let nested = data_set(
        Encoding::EXPLICIT_LE,
        &[text((0x0008, 0x1155), VR::UI, "1.2.3"), text((0x0008, 0x0104), VR::LO, "x")],
    );
    let parts = object(
        CT,
        &[
            text((0x0008, 0x0005), VR::CS, "\\ISO 2022 IR 87"),
            text((0x0008, 0x0070), VR::LO, "Tomograph Works"),
            (Tag(0x0008, 0x1032), VR::SQ, nested.clone()),
            (Tag(0x0008, 0x2112), VR::SQ, nested),
            text((0x0028, 0x0008), VR::IS, "1"),
            (Tag(0x7FE0, 0x0010), VR::OW, vec![1; 300]),
        ],
    );
    let (mut delivered, mut refused) = (0, 0);
    for (syntax, encoding) in ENCODINGS {
        let source = file(syntax, &data_set(encoding, &parts));
        for _ in 0..2000 {
            let changed = mutated(&source, &mut random);
            let Ok((skeleton, _)) = scan_slice(&changed, Limits::default()) else { continue };
            let verdict =
                crate::dicom::Identity::read(&skeleton).map(|identity| crate::dicom::validate(&skeleton, &identity));
            std::hint::black_box(&verdict);
            match run(&changed) {
                Ok((output, _)) => {
                    delivered += 1;
                    let again = scan_slice(&output, Limits::default());
                    assert!(again.is_ok(), "{syntax} {:?}", again.err());
                }
                Err(rejection) => {
                    refused += 1;
                    assert_ne!(rejection.reason, Reason::ResidualIdentifier, "{rejection}");
                }
            }
        }
    }
    assert!(delivered > 100 && refused > 10, "{delivered} {refused}");
}

#[test]
fn numbers_behind_un_come_out_in_the_byte_order_of_the_object() {
    let (syntax, encoding) = ENCODINGS[2];
    let parts = object(CT, &[(Tag(0x0028, 0x0010), VR::UN, vec![0x01, 0x02])]);
    let (output, _) = run(&file(syntax, &data_set(encoding, &parts))).unwrap();
    let (out, _) = scan_slice(&output, Limits::default()).unwrap();
    let rows = &out.elements[out.find(None, Tag(0x0028, 0x0010)).unwrap()];
    assert_eq!((rows.vr, out.bytes(rows)), (VR::US, Some([0x02, 0x01].as_slice())));
}
