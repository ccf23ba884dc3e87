//! The sealer: it turns what was appended into tiles and signed checkpoints (DESIGN §5, docs/adr/0011).
//!
//! One machine for every store ([`Sealer`]), over the ports of `ports.rs`; `bundle.rs` holds what is computed, and touches
//! nothing. Any number of sealers may run, and each may stop anywhere: what a turn leaves undone, the next turn does.

mod bundle;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cosign;
mod error;
#[cfg(feature = "faulty")]
pub mod faulty;
mod machine;
mod memory;
mod mend;
mod ports;
#[cfg(test)]
mod sim;

pub use bundle::{Bundle, BundleName};
pub use cosign::consistency_proof;
pub use error::SealError;
pub use machine::{ENTRIES_OF_TURN_MAX, Sealer, Standing, Turn};
#[cfg(feature = "sqlite")]
pub(crate) use memory::joined;
pub use memory::{FollowedLog, KeyInMemory, MemoryPublished, MemorySealHead};
pub use mend::{Mended, mend};
pub use ports::{Batch, Published, Replaced, SealHead, Sealed, Signer, Swapped, Tile, Unsealed};
