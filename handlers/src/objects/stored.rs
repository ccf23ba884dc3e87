//! `StoredFolders`: the areas of a store in folders of one machine, listed in the order of names and opened without following
//! a link. Memory: the names of the folders that stand above the present one, and its own.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use async_trait::async_trait;
use domain::Phi;
use domain::ids::Location;

use super::folder::{FILE_BUCKET, FolderObjects};
use crate::error::{Error, Result};
use crate::ports::objects::{Objects as _, Source};
use crate::ports::stored::{Area, Listed, Listing, Standing, Stored, StoredName};

/// Names that one call of a listing returns.
const PAGE: usize = 256;

/// The folders of one store.
#[derive(Debug)]
pub struct StoredFolders {
    root: PathBuf,
    objects: FolderObjects,
}

impl StoredFolders {
    /// Uses the store at `root`.
    ///
    /// # Errors
    /// `store_io` when there is no such folder.
    pub fn new(root: &Path) -> Result<Self> {
        // A link that the operator names is meant; one below it is not.
        let root = root.canonicalize().map_err(|error| Error::store("look at the store's folder", error))?;
        let objects = FolderObjects::new(root.join("processed"), root.join("staging"));
        Ok(Self { root, objects })
    }
}

#[async_trait]
impl Stored for StoredFolders {
    async fn list(&self, area: Area, from: Option<StoredName>) -> Result<Box<dyn Listing>> {
        let folder = self.root.join(area.name());
        let mut walk = Walk { area, folder, above: Vec::new(), from };
        let root = walk.folder.clone();
        match fs::symlink_metadata(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::store(format!("look at {}", area.name()), error)),
            Ok(found) if found.is_dir() => {
                let level = walk.level(Vec::new());
                walk.above.push(level.map_err(|error| Error::store(format!("list {}", area.name()), error))?);
            }
            // Not a folder of ours: told as what it is, under the area's own name.
            Ok(_) => {
                let name = StoredName(Vec::new());
                let listed = Listed { name, standing: Standing::Link, number: None };
                walk.above.push(vec![listed].into_iter());
            }
        }
        Ok(Box::new(walk))
    }

    async fn read(&self, area: Area, name: &StoredName) -> Result<Box<dyn Source>> {
        let path = self.root.join(area.name()).join(std::ffi::OsStr::from_bytes(&name.0));
        let key = Phi::new(path.into_os_string().into_vec());
        self.objects.open(&Location { bucket: FILE_BUCKET.to_owned(), key, version: String::new() }).await
    }
}

/// A walk through an area, depth first.
#[derive(Debug)]
struct Walk {
    area: Area,
    folder: PathBuf,
    /// What is left of each folder from the area down to the present one.
    above: Vec<IntoIter<Listed>>,
    from: Option<StoredName>,
}

impl Walk {
    /// Lists the folder of this name.
    fn level(&self, name: Vec<u8>) -> io::Result<IntoIter<Listed>> {
        let folder = self.folder.join(std::ffi::OsStr::from_bytes(&name));
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let mut below = name.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(entry.file_name().as_bytes());
            let kind = entry.file_type()?;
            let standing = match kind {
                _ if kind.is_file() => Standing::File,
                _ if kind.is_symlink() => Standing::Link,
                _ if kind.is_dir() => Standing::Folder,
                _ => Standing::Other,
            };
            found.push(Listed { name: StoredName(below), standing, number: Some(entry.ino()) });
        }
        // As whole keys are ordered: a folder's names go on with a slash.
        found.sort_unstable_by(|one, other| ordered(one).cmp(ordered(other)));
        Ok(found.into_iter())
    }

    fn step(&mut self) -> Option<Listed> {
        while let Some(level) = self.above.last_mut() {
            let Some(mut listed) = level.next() else {
                self.above.pop();
                continue;
            };
            let depth = self.above.len();
            if listed.standing == Standing::Folder && depth <= self.area.depth() && is_uid(&listed.name) {
                match self.level(listed.name.0.clone()) {
                    Ok(level) => {
                        self.above.push(level);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(_) => listed.standing = Standing::FolderUnreadable,
                }
            }
            if self.from.as_ref().is_none_or(|from| listed.name > *from) {
                return Some(listed);
            }
        }
        None
    }
}

fn ordered(listed: &Listed) -> impl Iterator<Item = &u8> {
    let slash: &[u8] = if listed.standing == Standing::Folder { b"/" } else { b"" };
    listed.name.0.iter().chain(slash)
}

/// Whether the last part of a name may be that of a study or series.
fn is_uid(name: &StoredName) -> bool {
    let last = name.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    (1..=64).contains(&last.len())
        && !last.starts_with(b".")
        && last.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

#[async_trait]
impl Listing for Walk {
    async fn next(&mut self) -> Result<Vec<Listed>> {
        Ok(std::iter::from_fn(|| self.step()).take(PAGE).collect())
    }
}
