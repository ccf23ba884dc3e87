//! The answer does not depend on how the bytes are shown; no cut and no mutation makes the scanner panic.

use super::*;
use crate::dicom::testkit::{Random, mutated, scan_and_check};

fn samples() -> Vec<Vec<u8>> {
    let jpeg =
        [&[0xFF, 0xD8, 0xFF, 0xFE, 0, 6][..], b"text", &[0xFF, 0xDA, 0, 4, 1, 2, 7, 0xFF, 0, 9, 0xFF, 0xD9, 0, 0]]
            .concat();
    let frames = DataSet::new(LE).text(Tag(0x0028, 0x0008), VR::IS, "2").pixel_data(&[0, 32], &[jpeg.clone(), jpeg]);
    let un = DataSet::new(Encoding::IMPLICIT_LE).items(Length::Undefined, vec![sample(Encoding::IMPLICIT_LE)]).bytes();
    let un =
        DataSet::new(LE).element(REFERENCED, VR::UN, &un).element(Tag(0x0008, 0x1111), VR::UN, b"no sequence").bytes();
    vec![
        file(EXPLICIT, &sample(LE)),
        file(IMPLICIT, &sample(Encoding::IMPLICIT_LE)),
        file(BIG, &sample(Encoding::EXPLICIT_BE)),
        deflated(&sample(LE)),
        file(JPEG, &frames.bytes()),
        file(RLE, &DataSet::new(LE).pixel_data(&[], &[vec![0; 70], vec![1; 90]]).bytes()),
        file(EXPLICIT, &un),
        sample(Encoding::EXPLICIT_BE),
        sample(Encoding::IMPLICIT_LE),
        [file(EXPLICIT, &sample(LE)), vec![0; 300]].concat(),
        [file(IMPLICIT, &DataSet::new(Encoding::IMPLICIT_LE).identity().bytes()), vec![0; 300]].concat(),
        // Contradicted meta: the position goes back.
        file(EXPLICIT, &sample(Encoding::IMPLICIT_LE)),
    ]
}

#[test]
fn the_skeleton_does_not_depend_on_the_windows() {
    for bytes in samples() {
        let whole = scan_slice(&bytes, Limits::default()).map(|(skeleton, _)| text(&skeleton));
        for size in [0, 1, 7, 100, 4096] {
            let in_windows = scan_in_windows(&bytes, size).map(|skeleton| text(&skeleton));
            assert_eq!(in_windows, whole, "windows of {size}");
        }
    }
}

#[test]
fn an_object_cut_at_any_byte_is_refused_or_ends_between_elements() {
    for bytes in samples() {
        for cut in 0..bytes.len() {
            let bytes = &bytes[..cut];
            if let Ok((skeleton, _)) = scan_slice(bytes, Limits::default()) {
                let behind =
                    skeleton.elements.iter().all(|element| element.value + element.len <= skeleton.data_set_end);
                assert!(behind && skeleton.data_set_end <= skeleton.len);
            }
        }
    }
}

#[test]
fn a_ct_cut_inside_an_element_is_truncated() {
    let bytes = file(EXPLICIT, &sample(LE));
    let skeleton = scanned(&bytes);
    let borders: Vec<u64> = skeleton.children(None).map(|index| skeleton.elements[index].start()).collect();
    for cut in skeleton.data_set as usize..bytes.len() {
        let verdict = scan_slice(&bytes[..cut], Limits::default());
        // One byte 08, 10 … or 00 of the next tag alone may be padding; the rest may not.
        let is_border = borders.iter().any(|border| cut as u64 == *border || cut as u64 == *border + 1);
        match verdict {
            Ok(_) => assert!(is_border, "cut at {cut}"),
            Err(refused) => assert_eq!(refused.reason, Reason::Truncated, "cut at {cut}"),
        }
    }
}

#[test]
fn mutations_never_panic_and_their_verdict_is_stable() {
    let seed = 0x5CA1_AB1E;
    let rounds = 300;
    println!("seed {seed:#x}, {rounds} mutations of each sample");
    let mut random = Random::new(seed);
    for bytes in samples() {
        for _ in 0..rounds {
            let changed = mutated(&bytes, &mut random);
            let _ = scan_and_check(&changed, 61);
        }
    }
}
