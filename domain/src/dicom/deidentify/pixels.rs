//! Encapsulated pixel data put together again: cuts applied, fragments of even length, offset tables made new.

use dicom_core::{Tag, VR};

use super::write::Writer;
use crate::dicom::skeleton::{Cut, Encapsulated};

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7FE0, 0x0001);
const EXTENDED_OFFSET_TABLE_LENGTHS: Tag = Tag(0x7FE0, 0x0002);

/// Where everything stands in the output.
pub(super) struct Layout<'a> {
    source: &'a Encapsulated,
    /// New length of each fragment before padding.
    lengths: Vec<u64>,
    /// For each fragment the index of its first cut.
    cuts: Vec<usize>,
    changed: bool,
}

impl<'a> Layout<'a> {
    pub(super) fn new(source: &'a Encapsulated) -> Self {
        let mut layout =
            Self { source, lengths: Vec::with_capacity(source.fragments.len()), cuts: Vec::new(), changed: false };
        let mut next = 0;
        for fragment in &source.fragments {
            let end = fragment.value + u64::from(fragment.len);
            layout.cuts.push(next);
            let mut length = u64::from(fragment.len);
            while let Some(cut) = source.cuts.get(next).filter(|cut| cut.offset < end) {
                length = length.saturating_sub(cut.len) + cut.replacement.len() as u64;
                next += 1;
            }
            layout.changed |= length.next_multiple_of(2) != u64::from(fragment.len);
            layout.lengths.push(length);
        }
        layout
    }

    /// Whether a frame has nothing left: its first fragment held only what must go, and no image.
    pub(super) fn empties_a_frame(&self) -> bool {
        let emptied = |index: usize| {
            self.lengths.get(index) == Some(&0) && self.source.fragments.get(index).is_some_and(|f| f.len > 0)
        };
        let frames = &self.source.frames;
        frames.iter().any(|&first| emptied(first as usize))
            || frames.is_empty() && !self.lengths.is_empty() && (0..self.lengths.len()).all(emptied)
    }

    /// Returns what was cut from inside the fragments.
    pub(super) fn cuts(&self) -> &'a [Cut] {
        &self.source.cuts
    }

    /// Returns the offsets of the frames from the first fragment's item tag, in bytes.
    fn frame_offsets(&self) -> Vec<u64> {
        let mut offsets = Vec::with_capacity(self.source.frames.len());
        let mut frames = self.source.frames.iter().peekable();
        let mut offset = 0;
        for (index, length) in self.lengths.iter().enumerate() {
            while frames.next_if(|&&first| first as usize == index).is_some() {
                offsets.push(offset);
            }
            offset += 8 + length.next_multiple_of(2);
        }
        offsets
    }

    /// The Basic Offset Table stays empty if it was; it is left empty where frames cannot be told apart any more.
    fn basic_offset_table(&self) -> Vec<u32> {
        if self.source.basic_offset_table.is_empty() {
            return Vec::new();
        }
        if self.source.frames.is_empty() {
            return if self.changed { Vec::new() } else { self.source.basic_offset_table.clone() };
        }
        self.frame_offsets().into_iter().map(u32::try_from).collect::<Result<_, _>>().unwrap_or_default()
    }

    /// Writes the Extended Offset Table and its lengths, if every frame is one fragment (PS3.3 C.7.6.3.1.8); returns
    /// whether it did.
    pub(super) fn write_extended_offset_table(&self, writer: &mut Writer) -> bool {
        let one_each = self.source.frames.len() == self.lengths.len()
            && self.source.frames.iter().enumerate().all(|(index, &first)| first as usize == index);
        if !one_each || self.source.basic_offset_table.len() > 1 {
            return false;
        }
        let offsets: Vec<u8> = self.frame_offsets().into_iter().flat_map(u64::to_le_bytes).collect();
        let lengths: Vec<u8> =
            self.lengths.iter().flat_map(|length| length.next_multiple_of(2).to_le_bytes()).collect();
        writer.element(EXTENDED_OFFSET_TABLE, VR::OV, &offsets);
        writer.element(EXTENDED_OFFSET_TABLE_LENGTHS, VR::OV, &lengths);
        true
    }

    /// Writes Pixel Data: header, Basic Offset Table, fragments, delimiter.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.header(PIXEL_DATA, VR::OB, u32::MAX);
        let table = self.basic_offset_table();
        writer.item_header(table.len() as u32 * 4);
        for offset in table {
            writer.u32(offset);
        }
        for (index, fragment) in self.source.fragments.iter().enumerate() {
            let length = self.lengths[index];
            // The source's own 32-bit lengths bound this; a replacement is never longer than what it replaces by more than padding.
            writer.item_header(length.next_multiple_of(2) as u32);
            let (mut at, end) = (fragment.value, fragment.value + u64::from(fragment.len));
            for cut in self.source.cuts[self.cuts[index]..].iter().take_while(|cut| cut.offset < end) {
                writer.copy(at, cut.offset - at);
                writer.raw(&cut.replacement);
                at = cut.offset + cut.len;
            }
            writer.copy(at, end.saturating_sub(at));
            if length % 2 == 1 {
                writer.raw(&[0]);
            }
        }
        writer.sequence_end();
    }
}
