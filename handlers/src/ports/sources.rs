//! `SourceTable`: where each object lies, by stream. A port because the simulation must crash between and inside its calls;
//! the store's implementation is `sources::Sources`.

use domain::ids::{Keys, StreamId};

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

    /// Returns the streams that are not known to have ended, in the order in which they were received; at most `limit`.
    fn open_streams(&self, limit: usize) -> Result<Vec<StreamId>>;

    /// Notes whether streams ended, so that the next start need not look at them. A hint, never truth: the ledger decides.
    fn set_ended(&self, streams: &[StreamId], ended: bool) -> Result<()>;
}

impl SourceTable for Sources {
    fn put(&self, rows: &[SourceRow]) -> Result<()> {
        Self::put(self, rows)
    }

    fn get(&self, stream: StreamId, keys: &Keys) -> Result<Option<SourceRow>> {
        Self::get(self, stream, keys)
    }

    fn open_streams(&self, limit: usize) -> Result<Vec<StreamId>> {
        Self::open_streams(self, limit)
    }

    fn set_ended(&self, streams: &[StreamId], ended: bool) -> Result<()> {
        Self::set_ended(self, streams, ended)
    }
}
