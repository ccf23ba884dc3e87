//! All logs of a store as one, for whoever follows or searches them: those that ended before a recovery (docs/adr/0006), and the
//! present one behind them. Positions count on from log to log; what is told of a tree is the present log's.

use async_trait::async_trait;
use ledger::{Error, Head, Log, LogEntry, READ_ENTRIES_MAX, SqliteLedger, Tag, Tagged};

/// The logs, joined. Without a recovery it is the log itself.
#[derive(Debug)]
pub struct Joined<'a> {
    ledger: &'a SqliteLedger,
    /// Entries of each log that has ended.
    past: Vec<u64>,
}

/// The smallest checkpoint that covers an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// How many entries of its log it is over.
    pub size: u64,
    /// Of a log that ended before a recovery its place, from 0; none for the present one.
    pub past: Option<usize>,
}

impl<'a> Joined<'a> {
    /// Joins the logs of a store.
    ///
    /// # Errors
    /// What reading the logs that ended says.
    pub fn new(ledger: &'a SqliteLedger) -> Result<Self, Error> {
        let past = (0..ledger.past_count()).map(|number| ledger.past_size(number)).collect::<Result<_, _>>()?;
        Ok(Self { ledger, past })
    }

    /// Returns how many entries stand in logs that have ended: the position at which the present log begins.
    pub fn before(&self) -> u64 {
        self.past.iter().sum()
    }

    /// Returns the checkpoint that seals the entry at a position, none while it is not sealed.
    ///
    /// # Errors
    /// What reading the checkpoints says.
    pub fn sealing(&self, position: u64) -> Result<Option<Sealing>, Error> {
        let Some((past, begins)) = self.logs(position).next() else { return Ok(None) };
        let leaf_index = position - begins;
        let size = match past {
            Some(number) => self.ledger.past_checkpoint_of(number, leaf_index)?,
            None => self.ledger.checkpoint_of(leaf_index)?,
        };
        Ok(size.map(|size| Sealing { size, past }))
    }

    /// Returns the log of each position from `from` on: its number, none for the present one, and where it begins.
    fn logs(&self, from: u64) -> impl Iterator<Item = (Option<usize>, u64)> {
        let mut begins = 0;
        let past = self.past.iter().enumerate().filter_map(move |(number, size)| {
            let at = begins;
            begins += size;
            (from < begins).then_some((Some(number), at))
        });
        past.chain([(None, self.before())])
    }
}

#[async_trait]
impl Log for Joined<'_> {
    /// The size counts all logs; root and frontier are those of the present one.
    async fn head(&self) -> Result<Head, Error> {
        let head = self.ledger.head().await?;
        Ok(Head { size: head.size + self.before(), ..head })
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        let limit = limit.min(READ_ENTRIES_MAX);
        let mut found: Vec<LogEntry> = Vec::new();
        for (number, begins) in self.logs(from) {
            let (at, left) = (from.saturating_sub(begins), limit - found.len());
            let rows = match number {
                _ if left == 0 => break,
                Some(number) => self.ledger.past_entries(number, at, left)?,
                None => self.ledger.entries(at, left).await?,
            };
            found.extend(rows.into_iter().map(|row| LogEntry { leaf_index: row.leaf_index + begins, ..row }));
        }
        Ok(found)
    }

    async fn tagged(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error> {
        let limit = limit.min(READ_ENTRIES_MAX);
        let mut found: Vec<Tagged> = Vec::new();
        for (number, begins) in self.logs(from) {
            let (at, left) = (from.saturating_sub(begins), limit - found.len());
            let rows = match number {
                _ if left == 0 => break,
                Some(number) => self.ledger.past_tagged(number, tag, at, left)?,
                None => self.ledger.tagged(tag, at, left).await?,
            };
            found.extend(rows.into_iter().map(|row| Tagged { leaf_index: row.leaf_index + begins, ..row }));
        }
        Ok(found)
    }
}
