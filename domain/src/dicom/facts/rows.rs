//! Table E.1-1 of PS3.15, one [`Row`] a line of `domain/facts/e1-1.txt`, found by tag in a hash table of numbers.

use dicom_core::Tag;

use super::{FactsError, ROW_COUNT};

/// The Basic Profile's column of Table E.1-1. Where several letters stand, the attribute's Type in its IOD chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `X`: remove.
    Remove,
    /// `Z`: zero length, or a dummy.
    Empty,
    /// `D`: a dummy value that obeys the VR.
    Dummy,
    /// `U`: a new UID, the same for the same original.
    Uid,
    /// `X/Z`.
    RemoveOrEmpty,
    /// `X/D`.
    RemoveOrDummy,
    /// `X/Z/D`.
    RemoveOrEmptyOrDummy,
    /// `Z/D`.
    EmptyOrDummy,
    /// `X/Z/U*`: a sequence whose items carry UIDs that are to be replaced.
    RemoveOrEmptyOrUids,
}

impl Action {
    fn parse(codes: &str) -> Option<Self> {
        Some(match codes {
            "X" => Self::Remove,
            "Z" => Self::Empty,
            "D" => Self::Dummy,
            "U" => Self::Uid,
            "X/Z" => Self::RemoveOrEmpty,
            "X/D" => Self::RemoveOrDummy,
            "X/Z/D" => Self::RemoveOrEmptyOrDummy,
            "Z/D" => Self::EmptyOrDummy,
            "X/Z/U*" => Self::RemoveOrEmptyOrUids,
            _ => return None,
        })
    }
}

/// What the value of a row tells about its own object, for the search of identifiers in free text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierClass {
    /// Nothing that could be searched for (dates are found by their form, names by VR PN).
    None,
    /// An id: compared without punctuation.
    Id,
    /// A place or an organisation: its words count.
    Place,
    /// A phrase: counts as a whole.
    Phrase,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's number from 1, as receipts name it (`r72`).
    pub number: u16,
    /// Basic Profile.
    pub action: Action,
    /// What the value tells about its object.
    pub class: IdentifierClass,
    /// The option columns: pairs of a column letter and `K` or `C`; see `generate.py` for the letters.
    pub options: Box<str>,
    /// The editions of the standard that have this row.
    pub editions: Box<str>,
}

/// All rows, found by tag.
#[derive(Debug)]
pub struct Rows {
    rows: Vec<Row>,
    /// Open addressing over tags: `(tag, index + 1)`, 0 = free. A power of two, at most a third full.
    slots: Vec<(u32, u16)>,
    /// A bit for each slot in which a tag with a class begins; most tags have none and are told by it alone.
    classed: [u64; SLOTS / 64],
    curve: u16,
    overlay_pixels: u16,
    overlay_comments: u16,
    private: u16,
}

const SLOTS: usize = 2048;

const fn slot_of(tag: u32) -> usize {
    (tag.wrapping_mul(0x9E37_79B1) >> 21) as usize & (SLOTS - 1)
}

impl Rows {
    pub(super) fn parse(text: &str) -> Result<Self, FactsError> {
        let mut table = Self {
            rows: Vec::with_capacity(ROW_COUNT),
            slots: vec![(0, 0); SLOTS],
            classed: [0; SLOTS / 64],
            curve: 0,
            overlay_pixels: 0,
            overlay_comments: 0,
            private: 0,
        };
        for (index, line) in text.lines().enumerate().skip(1) {
            table.add(line).ok_or(FactsError::Line { file: "e1-1.txt", line: index + 1 })?;
        }
        let masks = [table.curve, table.overlay_pixels, table.overlay_comments, table.private];
        if table.rows.len() != ROW_COUNT || masks.contains(&0) {
            return Err(FactsError::Count { file: "e1-1.txt", found: table.rows.len(), expected: ROW_COUNT });
        }
        Ok(table)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.split(' ').collect();
        let [number, tag, codes, _vr, class, options, editions] = fields.as_slice() else { return None };
        let number: u16 = number.parse().ok()?;
        if usize::from(number) != self.rows.len() + 1 || self.rows.len() == ROW_COUNT {
            return None;
        }
        let class = match *class {
            "-" => IdentifierClass::None,
            "i" => IdentifierClass::Id,
            "p" => IdentifierClass::Place,
            "w" => IdentifierClass::Phrase,
            _ => return None,
        };
        match *tag {
            "50xxxxxx" => self.curve = number,
            "60xx3000" => self.overlay_pixels = number,
            "60xx4000" => self.overlay_comments = number,
            "odd....." => self.private = number,
            _ => self.insert(u32::from_str_radix(tag, 16).ok()?, number)?,
        }
        let action = Action::parse(codes)?;
        if let Ok(tag) = u32::from_str_radix(tag, 16)
            && class != IdentifierClass::None
        {
            self.classed[slot_of(tag) / 64] |= 1 << (slot_of(tag) % 64);
        }
        self.rows.push(Row { number, action, class, options: (*options).into(), editions: (*editions).into() });
        Some(())
    }

    fn insert(&mut self, tag: u32, number: u16) -> Option<()> {
        let mut slot = slot_of(tag);
        while self.slots[slot].1 != 0 {
            if self.slots[slot].0 == tag {
                return None;
            }
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = (tag, number);
        Some(())
    }

    /// Returns the row that rules `tag`, if any; private groups, curves and overlays by their masks.
    #[inline]
    pub fn find(&self, tag: Tag) -> Option<&Row> {
        let (group, element) = (tag.group(), tag.element());
        let number = if group & 1 == 1 {
            self.private
        } else if group & 0xFF00 == 0x5000 {
            self.curve
        } else if group & 0xFF00 == 0x6000 && element == 0x3000 {
            self.overlay_pixels
        } else if group & 0xFF00 == 0x6000 && element == 0x4000 {
            self.overlay_comments
        } else {
            let key = u32::from(group) << 16 | u32::from(element);
            let mut slot = slot_of(key);
            loop {
                match self.slots[slot] {
                    (_, 0) => return None,
                    (found, number) if found == key => break number,
                    _ => slot = (slot + 1) % SLOTS,
                }
            }
        };
        self.rows.get(usize::from(number) - 1)
    }

    /// Returns what a value of `tag` tells about its own object.
    #[inline]
    pub fn class_of(&self, tag: Tag) -> IdentifierClass {
        let slot = slot_of(u32::from(tag.group()) << 16 | u32::from(tag.element()));
        let by_mask = tag.group() & 1 == 1 || matches!(tag.group() & 0xFF00, 0x5000 | 0x6000);
        if !by_mask && self.classed[slot / 64] >> (slot % 64) & 1 == 0 {
            return IdentifierClass::None;
        }
        self.find(tag).map_or(IdentifierClass::None, |row| row.class)
    }

    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows; a loaded table always has some.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the rows in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}
