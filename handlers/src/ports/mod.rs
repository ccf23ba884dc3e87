//! The ports of the handlers: what every implementation must promise. `Ledger` and `Log` stand in the crate `ledger`.

pub mod objects;
pub mod sources;
pub mod stored;
pub mod views;
