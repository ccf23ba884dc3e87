//! Notifications of the system that something changed in the folder: they wake the watch and hint at a place. Nothing depends
//! on one: what is missed, the next scan finds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// More hints than this are a scan.
const HINTS_MAX: usize = 4_096;

/// How a place was hinted at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Something changed there.
    #[default]
    Changed,
    /// Something was renamed to it.
    RenamedIn,
}

#[derive(Debug, Default)]
struct Heard {
    hints: HashMap<PathBuf, Hint>,
    scan: bool,
}

/// What was heard and not yet looked at; bounded.
#[derive(Debug, Default)]
pub struct Wake {
    heard: Mutex<Heard>,
    woken: Condvar,
}

impl Wake {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hint(&self, path: PathBuf, hint: Hint) {
        let mut heard = self.heard();
        if heard.hints.len() >= HINTS_MAX && !heard.hints.contains_key(&path) {
            heard.scan = true;
            heard.hints.clear();
        } else if !heard.scan || hint == Hint::RenamedIn {
            let known = heard.hints.entry(path).or_default();
            *known = hint.max(*known);
        }
        self.woken.notify_all();
    }

    /// Asks for a scan of everything.
    pub fn scan(&self) {
        self.heard().scan = true;
        self.woken.notify_all();
    }

    /// Waits until something was heard, at most for `longest`.
    pub fn wait(&self, longest: Duration) {
        let quiet = |heard: &mut Heard| heard.hints.is_empty();
        drop(self.woken.wait_timeout_while(self.heard(), longest, quiet));
    }

    /// Returns the hints and whether a scan was asked for. The latter stays asked for until [`Wake::scanning`].
    pub fn take(&self) -> (HashMap<PathBuf, Hint>, bool) {
        let mut heard = self.heard();
        (std::mem::take(&mut heard.hints), heard.scan)
    }

    /// Notes that a scan begins: what is heard from here on may be news to it.
    pub fn scanning(&self) {
        self.heard().scan = false;
    }
}

/// Asks the system to tell of changes below `root`, but for those below `except`, as long as what is returned lives.
///
/// # Errors
/// The system has no more watches to give, or cannot tell of this file system: then scans alone find what is new.
pub fn listen(root: &Path, except: PathBuf, wake: Arc<Wake>) -> notify::Result<RecommendedWatcher> {
    let hear = move |heard: notify::Result<Event>| match heard {
        Ok(event) if event.need_rescan() => wake.scan(),
        Ok(event) => {
            if let Some(hint) = hint_of(&event.kind) {
                // Of a rename inside the folder both names are told, the new one last.
                let path = event.paths.into_iter().next_back().filter(|path| !path.starts_with(&except));
                path.into_iter().for_each(|path| wake.hint(path, hint));
            }
        }
        Err(_) => wake.scan(),
    };
    let mut watcher = RecommendedWatcher::new(hear, Config::default().with_follow_symlinks(false))?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Returns what an event hints at; reading a file, which we do ourselves, is none.
fn hint_of(kind: &EventKind) -> Option<Hint> {
    match kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(Hint::RenamedIn),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => None,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Hint::Changed),
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any => Some(Hint::Changed),
        EventKind::Access(_) | EventKind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_hints_than_are_held_become_a_scan() {
        let wake = Wake::default();
        for number in 0..=HINTS_MAX {
            wake.hint(PathBuf::from(format!("/in/{number}")), Hint::Changed);
        }
        let (hints, scan) = wake.take();
        assert!(hints.is_empty() && scan);
        wake.scanning();
        wake.hint("/in/a".into(), Hint::RenamedIn);
        wake.hint("/in/a".into(), Hint::Changed);
        assert_eq!(wake.take(), (HashMap::from([(PathBuf::from("/in/a"), Hint::RenamedIn)]), false));
    }
}
