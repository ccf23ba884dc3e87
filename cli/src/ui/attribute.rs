//! Names of attributes, as PS3.6 spells them.

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, TagRange};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

/// Returns the tag as DICOM writes it: `(0010,0010)`.
pub(crate) fn tag_told(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag.group(), tag.element())
}

/// Returns the keyword of a tag, or in small letters what kind of tag it is.
pub(crate) fn keyword(tag: Tag) -> &'static str {
    match tag {
        Tag(0xFFFC, 0xFFFC) => "data set trailing padding",
        Tag(group, 0xFFFF) if group % 2 == 1 => "private group",
        Tag(group, 0x0010..=0x00FF) if group % 2 == 1 => "private creator",
        Tag(group, _) if group % 2 == 1 => "private attribute",
        // The dictionary has one general entry for all of these.
        Tag(group, 0x0000) if group > 0x0002 => "group length",
        tag => StandardDataDictionary.by_tag(tag).map_or("not in the dictionary", |entry| entry.alias),
    }
}

/// Returns the VR of a tag as PS3.6 states it, the first where it states several; `None` if the dictionary lacks the tag.
pub(crate) fn dictionary_vr(tag: Tag) -> Option<VR> {
    StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed())
}

/// Whether the dictionary's entry for the tag is one for many: curves, overlays and the like.
pub(crate) fn repeats(tag: Tag) -> bool {
    let range = StandardDataDictionary.by_tag(tag).map(|entry| entry.tag_range());
    matches!(range, Some(TagRange::Group100(_) | TagRange::Element100(_)))
}

/// Returns a place of an object with the keyword of its last tag: `(7FE0,0010) PixelData`; a byte offset as it is.
pub(crate) fn place_told(place: &str) -> String {
    let last = place.rsplit('.').next().unwrap_or(place);
    let digits: String = last.split('[').next().unwrap_or(last).chars().filter(char::is_ascii_hexdigit).collect();
    let number = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 8 && !place.starts_with('@'));
    match number {
        Some(number) => format!("{place} {}", keyword(Tag((number >> 16) as u16, number as u16))),
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_has_a_name() {
        assert_eq!(keyword(Tag(0x0010, 0x0010)), "PatientName");
        assert_eq!(keyword(Tag(0x0029, 0x0010)), "private creator");
        assert_eq!(keyword(Tag(0x0029, 0x1010)), "private attribute");
        assert_eq!(keyword(Tag(0x0008, 0x0000)), "group length");
        assert_eq!(keyword(Tag(0x0010, 0x0001)), "not in the dictionary");
        assert_eq!(keyword(Tag(0x6002, 0x3000)), "OverlayData");
        assert_eq!(place_told("(0040,A730)[0].(0040,A160)"), "(0040,A730)[0].(0040,A160) TextValue");
        assert_eq!(place_told("@12345678"), "@12345678");
        assert!(repeats(Tag(0x6002, 0x3000)) && !repeats(Tag(0x0010, 0x0010)));
    }
}
