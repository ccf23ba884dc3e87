//! The VR that the dictionary gives a tag, behind a small cache: implicit data sets ask once per element.

use std::sync::atomic::{AtomicU64, Ordering};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

/// Every VR of PS3.5 Table 6.2-1 with its two letters.
const VRS: [(VR, [u8; 2]); 34] = [
    (VR::AE, *b"AE"),
    (VR::AS, *b"AS"),
    (VR::AT, *b"AT"),
    (VR::CS, *b"CS"),
    (VR::DA, *b"DA"),
    (VR::DS, *b"DS"),
    (VR::DT, *b"DT"),
    (VR::FL, *b"FL"),
    (VR::FD, *b"FD"),
    (VR::IS, *b"IS"),
    (VR::LO, *b"LO"),
    (VR::LT, *b"LT"),
    (VR::OB, *b"OB"),
    (VR::OD, *b"OD"),
    (VR::OF, *b"OF"),
    (VR::OL, *b"OL"),
    (VR::OV, *b"OV"),
    (VR::OW, *b"OW"),
    (VR::PN, *b"PN"),
    (VR::SH, *b"SH"),
    (VR::SL, *b"SL"),
    (VR::SQ, *b"SQ"),
    (VR::SS, *b"SS"),
    (VR::ST, *b"ST"),
    (VR::SV, *b"SV"),
    (VR::TM, *b"TM"),
    (VR::UC, *b"UC"),
    (VR::UI, *b"UI"),
    (VR::UL, *b"UL"),
    (VR::UN, *b"UN"),
    (VR::UR, *b"UR"),
    (VR::US, *b"US"),
    (VR::UT, *b"UT"),
    (VR::UV, *b"UV"),
];

/// For each pair of letters `A..=Z` the number of the VR in `VRS` plus one, 0 where there is none.
const BY_LETTERS: [u8; 26 * 26] = {
    let mut table = [0; 26 * 26];
    let mut number = 0;
    while number < VRS.len() {
        let letters = VRS[number].1;
        table[(letters[0] - b'A') as usize * 26 + (letters[1] - b'A') as usize] = number as u8 + 1;
        number += 1;
    }
    table
};

/// Returns the VR that two letters spell.
#[inline]
pub(crate) fn vr_of_letters(letters: [u8; 2]) -> Option<VR> {
    let (first, second) = (letters[0].wrapping_sub(b'A'), letters[1].wrapping_sub(b'A'));
    if first >= 26 || second >= 26 {
        return None;
    }
    let number = BY_LETTERS[usize::from(first) * 26 + usize::from(second)];
    VRS.get(usize::from(number).checked_sub(1)?).map(|entry| entry.0)
}

/// Whether an explicit header of this VR has two reserved bytes and a 32-bit length (PS3.5 7.1.2).
pub(crate) const fn has_long_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    )
}

/// Whether a value of this VR beyond a few hundred bytes stays a range: binary data and numbers, in text form too.
pub(crate) const fn is_bulk(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::UN
            | VR::AT
            | VR::FL
            | VR::FD
            | VR::SL
            | VR::SS
            | VR::SV
            | VR::UL
            | VR::US
            | VR::UV
            | VR::DS
            | VR::IS
    )
}

/// Whether a value of this VR is text that people read: every character VR but UI.
pub const fn is_text(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::ST
            | VR::TM
            | VR::UC
            | VR::UR
            | VR::UT
    )
}

const SLOTS: usize = 4096;
/// Direct-mapped: tag in the upper bits, number in `VRS` + 1 in the lowest byte (255: not in the dictionary).
static CACHE: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

/// Returns the VR of the dictionary, `None` if the tag is unknown to it. Where it depends on context (US or SS, OB or OW),
/// the one that dicom-core calls relaxed.
#[inline]
pub(crate) fn vr_of_tag(tag: Tag) -> Option<VR> {
    let key = u64::from(tag.0) << 16 | u64::from(tag.1);
    let slot = &CACHE[(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as usize % SLOTS];
    // Relaxed is enough: a slot holds key and answer in one word.
    let seen = slot.load(Ordering::Relaxed);
    if seen & 0xFF != 0 && seen >> 8 == key {
        return VRS.get((seen & 0xFF) as usize - 1).map(|entry| entry.0);
    }
    let vr = look_up(tag);
    let number = vr.and_then(|vr| VRS.iter().position(|entry| entry.0 == vr)).map_or(255, |at| at as u64 + 1);
    slot.store(key << 8 | number, Ordering::Relaxed);
    vr
}

#[cold]
fn look_up(tag: Tag) -> Option<VR> {
    if tag.0 & 1 == 1 {
        // The dictionary's curve and overlay rows would match odd groups such as (5001,xxxx) too.
        return match tag.1 {
            0x0000 => Some(VR::UL),
            0x0010..=0x00FF => Some(VR::LO),
            _ => None,
        };
    }
    let entry = StandardDataDictionary.by_tag(tag)?;
    Some(entry.vr().relaxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_every_vr_are_known_and_no_others() {
        let mut known = 0;
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let found = vr_of_letters([first, second]);
                assert_eq!(found, VR::from_binary([first, second]));
                known += usize::from(found.is_some());
            }
        }
        assert_eq!(known, VRS.len());
    }

    #[test]
    fn the_cache_answers_as_the_dictionary_does() {
        for _ in 0..2 {
            for group in
                [0x0000, 0x0002, 0x0008, 0x0009, 0x0010, 0x0028, 0x0040, 0x3006, 0x5002, 0x6010, 0x7FE0, 0xFFFC]
            {
                for element in (0..0x4000).chain([0xFFFC]) {
                    let tag = Tag(group, element);
                    assert_eq!(vr_of_tag(tag), look_up(tag), "{tag}");
                }
            }
        }
    }
}
