//! What an audit of the objects says: codes that stay, the entries they are about, and the first bad index.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::At;
use crate::ports::stored::Area;

/// Most findings that a report lists; the rest is counted.
pub const FINDINGS_MAX: usize = 100;

macro_rules! codes {
    ($(#[doc = $doc:literal])+ $name:ident { $($variant:ident = $code:literal: $meaning:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $meaning] $variant),+ }

        impl $name {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// Returns one sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }
        }
    };
}

codes! {
    /// What does not hold. The codes are stable; the list grows.
    Code {
        ObjectMissing = "object_missing": "An entry says that the object is delivered, and nothing stands under its key.",
        ObjectChanged = "object_changed": "The object has other bytes than those that its entry names.",
        ObjectUnknown = "object_unknown": "No entry names the object that stands under this key.",
        ObjectLink = "object_link": "A link stands where an object must be.",
        ObjectForeign = "object_foreign": "Something lies among the processed objects that is none.",
        ObjectUnreadable = "object_unreadable": "What lies there cannot be read, so nothing is known of it.",
        RawMissing = "raw_missing": "An entry says that a copy of the original was kept, and there is none.",
        RawChanged = "raw_changed": "The copy of an original has other bytes than those that were received.",
        RawForeign = "raw_foreign": "Something lies among the copies of originals that is none.",
        RawUnreadable = "raw_unreadable": "The copy of an original cannot be read, so nothing is known of it.",
    }
}

codes! {
    /// What is told and is no damage: a crash, a worker or a forgetting leaves such things behind.
    Remark {
        Pending = "object_pending": "An object is visible whose delivery is not recorded yet; the next run records it.",
        RawUnexplained = "raw_unexplained": "A copy of an original that no entry names; a run that was cut short leaves one.",
        RawNotErased = "raw_not_erased": "A copy of an original that was to be forgotten; run `medimg forget` again.",
        StagingUnexplained = "staging_unexplained": "A staged file that no unfinished object explains; the next run removes it.",
    }
}

/// What a finding is about, and where it is said how it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The entry that names the object: the log that ended before a recovery (none for the present one) and the leaf index.
    /// Findings without one come last.
    pub at: Option<Named>,
    /// What does not hold.
    pub code: Code,
    /// Where it lies.
    pub area: Area,
    /// Its key or stream. None of what we did not name: that may be named after a patient.
    pub name: Option<String>,
    /// Number of its inode, where it has one and no name that may be told.
    pub number: Option<u64>,
    /// Size as the entry says, and as found.
    pub size_bytes: Option<(u64, u64)>,
    /// The entry that says of another key that it has the bytes that were found here.
    pub bytes_of: Option<Named>,
}

/// The entry that names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Place of its log, oldest first.
    pub(super) place: u32,
    /// Its leaf index.
    pub leaf_index: u64,
    /// The log, by its file, if it ended before a recovery.
    pub log: Option<String>,
}

impl Named {
    pub(super) fn of(at: At, log: Option<&str>) -> Self {
        Self { place: at.log, leaf_index: at.leaf_index, log: log.map(str::to_owned) }
    }
}

/// What an audit of the objects found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries of the present log that were held against the store.
    pub entries: u64,
    /// Processed objects that were read whole.
    pub objects: u64,
    /// Copies of originals that were read whole.
    pub copies: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// The first findings, by the entries that name what they are about.
    findings: BTreeSet<Ranked>,
    /// How many there are.
    pub findings_count: u64,
    /// How much there is of what is told and is no damage.
    pub remarks: BTreeMap<Remark, u64>,
}

/// A finding in the order in which findings are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked(bool, Finding);

impl Report {
    /// Begins the report of an audit against so many entries.
    pub(super) fn of(entries: u64) -> Self {
        Self { entries, ..Self::default() }
    }

    /// Whether nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.findings_count == 0
    }

    /// Returns the first findings, at most [`FINDINGS_MAX`].
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().map(|Ranked(_, finding)| finding)
    }

    /// Returns the first entry that names something that is not as it says.
    pub fn first_bad(&self) -> Option<&Named> {
        self.findings().next()?.at.as_ref()
    }

    /// Whether a finding would be listed, as far as is known yet.
    pub(super) fn has_room(&self) -> bool {
        self.findings.len() < FINDINGS_MAX
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings_count += 1;
        self.findings.insert(Ranked(finding.at.is_none(), finding));
        if self.findings.len() > FINDINGS_MAX {
            self.findings.pop_last();
        }
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        *self.remarks.entry(remark).or_default() += 1;
    }
}
