//! De-identification of small objects made in code: scanned, de-identified, put together, scanned again.

mod adversary;
mod pixels;
mod rows;
mod whole;

use dicom_core::{Tag, VR};

use super::{Profile, deidentify};
use crate::Rejection;
use crate::dicom::limits::Limits;
use crate::dicom::plan::{Emit, Plan};
use crate::dicom::scan::scan_slice;
use crate::dicom::skeleton::{Encoding, Skeleton};
use crate::dicom::testkit::{DataSet, Length, file};
use crate::ids::{Key, Keys};

pub(super) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(super) const COMPREHENSIVE_SR: &str = "1.2.840.10008.5.1.4.1.1.88.33";
pub(super) const PRIVATE_CLASS: &str = "1.2.826.0.1.3680043.10.99";
pub(super) const ENCODINGS: [(&str, Encoding); 3] = [
    ("1.2.840.10008.1.2", Encoding::IMPLICIT_LE),
    ("1.2.840.10008.1.2.1", Encoding::EXPLICIT_LE),
    ("1.2.840.10008.1.2.2", Encoding::EXPLICIT_BE),
];

pub(super) fn keys() -> Keys {
    Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) }
}

/// An element of an object under construction; sorted by tag before it is written.
pub(super) type Part = (Tag, VR, Vec<u8>);

/// Returns the parts of a small object of a class; `more` replaces parts with the same tag.
pub(super) fn object(class: &str, more: &[Part]) -> Vec<Part> {
    let text = |tag, vr, value: &str| (tag, vr, value.as_bytes().to_vec());
    let mut parts = vec![
        text(Tag(0x0008, 0x0016), VR::UI, class),
        text(Tag(0x0008, 0x0018), VR::UI, "1.2.826.0.1.3680043.10.1.1"),
        text(Tag(0x0008, 0x0060), VR::CS, "CT"),
        text(Tag(0x0010, 0x0010), VR::PN, "Exemplar^Evangeline"),
        text(Tag(0x0010, 0x0020), VR::LO, "EX-1048-77"),
        text(Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.1.2"),
        text(Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.1.3"),
    ];
    parts.retain(|part| !more.iter().any(|other| other.0 == part.0));
    parts.extend_from_slice(more);
    parts.sort_by_key(|part| part.0);
    parts
}

/// Writes parts in an encoding; the value of an SQ part is the bytes of its only item.
pub(super) fn data_set(encoding: Encoding, parts: &[Part]) -> Vec<u8> {
    let mut set = DataSet::new(encoding);
    for (tag, vr, value) in parts {
        set = if *vr == VR::SQ {
            set.sequence(*tag, VR::SQ, Length::Defined, vec![value.clone()])
        } else {
            let mut even = value.clone();
            if even.len() % 2 == 1 {
                even.push(if matches!(vr, VR::UI | VR::OB | VR::UN) { 0 } else { b' ' });
            }
            set.element(*tag, *vr, &even)
        };
    }
    set.bytes()
}

pub(super) fn text(tag: (u16, u16), vr: VR, value: &str) -> Part {
    (Tag(tag.0, tag.1), vr, value.as_bytes().to_vec())
}

/// De-identifies a file with pixels accepted; returns the output and the plan.
pub(super) fn run(source: &[u8]) -> Result<(Vec<u8>, Plan), Rejection> {
    let profile = Profile::basic().unwrap().with_accept_pixels(true);
    let (skeleton, inflated) = scan_slice(source, Limits::default())?;
    let plan = deidentify(&skeleton, &profile, &keys())?;
    let logical = match &inflated {
        Some(inflated) => [&source[..skeleton.data_set as usize], inflated].concat(),
        None => source.to_vec(),
    };
    Ok((assemble(&plan, &logical), plan))
}

fn assemble(plan: &Plan, source: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    for piece in &plan.emit {
        match piece {
            Emit::Bytes(bytes) => output.extend_from_slice(bytes),
            Emit::Copy { offset, len } | Emit::Numbers { offset, len } => {
                output.extend_from_slice(&source[*offset as usize..(offset + len) as usize])
            }
            Emit::Swap { offset, len, unit } => {
                let bytes = &source[*offset as usize..(offset + len) as usize];
                bytes.chunks_exact(usize::from(*unit)).for_each(|number| output.extend(number.iter().rev()));
            }
        }
    }
    assert_eq!(output.len() as u64, plan.len());
    output
}

/// De-identifies an explicit little endian object made of parts and scans the output.
pub(super) fn run_parts(parts: &[Part]) -> (Vec<u8>, Skeleton, Plan) {
    let source = file("1.2.840.10008.1.2.1", &data_set(Encoding::EXPLICIT_LE, parts));
    let (output, plan) = run(&source).unwrap();
    let (skeleton, _) = scan_slice(&output, Limits::default()).unwrap();
    (output, skeleton, plan)
}

/// Returns the value of a top-level attribute of the output, padding cut; `None` if it is gone.
pub(super) fn value_of(skeleton: &Skeleton, tag: (u16, u16)) -> Option<String> {
    let bytes = skeleton.value(Tag(tag.0, tag.1))?;
    Some(String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned())
}

pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let lower = |bytes: &[u8]| bytes.iter().map(u8::to_ascii_lowercase).collect::<Vec<u8>>();
    memchr::memmem::find(&lower(bytes), &lower(needle)).is_some()
}
