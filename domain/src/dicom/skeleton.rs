//! `Skeleton`: what the scan of one object leaves behind. Every element with its place in the source, small values kept,
//! bulk values only as ranges.
//!
//! Elements stand in one vector in document order (pre-order): a sequence, then its items, each followed by what it holds.
//! `end` skips a subtree. Offsets are *logical*: offsets in the file, except that behind the file meta of a deflated
//! object they go on in the inflated bytes.

use dicom_core::{Tag, VR};

/// How an element's header and numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Explicit VR, else implicit.
    pub explicit: bool,
    /// Big endian, else little.
    pub big_endian: bool,
}

impl Encoding {
    /// Implicit VR little endian; also the inside of a UN of undefined length (CP-246).
    pub const IMPLICIT_LE: Self = Self { explicit: false, big_endian: false };
    /// Explicit VR little endian.
    pub const EXPLICIT_LE: Self = Self { explicit: true, big_endian: false };
    /// Explicit VR big endian (retired).
    pub const EXPLICIT_BE: Self = Self { explicit: true, big_endian: true };
}

/// What the transfer syntax means for structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// The Transfer Syntax UID, as declared or as found when the file has no meta. One of DICOM's own, so no PHI.
    pub uid: String,
    /// How the data set is written.
    pub encoding: Encoding,
    /// The data set is deflated (PS3.5 A.5): offsets behind the meta are those of the inflated bytes.
    pub deflated: bool,
    /// Pixel Data at the top level are encapsulated (PS3.5 A.4).
    pub encapsulated: bool,
}

/// What an element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value that was kept: the element's `len` bytes of [`Skeleton::kept`].
    Kept {
        /// Start in `kept`.
        at: u32,
    },
    /// A value that stays in the source: `len` bytes at `value`. If its length is undefined, fragments that nobody reads
    /// (of an icon or a private element), without their delimiter.
    Range,
    /// A sequence; its items follow, up to `end`.
    Sequence,
    /// An item (FFFE,E000) of a sequence; its elements follow, up to `end`.
    Item,
    /// Encapsulated pixel data; see [`Skeleton::encapsulated`].
    Fragments,
}

/// One element or item. A report has thousands: at most 40 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// The tag; (FFFE,E000) for an item.
    pub tag: Tag,
    /// The VR as written; for implicit VR and for UN with a known tag, the dictionary's (`UN` if unknown).
    pub vr: VR,
    /// How this header was written; differs from the data set's inside UN (CP-246).
    pub encoding: Encoding,
    /// What it holds.
    pub content: Content,
    /// Length of the header in bytes: 8 or 12.
    pub header: u8,
    /// Logical offset of the first byte of the value.
    pub value: u64,
    /// Length of the value in bytes, without delimiters; for undefined lengths as found.
    pub len: u64,
    /// Whether the length was written as undefined (FFFFFFFF).
    pub undefined: bool,
    /// Whether the header said UN and `vr` was resolved from the dictionary; the value is little endian then, whatever
    /// `encoding` says (PS3.5 6.2.2).
    pub was_un: bool,
    /// Index in [`Skeleton::elements`] of the first element behind this one's subtree.
    pub end: u32,
}

const _: () = assert!(std::mem::size_of::<Element>() <= 40);

impl Element {
    /// Returns the logical offset of the tag.
    pub const fn start(&self) -> u64 {
        self.value - self.header as u64
    }
}

/// One fragment of encapsulated pixel data (an item of the fragment sequence, without the offset table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Logical offset of the first byte of the fragment's value.
    pub value: u64,
    /// Length in bytes.
    pub len: u32,
}

/// A range of compressed pixel data that must not be copied: a comment or application segment, or bytes behind the
/// end-of-image marker. Cuts stand in ascending order, never overlap and never span two fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Logical offset of the first byte that goes.
    pub offset: u64,
    /// How many bytes go.
    pub len: u64,
    /// What stands there instead: empty, the segment rebuilt from its fields (JFIF, Adobe, APP8), or a blank comment of the
    /// same length (in JPEG 2000 tile-part headers, whose lengths count it).
    pub replacement: Vec<u8>,
    /// What it was, for the receipt: `COM`, `APP0` … `APP15`, `UNKNOWN` (segment), `BOX`, `JUNK` (between segments) or `TAIL`.
    pub what: &'static str,
}

/// Encapsulated pixel data of the top level.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Encapsulated {
    /// Index of the element (7FE0,0010) in [`Skeleton::elements`].
    pub element: u32,
    /// The Basic Offset Table as written, entries in bytes from the first fragment's item tag; empty if it was empty.
    pub basic_offset_table: Vec<u32>,
    /// The fragments in order.
    pub fragments: Vec<Fragment>,
    /// For each frame the index of its first fragment; one entry per frame where frames could be told apart, else empty.
    pub frames: Vec<u32>,
    /// What must go from inside the fragments.
    pub cuts: Vec<Cut>,
}

/// A note of the scan that does not refuse the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// The file has no preamble and file meta; the transfer syntax was found from the data set.
    NoMeta,
    /// The meta has no or a wrong group length; its end was found from the tags.
    MetaGroupLength,
    /// The meta names no transfer syntax; it was found from the data set.
    NoTransferSyntax,
    /// Elements do not stand in ascending order of tags, or one stands twice; the last one counts.
    Order,
    /// Bytes behind the end of the data set.
    TrailingBytes,
    /// A value has an odd length (PS3.5 7.1.1).
    OddLength,
    /// Sequence delimitation is missing where the end of the parent ends the sequence as well.
    NoDelimiter,
    /// A delimitation item stands where none belongs: in or behind a sequence or item of defined length, or at the top
    /// level. It belongs to no element.
    StrayDelimiter,
}

/// What the scan of one object leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skeleton {
    /// Logical length of the object in bytes (inflated, if deflated).
    pub len: u64,
    /// Whether there was a 128-byte preamble and `DICM`.
    pub preamble: bool,
    /// Logical offset at which the data set begins.
    pub data_set: u64,
    /// Logical offset one past the last byte of the data set; what follows up to `len` is padding that goes.
    pub data_set_end: u64,
    /// The transfer syntax.
    pub syntax: Syntax,
    /// The elements of the file meta (group 0002), top level only.
    pub meta: Vec<Element>,
    /// The elements of the data set in document order.
    pub elements: Vec<Element>,
    /// Kept values, one after the other.
    pub kept: Vec<u8>,
    /// Encapsulated pixel data, if any.
    pub encapsulated: Option<Encapsulated>,
    /// What was odd without being a reason to refuse; each at most once, sorted.
    pub notes: Vec<Note>,
}

impl Skeleton {
    /// Returns the value's bytes as they stand in the source, if they were kept.
    pub fn bytes(&self, element: &Element) -> Option<&[u8]> {
        match element.content {
            Content::Kept { at } => self.kept.get(at as usize..at as usize + element.len as usize),
            _ => None,
        }
    }

    /// Returns the indices of the children of `parent` (`None`: the top level) in document order: the elements of an
    /// item or of the data set, the items of a sequence.
    pub fn children(&self, parent: Option<usize>) -> Children<'_> {
        match parent {
            None => Children { skeleton: self, next: 0, end: self.elements.len() },
            Some(index) => Children { skeleton: self, next: index + 1, end: self.elements[index].end as usize },
        }
    }

    /// Returns the index of the element `tag` among the children of `parent`; the last one if it stands twice.
    pub fn find(&self, parent: Option<usize>, tag: Tag) -> Option<usize> {
        self.children(parent).filter(|&index| self.elements[index].tag == tag).last()
    }

    /// Returns the kept bytes of the top-level element `tag`.
    pub fn value(&self, tag: Tag) -> Option<&[u8]> {
        self.find(None, tag).and_then(|index| self.bytes(&self.elements[index]))
    }

    /// Returns the kept bytes of the file meta element `tag`.
    pub fn meta_value(&self, tag: Tag) -> Option<&[u8]> {
        self.meta.iter().rev().find(|element| element.tag == tag).and_then(|element| self.bytes(element))
    }
}

/// The indices of the children of one item or sequence; see [`Skeleton::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    skeleton: &'a Skeleton,
    next: usize,
    end: usize,
}

impl Iterator for Children<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let index = self.next;
        let element = self.skeleton.elements.get(index).filter(|_| index < self.end)?;
        self.next = (element.end as usize).max(index + 1);
        Some(index)
    }
}
