//! Any number of sealers and an appender on simulated ports, as one seed says: who goes on next, which calls fail (kept or not,
//! wholly or in part), who stops and starts again, who sleeps and wakes late. `world` holds the seed, the truth and the claims
//! that hold at every moment; `ports` are the ports; `tests` runs it. What makes a file durable is not simulated here but in
//! `handlers/src/sealer/tests`. The machine has no clock, so a clock that jumps is one more value in an entry.

mod ports;
mod tests;
mod world;
