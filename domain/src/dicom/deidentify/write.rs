//! The writer: element headers in the output's encoding, pieces of the source by reference.

use dicom_core::{Tag, VR};

use crate::dicom::plan::Emit;
use crate::dicom::scan::has_long_length;
use crate::dicom::skeleton::Encoding;

pub(super) const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITATION: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITATION: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;

/// Output under construction: bytes made by us, with pieces of the source between them.
#[derive(Debug)]
pub(super) struct Writer {
    encoding: Encoding,
    emit: Vec<Emit>,
    buffer: Vec<u8>,
    /// Where bytes of the source stand inside our own: (piece, start, end). What the last check reads.
    kept: Vec<(usize, usize, usize)>,
}

/// A place to return to if nothing was written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pieces: usize,
    bytes: usize,
    kept: usize,
}

impl Writer {
    pub(super) fn new(encoding: Encoding, capacity: usize) -> Self {
        Self { encoding, emit: Vec::new(), buffer: Vec::with_capacity(capacity), kept: Vec::new() }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(super) fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { pieces: self.emit.len(), bytes: self.buffer.len(), kept: self.kept.len() }
    }

    /// Takes back what was written since `mark`, unless a piece of the source was among it; returns whether it did.
    pub(super) fn undo(&mut self, mark: Mark) -> bool {
        if self.emit.len() != mark.pieces {
            return false;
        }
        self.buffer.truncate(mark.bytes);
        self.kept.truncate(mark.kept);
        true
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn u16(&mut self, number: u16) {
        let bytes = if self.encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.buffer.extend_from_slice(&bytes);
    }

    pub(super) fn u32(&mut self, number: u32) {
        let bytes = if self.encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.buffer.extend_from_slice(&bytes);
    }

    fn tag(&mut self, tag: Tag) {
        self.u16(tag.group());
        self.u16(tag.element());
    }

    /// Writes the header of an element (PS3.5 7.1). A value too long for the short form of its VR becomes UN (CP-1066).
    pub(super) fn header(&mut self, tag: Tag, vr: VR, length: u32) {
        self.tag(tag);
        if !self.encoding.explicit {
            return self.u32(length);
        }
        let vr = if length > 0xFFFE && is_short_form(vr) { VR::UN } else { vr };
        self.buffer.extend_from_slice(&vr.to_bytes());
        if is_short_form(vr) {
            self.u16(length as u16);
        } else {
            self.buffer.extend_from_slice(&[0; 2]);
            self.u32(length);
        }
    }

    /// Writes an element with a value made by us, padded to an even length.
    pub(super) fn element(&mut self, tag: Tag, vr: VR, value: &[u8]) {
        let padding = value.len() % 2;
        self.header(tag, vr, (value.len() + padding) as u32);
        self.buffer.extend_from_slice(value);
        if padding == 1 {
            self.buffer.push(padding_of(vr));
        }
    }

    /// Writes an element with a value of the source; the last check will read it.
    pub(super) fn kept_element(&mut self, tag: Tag, vr: VR, value: &[u8]) {
        self.element(tag, vr, value);
        let end = self.buffer.len() - value.len() % 2;
        self.kept.push((self.emit.len(), end - value.len(), end));
    }

    /// Writes an element with numbers of the source, in the output's byte order.
    pub(super) fn numbers(&mut self, tag: Tag, vr: VR, value: &[u8], swap: bool) {
        let unit = unit_of(vr);
        if !swap || unit == 1 || !value.len().is_multiple_of(unit) {
            return self.element(tag, vr, value);
        }
        self.header(tag, vr, value.len() as u32);
        for number in value.chunks_exact(unit) {
            self.buffer.extend(number.iter().rev());
        }
    }

    pub(super) fn sequence(&mut self, tag: Tag) {
        self.header(tag, VR::SQ, UNDEFINED);
    }

    pub(super) fn empty_sequence(&mut self, tag: Tag) {
        self.header(tag, VR::SQ, 0);
    }

    pub(super) fn item(&mut self) {
        self.item_header(UNDEFINED);
    }

    pub(super) fn item_header(&mut self, length: u32) {
        self.tag(ITEM);
        self.u32(length);
    }

    pub(super) fn item_end(&mut self) {
        self.tag(ITEM_DELIMITATION);
        self.u32(0);
    }

    pub(super) fn sequence_end(&mut self) {
        self.tag(SEQUENCE_DELIMITATION);
        self.u32(0);
    }

    /// Lets `len` bytes of the source follow as they stand.
    pub(super) fn copy(&mut self, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        self.flush();
        if let Some(Emit::Copy { offset: last, len: length }) = self.emit.last_mut()
            && *last + *length == offset
        {
            *length += len;
            return;
        }
        self.emit.push(Emit::Copy { offset, len });
    }

    /// Lets numeric text of the source follow, which is read while it is copied.
    pub(super) fn number_text(&mut self, offset: u64, len: u64) {
        self.flush();
        self.emit.push(Emit::Numbers { offset, len });
    }

    /// Lets `len` bytes of the source follow, their numbers in the other byte order.
    pub(super) fn swap(&mut self, offset: u64, len: u64, vr: VR) {
        let unit = unit_of(vr);
        if unit == 1 || !len.is_multiple_of(unit as u64) {
            return self.copy(offset, len);
        }
        self.flush();
        self.emit.push(Emit::Swap { offset, len, unit: unit as u8 });
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.emit.push(Emit::Bytes(std::mem::take(&mut self.buffer)));
        }
    }

    /// Returns the pieces, and the bytes of the source that stand inside ours.
    pub(super) fn finish(mut self) -> (Vec<Emit>, Vec<(usize, usize, usize)>) {
        self.flush();
        (self.emit, self.kept)
    }
}

/// Whether explicit VR writes a 16-bit length (PS3.5 7.1.2).
pub(super) const fn is_short_form(vr: VR) -> bool {
    !has_long_length(vr)
}

/// Returns the size in bytes of the units whose order byte order means; 1 where it means nothing.
pub(super) const fn unit_of(vr: VR) -> usize {
    match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::SV | VR::UV | VR::OD | VR::OV => 8,
        _ => 1,
    }
}

const fn padding_of(vr: VR) -> u8 {
    match vr {
        VR::UI | VR::OB | VR::UN => 0,
        _ => b' ',
    }
}
