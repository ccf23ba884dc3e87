//! The scanner against written objects: every encoding, every refusal, windows of any size.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where it fails and prints its seed")]

mod encodings;
mod pixels;
mod refusals;
mod windows;

use dicom_core::{Tag, VR};

use super::{Scanner, Want, scan_slice};
use crate::dicom::limits::Limits;
use crate::dicom::skeleton::{Encoding, Note, Skeleton};
use crate::dicom::testkit::{DataSet, Length, file, scan_in_windows};
use crate::{Reason, Rejection};

const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BIG: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const RLE: &str = "1.2.840.10008.1.2.5";
const LE: Encoding = Encoding::EXPLICIT_LE;

const REFERENCED: Tag = Tag(0x0008, 0x1140);
const REFERENCED_UID: Tag = Tag(0x0008, 0x1155);
const COMMENTS: Tag = Tag(0x0020, 0x4000);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

fn scanned(bytes: &[u8]) -> Skeleton {
    scan_slice(bytes, Limits::default()).expect("the object is right").0
}

fn refused(bytes: &[u8]) -> Rejection {
    scan_slice(bytes, Limits::default()).expect_err("the object is wrong")
}

/// A skeleton as text: every field counts.
fn text(skeleton: &Skeleton) -> String {
    format!("{skeleton:?}")
}

fn deflated(data_set: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data_set).unwrap();
    file(DEFLATED, &encoder.finish().unwrap())
}

/// An object with a bit of everything: sequences of both kinds, nested, private, text, numbers, native pixels.
fn sample(encoding: Encoding) -> Vec<u8> {
    let inner = DataSet::new(encoding).text(REFERENCED_UID, VR::UI, "1.2.3").bytes();
    let middle =
        DataSet::new(encoding).sequence(REFERENCED, VR::SQ, Length::Undefined, vec![inner.clone(), inner]).bytes();
    DataSet::new(encoding)
        .text(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 192")
        .identity_before_0020()
        .sequence(Tag(0x0008, 0x1115), VR::SQ, Length::Defined, vec![middle.clone(), middle])
        .text(Tag(0x0009, 0x0010), VR::LO, "EXAMPLE 1")
        .sequence(Tag(0x0009, 0x1001), VR::SQ, Length::Undefined, vec![])
        .text(Tag(0x0010, 0x0010), VR::PN, "Example^Eva")
        .text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.1.2")
        .text(COMMENTS, VR::LT, &"all is well ".repeat(40))
        .us(Tag(0x0028, 0x0010), 20)
        .element(PIXEL_DATA, VR::OW, &[1; 1000])
        .bytes()
}

impl DataSet {
    fn identity_before_0020(self) -> Self {
        self.text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.7").text(
            Tag(0x0008, 0x0018),
            VR::UI,
            "1.2.826.0.1.3680043.10.1.1",
        )
    }
}
