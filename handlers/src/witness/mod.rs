//! Witnesses (C2SP tlog-witness): one that we are for others, and those whose cosignatures our checkpoints carry.
//!
//! `request` and `judge` are pure; `state` keeps the latest cosigned checkpoint of each log and answers only once it is durable;
//! `server` is HTTP around it. `client` asks the witnesses of our own log, `beside` while a run goes on.

mod beside;
pub mod client;
pub mod judge;
pub mod request;
pub mod server;
pub mod state;
#[cfg(test)]
mod tests;

pub use beside::{Cosigning, cosign};
