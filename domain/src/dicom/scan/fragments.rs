//! Encapsulated pixel data of the top level (PS3.5 A.4): offset table, fragments, frames, and the walk through their
//! code streams.

use std::mem::size_of;

use dicom_core::Tag;

use super::elements::{ITEM, SEQUENCE_DELIMITATION, bad_length};
use super::start::truncated;
use super::{Phase, Scanner, Stop, Window};
use crate::dicom::jpeg::Walker;
use crate::dicom::skeleton::{Encapsulated, Encoding, Fragment, Note};
use crate::{Reason, Rejection};

const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The item of the Basic Offset Table.
    TableItem,
    /// Entries of the table, up to an offset.
    Table { end: u64 },
    /// An item of a fragment, or the end.
    Item,
    /// Inside a fragment that is walked, up to an offset.
    Fragment { end: u64 },
}

/// The state of the scan inside top-level encapsulated pixel data.
#[derive(Debug)]
pub(super) struct PixelScan {
    stage: Stage,
    found: Encapsulated,
    /// Number of Frames, if it is a number.
    frames: Option<u32>,
    /// Logical offset of the first fragment's item tag, from which the offset table counts.
    first_item: u64,
    /// How many entries of the table have been met by fragments.
    table_met: usize,
    /// Fragments at which a code stream begins.
    starts: Vec<u32>,
    walker: Option<Walker>,
}

impl PixelScan {
    pub(super) fn new(element: u32, frames: Option<u32>, walked: bool) -> Self {
        Self {
            stage: Stage::TableItem,
            found: Encapsulated { element, ..Encapsulated::default() },
            frames,
            first_item: 0,
            table_met: 0,
            starts: Vec::new(),
            walker: walked.then(|| Walker::new(frames)),
        }
    }

    /// Whether the offset table says that a frame begins at the item at `offset`.
    fn table_names(&mut self, offset: u64) -> bool {
        let table = &self.found.basic_offset_table;
        let from_first = offset - self.first_item;
        while table.get(self.table_met).is_some_and(|entry| u64::from(*entry) < from_first) {
            self.table_met += 1;
        }
        table.get(self.table_met).is_some_and(|entry| u64::from(*entry) == from_first)
    }

    /// Returns for each frame its first fragment, as far as frames can be told apart.
    fn frame_starts(&self) -> Vec<u32> {
        let (found, fragments) = (&self.found, self.found.fragments.len());
        let Some(frames) = self.frames.map(|frames| frames as usize).filter(|frames| *frames > 0) else {
            return Vec::new();
        };
        if fragments == 0 {
            return Vec::new();
        }
        if frames == 1 {
            return vec![0];
        }
        // One fragment a frame; an Extended Offset Table (7FE0,0001) allows nothing else (PS3.3 C.7.6.3.1.8).
        if fragments == frames {
            return (0..fragments as u32).collect();
        }
        if found.basic_offset_table.len() == frames {
            let by_table: Option<Vec<u32>> =
                found.basic_offset_table.iter().map(|entry| self.fragment_at(*entry)).collect();
            if let Some(starts) = by_table
                && starts.first() == Some(&0)
                && starts.is_sorted_by(|a, b| a < b)
            {
                return starts;
            }
        }
        if self.starts.len() == frames { self.starts.clone() } else { Vec::new() }
    }

    /// Returns the fragment whose item tag lies at `entry` of the offset table.
    fn fragment_at(&self, entry: u32) -> Option<u32> {
        let value = self.first_item + u64::from(entry) + 8;
        self.found.fragments.binary_search_by_key(&value, |fragment| fragment.value).ok().map(|index| index as u32)
    }
}

impl Scanner {
    /// Returns Number of Frames (0028,0008) of the top level: 1 if absent or empty, `None` if it is no number.
    pub(super) fn number_of_frames(&self) -> Option<u32> {
        let mut index = 0;
        let mut frames = Some(1);
        // Bounded by the number of elements: `end` is behind `index`.
        while let Some(element) = self.builder.elements.get(index) {
            if element.tag == NUMBER_OF_FRAMES
                && let crate::dicom::skeleton::Content::Kept { at } = element.content
            {
                let value = &self.builder.kept[at as usize..at as usize + element.len as usize];
                let end = value.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
                let text = std::str::from_utf8(value[..end].trim_ascii()).ok();
                frames = text.and_then(|text| if text.is_empty() { Some(1) } else { text.parse().ok() });
            }
            index = (element.end as usize).max(index + 1);
        }
        frames
    }

    /// Reads on inside top-level encapsulated pixel data.
    pub(super) fn pixels(&mut self, window: Window<'_>) -> Result<(), Stop> {
        let Some(mut pixels) = self.pixels.take() else {
            self.phase = Phase::DataSet;
            return Ok(());
        };
        let result = self.pixels_with(window, &mut pixels);
        if self.phase == Phase::Pixels {
            self.pixels = Some(pixels);
        }
        result
    }

    fn pixels_with(&mut self, window: Window<'_>, pixels: &mut PixelScan) -> Result<(), Stop> {
        // Bounded: each turn moves the position or changes the stage.
        while self.phase == Phase::Pixels {
            match pixels.stage {
                Stage::TableItem => self.table_item(window, pixels)?,
                Stage::Table { end } => self.table(window, pixels, end)?,
                Stage::Item => self.fragment_item(window, pixels)?,
                Stage::Fragment { end } => self.fragment(window, pixels, end)?,
            }
        }
        Ok(())
    }

    /// Returns the length of the item at the position, `None` for the sequence delimitation item.
    fn fragment_header(&mut self, window: Window<'_>) -> Result<Option<u32>, Stop> {
        let header = self.item_header(window, Encoding::EXPLICIT_LE, self.total)?;
        match header.tag {
            SEQUENCE_DELIMITATION if header.len == 0 => Ok(None),
            ITEM if !header.undefined() => {
                if u64::from(header.len) > self.total - header.value() {
                    return Err(truncated(header.start).into());
                }
                Ok(Some(header.len))
            }
            _ => Err(bad_length("no fragment or delimiter where one must stand", header.start).into()),
        }
    }

    fn table_item(&mut self, window: Window<'_>, pixels: &mut PixelScan) -> Result<(), Stop> {
        let start = self.position;
        let Some(len) = self.fragment_header(window)? else {
            return Err(bad_length("encapsulated pixel data have no offset table", start).into());
        };
        if len % 4 != 0 {
            return Err(bad_length("the offset table has no whole number of entries", start).into());
        }
        if len / 4 > self.limits.fragments_max {
            return Err(Rejection::new(Reason::Oversize, "the offset table is too long").at_offset(start).into());
        }
        self.position = start + 8;
        pixels.first_item = self.position + u64::from(len);
        pixels.stage = Stage::Table { end: pixels.first_item };
        Ok(())
    }

    fn table(&mut self, window: Window<'_>, pixels: &mut PixelScan, end: u64) -> Result<(), Stop> {
        while self.position < end {
            let bytes = window.get(self.position, 4)?;
            self.builder.budget.charge(size_of::<u32>())?;
            pixels.found.basic_offset_table.push(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            self.position += 4;
        }
        pixels.stage = Stage::Item;
        Ok(())
    }

    fn fragment_item(&mut self, window: Window<'_>, pixels: &mut PixelScan) -> Result<(), Stop> {
        let start = self.position;
        let Some(len) = self.fragment_header(window)? else {
            return self.end_pixels(pixels, start);
        };
        if pixels.found.fragments.len() >= self.limits.fragments_max as usize {
            return Err(Rejection::new(Reason::Oversize, "the pixel data have too many fragments")
                .at_offset(start)
                .into());
        }
        self.builder.budget.charge(size_of::<Fragment>())?;
        let index = pixels.found.fragments.len() as u32;
        pixels.found.fragments.push(Fragment { value: start + 8, len });
        if len & 1 == 1 {
            self.builder.note(Note::OddLength);
        }
        self.position = start + 8;
        let end = self.position + u64::from(len);
        let named = pixels.table_names(start);
        match &mut pixels.walker {
            None => self.position = end,
            Some(walker) => {
                walker.begin_fragment(index == 0 || named, self.position, len)?;
                pixels.stage = Stage::Fragment { end };
            }
        }
        Ok(())
    }

    /// Walks through as much of the fragment as the window shows.
    fn fragment(&mut self, window: Window<'_>, pixels: &mut PixelScan, end: u64) -> Result<(), Stop> {
        let Some(walker) = &mut pixels.walker else {
            self.position = end;
            pixels.stage = Stage::Item;
            return Ok(());
        };
        if self.position < end {
            let seen = window.from(self.position);
            if seen.is_empty() {
                return Err(Stop::Want(window.missing(self.position, 1)));
            }
            let len = seen.len().min(usize::try_from(end - self.position).unwrap_or(usize::MAX));
            walker.push(&seen[..len], self.position, &mut pixels.found.cuts, &mut self.builder.budget)?;
            self.position += len as u64;
            return Ok(());
        }
        if walker.end_fragment(&mut pixels.found.cuts, &mut self.builder.budget)? {
            self.builder.budget.charge(size_of::<u32>())?;
            pixels.starts.push(pixels.found.fragments.len() as u32 - 1);
        }
        pixels.stage = Stage::Item;
        Ok(())
    }

    /// Ends the pixel data at their delimiter.
    fn end_pixels(&mut self, pixels: &mut PixelScan, delimiter: u64) -> Result<(), Stop> {
        if let Some(walker) = &mut pixels.walker {
            walker.finish(delimiter)?;
        }
        self.builder.budget.charge(pixels.frames.unwrap_or(0).min(pixels.found.fragments.len() as u32) as usize * 4)?;
        pixels.found.frames = pixels.frame_starts();
        self.builder.close(pixels.found.element, delimiter);
        self.builder.encapsulated = Some(std::mem::take(&mut pixels.found));
        self.position = delimiter + 8;
        self.phase = Phase::DataSet;
        Ok(())
    }
}
