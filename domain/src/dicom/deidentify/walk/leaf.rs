//! The walk's leaves: values of attributes without a row, judged and written.

use dicom_core::{Tag, VR};

use super::super::receipt::{Done, Rule};
use super::super::text::Strictness;
use super::super::value::{Verdict, cut, judge, strictness_of, terms_that_stay};
use super::super::write::unit_of;
use super::{Level, Walk, dictionary_says_text};
use crate::dicom::charset::Charset;
use crate::dicom::iod::Listed;
use crate::dicom::scan::is_text;
use crate::dicom::skeleton::{Element, Skeleton};

impl<'a> Walk<'a> {
    pub(super) fn value(&mut self, element: &Element, listed: Listed, level: Level) {
        let (tag, skeleton) = (element.tag, self.skeleton);
        let vr = element.vr;
        if element.len == 0 {
            self.writer.element(tag, vr, &[]);
            return self.book.kept();
        }
        if vr == VR::UI {
            return self.uids(element, level, Rule::General("uid"));
        }
        if vr == VR::SQ {
            // A sequence without items that says it has some bytes: nothing to keep.
            return self.fall_back(element, listed, level, "vr");
        }
        if element.undefined {
            // Fragments that nobody reads: not the object's pixels.
            return self.fall_back(element, listed, level, "fragments");
        }
        let Some(bytes) = skeleton.bytes(element) else {
            if matches!(vr, VR::DS | VR::IS) {
                // Numbers of this length are the object's substance (contours): neither copied unread nor lost.
                return self.numbers(element);
            }
            if is_text(vr) || vr == VR::UN || dictionary_says_text(tag) {
                // Text that was too long to be kept cannot be searched.
                return self.fall_back(element, listed, level, "unread");
            }
            return self.bulk(element);
        };
        if is_text(vr) {
            return self.text(element, cut(bytes), listed, level);
        }
        // Binary: numbers. A text attribute dressed as one is read as text; a name in the bytes of any is found.
        let hidden = dictionary_says_text(tag) && {
            let verdict =
                judge(VR::LT, cut(bytes), level.charset, Strictness::Free, self.identifiers, &mut self.scratch);
            matches!(verdict, Verdict::Goes(_))
        };
        if hidden || bytes.len() > 3 && self.identifiers.strong_in(bytes, &mut self.scratch) {
            return self.fall_back(element, listed, level, "identifier");
        }
        let swap = is_big_endian(element) != self.writer.encoding().big_endian;
        self.writer.numbers(tag, vr, bytes, swap);
        self.book.kept();
    }

    /// A bulk value that stays in the source.
    fn bulk(&mut self, element: &Element) {
        let padding = element.len % 2;
        // A 32-bit length in the source: that of a defined length, or what fits before its delimiter.
        self.writer.header(element.tag, element.vr, (element.len + padding) as u32);
        let swap = is_big_endian(element) != self.writer.encoding().big_endian && unit_of(element.vr) > 1;
        if swap {
            self.writer.swap(element.value, element.len, element.vr);
        } else {
            self.writer.copy(element.value, element.len);
        }
        if padding == 1 {
            self.writer.raw(&[0]);
        }
        self.book.kept();
    }

    /// Numeric text that stays in the source, and is read on its way.
    fn numbers(&mut self, element: &Element) {
        let padding = element.len % 2;
        self.writer.header(element.tag, element.vr, (element.len + padding) as u32);
        self.writer.number_text(element.value, element.len);
        if padding == 1 {
            self.writer.raw(b" ");
        }
        self.book.kept();
    }

    fn text(&mut self, element: &Element, bytes: &[u8], listed: Listed, level: Level) {
        let (tag, vr) = (element.tag, element.vr);
        let verdict = match (tag.group(), tag.element()) {
            (0x0008, 0x0005) if Charset::parse(bytes).is_known() => Verdict::Term,
            // Nothing that needs it can be decoded, so nothing that needs it stays.
            (0x0008, 0x0005) => return self.remove(level, tag, Rule::General("charset")),
            // Validation has seen that it is a number and agrees with the pixels.
            (0x0028, 0x0008) if bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ') => Verdict::Term,
            (0x0008, 0x0100 | 0x0102 | 0x0103 | 0x0104 | 0x0119 | 0x0120) => {
                return self.code(element, bytes, listed, level);
            }
            _ => judge(vr, bytes, level.charset, strictness_of(tag), self.identifiers, &mut self.scratch),
        };
        self.put_text(element, bytes, verdict, listed, level);
    }

    fn put_text(&mut self, element: &Element, bytes: &[u8], verdict: Verdict, listed: Listed, level: Level) {
        match verdict {
            Verdict::Term => self.writer.element(element.tag, element.vr, bytes),
            Verdict::Text => self.writer.kept_element(element.tag, element.vr, bytes),
            Verdict::Goes(rule) => {
                if element.vr == VR::CS
                    && listed.ty.needs_value()
                    && let Some(terms) = terms_that_stay(bytes, self.identifiers, &mut self.scratch)
                {
                    self.writer.element(element.tag, VR::CS, &terms);
                    return self.book.note(level.path, element.tag, Done::Dummy, Rule::General(rule));
                }
                return self.fall_back(element, listed, level, rule);
            }
        }
        self.book.kept();
    }

    /// A part of a code triple. Codes of public schemes keep their value and meaning, those of others their value alone.
    fn code(&mut self, element: &Element, bytes: &[u8], listed: Listed, level: Level) {
        let designator = self.sibling(level, Tag(0x0008, 0x0102));
        let value = self.sibling(level, Tag(0x0008, 0x0100)).unwrap_or(&[]);
        let standard = designator
            .and_then(|designator| std::str::from_utf8(designator).ok())
            .is_some_and(|designator| self.profile.facts().is_standard_scheme(designator));
        let vr = if element.vr == VR::UR { VR::UC } else { element.vr };
        let mut check =
            |bytes: &[u8], strictness| judge(vr, bytes, level.charset, strictness, self.identifiers, &mut self.scratch);
        let verdict = match element.tag.element() {
            0x0102 if standard => Verdict::Term,
            0x0104 if standard => check(bytes, Strictness::CodeMeaning),
            0x0104 => {
                let verdict = check(value, Strictness::Device);
                if !matches!(verdict, Verdict::Goes(_)) && !value.is_empty() {
                    self.writer.kept_element(element.tag, element.vr, value);
                    return self.book.note(level.path, element.tag, Done::Dummy, Rule::General("localcode"));
                }
                Verdict::Goes("localcode")
            }
            _ if standard => check(bytes, Strictness::Code),
            // A value of a private scheme may be anything: a number of seven digits is a number of somebody.
            _ => check(bytes, Strictness::Device),
        };
        self.put_text(element, bytes, verdict, listed, level);
    }

    fn sibling(&self, level: Level, tag: Tag) -> Option<&'a [u8]> {
        let skeleton: &'a Skeleton = self.skeleton;
        let at = skeleton.find(level.parent, tag)?;
        skeleton.bytes(&skeleton.elements[at]).map(cut)
    }
}

/// The byte order of an element's numbers: behind UN it is always little (PS3.5 6.2.2).
fn is_big_endian(element: &Element) -> bool {
    element.encoding.big_endian && !element.was_un
}
