//! One walk over the watched folder: every file below it, through folders that were opened one in the other, so that no link
//! and no swapped folder leads out. Holds one open folder for each level and no list of names.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};

use super::names::is_unfinished;
use crate::objects::beneath;
use crate::ports::objects::FileSeen;

/// Folders nest no deeper than this; a loop of mounts would.
const FOLDER_DEPTH_MAX: usize = 128;
/// Links of one scan whose names are kept for the operator; the others are counted.
const NAMED_MAX: usize = 8;

/// A folder's identity: the numbers of its file system and in it.
pub type FolderId = (u64, u64);

/// What a scan passed over, and what it could not look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Links: they are followed to nowhere.
    pub links: u64,
    /// The first of them. Paths may name a patient: shown on the operator's own terminal only.
    pub first_links: Vec<PathBuf>,
    /// Pipes, sockets and devices: they are never opened.
    pub special: u64,
    /// Files and folders whose names say that they are not complete.
    pub unfinished: u64,
    /// Folders and names that could not be looked at.
    pub unreadable: u64,
    /// Folders below the deepest level that is walked.
    pub too_deep: u64,
}

/// Returns which folder stands at a path.
///
/// # Errors
/// What the system says; `NotADirectory` and the like for a link.
pub fn folder_id(path: &Path) -> io::Result<FolderId> {
    id_of(&beneath::open_folder(path)?)
}

fn id_of(folder: &OwnedFd) -> io::Result<FolderId> {
    let stat = fstat(folder)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Calls `found` for every regular file below `root` but those in the folder `except` (the store), until it breaks. What
/// vanishes while it is walked is passed over: it is gone.
///
/// # Errors
/// That `root` itself cannot be opened or listed.
pub fn walk(
    root: &Path,
    except: Option<FolderId>,
    passed: &mut Passed,
    found: &mut dyn FnMut(&Path, FileSeen) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let listed = |folder: &OwnedFd, name: &OsStr| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(folder, name, flags, Mode::empty()).map_err(io::Error::from)
    };
    let start = listed(&beneath::open_folder(root)?, OsStr::new("."))?;
    let mut levels = vec![Level::of(start)?];
    let mut path = root.to_owned();
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        let entry = match level.names.read() {
            None => {
                levels.pop();
                if depth > 1 {
                    path.pop();
                }
                continue;
            }
            Some(Err(error)) if depth == 1 => return Err(error.into()),
            Some(Err(_)) => {
                passed.unreadable += 1;
                levels.pop();
                path.pop();
                continue;
            }
            Some(Ok(entry)) => entry,
        };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let stat = match beneath::look_at(&level.folder, name) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => {
                passed.unreadable += 1;
                continue;
            }
        };
        path.push(name);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if Some((stat.st_dev, stat.st_ino)) == except => {}
            FileType::Directory if is_unfinished(name) => passed.unfinished += 1,
            FileType::Directory if depth >= FOLDER_DEPTH_MAX => passed.too_deep += 1,
            FileType::Directory => match listed(&level.folder, name).and_then(Level::of) {
                Ok(below) => {
                    levels.push(below);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // It was a folder when it was looked at: somebody swapped it.
                Err(error) if beneath::is_link(&error) => passed.link(&path),
                Err(_) => passed.unreadable += 1,
            },
            FileType::Symlink => passed.link(&path),
            FileType::RegularFile if is_unfinished(name) => passed.unfinished += 1,
            FileType::RegularFile => {
                if let Some(seen) = beneath::seen(&stat)
                    && found(&path, seen).is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            _ => passed.special += 1,
        }
        path.pop();
    }
    Ok(ControlFlow::Continue(()))
}

/// An open folder and how far its names were read.
struct Level {
    folder: OwnedFd,
    names: Dir,
}

impl Level {
    fn of(folder: OwnedFd) -> io::Result<Self> {
        let names = Dir::read_from(&folder)?;
        Ok(Self { folder, names })
    }
}

impl Passed {
    fn link(&mut self, path: &Path) {
        self.links += 1;
        if self.first_links.len() < NAMED_MAX {
            self.first_links.push(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn scan(root: &Path, except: Option<FolderId>) -> (Vec<String>, Passed) {
        let (mut names, mut passed) = (Vec::new(), Passed::default());
        let walked = walk(root, except, &mut passed, &mut |path, _| {
            names.push(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
            ControlFlow::Continue(())
        });
        assert!(walked.expect("walked").is_continue());
        names.sort();
        (names, passed)
    }

    #[test]
    fn a_scan_finds_files_at_every_depth_and_leaves_the_store_links_and_pipes() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().canonicalize().expect("canonical").join("in");
        for name in ["a/b/c/d", "a/e", "z", "store/ledger.sqlite", "a/half.part", "a/.hidden/f"] {
            fs::create_dir_all(root.join(name).parent().expect("parent")).expect("folder");
            fs::write(root.join(name), b"x").expect("file");
        }
        fs::write(folder.path().join("outside"), b"x").expect("file");
        symlink(folder.path(), root.join("a/up")).expect("link");
        symlink(folder.path().join("outside"), root.join("file")).expect("link");
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        let store = folder_id(&root.join("store")).expect("the store");
        let (names, passed) = scan(&root, Some(store));
        assert_eq!(names, ["a/b/c/d", "a/e", "z"]);
        assert_eq!((passed.links, passed.special, passed.unfinished), (2, 1, 2));
        assert_eq!((passed.unreadable, passed.too_deep, passed.first_links.len()), (0, 0, 2));
    }

    #[test]
    fn a_root_that_is_a_link_or_gone_is_an_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().canonicalize().expect("canonical");
        symlink(&root, root.join("link")).expect("link");
        for name in ["link", "none"] {
            let found = &mut |_: &Path, _| ControlFlow::Continue(());
            assert!(walk(&root.join(name), None, &mut Passed::default(), found).is_err(), "{name}");
        }
    }
}
