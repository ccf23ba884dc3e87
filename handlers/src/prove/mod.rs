//! Proofs for people who do not trust us: a zip that holds entries, their inclusion proofs, for a study the statement that
//! they are all, and scripts that check it with nothing of ours (issue 4).
//!
//! What goes in comes from the ledger, and must be what was published and signed: a bundle that would not check out is not made.

use std::fs::File;

use domain::events::{Digest, EventData, HistoryQueried, HistoryQuery, ReportFormat, ReportScope};
use domain::ids::{IndexHash, KeyedHash};
use ledger::note::Note;
use ledger::{Origin, SqliteSeal};

use crate::acting::{self, Person};
use crate::ask;
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::reporting;
use crate::segments;
use crate::store::Store;
use crate::surroundings::Surroundings;
use published::Published;
pub use select::Asked;
use select::Wanted;
use write::Contents;
use zipped::Zipped;

mod published;
mod readme;
mod select;
#[cfg(test)]
mod tests;
mod tree;
mod write;
mod zipped;

/// Entries that one bundle proves; a study has fewer.
const ENTRIES_MAX: usize = 5_000_000;

/// What a bundle is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One entry.
    Entry,
    /// All entries of a stream.
    Stream,
    /// All entries about a study, with the streams in which they stand.
    Study,
}

impl Kind {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Stream => "stream",
            Self::Study => "study",
        }
    }
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be proved.
    pub asked: Asked,
    /// The log, by the number of the recovery that began it; else the newest that holds it.
    pub log: Option<u32>,
    /// Whether the bundle of a study holds the whole log.
    pub with_log: bool,
    /// An earlier checkpoint of the present log to prove against; else the newest.
    pub checkpoint: Option<Note>,
    /// The size of the present log when this was asked: its newest checkpoint must cover it.
    pub size_min: u64,
}

/// A bundle that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it is about.
    pub kind: Kind,
    /// The log.
    pub origin: String,
    /// The size that the checkpoint names.
    pub size: u64,
    /// The root that it names.
    pub root: String,
    /// The key that signed it.
    pub vkey: String,
    /// How many entries are proved.
    pub entries: u64,
    /// How many of them carry a subject of the study.
    pub carrying: u64,
    /// In how many streams they stand, for a study.
    pub streams: u64,
    /// Other logs of the store that hold more of it.
    pub elsewhere: Vec<String>,
    /// SHA-256 of the zip.
    pub sha256: Digest,
    /// Its bytes.
    pub size_bytes: u64,
    about: Option<IndexHash>,
}

/// Makes a bundle in an empty file that may be read and written, and makes it durable. It is to be recorded with [`record`]
/// before anyone may see it.
///
/// # Errors
/// `entry_unknown`, `stream_unknown`, `study_unknown`, `study_ambiguous` (that somebody asked is recorded then);
/// `not_sealed`, `proof_too_large`; `tiles_damaged` when ledger and published log do not agree; what disk and ledger say.
pub async fn prove(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    request: &Request,
    file: File,
) -> Result<Made> {
    match select::wanted(store, &request.asked, request.log).await {
        Ok(wanted) => make(store, request, wanted, file),
        Err(error) => {
            if !error.stops_the_run() {
                asked_in_vain(store, surroundings, person, &request.asked).await?;
            }
            Err(error)
        }
    }
}

fn make(store: &Store, request: &Request, wanted: Wanted, file: File) -> Result<Made> {
    let Wanted { place, kind, subjects, leaves, elsewhere } = wanted;
    let origin = place.origin(store);
    let earlier = request.checkpoint.clone();
    if earlier.is_some() && !place.is_present() {
        return Err(checkpoint_unknown());
    }
    let size_min = if place.is_present() && earlier.is_none() { request.size_min } else { 0 };
    let published = Published::open(store.root(), origin, earlier)?.ok_or_else(not_sealed)?;
    if published.checkpoint.size < size_min {
        return Err(not_sealed());
    }
    let about = match kind {
        Kind::Study => subjects.last().copied(),
        _ => about(store, place, &leaves)?,
    };
    let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
    let found = match kind {
        Kind::Study => tree::find(&published, &subjects)?,
        _ => tree::Found { carrying: Vec::new(), leaves: sealed(leaves, &published, kind, request)?, streams: 1 },
    };
    if found.leaves.is_empty() {
        return Err(not_sealed());
    }
    let contents = Contents {
        store,
        place,
        number: segments::number(origin),
        published: &published,
        kind,
        subjects: &subjects,
        elsewhere: elsewhere.iter().map(Origin::as_str).collect(),
        carrying: &found.carrying,
        leaves: &found.leaves,
        streams: found.streams,
        with_log: request.with_log && kind == Kind::Study,
    };
    let written = contents.write(Zipped::begin(file)?)?;
    Ok(Made {
        kind,
        origin: origin.to_string(),
        size: published.checkpoint.size,
        root: published.checkpoint.root.base64(),
        vkey: published.key.to_string(),
        entries: found.leaves.len() as u64,
        carrying: found.carrying.len() as u64,
        streams: found.streams,
        elsewhere: elsewhere.iter().map(ToString::to_string).collect(),
        sha256: Digest(written.sha256),
        size_bytes: written.size_bytes,
        about: about.map(|hash| IndexHash { version: hash.version, hash: KeyedHash(hash.hash) }),
    })
}

/// Returns the leaves that the checkpoint covers. The newest one must cover all; against an earlier one a stream is as it was.
fn sealed(leaves: Vec<u64>, published: &Published, kind: Kind, request: &Request) -> Result<Vec<u64>> {
    let count = leaves.len();
    let covered: Vec<u64> = leaves.into_iter().filter(|&leaf| leaf < published.checkpoint.size).collect();
    let may_be_fewer = kind == Kind::Stream && request.checkpoint.is_some();
    if covered.len() == count || may_be_fewer { Ok(covered) } else { Err(not_sealed()) }
}

/// Returns the study that an entry or a stream is about.
fn about(store: &Store, place: select::Place, leaves: &[u64]) -> Result<Option<ledger::IndexHash>> {
    let mut about = None;
    // A stream has at most 1,024 entries.
    for &leaf in leaves {
        let found = place.entries(store, leaf..leaf + 1)?;
        about = about.or(found.first().and_then(|row| row.entry.header.subject));
    }
    Ok(about)
}

fn not_sealed() -> Error {
    Error::broken("not_sealed", "prove entries: no published checkpoint covers them yet")
}

/// Returns the checkpoint of the present log that was published at exactly this size.
///
/// # Errors
/// `checkpoint_unknown`, and what the ledger says.
pub fn checkpoint_of(store: &Store, size: u64) -> Result<Note> {
    let failed = |error| ledger_error("look up a checkpoint", error);
    let kept = SqliteSeal::open(store.root().join("ledger.sqlite")).and_then(|seal| seal.checkpoint_of(size));
    Note::parse(kept.map_err(failed)?.ok_or_else(checkpoint_unknown)?.as_bytes())
        .map_err(|_| Error::damaged("ledger_damaged", "read a checkpoint that is kept: it is none", None))
}

fn checkpoint_unknown() -> Error {
    Error::broken("checkpoint_unknown", "look up a checkpoint: the log has none of this size")
}

/// Records that a person was given a bundle. One that cannot be recorded is not given.
///
/// # Errors
/// What the ledger says.
pub async fn record(store: &Store, surroundings: &dyn Surroundings, person: Person, made: &Made) -> Result<()> {
    let scope = match made.kind {
        Kind::Entry => ReportScope::Entry,
        Kind::Stream => ReportScope::Stream,
        Kind::Study => ReportScope::Study,
    };
    let report = reporting::Made {
        format: ReportFormat::Proof,
        sha256: made.sha256,
        size_bytes: made.size_bytes,
        as_of_size: made.size,
    };
    reporting::record(store, surroundings, person, &report, (scope, made.about)).await
}

/// Records that somebody asked for a proof of what the ledger does not hold.
async fn asked_in_vain(store: &Store, surroundings: &dyn Surroundings, person: Person, asked: &Asked) -> Result<()> {
    let query = match asked {
        Asked::Study(_) => HistoryQuery::Study,
        Asked::Stream(_) | Asked::Entry(..) => HistoryQuery::Object,
        Asked::Leaf(_) => HistoryQuery::Selection,
    };
    let as_of_size = ask::head_size(store).await?;
    let did = EventData::from(HistoryQueried { query, matched: 0, as_of_size, tags: vec![person.tag()] });
    acting::record(store.ledger.as_ref(), &store.keys, surroundings, person, None, did).await
}

/// Returns a number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
