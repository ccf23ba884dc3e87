//! The other end of a run that is served: whoever hands items over hears what became of their intake.

/// Hears of each item that was handed over, once. Called from worker threads; must not block for long.
pub trait Feed: Send + Sync {
    /// The object of an item was received, now or by an earlier run: its entry is durable, and should the run stop here, the
    /// next one goes on with it.
    fn taken(&self, number: u64);

    /// An item could not be read, for the reason of `code`; nothing of it was recorded. Returns whether that is told: a file
    /// that is still being written is no news.
    fn put_back(&self, number: u64, code: &'static str) -> bool;
}
