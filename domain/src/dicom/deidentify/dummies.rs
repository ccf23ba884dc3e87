//! Dummy elements and items: what stands where something had to go and the IOD demands something.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::dummy::{PDF, TEXT, value};
use super::value::cut;
use super::write::Writer;
use crate::dicom::iod::{Node, Tree, Type};
use crate::dicom::skeleton::Skeleton;

/// Deeper than this a dummy sequence stays empty.
const DEPTH_MAX: usize = 4;
/// The code that stands for a code that had to go.
const UNKNOWN: [&str; 3] = ["261665006", "SCT", "Unknown"];
const COMMENT: [&str; 3] = ["121106", "DCM", "Comment"];

/// What a dummy may look up in its object: nothing but kinds, never a value of the patient.
pub(super) struct Source<'a> {
    pub(super) skeleton: &'a Skeleton,
    pub(super) parent: Option<usize>,
    /// A graphic layer of the object whose name was judged.
    pub(super) layer: Option<&'a str>,
}

/// Writes the attributes of a code triple.
pub(super) fn code(writer: &mut Writer, [value, scheme, meaning]: [&str; 3]) {
    writer.element(Tag(0x0008, 0x0100), VR::SH, value.as_bytes());
    writer.element(Tag(0x0008, 0x0102), VR::SH, scheme.as_bytes());
    writer.element(Tag(0x0008, 0x0104), VR::LO, meaning.as_bytes());
}

/// Writes a dummy element.
pub(super) fn element(writer: &mut Writer, tag: Tag, vr: VR, items: Option<Tree>, source: &Source<'_>) {
    match (tag.group(), tag.element()) {
        (0x0040, 0xA730) => content(writer, tag),
        (0x0070, 0x0001) => graphic_annotation(writer, tag, source),
        (0x0042, 0x0011) => writer.element(tag, VR::OB, document(source)),
        // Long Code Value is for codes that Code Value has no room for (PS3.3 8.1); frames are counted from 1.
        (0x0008, 0x0119) => writer.element(tag, vr, b"ANONYMIZED LONG CODE VALUE"),
        (0x0008, 0x1160) => writer.element(tag, vr, b"1"),
        (0x0008, 0x0201) => writer.element(tag, vr, b"+0000"),
        _ if vr == VR::SQ => sequence(writer, tag, items, 0),
        _ => writer.element(tag, vr, value(vr)),
    }
}

fn sequence(writer: &mut Writer, tag: Tag, items: Option<Tree>, depth: usize) {
    let Some(tree) = items.filter(|_| depth < DEPTH_MAX) else { return writer.empty_sequence(tag) };
    writer.sequence(tag);
    writer.item();
    if Node::Items(tree).find(Tag(0x0008, 0x0104)).is_some_and(|listed| listed.ty == Type::One) {
        code(writer, UNKNOWN);
    } else {
        for (tag, listed) in tree.iter() {
            let Some(vr) = StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed()) else { continue };
            match listed.ty {
                Type::One if vr == VR::SQ => sequence(writer, tag, listed.items, depth + 1),
                Type::One => writer.element(tag, vr, value(vr)),
                Type::Two if vr == VR::SQ => writer.empty_sequence(tag),
                Type::Two => writer.element(tag, vr, &[]),
                Type::OneC | Type::TwoC | Type::Three => {}
            }
        }
    }
    writer.item_end();
    writer.sequence_end();
}

/// The content tree that the Basic Profile leaves of a structured report: one comment that says so (PS3.15 E.1.1).
fn content(writer: &mut Writer, tag: Tag) {
    writer.sequence(tag);
    writer.item();
    writer.element(Tag(0x0040, 0xA010), VR::CS, b"CONTAINS");
    writer.element(Tag(0x0040, 0xA040), VR::CS, b"TEXT");
    writer.sequence(Tag(0x0040, 0xA043));
    writer.item();
    code(writer, COMMENT);
    writer.item_end();
    writer.sequence_end();
    writer.element(Tag(0x0040, 0xA160), VR::UT, TEXT.as_bytes());
    writer.item_end();
    writer.sequence_end();
}

/// One text at the display's corner: an annotation must have some object.
fn graphic_annotation(writer: &mut Writer, tag: Tag, source: &Source<'_>) {
    let swap = writer.encoding().big_endian;
    writer.sequence(tag);
    writer.item();
    writer.element(Tag(0x0070, 0x0002), VR::CS, source.layer.unwrap_or("ANONYMIZED").as_bytes());
    writer.sequence(Tag(0x0070, 0x0008));
    writer.item();
    writer.element(Tag(0x0070, 0x0004), VR::CS, b"DISPLAY");
    writer.element(Tag(0x0070, 0x0006), VR::ST, TEXT.as_bytes());
    writer.numbers(Tag(0x0070, 0x0014), VR::FL, &[0; 8], swap);
    writer.element(Tag(0x0070, 0x0015), VR::CS, b"N");
    writer.item_end();
    writer.sequence_end();
    writer.item_end();
    writer.sequence_end();
}

/// An empty page where the object says PDF, else two zero bytes.
fn document(source: &Source<'_>) -> &'static [u8] {
    let mime = source.skeleton.find(source.parent, Tag(0x0042, 0x0012));
    let mime = mime.and_then(|at| source.skeleton.bytes(&source.skeleton.elements[at])).map(cut);
    if mime == Some(b"application/pdf") { PDF } else { &[0, 0] }
}
