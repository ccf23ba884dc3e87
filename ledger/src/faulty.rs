//! A ledger that fails on purpose: any chosen call, with its write kept or not kept. For tests of everything that writes.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::{
    Appended, Decision, Error, Head, Ledger, Log, LogEntry, Nonce, Origin, Stream, StreamKey, Tag, Tagged, Tip,
    UtcMillis,
};

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Ledger::load`].
    Load,
    /// [`Ledger::append`].
    Append,
    /// [`Log::head`].
    Head,
    /// [`Log::entries`].
    Entries,
    /// [`Log::tagged`].
    Tagged,
}

impl Call {
    const COUNT: usize = 5;
}

/// One call that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallNumber {
    /// What is called.
    pub call: Call,
    /// Its number among all calls, from 0.
    pub index: u64,
    /// Its number among calls of its kind, from 0.
    pub index_of_kind: u64,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The call is made, and its answer is lost: an append stands, and the caller gets [`Error::Unknown`].
    Kept,
    /// The call is not made, and the caller cannot tell: an append gets [`Error::Unknown`].
    NotKept,
    /// The call is not made and says so: the disk is full.
    DiskFull,
    /// The call is not made and says so: the store is out of reach.
    Unavailable,
}

/// A ledger around another one; `plan` chooses which calls fail and how.
pub struct Faulty<L> {
    inner: L,
    plan: Box<dyn Fn(CallNumber) -> Option<Fault> + Send + Sync>,
    calls: AtomicU64,
    calls_of_kind: [AtomicU64; Call::COUNT],
}

impl<L> Faulty<L> {
    /// Wraps a ledger. `plan` is asked once per call, before it is made.
    pub fn new(inner: L, plan: impl Fn(CallNumber) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { inner, plan: Box::new(plan), calls: AtomicU64::new(0), calls_of_kind: Default::default() }
    }

    /// Wraps a ledger whose call number `index`, of whatever kind, fails.
    pub fn at(inner: L, index: u64, fault: Fault) -> Self {
        Self::new(inner, move |call| (call.index == index).then_some(fault))
    }

    /// Wraps a ledger whose `index`-th call of one kind fails.
    pub fn at_kind(inner: L, kind: Call, index: u64, fault: Fault) -> Self {
        Self::new(inner, move |call| (call.call == kind && call.index_of_kind == index).then_some(fault))
    }

    /// Returns how many calls were made so far, failed ones counted.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns the ledger inside.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// Unwraps the ledger inside, as a restart without faults would find it.
    pub fn into_inner(self) -> L {
        self.inner
    }

    fn next(&self, call: Call) -> Option<Fault> {
        let index = self.calls.fetch_add(1, Ordering::SeqCst);
        let index_of_kind = self.calls_of_kind[call as usize].fetch_add(1, Ordering::SeqCst);
        (self.plan)(CallNumber { call, index, index_of_kind })
    }
}

impl Fault {
    fn error(self, call: Call) -> Error {
        match self {
            Self::DiskFull => Error::DiskFull { source: "injected".into() },
            Self::Kept | Self::NotKept if call == Call::Append => Error::Unknown { cause: Some("injected".into()) },
            Self::Kept | Self::NotKept | Self::Unavailable => Error::Unavailable { source: Some("injected".into()) },
        }
    }
}

/// Makes the call unless its fault forbids it, and answers what the fault says.
macro_rules! faulty {
    ($self:ident, $call:expr, $made:expr) => {
        match $self.next($call) {
            None => $made.await,
            Some(Fault::Kept) => {
                // An error of the call itself goes first: after it nothing was kept.
                $made.await?;
                Err(Fault::Kept.error($call))
            }
            Some(fault) => Err(fault.error($call)),
        }
    };
}

#[async_trait]
impl<L: Ledger> Ledger for Faulty<L> {
    fn origin(&self) -> &Origin {
        self.inner.origin()
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, Error> {
        faulty!(self, Call::Load, self.inner.load(stream))
    }

    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error> {
        faulty!(self, Call::Append, self.inner.append(tip, decision, at, nonce))
    }
}

#[async_trait]
impl<L: Log> Log for Faulty<L> {
    async fn head(&self) -> Result<Head, Error> {
        faulty!(self, Call::Head, self.inner.head())
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        faulty!(self, Call::Entries, self.inner.entries(from, limit))
    }

    async fn tagged(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error> {
        faulty!(self, Call::Tagged, self.inner.tagged(tag, from, limit))
    }
}
