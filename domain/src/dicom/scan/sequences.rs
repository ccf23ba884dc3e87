//! Sequences and items of defined and undefined length (PS3.5 7.5), UN that is a sequence (6.2.2, CP-246), and fragment
//! sequences that are only stepped over.

use dicom_core::{Tag, VR};

use super::build::Header;
use super::elements::{Frame, ITEM, ITEM_DELIMITATION, Kind, SEQUENCE_DELIMITATION, Speculation, bad_length};
use super::fragments::PixelScan;
use super::{Phase, Scanner, Stop, Window};
use crate::dicom::skeleton::{Content, Encoding, Note};
use crate::{Reason, Rejection};

pub(super) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

impl Scanner {
    /// Opens what has an undefined length: a sequence, a UN that is one, or fragments.
    pub(super) fn undefined_length(&mut self, header: &Header, limit: u64) -> Result<(), Stop> {
        let written_un = header.encoding.explicit && (header.was_un || header.vr == VR::UN);
        if written_un {
            // CP-246: whatever the tag, the inside is implicit little endian items. A known VR that is no sequence cannot
            // be meant.
            let vr = if header.vr == VR::SQ { VR::SQ } else { VR::UN };
            let header = Header { vr, was_un: vr == VR::SQ, ..*header };
            return self.open(&header, Kind::Sequence, false, limit, Encoding::IMPLICIT_LE);
        }
        match header.vr {
            VR::SQ => self.open(header, Kind::Sequence, false, limit, header.encoding),
            // Implicit and unknown: only a sequence may have no length.
            VR::UN => self.open(header, Kind::Sequence, false, limit, header.encoding),
            VR::OB | VR::OW if header.tag == PIXEL_DATA && self.stack.is_empty() => self.pixel_data(header),
            VR::OB | VR::OW if header.encoding.explicit => {
                self.open(header, Kind::Opaque, false, limit, header.encoding)
            }
            _ => Err(bad_length("an undefined length where none is allowed", header.start).into()),
        }
    }

    fn pixel_data(&mut self, header: &Header) -> Result<(), Stop> {
        if !self.syntax.encapsulated {
            let (reason, detail) = if self.attempts.declared {
                (Reason::BadMeta, "pixel data are encapsulated, which the transfer syntax does not allow")
            } else {
                (Reason::UnsupportedTs, "pixel data are encapsulated and no transfer syntax says how")
            };
            return Err(Rejection::new(reason, detail).at_offset(header.start).into());
        }
        if self.builder.encapsulated.is_some() {
            return Err(Rejection::new(Reason::Pixel, "encapsulated pixel data stand twice")
                .at_offset(header.start)
                .into());
        }
        let index = self.builder.open(header, Content::Fragments, &self.limits)?;
        self.pixels = Some(PixelScan::new(index, self.number_of_frames(), self.walked));
        self.position = header.value();
        self.phase = Phase::Pixels;
        Ok(())
    }

    /// Opens a sequence of defined length. Behind UN it is one as long as it can be read to its end as implicit little
    /// endian; else it stays the opaque value that it was written as.
    pub(super) fn defined_sequence(&mut self, window: Window<'_>, header: &Header, end: u64) -> Result<(), Stop> {
        if !header.was_un {
            return self.open(header, Kind::Sequence, true, end, header.encoding);
        }
        if header.len <= self.limits.kept_bulk_bytes_max {
            // Taken back, it would be kept: it has to be in the window then.
            window.get(header.start, header.bytes as usize + header.len as usize)?;
        }
        let mark = self.builder.mark();
        self.open(header, Kind::Sequence, true, end, Encoding::IMPLICIT_LE)?;
        self.speculations.push(Speculation { depth: self.stack.len() - 1, mark, header: *header });
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        header: &Header,
        kind: Kind,
        defined: bool,
        limit: u64,
        encoding: Encoding,
    ) -> Result<(), Stop> {
        // Sequences and items alternate on the stack.
        if kind != Kind::Item && self.stack.len() / 2 >= self.limits.nesting_max as usize {
            return Err(Rejection::new(Reason::Depth, "sequences nest too deep").at_offset(header.start).into());
        }
        let content = match kind {
            Kind::Sequence => Content::Sequence,
            Kind::Item => Content::Item,
            Kind::Opaque => Content::Range,
        };
        let index = self.builder.open(header, content, &self.limits)?;
        let bounded = defined || self.stack.last().is_some_and(|parent| parent.bounded);
        self.stack.push(Frame { kind, index, limit, defined, bounded, encoding, last_tag: None });
        self.position = header.value();
        Ok(())
    }

    /// Reads an item tag or a delimiter between the items of a sequence.
    pub(super) fn item(&mut self, window: Window<'_>, top: &Frame) -> Result<(), Stop> {
        let header = self.item_header(window, top.encoding, top.limit)?;
        match header.tag {
            ITEM if header.undefined() => self.open(&header, Kind::Item, false, top.limit, top.encoding),
            ITEM => {
                let end = header.value() + u64::from(header.len);
                if end > top.limit {
                    return Err(self.past(if end > self.total { self.total } else { top.limit }).into());
                }
                self.open(&header, Kind::Item, true, end, top.encoding)
            }
            SEQUENCE_DELIMITATION if header.len == 0 && !top.defined => {
                self.close(self.position);
                self.position += 8;
                Ok(())
            }
            SEQUENCE_DELIMITATION | ITEM_DELIMITATION if header.len == 0 => {
                self.builder.note(Note::StrayDelimiter);
                self.position += 8;
                Ok(())
            }
            _ => Err(bad_length("no item or delimiter where one must stand", self.position).into()),
        }
    }

    /// Reads an item tag or a delimiter among the elements of an item.
    pub(super) fn delimiter_in_item(&mut self, top: &Frame, header: &Header) -> Result<(), Stop> {
        match header.tag {
            ITEM_DELIMITATION if header.len == 0 && !top.defined => {
                self.close(self.position);
                self.position += 8;
                Ok(())
            }
            ITEM_DELIMITATION | SEQUENCE_DELIMITATION if header.len == 0 && top.defined => {
                self.builder.note(Note::StrayDelimiter);
                self.position += 8;
                Ok(())
            }
            _ => Err(bad_length("an item is not delimited", self.position).into()),
        }
    }

    /// Steps over one fragment that nobody reads.
    pub(super) fn opaque_fragment(&mut self, window: Window<'_>, top: &Frame) -> Result<(), Stop> {
        let header = self.item_header(window, top.encoding, top.limit)?;
        match header.tag {
            ITEM if !header.undefined() => {
                let end = header.value() + u64::from(header.len);
                if end > top.limit {
                    return Err(self.past(if end > self.total { self.total } else { top.limit }).into());
                }
                self.position = end;
                Ok(())
            }
            SEQUENCE_DELIMITATION if header.len == 0 => {
                self.close(self.position);
                self.position += 8;
                Ok(())
            }
            _ => Err(bad_length("no fragment or delimiter where one must stand", self.position).into()),
        }
    }

    /// Takes back the innermost UN that was read as a sequence; `false` if there is none.
    pub(super) fn give_up_speculation(&mut self, window: Window<'_>) -> Result<bool, Rejection> {
        let Some(Speculation { depth, mark, header }) = self.speculations.pop() else { return Ok(false) };
        self.stack.truncate(depth);
        self.builder.go_back(&mark);
        let opaque = Header { vr: VR::UN, was_un: false, ..header };
        // A value short enough to be kept was in this very window when the sequence was opened; a longer one is a range.
        let value = self.leaf_value(window, &opaque).unwrap_or_default();
        self.builder.add(&opaque, value, &self.limits)?;
        self.position = header.value() + u64::from(header.len);
        Ok(true)
    }
}
