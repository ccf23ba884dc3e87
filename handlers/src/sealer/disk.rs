//! The few calls to a disk with which a log is published, so that a test can stand between: what is not synced may be lost.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Largest file that is read whole: a staged bundle of one turn.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How often another process is waited for, and how long each time.
const LOCK_TRIES: u32 = 500;
const LOCK_WAIT: Duration = Duration::from_millis(2);

/// A disk. Nothing is durable before it is synced: the bytes of a file by [`Disk::sync`], names by [`Disk::sync_folder`].
pub trait Disk: Send + Sync {
    /// Returns the file's bytes; `None` if there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Whether there is a file or folder.
    fn exists(&self, path: &Path) -> bool;
    /// Makes one folder; `false` if it is there.
    fn make_folder(&self, path: &Path) -> io::Result<bool>;
    /// Writes a new file; an error if the name is taken.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes the bytes of a file durable.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a further name; `false` if the name is taken, by whatever.
    fn link(&self, from: &Path, to: &Path) -> io::Result<bool>;
    /// Renames a file, in the place of one that is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is gone is done.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with its files, at most 1,024; one that is gone is done.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Returns the names in a folder, at most `limit`; none if it is not there.
    fn list(&self, path: &Path, limit: usize) -> io::Result<Vec<String>>;
    /// Takes a lock that other processes see; held until what is returned is dropped.
    fn lock(&self, path: &Path) -> io::Result<Option<File>>;
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// That something is not there is an answer.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        use io::Read as _;
        let Some(file) = found(open_plain(path))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is larger than any that is published"));
        }
        Ok(Some(bytes))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn make_folder(&self, path: &Path) -> io::Result<bool> {
        match fs::DirBuilder::new().mode(0o755).create(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        use io::Write as _;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
        file.write_all(bytes)?;
        // Asks the system to begin writing, so that the syncs of several files wait together; a hint, and no more.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // An error of writing back that nobody was told is told to whoever opens the file next (Linux errseq).
        File::open(path)?.sync_all()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        match fs::hard_link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        found(fs::remove_file(path)).map(drop)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        for name in self.list(path, 1_024)? {
            self.remove(&path.join(name))?;
        }
        found(fs::remove_dir(path)).map(drop)
    }

    fn list(&self, path: &Path, limit: usize) -> io::Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(path))? else { return Ok(Vec::new()) };
        let names = entries.take(limit).map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // Bounded: whoever holds it writes one small file.
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the lock of the publication"))
    }
}

/// Opens a file for reading, and nothing else: whoever opens a pipe that nobody writes to waits for ever.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(nonblocking.cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"))
    }
}
