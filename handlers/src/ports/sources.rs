//! `SourceTable`: where each object lies, by stream. A port because the simulation must crash between and inside its calls;
//! the store's implementation is `sources::Sources`.

use domain::Phi;
use domain::events::Digest;
use domain::ids::{Keys, StreamId};
use uuid::Uuid;

use crate::error::Result;
use crate::sources::{SourceRow, Sources};

/// The table of sources as the runner uses it.
///
/// Every implementation promises: a call is kept whole or not at all; what a call that answered has written survives a crash;
/// each call may be repeated after a lost answer. A failure that is no damage is transient and stops the run.
pub trait SourceTable: Send + Sync {
    /// Remembers where objects lie, in this order. Rows that are known already stay as they are.
    fn put(&self, rows: &[SourceRow]) -> Result<()>;

    /// Returns where the object of `stream` lies.
    ///
    /// # Errors
    /// `source_mismatch` when the row does not hash to its stream: the table was altered.
    fn get(&self, stream: StreamId, keys: &Keys) -> Result<Option<SourceRow>>;

    /// Whether the object of `stream` was forgotten: nothing is remembered of it again.
    fn is_forgotten(&self, stream: StreamId) -> Result<bool>;

    /// Returns the streams that are not known to have ended, in the order in which they were received; at most `limit`.
    fn open_streams(&self, limit: usize) -> Result<Vec<StreamId>>;

    /// Notes whether streams ended, so that the next start need not look at them. A hint, never truth: the ledger decides.
    fn set_ended(&self, streams: &[StreamId], ended: bool) -> Result<()>;

    /// Returns the place of a stream in the order of receipt; none if its row is gone.
    fn order(&self, stream: StreamId) -> Result<Option<i64>>;

    /// Notes that a replay began, so that the same request goes on with it. A hint, never truth: the ledger decides.
    fn begin_replay(&self, run: Uuid, asked: Digest) -> Result<()>;

    /// Returns the replays of this request that have not ended, newest first; at most 16.
    fn open_replays(&self, asked: Digest) -> Result<Vec<Uuid>>;

    /// Notes that a replay ended.
    fn end_replay(&self, run: Uuid) -> Result<()>;

    /// Keeps the note of a person under an id and returns the digest for the event.
    fn keep_note(&self, id: Uuid, text: &Phi<String>, salt: [u8; 16]) -> Result<Digest>;

    /// Returns the note kept under an id; none if there is none or it was erased.
    fn note(&self, id: Uuid) -> Result<Option<Phi<String>>>;

    /// Erases notes with their salts and returns how many there were.
    fn erase_notes(&self, ids: &[Uuid]) -> Result<u64>;
}

impl SourceTable for Sources {
    fn put(&self, rows: &[SourceRow]) -> Result<()> {
        Self::put(self, rows)
    }

    fn get(&self, stream: StreamId, keys: &Keys) -> Result<Option<SourceRow>> {
        Self::get(self, stream, keys)
    }

    fn is_forgotten(&self, stream: StreamId) -> Result<bool> {
        Self::is_forgotten(self, stream)
    }

    fn open_streams(&self, limit: usize) -> Result<Vec<StreamId>> {
        Self::open_streams(self, limit)
    }

    fn set_ended(&self, streams: &[StreamId], ended: bool) -> Result<()> {
        Self::set_ended(self, streams, ended)
    }

    fn order(&self, stream: StreamId) -> Result<Option<i64>> {
        Self::order(self, stream)
    }

    fn begin_replay(&self, run: Uuid, asked: Digest) -> Result<()> {
        Self::begin_replay(self, run, asked)
    }

    fn open_replays(&self, asked: Digest) -> Result<Vec<Uuid>> {
        Self::open_replays(self, asked)
    }

    fn end_replay(&self, run: Uuid) -> Result<()> {
        Self::end_replay(self, run)
    }

    fn keep_note(&self, id: Uuid, text: &Phi<String>, salt: [u8; 16]) -> Result<Digest> {
        Self::keep_note(self, id, text, salt)
    }

    fn note(&self, id: Uuid) -> Result<Option<Phi<String>>> {
        Self::note(self, id)
    }

    fn erase_notes(&self, ids: &[Uuid]) -> Result<u64> {
        Self::erase_notes(self, ids)
    }
}
