//! The rules of a receipt in words. A test holds the table to the sources of the de-identification.

use domain::dicom::facts::{self, Facts};

/// Every general rule, and what it says.
const GENERAL: &[(&str, &str)] = &[
    ("meta", "the file meta information is written anew (PS3.10 7.1)"),
    ("profile", "put in by the profile: who de-identified, and how (PS3.15 E.1.1)"),
    ("inflated", "a deflated data set is written as explicit VR little endian"),
    ("length", "a group length or command element, which has no place in a data set (PS3.5 7.2)"),
    ("trailing", "bytes behind the end of the data set"),
    ("iod", "not listed by the object's IOD at this place"),
    ("overlay", "an attribute of an overlay whose pixels go"),
    ("withheld", "no row, but what it is tells of a person, a house or a device, or of what is gone"),
    ("emptied", "a sequence of which no item kept anything"),
    ("uid", "a UID that names no class, mapped"),
    ("offsets", "an offset table of encapsulated frames, made new"),
    ("charset", "text in a character set that is unknown or not obeyed"),
    ("localcode", "the meaning of a code of a private scheme"),
    ("vr", "a sequence without items that says it has bytes"),
    ("fragments", "fragments that are not the object's pixel data"),
    ("unread", "text too long to be searched"),
    ("identifier", "its value holds one of the object's own identifiers"),
    ("pattern", "its text has the pattern of a date, a number or a name"),
    ("repertoire", "its text holds control characters"),
    ("text", "its value does not obey its VR and may hold free text"),
    ("date", "a date or time without a row"),
    ("ae", "an application entity title without a row"),
    ("name", "a person name without a row"),
    ("url", "a URL without a row"),
    ("age", "an age above 89 years, or not an age (45 CFR 164.514(b)(2)(i)(C))"),
    ("COM", "a comment segment inside a compressed frame"),
    ("APP", "an application segment inside a compressed frame"),
    ("UNKNOWN", "an unknown segment inside a compressed frame"),
    ("BOX", "a metadata box around a compressed frame"),
    ("JUNK", "bytes between the segments of a compressed frame"),
    ("TAIL", "bytes behind the end of a compressed frame"),
];

/// Returns what a general rule says.
pub(super) fn general(name: &str) -> Option<&'static str> {
    let numbered = name.strip_prefix("APP").is_some_and(|number| number.parse::<u8>().is_ok());
    let name = if numbered { "APP" } else { name };
    GENERAL.iter().find(|(known, _)| *known == name).map(|(_, words)| *words)
}

/// Returns a row of Table E.1-1 in words: number, and the Basic Profile's code.
pub(super) fn row(number: u16) -> String {
    let row = Facts::load().ok().and_then(|facts| facts.rows.iter().find(|row| row.number == number));
    match row {
        Some(row) => format!("row {number} of Table E.1-1: {}", code(row.action)),
        None => format!("row {number} of Table E.1-1"),
    }
}

/// Returns the code of the Basic Profile's column, as the table spells it.
pub(super) const fn code(action: facts::Action) -> &'static str {
    use facts::Action;
    match action {
        Action::Remove => "X",
        Action::Empty => "Z",
        Action::Dummy => "D",
        Action::Uid => "U",
        Action::RemoveOrEmpty => "X/Z",
        Action::RemoveOrDummy => "X/D",
        Action::RemoveOrEmptyOrDummy => "X/Z/D",
        Action::EmptyOrDummy => "Z/D",
        Action::RemoveOrEmptyOrUids => "X/Z/U*",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Returns the literals behind `start` in the sources of the de-identification, up to the next quote.
    fn literals(text: &str, start: &str) -> Vec<String> {
        text.split(start).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
    }

    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, text);
            } else {
                text.push_str(&fs::read_to_string(&path).expect("a source"));
            }
        }
    }

    #[test]
    fn every_general_rule_of_the_de_identification_has_words() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("domain/src/dicom");
        let mut text = String::new();
        sources(&root.join("deidentify"), &mut text);
        let mut names: Vec<String> =
            ["General(\"", "Goes(\"", "level, \""].iter().flat_map(|s| literals(&text, s)).collect();
        let mut cuts = fs::read_to_string(root.join("jpeg.rs")).expect("a source");
        sources(&root.join("jpeg"), &mut cuts);
        sources(&root.join("scan"), &mut cuts);
        names.extend(["cut_all(\"", "Cut(\"", "Vec::new(), \""].iter().flat_map(|start| literals(&cuts, start)));
        names.sort_unstable();
        names.dedup();
        assert!(names.len() >= 20, "the search is broken: {names:?}");
        for name in &names {
            assert!(general(name).is_some(), "the rule {name} has no words");
        }
    }

    #[test]
    fn application_segments_share_their_words() {
        assert_eq!(general("APP13"), general("APP1"));
        assert!(general("APPLE").is_none());
    }
}
