//! Key files: `keys/{stream,index.v<n>,mapping}`, 32 raw bytes each, mode 0600 (DESIGN §4).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use domain::ids::{Key, Keys};

use crate::error::{Error, Result};

/// More versions of the index key than this are a mistake in the folder.
const INDEX_VERSIONS_MAX: u32 = 1_000;

/// Loads the keys of a store.
///
/// # Errors
/// `key_missing`, `key_permissions` (wider than 0600), `key_damaged` (not 32 bytes); each names the file in `keys/`.
pub fn load(folder: &Path) -> Result<Keys> {
    let stream = read_key(folder, "stream")?;
    let mapping = read_key(folder, "mapping")?;
    let mut index = Vec::new();
    for version in 1..=INDEX_VERSIONS_MAX {
        let name = format!("index.v{version}");
        if version > 1 && !folder.join(&name).exists() {
            break;
        }
        index.push((version, read_key(folder, &name)?));
    }
    Ok(Keys { stream, index, mapping })
}

/// Makes the keys of a new store that are not there yet; keys that exist are never replaced.
///
/// # Errors
/// `store_unwritable`, `disk_full` and the like.
pub fn create_missing(folder: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::store("create keys/", error)),
        _ => {}
    }
    for name in ["stream", "index.v1", "mapping", crate::sealer::SIGNING] {
        if !folder.join(name).exists() {
            create_key(folder, name).map_err(|error| Error::store(format!("create keys/{name}"), error))?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::store("make keys/ durable", error))
}

/// Returns every key with the name of its file.
pub fn named(keys: &Keys) -> impl Iterator<Item = (String, &Key)> {
    let index = keys.index.iter().map(|(version, key)| (format!("index.v{version}"), key));
    [("stream".to_owned(), &keys.stream), ("mapping".to_owned(), &keys.mapping)].into_iter().chain(index)
}

/// Writes keys that were kept elsewhere into the folder of a store that is put together.
///
/// # Errors
/// `store_unwritable`, `disk_full` and the like.
pub fn write_all(folder: &Path, keys: &Keys, before: crate::backup::Before<'_>) -> Result<()> {
    for (name, key) in named(keys) {
        let written = before("write a key").and_then(|()| write_key(folder, &name, key));
        written.map_err(|error| Error::store(format!("write keys/{name}"), error))?;
    }
    Ok(())
}

/// Makes one key that is not there yet; one that exists is never replaced. Durable when it returns.
///
/// # Errors
/// `store_unwritable`, `disk_full` and the like.
pub(crate) fn create_one(folder: &Path, name: &str) -> Result<()> {
    let made = create_key(folder, name).and_then(|()| File::open(folder)?.sync_all());
    made.map_err(|error| Error::store(format!("create keys/{name}"), error))
}

fn create_key(folder: &Path, name: &str) -> io::Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    write_key(folder, name, &Key::new(bytes))
}

fn write_key(folder: &Path, name: &str, key: &Key) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    // What a crash left half written was never used: no object was received before all keys stood.
    fs::remove_file(&temporary)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(key.bytes())?;
    file.sync_all()?;
    // A link never replaces: of two processes that create one store, the second finds the first one's key.
    match fs::hard_link(&temporary, folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::remove_file(&temporary),
    }
}

pub(crate) fn read_key(folder: &Path, name: &str) -> Result<Key> {
    let refuse = |code, what: String| Error::damaged(code, what, None);
    let mut file = File::open(folder.join(name)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refuse("key_missing", format!("open keys/{name}: it is not there")),
        _ => Error::store(format!("open keys/{name}"), error),
    })?;
    let meta = file.metadata().map_err(|error| Error::store(format!("look at keys/{name}"), error))?;
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        let what = format!("open keys/{name}: its mode is {mode:03o} and must be 600");
        return Err(refuse("key_permissions", what));
    }
    let mut bytes = Vec::with_capacity(33);
    Read::by_ref(&mut file)
        .take(33)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::store(format!("read keys/{name}"), error))?;
    let length = bytes.len();
    let key: [u8; 32] = bytes.try_into().map_err(|_| {
        refuse("key_damaged", format!("read keys/{name}: a key is 32 bytes and this file has {length}"))
    })?;
    Ok(Key::new(key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn keys_in(folder: &Path) -> [String; 3] {
        let keys = load(folder).expect("keys load");
        [&keys.stream, &keys.index[0].1, &keys.mapping].map(|key| key.check_value().to_string())
    }

    #[test]
    fn keys_that_exist_are_never_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        create_missing(folder.path()).expect("create");
        let first = keys_in(folder.path());
        create_missing(folder.path()).expect("create again");
        assert_eq!(keys_in(folder.path()), first);
        assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 3, "each key is drawn anew");
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        create_missing(folder.path()).expect("create");
        fs::set_permissions(folder.path().join("mapping"), fs::Permissions::from_mode(0o640)).expect("chmod");
        assert_eq!(load(folder.path()).expect_err("refused").code(), "key_permissions");
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        create_missing(folder.path()).expect("create");
        for length in [0, 31, 33, 64] {
            fs::write(folder.path().join("stream"), vec![7; length]).expect("write");
            assert_eq!(load(folder.path()).expect_err("refused").code(), "key_damaged", "{length} bytes");
        }
    }
}
