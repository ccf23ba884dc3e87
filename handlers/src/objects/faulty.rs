//! `FaultyObjects`: makes the n-th call of a wrapped `Objects` fail, once with the effect kept and once not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use domain::ids::{Location, StreamId};

use crate::error::{Error, Result};
use crate::ports::objects::{Digest, Objects, OutputKey, Published, Source, StageToken, Staging};

/// What a failing call leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call did its work and the answer was lost.
    Kept,
    /// The call did nothing.
    NotKept,
}

/// Which call fails, counted from 0 over all calls.
#[derive(Debug)]
pub struct Plan {
    at: u64,
    effect: Effect,
    seen: AtomicU64,
}

impl Plan {
    /// Lets call number `at` fail.
    pub fn fail(at: u64, effect: Effect) -> Arc<Self> {
        Arc::new(Self { at, effect, seen: AtomicU64::new(0) })
    }

    /// Returns how many calls were made.
    pub fn calls(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<Effect> {
        (self.seen.fetch_add(1, Ordering::SeqCst) == self.at).then_some(self.effect)
    }
}

fn fault() -> Error {
    Error::store("call a port that was told to fail", std::io::Error::other("injected fault"))
}

/// An `Objects` with one fault.
#[derive(Debug)]
pub struct FaultyObjects<O> {
    inner: O,
    plan: Arc<Plan>,
}

impl<O> FaultyObjects<O> {
    /// Wraps `inner`; what it opens and stages counts its calls in the same plan.
    pub fn new(inner: O, plan: Arc<Plan>) -> Self {
        Self { inner, plan }
    }
}

/// Runs `$call` unless the plan says that it fails without effect; then reports the failure.
macro_rules! call {
    ($self:ident, $call:expr) => {{
        match $self.plan.next() {
            Some(Effect::NotKept) => Err(fault()),
            Some(Effect::Kept) => {
                let _kept = $call;
                Err(fault())
            }
            None => $call,
        }
    }};
}

#[async_trait]
impl<O: Objects> Objects for FaultyObjects<O> {
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>> {
        call!(self, self.inner.open(location).await)
    }

    async fn stage(&self, stream: StreamId) -> Result<Box<dyn Staging>> {
        let inner = call!(self, self.inner.stage(stream).await)?;
        Ok(Box::new(FaultyStaging { inner, plan: Arc::clone(&self.plan) }))
    }

    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>> {
        call!(self, self.inner.publish(token, key, digest).await)
    }

    async fn discard(&self, token: &StageToken) -> Result<()> {
        call!(self, self.inner.discard(token).await)
    }

    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>> {
        call!(self, self.inner.digest(key).await)
    }
}

struct FaultyStaging {
    inner: Box<dyn Staging>,
    plan: Arc<Plan>,
}

#[async_trait]
impl Staging for FaultyStaging {
    async fn write(&mut self, block: &[u8]) -> Result<()> {
        call!(self, self.inner.write(block).await)
    }

    async fn finish(self: Box<Self>) -> Result<StageToken> {
        call!(self, self.inner.finish().await)
    }
}
