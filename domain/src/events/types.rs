//! The table of event types: every name of DESIGN §4, its version, and the struct that holds what it says. Types without a
//! struct are reserved: their names are taken, no release writes them yet.

use serde::Serialize;
use serde_json::value::RawValue;

use super::ReadError;
use super::kinds::{
    BackupMade, ConfigChanged, HistoryQueried, InstanceDeidentified, InstanceDelivered, InstanceIngested,
    InstanceQuarantined, InstanceValidated, LedgerHeartbeat, LedgerRecovered, LedgerVerified, ObjectAccessed,
    ObjectReceived, ProcessingFailed, ReplayCompleted, ReplayRequested, ReportExported, ReviewDecided, SourceForgotten,
    StudyCompleted, StudyReopened,
};
use super::words::Tag;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// The name without its version: `imaging.object.received`.
    pub name: &'static str,
    /// The newest version, from 1.
    pub version: u32,
    /// Name and version, as envelopes, headers and rules spell it: `imaging.object.received.v1`.
    pub full: &'static str,
    /// Whether the name is only reserved.
    pub reserved: bool,
}

macro_rules! event_types {
    ($($kind:ident = $name:literal v $version:literal),+ ; reserved $($reserved:literal),+ $(,)?) => {
        /// What an event says, by its type.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum EventData { $(#[doc = concat!("`", $name, ".v", $version, "`")] $kind($kind)),+ }

        impl EventData {
            /// Returns the row of the table.
            pub const fn event_type(&self) -> &'static EventType {
                match self { $(Self::$kind(_) => {
                    const ROW: EventType =
                        EventType { name: $name, version: $version, full: concat!($name, ".v", $version), reserved: false };
                    &ROW
                }),+ }
            }
        }

        $(impl From<$kind> for EventData {
            fn from(said: $kind) -> Self {
                Self::$kind(said)
            }
        })+

        /// Every type, those in use first, then the reserved ones.
        pub const TYPES: &[EventType] = &[
            $(EventType { name: $name, version: $version, full: concat!($name, ".v", $version), reserved: false },)+
            $(EventType { name: $reserved, version: 1, full: concat!($reserved, ".v1"), reserved: true },)+
        ];

        fn read_newest(name: &str, data: &RawValue) -> Option<Result<EventData, serde_json::Error>> {
            match name {
                $($name => Some(serde_json::from_str::<$kind>(data.get()).map(EventData::$kind)),)+
                _ => None,
            }
        }
    };
}

event_types! {
    ObjectReceived = "imaging.object.received" v 1,
    InstanceIngested = "imaging.instance.ingested" v 1,
    InstanceValidated = "imaging.instance.validated" v 1,
    InstanceQuarantined = "imaging.instance.quarantined" v 1,
    InstanceDeidentified = "imaging.instance.deidentified" v 1,
    InstanceDelivered = "imaging.instance.delivered" v 1,
    ProcessingFailed = "imaging.processing.failed" v 1,
    StudyCompleted = "imaging.study.completed" v 1,
    StudyReopened = "imaging.study.reopened" v 1,
    ReviewDecided = "imaging.review.decided" v 1,
    HistoryQueried = "imaging.history.queried" v 1,
    ObjectAccessed = "imaging.object.accessed" v 1,
    ReplayRequested = "imaging.replay.requested" v 1,
    ReplayCompleted = "imaging.replay.completed" v 1,
    ReportExported = "imaging.report.exported" v 1,
    LedgerVerified = "imaging.ledger.verified" v 1,
    LedgerHeartbeat = "imaging.ledger.heartbeat" v 1,
    LedgerRecovered = "imaging.ledger.recovered" v 1,
    SourceForgotten = "imaging.source.forgotten" v 1,
    BackupMade = "imaging.backup.made" v 1,
    ConfigChanged = "imaging.config.changed" v 1;
    reserved
    "imaging.download.granted",
    "imaging.link.revoked",
    "imaging.activity.examined",
    "imaging.attestation.made",
    "imaging.login.accepted",
    "imaging.login.refused",
}

impl EventData {
    /// Returns the tags that the event carries.
    pub fn tags(&self) -> &[Tag] {
        match self {
            Self::InstanceIngested(said) => &said.tags,
            Self::InstanceValidated(said) => &said.tags,
            Self::InstanceQuarantined(said) => &said.tags,
            Self::InstanceDeidentified(said) => &said.tags,
            Self::ReplayRequested(said) => &said.tags,
            Self::ReviewDecided(said) => &said.tags,
            Self::StudyCompleted(said) => &said.tags,
            Self::StudyReopened(said) => &said.tags,
            Self::HistoryQueried(said) => &said.tags,
            Self::ReportExported(said) => &said.tags,
            Self::ObjectAccessed(said) => &said.tags,
            Self::LedgerVerified(said) => &said.tags,
            Self::LedgerRecovered(said) => &said.tags,
            Self::SourceForgotten(said) => &said.tags,
            Self::BackupMade(said) => &said.tags,
            Self::ConfigChanged(said) => &said.tags,
            Self::ObjectReceived(_)
            | Self::InstanceDelivered(_)
            | Self::ProcessingFailed(_)
            | Self::ReplayCompleted(_)
            | Self::LedgerHeartbeat(_) => &[],
        }
    }
}

/// Reads what an event of a past version says and returns it in the present form.
type Upcast = fn(&RawValue) -> Result<EventData, serde_json::Error>;

/// Past versions: full type, and how it is read. A row stays for ever; its corpus file proves that it reads.
const PAST: &[(&str, Upcast)] = &[];

/// Whether `full` is a past version that still reads.
#[cfg(test)]
pub(super) fn is_past(full: &str) -> bool {
    PAST.iter().any(|(past, _)| *past == full)
}

/// Reads `data` of the type `full`, whatever version it is of.
pub(super) fn read_data(full: &str, data: &RawValue) -> Result<EventData, ReadError> {
    let (name, version) = split(full).ok_or(ReadError::UnknownType)?;
    let row = TYPES.iter().find(|row| row.name == name).ok_or(ReadError::UnknownType)?;
    if row.reserved {
        return Err(ReadError::Reserved { name: row.name });
    }
    if version > row.version {
        return Err(ReadError::NewerVersion { name: row.name, version });
    }
    let past = PAST.iter().find(|(past, _)| *past == full).map(|(_, upcast)| upcast(data));
    let newest = || if version == row.version { read_newest(name, data) } else { None };
    past.or_else(newest).ok_or(ReadError::UnknownType)?.map_err(|e| ReadError::json(&e))
}

/// Splits `imaging.object.received.v1` into name and version; the version has no leading zero.
fn split(full: &str) -> Option<(&str, u32)> {
    let (name, version) = full.rsplit_once(".v")?;
    let number = version.parse::<u32>().ok().filter(|n| *n > 0 && n.to_string() == version)?;
    Some((name, number))
}
