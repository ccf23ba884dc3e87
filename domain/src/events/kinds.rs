//! What each kind of event says: one struct a type, of the words of `words.rs` only. A field added, dropped or changed in
//! meaning is a new version of the type; the old struct stays in `upcast.rs` and its corpus file must still read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words::{
    Code, Detail, Digest, Modality, PackedReceipt, Place, ProcessedKey, RegisteredUid, RunId, StageToken, Tag,
};
use crate::Reason;
use crate::ids::StreamId;
use crate::workflow::{FailureKind, Step};

/// How many warnings an event carries at most; the others are in `warnings_total` only.
pub const WARNINGS_MAX: usize = 32;

/// A closed list of words, written in snake_case.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant),+ }
    };
}

words! {
    /// Which way an object came in.
    Intake {
        /// Named on the command line.
        Process,
        /// Seen in a watched folder.
        Watch,
        /// Sent over HTTP.
        Http,
        /// Created in the raw bucket.
        S3,
    }
}

/// `imaging.object.received.v1`: an object version exists; nothing of it was parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectReceived {
    /// SHA-256 of the object as it lies at its source.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Which way it came.
    pub intake: Intake,
    /// Whether the store holds a copy of the original.
    pub raw_copied: bool,
}

/// `imaging.instance.ingested.v1`: the structure was scanned and the identity read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceIngested {
    /// Transfer Syntax UID, if DICOM registered it.
    pub transfer_syntax: RegisteredUid,
    /// SOP Class UID, if DICOM registered it.
    pub sop_class: RegisteredUid,
    /// Modality (0008,0060), if it is a defined term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<Modality>,
    /// How many elements and items the data set has, at all levels.
    pub elements: u64,
    /// What was odd without being a reason to refuse; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Code>,
    /// Study, patient, accession number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// One breach of the object's IOD that does not quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Which rule was broken.
    pub code: Code,
    /// The attribute; none if it is about the object as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Place>,
}

/// `imaging.instance.validated.v1`: complete, identified, and held against its IOD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceValidated {
    /// The IOD it was held against, as the data table names it (`ct-image`); `unknown` if the table has none.
    pub iod: Code,
    /// The first [`WARNINGS_MAX`] breaches in document order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// How many there are.
    pub warnings_total: u64,
    /// Tags, where validation learned one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.instance.quarantined.v1`: refused because of what it is; the original stays where it is, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceQuarantined {
    /// The reason class.
    pub reason: Reason,
    /// The step that refused it.
    pub step: Step,
    /// A constant sentence that says which condition did not hold.
    pub detail: Detail,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// The profile in force, where the refusal depends on it: always for `pixels_not_judged`, which a run under another
    /// profile may take up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_digest: Option<Digest>,
    /// Tags, where the refusing step learned one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.instance.deidentified.v1`: the output is staged whole; from here on its key and digest are fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceDeidentified {
    /// Name of the profile, such as `basic`.
    pub profile: Code,
    /// SHA-256 of the profile with all its options.
    pub profile_digest: Digest,
    /// Edition of PS3.15 that its rows are of, such as `2026c`.
    pub edition: Code,
    /// The final key.
    pub key: ProcessedKey,
    /// SHA-256 of the output.
    pub sha256: Digest,
    /// Size of the output in bytes.
    pub size_bytes: u64,
    /// Transfer Syntax UID of the output.
    pub transfer_syntax: RegisteredUid,
    /// Where the output waits; survives the process.
    pub stage: StageToken,
    /// What was done to which attribute by which rule.
    pub receipt: PackedReceipt,
    /// How many attributes, by action letter.
    pub counts: Counts,
    /// The new study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// How many attributes, by action letter: `{"X":12,"Z":3}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<char, u32>")]
pub struct Counts(BTreeMap<char, u32>);

impl Counts {
    /// Returns the counts of a receipt; entries that are not ASCII letters are no actions and are refused.
    pub fn of(counts: &[(char, u32)]) -> Option<Self> {
        counts.iter().copied().collect::<BTreeMap<_, _>>().try_into().ok()
    }

    /// Returns the counts by letter.
    pub fn by_letter(&self) -> impl Iterator<Item = (char, u32)> {
        self.0.iter().map(|(letter, count)| (*letter, *count))
    }
}

impl TryFrom<BTreeMap<char, u32>> for Counts {
    type Error = &'static str;

    fn try_from(counts: BTreeMap<char, u32>) -> Result<Self, Self::Error> {
        if counts.keys().all(char::is_ascii_alphabetic) {
            Ok(Self(counts))
        } else {
            Err("an action is one ASCII letter")
        }
    }
}

/// `imaging.instance.delivered.v1`: the key holds these bytes, visible and durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceDelivered {
    /// The key that `instance.deidentified` named.
    pub key: ProcessedKey,
    /// The digest that `instance.deidentified` named.
    pub sha256: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Whether the same bytes stood there already.
    pub already_present: bool,
}

/// `imaging.processing.failed.v1`: retries are exhausted, or something is broken; a person is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessingFailed {
    /// The step that was due: the one that failed, or whose rejection could not be recorded.
    pub step: Step,
    /// `transient` or `broken`.
    pub kind: FailureKind,
    /// Code of the error.
    pub code: Code,
    /// How often the step was tried.
    pub attempts: u32,
}

words! {
    /// What a replay is about.
    ReplayScope {
        /// The object of this stream: work on it begins again.
        Object,
        /// A study; said in the stream of the run.
        Study,
        /// Objects chosen in another way; said in the stream of the run.
        Selection,
    }
}

words! {
    /// Why an ended stream is taken up again.
    ReplayCause {
        /// The operator takes on the pixels: the object was quarantined as `pixels_not_judged` under another profile.
        PixelsAccepted,
        /// It ended in `processing.failed`, and what failed was put right.
        FailureRepaired,
        /// A person asked for it: it ended delivered, or quarantined for a cause that may be gone.
        OperatorAsked,
    }
}

/// `imaging.replay.requested.v1`: in an object's stream, work begins again at a step under a new run. With another scope it
/// is the first entry in the stream of that run, and says what a person asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequested {
    /// What it is about.
    pub scope: ReplayScope,
    /// Why.
    pub cause: ReplayCause,
    /// The first step that is done again; of several streams, the earliest.
    pub from_step: Step,
    /// The id of the run: `pixels-<32 hex>` for `pixels_accepted`, else the UUIDv7 of the replay.
    pub run: RunId,
    /// The profile under which it runs, where that is the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_digest: Option<Digest>,
    /// Whether the operator gave a reason; the text stays with the operator.
    pub reason_given: bool,
    /// How many streams are to be taken up again; of a run only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
    /// SHA-256 of salt and text of the reason, which is kept beside the sources; of a run only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note_digest: Option<Digest>,
    /// Who asked, and for what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.replay.completed.v1`: every stream of a replay ended; said in the stream of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayCompleted {
    /// The id of the run.
    pub run: RunId,
    /// How many streams were taken up again.
    pub streams: u64,
    /// How many of them ended delivered.
    pub delivered: u64,
    /// How many ended quarantined.
    pub quarantined: u64,
    /// How many failed again.
    pub failed: u64,
    /// How many of those delivered stood under their keys already, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub already_done: Option<u64>,
    /// How many steps were done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// How many streams were asked for and left as they are, by code in alphabetical order; at most [`SKIPPED_MAX`] codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// How many codes of skipped streams an event names at most.
pub const SKIPPED_MAX: usize = 16;

/// Streams that a replay left as they are, for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Why, such as `source_gone`.
    pub code: Code,
    /// How many.
    pub count: u64,
}

words! {
    /// What a reviewer decided.
    ReviewVerdict {
        /// May go on.
        Accepted,
        /// Stays in quarantine.
        Refused,
    }
}

/// `imaging.review.decided.v1`: a person looked at a quarantined object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewDecided {
    /// What was decided.
    pub verdict: ReviewVerdict,
    /// The quarantine it is about.
    pub about: Reason,
    /// Who decided, and on which study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.study.completed.v1`: no object came for the configured time. DICOM knows no last image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyCompleted {
    /// How many objects of the study have a stream.
    pub instances: u64,
    /// How many of them were delivered.
    pub delivered: u64,
    /// How many were quarantined.
    pub quarantined: u64,
    /// How many failed; left out where none did.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub failed: u64,
    /// How long nothing came, in seconds.
    pub idle_s: u64,
    /// The study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// A count that is left out where it is 0.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_none_of_them(count: &u64) -> bool {
    *count == 0
}

/// `imaging.study.reopened.v1`: an object came after the study was completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyReopened {
    /// How many objects the study had when it was completed.
    pub instances_before: u64,
    /// The study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

words! {
    /// What was asked of the history.
    HistoryQuery {
        /// One study.
        Study,
        /// One patient.
        Patient,
        /// One accession number.
        Accession,
        /// One object.
        Object,
        /// What one person or step did.
        Actor,
        /// Chosen by type, outcome, reason or time.
        Selection,
        /// Everything.
        All,
    }
}

/// `imaging.history.queried.v1`: somebody read the history; reading is recorded too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQueried {
    /// What was asked for.
    pub query: HistoryQuery,
    /// How many entries were shown.
    pub matched: u64,
    /// The size of the log that the answer is of.
    pub as_of_size: u64,
    /// Who asked, and about whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

words! {
    /// The form of a report.
    ReportFormat {
        /// One page for people.
        Html,
        /// One JSON object.
        Json,
        /// One line an event, for spreadsheets.
        Csv,
        /// Entries with their inclusion proofs, as a zip that checks itself.
        Proof,
    }
}

words! {
    /// What a report is about.
    ReportScope {
        /// The whole log.
        All,
        /// One study.
        Study,
        /// A span of time.
        Span,
        /// One stream.
        Stream,
        /// One entry.
        Entry,
    }
}

/// `imaging.report.exported.v1`: somebody made a report or a proof. It is recorded before the file may be seen under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportExported {
    /// Its form.
    pub format: ReportFormat,
    /// What it is about.
    pub scope: ReportScope,
    /// The size of the log that it is of.
    pub as_of_size: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// Who made it, and about which study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

words! {
    /// What values of a raw object were read for.
    AccessPurpose {
        /// To compare it with what was delivered.
        Diff,
    }
}

/// `imaging.object.accessed.v1`: values of a raw object were shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectAccessed {
    /// What for.
    pub purpose: AccessPurpose,
    /// The stream of the object, if the ledger knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<StreamId>,
    /// Who saw them, and of which study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

words! {
    /// How a verification ended.
    VerificationOutcome {
        /// Nothing was found.
        Clean,
        /// Something was found.
        Findings,
    }
}

/// `imaging.ledger.verified.v1`: somebody verified the ledger and had it recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerVerified {
    /// How many entries were verified.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Digest,
    /// How many findings.
    pub findings: u64,
    /// How it ended.
    pub outcome: VerificationOutcome,
    /// Who verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.ledger.heartbeat.v1`: nothing else happened for a while; the log lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerHeartbeat {
    /// Size of the newest checkpoint.
    pub size: u64,
    /// Its Merkle root.
    pub root: Digest,
}

/// `imaging.ledger.recovered.v1`: an older store that was restored goes on under a new origin; the first entry of that log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRecovered {
    /// The largest size of the log before that anyone here has seen; entries from `restored_size` up to it are lost.
    pub held_size: u64,
    /// The Merkle root that was seen with it.
    pub held_root: Digest,
    /// How many entries the log before has in the store.
    pub restored_size: u64,
    /// The Merkle root over them.
    pub restored_root: Digest,
    /// SHA-256 of a salt and the reason that was given; the text stays with the operator.
    pub reason: Digest,
    /// Who recovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.source.forgotten.v1`: where the objects of a study lie is about to be erased, and the copies of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceForgotten {
    /// How many places.
    pub sources: u64,
    /// How many copies of originals.
    pub copies: u64,
    /// How many notes that people wrote.
    pub notes: u64,
    /// How many of the objects have no end; nothing takes them up again.
    pub unfinished: u64,
    /// SHA-256 of a salt and the reason that was given; the text stays with the operator.
    pub reason: Digest,
    /// Who forgets, and which study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `imaging.backup.made.v1`: a whole copy of the store stands somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupMade {
    /// How many entries the copied log has.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Digest,
    /// How many parts the copy has.
    pub parts: u64,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// How many objects the log names that the store does not hold as they were written.
    pub missing: u64,
    /// SHA-256 of the manifest, which names the SHA-256 of every part.
    pub manifest: Digest,
    /// Whether the keys were written, wrapped, beside it.
    pub keys_wrapped: bool,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

words! {
    /// Which setting of a store was changed.
    ChangedSetting {
        /// The key that signs checkpoints.
        SigningKey,
    }
}

/// `imaging.config.changed.v1`: somebody changed what the store works with; the present form tells of the signing key alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigChanged {
    /// What was changed.
    pub setting: ChangedSetting,
    /// Id of the key before (c2sp.org/signed-note), as a number.
    pub key_before: u32,
    /// Id of the key from now on.
    pub key_after: u32,
    /// Size of the checkpoint that both keys signed.
    pub size: u64,
    /// Its Merkle root.
    pub root: Digest,
    /// Who changed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}
