//! Identifiers where nobody expects them, and ordinary values that must survive.

use super::*;

/// Returns the object of a well-described patient with `part` added.
fn described(part: Part) -> Vec<Part> {
    object(
        CT,
        &[
            text((0x0008, 0x0005), VR::CS, "ISO_IR 192"),
            text((0x0008, 0x0050), VR::SH, "ACC7310021"),
            text((0x0008, 0x0080), VR::LO, "Hillcrest Valley Hospital"),
            text((0x0008, 0x0081), VR::ST, "17 Orchard Street, Brookfield"),
            text((0x0008, 0x0090), VR::PN, "Hathersage^Oliver^^Dr"),
            text((0x0008, 0x1010), VR::SH, "HILLCT2"),
            text((0x0010, 0x0010), VR::PN, "Müller-Lindqvist^Åsa^Wu^Dr.^Jr="),
            text((0x0010, 0x0020), VR::LO, "EX-1048-77"),
            text((0x0010, 0x0030), VR::DA, "19440802"),
            text((0x0010, 0x2154), VR::SH, "+44 1632 960999"),
            text((0x0018, 0x1000), VR::LO, "SN-QP40012"),
            part,
        ],
    )
}

/// Free text attributes that CT lists and Table E.1-1 does not.
const PLACES: [((u16, u16), VR); 5] = [
    ((0x0008, 0x0070), VR::LO),
    ((0x0018, 0x1020), VR::LO),
    ((0x0018, 0x1210), VR::SH),
    ((0x0018, 0x1160), VR::SH),
    ((0x0018, 0x1040), VR::LO),
];

#[test]
fn own_identifiers_go_from_every_free_text_in_every_dress() {
    for value in [
        "MULLER",
        "Mueller",
        "lindqvist",
        "for Wu",
        "Asa",
        "oldMullerX",
        "MULLERLINDQVIST",
        "Muller Lindqvist",
        "hathersage",
        "of Oliver",
        "Hillcrest",
        "BROOKFIELD",
        "Orchard St",
        "ACC7310021",
        "acc-731-0021",
        "ex104877",
        "EX 1048 77",
        "HILLCT2",
        "snqp40012",
        "SN QP 40012",
        "441632960999",
        "1632 960999",
    ] {
        for (tag, vr) in PLACES {
            let (output, out, _) = run_parts(&described(text(tag, vr, value)));
            assert_eq!(value_of(&out, tag).filter(|value| !value.is_empty()), None, "{tag:04X?} {value}");
            assert!(!contains(&output, value.as_bytes()), "{value}");
        }
    }
}

#[test]
fn names_numbers_and_days_of_anybody_go_from_free_text() {
    for value in [
        "Dr Bramwell",
        "Bramwell^Tess",
        "Bramwell, Tess",
        "5 Mar 2016",
        "05.03.2016",
        "2016-03-05",
        "20160305",
        "tel 555-0123",
        "a@b.example",
        "MRN 4711",
        "born 1944",
    ] {
        let (_, out, _) = run_parts(&described(text((0x0018, 0x1160), VR::SH, value)));
        assert_eq!(value_of(&out, (0x0018, 0x1160)), None, "{value}");
    }
}

#[test]
fn ordinary_values_survive() {
    for (tag, vr, value) in [
        ((0x0008, 0x0070), VR::LO, "GE MEDICAL SYSTEMS"),
        ((0x0008, 0x0070), VR::LO, "Siemens Healthineers"),
        ((0x0008, 0x1090), VR::LO, "SOMATOM Definition AS+"),
        ((0x0018, 0x1020), VR::LO, "syngo CT VB20A"),
        ((0x0018, 0x1210), VR::SH, "STANDARD"),
        ((0x0018, 0x1210), VR::SH, "B30f"),
        ((0x0018, 0x1160), VR::SH, "LARGE BOWTIE FIL"),
        ((0x0018, 0x1040), VR::LO, "IV"),
        ((0x0018, 0x5100), VR::CS, "FFS"),
        ((0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        ((0x0018, 0x0015), VR::CS, "HEADNECK"),
        ((0x0020, 0x0032), VR::DS, "-158.1\\-179.0\\-70.7"),
        ((0x0018, 0x0022), VR::CS, "HELICAL MODE"),
        ((0x0020, 0x0011), VR::IS, "3101"),
    ] {
        let (_, out, _) = run_parts(&described(text(tag, vr, value)));
        assert_eq!(value_of(&out, tag).as_deref(), Some(value));
    }
}

#[test]
fn identifiers_in_values_that_are_no_free_text_go_too() {
    for (tag, vr, value) in [
        ((0x0018, 0x0015), VR::CS, "LINDQVIST"),
        ((0x0018, 0x0015), VR::CS, "Lindqvist"),
        ((0x0018, 0x0022), VR::CS, "FFS\\MUELLER"),
        ((0x0018, 0x0015), VR::CS, "19440802"),
        ((0x0020, 0x0012), VR::IS, "19440802"),
        ((0x0020, 0x0012), VR::IS, "02081944"),
        ((0x0018, 0x0060), VR::DS, "Lindqvist"),
        ((0x0018, 0x0060), VR::DS, "441632960999"),
        ((0x0018, 0x0050), VR::LO, "Lindqvist"),
        ((0x0018, 0x1210), VR::OB, "Lindqvist"),
        ((0x0018, 0x1210), VR::UN, "Lindqvist"),
        ((0x0028, 0x0106), VR::US, "Lindqvist!"),
        ((0x0018, 0x1210), VR::SH, "STANDARD\0Bramwell"),
        ((0x0008, 0x0005), VR::CS, "ISO_IR 192\\WU"),
        ((0x0020, 0x0052), VR::UI, "1.2.840.10008.Lindqvist"),
        ((0x0020, 0x0052), VR::UI, "Lindqvist"),
    ] {
        let (output, _, _) = run_parts(&described(text(tag, vr, value)));
        for part in value
            .split(['\\', '\0', ' '])
            .filter(|part| part.len() > 4 && *part != "STANDARD" && !part.starts_with("ISO"))
        {
            assert!(!contains(&output, part.as_bytes()), "{tag:04X?} {vr} {value}");
        }
    }
}

#[test]
fn names_are_found_across_character_sets() {
    let japanese = b"Tachibana^Noriyuki=\x1b$B5L\x1b(B^\x1b$BE59,\x1b(B";
    let kernel = b"\x1b$BE59,\x1b(B".to_vec();
    let (_, out, _) = run_parts(&object(
        CT,
        &[
            text((0x0008, 0x0005), VR::CS, "\\ISO 2022 IR 87"),
            (Tag(0x0010, 0x0010), VR::PN, japanese.to_vec()),
            (Tag(0x0018, 0x1210), VR::SH, kernel),
        ],
    ));
    assert_eq!(value_of(&out, (0x0018, 0x1210)), None);
}

#[test]
fn a_name_that_comes_later_or_deeper_is_known_before_the_first_byte() {
    let nested = data_set(Encoding::EXPLICIT_LE, &[text((0x0010, 0x0010), VR::PN, "Bramwell^Tess")]);
    let private = DataSet::new(Encoding::EXPLICIT_LE)
        .sequence(Tag(0x0011, 0x1001), VR::SQ, Length::Defined, vec![nested])
        .bytes();
    let (_, out, _) =
        run_parts(&object(CT, &[text((0x0018, 0x1210), VR::SH, "Bramwell B"), (Tag(0x0040, 0x0555), VR::SQ, private)]));
    assert_eq!(value_of(&out, (0x0018, 0x1210)), None);
}

#[test]
fn codes_of_public_schemes_stay_and_others_lose_their_meaning() {
    let code = |scheme: &str, value: &str, meaning: &str| {
        let item = data_set(
            Encoding::EXPLICIT_LE,
            &[
                text((0x0008, 0x0100), VR::SH, value),
                text((0x0008, 0x0102), VR::SH, scheme),
                text((0x0008, 0x0104), VR::LO, meaning),
            ],
        );
        let (output, _, _) = run_parts(&described((Tag(0x0008, 0x1032), VR::SQ, item)));
        (contains(&output, value.as_bytes()), contains(&output, meaning.as_bytes()))
    };
    assert_eq!(code("SCT", "261665006", "CT of chest"), (true, true));
    assert_eq!(code("DCM", "113014", "Patient study"), (true, true));
    assert_eq!(code("DCM", "113014", "Study of Lindqvist"), (true, false));
    assert_eq!(code("99LOCAL", "CTCHEST", "CT chest Bramwell family protocol"), (true, false));
    assert_eq!(code("99LOCAL", "LINDQVIST", "CT chest"), (false, false));
    assert_eq!(code("99LOCAL", "4711471147", "CT chest"), (false, false));
}

const MG: &str = "1.2.840.10008.5.1.4.1.1.1.2";

/// Returns a sequence of one item that refers to an instance of that class.
fn reference(tag: (u16, u16), class: &str, instance: &str) -> Part {
    let item = [text((0x0008, 0x1150), VR::UI, class), text((0x0008, 0x1155), VR::UI, instance)];
    (Tag(tag.0, tag.1), VR::SQ, data_set(Encoding::EXPLICIT_LE, &item))
}

#[test]
fn a_uid_with_a_day_or_a_serial_in_it_is_mapped_where_a_class_belongs() {
    let instance = "1.2.826.0.1.77.20040318.3";
    let (output, _, _) = run_parts(&object(CT, &[reference((0x0008, 0x1140), instance, instance)]));
    assert!(!contains(&output, b"20040318"));
    for class in ["1.2.840.113619.4.26", "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.2"] {
        let (output, _, _) = run_parts(&object(CT, &[reference((0x0008, 0x1140), class, instance)]));
        assert!(contains(&output, class.as_bytes()), "{class}");
    }
}

#[test]
fn references_stay_mapped_where_the_object_lists_them_by_series() {
    let instance = "1.2.826.0.1.77.20040318.3";
    let image = || reference((0x0008, 0x1140), CT, instance);
    let series =
        (Tag(0x0008, 0x1115), VR::SQ, data_set(Encoding::EXPLICIT_LE, &[text((0x0020, 0x000E), VR::UI, "1.2.3")]));
    let stays = |parts: &[Part]| {
        let (output, out, _) = run_parts(&object(MG, parts));
        assert!(!contains(&output, instance.as_bytes()));
        out.find(None, Tag(0x0008, 0x1140)).is_some_and(|at| out.children(Some(at)).count() == 1)
    };
    assert!(stays(&[series, image()]));
    assert!(!stays(&[image()]), "Type 3 in mammography, X/Z/U* in the table");
}

#[test]
fn performed_steps_of_two_objects_do_not_become_one() {
    let step = |instance| {
        let (_, out, _) = run_parts(&object(MG, &[reference((0x0008, 0x1111), "1.2.840.10008.3.1.2.3.3", instance)]));
        let item = out.children(out.find(None, Tag(0x0008, 0x1111))).next().unwrap();
        let at = out.find(Some(item), Tag(0x0008, 0x1155)).unwrap();
        out.bytes(&out.elements[at]).unwrap().to_vec()
    };
    assert_eq!(step("1.2.3.4"), step("1.2.3.4"));
    assert_ne!(step("1.2.3.4"), step("1.2.3.5"));
}

#[test]
fn what_may_stand_only_beside_a_removed_attribute_goes_with_it() {
    let (_, out, _) = run_parts(&described(text((0x0010, 0x0035), VR::CS, "HEBREW")));
    assert!(out.find(None, Tag(0x0010, 0x0035)).is_none());
    let person = text((0x0010, 0x2297), VR::PN, "Hathersage^Tess");
    let (_, out, _) = run_parts(&object(CT, &[person, text((0x0010, 0x2298), VR::CS, "OWNER")]));
    assert!(out.find(None, Tag(0x0010, 0x2298)).is_none());
    assert_eq!(value_of(&out, (0x0010, 0x2297)).as_deref(), Some(""), "2C: of an animal somebody must be responsible");
}

#[test]
fn dummies_obey_more_than_their_vr() {
    let code = [
        text((0x0008, 0x0102), VR::SH, "99LOCAL"),
        text((0x0008, 0x0104), VR::LO, "for Exemplar"),
        text((0x0008, 0x0119), VR::UC, "Exemplar needs a long code value"),
    ];
    let part = (Tag(0x0008, 0x2218), VR::SQ, data_set(Encoding::EXPLICIT_LE, &code));
    let (output, _, _) = run_parts(&object(CT, &[part]));
    assert!(contains(&output, b"ANONYMIZED LONG CODE VALUE"), "longer than Code Value has room for");
}
