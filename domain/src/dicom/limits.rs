//! What one object may cost at most: the bounds of the scan, each a value that the configuration may lower.
//!
//! Together they keep a scan below about 40 MB whatever the bytes say: nothing is allocated ahead of bytes that were seen.

use crate::{Reason, Rejection};

/// The bounds of one scan. All are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the object in bytes.
    pub object_bytes_max: u64,
    /// How deep sequences may nest; deeper is `depth`.
    pub nesting_max: u32,
    /// Elements and items together, file meta included.
    pub elements_max: u32,
    /// Length in bytes of one value that is kept, and so of what the scanner asks for at once (plus a header).
    pub kept_value_bytes_max: u32,
    /// Length in bytes of all kept values together.
    pub kept_bytes_max: u32,
    /// Binary and numeric values longer than this many bytes stay ranges.
    pub kept_bulk_bytes_max: u32,
    /// Fragments of encapsulated pixel data, and entries of the Basic Offset Table.
    pub fragments_max: u32,
    /// Memory in bytes that elements, kept values, fragments and cuts take together.
    pub memory_bytes_max: usize,
    /// Inflated length in bytes of a deflated data set.
    pub inflated_bytes_max: u64,
    /// How many times its deflated length a data set may take, once it is longer than `inflated_free_bytes`.
    pub inflate_ratio_max: u64,
    /// Inflated length in bytes up to which the ratio is not looked at: a small blank image deflates 1,000-fold.
    pub inflated_free_bytes: u64,
    /// Inflated length in bytes up to which [`scan_slice`](super::scan::scan_slice) hands the inflated data set out.
    pub inflated_slice_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes_max: 64 << 30,
            nesting_max: 64,
            elements_max: 500_000,
            kept_value_bytes_max: 1 << 20,
            kept_bytes_max: 16 << 20,
            kept_bulk_bytes_max: 256,
            fragments_max: 1_000_000,
            memory_bytes_max: 36 << 20,
            inflated_bytes_max: 4 << 30,
            inflate_ratio_max: 250,
            inflated_free_bytes: 16 << 20,
            inflated_slice_bytes_max: 16 << 20,
        }
    }
}

/// Memory that a scan has taken, counted as it grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    used: usize,
    max: usize,
}

impl Budget {
    pub(crate) const fn new(max: usize) -> Self {
        Self { used: 0, max }
    }

    /// Counts `bytes` more, or refuses the object.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Rejection> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.max {
            return Err(Rejection::new(Reason::Oversize, "the structure needs more memory than one object may take"));
        }
        Ok(())
    }
}
