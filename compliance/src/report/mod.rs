//! The compliance report: what the ledger can show an auditor of a span of time, a study, or everything.
//!
//! [`Fold`] takes the entries in leaf order and keeps counts; [`Fold::finish`] gives the [`Report`], a value that `html`,
//! serde and `csv` write. The same entries give the same bytes: no clock and no chance comes in, only the seal.

mod chain;
mod classes;
pub mod controls;
pub mod csv;
mod fold;
pub mod html;
mod sample;
pub mod sealing;
mod studies;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ledger::StreamKey;
use serde::Serialize;

pub use chain::Block;
pub use classes::{Class, ClassActions};
pub use controls::Judged;
pub use fold::Fold;
pub use sample::{Sample, Sampled};
pub use sealing::Sealing;
pub use studies::{ObjectRow, Phase, Study};

/// Version of the report's JSON; `compliance/schemas/report.v1.json` is its schema.
pub const FORMAT: &str = "medimg-report/v1";
/// Most rows that a list of single incidents shows; the rest is counted.
pub const ROWS_MAX: usize = 500;

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole log.
    All,
    /// The entries of these streams: those of one study.
    Study {
        /// Every stream about the study, and what people did about it.
        streams: BTreeSet<StreamKey>,
        /// The keyed hash of the study, `k1:…`.
        subject: Option<String>,
    },
    /// The entries recorded in a span of time, `from_ms <= t < to_ms`, in milliseconds since 1970.
    Span {
        /// First millisecond.
        from_ms: u64,
        /// First millisecond after it; `u64::MAX` for no end.
        to_ms: u64,
    },
}

/// The scope as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `all`, `study` or `span`.
    pub kind: &'static str,
    /// First moment of a span.
    pub from: Option<String>,
    /// First moment after a span.
    pub to: Option<String>,
    /// The keyed hash of the study.
    pub study: Option<String>,
}

/// What pins a report: the log's size and the Merkle root over that many entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seal {
    /// Which log.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// RFC 6962 root over them, base64; none where entries are missing.
    pub root: Option<String>,
}

/// What a real verification of the store found; the caller runs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Integrity {
    /// Whether nothing was found.
    pub sound: bool,
    /// How many entries were verified.
    pub verified: u64,
    /// Every entry below this index hashes to what the head says.
    pub proved_below: u64,
    /// How many findings there are in all.
    pub findings_count: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable code.
    pub code: String,
    /// Index of the entry; none where no entry is meant.
    pub leaf_index: Option<u64>,
    /// The log that ended before a recovery in which it stands, by its file; none for the present one.
    pub log: Option<String>,
    /// Whether the cause may lie after that index.
    pub at_or_after: bool,
    /// One sentence for people.
    pub meaning: String,
}

/// How many objects came how far. An object counts where an entry in scope says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// Received in scope.
    pub received: u64,
    /// Structure scanned and identity read.
    pub ingested: u64,
    /// Held against the IOD.
    pub validated: u64,
    /// Output staged whole.
    pub deidentified: u64,
    /// Output visible and durable.
    pub delivered: u64,
    /// Standing: refused because of what they are.
    pub quarantined: u64,
    /// Standing: given up.
    pub failed: u64,
    /// Standing: no end yet.
    pub open: u64,
    /// Objects with an entry in scope that were received before it.
    pub carried_over: u64,
    /// Objects with an entry in scope.
    pub objects: u64,
}

/// What de-identification did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deidentification {
    /// Attributes by action over all objects: `removed`, `emptied`, `replaced`, `mapped`, `added`, `kept`.
    pub attributes: BTreeMap<&'static str, u64>,
    /// Actions by class of identifier.
    pub classes: Vec<ClassActions>,
    /// Receipt entries that found no room in their event, and are counted only.
    pub unlisted: u64,
    /// The profiles used.
    pub profiles: Vec<ProfileUse>,
}

/// A profile and how often it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileUse {
    /// Name, such as `basic`.
    pub profile: String,
    /// Edition of PS3.15.
    pub edition: String,
    /// SHA-256 of the profile with all its options and facts.
    pub digest: String,
    /// Objects.
    pub objects: u64,
    /// First use.
    pub first: String,
    /// Last use.
    pub last: String,
}

/// What stopped an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Index of the entry in the log.
    pub leaf_index: u64,
    /// When.
    pub recorded_at: String,
    /// The stream.
    pub stream: String,
    /// The keyed hash of the study, if it was known.
    pub study: Option<String>,
    /// Reason or code.
    pub code: String,
    /// The step that was due.
    pub step: String,
    /// A constant sentence, or how often it was tried.
    pub detail: String,
}

/// Incidents of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Incidents {
    /// How many in scope.
    pub total: u64,
    /// How many by reason or code.
    pub by_code: BTreeMap<String, u64>,
    /// The first [`ROWS_MAX`].
    pub rows: Vec<Incident>,
}

/// Breaches of IODs that were recorded and did not stop an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Warnings {
    /// How many in all.
    pub total: u64,
    /// Objects with at least one.
    pub objects: u64,
    /// How many by rule; an event lists its first 32 only.
    pub by_code: BTreeMap<String, u64>,
    /// What was odd on reading, by code.
    pub notes: BTreeMap<String, u64>,
}

/// Work that was taken up again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replays {
    /// Requests in scope.
    pub requested: u64,
    /// Requests for which the operator gave a reason.
    pub with_reason: u64,
    /// Requests by cause and first step.
    pub by_cause: BTreeMap<String, u64>,
    /// Runs that ended.
    pub completed: Vec<ReplayRun>,
}

/// A replay that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayRun {
    /// When.
    pub recorded_at: String,
    /// Streams taken up.
    pub streams: u64,
    /// Ended delivered.
    pub delivered: u64,
    /// Ended quarantined.
    pub quarantined: u64,
    /// Failed again.
    pub failed: u64,
}

/// What a person did, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Keyed hash of the person.
    pub actor: String,
    /// What: `history.queried study`, `report.exported`.
    pub action: String,
    /// How often.
    pub count: u64,
    /// First time.
    pub first: String,
    /// Last time.
    pub last: String,
}

/// A compliance report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: &'static str,
    /// Program and version that made it.
    pub generator: &'static str,
    /// What it is about.
    pub scope: Told,
    /// What pins it.
    pub seal: Seal,
    /// What verification found.
    pub integrity: Integrity,
    /// How far the log is sealed.
    pub sealing: Sealing,
    /// How many entries are in scope.
    pub entries: u64,
    /// When the first of them was recorded.
    pub first_recorded_at: Option<String>,
    /// When the last of them was recorded.
    pub last_recorded_at: Option<String>,
    /// How many events in scope, by full type.
    pub events: BTreeMap<String, u64>,
    /// How many objects came how far.
    pub funnel: Funnel,
    /// The whole log in blocks.
    pub chain: Vec<Block>,
    /// Studies in scope, by first entry.
    pub studies: Vec<Study>,
    /// Objects in scope, if they are few.
    pub objects: Vec<ObjectRow>,
    /// What de-identification did.
    pub deidentification: Deidentification,
    /// Breaches that did not stop an object.
    pub warnings: Warnings,
    /// What was refused.
    pub quarantine: Incidents,
    /// What was given up.
    pub failures: Incidents,
    /// What was taken up again.
    pub replays: Replays,
    /// What people did.
    pub accesses: Vec<Access>,
    /// HIPAA sections and the evidence for each.
    pub controls: Vec<Judged>,
    /// What this version cannot show.
    pub not_shown: Vec<&'static str>,
    /// Entries drawn by the seal, which anyone can draw again.
    pub sample: Sample,
}

/// What this version records nothing about. Absence in the report is no evidence of absence.
pub const NOT_SHOWN: &[&str] = &[
    "No disclosures of PHI are recorded by this version: originals stay with the site, and reading them outside this program is not seen.",
    "No log-ins are recorded: on one machine the operating system lets people in; actors are its users.",
    "Changes of the configuration are not recorded as such; a change of the profile shows as another profile digest.",
    "Reviews of activity by a person are not recorded yet; that a history or a report was read is.",
    "No text inside pixels is looked for: what may carry burned-in identifiers is quarantined, not judged.",
    "A log that was rewritten as a whole is found only with a checkpoint, an export or a seal that was kept elsewhere.",
    "What lies in the store is not read for this report: `medimg verify --objects` does that.",
];
