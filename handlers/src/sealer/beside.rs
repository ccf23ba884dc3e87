//! Sealing beside a run: a checkpoint comes at most a second after an append, at a pace that has a bound.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{StoreSealer, in_place, is_sealed};
use crate::error::Result;

/// How often the log is looked at; with the sealing itself well below a second.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After a sealing, so many times as long as it took is waited: it takes at most a fifth of a processor and of the disk.
const REST: u32 = 4;
/// Longest wait, after failures as well.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The thread that seals while others append. Nothing waits for it, and what it does not seal, the end of the command does.
#[derive(Debug)]
pub struct Beside {
    root: PathBuf,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<Option<StoreSealer>>>,
}

impl Beside {
    /// Begins to seal the store at `root`, which is open for work.
    pub fn start(root: &Path) -> Self {
        let stop: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let (told, at) = (Arc::clone(&stop), root.to_owned());
        // Without a thread the end of the command seals.
        let thread = std::thread::Builder::new().name("seal".to_owned()).spawn(move || work(&at, &told)).ok();
        Self { root: root.to_owned(), stop, thread }
    }

    /// Ends the thread and seals what is left.
    ///
    /// # Errors
    /// As [`StoreSealer::seal`]; nothing is lost, and the next call seals.
    pub fn finish(mut self) -> Result<()> {
        let sealer = match self.end() {
            Some(sealer) => sealer,
            None if is_sealed(&self.root) => return Ok(()),
            None => StoreSealer::open(&self.root)?,
        };
        in_place(sealer.seal()).map(drop)
    }

    fn end(&mut self) -> Option<StoreSealer> {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        self.thread.take()?.join().ok().flatten()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(root: &Path, stop: &(Mutex<bool>, Condvar)) -> Option<StoreSealer> {
    let (mut sealer, mut wait): (Option<StoreSealer>, _) = (None, LOOK_EVERY);
    // Ends when it is asked to.
    while !stopped(stop, wait) {
        let began = Instant::now();
        // The key may have been changed meanwhile by another process.
        let open = sealer.take().filter(|open| !open.is_stale());
        let sealed = open.map_or_else(|| StoreSealer::open(root), Ok).and_then(|open| {
            if open.is_behind()? {
                in_place(open.seal())?;
            }
            sealer = Some(open);
            Ok(())
        });
        wait = match sealed {
            Ok(()) => (began.elapsed() * REST).clamp(LOOK_EVERY, WAIT_MAX),
            Err(error) => {
                tracing::warn!(code = error.code(), "could not seal the log; it is tried again");
                sealer = None;
                (wait * 2).min(WAIT_MAX)
            }
        };
    }
    sealer
}

/// Waits, at most so long; whether the thread is to end.
fn stopped(stop: &(Mutex<bool>, Condvar), wait: Duration) -> bool {
    let asked = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (asked, _) = stop.1.wait_timeout_while(asked, wait, |asked| !*asked).unwrap_or_else(PoisonError::into_inner);
    *asked
}
