//! Which files a run works on: the paths it was given, folders walked, in byte order of their canonical paths.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::ports::objects::FileSeen;

/// More files than this are several runs.
const ITEMS_MAX: usize = 10_000_000;
/// Folders nest no deeper than this; a loop of mounts would.
const FOLDER_DEPTH_MAX: usize = 128;

/// One item of a run.
#[derive(Debug)]
pub struct Item {
    /// Its number in walk order, from 1.
    pub number: u64,
    /// The canonical absolute path. May name a patient: shown on the operator's own terminal only.
    pub path: PathBuf,
    /// Its size in bytes when it was listed: how much room it will need. What counts is read when it is opened.
    pub size_bytes: u64,
    /// Why it cannot be read, if that is known from the walk.
    pub unreadable: Option<io::ErrorKind>,
    /// What was seen of the file when it was judged complete: another one is not taken in.
    pub expected: Option<FileSeen>,
}

/// What the walk saw at a path: the size of a file, or why it cannot be read.
type Found = BTreeMap<OsString, Result<u64, io::ErrorKind>>;

/// Lists the files below `paths`, each once, in byte order. What cannot be listed is an item that is unreadable, so that
/// nothing is passed over in silence. Links inside a folder are followed to files, not to folders; `except` (the store
/// itself) is left out.
pub fn list(paths: &[PathBuf], except: &Path) -> Vec<Item> {
    let except = except.canonicalize().unwrap_or_else(|_| except.to_owned());
    let mut found = Found::new();
    for path in paths {
        match path.canonicalize() {
            Err(error) => note(&mut found, path, Err(error.kind())),
            Ok(path) => walk(&path, &except, &mut found),
        }
    }
    let numbered = (1..).zip(found);
    let item = |(number, (path, seen)): (u64, (OsString, Result<u64, io::ErrorKind>))| Item {
        number,
        path: path.into(),
        size_bytes: seen.unwrap_or_default(),
        unreadable: seen.err(),
        expected: None,
    };
    numbered.map(item).collect()
}

fn note(found: &mut Found, path: &Path, seen: Result<u64, io::ErrorKind>) {
    if found.len() < ITEMS_MAX {
        found.insert(path.as_os_str().to_owned(), seen);
    }
}

fn walk(start: &Path, except: &Path, found: &mut Found) {
    let mut folders = vec![(start.to_owned(), 0)];
    while let Some((path, depth)) = folders.pop() {
        if path == except {
            continue;
        }
        match fs::symlink_metadata(&path) {
            Err(error) => note(found, &path, Err(error.kind())),
            Ok(meta) if meta.is_dir() && depth >= FOLDER_DEPTH_MAX => {
                note(found, &path, Err(io::ErrorKind::QuotaExceeded));
            }
            Ok(meta) if meta.is_dir() => match fs::read_dir(&path) {
                Err(error) => note(found, &path, Err(error.kind())),
                Ok(entries) => {
                    for entry in entries {
                        match entry {
                            Ok(entry) => folders.push((entry.path(), depth + 1)),
                            Err(error) => note(found, &path, Err(error.kind())),
                        }
                    }
                }
            },
            Ok(meta) if meta.is_symlink() => follow(&path, found),
            Ok(meta) if meta.is_file() => note(found, &path, Ok(meta.len())),
            Ok(_) => note(found, &path, Err(io::ErrorKind::InvalidInput)),
        }
    }
}

/// A link to a file stands for that file; a link to a folder could leave the tree or turn in a circle.
fn follow(link: &Path, found: &mut Found) {
    match link.canonicalize().and_then(|target| Ok((fs::metadata(&target)?, target))) {
        Ok((meta, target)) if meta.is_file() => note(found, &target, Ok(meta.len())),
        Ok((meta, _)) if meta.is_dir() => {}
        Ok(_) => note(found, link, Err(io::ErrorKind::InvalidInput)),
        Err(error) => note(found, link, Err(error.kind())),
    }
}

/// Returns the path as the raw bytes of which the stream id is made.
pub fn key_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// Returns the path that such bytes spell.
pub fn path_of(key: &[u8]) -> PathBuf {
    std::ffi::OsStr::from_bytes(key).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_come_in_byte_order_each_once_without_the_store() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().canonicalize().expect("canonical");
        for name in ["a/b", "a.txt", "Z", "store/ledger.sqlite"] {
            fs::create_dir_all(root.join(name).parent().expect("parent")).expect("folder");
            fs::write(root.join(name), b"x").expect("file");
        }
        symlink(root.join("Z"), root.join("link")).expect("link");
        symlink(&root, root.join("a/loop")).expect("loop");
        let items = list(&[root.join("a"), root.clone(), root.join("Z")], &root.join("store"));
        let names: Vec<_> = items.iter().map(|item| item.path.strip_prefix(&root).expect("below").to_owned()).collect();
        assert_eq!(names, ["Z", "a.txt", "a/b"].map(PathBuf::from));
        assert_eq!(items.iter().map(|item| item.number).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_listed_is_an_item_of_its_own() {
        let items = list(&[PathBuf::from("/nonexistent/here")], Path::new("/nowhere"));
        assert_eq!(items[0].unreadable, Some(io::ErrorKind::NotFound));
    }
}
