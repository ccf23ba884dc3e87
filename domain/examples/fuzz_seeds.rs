//! Writes small made objects, one of each kind, as seeds for the fuzzer: `fuzz_seeds FOLDER`.
#![allow(clippy::print_stdout, reason = "an example speaks to the terminal")]

use std::path::PathBuf;

use dicom_core::{Tag, VR};
use domain::dicom::skeleton::Encoding;
use domain::dicom::testkit::{DataSet, Length, file};

const REFERENCED: Tag = Tag(0x0008, 0x1140);

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "fuzz/seeds".to_owned()));
    std::fs::create_dir_all(&folder)?;
    let seeds = seeds();
    for (name, bytes) in &seeds {
        std::fs::write(folder.join(name), bytes)?;
    }
    println!("{} seeds in {}", seeds.len(), folder.display());
    Ok(())
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (le, be, implicit) = (Encoding::EXPLICIT_LE, Encoding::EXPLICIT_BE, Encoding::IMPLICIT_LE);
    let un = DataSet::new(implicit).items(Length::Undefined, vec![object(implicit)]).bytes();
    let un = DataSet::new(le).element(REFERENCED, VR::UN, &un).element(Tag(0x0008, 0x1111), VR::UN, b"opaque").bytes();
    vec![
        ("explicit.dcm", file("1.2.840.10008.1.2.1", &object(le))),
        ("implicit.dcm", file("1.2.840.10008.1.2", &object(implicit))),
        ("big_endian.dcm", file("1.2.840.10008.1.2.2", &object(be))),
        ("deflated.dcm", file("1.2.840.10008.1.2.1.99", &stored(&object(le)))),
        ("no_meta_explicit.dcm", object(le)),
        ("no_meta_implicit.dcm", object(implicit)),
        ("no_meta_big_endian.dcm", object(be)),
        ("un_sequence.dcm", file("1.2.840.10008.1.2.1", &un)),
        ("rle.dcm", file("1.2.840.10008.1.2.5", &frames(&[0; 66]))),
        ("jpeg.dcm", file("1.2.840.10008.1.2.4.50", &frames(JPEG))),
        ("j2k.dcm", file("1.2.840.10008.1.2.4.90", &frames(J2K))),
        ("jp2.dcm", file("1.2.840.10008.1.2.4.90", &frames(&[JP2, J2K].concat()))),
    ]
}

fn object(encoding: Encoding) -> Vec<u8> {
    let item = || DataSet::new(encoding).text(Tag(0x0008, 0x1155), VR::UI, "1.2.3").bytes();
    DataSet::new(encoding)
        .identity()
        .sequence(REFERENCED, VR::SQ, Length::Undefined, vec![item(), item()])
        .sequence(Tag(0x0040, 0x0275), VR::SQ, Length::Defined, vec![item()])
        .us(Tag(0x0028, 0x0010), 2)
        .element(Tag(0x7FE0, 0x0010), VR::OW, &[1; 300])
        .element(Tag(0xFFFC, 0xFFFC), VR::OB, &[0; 4])
        .bytes()
}

fn frames(frame: &[u8]) -> Vec<u8> {
    let (head, tail) = frame.split_at(frame.len() / 2);
    let fragments = [head.to_vec(), tail.to_vec(), head.to_vec(), tail.to_vec()];
    let second = frame.len() as u32 + 16;
    let data_set = DataSet::new(Encoding::EXPLICIT_LE).identity().text(Tag(0x0028, 0x0008), VR::IS, "2");
    data_set.pixel_data(&[0, second], &fragments).bytes()
}

/// A deflate stream of one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

/// JFIF with a thumbnail, a comment, tables, a scan with stuffing and a restart, bytes behind the end.
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x13JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01abc\xFF\xFE\x00\x06text\
\xFF\xDB\x00\x05\0\0\0\xFF\xC0\x00\x0B\x08\0\x02\0\x02\x01\x01\x11\0\xFF\xDA\x00\x08\x01\x01\0\0?\0\x01\xFF\0\x02\xFF\xD0\x03\xFF\xD9\0\0";
/// A main header with a comment, a tile-part with another one, data, the end.
const J2K: &[u8] = b"\xFF\x4F\xFF\x51\x00\x04\0\0\xFF\x64\x00\x08\0\x01text\xFF\x90\x00\x0A\0\0\0\0\0\x18\0\x01\
\xFF\x64\x00\x06\0\x01ab\xFF\x93\x01\x02\xFF\xD9";
/// Boxes before a code stream.
const JP2: &[u8] = b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x0Cftypjp2 \0\0\0\x0Cxml text\0\0\0\0jp2c";
