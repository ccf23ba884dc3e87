//! Rows as a store holds them, before anything is believed of them: a changed store can hold any type in any column.

/// One value, of whatever type it has now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing, a number with a fraction, or a value too large to be read: never right.
    Other,
    /// An integer.
    Integer(i64),
    /// Text; not known to be UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

/// One entry row.
#[derive(Clone, Copy, Debug)]
pub struct EntryRow<'a> {
    /// The index under which the entry is stored.
    pub leaf_index: i64,
    /// Blob of 16 bytes.
    pub stream: Cell<'a>,
    /// Integer from 0.
    pub seq: Cell<'a>,
    /// Blob of 32 bytes.
    pub leaf: Cell<'a>,
    /// Blob of 16 bytes.
    pub nonce: Cell<'a>,
    /// Text.
    pub header: Cell<'a>,
    /// Text.
    pub body: Cell<'a>,
}

/// One tag row.
#[derive(Clone, Copy, Debug)]
pub struct TagRow<'a> {
    /// Integer: the entry that carries the tag.
    pub leaf_index: Cell<'a>,
    /// Text.
    pub kind: Cell<'a>,
    /// Integer from 1.
    pub version: Cell<'a>,
    /// Blob of 16 bytes.
    pub hash: Cell<'a>,
}

/// The head row.
#[derive(Clone, Copy, Debug)]
pub struct HeadRow<'a> {
    /// Integer from 0.
    pub size: Cell<'a>,
    /// Blob of 32 bytes.
    pub root: Cell<'a>,
    /// Blob of 32 bytes for each 1 bit of the size.
    pub frontier: Cell<'a>,
}

impl<'a> Cell<'a> {
    /// Returns the number if it is an integer from 0.
    pub fn unsigned(self) -> Option<u64> {
        if let Self::Integer(number) = self { u64::try_from(number).ok() } else { None }
    }

    /// Returns the bytes of a blob of exactly `N`.
    pub fn array<const N: usize>(self) -> Option<[u8; N]> {
        if let Self::Blob(bytes) = self { bytes.try_into().ok() } else { None }
    }

    /// Returns the text if it is text in UTF-8.
    pub fn text(self) -> Option<&'a str> {
        if let Self::Text(bytes) = self { std::str::from_utf8(bytes).ok() } else { None }
    }
}
