//! Validation: what quarantines an object, and what is only recorded (DESIGN §4 and §6).
//!
//! Quarantined: a missing or ill-formed SOP Class, SOP Instance, Study or Series UID; pixel data that contradict or lack the
//! attributes that size them; an image without its pixel data. Every other Type 1 or 2 breach is a warning.

mod pixels;
#[cfg(test)]
mod tests;

use dicom_core::Tag;

use super::identity::{Identity, is_well_formed_uid};
use super::iod::{Iod, Node, Tree, Type};
use super::skeleton::{Content, Element, Skeleton};
use crate::{Reason, Rejection};

/// How many warnings are kept; further breaches are only counted.
pub const WARNING_COUNT_MAX: usize = 100;

/// A breach that does not quarantine: a code and a place, no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `type1_missing`, `type1_empty`, `type2_missing` or `iod_unknown`.
    pub code: &'static str,
    /// Tag path with `*` for item numbers, `00081140.*.00081155`; empty for the object as a whole.
    pub path: String,
}

/// What validation found in an object that it let pass.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Validation {
    /// Name of the object's IOD; `None` for private and unknown SOP classes.
    pub iod: Option<&'static str>,
    /// The first breaches, each place once, at most [`WARNING_COUNT_MAX`].
    pub warnings: Vec<Warning>,
    /// How many breaches there are in all, each item counted.
    pub warning_count: u32,
    /// The places of `warnings`, so that one that comes again costs no text.
    seen: Vec<(&'static str, Vec<Tag>)>,
}

/// Validates an object.
pub fn validate(skeleton: &Skeleton, identity: &Identity) -> Result<Validation, Rejection> {
    check_identity(skeleton, identity)?;
    let iod = Iod::of_sop_class(&identity.sop_class_uid);
    pixels::check(skeleton, iod)?;
    let mut found = Validation { iod: iod.map(|iod| iod.name), ..Validation::default() };
    match iod {
        Some(iod) => check_root(skeleton, iod, &mut found),
        None => found.warn("iod_unknown", &[]),
    }
    Ok(found)
}

fn check_identity(skeleton: &Skeleton, identity: &Identity) -> Result<(), Rejection> {
    const DICOMDIR: &str = "1.2.840.10008.1.3.10";
    const PALETTE: &str = "1.2.840.10008.5.1.4.39.1";
    let meta_class = skeleton.meta_value(Tag(0x0002, 0x0002)).map(super::identity::uid_text).unwrap_or_default();
    for class in [identity.sop_class_uid.as_str(), meta_class.as_str()] {
        if class == DICOMDIR || class == PALETTE {
            return Err(Rejection::new(
                Reason::MissingRequired,
                "a DICOMDIR or a palette is not an instance of a study",
            ));
        }
    }
    let uids = [
        (&identity.sop_class_uid, "(0008,0016)"),
        (identity.sop_instance_uid.expose(), "(0008,0018)"),
        (identity.study_instance_uid.expose(), "(0020,000D)"),
        (identity.series_instance_uid.expose(), "(0020,000E)"),
    ];
    for (uid, path) in uids {
        if !is_well_formed_uid(uid) {
            let detail =
                if uid.is_empty() { "a UID that identifies the object is missing" } else { "a UID is ill-formed" };
            return Err(Rejection::new(Reason::MissingRequired, detail).at_path(path.to_owned()));
        }
    }
    Ok(())
}

impl Validation {
    fn warn(&mut self, code: &'static str, path: &[Tag]) {
        self.warning_count = self.warning_count.saturating_add(1);
        let known = self.seen.iter().rev().any(|(seen, place)| *seen == code && place == path);
        if known || self.warnings.len() >= WARNING_COUNT_MAX {
            return;
        }
        let text: Vec<String> = path.iter().map(|tag| format!("{:04X}{:04X}", tag.group(), tag.element())).collect();
        self.seen.push((code, path.to_vec()));
        self.warnings.push(Warning { code, path: text.join(".*.") });
    }
}

fn check_root(skeleton: &Skeleton, iod: &'static Iod, found: &mut Validation) {
    let present = present_in(skeleton, None);
    let mut path = Vec::new();
    check_required(skeleton, &present, iod.required(), &mut path, found);
    check_children(skeleton, &present, Node::Root(iod), &mut path, found);
}

/// The elements of one level, ascending by tag; of a tag that stands twice the last comes last.
fn present_in(skeleton: &Skeleton, parent: Option<usize>) -> Vec<(Tag, usize)> {
    let mut present: Vec<_> = skeleton.children(parent).map(|index| (skeleton.elements[index].tag, index)).collect();
    if !present.is_sorted() {
        present.sort_unstable();
    }
    present
}

fn check_required(
    skeleton: &Skeleton,
    present: &[(Tag, usize)],
    required: impl Iterator<Item = (Tag, Type)>,
    path: &mut Vec<Tag>,
    found: &mut Validation,
) {
    let mut at = 0;
    for (tag, ty) in required {
        while present.get(at).is_some_and(|(here, _)| *here < tag) {
            at += 1;
        }
        let element = present.get(at).filter(|(here, _)| *here == tag).map(|(_, index)| &skeleton.elements[*index]);
        let code = match (element, ty) {
            (None, Type::One) => "type1_missing",
            (None, Type::Two) => "type2_missing",
            (Some(element), Type::One) if is_empty(skeleton, element) => "type1_empty",
            _ => continue,
        };
        path.push(tag);
        found.warn(code, path);
        path.pop();
    }
}

fn is_empty(skeleton: &Skeleton, element: &Element) -> bool {
    match element.content {
        Content::Sequence => element.len == 0,
        Content::Kept { .. } => {
            skeleton.bytes(element).is_none_or(|bytes| bytes.iter().all(|&byte| byte == b' ' || byte == 0))
                && !is_binary(element.vr)
                || element.len == 0
        }
        _ => element.len == 0 && !matches!(element.content, Content::Fragments),
    }
}

const fn is_binary(vr: dicom_core::VR) -> bool {
    use dicom_core::VR::{AT, FD, FL, OB, OD, OF, OL, OV, OW, SL, SS, SV, UL, UN, US, UV};
    matches!(vr, AT | FD | FL | OB | OD | OF | OL | OV | OW | SL | SS | SV | UL | UN | US | UV)
}

/// Goes into the sequences of one level. Recursion is bounded by the scan's nesting limit.
fn check_children(
    skeleton: &Skeleton,
    present: &[(Tag, usize)],
    node: Node,
    path: &mut Vec<Tag>,
    found: &mut Validation,
) {
    const CONTENT_SEQUENCE: Tag = Tag(0x0040, 0xA730);
    for &(tag, index) in present {
        if !matches!(skeleton.elements[index].content, Content::Sequence) || tag == CONTENT_SEQUENCE {
            continue;
        }
        let Some(items) = node.find(tag).and_then(|listed| listed.items) else { continue };
        path.push(tag);
        for item in skeleton.children(Some(index)) {
            check_item(skeleton, item, tag, items, path, found);
        }
        path.pop();
    }
}

fn check_item(
    skeleton: &Skeleton,
    item: usize,
    sequence: Tag,
    items: Tree,
    path: &mut Vec<Tag>,
    found: &mut Validation,
) {
    let present = present_in(skeleton, Some(item));
    // A functional group stands in the shared or in the per-frame item; which of them is the object's choice.
    if sequence.group() != 0x5200 {
        let required =
            items.iter().map(|(tag, listed)| (tag, listed.ty)).filter(|(_, ty)| matches!(ty, Type::One | Type::Two));
        check_required(skeleton, &present, required, path, found);
    }
    check_children(skeleton, &present, Node::Items(items), path, found);
}
