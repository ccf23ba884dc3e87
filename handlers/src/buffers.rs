//! Buffers for whole objects, used again and again: fresh memory costs a page fault per 4 KB, which for a CT slice is as
//! much as reading it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// How many free buffers are kept; the runner's budget bounds how many are in use.
const FREE_MAX: usize = 64;
/// Free buffers together hold at most this many bytes.
const FREE_BYTES_MAX: usize = 24 << 20;

/// Capacities are multiples of this many bytes, those of small objects of fewer.
const GRAIN: usize = 64 << 10;
/// What a small object's capacity is a multiple of: reports differ by more than slices do, and are many.
const SMALL_GRAIN: usize = 8 << 10;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A byte buffer that goes back to the free ones when it is dropped.
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// Returns a free buffer of at least `capacity` bytes if there is one, else a new one. A used one still holds what was
    /// in it, so that a reader who overwrites every byte need not have it zeroed first.
    pub fn with_capacity(capacity: usize) -> Self {
        // Slices of one series differ by a few bytes: rounded up, a buffer fits the next one too.
        let grain = if capacity < GRAIN { SMALL_GRAIN } else { GRAIN };
        let capacity = capacity.next_multiple_of(grain);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fit = free.iter().rposition(|buffer| buffer.capacity() >= capacity);
        let found = fit.map(|index| free.swap_remove(index));
        drop(free);
        Self(found.unwrap_or_else(|| Vec::with_capacity(capacity)))
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = free.iter().map(Vec::capacity).sum();
        if buffer.capacity() > 0 && free.len() < FREE_MAX && held + buffer.capacity() <= FREE_BYTES_MAX {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let mut first = Buffer::with_capacity(100_000);
        first.resize(100_000, 1);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(Buffer::with_capacity(90_000).as_ptr(), place);
    }
}
