//! The scanner against dicom-object on real files: the same elements, VRs, items and values.
//!
//! `MEDIMG_CORPUS` names the folders (separated by `:`); without them it says that it did not run. dicom-object reads no
//! files without meta and refuses some that are right; they are counted apart.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where it fails and prints its counts")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicom_core::value::Value;
use dicom_core::{Tag, VR};
use dicom_object::{InMemDicomObject, OpenFileOptions};
use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::{Content, Element, Skeleton};

/// Real files nest folders a few levels deep.
const FOLDERS_DEEP_MAX: u32 = 8;

/// An element by its path: VR, and its value or the number of its items.
type Found = BTreeMap<String, (VR, Held)>;

#[derive(Debug, PartialEq)]
enum Held {
    Items(usize),
    Fragments(usize),
    Bytes(Vec<u8>),
}

fn files(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth < FOLDERS_DEEP_MAX {
            files(&path, depth + 1, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// Trailing padding is cut: dicom-object keeps or drops it as the VR goes.
fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    bytes[..end].to_vec()
}

fn path(prefix: &str, tag: Tag) -> String {
    format!("{prefix}{:04X}{:04X}", tag.0, tag.1)
}

fn by_dicom_object(object: &InMemDicomObject, prefix: &str, found: &mut Found) {
    for element in object {
        let tag = element.header().tag;
        let own = path(prefix, tag);
        let held = match element.value() {
            Value::Primitive(value) => Held::Bytes(trimmed(&value.to_bytes())),
            Value::PixelSequence(fragments) => Held::Fragments(fragments.fragments().len()),
            Value::Sequence(sequence) => {
                for (number, item) in sequence.items().iter().enumerate() {
                    by_dicom_object(item, &format!("{own}.{number}."), found);
                }
                Held::Items(sequence.items().len())
            }
        };
        found.insert(own, (element.vr(), held));
    }
}

/// The same of a skeleton; of numbers in big endian the bytes are turned.
fn by_scanner(skeleton: &Skeleton, source: &[u8], parent: Option<usize>, prefix: &str, found: &mut Found) {
    for index in skeleton.children(parent) {
        let element = &skeleton.elements[index];
        let own = path(prefix, element.tag);
        let value = &source[element.value as usize..][..element.len as usize];
        let held = match element.content {
            // dicom-object leaves a UN of defined length opaque.
            Content::Sequence if element.was_un && !element.undefined => Held::Bytes(trimmed(value)),
            Content::Sequence => {
                let items: Vec<usize> = skeleton.children(Some(index)).collect();
                for (number, item) in items.iter().enumerate() {
                    by_scanner(skeleton, source, Some(*item), &format!("{own}.{number}."), found);
                }
                Held::Items(items.len())
            }
            Content::Fragments => Held::Fragments(skeleton.encapsulated.as_ref().unwrap().fragments.len()),
            // dicom-object gives tags as text.
            _ if element.vr == VR::AT && !element.was_un => Held::Bytes(tags(&little(element, value)).into_bytes()),
            _ => Held::Bytes(trimmed(&little(element, value))),
        };
        found.insert(own, (element.vr, held));
    }
}

fn tags(value: &[u8]) -> String {
    let number = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]);
    let texts = value.chunks_exact(4).map(|tag| format!("({:04X},{:04X})", number(tag), number(&tag[2..])));
    texts.collect::<Vec<_>>().join("\\")
}

fn little(element: &Element, value: &[u8]) -> Vec<u8> {
    let unit = match element.vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::OD | VR::UV | VR::SV | VR::OV => 8,
        _ => 1,
    };
    if !element.encoding.big_endian || element.was_un {
        return value.to_vec();
    }
    value.chunks(unit).flat_map(|chunk| chunk.iter().rev().copied()).collect()
}

/// Whether two readings of one element agree. Text beyond ASCII is decoded by dicom-object, the padding within multiple
/// values cut.
fn agree(ours: &(VR, Held), theirs: &(VR, Held)) -> bool {
    let same_vr =
        ours.0 == theirs.0 || theirs.0 == VR::UN || matches!(ours.0, VR::UN | VR::OB | VR::OW | VR::US | VR::SS);
    let same = match (&ours.1, &theirs.1) {
        (Held::Bytes(ours_bytes), Held::Bytes(theirs_bytes)) => {
            let decoded = !ours_bytes.is_ascii() && !theirs_bytes.is_ascii() || ours_bytes.contains(&0x1B);
            let padded = || {
                let values = |bytes: &[u8]| bytes.split(|byte| *byte == b'\\').map(trimmed).collect::<Vec<_>>();
                values(ours_bytes) == values(theirs_bytes)
            };
            ours_bytes == theirs_bytes || decoded || padded()
        }
        (ours, theirs) => ours == theirs,
    };
    same && same_vr
}

#[test]
fn real_files_have_the_same_elements_as_in_dicom_object() {
    let Some(corpus) = std::env::var_os("MEDIMG_CORPUS") else {
        println!("not run: MEDIMG_CORPUS names no folder");
        return;
    };
    let mut paths = Vec::new();
    std::env::split_paths(&corpus).for_each(|folder| files(&folder, 0, &mut paths));
    paths.sort();
    let (mut compared, mut elements, mut unread, mut different) = (0, 0, Vec::new(), Vec::new());
    for file in &paths {
        let bytes = std::fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Ok((skeleton, inflated)) = scan_slice(&bytes, Limits::default()) else { continue };
        let mut source = bytes[..skeleton.data_set as usize].to_vec();
        source.extend_from_slice(inflated.as_deref().unwrap_or(&bytes[skeleton.data_set as usize..]));
        let Ok(object) = OpenFileOptions::new().from_reader(&bytes[..]) else {
            unread.push(name);
            continue;
        };
        let (mut ours, mut theirs) = (Found::new(), Found::new());
        by_scanner(&skeleton, &source, None, "", &mut ours);
        by_dicom_object(&object, "", &mut theirs);
        compared += 1;
        elements += ours.len();
        for path in ours.keys().chain(theirs.keys().filter(|path| !ours.contains_key(*path))) {
            let agreed = ours.get(path).zip(theirs.get(path)).is_some_and(|(ours, theirs)| agree(ours, theirs));
            if !agreed {
                let mut line = format!("{name}: {path} {:?} {:?}", ours.get(path), theirs.get(path));
                line.truncate(300);
                different.push(line);
            }
        }
    }
    different.iter().for_each(|line| println!("{line}"));
    println!("dicom-object does not read {unread:?}");
    println!("{compared} files, {elements} elements, {} differences, {} unread", different.len(), unread.len());
    assert!(compared > 0 && different.is_empty(), "{} differences", different.len());
}
