//! The leaf-index consumer: one integer cursor that follows the head of the log in bounded pages (DESIGN §5). What is made
//! of the entries is a sink's; views are one, the relay to the bus and exports will be others.
//!
//! The cursor is the index of the next leaf; beside it stands the hash of the leaf before, so that a log which is not the
//! one that was followed (an older copy, another store) is told at once and not continued.

use async_trait::async_trait;
use ledger::{LeafHash, Log, LogEntry, READ_ENTRIES_MAX};

use crate::commit::ledger_error;
use crate::error::{Error, Result};

/// How often another consumer of the same sink may be ahead of us before we give up.
const MOVED_MAX: u32 = 64;

/// How far a sink has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Index of the next leaf, from 0: how many entries were taken in.
    pub next: u64,
    /// Hash of the leaf before; none at the beginning.
    pub last: Option<LeafHash>,
}

impl Cursor {
    /// Returns the cursor behind a page; the same one behind an empty page.
    pub fn after(self, page: &[LogEntry]) -> Self {
        page.last().map_or(self, |row| Self { next: row.leaf_index + 1, last: Some(row.entry.leaf) })
    }
}

/// What came of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// Effect and cursor stand, both.
    Committed,
    /// The cursor was not where the caller took it to be: another one is at work, or an answer was lost. Nothing was changed.
    Moved,
}

/// Where entries go.
///
/// Every implementation promises:
/// - **Effect and cursor together**: after `take` returned `Committed` both are durable; after `Moved` neither changed;
///   after an error both changed or neither did, and the next `cursor` says which.
/// - **Exactly once**: `take` with another cursor than the one that stands is `Moved`. (A sink that cannot join its effect
///   with its cursor, as a bus cannot, moves the cursor last, promises at least once, and says so.)
#[async_trait]
pub trait Sink: Send + Sync {
    /// Returns the sink's name, for errors and logs.
    fn name(&self) -> &'static str;

    /// Returns how far the sink has come.
    async fn cursor(&self) -> Result<Cursor>;

    /// Takes in the entries from leaf index `from.next` on: dense, in order, at least one.
    async fn take(&self, from: Cursor, page: &[LogEntry]) -> Result<Took>;
}

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Where the cursor stands.
    pub next: u64,
    /// The size of the log when the call began.
    pub size: u64,
}

impl Followed {
    /// Returns how many entries the sink still lacks.
    pub const fn behind(&self) -> u64 {
        self.size.saturating_sub(self.next)
    }
}

/// Hands the entries that the sink lacks to it, up to the head as it is now and at most `entries_max`.
///
/// # Errors
/// `consumer_ahead` when the sink has taken in more than the log holds, `consumer_other_log` when it followed another log:
/// what it made must be built anew. `ledger_gap` when the log lacks entries that its head counts. What log and sink say.
pub async fn follow(log: &dyn Log, sink: &dyn Sink, entries_max: u64) -> Result<Followed> {
    let head = log.head().await.map_err(|error| ledger_error("read the head of the ledger", error))?;
    let mut cursor = checked(log, sink, head.size).await?;
    let until = head.size.min(cursor.next.saturating_add(entries_max));
    let mut moved = 0;
    while cursor.next < until {
        let page = page(log, cursor.next, until).await?;
        match sink.take(cursor, &page).await? {
            Took::Committed => cursor = cursor.after(&page),
            Took::Moved if moved < MOVED_MAX => {
                moved += 1;
                // The other one may have seen a longer log than we did.
                let now = sink.cursor().await?;
                cursor = if now.next < until { checked(log, sink, head.size).await? } else { now };
            }
            Took::Moved => {
                let tried = format!("follow the log for {}", sink.name());
                return Err(Error::lost("consumer_contended", tried, "another one moved the cursor each time"));
            }
        }
    }
    Ok(Followed { next: cursor.next, size: head.size })
}

/// Returns the sink's cursor if it stands in this log.
async fn checked(log: &dyn Log, sink: &dyn Sink, size: u64) -> Result<Cursor> {
    let cursor = sink.cursor().await?;
    if cursor.next > size {
        let tried = format!(
            "follow the log for {}: it took in {} entries, and the ledger holds {size}",
            sink.name(),
            cursor.next
        );
        return Err(Error::damaged("consumer_ahead", tried, None));
    }
    let Some(last) = cursor.next.checked_sub(1) else { return Ok(cursor) };
    let found = log.entries(last, 1).await.map_err(|error| ledger_error("read the ledger", error))?;
    if found.first().map(|row| row.entry.leaf) == cursor.last {
        return Ok(cursor);
    }
    let tried = format!("follow the log for {}: entry {last} is not the one that it took in", sink.name());
    Err(Error::damaged("consumer_other_log", tried, None))
}

async fn page(log: &dyn Log, from: u64, until: u64) -> Result<Vec<LogEntry>> {
    let limit = usize::try_from(until - from).unwrap_or(usize::MAX).min(READ_ENTRIES_MAX);
    let page = log.entries(from, limit).await.map_err(|error| ledger_error("read the ledger", error))?;
    let dense = page.iter().zip(from..).all(|(row, index)| row.leaf_index == index);
    if page.is_empty() || !dense {
        let tried = format!("read the ledger from entry {from}: it lacks entries that its head counts");
        return Err(Error::damaged("ledger_gap", tried, None));
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
