//! Appends on their way to the one thread that writes: first polled, first written.
//!
//! A bounded channel would not do: a sender that has to wait for a place takes it only when it is polled again, and others
//! may be polled before. Here an append stands in the queue when its first poll returns, or is refused.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most appends that wait.
const JOBS_MAX: usize = 4096;
/// Most bytes that they hold together.
const BYTES_MAX: usize = 64 << 20;

/// The queue; clones are the same one.
#[derive(Debug)]
pub(super) struct Queue<J> {
    shared: Arc<Shared<J>>,
}

#[derive(Debug)]
struct Shared<J> {
    state: Mutex<State<J>>,
    woken: Condvar,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<(J, usize)>,
    bytes: usize,
    /// How many jobs must wait before the thread is woken; the fewer wake-ups, the cheaper an append.
    wake_at: usize,
    closed: bool,
}

impl<J> Queue<J> {
    pub(super) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), bytes: 0, wake_at: 1, closed: false };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), woken: Condvar::new() }) }
    }

    /// Adds a job of that many bytes at the end. False if the queue is full or closed; the job is then dropped.
    pub(super) fn push(&self, job: J, bytes: usize) -> bool {
        let mut state = self.state();
        if state.closed || state.jobs.len() >= JOBS_MAX || state.bytes > BYTES_MAX - bytes.min(BYTES_MAX) {
            return false;
        }
        state.jobs.push_back((job, bytes));
        state.bytes += bytes;
        if state.jobs.len() == state.wake_at {
            self.shared.woken.notify_one();
        }
        true
    }

    /// Moves up to `limit` jobs into `batch`: waits for the first one, and then at most `gather` for `enough` of them.
    /// Leaves the batch empty when the queue is closed and nothing waits.
    pub(super) fn pop(&self, batch: &mut Vec<J>, limit: usize, enough: usize, gather: Duration) {
        let mut state = self.state();
        state.wake_at = 1;
        while state.jobs.is_empty() && !state.closed {
            state = self.shared.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let began = Instant::now();
        state.wake_at = enough;
        while state.jobs.len() < enough && !state.closed {
            let Some(left) = gather.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { break };
            state = self.shared.woken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.jobs.len().min(limit);
        let taken: usize = state.jobs.iter().take(count).map(|(_, bytes)| bytes).sum();
        state.bytes -= taken;
        batch.extend(state.jobs.drain(..count).map(|(job, _)| job));
    }

    /// Refuses jobs from now on; those that wait are still popped.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.shared.woken.notify_one();
    }

    /// Refuses jobs from now on and drops those that wait.
    pub(super) fn abandon(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.state().jobs);
        drop(waiting);
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Clone for Queue<J> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_leave_in_order_and_a_batch_is_bounded() {
        let queue = Queue::new();
        assert!((0..10).all(|n| queue.push(n, 1)));
        let mut batch = Vec::new();
        queue.pop(&mut batch, 4, 1, Duration::ZERO);
        queue.pop(&mut batch, 40, 1, Duration::ZERO);
        assert_eq!(batch, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_refuses_by_count_and_by_bytes() {
        let queue = Queue::new();
        assert!((0..JOBS_MAX).all(|n| queue.push(n, 1)));
        assert!(!queue.push(0, 1));
        let queue = Queue::new();
        assert!(queue.push(0, BYTES_MAX - 1) && queue.push(0, 1) && !queue.push(0, 1));
        queue.pop(&mut Vec::new(), 1, 1, Duration::ZERO);
        assert!(queue.push(0, 5), "what has left makes room");
    }

    #[test]
    fn a_closed_queue_refuses_and_still_gives_what_waits() {
        let queue = Queue::new();
        assert!(queue.push(1, 1));
        queue.close();
        assert!(!queue.push(2, 1));
        let mut batch = Vec::new();
        queue.pop(&mut batch, 9, 5, Duration::from_secs(60));
        assert_eq!(batch, [1]);
        queue.pop(&mut batch, 9, 5, Duration::from_secs(60));
        assert_eq!(batch, [1], "nothing waits, and nobody waits for it");
    }
}
