//! Time and chance as values: the only things that a run takes from nowhere.

use std::time::{SystemTime, UNIX_EPOCH};

/// The clock and the source of random bytes.
pub trait Surroundings: Send + Sync {
    /// Returns the time now in milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> u64;

    /// Fills `bytes` with random bytes that nobody can guess.
    fn random(&self, bytes: &mut [u8]);

    /// Returns 16 random bytes, for the nonce of a ledger entry.
    fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.random(&mut nonce);
        nonce
    }
}

/// The machine's own clock and random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Surroundings for System {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("an operating system without random bytes can run nothing that is secret");
    }
}
