//! Patterns in free text that tell of a person, a day or a number, whoever they belong to (DESIGN §6).
//!
//! All work on folded text (lower case, no accents); the original is needed where capitals carry the meaning.

use super::fold::is_word;

/// How much a text may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Free text: no date, time, number of a person or thing, address, title with a name.
    Free,
    /// Maker, model and version of a device: long numbers only.
    Device,
    /// The meaning of a public code: as free text, but words such as "patient" are its business.
    CodeMeaning,
    /// A code value or its scheme's version: digits are its business.
    Code,
}

/// Whether a pattern is found.
pub(super) fn tells(original: &str, folded: &[u8], strictness: Strictness) -> bool {
    if strictness == Strictness::Code {
        return folded.contains(&b'@') || folded.contains(&b'^');
    }
    if has_address(folded, strictness) || has_name_form(original, folded, strictness) {
        return true;
    }
    let (run_max, total_max) = match strictness {
        Strictness::Device => (6, usize::MAX),
        _ => (4, 6),
    };
    has_number(folded, run_max, total_max) || has_date(folded, strictness)
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// Electronic addresses and paths. A maker may name its site as its model.
fn has_address(folded: &[u8], strictness: Strictness) -> bool {
    let site = contains(folded, b"://") || contains(folded, b"www.");
    folded.contains(&b'@')
        || site && strictness != Strictness::Device
        || contains(folded, b"\\\\")
        || contains(folded, b":\\")
        || contains(folded, b"/home/")
}

#[rustfmt::skip]
const TRIGGERS: &[&str] = &[
    "accession", "age", "aged", "birthdate", "born", "brother", "daughter", "dob", "doctor", "father", "fax", "frau",
    "geb", "herr", "husband", "madame", "miss", "monsieur", "mother", "mrn", "mrs", "name", "nhs", "nurse", "patient",
    "phone", "physician", "prof", "professor", "sister", "son", "ssn", "surname", "tel", "telephone", "wife", "yo",
    "yrs",
];

/// `Doe^Jane`, `Dr Doe`, `Doe, Jane`, and words after which a name or number comes.
fn has_name_form(original: &str, folded: &[u8], strictness: Strictness) -> bool {
    // Between digits a caret raises an isotope's number, as SNOMED CT spells it: ^18^Fluorine.
    let letter = |byte: u8| is_word(byte) && !byte.is_ascii_digit();
    let caret = folded.windows(3).any(|three| three[1] == b'^' && letter(three[0]) && letter(three[2]));
    if caret || titled(original) {
        return true;
    }
    if strictness != Strictness::Free {
        return false;
    }
    let mut words = folded.split(|&byte| !is_word(byte));
    words.any(|word| std::str::from_utf8(word).is_ok_and(|word| TRIGGERS.binary_search(&word).is_ok()))
        || surname_comma_forename(original)
}

/// `Dr Doe`, `Mr. Doe`: with that very case, since DR and MR are modalities.
fn titled(original: &str) -> bool {
    original.split([' ', '\\', '\n', '\r', '(', '/']).any(|word| {
        matches!(word, "Dr" | "Mr" | "Ms" | "Mrs" | "Mme" | "Hr" | "Fr" | "Dres")
            || matches!(word.to_ascii_lowercase().as_str(), "dr." | "mr." | "ms." | "mrs." | "prof." | "hr." | "fr.")
    })
}

fn surname_comma_forename(original: &str) -> bool {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_uppercase)
            && word.chars().count() > 2
            && letters.all(|letter| letter.is_lowercase() || letter == '-')
    };
    original.trim().split_once(", ").is_some_and(|(surname, forename)| capitalised(surname) && capitalised(forename))
}

/// Digits in a row, or a number in groups: telephone, id, UID. `run_max` digits in a row and `total_max` in groups may stand.
fn has_number(folded: &[u8], run_max: usize, total_max: usize) -> bool {
    let (mut run, mut total, mut dots, mut begun) = (0usize, 0usize, 0usize, 0usize);
    for (at, &byte) in folded.iter().enumerate() {
        if byte.is_ascii_digit() {
            if total == 0 {
                begun = at;
            }
            run += 1;
            total += 1;
            let uid = dots >= 3 && at - begun > 18;
            if run > run_max || total > total_max || uid {
                return true;
            }
        } else {
            run = 0;
            match byte {
                b'.' => dots += 1,
                b' ' | b'-' | b'/' | b'(' | b')' | b'+' => {}
                _ => (total, dots) = (0, 0),
            }
            // Two separators in a row end a group of numbers, except "+44 (0)".
            if at > 0 && folded[at - 1] == byte && byte != b' ' {
                (total, dots) = (0, 0);
            }
        }
    }
    false
}

#[rustfmt::skip]
const MONTHS: &[&str] = &[
    "abril", "agosto", "aout", "apr", "april", "aug", "august", "avril", "dec", "december", "decembre", "dez",
    "dezember", "diciembre", "enero", "feb", "febr", "febrero", "februar", "february", "fevrier", "jan", "januar",
    "january", "janvier", "juillet", "juin", "jul", "juli", "julio", "july", "jun", "june", "juni", "junio", "mai",
    "mar", "march", "mars", "marz", "marzo", "may", "mayo", "nov", "november", "novembre", "noviembre", "oct",
    "october", "octobre", "octubre", "okt", "oktober", "sep", "sept", "september", "septembre", "septiembre",
];

/// A calendar date in figures or with the month's name, or a time of day with seconds.
fn has_date(folded: &[u8], strictness: Strictness) -> bool {
    let mut at = 0;
    while at < folded.len() {
        if folded[at].is_ascii_digit() {
            let end = run_end(folded, at, u8::is_ascii_digit);
            if (end - at >= 8 && is_compact_date(&folded[at..at + 8])) || separated(folded, at, end, strictness) {
                return true;
            }
            at = end;
        } else if folded[at].is_ascii_alphabetic() {
            let end = run_end(folded, at, u8::is_ascii_alphabetic);
            if is_month(&folded[at..end]) && (digit_before(folded, at) || digit_after(folded, end)) {
                return true;
            }
            at = end;
        } else {
            at += 1;
        }
    }
    false
}

fn run_end(text: &[u8], from: usize, belongs: fn(&u8) -> bool) -> usize {
    from + text[from..].iter().take_while(|byte| belongs(byte)).count()
}

fn is_month(word: &[u8]) -> bool {
    std::str::from_utf8(word).is_ok_and(|word| MONTHS.binary_search(&word).is_ok())
}

fn digit_before(text: &[u8], at: usize) -> bool {
    let near =
        text[..at].iter().rev().take(5).copied().find(|byte| !b" -./,".contains(byte) && !b"sthndre".contains(byte));
    near.is_some_and(|byte| byte.is_ascii_digit())
}

fn digit_after(text: &[u8], end: usize) -> bool {
    let near = text[end..].iter().take(3).copied().find(|byte| !b" -./,".contains(byte));
    near.is_some_and(|byte| byte.is_ascii_digit())
}

fn value(digits: &[u8]) -> u32 {
    digits.iter().take(9).fold(0, |value, &digit| value * 10 + u32::from(digit - b'0'))
}

fn is_day_month(day: u32, month: u32) -> bool {
    (1..=31).contains(&day) && (1..=12).contains(&month)
}

const fn is_year(year: u32) -> bool {
    year >= 1880 && year <= 2120
}

/// Whether eight digits are a date in one of the usual orders.
pub(super) fn is_compact_date(digits: &[u8]) -> bool {
    let (first, second) = (value(&digits[..4]), value(&digits[4..]));
    is_year(first) && is_day_month(second % 100, second / 100)
        || is_year(second) && (is_day_month(first / 100, first % 100) || is_day_month(first % 100, first / 100))
}

/// `2016-03-05`, `05.03.2016`, `3/5/16`, `12:30:05`; the digits `at..end` are its first number.
fn separated(text: &[u8], at: usize, end: usize, strictness: Strictness) -> bool {
    let Some(&separator) = text.get(end).filter(|byte| b"-./:".contains(byte)) else { return false };
    let second_end = run_end(text, end + 1, u8::is_ascii_digit);
    if end - at > 4 || second_end == end + 1 || second_end - end > 3 || text.get(second_end) != Some(&separator) {
        return separator == b':' && strictness == Strictness::Free && is_time_of_day(text, at, end, second_end);
    }
    let third_end = run_end(text, second_end + 1, u8::is_ascii_digit);
    let (a, b, c) = (&text[at..end], &text[end + 1..second_end], &text[second_end + 1..third_end]);
    if c.is_empty() || c.len() > 4 {
        return false;
    }
    let (first, second, third) = (value(a), value(b), value(c));
    if separator == b':' {
        return a.len() <= 2 && b.len() == 2 && c.len() == 2 && first < 24 && second < 60 && third < 61;
    }
    let long = a.len() == 4 && is_year(first) && is_day_month(third, second)
        || c.len() == 4 && is_year(third) && (is_day_month(first, second) || is_day_month(second, first));
    // With two figures for the year a version looks alike (17.01.02); only the whole form with two figures each counts there.
    let short = a.len() <= 2
        && c.len() == 2
        && (is_day_month(first, second) || is_day_month(second, first))
        && (separator != b'.' || strictness == Strictness::Free && a.len() == 2 && b.len() == 2)
        && (at == 0 || !is_word(text[at - 1]) && text[at - 1] != separator)
        && strictness != Strictness::Device;
    long || short
}

fn is_time_of_day(text: &[u8], at: usize, end: usize, second_end: usize) -> bool {
    end - at <= 2
        && second_end - end == 3
        && value(&text[at..end]) < 24
        && value(&text[end + 1..second_end]) < 60
        && (at == 0 || !is_word(text[at - 1]) && text[at - 1] != b'.')
}

#[cfg(test)]
mod tests {
    use super::super::fold::fold;
    use super::*;

    fn tells_of(text: &str, strictness: Strictness) -> bool {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        tells(text, &folded, strictness)
    }

    #[test]
    fn lists_are_sorted_for_the_search() {
        assert!(MONTHS.is_sorted() && TRIGGERS.is_sorted());
    }

    #[test]
    fn dates_numbers_and_names_are_found_in_free_text() {
        for text in [
            "20160305",
            "scan of 05.03.2016",
            "5 Mar 2016",
            "March 5th, 2016",
            "Mar-05-2016",
            "2016-03-05",
            "3/5/16",
            "05.03.16",
            "05MAR2016",
            "5. März 2016",
            "le 3 février",
            "at 12:30",
            "12:30:05",
            "tel 960881",
            "+44 1632 960881",
            "call 555-0123",
            "12345",
            "1.2.276.0.98.5021.40012",
            "Doe^Jane",
            "Dr Smith",
            "seen by Mr. Jones",
            "Smith, John",
            "patient anxious",
            "a@b.org",
            "aged 94",
            "94 yo",
            "http://pacs",
            "\\\\server\\share",
            "(030) 123 4567",
        ] {
            assert!(tells_of(text, Strictness::Free), "{text}");
        }
    }

    #[test]
    fn words_of_acquisition_are_left_alone() {
        for text in [
            "STANDARD",
            "AXIAL",
            "5MM",
            "1.375:1",
            "GE MEDICAL SYSTEMS",
            "LARGE BOWTIE FIL",
            "ISOVUE300/100",
            "T2 TSE SAG",
            "IV",
            "SN",
            "HELICAL MODE",
            "B30f",
            "512x512",
            "DR",
            "MR",
            "H30s medium",
            "Chest, Abdomen and Pelvis",
            "MAR",
            "3.0T",
            "C-SPINE LAT",
            "TE 2.5/120",
        ] {
            assert!(!tells_of(text, Strictness::Free), "{text}");
        }
    }

    #[test]
    fn versions_of_devices_stay_but_days_and_serial_numbers_go() {
        for text in
            ["V3.51*P25", "6.1.13.44", "syngo MR E11", "VB17.01.02", "HD16.0_V02_1131.a", "Discovery 750w", "05"]
        {
            assert!(!tells_of(text, Strictness::Device), "{text}");
        }
        for text in ["VB20P_20140101", "SN 1234567", "2016-03-05", "Dr Smith"] {
            assert!(tells_of(text, Strictness::Device), "{text}");
        }
    }

    #[test]
    fn meanings_of_public_codes_stay() {
        let isotopes = ["^18^Fluorine", "Fluorodeoxyglucose F^18^", "^99m^Technetium"];
        for text in
            ["Patient", "Physician", "Imaging Measurement Report", "Mother of fetus", "mm"].iter().chain(&isotopes)
        {
            assert!(!tells_of(text, Strictness::CodeMeaning), "{text}");
        }
        for text in ["Nodule 2016-05-17", "Doe^Jane", "Name of Müller^Åsa"] {
            assert!(tells_of(text, Strictness::CodeMeaning), "{text}");
        }
    }
}
