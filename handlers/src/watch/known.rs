//! Which files a watch has taken in, so that a restart need not read a million files again. A hint, never truth: a file that
//! is taken in twice ends up in the stream it had.
//!
//! The table stands in `sources.sqlite`. A path is held as a keyed hash alone, so nothing in it names a patient, and a study
//! that was forgotten is not taken in again just because its files still lie in the folder.

use std::path::Path;

use domain::Phi;
use domain::ids::{Keys, Location};
use rusqlite::{OptionalExtension as _, params};

use crate::error::Result;
use crate::objects::folder::FILE_BUCKET;
use crate::ports::objects::FileSeen;
use crate::runner::items;
use crate::sources::{Sources, sql};

/// A file that is still there is noted anew when its row is this old.
pub const REFRESH_DAYS: i64 = 7;
/// A row of a file that no scan has found for so long is dropped, so that the table does not grow for ever.
const KEEP_DAYS: i64 = 60;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS watched (
    file     BLOB PRIMARY KEY CHECK (length(file) = 16),
    size     INTEGER NOT NULL,
    inode    INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    day      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A path as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey([u8; 16]);

impl FileKey {
    /// Returns the keyed hash of a path: that of an object without a version, which no stream has.
    pub fn of(path: &Path, keys: &Keys) -> Self {
        let key = Phi::new(items::key_bytes(path));
        let location = Location { bucket: FILE_BUCKET.to_owned(), key, version: String::new() };
        Self(keys.object_stream(&location).0.0)
    }
}

/// Numbers of the system are kept bit for bit.
const fn bits(number: u64) -> i64 {
    number.cast_signed()
}

impl Sources {
    /// Makes the table if it is not there.
    ///
    /// # Errors
    /// `disk_full`, `store_unwritable`, `sources_io`.
    pub fn make_watched(&self) -> Result<()> {
        self.connection().execute_batch(SCHEMA).map_err(sql("make the table of watched files"))
    }

    /// Returns what was seen of a file when it was taken in, and on which day it was noted.
    ///
    /// # Errors
    /// `sources_io`, `sources_damaged`.
    pub fn watched(&self, file: FileKey) -> Result<Option<(FileSeen, i64)>> {
        let failed = sql("look up a watched file");
        let connection = self.connection();
        let query = "SELECT size, inode, modified, changed, day FROM watched WHERE file = ?1";
        let mut statement = connection.prepare_cached(query).map_err(&failed)?;
        let row = statement.query_row([file.0], |row| {
            let size_bytes = row.get::<_, i64>(0)?.cast_unsigned();
            let inode = row.get::<_, i64>(1)?.cast_unsigned();
            Ok((FileSeen { size_bytes, inode, modified_ns: row.get(2)?, changed_ns: row.get(3)? }, row.get(4)?))
        });
        row.optional().map_err(failed)
    }

    /// Notes files that were taken in, on this day.
    ///
    /// # Errors
    /// `disk_full`, `store_unwritable`, `sources_io`.
    pub fn note_watched(&self, files: &[(FileKey, FileSeen)], day: i64) -> Result<()> {
        let failed = sql("note watched files");
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(&failed)?;
        {
            let mut put = transaction
                .prepare_cached("INSERT OR REPLACE INTO watched VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                .map_err(&failed)?;
            for (file, seen) in files {
                let (size, inode) = (bits(seen.size_bytes), bits(seen.inode));
                put.execute(params![file.0, size, inode, seen.modified_ns, seen.changed_ns, day]).map_err(&failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }

    /// Drops files that were not found for long. Called after a scan that saw everything.
    ///
    /// # Errors
    /// `disk_full`, `store_unwritable`, `sources_io`.
    pub fn prune_watched(&self, day: i64) -> Result<usize> {
        let dropped = self.connection().execute("DELETE FROM watched WHERE day < ?1", [day - KEEP_DAYS]);
        dropped.map_err(sql("drop watched files that are gone"))
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::Key;

    use super::*;

    #[test]
    fn a_file_is_known_as_it_was_until_it_was_gone_for_long() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("sources.sqlite");
        let sources = Sources::open(&path).expect("open");
        sources.make_watched().expect("made");
        sources.make_watched().expect("making it twice changes nothing");
        let keys = Keys { stream: Key::new([1; 32]), index: Vec::new(), mapping: Key::new([3; 32]) };
        let (one, other) = (FileKey::of(Path::new("/in/DOE^JANE"), &keys), FileKey::of(Path::new("/in/b"), &keys));
        let seen = FileSeen { size_bytes: u64::MAX, inode: u64::MAX, modified_ns: -1, changed_ns: i64::MAX };
        sources.note_watched(&[(one, seen)], 100).expect("noted");
        assert_eq!(sources.watched(one).expect("asked"), Some((seen, 100)));
        assert_eq!(sources.watched(other).expect("asked"), None);
        assert_eq!(sources.prune_watched(100 + KEEP_DAYS).expect("pruned"), 0);
        assert_eq!(sources.prune_watched(101 + KEEP_DAYS).expect("pruned"), 1);
        assert_eq!(sources.watched(one).expect("asked"), None);
    }
}
