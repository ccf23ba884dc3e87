//! The append-only, hashed ledger: what is written, how it is linked, and how anyone can check it (DESIGN §5).
//!
//! Without features the crate is pure: bytes, time and nonces come in as arguments. It knows no DICOM and no event but its
//! envelope. `sqlite` adds the store on one machine and `dynamodb` that on AWS, `faulty` a wrapper that fails on purpose,
//! `conformance` the suite that every store must pass.

mod body;
mod checkpoint;
#[cfg(feature = "conformance")]
pub mod conformance;
mod decision;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod entry;
mod error;
#[cfg(feature = "faulty")]
pub mod faulty;
mod hash;
mod header;
mod memory;
mod merkle;
pub mod note;
pub mod proof;
pub mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tags;
pub mod tiles;
mod time;
mod traits;
pub mod verify;
pub mod witness;

pub use body::{BODY_BYTES_MAX, Body, BodyError, EVENTS_MAX, TAGS_MAX};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use decision::{Decision, Prepared};
pub use entry::{Entry, LogEntry, Receipt, Stream, Tip};
pub use error::{Error, InvalidDecision};
pub use hash::{BodyHash, LeafHash, Nonce, RootHash, body_hash, first_prev, leaf_hash, node_hash};
pub use header::{Actor, EventTypes, HEADER_BYTES_MAX, Header, HeaderError, IndexHash, Origin, StreamKey};
pub use memory::MemoryLedger;
pub use merkle::{Frontier, Head, merkle_root};
#[cfg(feature = "sqlite")]
pub use sqlite::{
    Depth, Ended, Export, KeptCheckpoint, Open, Peek, SealRow, SqliteLedger, SqliteSeal, Watcher, copy_store, end_log,
    kept_checkpoints, seal_facts, stated_origin, verify_store, verify_store_with,
};
pub use tags::{Tag, TagKind, Tagged};
pub use time::UtcMillis;
pub use traits::{Appended, Ledger, Link, Log, READ_ENTRIES_MAX, STREAM_ENTRIES_MAX};
