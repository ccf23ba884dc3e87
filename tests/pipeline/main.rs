//! The whole pipeline through its command line, as a user meets it, and the house rules that a machine can check.

mod beside;
mod crash;
mod determinism;
mod disk;
mod end_to_end;
mod faults;
mod replay;
mod rules;
mod tamper;
mod tidy;
mod watch;
