//! The beginning of an object: preamble, file meta, and which encoding the data set has.

use dicom_core::{Tag, VR};

use super::build::Header;
use super::syntax::{self, Form};
use super::{Attempts, Phase, Scanner, Stop, Want, Window};
use super::{has_long_length, vr_of_letters, vr_of_tag};
use crate::dicom::skeleton::{Encoding, Note};
use crate::{Reason, Rejection};

const PREAMBLE_BYTES: usize = 128;
const PREFIX: &[u8] = b"DICM";
const GROUP_LENGTH: Tag = Tag(0x0002, 0x0000);
const TRANSFER_SYNTAX_UID: Tag = Tag(0x0002, 0x0010);

impl Scanner {
    /// Finds preamble and prefix (PS3.10 7.1), or their absence.
    pub(super) fn start(&mut self, window: Window<'_>) -> Result<(), Stop> {
        if self.total > self.limits.object_bytes_max {
            return Err(Rejection::new(Reason::Oversize, "the object is longer than the limit").at_offset(0).into());
        }
        if self.total == 0 {
            return Err(Rejection::new(Reason::NotDicom, "the object is empty").at_offset(0).into());
        }
        let wanted = (PREAMBLE_BYTES + PREFIX.len()).min(usize::try_from(self.total).unwrap_or(usize::MAX));
        let head = window.get(0, wanted)?;
        self.preamble = head.get(PREAMBLE_BYTES..) == Some(PREFIX);
        if self.preamble {
            self.position = wanted as u64;
        }
        self.phase = Phase::Meta;
        Ok(())
    }

    /// Reads the file meta element by element: explicit VR little endian, group 0002 (PS3.10 7.1).
    /// It ends where the group does, whatever the group length says.
    pub(super) fn meta(&mut self, window: Window<'_>) -> Result<(), Stop> {
        // Bounded: each turn moves the position or returns.
        loop {
            if self.total - self.position < 8 {
                return self.begin_data_set(window);
            }
            let head = window.get(self.position, 8)?;
            if head[..2] != [0x02, 0x00] {
                return self.begin_data_set(window);
            }
            self.meta_element(window, head)?;
        }
    }

    fn meta_element(&mut self, window: Window<'_>, head: &[u8]) -> Result<(), Stop> {
        let start = self.position;
        let recognised = self.preamble || !self.builder.meta.is_empty();
        let reason = if recognised { Reason::BadMeta } else { Reason::NotDicom };
        let bad = |detail| Rejection::new(reason, detail).at_offset(start);
        let Some(vr) = vr_of_letters([head[4], head[5]]) else {
            return Err(bad("a file meta element has no known value representation").into());
        };
        let (bytes, len) = if has_long_length(vr) {
            if self.total - start < 12 {
                return Err(truncated(start).into());
            }
            let head = window.get(start, 12)?;
            (12, u32::from_le_bytes([head[8], head[9], head[10], head[11]]))
        } else {
            (8, u32::from(u16::from_le_bytes([head[6], head[7]])))
        };
        if len == u32::MAX || vr == VR::SQ {
            return Err(bad("a file meta element is a sequence or has an undefined length").into());
        }
        let tag = Tag(2, u16::from_le_bytes([head[2], head[3]]));
        let header = Header { tag, vr, was_un: false, encoding: Encoding::EXPLICIT_LE, start, bytes, len };
        if u64::from(len) > self.total - header.value() {
            return Err(truncated(start).into());
        }
        let value = self.leaf_value(window, &header)?;
        if tag == GROUP_LENGTH
            && let Some(&[a, b, c, d]) = value
        {
            self.meta_end = Some(header.value() + 4 + u64::from(u32::from_le_bytes([a, b, c, d])));
        }
        self.builder.add_meta(&header, value, &self.limits)?;
        self.position = header.value() + u64::from(len);
        Ok(())
    }

    /// Takes the transfer syntax from the meta, or finds the encoding from the first bytes of the data set.
    fn begin_data_set(&mut self, window: Window<'_>) -> Result<(), Stop> {
        let left = self.total - self.position;
        let head = window.get(self.position, left.min(8) as usize)?;
        let has_meta = !self.builder.meta.is_empty();
        if has_meta && self.meta_end != Some(self.position) {
            self.builder.note(Note::MetaGroupLength);
        }
        self.data_set = self.position;
        self.builder.reserve(window.from(self.position).len());
        let declared = self.declared_transfer_syntax()?;
        let mut likely = likely_encodings(head, left);
        self.attempts = Attempts {
            declared: declared.is_some(),
            is_dicom: self.preamble || has_meta || starts_as_a_data_set(head, &likely),
            others: Vec::new(),
            first: None,
            mark: None,
        };
        match declared {
            Some((form, uid)) => {
                self.syntax = form.syntax(&uid);
                self.walked = form == Form::Walked;
                if form != Form::Deflated {
                    likely.retain(|encoding| *encoding != form.encoding());
                    likely.reverse();
                    self.attempts.others = likely;
                }
            }
            None => {
                self.builder.note(if has_meta { Note::NoTransferSyntax } else { Note::NoMeta });
                if !self.attempts.is_dicom && head.starts_with(&[0, 0]) {
                    // Commands are no files, and zeros are nothing.
                    likely.clear();
                }
                likely.reverse();
                let found = likely.pop();
                if found.is_none() && left > 0 {
                    return Err(self.no_encoding().into());
                }
                self.attempts.others = likely;
                self.assume(found.unwrap_or(Encoding::IMPLICIT_LE));
            }
        }
        self.attempts.mark = Some(self.builder.mark());
        self.phase = if self.syntax.deflated { Phase::Inflate } else { Phase::DataSet };
        Ok(())
    }

    /// Returns the transfer syntax that the meta names; `None` if it names none.
    fn declared_transfer_syntax(&self) -> Result<Option<(Form, String)>, Rejection> {
        let Some(element) = self.builder.meta.iter().rev().find(|element| element.tag == TRANSFER_SYNTAX_UID) else {
            return Ok(None);
        };
        let refuse = |reason, detail| Err(Rejection::new(reason, detail).at_offset(element.start()));
        let crate::dicom::skeleton::Content::Kept { at } = element.content else {
            return refuse(Reason::BadMeta, "the transfer syntax UID is no UID");
        };
        let value = &self.builder.kept[at as usize..at as usize + element.len as usize];
        let uid = value.trim_ascii_start();
        let end = uid.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        let uid = &uid[..end];
        if uid.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(uid).ok().filter(|uid| uid.bytes().all(|b| b == b'.' || b.is_ascii_digit()));
        let Some(text) = text else {
            return refuse(Reason::BadMeta, "the transfer syntax UID is no UID");
        };
        match syntax::form(text) {
            Some(form) => Ok(Some((form, text.to_owned()))),
            None => refuse(Reason::UnsupportedTs, "the transfer syntax is unknown or is no form of a file"),
        }
    }

    /// Goes on under an encoding that was found, not declared.
    fn assume(&mut self, encoding: Encoding) {
        self.syntax.encoding = encoding;
        if !self.attempts.declared {
            self.syntax.uid = syntax::uid_of(encoding).to_owned();
        }
    }

    fn no_encoding(&self) -> Rejection {
        if self.attempts.is_dicom {
            Rejection::new(Reason::BadMeta, "no transfer syntax is named and the data set has none that can be found")
                .at_offset(self.data_set)
        } else {
            not_dicom(self.data_set)
        }
    }

    /// After a failure in the data set: goes back to its start under the next encoding, if one is left.
    pub(super) fn next_attempt(&mut self, rejection: Rejection) -> Result<Option<Want>, Rejection> {
        let structural = matches!(
            rejection.reason,
            Reason::Truncated | Reason::BadLength | Reason::Vr | Reason::BadMeta | Reason::Depth
        );
        let first = self.attempts.first.get_or_insert(rejection).clone();
        let Some(mark) = self.attempts.mark else { return Err(first) };
        if !structural || self.phase == Phase::Inflate {
            return Err(first);
        }
        let Some(encoding) = self.attempts.others.pop() else {
            if !self.attempts.is_dicom {
                return Err(not_dicom(self.data_set));
            }
            return Err(first);
        };
        self.builder.go_back(&mark);
        self.builder.encapsulated = None;
        self.stack.clear();
        self.speculations.clear();
        self.last_tag = None;
        self.pixels = None;
        self.suspicion = None;
        self.position = self.data_set;
        self.phase = Phase::DataSet;
        self.assume(encoding);
        // The window lies ahead of the position now.
        Ok(Some(Want::Bytes((self.total - self.data_set).min(8) as usize)))
    }

    /// The data set has been read to its end under the present encoding.
    pub(super) fn end(&mut self, data_set_end: u64) -> Result<(), Stop> {
        if self.attempts.declared && self.attempts.first.is_some() {
            let refused = Rejection::new(Reason::BadMeta, "the data set is in another encoding than the meta names");
            // Nothing is left to try: the answer is final.
            self.attempts.others.clear();
            self.attempts.first = Some(refused.at_offset(self.data_set));
            return Err(Stop::Refuse(self.attempts.first.clone().unwrap_or_else(|| truncated(self.data_set))));
        }
        let known = |tag: Tag| tag.0 & 1 == 0 && vr_of_tag(tag).is_some();
        if !self.attempts.is_dicom && !self.builder.elements.iter().any(|element| known(element.tag)) {
            return Err(not_dicom(self.data_set).into());
        }
        self.data_set_end = data_set_end;
        self.position = self.total;
        self.phase = Phase::Done;
        Ok(())
    }
}

fn not_dicom(offset: u64) -> Rejection {
    Rejection::new(Reason::NotDicom, "there is no file meta and the bytes are no data set").at_offset(offset)
}

pub(super) fn truncated(offset: u64) -> Rejection {
    Rejection::new(Reason::Truncated, "the bytes end inside an element").at_offset(offset)
}

/// Returns the encodings under which the first element header makes sense, the likeliest first.
fn likely_encodings(head: &[u8], left: u64) -> Vec<Encoding> {
    let &[a, b, _, _, v0, v1, l2, l3] = head else { return Vec::new() };
    let (little, big) = (u16::from_le_bytes([a, b]), u16::from_be_bytes([a, b]));
    let mut likely = Vec::new();
    if vr_of_letters([v0, v1]).is_some() {
        likely.push(if little <= big { Encoding::EXPLICIT_LE } else { Encoding::EXPLICIT_BE });
    }
    let len = u32::from_le_bytes([v0, v1, l2, l3]);
    if len == u32::MAX || u64::from(len) <= left - 8 {
        likely.push(Encoding::IMPLICIT_LE);
    }
    likely
}

/// Whether a file without meta begins like a data set: an element of group 0008 (or of group lengths before it).
fn starts_as_a_data_set(head: &[u8], likely: &[Encoding]) -> bool {
    let Some(first) = likely.first() else { return false };
    let group = if first.big_endian { [head[1], head[0]] } else { [head[0], head[1]] };
    matches!(u16::from_le_bytes(group), 0x0004 | 0x0008) && head.len() == 8
}
