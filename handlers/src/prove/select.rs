//! What somebody wants proved: an entry, a stream, or a study, in one of the logs of the store.

use std::ops::Range;

use domain::Phi;
use ledger::{IndexHash, Log as _, LogEntry, Origin, StreamKey, Tag, TagKind};

use super::Kind;
use crate::ask;
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::segments;
use crate::store::Store;

/// What is to be proved.
#[derive(Clone, Debug)]
pub enum Asked {
    /// The entry at a leaf index, as history prints it: counted through all logs of the store.
    Leaf(u64),
    /// One entry of a stream, by its number in the newest log that holds it.
    Entry(StreamKey, u64),
    /// All entries of a stream, in the newest log that holds it.
    Stream(StreamKey),
    /// A study: its original UID, its new UID, or the short name of the new one.
    Study(Phi<String>),
}

/// A log of the store: the present one, or the one that ended so-many-th (from 0) before a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(Option<usize>);

impl Place {
    /// Returns the logs of a store, newest first.
    fn all(store: &Store) -> impl Iterator<Item = Self> {
        let past = (0..store.ledger.past_count()).rev();
        std::iter::once(Self(None)).chain(past.map(|number| Self(Some(number))))
    }

    /// Whether it is the log that grows.
    pub(super) const fn is_present(self) -> bool {
        self.0.is_none()
    }

    /// Returns the origin of its entries.
    pub(super) fn origin(self, store: &Store) -> &Origin {
        use ledger::Ledger as _;
        let past = self.0.and_then(|number| store.ledger.past_origin(number));
        past.unwrap_or_else(|| store.ledger.origin())
    }

    fn leaves_of(self, store: &Store, stream: StreamKey) -> Result<Vec<u64>> {
        let found = match self.0 {
            Some(number) => store.ledger.past_leaves_of(number, stream),
            None => store.ledger.leaves_of(stream),
        };
        found.map_err(|error| ledger_error("look up the entries of a stream", error))
    }

    async fn holds(self, store: &Store, subjects: &[IndexHash]) -> Result<bool> {
        for hash in subjects {
            let tag = Tag { kind: TagKind::Study, hash: *hash };
            let found = match self.0 {
                Some(number) => store.ledger.past_tagged(number, &tag, 0, 1),
                None => store.ledger.tagged(&tag, 0, 1).await,
            };
            if !found.map_err(|error| ledger_error("look up entries by tag", error))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns entries by leaf index, checked against their own hashes; the range is one reading.
    pub(super) fn entries(self, store: &Store, rows: Range<u64>) -> Result<Vec<LogEntry>> {
        let limit = usize::try_from(rows.end.saturating_sub(rows.start)).unwrap_or(usize::MAX);
        let found = match self.0 {
            Some(number) => store.ledger.past_entries(number, rows.start, limit),
            None => store.ledger.present_entries(rows.start, limit),
        };
        found.map_err(|error| ledger_error("read the ledger", error))
    }
}

/// What is to be proved, found.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// The subjects of the study; of an entry or a stream none.
    pub(super) subjects: Vec<IndexHash>,
    /// The leaves of the entry or the stream, rising; those of a study are found in the published log.
    pub(super) leaves: Vec<u64>,
    /// Other logs of the store that hold more of it.
    pub(super) elsewhere: Vec<Origin>,
}

/// Finds what is asked for.
///
/// # Errors
/// `entry_unknown`, `stream_unknown`, `study_unknown`, `study_ambiguous`, and what the ledger says.
pub(super) async fn wanted(store: &Store, asked: &Asked, log: Option<u32>) -> Result<Wanted> {
    match asked {
        Asked::Leaf(position) => {
            let (place, leaf) = place_of(store, *position).await?;
            Ok(Wanted { place, kind: Kind::Entry, subjects: Vec::new(), leaves: vec![leaf], elsewhere: Vec::new() })
        }
        Asked::Entry(stream, seq) => {
            let mut wanted = of_stream(store, *stream, log)?;
            let at = usize::try_from(*seq).ok().and_then(|at| wanted.leaves.get(at).copied());
            (wanted.kind, wanted.leaves) = (Kind::Entry, vec![at.ok_or_else(entry_unknown)?]);
            Ok(wanted)
        }
        Asked::Stream(stream) => of_stream(store, *stream, log),
        Asked::Study(name) => {
            let subjects: Vec<_> = ask::subjects_of_study(store, name).await?.into_iter().collect();
            let mut places = Vec::new();
            for place in Place::all(store) {
                if place.holds(store, &subjects).await? {
                    places.push(place);
                }
            }
            let unknown = || Error::broken("study_unknown", "look up a study: the log has no entry about it");
            let place = chosen(store, places.iter().copied(), log).ok_or_else(unknown)?;
            let elsewhere = elsewhere(store, &places, place);
            Ok(Wanted { place, kind: Kind::Study, subjects, leaves: Vec::new(), elsewhere })
        }
    }
}

/// Returns the log and the leaf index in it that a position in all logs stands for.
async fn place_of(store: &Store, position: u64) -> Result<(Place, u64)> {
    let mut left = position;
    for number in 0..store.ledger.past_count() {
        let size = store.ledger.past_size(number).map_err(|error| ledger_error("read a log that ended", error))?;
        if left < size {
            return Ok((Place(Some(number)), left));
        }
        left -= size;
    }
    if left < ask::head_size(store).await? { Ok((Place(None), left)) } else { Err(entry_unknown()) }
}

fn of_stream(store: &Store, stream: StreamKey, log: Option<u32>) -> Result<Wanted> {
    let mut found = Vec::new();
    for place in Place::all(store) {
        let mut leaves = place.leaves_of(store, stream)?;
        // A log that goes on from itself has them in this order; one that was tampered with is for the proofs to refuse.
        leaves.sort_unstable();
        if !leaves.is_empty() {
            found.push((place, leaves));
        }
    }
    let unknown = || Error::broken("stream_unknown", "look up a stream: the log has no entry of it");
    let places: Vec<_> = found.iter().map(|(place, _)| *place).collect();
    let place = chosen(store, places.iter().copied(), log).ok_or_else(unknown)?;
    let leaves = found.into_iter().find(|(other, _)| *other == place).map(|(_, leaves)| leaves).unwrap_or_default();
    let elsewhere = elsewhere(store, &places, place);
    Ok(Wanted { place, kind: Kind::Stream, subjects: Vec::new(), leaves, elsewhere })
}

/// Returns the log with this number, else the newest, of those that hold what is asked for.
fn chosen(store: &Store, mut places: impl Iterator<Item = Place>, log: Option<u32>) -> Option<Place> {
    places.find(|place| log.is_none_or(|log| segments::number(place.origin(store)) == log))
}

fn elsewhere(store: &Store, places: &[Place], chosen: Place) -> Vec<Origin> {
    places.iter().filter(|place| **place != chosen).map(|place| place.origin(store).clone()).collect()
}

fn entry_unknown() -> Error {
    Error::broken("entry_unknown", "look up an entry: the ledger has none of that number")
}
