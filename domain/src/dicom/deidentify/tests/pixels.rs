//! Encapsulated pixel data: cuts, padding, offset tables.

use super::*;
use crate::dicom::deidentify::pixels::Layout;
use crate::dicom::deidentify::write::Writer;
use crate::dicom::skeleton::{Cut, Encapsulated, Fragment};

fn written(encapsulated: &Encapsulated, source: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Encoding::EXPLICIT_LE, 64);
    Layout::new(encapsulated).write(&mut writer);
    let (emit, _) = writer.finish();
    let mut output = Vec::new();
    for piece in emit {
        match piece {
            Emit::Bytes(bytes) => output.extend(bytes),
            Emit::Copy { offset, len } | Emit::Numbers { offset, len } => {
                output.extend_from_slice(&source[offset as usize..(offset + len) as usize])
            }
            Emit::Swap { .. } => unreachable!("frames are bytes"),
        }
    }
    output
}

#[test]
fn cuts_leave_even_fragments_and_a_table_that_points_at_them() {
    let source: Vec<u8> = (0..100).collect();
    let encapsulated = Encapsulated {
        element: 0,
        basic_offset_table: vec![0, 28],
        fragments: vec![Fragment { value: 10, len: 20 }, Fragment { value: 40, len: 12 }],
        frames: vec![0, 1],
        cuts: vec![
            Cut { offset: 12, len: 5, replacement: vec![], what: "COM" },
            Cut { offset: 20, len: 4, replacement: vec![0xEE; 2], what: "APP0" },
            Cut { offset: 50, len: 2, replacement: vec![], what: "TAIL" },
        ],
    };
    let output = written(&encapsulated, &source);
    let set = DataSet::new(Encoding::EXPLICIT_LE);
    let first: Vec<u8> = [&source[10..12], &source[17..20], &[0xEE, 0xEE], &source[24..30], &[0]].concat();
    // 13 bytes and one of padding; the second frame begins behind its header and those 14.
    let expected = set.pixel_data(&[0, 22], &[first, source[40..50].to_vec()]).bytes();
    assert_eq!(output, expected);
}

#[test]
fn an_empty_table_stays_empty_and_an_untold_one_is_emptied_when_lengths_change() {
    let fragments = vec![Fragment { value: 0, len: 4 }, Fragment { value: 8, len: 4 }];
    let mut encapsulated = Encapsulated { fragments, ..Encapsulated::default() };
    let source = [7; 16];
    let expect = |table: &[u32], second: &[u8]| {
        DataSet::new(Encoding::EXPLICIT_LE).pixel_data(table, &[vec![7; 4], second.to_vec()]).bytes()
    };
    assert_eq!(written(&encapsulated, &source), expect(&[], &[7; 4]));
    encapsulated.basic_offset_table = vec![0, 12];
    assert_eq!(written(&encapsulated, &source), expect(&[0, 12], &[7; 4]));
    encapsulated.cuts = vec![Cut { offset: 8, len: 2, replacement: vec![], what: "COM" }];
    assert_eq!(written(&encapsulated, &source), expect(&[], &[7; 2]));
}
