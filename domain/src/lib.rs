//! The rules of the pipeline: ids, events, what a step may do, and how an object is scanned and de-identified.
//!
//! Pure: bytes, time and keys come in as arguments, values go out. No clock, no runtime, no network, no disk, no AWS.

pub mod dicom;
pub mod events;
pub mod ids;
pub mod phi;
pub mod reason;
pub mod study;
pub mod upload;
pub mod workflow;

pub use phi::Phi;
pub use reason::{Reason, Rejection};
