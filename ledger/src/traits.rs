//! The two ports of the ledger: writing and reading streams, and reading the log by leaf index (docs/adr/0003).

use async_trait::async_trait;

use crate::{Decision, Error, Head, LogEntry, Nonce, Origin, Receipt, Stream, StreamKey, Tag, Tagged, Tip, UtcMillis};

/// Most entries of one stream; an append beyond is refused, so that every stream can be loaded whole.
pub const STREAM_ENTRIES_MAX: u64 = 1024;
/// Most rows that one call of [`Log`] answers; a larger limit means this one.
pub const READ_ENTRIES_MAX: usize = 1024;

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The entry is new and durable.
    New(Receipt),
    /// The slot was taken by this very decision: an earlier attempt stands, and this is its receipt.
    Already(Receipt),
}

impl Appended {
    /// Returns the receipt.
    pub const fn receipt(&self) -> &Receipt {
        let (Self::New(receipt) | Self::Already(receipt)) = self;
        receipt
    }

    /// Returns the receipt.
    pub fn into_receipt(self) -> Receipt {
        let (Self::New(receipt) | Self::Already(receipt)) = self;
        receipt
    }
}

/// Streams of entries that only grow.
///
/// Every implementation promises:
/// - **Serialisable, read after write**: a `load` that begins after an append returned sees the entry, in any process.
/// - **Durable**: once an append returned `Ok`, the entry survives a crash of the process and the machine.
/// - **Order**: appends become durable in the order in which their futures are first polled; an entry whose append was
///   polled first never has the higher leaf index, as far as both are written. (On one machine. A store without a
///   sequencer of its own promises it per stream only, and says so.)
/// - **All or nothing**: an entry is there with header, nonce, body and tags, or it is not there.
/// - **Dropped futures**: an append that was polled once may be written even if its future is dropped.
/// - **After an error**: [`Error::Unknown`] alone leaves open whether the entry stands. After every other error it does not.
///
/// Time and nonces are arguments: no implementation reads a clock or makes randomness.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Returns the origin that every entry of this ledger names.
    fn origin(&self) -> &Origin;

    /// Returns the whole stream, at most [`STREAM_ENTRIES_MAX`] entries, each checked against its own hashes and linked to
    /// the one before ([`Error::Damaged`] otherwise); empty if the stream has none.
    async fn load(&self, stream: StreamKey) -> Result<Stream, Error>;

    /// Appends the decision as entry `tip.count()` of its stream; compare-and-swap on that slot.
    ///
    /// If the slot is taken by the same decision id, its stored header is the receipt; by another: [`Error::Conflict`].
    /// A tip that the store does not hold (beyond the stream's end, or with another leaf hash) is [`Error::Damaged`]: the
    /// store is older than what the caller saw, and going on would fork it.
    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error>;

    /// Appends decisions of one stream, each on the entry of the one before, as [`Ledger::append`] would one after the other;
    /// a store may make them durable together. Answers in order and ends with the first that is not [`Appended::New`]:
    /// nothing behind that one stands.
    async fn append_chain(&self, tip: &Tip, links: &[Link]) -> Vec<Result<Appended, Error>> {
        let (mut tip, mut answers) = (*tip, Vec::with_capacity(links.len()));
        for link in links {
            let answer = self.append(&tip, &link.decision, link.at, link.nonce).await;
            let next = match &answer {
                Ok(Appended::New(receipt)) => Some(receipt.tip()),
                _ => None,
            };
            answers.push(answer);
            match next {
                Some(next) => tip = next,
                None => break,
            }
        }
        answers
    }
}

/// One decision of a chain, with the arguments of its append.
#[derive(Clone, Debug)]
pub struct Link {
    /// The decision.
    pub decision: Decision,
    /// When it was taken.
    pub at: UtcMillis,
    /// Fresh random bytes.
    pub nonce: Nonce,
}

/// The log that all streams form together, by leaf index from 0: dense, in the order of durability.
///
/// What one call answers is true of one moment. `head` covers every entry that an earlier call answered.
#[async_trait]
pub trait Log: Send + Sync {
    /// Returns size, root and frontier.
    async fn head(&self) -> Result<Head, Error>;

    /// Returns the entries from leaf index `from` on, at most `limit` (and [`READ_ENTRIES_MAX`]); empty at the end.
    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error>;

    /// Returns entries that carry the tag, by rising leaf index from `from` on, at most `limit` (and [`READ_ENTRIES_MAX`]).
    async fn tagged(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error>;
}

#[async_trait]
impl<L: Ledger + ?Sized> Ledger for std::sync::Arc<L> {
    fn origin(&self) -> &Origin {
        (**self).origin()
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, Error> {
        (**self).load(stream).await
    }

    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error> {
        (**self).append(tip, decision, at, nonce).await
    }

    async fn append_chain(&self, tip: &Tip, links: &[Link]) -> Vec<Result<Appended, Error>> {
        (**self).append_chain(tip, links).await
    }
}
