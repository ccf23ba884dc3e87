//! Whether the value of an attribute without a row in Table E.1-1 may stay (DESIGN §6).

use dicom_core::{Tag, VR};

use super::fold::fold;
use super::identifiers::{Identifiers, Scratch};
use super::text::{Strictness, tells};
use super::words::DEFINED_TERMS;
use crate::dicom::charset::Charset;
use crate::dicom::numbers::{IDENTIFIER_BYTES_MIN, NUMBER_BYTES_MAX, is_numeric};

/// What is to become of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Stays; it is a term or a number that needs no second look.
    Term,
    /// Stays, was searched, and will be read again by the last check.
    Text,
    /// Goes, by the rule of that name.
    Goes(&'static str),
}

/// Judges a text value by its VR. `value` is without trailing padding.
pub(super) fn judge(
    vr: VR,
    value: &[u8],
    charset: Charset,
    strictness: Strictness,
    identifiers: &Identifiers,
    scratch: &mut Scratch,
) -> Verdict {
    match vr {
        VR::CS => code_string(value, charset, identifiers, scratch),
        VR::IS | VR::DS => number_string(value, charset, identifiers, scratch),
        VR::AS => age(value),
        VR::DA | VR::DT | VR::TM => Verdict::Goes("date"),
        VR::AE => Verdict::Goes("ae"),
        VR::PN => Verdict::Goes("name"),
        VR::UR => Verdict::Goes("url"),
        _ => text(vr, value, charset, strictness, identifiers, scratch),
    }
}

/// Cuts trailing spaces and NULs.
pub(super) fn cut(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    &value[..end]
}

/// Judges each term by itself; the caller writes the terms that may stay (see [`terms_that_stay`]).
fn code_string(value: &[u8], charset: Charset, identifiers: &Identifiers, scratch: &mut Scratch) -> Verdict {
    if terms(value).all(is_defined) {
        return Verdict::Term;
    }
    if !terms(value).all(obeys_code_string) {
        return text(VR::CS, value, charset, Strictness::Free, identifiers, scratch);
    }
    if terms(value).all(|term| term_may_stay(term, identifiers, scratch)) {
        // Defined terms may be spelled like a name; the last check would not know.
        if terms(value).any(is_defined) { Verdict::Term } else { Verdict::Text }
    } else {
        Verdict::Goes("text")
    }
}

fn terms(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b'\\').map(|term| cut(term).trim_ascii_start())
}

fn is_defined(term: &[u8]) -> bool {
    term.is_empty() || DEFINED_TERMS.contains(term)
}

fn obeys_code_string(term: &[u8]) -> bool {
    term.len() <= 16 && term.iter().all(|&b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ' || b == b'_')
}

fn term_may_stay(term: &[u8], identifiers: &Identifiers, scratch: &mut Scratch) -> bool {
    if is_defined(term) {
        return true;
    }
    let digits = term.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
    scratch.folded.clear();
    scratch.folded.extend(term.iter().map(u8::to_ascii_lowercase));
    obeys_code_string(term) && digits <= 5 && !identifiers.found_in(scratch) && !identifiers.strong_in(term, scratch)
}

/// Returns a CS value of several terms with `OTHER` for each that may not stay; `None` if none may.
pub(super) fn terms_that_stay(value: &[u8], identifiers: &Identifiers, scratch: &mut Scratch) -> Option<Vec<u8>> {
    let (mut out, mut stay) = (Vec::with_capacity(value.len()), 0);
    for (index, term) in terms(value).enumerate() {
        if index > 0 {
            out.push(b'\\');
        }
        let stays = term_may_stay(term, identifiers, scratch);
        stay += usize::from(stays && !term.is_empty());
        out.extend_from_slice(if stays { term } else { b"OTHER" });
    }
    (stay > 0).then_some(out)
}

fn number_string(value: &[u8], charset: Charset, identifiers: &Identifiers, scratch: &mut Scratch) -> Verdict {
    if !value.iter().all(|&byte| is_numeric(byte)) {
        return text(VR::LO, value, charset, Strictness::Free, identifiers, scratch);
    }
    let mut numbers = value.split(|&byte| byte == b'\\').map(<[u8]>::trim_ascii);
    let goes = numbers.any(|number| {
        let plain = number.strip_prefix(b"+").or(number.strip_prefix(b"-")).unwrap_or(number);
        number.len() > NUMBER_BYTES_MAX || plain.len() >= IDENTIFIER_BYTES_MIN && identifiers.is_identifier(plain)
    });
    if goes { Verdict::Goes("text") } else { Verdict::Term }
}

/// An age that obeys its VR and is not above 89 (HIPAA 164.514(b)(2)(i)(C)).
fn age(value: &[u8]) -> Verdict {
    let obeys = value.split(|&byte| byte == b'\\').all(|age| {
        let [hundreds, tens, ones, unit] = age else { return age.is_empty() };
        let digits = [*hundreds, *tens, *ones];
        digits.iter().all(u8::is_ascii_digit)
            && match unit {
                b'D' | b'W' | b'M' => true,
                b'Y' => digits <= *b"089",
                _ => false,
            }
    });
    if obeys { Verdict::Term } else { Verdict::Goes("age") }
}

fn text(
    vr: VR,
    value: &[u8],
    charset: Charset,
    strictness: Strictness,
    identifiers: &Identifiers,
    scratch: &mut Scratch,
) -> Verdict {
    let lines = matches!(vr, VR::ST | VR::LT | VR::UT);
    let controls =
        |byte: &u8| *byte == 0x7F || *byte < 0x20 && *byte != 0x1B && !(lines && b"\t\r\n\x0C".contains(byte));
    if value.iter().any(controls) {
        return Verdict::Goes("repertoire");
    }
    let Some(decoded) = charset.decode(value, false) else { return Verdict::Goes("charset") };
    scratch.folded.clear();
    fold(&decoded, &mut scratch.folded);
    if identifiers.found_in(scratch) {
        return Verdict::Goes("identifier");
    }
    // found_in leaves the folded text as it was.
    if tells(&decoded, &scratch.folded, strictness) {
        return Verdict::Goes("pattern");
    }
    if identifiers.strong_in(value, scratch) { Verdict::Goes("identifier") } else { Verdict::Text }
}

/// How strict an attribute's free text is read.
pub(super) fn strictness_of(tag: Tag) -> Strictness {
    match (tag.group(), tag.element()) {
        // Manufacturer, its model name, software versions.
        (0x0008, 0x0070 | 0x1090) | (0x0018, 0x1020) => Strictness::Device,
        _ => Strictness::Free,
    }
}
