//! A watch over a folder: finds files that are complete and hands them to a run, for as long as somebody wants.
//!
//! Truth is the scan of the whole folder, at the start and again and again; notifications of the system only make it quick.
//! A file is complete when it has not changed for a while, or was renamed to where it is. What it holds is bounded whatever
//! lies in the folder: [`FILES_MAX`] files between first sight and receipt, one open folder a level, [`QUEUE_MAX`] items.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::ids::Keys;
use rustix::fs::FileType;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::objects::beneath;
use crate::ports::objects::FileSeen;
use crate::runner::feed::Feed;
use crate::runner::items::Item;
use crate::sources::Sources;
use crate::surroundings::Surroundings;

pub mod known;
pub mod names;
pub mod scan;
pub mod settling;
pub mod wake;

use known::{FileKey, REFRESH_DAYS};
use scan::{FolderId, Passed};
use settling::Settling;
use wake::{Hint, Wake};

/// Files that are held between first sight and receipt.
pub const FILES_MAX: usize = 16_384;
/// Items that wait for the run.
pub const QUEUE_MAX: usize = 256;
/// Files that are handed over before anything else is looked at.
const BATCH_MAX: usize = 1_024;
/// Notes of files that were taken in and are not yet written down.
const NOTES_MAX: usize = 256;
/// The longest sleep: how soon the watch sees that nobody wants it any more.
const NAP: Duration = Duration::from_millis(200);
/// A scan takes no more than one part in so many of the time.
const REST: u32 = 4;
const DAY_MS: u64 = 86_400_000;

/// How a watch goes about it.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// How long a file must not change before it counts as complete.
    pub settle: Duration,
    /// How long after a scan the next one begins.
    pub rescan: Duration,
    /// Whether the system is asked to tell of changes.
    pub notifications: bool,
    /// End when what is complete now was handed over.
    pub once: bool,
}

/// What a scan saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Regular files.
    pub files: u64,
    /// Those among them that were taken in before and have not changed.
    pub known: u64,
    /// Those for which there was no room; another scan follows soon.
    pub put_off: u64,
    /// What was passed over.
    pub passed: Passed,
}

/// What people hear of the watch itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The folder was scanned for the first time, or another thing was passed over than before.
    Scanned(Scanned),
    /// The folder is not there; the watch goes on looking.
    FolderGone,
    /// The folder is there again.
    FolderBack,
    /// The system does not tell of changes; scans find them.
    NoNotifications,
    /// With `once`: a file was still changing and is left for the next time.
    LeftChanging,
}

/// Hears of the watch. Must not block.
pub trait Told: Send + Sync {
    /// Something happened.
    fn news(&self, news: News);

    /// Whether those who are told keep up; while they do not, nothing is handed over.
    fn keeps_up(&self) -> bool;
}

/// What the watch and the run that it feeds share.
struct Shared {
    began: Instant,
    keys: Keys,
    sources: Arc<Sources>,
    surroundings: Arc<dyn Surroundings>,
    once: bool,
    told: Arc<dyn Told>,
    settling: Mutex<Settling>,
    /// Taken in, not yet written down.
    notes: Mutex<HashMap<FileKey, FileSeen>>,
}

/// A watch over one folder.
pub struct Watcher {
    root: PathBuf,
    store: PathBuf,
    options: WatchOptions,
    told: Arc<dyn Told>,
    shared: Arc<Shared>,
    wake: Arc<Wake>,
    number: u64,
    last_told: Option<Scanned>,
    pruned_on: Option<i64>,
}

/// Why the watch stops handing over: nobody takes items any more.
struct Unwanted;

impl Watcher {
    /// Prepares to watch `folder` for a store.
    ///
    /// # Errors
    /// `watch_folder` when it cannot be opened as a folder, `watch_in_store` when it is the store or lies in it, and what
    /// making the table of watched files may say.
    pub fn new(
        folder: &Path,
        store: &Path,
        sources: Arc<Sources>,
        keys: Keys,
        surroundings: Arc<dyn Surroundings>,
        options: WatchOptions,
        told: Arc<dyn Told>,
    ) -> Result<Self> {
        let not_there = |error: io::Error| {
            let tried = "open the folder to watch";
            Error::damaged("watch_folder", tried, Some(Box::new(error)))
        };
        let root = folder.canonicalize().map_err(not_there)?;
        scan::folder_id(&root).map_err(not_there)?;
        let store = store.canonicalize().map_err(|error| Error::store("look at the store's folder", error))?;
        if root.starts_with(&store) {
            return Err(Error::damaged("watch_in_store", "watch a folder that is the store or lies in it", None));
        }
        sources.make_watched()?;
        let shared = Shared {
            began: Instant::now(),
            keys,
            sources,
            surroundings,
            once: options.once,
            told: Arc::clone(&told),
            settling: Mutex::new(Settling::new(options.settle, FILES_MAX)),
            notes: Mutex::default(),
        };
        let (shared, wake) = (Arc::new(shared), Arc::new(Wake::default()));
        Ok(Self { root, store, options, told, shared, wake, number: 0, last_told: None, pruned_on: None })
    }

    /// Returns what the run tells of the intake.
    pub fn feed(&self) -> Arc<dyn Feed> {
        Arc::clone(&self.shared) as Arc<dyn Feed>
    }

    /// Watches until nobody takes items any more, or, with `once`, until what is complete was handed over. Blocks; wants a
    /// thread of its own.
    pub fn run(mut self, items: &mpsc::Sender<Item>) {
        // That nobody wants more is how a watch ends.
        let _ = self.watch(items);
    }

    fn watch(&mut self, items: &mpsc::Sender<Item>) -> std::result::Result<(), Unwanted> {
        let mut listening: Option<(FolderId, Option<notify::RecommendedWatcher>)> = None;
        let (mut next_scan, mut rested, mut gone) = (Instant::now(), Instant::now(), false);
        loop {
            let (hints, asked) = self.wake.take();
            let now = Instant::now();
            if now >= next_scan || (asked && now >= rested) {
                let there = scan::folder_id(&self.root).ok();
                // Another folder under the same name: the system would go on to tell of the old one.
                if listening.as_ref().map(|(id, _)| *id) != there {
                    listening = there.map(|id| (id, self.listen()));
                }
                self.wake.scanning();
                let scanned = self.scan(items)?;
                match (&scanned, gone) {
                    (None, false) => self.told.news(News::FolderGone),
                    (Some(_), true) => self.told.news(News::FolderBack),
                    _ => {}
                }
                gone = scanned.is_none();
                let put_off = scanned.is_some_and(|scanned| scanned.put_off > 0);
                let took = now.elapsed();
                rested = Instant::now() + took * REST;
                let wait = if put_off { self.options.settle } else { self.options.rescan };
                next_scan = Instant::now() + wait.max(took * REST);
            }
            for (path, hint) in hints {
                self.look(&path, hint, items)?;
            }
            self.hand_over(items)?;
            if self.options.once && self.shared.settling().waiting() == 0 {
                return Ok(());
            }
            self.nap(next_scan, items)?;
        }
    }

    fn listen(&self) -> Option<notify::RecommendedWatcher> {
        if !self.options.notifications || self.options.once {
            return None;
        }
        let listening = wake::listen(&self.root, self.store.clone(), Arc::clone(&self.wake));
        if listening.is_err() {
            self.told.news(News::NoNotifications);
        }
        listening.ok()
    }

    /// Sleeps until something may be due, was heard, or nobody wants more.
    fn nap(&self, next_scan: Instant, items: &mpsc::Sender<Item>) -> std::result::Result<(), Unwanted> {
        let scan_in = next_scan.saturating_duration_since(Instant::now());
        let due_in = self.shared.settling().next_due().map(|due| due.saturating_sub(self.shared.now()));
        self.shared.write_notes();
        self.wake.wait(NAP.min(scan_in).min(due_in.unwrap_or(NAP)).max(Duration::from_millis(1)));
        if items.is_closed() { Err(Unwanted) } else { Ok(()) }
    }

    /// Looks at everything below the folder once. `None`: the folder is not there.
    fn scan(&mut self, items: &mpsc::Sender<Item>) -> std::result::Result<Option<Scanned>, Unwanted> {
        let except = scan::folder_id(&self.store).ok();
        let (mut scanned, mut passed, root) = (Scanned::default(), Passed::default(), self.root.clone());
        let walked = scan::walk(&root, except, &mut passed, &mut |path, seen| {
            let looked = self.see(path, seen, Hint::Changed, items, &mut scanned);
            if looked.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match walked {
            Ok(ControlFlow::Break(())) => return Err(Unwanted),
            Err(_) => return Ok(None),
            Ok(ControlFlow::Continue(())) => {}
        }
        let whole = passed.unreadable + passed.too_deep + scanned.put_off == 0;
        scanned.passed = passed;
        if whole {
            self.prune();
        }
        if self.last_told.as_ref().is_none_or(|last| last.passed != scanned.passed) {
            self.told.news(News::Scanned(scanned.clone()));
            self.last_told = Some(scanned.clone());
        }
        Ok(Some(scanned))
    }

    /// Drops what no scan has found for long from the table, once a day.
    fn prune(&mut self) {
        let day = self.shared.day();
        if self.pruned_on.replace(day) != Some(day)
            && let Err(error) = self.shared.sources.prune_watched(day)
        {
            tracing::warn!(code = error.code(), "could not drop watched files that are gone");
        }
    }

    /// Looks at a place where something is said to have changed.
    fn look(&mut self, path: &Path, hint: Hint, items: &mpsc::Sender<Item>) -> std::result::Result<(), Unwanted> {
        let below = path.strip_prefix(&self.root).ok().filter(|below| below.file_name().is_some());
        let finished = below.is_some_and(|below| !below.iter().any(names::is_unfinished));
        let in_store = path.starts_with(&self.store);
        let (true, false, Ok(stat)) = (finished, in_store, beneath::look(path)) else { return Ok(()) };
        match (FileType::from_raw_mode(stat.st_mode), beneath::seen(&stat)) {
            (FileType::Directory, _) => {
                let except = scan::folder_id(&self.store).ok();
                let walked = scan::walk(path, except, &mut Passed::default(), &mut |path, seen| {
                    let looked = self.see(path, seen, Hint::Changed, items, &mut Scanned::default());
                    if looked.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                // A folder that is gone again is no loss; a later scan sees what there is.
                if walked.is_ok_and(|walked| walked.is_break()) { Err(Unwanted) } else { Ok(()) }
            }
            (_, Some(seen)) => {
                let mut scanned = Scanned::default();
                self.see(path, seen, hint, items, &mut scanned)?;
                if scanned.put_off > 0 {
                    self.wake.scan();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes note of a regular file.
    fn see(
        &mut self,
        path: &Path,
        seen: FileSeen,
        hint: Hint,
        items: &mpsc::Sender<Item>,
        scanned: &mut Scanned,
    ) -> std::result::Result<(), Unwanted> {
        scanned.files += 1;
        if scanned.files.is_multiple_of(1_024) {
            self.hand_over(items)?;
        }
        if self.shared.is_known(path, seen) {
            scanned.known += 1;
            return Ok(());
        }
        if self.note(path, seen, hint) {
            return Ok(());
        }
        // The set is full: wait until files in it are due and were received. Bounded, once a scan, for all of them may be
        // changing.
        let patience = Instant::now() + self.options.settle * 2 + Duration::from_secs(5);
        while scanned.put_off == 0 && Instant::now() < patience {
            self.hand_over(items)?;
            std::thread::sleep(Duration::from_millis(5));
            if items.is_closed() {
                return Err(Unwanted);
            }
            if self.note(path, seen, hint) {
                return Ok(());
            }
        }
        scanned.put_off += 1;
        Ok(())
    }

    fn note(&self, path: &Path, seen: FileSeen, hint: Hint) -> bool {
        let now = self.shared.now();
        let mut settling = self.shared.settling();
        match hint {
            Hint::Changed => settling.see(path, seen, now),
            Hint::RenamedIn => settling.see_renamed(path, seen, now),
        }
    }

    /// Hands over what is due, in byte order of the paths within one batch, if it still looks as it did.
    fn hand_over(&mut self, items: &mpsc::Sender<Item>) -> std::result::Result<(), Unwanted> {
        let due = self.shared.settling().due(self.shared.now(), BATCH_MAX);
        for (path, expected) in due {
            while !self.told.keeps_up() {
                std::thread::sleep(Duration::from_millis(10));
                if items.is_closed() {
                    return Err(Unwanted);
                }
            }
            let seen = beneath::look(&path).ok().as_ref().and_then(beneath::seen);
            let mut settling = self.shared.settling();
            match seen {
                Some(seen) if seen == expected => {
                    self.number += 1;
                    settling.hand_over(&path, self.number);
                }
                Some(_) if self.options.once => {
                    settling.forget(&path);
                    self.told.news(News::LeftChanging);
                    continue;
                }
                Some(seen) => {
                    settling.see(&path, seen, self.shared.now());
                    continue;
                }
                None => {
                    settling.forget(&path);
                    continue;
                }
            }
            drop(settling);
            let (number, size_bytes) = (self.number, expected.size_bytes);
            let item = Item { number, path, size_bytes, unreadable: None, expected: Some(expected) };
            items.blocking_send(item).map_err(|_| Unwanted)?;
        }
        Ok(())
    }
}

impl Shared {
    fn settling(&self) -> MutexGuard<'_, Settling> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<FileKey, FileSeen>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time that only goes forward, whatever is done to the clock.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn day(&self) -> i64 {
        i64::try_from(self.surroundings.now_ms() / DAY_MS).unwrap_or_default()
    }

    /// Whether a file was taken in as it is. Should the table not answer, the file is taken in again, which changes nothing.
    fn is_known(&self, path: &Path, seen: FileSeen) -> bool {
        let key = FileKey::of(path, &self.keys);
        if self.notes().get(&key) == Some(&seen) {
            return true;
        }
        match self.sources.watched(key) {
            Ok(Some((known, day))) if known == seen => {
                if (self.day() - day).abs() >= REFRESH_DAYS {
                    self.note(key, seen);
                }
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(code = error.code(), "could not look up a watched file");
                false
            }
        }
    }

    fn note(&self, key: FileKey, seen: FileSeen) {
        let full = {
            let mut notes = self.notes();
            notes.insert(key, seen);
            notes.len() >= NOTES_MAX
        };
        if full {
            self.write_notes();
        }
    }

    /// Writes down what was taken in. Should it fail, a restart reads those files once more.
    fn write_notes(&self) {
        let mut notes = self.notes();
        if notes.is_empty() {
            return;
        }
        let files: Vec<_> = notes.iter().map(|(key, seen)| (*key, *seen)).collect();
        if let Err(error) = self.sources.note_watched(&files, self.day()) {
            tracing::warn!(code = error.code(), "could not note which files were taken in");
        }
        notes.clear();
    }
}

impl Drop for Shared {
    /// The run outlives the watch that fed it: what it took in last is written down when both are gone.
    fn drop(&mut self) {
        self.write_notes();
    }
}

impl Feed for Shared {
    fn taken(&self, number: u64) {
        let taken = self.settling().taken(number);
        if let Some((path, seen)) = taken {
            self.note(FileKey::of(&path, &self.keys), seen);
        }
    }

    fn put_back(&self, number: u64, code: &'static str) -> bool {
        // A file that changes, goes or gives way to a link is looked at again; one that cannot be read is told once.
        let passing = ["source_changed", "source_gone", "source_link"].contains(&code);
        if self.once {
            self.settling().taken(number);
            if code == "source_changed" {
                self.told.news(News::LeftChanging);
            }
            return !passing;
        }
        let tries = self.settling().put_back(number, self.now());
        !passing && tries == Some(1)
    }
}
