//! The identifier classes of 45 CFR 164.514(b)(2)(i)(A)-(R), and which attributes of a receipt belong to which.
//!
//! Source of the classes: the regulation's own list. Which attribute belongs to which class is our reading: the named
//! attributes of [`TAGS`] first, then the value representation (PS3.5 Table 6.2-1: PN a name, DA DT AS a date or an age,
//! UI a unique code). What neither tells is class `other`: it is counted, and no class is claimed.

use std::collections::{BTreeMap, HashMap};

use dicom_core::Tag;
use dicom_core::VR;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_dictionary_std::StandardDataDictionary;
use serde::Serialize;

/// A class of identifiers: its letter in the regulation (`-` for none), a word, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Letter in 164.514(b)(2)(i).
    pub letter: char,
    /// What identifiers it is.
    pub name: &'static str,
}

/// Every class, in the order of the regulation; the last one is ours.
pub(super) const CLASSES: [Class; 19] = [
    class('A', "Names"),
    class('B', "Geography smaller than a state"),
    class('C', "Dates but the year, ages over 89"),
    class('D', "Telephone numbers"),
    class('E', "Fax numbers"),
    class('F', "E-mail addresses"),
    class('G', "Social security numbers"),
    class('H', "Medical record numbers"),
    class('I', "Health plan numbers"),
    class('J', "Account numbers"),
    class('K', "Certificate and licence numbers"),
    class('L', "Vehicle identifiers"),
    class('M', "Device identifiers"),
    class('N', "URLs"),
    class('O', "IP addresses"),
    class('P', "Biometric identifiers"),
    class('Q', "Full-face photographs"),
    class('R', "Other unique numbers and codes"),
    class('-', "Other: free text, private, not classed"),
];

const fn class(letter: char, name: &'static str) -> Class {
    Class { letter, name }
}

const OTHER: usize = CLASSES.len() - 1;

/// Attributes whose class their value representation does not tell.
#[rustfmt::skip]
const TAGS: &[(char, &[u32])] = &[
    // Patient's Birth Name, Mother's Birth Name, Responsible Organization, Other Patient Names stand as PN already.
    // Institution name and address, patient's address, country and region of residence, military place, current location.
    ('B', &[0x0008_0080, 0x0008_0081, 0x0008_0082, 0x0010_1040, 0x0010_2150, 0x0010_2152, 0x0010_1081,
            0x0038_0300, 0x0038_0400, 0x0040_0243]),
    // Patient's telephone numbers, referring physician's, person's; they may hold fax numbers too.
    ('D', &[0x0010_2154, 0x0008_0094, 0x0040_1103, 0x0010_2155, 0x0040_2010]),
    // Patient ID, its issuer, other ids, medical record locator.
    ('H', &[0x0010_0020, 0x0010_0021, 0x0010_0024, 0x0010_1000, 0x0010_1002, 0x0010_1090]),
    ('I', &[0x0010_0050, 0x0010_1050]),
    // Admission, service episode.
    ('J', &[0x0038_0010, 0x0038_0060]),
    // Device serial number, station name, device UID, plate, detector, gantry, AE titles, performed and scheduled stations.
    ('M', &[0x0018_1000, 0x0008_1010, 0x0018_1002, 0x0018_1004, 0x0018_1005, 0x0018_1007, 0x0018_1008, 0x0018_700A,
            0x0050_0020, 0x0002_0016, 0x0008_0054, 0x0040_0001, 0x0040_0010, 0x0040_0241, 0x0040_0242, 0x3008_0105]),
    // Times of day belong to their dates.
    ('C', &[0x0008_0030, 0x0008_0031, 0x0008_0032, 0x0008_0033, 0x0010_0032, 0x0008_0201]),
    // Accession, study id, order and filler numbers, digital signatures.
    ('R', &[0x0008_0050, 0x0020_0010, 0x0040_2016, 0x0040_2017, 0x0040_1001, 0x0040_0009, 0x0040_0253, 0xFFFA_FFFA]),
    ('Q', &[0x0010_2203]),
];

/// What was done to the attributes of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassActions {
    /// The class.
    #[serde(flatten)]
    pub class: Class,
    /// How many distinct attributes.
    pub attributes: u64,
    /// How often each action was taken: `removed`, `emptied`, `replaced`, `mapped`, `added`.
    pub actions: BTreeMap<&'static str, u64>,
}

/// Returns the word for an action letter of a receipt.
pub(super) const fn word(letter: char) -> &'static str {
    match letter {
        'a' => "added",
        'd' => "replaced",
        'k' => "kept",
        'u' => "mapped",
        'x' => "removed",
        'z' => "emptied",
        _ => "several",
    }
}

/// Sums receipts by class.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Per attribute of a receipt: its class and counts by action letter.
    attributes: HashMap<u32, (usize, [u64; 6])>,
    pub(super) unlisted: u64,
}

const LETTERS: [char; 6] = ['a', 'd', 'k', 'u', 'x', 'z'];

/// Private attributes stand as their group: `0009xxxx`.
const PRIVATE: u32 = 0xFFFF;

impl Sums {
    /// Takes in a packed receipt: comma-separated `path action rule [*count]`.
    pub(super) fn add(&mut self, receipt: &str) {
        for entry in receipt.split(',').filter(|entry| !entry.is_empty()) {
            let mut words = entry.split(' ');
            let (Some(path), Some(action)) = (words.next(), words.next()) else { continue };
            let times =
                words.nth(1).and_then(|times| times.strip_prefix('*')).and_then(|n| n.parse().ok()).unwrap_or(1u64);
            let letter = action.chars().next().and_then(|letter| LETTERS.iter().position(|known| *known == letter));
            match (tag_of(path), letter) {
                (Some(tag), Some(letter)) => {
                    let sums = self.attributes.entry(tag).or_insert_with(|| (class_of(tag), [0; 6]));
                    sums.1[letter] += times;
                }
                _ => self.unlisted += times,
            }
        }
    }

    pub(super) fn finish(&self) -> Vec<ClassActions> {
        let mut classes: Vec<ClassActions> = CLASSES
            .iter()
            .map(|class| ClassActions { class: *class, attributes: 0, actions: BTreeMap::new() })
            .collect();
        for (class, counts) in self.attributes.values() {
            classes[*class].attributes += 1;
            for (letter, count) in LETTERS.into_iter().zip(counts).filter(|(_, count)| **count > 0) {
                *classes[*class].actions.entry(word(letter)).or_default() += count;
            }
        }
        classes
    }
}

/// The attribute at the end of a path such as `0040A730.*.0040A160`; none for `*`.
fn tag_of(path: &str) -> Option<u32> {
    let last = path.get(path.len().checked_sub(8)?..)?;
    match last.strip_suffix("xxxx") {
        Some(group) => u32::from_str_radix(group, 16).ok().map(|group| group << 16 | PRIVATE),
        None => u32::from_str_radix(last, 16).ok(),
    }
}

/// Returns the index in [`CLASSES`].
fn class_of(tag: u32) -> usize {
    let named = TAGS.iter().find(|(_, tags)| tags.contains(&tag)).map(|(letter, _)| *letter);
    let letter = named.or_else(|| {
        let tag = Tag((tag >> 16) as u16, (tag & 0xFFFF) as u16);
        match StandardDataDictionary.by_tag(tag)?.vr().exact()? {
            VR::PN => Some('A'),
            VR::DA | VR::DT | VR::AS => Some('C'),
            VR::UI => Some('R'),
            VR::UR => Some('N'),
            _ => None,
        }
    });
    letter.and_then(|letter| CLASSES.iter().position(|class| class.letter == letter)).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(receipt: &str) -> BTreeMap<char, BTreeMap<&'static str, u64>> {
        let mut sums = Sums::default();
        sums.add(receipt);
        sums.finish().into_iter().filter(|sum| sum.attributes > 0).map(|sum| (sum.class.letter, sum.actions)).collect()
    }

    #[test]
    fn each_entry_of_a_receipt_counts_in_the_class_of_its_innermost_attribute() {
        let told = actions(
            "00100010 z r72,0040A730.*.0040A123 x r9 *3,00100020 u r1,00100030 d r2,00080018 u r3,0009xxxx x r4 *2",
        );
        assert_eq!(told[&'A'], BTreeMap::from([("emptied", 1), ("removed", 3)]));
        assert_eq!(told[&'H'], BTreeMap::from([("mapped", 1)]));
        assert_eq!(told[&'C'], BTreeMap::from([("replaced", 1)]));
        assert_eq!(told[&'R'], BTreeMap::from([("mapped", 1)]));
        assert_eq!(told[&'-'], BTreeMap::from([("removed", 2)]));
    }

    #[test]
    fn what_found_no_room_is_counted_as_unlisted() {
        let mut sums = Sums::default();
        sums.add("* * more *17");
        assert_eq!(sums.unlisted, 17);
    }

    #[test]
    fn every_named_attribute_has_one_class_and_stands_in_the_dictionary() {
        let mut seen = std::collections::BTreeSet::new();
        for (letter, tags) in TAGS {
            assert!(CLASSES.iter().any(|class| class.letter == *letter));
            for tag in *tags {
                assert!(seen.insert(tag), "{tag:08X} stands twice");
                let known = Tag((tag >> 16) as u16, (tag & 0xFFFF) as u16);
                assert!(StandardDataDictionary.by_tag(known).is_some(), "{tag:08X}");
            }
        }
    }
}
