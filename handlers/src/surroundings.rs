//! Time and chance as values: the only things that a run takes from nowhere.

use std::sync::{Mutex, PoisonError};
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

/// How many random bytes are drawn at once: one call of the operating system serves many nonces.
const DRAW_BYTES: usize = 4_096;

/// Random bytes drawn ahead; each is given out once.
static DRAWN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

impl Surroundings for System {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() < bytes.len() {
            drawn.resize(DRAW_BYTES.max(bytes.len()), 0);
            getrandom::fill(drawn.as_mut_slice())
                .expect("an operating system without random bytes can run nothing that is secret");
        }
        let rest = drawn.len() - bytes.len();
        bytes.copy_from_slice(&drawn[rest..]);
        drawn.truncate(rest);
    }
}
