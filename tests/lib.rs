//! What the end-to-end tests share: the program as a user drives it, and objects made by code.
//!
//! Nothing here knows the pipeline's crates: a test that called into them would see what a user cannot.

pub mod emulator;
pub mod medimg;
pub mod objects;
pub mod random;
