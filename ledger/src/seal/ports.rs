//! The ports of the sealer: the head of what is sealed, what is not sealed yet, what is published, and who signs.

use async_trait::async_trait;

use super::{BundleName, SealError};
use crate::Head;
use crate::note::{SignatureLine, VerifierKey};
use crate::tiles::TilePath;

/// A tile or an entry bundle with its bytes.
pub type Tile = (TilePath, Vec<u8>);

/// What the cell of a [`SealHead`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The tree that is sealed: size, root, frontier.
    pub head: Head,
    /// The staged bundle that made it; none before the first.
    pub staged: Option<BundleName>,
}

impl Sealed {
    /// Returns what the cell of a new log holds.
    pub fn empty() -> Self {
        Self { head: Head::of(crate::Frontier::new()), staged: None }
    }
}

/// What a swap did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The cell holds the new value, durably.
    Done,
    /// The cell held another value than the one that was loaded, and holds it still: another sealer was first.
    Lost,
}

/// One cell that decides what is sealed.
///
/// Every implementation promises:
/// - **Compare and swap**: of any number of swaps from one value at most one is done, whoever asks, in whatever process.
/// - **Durable**: what a swap or a load answered survives a crash of process and machine; no later load answers older.
/// - **No answer is not no**: after an error the swap may stand or not; loading again tells.
#[async_trait]
pub trait SealHead: Send + Sync {
    /// Returns what the cell holds.
    async fn load(&self) -> Result<Sealed, SealError>;

    /// Puts `to` in the place of `from`, if the cell holds `from`.
    async fn swap(&self, from: &Sealed, to: &Sealed) -> Result<Swapped, SealError>;
}

/// The next entries of a log in the order of their leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The headers as stored.
    pub headers: Vec<Vec<u8>>,
    /// What the store wants to be told once they are sealed; kept in the staged bundle. Empty where the log itself gives the
    /// order; where the sealer gives it (streams behind their watermarks), the new watermarks.
    pub marks: Vec<u8>,
    /// The log's own head, if it has one and the batch ends with it.
    pub end: Option<Head>,
}

/// What is not sealed yet.
///
/// Every implementation promises:
/// - **Order**: for one head the same entries come in the same order, as far as they are there; later ones come behind.
/// - **Durable**: an entry that is answered is never gone again.
/// - **Nothing is passed over**: what was appended before the call is answered by this or, within the limit, a later one.
/// - **It goes on**: a log that has fewer entries than the head is refused ([`SealError::RolledBack`]), and one whose entries do
///   not lead from it to the log's own root ([`SealError::Forked`]).
#[async_trait]
pub trait Unsealed: Send + Sync {
    /// Returns entries behind `head`, at most `limit`; none at the end.
    async fn next(&self, head: &Head, limit: usize) -> Result<Batch, SealError>;

    /// Marks what was sealed as sealed. Called again after a crash; doing it twice is doing it once.
    async fn sealed(&self, marks: &[u8], head: &Head) -> Result<(), SealError>;
}

/// What became of a checkpoint that was to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The new one is published, durably.
    Done,
    /// Another one than was seen is published, and still is.
    Lost,
}

/// What is published of a log, and what waits to be.
///
/// Every implementation promises:
/// - **Durable**: what a call made stands, after it returned, through a crash of process and machine.
/// - **Whole or not at all**: nobody ever sees a part of a tile, a bundle or a checkpoint.
/// - **Immutable**: a tile or a bundle that stands is never replaced; the same bytes again are done already, others are
///   [`SealError::Damaged`]. A partial tile need not be written where its full tile stands.
/// - **No answer is not no**: after an error any part of what was asked may stand; asking again is safe.
#[async_trait]
pub trait Published: Send + Sync {
    /// Stages a bundle.
    async fn stage(&self, name: &BundleName, bytes: &[u8]) -> Result<(), SealError>;

    /// Returns a staged bundle; `None` if there is none of that name.
    async fn staged(&self, name: &BundleName) -> Result<Option<Vec<u8>>, SealError>;

    /// Returns the names of staged bundles, at most 1,024 of them.
    async fn staged_names(&self) -> Result<Vec<BundleName>, SealError>;

    /// Lets a staged bundle go; one that is gone already is done.
    async fn unstage(&self, name: &BundleName) -> Result<(), SealError>;

    /// Returns a tile; `None` if there is none of that path.
    async fn tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, SealError>;

    /// Writes tiles. All are durable once it returns.
    async fn write_tiles(&self, tiles: &[Tile]) -> Result<(), SealError>;

    /// Writes tiles in the place of whatever stands there: for bytes that lead to a signed root, after a loss.
    async fn mend_tiles(&self, tiles: &[Tile]) -> Result<(), SealError>;

    /// Lets the partial tiles of these full ones go.
    async fn drop_partials(&self, full: &[TilePath]) -> Result<(), SealError>;

    /// Returns the published checkpoint as its bytes.
    async fn checkpoint(&self) -> Result<Option<Vec<u8>>, SealError>;

    /// Publishes a checkpoint, if the one that is published is still `seen`.
    async fn replace_checkpoint(&self, seen: Option<&[u8]>, next: &[u8]) -> Result<Replaced, SealError>;

    /// Keeps a checkpoint for good, by its size. Of one size one text is ever kept ([`SealError::Forked`] otherwise); further
    /// signatures under it are added.
    async fn keep_checkpoint(&self, size: u64, note: &[u8]) -> Result<(), SealError>;
}

/// Who signs checkpoints. The private key never leaves it, and nothing that it prints or logs holds any of it.
///
/// Every implementation promises that the same text always has the same signature (RFC 8032 is deterministic), so that
/// several sealers publish the same bytes.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Returns the public half; its name is the log's origin.
    fn verifier(&self) -> &VerifierKey;

    /// Signs the text of a note.
    async fn sign(&self, text: &str) -> Result<SignatureLine, SealError>;
}

/// Forwards every port through `Arc`, so that several sealers of one process share an adapter.
macro_rules! through_arc {
    ($($port:ident { $($(#[$sync:ident])? fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)+ })+) => {$(
        #[async_trait]
        impl<T: $port + ?Sized> $port for std::sync::Arc<T> {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, SealError> {
                (**self).$name($($arg),*).await
            })+
        }
    )+};
}

through_arc! {
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
}

#[async_trait]
impl<T: Signer + ?Sized> Signer for std::sync::Arc<T> {
    fn verifier(&self) -> &VerifierKey {
        (**self).verifier()
    }

    async fn sign(&self, text: &str) -> Result<SignatureLine, SealError> {
        (**self).sign(text).await
    }
}
