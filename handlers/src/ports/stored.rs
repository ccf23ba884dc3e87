//! `Stored`: what an audit needs of the place where objects lie. It lists and reads, and has no call that writes.

use std::fmt;

use async_trait::async_trait;

use super::objects::Source;
use crate::error::Result;

/// One part of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Objects that are visible, `<study>/<series>/<sop>.dcm`.
    Processed,
    /// Copies of originals, `<stream>.dcm`.
    Raw,
    /// Objects that wait for their delivery.
    Staging,
}

impl Area {
    /// Returns the name of the part, which is its prefix where objects have keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Raw => "raw",
            Self::Staging => "staging",
        }
    }

    /// How many folders stand above an object.
    pub const fn depth(self) -> usize {
        match self {
            Self::Processed => 2,
            Self::Raw | Self::Staging => 0,
        }
    }
}

/// The name of something below an area, as bytes. What we did not make may be named after a patient, so it is not shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredName(pub Vec<u8>);

impl StoredName {
    /// Returns the name, if it is text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for StoredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredName({} bytes)", self.0.len())
    }
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A file, or an object of a bucket.
    File,
    /// A link, whatever it leads to.
    Link,
    /// A folder that is no part of any key: it is not looked into.
    Folder,
    /// A folder that is one, and cannot be listed.
    FolderUnreadable,
    /// A pipe, a device, a socket.
    Other,
}

/// One name of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name below the area.
    pub name: StoredName,
    /// What stands there.
    pub standing: Standing,
    /// A number by which an operator finds it; on one machine that of its inode.
    pub number: Option<u64>,
}

/// A listing that goes on.
#[async_trait]
pub trait Listing: Send {
    /// Returns the next names; none at the end.
    async fn next(&mut self) -> Result<Vec<Listed>>;
}

/// Where objects lie, for reading.
///
/// Every implementation promises: `list` names everything that stood in the area from before the call until its end, behind
/// `from` and in the order of the bytes of the names; nothing of it follows a link; an area that is not there is empty.
#[async_trait]
pub trait Stored: Send + Sync {
    /// Begins to list an area behind a name.
    async fn list(&self, area: Area, from: Option<StoredName>) -> Result<Box<dyn Listing>>;

    /// Opens what stands under a name.
    ///
    /// # Errors
    /// `source_gone` when nothing stands there, `source_link` when a link does; `source_unreadable` and `source_io`.
    async fn read(&self, area: Area, name: &StoredName) -> Result<Box<dyn Source>>;
}
