//! The whole runner on simulated ports with one seed (issue 3, item 7).
//!
//! A simulation is a pure function of its seed: which objects there are, in which order tasks go on, how long each call
//! takes, which calls fail (kept or not), when the process or the machine stops, what a stopped machine had not yet written.
//! Tasks run on one thread with a paused clock, so that waiting costs nothing and nothing else decides the order.
//! `world` holds the seed, the calls and the clock; `objects`, `sources` and `ledger` are the ports; `inputs` the objects;
//! `scenario` runs, crashes and starts again; `model` says what is right. Promises of the folder and of SQLite themselves
//! (which call makes what durable) are not simulated: `tests/pipeline/{crash,disk}.rs` ask the real ones.

mod inputs;
mod ledger;
mod model;
mod objects;
mod scenario;
mod sources;
mod tests;
mod world;
