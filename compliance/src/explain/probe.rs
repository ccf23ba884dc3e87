//! A small object that holds one attribute, de-identified; its receipt says what the rules do there.

use std::collections::BTreeMap;

use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::{Profile, Tag, VR, deidentify};
use domain::ids::{Key, Keys};

use crate::receipt::{Action, Receipt, Rule};

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);

/// Returns what becomes of the attribute at `path` in an object of the class `sop_class_uid`; nothing if it stays.
pub(super) fn ask(path: &[Tag], vr: VR, sop_class_uid: &str, profile: &Profile) -> (Option<Action>, Option<Rule>) {
    let bytes = object(path, vr, sop_class_uid);
    let keys = Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) };
    let plan = scan_slice(&bytes, Limits::default()).and_then(|(skeleton, _)| deidentify(&skeleton, profile, &keys));
    let Some(receipt) = plan.ok().and_then(|plan| Receipt::read(&plan.receipt.packed)) else { return (None, None) };
    let is_private = |tag: &Tag| tag.group() % 2 == 1;
    // A line about a sequence around it is about it as well; the innermost counts.
    for end in (1..=path.len()).rev() {
        let mut place = path[..end].to_vec();
        if let Some(last) = place.last_mut().filter(|tag| is_private(tag)) {
            *last = Tag(last.group(), 0xFFFF);
        }
        if let Some(line) = receipt.lines.iter().find(|line| line.path == place) {
            return (Some(line.action), Some(line.rule.clone()));
        }
    }
    (None, None)
}

/// Returns a file without meta, explicit VR little endian: identity and the attribute, in ascending order of tags.
fn object(path: &[Tag], vr: VR, sop_class_uid: &str) -> Vec<u8> {
    let mut set: BTreeMap<Tag, Vec<u8>> = BTreeMap::new();
    let uid = |tag, value: &str| element(tag, VR::UI, value.as_bytes());
    set.insert(SOP_CLASS_UID, uid(SOP_CLASS_UID, sop_class_uid));
    for (tag, value) in
        [(Tag(0x0008, 0x0018), "1.2.3.1"), (Tag(0x0020, 0x000D), "1.2.3.2"), (Tag(0x0020, 0x000E), "1.2.3.3")]
    {
        set.insert(tag, uid(tag, value));
    }
    let Some((first, _)) = path.split_first() else { return Vec::new() };
    let is_own = path.len() == 1 && set.contains_key(first);
    if !is_own {
        set.insert(*first, nested(path, vr));
    }
    let mut bytes = vec![0; 128];
    bytes.extend_from_slice(b"DICM");
    let syntax = element(Tag(0x0002, 0x0010), VR::UI, b"1.2.840.10008.1.2.1");
    bytes.extend(element(Tag(0x0002, 0x0000), VR::UL, &(syntax.len() as u32).to_le_bytes()));
    bytes.extend(syntax);
    bytes.extend(set.into_values().flatten());
    bytes
}

fn nested(path: &[Tag], vr: VR) -> Vec<u8> {
    match path {
        [] => Vec::new(),
        [last] if vr == VR::SQ => element(*last, VR::SQ, &item(&[])),
        [last] => element(*last, vr, value(vr)),
        [sequence, inside @ ..] => element(*sequence, VR::SQ, &item(&nested(inside, vr))),
    }
}

fn item(bytes: &[u8]) -> Vec<u8> {
    let mut item = vec![0xFE, 0xFF, 0x00, 0xE0];
    item.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    item.extend_from_slice(bytes);
    item
}

fn element(tag: Tag, vr: VR, value: &[u8]) -> Vec<u8> {
    let is_short = matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::AT
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::FL
            | VR::FD
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::SL
            | VR::SS
            | VR::ST
            | VR::TM
            | VR::UI
            | VR::UL
            | VR::US
    );
    let padding = value.len() % 2;
    let len = value.len() + padding;
    let mut bytes = [tag.group().to_le_bytes(), tag.element().to_le_bytes()].concat();
    bytes.extend_from_slice(&vr.to_bytes());
    if is_short {
        bytes.extend_from_slice(&(len as u16).to_le_bytes());
    } else {
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
    }
    bytes.extend_from_slice(value);
    bytes.extend(std::iter::repeat_n(if vr == VR::UI { 0 } else { b' ' }, padding));
    bytes
}

/// A value that obeys the VR and tells of nobody, so that only what the attribute is decides.
const fn value(vr: VR) -> &'static [u8] {
    match vr {
        VR::AE => b"PROBE",
        VR::AS => b"030Y",
        VR::CS => b"NONE",
        VR::DA => b"20260102",
        VR::TM => b"102030",
        VR::DT => b"20260102102030",
        VR::DS | VR::IS | VR::LO | VR::SH | VR::LT | VR::ST | VR::UT | VR::UC => b"1",
        VR::PN => b"PROBE^OBJECT",
        VR::UI => b"1.2.3.4",
        VR::UR => b"https://example.org",
        VR::US | VR::SS | VR::OB | VR::OW | VR::UN => &[0; 2],
        VR::AT | VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => &[0; 4],
        _ => &[0; 8],
    }
}
