//! Which objects may show identifiers in their pixels or in a document inside, until pixels are handled (DESIGN §6).

use dicom_core::Tag;

use crate::dicom::skeleton::Skeleton;
use crate::{Reason, Rejection};

/// SOP classes below 1.2.840.10008.5.1.4.1.1. whose pixels may show identifiers: ultrasound, secondary capture, XA, RF,
/// endoscopy, photographs and microscopy, encapsulated documents, each with its retired predecessors.
const CLASSES: &[&str] = &[
    "3", "3.1", "6", "6.1", "6.2", "6.3", "7", "7.1", "7.2", "7.3", "7.4", "12.1", "12.1.1", "12.2", "12.2.1", "12.3",
    "77.1", "77.1.1", "77.1.1.1", "77.1.2", "77.1.2.1", "77.1.3", "77.1.4", "77.1.4.1", "77.1.5.1", "77.1.5.2",
    "77.1.5.5", "77.1.5.6", "77.1.6", "77.1.7", "77.1.8", "77.1.9", "77.2", "104.1", "104.2", "104.3", "104.4",
    "104.5",
];
/// CT and MR, enhanced and legacy converted too, whose ImageType decides.
const CT_MR: &[&str] = &["2", "2.1", "2.2", "4", "4.1", "4.3", "4.4"];

pub(super) fn check(skeleton: &Skeleton, sop_class_uid: &str) -> Result<(), Rejection> {
    let refuse = |detail, path: &str| Err(Rejection::new(Reason::PixelsNotJudged, detail).at_path(path.to_owned()));
    let class = sop_class_uid.strip_prefix("1.2.840.10008.5.1.4.1.1.").unwrap_or("");
    if skeleton.find(None, Tag(0x0042, 0x0011)).is_some() {
        return refuse("an encapsulated document that nobody judged", "(0042,0011)");
    }
    if CLASSES.contains(&class) {
        return refuse("pixels of this kind of object may show identifiers", "(0008,0016)");
    }
    let burned_in = skeleton.value(Tag(0x0028, 0x0301)).unwrap_or(&[]);
    if terms(burned_in).any(|term| term.eq_ignore_ascii_case(b"YES")) {
        return refuse("the object says that identifiers are burned in", "(0028,0301)");
    }
    let image_type = skeleton.value(Tag(0x0008, 0x0008)).unwrap_or(&[]);
    let screen = |term: &[u8]| {
        let term: Vec<u8> =
            term.iter().map(|byte| if *byte == b'_' { b' ' } else { byte.to_ascii_uppercase() }).collect();
        term == b"SECONDARY" || term == b"SCREEN SAVE"
    };
    if CT_MR.contains(&class) && terms(image_type).any(screen) {
        return refuse("a secondary image or a saved screen may show identifiers", "(0008,0008)");
    }
    Ok(())
}

fn terms(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b'\\').map(|term| {
        let end = term.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
        term[..end].trim_ascii_start()
    })
}
