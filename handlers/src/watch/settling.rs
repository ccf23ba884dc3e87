//! Files that were seen and not yet received: how long each has not changed, and which are handed over. Time is a value, taken
//! from a monotonic clock: what the files' own times say is compared, never reckoned with.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ports::objects::FileSeen;

/// No wait before another try is longer than this many times the settling time.
const BACKOFF_MAX: u32 = 64;

/// How a file stands.
#[derive(Debug)]
enum Standing {
    /// It is due at this time, if it does not change until then.
    Waiting(Duration),
    /// It was handed over under this number.
    HandedOver(u64),
}

#[derive(Debug)]
struct File {
    seen: FileSeen,
    standing: Standing,
    tries: u32,
}

/// Files between the first sight and the receipt, at most a given number.
#[derive(Debug)]
pub struct Settling {
    settle: Duration,
    files_max: usize,
    /// By the bytes of the path, so that what is due comes in byte order.
    files: BTreeMap<OsString, File>,
    numbers: HashMap<u64, OsString>,
}

impl Settling {
    /// Returns an empty set in which a file must not change for `settle`.
    pub fn new(settle: Duration, files_max: usize) -> Self {
        Self { settle, files_max, files: BTreeMap::new(), numbers: HashMap::new() }
    }

    /// Notes how a file looks. One that looks otherwise than before begins anew. `false`: there is no room for it.
    pub fn see(&mut self, path: &Path, seen: FileSeen, now: Duration) -> bool {
        self.note(path, seen, now + self.settle)
    }

    /// Notes a file that was renamed to where it is: whoever renamed it says that it is complete. `false`: there is no room.
    pub fn see_renamed(&mut self, path: &Path, seen: FileSeen, now: Duration) -> bool {
        self.note(path, seen, now)
    }

    fn note(&mut self, path: &Path, seen: FileSeen, due: Duration) -> bool {
        if !self.files.contains_key(path.as_os_str()) {
            self.make_room();
        }
        let is_full = self.files.len() >= self.files_max;
        match self.files.get_mut(path.as_os_str()) {
            // What becomes of it now is for a later scan, which compares it with what was received.
            Some(File { standing: Standing::HandedOver(_), .. }) => true,
            Some(file) if file.seen == seen => {
                if let Standing::Waiting(at) = &mut file.standing {
                    *at = due.min(*at);
                }
                true
            }
            Some(file) => {
                *file = File { seen, standing: Standing::Waiting(due), tries: 0 };
                true
            }
            None if is_full => false,
            None => {
                self.files.insert(path.into(), File { seen, standing: Standing::Waiting(due), tries: 0 });
                true
            }
        }
    }

    /// Should the set be full, lets go of a file that could not be read: the next scan finds it again, and files that nobody
    /// can read do not keep out those that somebody can.
    fn make_room(&mut self) {
        if self.files.len() < self.files_max {
            return;
        }
        let waits = |file: &File| file.tries > 0 && matches!(file.standing, Standing::Waiting(_));
        let unreadable = self.files.iter().find(|(_, file)| waits(file)).map(|(path, _)| path.clone());
        if let Some(path) = unreadable {
            self.files.remove(&path);
        }
    }

    /// Returns files that are due, in byte order of their paths, at most `limit`.
    pub fn due(&self, now: Duration, limit: usize) -> Vec<(PathBuf, FileSeen)> {
        let due = self.files.iter().filter(|(_, file)| matches!(file.standing, Standing::Waiting(at) if at <= now));
        due.take(limit).map(|(path, file)| (path.into(), file.seen)).collect()
    }

    /// Returns when the next file is due.
    pub fn next_due(&self) -> Option<Duration> {
        let times = self.files.values().filter_map(|file| match file.standing {
            Standing::Waiting(at) => Some(at),
            Standing::HandedOver(_) => None,
        });
        times.min()
    }

    /// Notes that a file is handed over under a number.
    pub fn hand_over(&mut self, path: &Path, number: u64) {
        if let Some(file) = self.files.get_mut(path.as_os_str()) {
            file.standing = Standing::HandedOver(number);
            self.numbers.insert(number, path.into());
        }
    }

    /// Lets go of a file that was received, and returns it as it was handed over.
    pub fn taken(&mut self, number: u64) -> Option<(PathBuf, FileSeen)> {
        let path = self.numbers.remove(&number)?;
        let file = self.files.remove(&path)?;
        Some((path.into(), file.seen))
    }

    /// Takes back a file that could not be read; it is due again after ever longer times. Returns how often it was tried.
    pub fn put_back(&mut self, number: u64, now: Duration) -> Option<u32> {
        let path = self.numbers.remove(&number)?;
        let file = self.files.get_mut(&path)?;
        file.tries = file.tries.saturating_add(1);
        let times = 1_u32.checked_shl(file.tries - 1).unwrap_or(BACKOFF_MAX).min(BACKOFF_MAX);
        file.standing = Standing::Waiting(now + self.settle * times);
        Some(file.tries)
    }

    /// Forgets a file that is not there any more, or is none of ours.
    pub fn forget(&mut self, path: &Path) {
        if let Some(File { standing: Standing::HandedOver(number), .. }) = self.files.remove(path.as_os_str()) {
            self.numbers.remove(&number);
        }
    }

    /// Returns how many files wait, those that were handed over not counted.
    pub fn waiting(&self) -> usize {
        self.files.len() - self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A file of `size_bytes` whose time of change lies an hour ahead or behind, or anywhere.
    fn seen(size_bytes: u64, modified_ns: i64) -> FileSeen {
        FileSeen { size_bytes, inode: 7, modified_ns, changed_ns: 1 }
    }

    fn due(settling: &Settling, now: u64) -> usize {
        settling.due(at(now), 100).len()
    }

    #[test]
    fn a_file_is_due_when_it_has_not_changed_for_the_settling_time() {
        let (mut settling, path) = (Settling::new(SETTLE, 9), Path::new("/in/a"));
        for second in 0..10 {
            assert!(settling.see(path, seen(second, 0), at(second)));
            assert_eq!(due(&settling, second), 0, "it grows");
        }
        assert!(settling.see(path, seen(9, 0), at(10)));
        assert_eq!((due(&settling, 10), due(&settling, 11)), (0, 1));
        assert!(settling.see(path, seen(9, 1), at(11)));
        assert_eq!((due(&settling, 12), due(&settling, 13)), (0, 1), "a new time of change is a change too");
    }

    #[test]
    fn the_times_of_a_file_are_compared_and_never_reckoned_with() {
        let hour = 3_600_000_000_000;
        for modified_ns in [i64::MIN, -hour, 0, hour, i64::MAX] {
            let mut settling = Settling::new(SETTLE, 9);
            settling.see(Path::new("/in/a"), seen(1, modified_ns), at(0));
            assert_eq!((due(&settling, 1), due(&settling, 2)), (0, 1), "{modified_ns}");
        }
    }

    #[test]
    fn what_was_renamed_in_is_due_at_once() {
        let mut settling = Settling::new(SETTLE, 9);
        settling.see(Path::new("/in/a"), seen(1, 0), at(0));
        settling.see_renamed(Path::new("/in/a"), seen(1, 0), at(1));
        assert_eq!(due(&settling, 1), 1);
    }

    #[test]
    fn what_could_not_be_read_is_tried_again_after_ever_longer_times() {
        let (mut settling, path) = (Settling::new(SETTLE, 9), Path::new("/in/a"));
        settling.see(path, seen(1, 0), at(0));
        let (mut now, mut waits) = (at(0), Vec::new());
        for number in 0..9 {
            settling.hand_over(path, number);
            assert_eq!(settling.put_back(number, now), Some(u32::try_from(number).expect("small") + 1));
            let next = settling.next_due().expect("it waits");
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 128, 128]);
        settling.see(path, seen(2, 0), now);
        assert_eq!(settling.next_due(), Some(now + SETTLE), "a changed file begins anew");
    }

    #[test]
    fn no_more_files_are_held_than_the_bound() {
        let mut settling = Settling::new(SETTLE, 2);
        let paths = ["/in/b", "/in/a", "/in/c"].map(Path::new);
        assert_eq!(paths.map(|path| settling.see(path, seen(1, 0), at(0))), [true, true, false]);
        let due: Vec<_> = settling.due(at(2), 100).into_iter().map(|(path, _)| path).collect();
        assert_eq!(due, ["/in/a", "/in/b"].map(PathBuf::from), "in byte order");
        settling.hand_over(paths[0], 1);
        assert_eq!(settling.waiting(), 1);
        assert_eq!(settling.taken(1), Some((paths[0].into(), seen(1, 0))));
        assert!(settling.see(paths[2], seen(1, 0), at(3)), "there is room again");
    }

    #[test]
    fn a_file_that_could_not_be_read_makes_room_for_one_that_was_not_tried() {
        let mut settling = Settling::new(SETTLE, 2);
        let paths = ["/in/b", "/in/a", "/in/c", "/in/d"].map(Path::new);
        assert!(settling.see(paths[0], seen(1, 0), at(0)) && settling.see(paths[1], seen(1, 0), at(0)));
        settling.hand_over(paths[0], 1);
        assert!(!settling.see(paths[2], seen(1, 0), at(1)), "what is on its way stays");
        settling.put_back(1, at(2));
        assert!(settling.see(paths[2], seen(1, 0), at(3)));
        assert!(!settling.see(paths[3], seen(1, 0), at(4)), "what was not tried stays");
    }
}
