//! `Plan`: how the de-identified object is put together, and the receipt of what was done to it.

use super::numbers::NumberRule;

/// One piece of the output, in output order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Bytes made by us.
    Bytes(Vec<u8>),
    /// Bytes of the source, unchanged. Offsets are logical and ascend from one `Copy` to the next, so that the source can
    /// be read once, front to back.
    Copy {
        /// Logical offset in the source.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Numeric text of the source, copied unchanged if [`Plan::numbers`] lets it pass.
    Numbers {
        /// Logical offset in the source.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Bytes of the source whose 16-, 32- or 64-bit units change byte order (a UN read as another encoding).
    Swap {
        /// Logical offset in the source.
        offset: u64,
        /// How many bytes, a multiple of `unit`.
        len: u64,
        /// Size of one unit in bytes: 2, 4 or 8.
        unit: u8,
    },
}

impl Emit {
    /// Returns how many bytes of output this piece makes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Copy { len, .. } | Self::Numbers { len, .. } | Self::Swap { len, .. } => *len,
        }
    }

    /// Whether this piece makes no output.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How to make the output of one object, and what was done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pieces of the output file, preamble to last byte.
    pub emit: Vec<Emit>,
    /// What long numeric texts are held against while they are copied.
    pub numbers: NumberRule,
    /// What was done to which attribute, by which rule; no values.
    pub receipt: Receipt,
    /// The new UIDs, of which the output key is made: `<study>/<series>/<sop>.dcm`.
    pub new_study_instance_uid: String,
    /// New Series Instance UID.
    pub new_series_instance_uid: String,
    /// New SOP Instance UID.
    pub new_sop_instance_uid: String,
    /// Transfer Syntax UID of the output.
    pub transfer_syntax_uid: String,
}

impl Plan {
    /// Returns the length of the output in bytes.
    pub fn len(&self) -> u64 {
        self.emit.iter().map(Emit::len).sum()
    }

    /// Whether the output is empty; it never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What was done, packed: one text of comma-separated entries `path action rule [*count]`, ≤ 2 KB for a CT.
/// `path` is the tag path with `*` for item numbers (`00081140.*.00081155`), `action` one letter, `rule` the number of the
/// row of the rule table (`r12`) or the name of a general rule. Holds no values.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The packed entries.
    pub packed: String,
    /// How many attributes were removed, emptied, replaced, mapped, cleaned and kept by rule, by action letter.
    pub counts: Vec<(char, u32)>,
}
