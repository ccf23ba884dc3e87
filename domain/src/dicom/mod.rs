//! DICOM: the scan that bounds the bytes, validation, and de-identification (DESIGN §6, docs/adr/0005).
//!
//! Sans-I/O: nothing here reads or writes; `handlers/src/pump.rs` moves the bytes.

pub mod charset;
pub mod deidentify;
pub mod facts;
pub mod identity;
pub mod inflate;
pub mod iod;
pub(crate) mod jpeg;
pub mod limits;
pub mod numbers;
pub mod plan;
pub mod scan;
pub mod skeleton;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod validate;

pub use deidentify::{Profile, ProfileError, deidentify};
pub use dicom_core::{Tag, VR};
pub use identity::Identity;
pub use validate::{Validation, Warning, validate};
