//! Ports that fail on purpose: any chosen call of any of them, with what it did kept or not kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{Batch, BundleName, Published, Replaced, SealError, SealHead, Sealed, Signer, Swapped, Tile, Unsealed};
use crate::Head;
use crate::faulty::Fault;
use crate::note::{SignatureLine, VerifierKey};
use crate::tiles::TilePath;

/// Chooses which call fails and how: name of the call, its number among all calls of all wrapped ports.
type Choice = dyn Fn(&'static str, u64) -> Option<Fault> + Send + Sync;

/// Which calls fail, shared by the ports of one sealer.
#[derive(Clone)]
pub struct Plan {
    calls: Arc<AtomicU64>,
    choice: Arc<Choice>,
}

impl Plan {
    /// Asks `choice` once per call, before it is made.
    pub fn new(choice: impl Fn(&'static str, u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), choice: Arc::new(choice) }
    }

    /// Lets call number `index` fail.
    pub fn at(index: u64, fault: Fault) -> Self {
        Self::new(move |_, call| (call == index).then_some(fault))
    }

    /// Returns how many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn next(&self, name: &'static str) -> Option<Fault> {
        (self.choice)(name, self.calls.fetch_add(1, Ordering::SeqCst))
    }
}

/// A port around another one.
pub struct Faulty<P> {
    inner: P,
    plan: Plan,
}

impl<P> Faulty<P> {
    /// Wraps a port.
    pub const fn new(inner: P, plan: Plan) -> Self {
        Self { inner, plan }
    }
}

fn refusal(tried: &'static str, fault: Fault) -> SealError {
    match fault {
        Fault::DiskFull => SealError::DiskFull { tried, source: "injected".into() },
        Fault::Kept | Fault::NotKept | Fault::Unavailable => {
            SealError::Unavailable { tried, source: Some("injected".into()) }
        }
    }
}

macro_rules! faulty {
    ($($port:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)+ $({ $($more:tt)* })? })+) => {$(
        #[async_trait]
        impl<P: $port> $port for Faulty<P> {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, SealError> {
                match self.plan.next(stringify!($name)) {
                    None => self.inner.$name($($arg),*).await,
                    Some(fault) => {
                        if fault == Fault::Kept {
                            // An error of the call itself goes first: after it nothing was kept.
                            self.inner.$name($($arg),*).await?;
                        }
                        Err(refusal(stringify!($name), fault))
                    }
                }
            })+
            $($($more)*)?
        }
    )+};
}

faulty! {
    SealHead {
        fn load() -> Sealed;
        fn swap(from: &Sealed, to: &Sealed) -> Swapped;
    }
    Unsealed {
        fn next(head: &Head, limit: usize) -> Batch;
        fn sealed(marks: &[u8], head: &Head) -> ();
    }
    Published {
        fn stage(name: &BundleName, bytes: &[u8]) -> ();
        fn staged(name: &BundleName) -> Option<Vec<u8>>;
        fn staged_names() -> Vec<BundleName>;
        fn unstage(name: &BundleName) -> ();
        fn tile(path: &TilePath) -> Option<Vec<u8>>;
        fn write_tiles(tiles: &[Tile]) -> ();
        fn mend_tiles(tiles: &[Tile]) -> ();
        fn drop_partials(full: &[TilePath]) -> ();
        fn checkpoint() -> Option<Vec<u8>>;
        fn replace_checkpoint(seen: Option<&[u8]>, next: &[u8]) -> Replaced;
        fn keep_checkpoint(size: u64, note: &[u8]) -> ();
    }
    Signer {
        fn sign(text: &str) -> SignatureLine;
        {
            fn verifier(&self) -> &VerifierKey {
                self.inner.verifier()
            }
        }
    }
}
