//! Where rules meet I/O: the steps, the ports and their adapters, the runner that is the embedded twin of Step Functions.
//!
//! Nothing here decides what may follow what (`domain::upload`, `domain::workflow`) or prints (`cli`).

pub mod acting;
pub mod ask;
pub mod audit;
#[cfg(feature = "aws")]
pub mod aws;
pub mod backup;
pub mod buffers;
pub mod bus;
pub mod commit;
pub mod compare;
pub mod consumer;
pub mod error;
pub mod follow;
pub mod forget;
pub mod functions;
pub mod heads;
pub mod joined;
pub mod keys;
pub mod notes;
pub mod objects;
pub mod objects_audit;
pub mod pipeline;
pub mod ports;
pub mod prove;
pub mod pump;
pub mod reading;
pub mod recover;
pub mod replay;
pub mod reporting;
pub mod runner;
pub mod sealer;
pub mod search;
pub mod segments;
#[cfg(test)]
mod sim;
pub mod sources;
pub mod steps;
pub mod store;
pub mod surroundings;
pub mod sweeper;
pub mod views;
pub mod watch;
pub mod witness;

pub use error::{Error, Result};
