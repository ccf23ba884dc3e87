//! The walk through the data set: headers, values, sequences, items and their delimiters (PS3.5 clause 7).

use dicom_core::{Tag, VR};

use super::build::{Header, Mark};
use super::dictionary::is_bulk;
use super::sequences::PIXEL_DATA;
use super::start::truncated;
use super::{Phase, Scanner, Stop, Want, Window, has_long_length, vr_of_letters, vr_of_tag};
use crate::dicom::skeleton::{Encoding, Note};
use crate::{Reason, Rejection};

pub(super) const ITEM: Tag = Tag(0xFFFE, 0xE000);
pub(super) const ITEM_DELIMITATION: Tag = Tag(0xFFFE, 0xE00D);
pub(super) const SEQUENCE_DELIMITATION: Tag = Tag(0xFFFE, 0xE0DD);
/// The first of the tags that may hold pixels at the top level; what follows them is rarely more than padding.
const FIRST_PIXEL_TAG: u32 = 0x7FE0_0008;
const DATA_SET_TRAILING_PADDING: u32 = 0xFFFC_FFFC;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sequence,
    Item,
    /// Fragments that nobody reads: an icon's, or those of a private element.
    Opaque,
}

/// A sequence, item or opaque fragment sequence that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) index: u32,
    /// Where the nearest enclosing defined length ends, its own included; the end of the object if there is none.
    pub(super) limit: u64,
    /// Whether its own length is defined, and so is what `limit` says.
    pub(super) defined: bool,
    /// Whether `limit` comes from a defined length.
    pub(super) bounded: bool,
    /// How what it holds is written.
    pub(super) encoding: Encoding,
    pub(super) last_tag: Option<u32>,
}

/// A UN of defined length that is read as a sequence as long as it can be: how to take it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speculation {
    /// How many frames were open around it.
    pub(super) depth: usize,
    pub(super) mark: Mark,
    pub(super) header: Header,
}

fn as_number(tag: Tag) -> u32 {
    u32::from(tag.0) << 16 | u32::from(tag.1)
}

pub(super) fn bad_length(detail: &'static str, offset: u64) -> Rejection {
    Rejection::new(Reason::BadLength, detail).at_offset(offset)
}

impl Scanner {
    /// Walks on from element to element.
    pub(super) fn data_set(&mut self, window: Window<'_>) -> Result<(), Stop> {
        // Bounded: each turn moves the position or closes a frame.
        while self.phase == Phase::DataSet {
            self.plain(window);
            let Some(top) = self.stack.last().copied() else {
                self.top_level(window)?;
                continue;
            };
            if top.limit == self.position {
                self.close_at_limit(&top)?;
                continue;
            }
            match top.kind {
                Kind::Item => {
                    let header = self.header(window, top.encoding, top.limit)?;
                    if header.tag.0 == 0xFFFE {
                        self.delimiter_in_item(&top, &header)?;
                    } else {
                        self.element(window, header, top.limit, top.last_tag)?;
                    }
                }
                Kind::Sequence => self.item(window, &top)?,
                Kind::Opaque => self.opaque_fragment(window, &top)?,
            }
        }
        Ok(())
    }

    /// Ends the top frame at the end of its length, or of its parent's.
    fn close_at_limit(&mut self, top: &Frame) -> Result<(), Stop> {
        if !top.defined {
            if !top.bounded {
                return Err(truncated(self.position).into());
            }
            if top.kind == Kind::Opaque {
                return Err(bad_length("fragments are not delimited", self.position).into());
            }
            self.builder.note(Note::NoDelimiter);
        }
        self.close(self.position);
        Ok(())
    }

    pub(super) fn close(&mut self, value_end: u64) {
        if let Some(frame) = self.stack.pop() {
            self.builder.close(frame.index, value_end);
            // Read to its end it was a sequence: nothing to take back.
            self.speculations.pop_if(|speculation| speculation.depth == self.stack.len());
        }
    }

    /// Reads one element of the top level, or finds that the data set ended before it.
    fn top_level(&mut self, window: Window<'_>) -> Result<(), Stop> {
        if self.position == self.total {
            return self.end(self.position);
        }
        if self.last_tag == Some(DATA_SET_TRAILING_PADDING) {
            self.builder.note(Note::TrailingBytes);
            return self.end(self.position);
        }
        let header = match self.header(window, self.syntax.encoding, self.total) {
            Ok(header) => header,
            Err(Stop::Refuse(rejection)) => return self.suspect_padding(window, rejection),
            want => want?,
        };
        let tag = as_number(header.tag);
        if tag == 0 && self.last_tag.is_some() {
            return self.suspect_padding(window, bad_length("a command element stands in the data set", self.position));
        }
        if matches!(header.tag, ITEM_DELIMITATION | SEQUENCE_DELIMITATION) && header.len == 0 {
            self.builder.note(Note::StrayDelimiter);
            self.position += 8;
            return Ok(());
        }
        if header.tag.0 >= 0xFFFD {
            return self.suspect_padding(window, bad_length("an item stands outside a sequence", self.position));
        }
        let ends_past = !header.undefined() && u64::from(header.len) > self.total - header.value();
        let descends = self.last_tag.is_some_and(|last| tag <= last);
        if ends_past && (descends || !header.encoding.explicit) {
            return self.suspect_padding(window, truncated(self.position));
        }
        let last_tag = self.last_tag;
        self.element(window, header, self.total, last_tag)
    }

    /// At the top level: what stands here is no element. Behind the pixels it is padding, whatever it holds; elsewhere only
    /// if all bytes up to the end are the same.
    fn suspect_padding(&mut self, window: Window<'_>, rejection: Rejection) -> Result<(), Stop> {
        if self.last_tag.is_some_and(|last| last >= FIRST_PIXEL_TAG) {
            self.builder.note(Note::TrailingBytes);
            return self.end(self.position);
        }
        let byte = window.get(self.position, 1)?[0];
        self.data_set_end = self.position;
        self.suspicion = Some(rejection);
        self.phase = Phase::Padding { byte };
        Ok(())
    }

    /// Checks that nothing but padding follows.
    pub(super) fn padding(&mut self, window: Window<'_>, byte: u8) -> Result<(), Stop> {
        let seen = window.from(self.position);
        let left = self.total - self.position;
        let seen = &seen[..seen.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if seen.iter().any(|other| *other != byte) {
            let rejection = self.suspicion.take();
            return Err(Stop::Refuse(rejection.unwrap_or_else(|| truncated(self.data_set_end))));
        }
        self.position += seen.len() as u64;
        if self.position < self.total {
            return Err(Stop::Want(Want::Bytes(1)));
        }
        self.builder.note(Note::TrailingBytes);
        self.end(self.data_set_end)
    }

    /// Reads the header at the position.
    #[inline]
    pub(super) fn header(&self, window: Window<'_>, encoding: Encoding, limit: u64) -> Result<Header, Stop> {
        let start = self.position;
        let left = limit - start;
        if left < 8 {
            return Err(self.past(limit).into());
        }
        let head = window.get(start, 8)?;
        let &[t0, t1, t2, t3, v0, v1, v2, v3] = head else { return Err(Stop::Want(Want::Bytes(8))) };
        let tag = if encoding.big_endian {
            Tag(u16::from_be_bytes([t0, t1]), u16::from_be_bytes([t2, t3]))
        } else {
            Tag(u16::from_le_bytes([t0, t1]), u16::from_le_bytes([t2, t3]))
        };
        let long = |bytes| if encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        let mut header = Header { tag, vr: VR::UN, was_un: false, encoding, start, bytes: 8, len: 0 };
        if tag.0 == 0xFFFE {
            header.len = long([v0, v1, v2, v3]);
        } else if !encoding.explicit {
            header.len = long([v0, v1, v2, v3]);
            header.vr = vr_of_tag(tag).unwrap_or(VR::UN);
        } else {
            let Some(vr) = vr_of_letters([v0, v1]) else {
                return Err(Rejection::new(Reason::Vr, "the letters are no value representation")
                    .at_offset(start)
                    .into());
            };
            header.vr = vr;
            if has_long_length(vr) {
                if left < 12 {
                    return Err(self.past(limit).into());
                }
                let head = window.get(start, 12)?;
                header.len = long([head[8], head[9], head[10], head[11]]);
                header.bytes = 12;
            } else {
                let len = [v2, v3];
                header.len =
                    u32::from(if encoding.big_endian { u16::from_be_bytes(len) } else { u16::from_le_bytes(len) });
            }
            if vr == VR::UN
                && let Some(known) = vr_of_tag(tag).filter(|known| *known != VR::UN)
            {
                header.vr = known;
                header.was_un = true;
            }
        }
        Ok(header)
    }

    /// Reads the header of an item or delimiter, which has no VR in any encoding.
    pub(super) fn item_header(&self, window: Window<'_>, encoding: Encoding, limit: u64) -> Result<Header, Stop> {
        let header = self.header(window, Encoding { explicit: false, ..encoding }, limit)?;
        Ok(Header { encoding, vr: VR::UN, ..header })
    }

    /// What a length past `limit` is: past the object, or past its parent.
    pub(super) fn past(&self, limit: u64) -> Rejection {
        if limit >= self.total {
            truncated(self.position)
        } else {
            bad_length("an element ends behind its parent", self.position)
        }
    }

    /// Reads one element behind its header.
    #[inline]
    fn element(&mut self, window: Window<'_>, header: Header, limit: u64, last_tag: Option<u32>) -> Result<(), Stop> {
        let parent = self.stack.len().checked_sub(1);
        if header.undefined() {
            self.undefined_length(&header, limit)?;
        } else {
            let end = header.value() + u64::from(header.len);
            if end > limit {
                return Err(self.past(if end > self.total { self.total } else { limit }).into());
            }
            if header.vr == VR::SQ {
                self.defined_sequence(window, &header, end)?;
            } else {
                if parent.is_none() && header.tag == PIXEL_DATA && header.len > 0 && self.syntax.encapsulated {
                    // PS3.5 A.4: at the top level nothing but fragments.
                    let detail = "pixel data are native, which the transfer syntax does not allow";
                    return Err(Rejection::new(Reason::BadMeta, detail).at_offset(header.start).into());
                }
                let value = self.leaf_value(window, &header)?;
                self.builder.add(&header, value, &self.limits)?;
                if header.len & 1 == 1 {
                    self.builder.note(Note::OddLength);
                }
                self.position = end;
            }
        }
        // From here on the element is in the skeleton; what is wanted next belongs to the one behind it.
        let tag = as_number(header.tag);
        if last_tag.is_some_and(|last| tag <= last) {
            self.builder.note(Note::Order);
        }
        let slot = match parent {
            Some(parent) => &mut self.stack[parent].last_tag,
            None => &mut self.last_tag,
        };
        *slot = Some(last_tag.map_or(tag, |last| last.max(tag)));
        Ok(())
    }

    /// Returns the value of an element without children if it is to be kept, or wants it.
    #[inline]
    pub(super) fn leaf_value<'a>(&self, window: Window<'a>, header: &Header) -> Result<Option<&'a [u8]>, Stop> {
        let max = if is_bulk(header.vr) { self.limits.kept_bulk_bytes_max } else { self.limits.kept_value_bytes_max };
        if header.len > max {
            return Ok(None);
        }
        let skip = header.bytes as usize;
        let bytes = window.get(header.start, skip + header.len as usize)?;
        Ok(Some(&bytes[skip..]))
    }
}
