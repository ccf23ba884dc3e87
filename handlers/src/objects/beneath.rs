//! Opening by a path that may hold no link. Each folder on the way is opened by its name in the one before, so a folder that
//! is swapped for a link at any moment leads to an error, never to another place.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, statat};

use crate::ports::objects::FileSeen;

/// How folders on the way are opened: for passing through, which asks for no right to list them.
#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::RDONLY;

/// Opens the folder at `path` for looking up names in it.
///
/// # Errors
/// What the system says; [`is_link`] tells a link in the path. A path with `..` is refused.
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = PASS | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let start = if path.is_absolute() { "/" } else { "." };
    let mut folder = openat(CWD, start, flags, Mode::empty())?;
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => folder = openat(&folder, name, flags, Mode::empty())?,
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(folder)
}

/// Opens the file at `path` for reading. Never waits: a pipe or a device opens at once or not at all, and whoever reads looks
/// first at what it is.
///
/// # Errors
/// What the system says; [`is_link`] tells a link in the path.
pub fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    if let Some(opened) = open_at_once(path, flags) {
        return opened;
    }
    let (folder, name) = open_parent(path)?;
    Ok(openat(&folder, name, flags, Mode::empty())?.into())
}

/// Opens a path in which no link may stand in one call; none where the kernel has no such call (Linux before 5.6) or may not
/// make it.
#[cfg(target_os = "linux")]
fn open_at_once(path: &Path, flags: OFlags) -> Option<io::Result<File>> {
    use rustix::fs::{ResolveFlags, openat2};
    use rustix::io::Errno;
    if path.components().any(|component| component == Component::ParentDir) {
        return Some(Err(io::ErrorKind::InvalidInput.into()));
    }
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(file) => Some(Ok(file.into())),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => None,
        Err(error) => Some(Err(error.into())),
    }
}

/// Looks at what stands at `path` without following a link.
///
/// # Errors
/// What the system says.
pub fn look(path: &Path) -> io::Result<Stat> {
    let (folder, name) = open_parent(path)?;
    look_at(&folder, name)
}

/// Looks at a name in a folder without following a link.
///
/// # Errors
/// What the system says.
pub fn look_at(folder: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Stat> {
    Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whether a path could not be opened because a link stands in it, or a file where a folder was.
pub fn is_link(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| errno == rustix::io::Errno::LOOP || errno == rustix::io::Errno::NOTDIR)
}

/// Returns what is seen of a regular file; none of anything else.
pub fn seen(stat: &Stat) -> Option<FileSeen> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let time = |seconds: i64, rest: u64| {
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(rest).unwrap_or_default())
    };
    regular.then(|| FileSeen {
        size_bytes: u64::try_from(stat.st_size).unwrap_or_default(),
        inode: stat.st_ino,
        modified_ns: time(stat.st_mtime, stat.st_mtime_nsec),
        changed_ns: time(stat.st_ctime, stat.st_ctime_nsec),
    })
}

fn open_parent(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((open_folder(parent)?, name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_link_anywhere_in_a_path_opens_nothing() {
        let root = tempfile::tempdir().expect("temporary folder");
        let root = root.path().canonicalize().expect("canonical");
        fs::create_dir_all(root.join("a/b")).expect("folders");
        fs::write(root.join("a/b/file"), b"inside").expect("file");
        symlink(root.join("a"), root.join("link")).expect("link");
        symlink(root.join("a/b/file"), root.join("a/b/other")).expect("link");
        let mut text = String::new();
        open_file(&root.join("a/b/file")).expect("opens").read_to_string(&mut text).expect("reads");
        assert_eq!(text, "inside");
        for path in ["link/b/file", "a/b/other", "a/b/file/more"] {
            assert!(is_link(&open_file(&root.join(path)).expect_err(path)), "{path}");
        }
        assert!(open_file(&root.join("a/../a/b/file")).is_err(), "a path is taken as it is or not at all");
        assert!(!is_link(&open_file(&root.join("a/none")).expect_err("gone")));
    }

    #[test]
    fn what_is_looked_at_is_what_an_open_file_says() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().canonicalize().expect("canonical").join("file");
        fs::write(&path, b"five!").expect("file");
        let (meta, looked) = (fs::metadata(&path).expect("meta"), look(&path).expect("stat"));
        let seen = seen(&looked).expect("a regular file");
        assert_eq!((seen.size_bytes, seen.inode), (5, meta.ino()));
        assert_eq!(seen.modified_ns, meta.mtime() * 1_000_000_000 + meta.mtime_nsec());
        assert!(super::seen(&look(path.parent().expect("folder")).expect("stat")).is_none());
    }
}
