//! Where rules meet I/O: the steps, the ports and their adapters, the runner that is the embedded twin of Step Functions.
//!
//! Nothing here decides what may follow what (`domain::upload`, `domain::workflow`) or prints (`cli`).

pub mod acting;
pub mod ask;
pub mod audit;
pub mod buffers;
pub mod bus;
pub mod commit;
pub mod error;
pub mod keys;
pub mod objects;
pub mod pipeline;
pub mod ports;
pub mod pump;
pub mod reading;
pub mod reporting;
pub mod runner;
pub mod sources;
pub mod steps;
pub mod store;
pub mod surroundings;

pub use error::{Error, Result};
