//! The keys of a store in one age file, wrapped with a passphrase. It is never part of the backup that it opens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use domain::ids::{Key, Keys};
use serde::{Deserialize, Serialize};

use super::files::{self, Before, failed};
use super::seal::Passphrase;
use crate::error::{Error, Result};

/// First field of the file.
const FORMAT: &str = "medimg-keys/v1";
/// More bytes than this hold no keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the keys go, or come from, and what opens them.
#[derive(Clone, Debug)]
pub struct KeysFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// The passphrase.
    pub passphrase: &'a Passphrase,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    origin: String,
    /// 64 hex digits each, by the name of the file in `keys/`.
    keys: BTreeMap<String, domain::events::Digest>,
}

impl KeysFile<'_> {
    /// Writes the keys of the store with this origin; an existing file is left as it is.
    ///
    /// # Errors
    /// `keys_file_exists`, `backup_io`, `backup_full`.
    pub fn write(&self, keys: &Keys, origin: &str, before: Before<'_>) -> Result<()> {
        self.must_be_new()?;
        let keys = crate::keys::named(keys).map(|(name, key)| (name, domain::events::Digest(*key.bytes()))).collect();
        let written = Written { format: FORMAT.to_owned(), origin: origin.to_owned(), keys };
        let text = serde_json::to_vec(&written).expect("strings serialise into memory");
        let fill = |to: &mut dyn io::Write| self.passphrase.seal(&mut text.as_slice(), to).map(drop);
        let tried = "write the keys";
        files::write(self.path, 0o600, before, fill, |_, _| true).map_err(failed(tried))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        files::sync_folder(folder, before).map_err(failed(tried))
    }

    /// Refuses a file that is there already: its keys may be those of another store.
    ///
    /// # Errors
    /// `keys_file_exists`.
    pub fn must_be_new(&self) -> Result<()> {
        match fs::symlink_metadata(self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => Err(Error::damaged("keys_file_exists", "write the keys: there is a file of that name", None)),
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// `passphrase_wrong`, `keys_file_damaged`, `backup_io`.
    pub fn read(&self) -> Result<Keys> {
        let tried = "open the file of keys";
        let mut file = File::open(self.path).map_err(failed(tried))?.take(FILE_BYTES_MAX);
        let mut text = Vec::new();
        self.passphrase.open(&mut file, &mut text).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Error::damaged("passphrase_wrong", tried, Some(Box::new(error))),
            _ => Error::damaged("keys_file_damaged", tried, Some(Box::new(error))),
        })?;
        let damaged = || Error::damaged("keys_file_damaged", format!("{tried}: it holds no keys of a store"), None);
        let mut written: Written = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if written.format != FORMAT {
            return Err(damaged());
        }
        let mut take = |name: &str| written.keys.remove(name).map(|key| Key::new(key.0)).ok_or_else(damaged);
        let (stream, mapping) = (take("stream")?, take("mapping")?);
        let mut index = Vec::new();
        for version in 1..=u32::try_from(written.keys.len()).unwrap_or(0) {
            index.push((
                version,
                written.keys.remove(&format!("index.v{version}")).map(|key| Key::new(key.0)).ok_or_else(damaged)?,
            ));
        }
        if index.is_empty() { Err(damaged()) } else { Ok(Keys { stream, index, mapping }) }
    }
}
