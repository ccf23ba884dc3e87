//! What the ledger says, for people: pure views over its entries. Nothing here reads a store, a clock or a key.
//!
//! Invariant: a view holds what events hold, and so no value of an object.

pub mod explain;
pub mod history;
pub mod receipt;
pub mod report;
pub mod why;
