//! Placeholder until the command line is built.
fn main() {}
