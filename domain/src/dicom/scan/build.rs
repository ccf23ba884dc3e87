//! The skeleton while it grows: elements, kept values and notes, each counted against the limits.

use std::mem::size_of;

use dicom_core::{Tag, VR};

use crate::dicom::limits::{Budget, Limits};
use crate::dicom::skeleton::{Content, Element, Encapsulated, Encoding, Note};
use crate::{Reason, Rejection};

/// What is read of one element's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) tag: Tag,
    /// The VR as written, or the dictionary's; `UN` if unknown.
    pub(super) vr: VR,
    pub(super) was_un: bool,
    pub(super) encoding: Encoding,
    /// Logical offset of the tag.
    pub(super) start: u64,
    /// Bytes of the header: 8 or 12.
    pub(super) bytes: u8,
    /// The length field; `FFFFFFFF` is undefined.
    pub(super) len: u32,
}

impl Header {
    pub(super) const fn undefined(&self) -> bool {
        self.len == u32::MAX
    }

    pub(super) const fn value(&self) -> u64 {
        self.start + self.bytes as u64
    }

    fn element(&self, content: Content, end: u32) -> Element {
        Element {
            tag: self.tag,
            vr: self.vr,
            encoding: self.encoding,
            content,
            header: self.bytes,
            value: self.value(),
            len: if self.undefined() { 0 } else { u64::from(self.len) },
            undefined: self.undefined(),
            was_un: self.was_un,
            end,
        }
    }
}

/// The parts of a skeleton under construction.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) meta: Vec<Element>,
    pub(super) elements: Vec<Element>,
    pub(super) kept: Vec<u8>,
    pub(super) encapsulated: Option<Encapsulated>,
    pub(super) budget: Budget,
    notes: u32,
}

/// Where a builder stood, to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    elements: usize,
    kept: usize,
    budget: Budget,
    notes: u32,
}

/// How many bytes of a structured report make one element or item.
const BYTES_AN_ELEMENT: usize = 10;
/// More elements than this are not reserved: 160 KB.
const RESERVED_ELEMENTS_MAX: usize = 4096;
/// More kept bytes than this are not reserved.
const RESERVED_KEPT_BYTES_MAX: usize = 32 << 10;

const NOTES: [Note; 8] = [
    Note::NoMeta,
    Note::MetaGroupLength,
    Note::NoTransferSyntax,
    Note::Order,
    Note::TrailingBytes,
    Note::OddLength,
    Note::NoDelimiter,
    Note::StrayDelimiter,
];

impl Builder {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            meta: Vec::new(),
            elements: Vec::new(),
            kept: Vec::new(),
            encapsulated: None,
            budget: Budget::new(limits.memory_bytes_max),
            notes: 0,
        }
    }

    /// Makes room for the data set of an object of which `bytes` are in sight: what a report of that size has, never much
    /// ahead of what was seen.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.elements.reserve((bytes / BYTES_AN_ELEMENT).min(RESERVED_ELEMENTS_MAX));
        self.kept.reserve(bytes.min(RESERVED_KEPT_BYTES_MAX));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.notes |= 1 << note as u32;
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        NOTES.into_iter().filter(|note| self.notes & 1 << *note as u32 != 0).collect()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { elements: self.elements.len(), kept: self.kept.len(), budget: self.budget, notes: self.notes }
    }

    pub(super) fn go_back(&mut self, mark: &Mark) {
        self.elements.truncate(mark.elements);
        self.kept.truncate(mark.kept);
        self.budget = mark.budget;
        self.notes = mark.notes;
    }

    /// Counts one element more; the caller pushes it.
    fn count(&mut self, limits: &Limits) -> Result<(), Rejection> {
        if self.meta.len() + self.elements.len() >= limits.elements_max as usize {
            return Err(Rejection::new(Reason::Oversize, "the object has more elements and items than one may have"));
        }
        self.budget.charge(size_of::<Element>())
    }

    fn keep(&mut self, value: &[u8], limits: &Limits) -> Result<Content, Rejection> {
        if self.kept.len() + value.len() > limits.kept_bytes_max as usize {
            return Err(Rejection::new(
                Reason::Oversize,
                "the values to be read take more memory than one object may take",
            ));
        }
        self.budget.charge(value.len())?;
        // Both fit: `kept_bytes_max` is a u32.
        let at = self.kept.len() as u32;
        self.kept.extend_from_slice(value);
        Ok(Content::Kept { at })
    }

    /// Adds an element of the file meta; `value` is its value if it is to be kept.
    pub(super) fn add_meta(&mut self, header: &Header, value: Option<&[u8]>, limits: &Limits) -> Result<(), Rejection> {
        self.count(limits)?;
        let content = value.map_or(Ok(Content::Range), |value| self.keep(value, limits))?;
        let end = self.meta.len() as u32 + 1;
        self.meta.push(header.element(content, end));
        Ok(())
    }

    /// Adds an element without children; `value` is its value if it is to be kept.
    #[inline]
    pub(super) fn add(&mut self, header: &Header, value: Option<&[u8]>, limits: &Limits) -> Result<(), Rejection> {
        self.count(limits)?;
        let content = value.map_or(Ok(Content::Range), |value| self.keep(value, limits))?;
        let end = self.elements.len() as u32 + 1;
        self.elements.push(header.element(content, end));
        Ok(())
    }

    /// Opens a sequence, an item or a fragment sequence and returns its index; [`Builder::close`] ends it.
    #[inline]
    pub(super) fn open(&mut self, header: &Header, content: Content, limits: &Limits) -> Result<u32, Rejection> {
        self.count(limits)?;
        let index = self.elements.len() as u32;
        self.elements.push(header.element(content, index + 1));
        Ok(index)
    }

    /// Ends what [`Builder::open`] began; `value_end` is the logical offset behind its value, without delimiter.
    #[inline]
    pub(super) fn close(&mut self, index: u32, value_end: u64) {
        let end = self.elements.len() as u32;
        if let Some(element) = self.elements.get_mut(index as usize) {
            element.end = end;
            element.len = value_end - element.value;
        }
    }
}
