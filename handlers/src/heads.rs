//! The newest head of each log, kept outside its store, as a shell keeps the host keys it has seen. A store that was put
//! back to an older state, or written anew, verifies by itself; only what was kept elsewhere tells (DESIGN §5).
//!
//! One file a store, `<store id>`, one line of JSON a log: origin, size, root, the tree's frontier, and when. With the
//! frontier the store need not be read whole: the leaves behind it must lead from the held tree to the store's own root.
//! Beside it `<store id>.checkpoint`, the newest that was signed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::events::{Digest, Time};
use ledger::{Frontier, Head, Origin, Peek};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::sealer;
use crate::segments::number;

/// The mark of a store that was restored and not yet recovered.
pub const RESTORED: &str = "restored.json";
/// More bytes than this are no file of heads: a line has at most 5 KB, and a store is not recovered a hundred times.
const FILE_BYTES_MAX: u64 = 1 << 19;
/// How often another process is waited for, and how long each time.
const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(2);

/// A head that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// Their Merkle root.
    pub root: Digest,
    /// The frontier of the tree, largest subtree first.
    #[serde(default)]
    frontier: Vec<Digest>,
    /// When it was seen; RFC 3339.
    #[serde(default)]
    at: String,
}

impl Held {
    fn of(origin: &Origin, head: &Head, now_ms: u64) -> Self {
        let frontier = head.frontier.subtrees().map(|(_, _, hash)| Digest(*hash)).collect();
        let at = Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)).to_string();
        Self { origin: origin.as_str().to_owned(), size: head.size, root: Digest(head.root.0), frontier, at }
    }

    /// The tree that was seen; none if the line contradicts itself.
    fn tree(&self) -> Option<Frontier> {
        let bytes: Vec<u8> = self.frontier.iter().flat_map(|node| node.0).collect();
        Frontier::from_bytes(self.size, &bytes).filter(|tree| tree.root().0 == self.root.0)
    }

    pub(crate) fn number(&self) -> u32 {
        Origin::parse(&self.origin).map_or(0, |origin| number(&origin))
    }
}

/// The folder in which heads are kept.
#[derive(Clone, Debug)]
pub struct Heads {
    folder: Option<PathBuf>,
}

impl Heads {
    /// Keeps heads in this folder, which is made when the first is kept.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder: Some(folder) }
    }

    /// Keeps none; that a store was restored is found all the same.
    pub const fn nowhere() -> Self {
        Self { folder: None }
    }

    /// Whether a head of the store at `root` is kept here.
    pub fn knows(&self, root: &Path) -> bool {
        look(root).is_some_and(|peek| self.file(&peek.origin).is_some_and(|file| file.exists()))
    }

    /// Compares the store at `root` with the newest head that was seen of it. A place without a store, and a ledger that
    /// cannot be read, are left to whoever opens them.
    ///
    /// # Errors
    /// `ledger_rolled_back` (it has fewer entries, or is the log before a recovery), `ledger_forked` (it has others),
    /// `ledger_restored` (it was restored and not yet recovered), `heads_damaged`, `heads_io`.
    pub fn check(&self, root: &Path) -> Result<()> {
        let Some(peek) = look(root) else { return Ok(()) };
        if let Some(held) = self.newest(&peek.origin)? {
            compare(&peek, &held)?;
        }
        match restored(root)? {
            Some(mark) if mark.number() >= number(&peek.origin) => {
                let tried = format!(
                    "open a store that was restored: its log ends after {} entries, and more may have been written",
                    mark.size
                );
                Err(Error::damaged("ledger_restored", tried, None))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the head of the store at `root` if it goes on from the one that is kept; never goes back.
    ///
    /// # Errors
    /// `heads_io` when nothing can be kept, and what [`Heads::check`] says of a store that does not go on.
    pub fn keep(&self, root: &Path, now_ms: u64) -> Result<()> {
        let Some(peek) = look(root) else { return Ok(()) };
        if self.newest(&peek.origin)?.is_some_and(|held| held.size == peek.head.size && is_same(&held, &peek)) {
            return Ok(());
        }
        let failed = |error| Error::lost("heads_io", "keep the head of a ledger outside its store", error);
        let (Some(folder), Some(file)) = (&self.folder, self.file(&peek.origin)) else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let _lock = lock(folder).map_err(failed)?;
        // Another process may have kept a newer one meanwhile.
        let mut lines = self.lines(&peek.origin)?;
        if let Some(held) = newest_of(&lines) {
            if held.number() == number(&peek.origin) && held.size >= peek.head.size {
                return Ok(());
            }
            compare(&peek, held)?;
        }
        lines.retain(|held| held.origin != peek.origin.as_str());
        lines.push(Held::of(&peek.origin, &peek.head, now_ms));
        write(folder, &file, |next| {
            lines.iter().try_for_each(|held| {
                serde_json::to_writer(&mut *next, held)?;
                next.write_all(b"\n")
            })
        })
        .map_err(failed)?;
        // The signed checkpoint is kept beside it: with the log's public key it proves to others what was seen here.
        match sealer::published(root, &peek.origin) {
            Ok(Some((note, seen))) if (seen.size, seen.root) == (peek.head.size, peek.head.root) => {
                let at = file.with_extension("checkpoint");
                write(folder, &at, |next| next.write_all(note.to_string().as_bytes())).map_err(failed)
            }
            _ => Ok(()),
        }
    }

    /// Returns the newest head that is kept of the store of this log.
    ///
    /// # Errors
    /// `heads_damaged`, `heads_io`.
    pub fn newest(&self, origin: &Origin) -> Result<Option<Held>> {
        Ok(newest_of(&self.lines(origin)?).cloned())
    }

    fn file(&self, origin: &Origin) -> Option<PathBuf> {
        // The store id: the last part of the origin without its number, 32 hex digits.
        let base = origin.as_str().split('#').next().unwrap_or_default();
        Some(self.folder.as_ref()?.join(base.rsplit('/').next().unwrap_or_default()))
    }

    fn lines(&self, origin: &Origin) -> Result<Vec<Held>> {
        let failed = |error| Error::lost("heads_io", "read the head that is kept of a ledger", error);
        let mut text = String::new();
        let Some(file) = self.file(origin) else { return Ok(Vec::new()) };
        match File::open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?,
        };
        let damaged = || Error::damaged("heads_damaged", "read the head that is kept of a ledger: it is none", None);
        let lines: Vec<Held> =
            text.lines().map(|line| serde_json::from_str(line).map_err(|_| damaged())).collect::<Result<_>>()?;
        let base = |origin: &str| origin.split('#').next().unwrap_or_default().to_owned();
        let sound = lines.iter().all(|held| held.tree().is_some() && base(&held.origin) == base(origin.as_str()));
        if sound { Ok(lines) } else { Err(damaged()) }
    }
}

/// Bounded: a process that holds it writes one small file.
fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the folder of heads"))
}

fn write(folder: &Path, path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let next = folder.join("next");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    fill(&mut file)?;
    file.sync_all()?;
    fs::rename(next, path)
}

/// Looks at the ledger of the store at `root`; none if there is none that can be looked at.
fn look(root: &Path) -> Option<Peek> {
    Peek::open(root.join("ledger.sqlite")).ok()
}

fn newest_of(lines: &[Held]) -> Option<&Held> {
    lines.iter().max_by_key(|held| (held.number(), held.size))
}

fn is_same(held: &Held, peek: &Peek) -> bool {
    held.origin == peek.origin.as_str() && held.root.0 == peek.head.root.0
}

/// Refuses a store whose log does not go on from the one that was seen.
fn compare(peek: &Peek, held: &Held) -> Result<()> {
    let (size, seen) = (peek.head.size, held.size);
    let (now, then) = (number(&peek.origin), held.number());
    if then > now {
        let tried = format!("open a store: it holds the log before recovery {then}, with {size} entries");
        return Err(Error::damaged("ledger_rolled_back", tried, None));
    }
    if then < now {
        return Ok(());
    }
    if seen > size {
        let tried = format!("open a store: its log has {size} entries, and it was seen with {seen}");
        return Err(Error::damaged("ledger_rolled_back", tried, None));
    }
    let tree = held.tree().filter(|_| seen < size);
    let goes_on = match tree {
        None => is_same(held, peek),
        Some(tree) => peek.grown(&tree, size).is_ok_and(|grown| grown.root() == peek.head.root),
    };
    if goes_on {
        return Ok(());
    }
    let tried =
        format!("open a store: its log has {size} entries, and not those that it was seen with when it had {seen}");
    Err(Error::damaged("ledger_forked", tried, None))
}

/// Returns the mark that a restored store carries.
pub(crate) fn restored_mark(origin: &str, size: u64, root: Digest) -> String {
    let mark = Held { origin: origin.to_owned(), size, root, frontier: Vec::new(), at: String::new() };
    serde_json::to_string(&mark).expect("strings and numbers serialise into memory") + "\n"
}

/// Returns the mark of the store at `root`, if it was restored.
///
/// # Errors
/// `heads_damaged` when there is one that cannot be read.
pub(crate) fn restored(root: &Path) -> Result<Option<Held>> {
    match fs::read(root.join(RESTORED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::store("read the mark of a restored store", error)),
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| Error::damaged("heads_damaged", "read the mark of a restored store: it is none", None)),
    }
}
