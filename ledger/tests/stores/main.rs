//! The stores against the conformance suite, faults, tampering and crashes. One binary, one feature set.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where it fails, and says what it did not run"
)]

mod conformance;
mod entry_check;
mod export;
mod faults;
mod opening;
mod seal;
mod support;
mod tamper;
