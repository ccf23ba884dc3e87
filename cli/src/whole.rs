//! Files that are there whole or not at all: written beside their name, synced, and only then given it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Returns the name under which a file is written.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    name.into()
}

/// Creates a new file that may be read back.
pub(crate) fn create(part: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(part)
}

/// Whether a file stands under the name, and if so whether it holds the bytes of the part.
pub(crate) fn stands(output: &Path, part: &Path) -> io::Result<Option<bool>> {
    match File::open(output) {
        Ok(standing) => same(standing, File::open(part)?).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn same(one: File, other: File) -> io::Result<bool> {
    if !one.metadata()?.is_file() || one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let mut pair = BufReader::new(one).bytes().zip(BufReader::new(other).bytes());
    pair.try_fold(true, |same, (one, other)| Ok(same && one? == other?))
}

/// Gives the part its name. Where nothing stood a link is made, which never replaces what came there meanwhile.
pub(crate) fn publish(part: &Path, output: &Path, stood: Option<bool>) -> io::Result<()> {
    match stood {
        None => fs::hard_link(part, output)?,
        Some(true) => return Ok(()),
        Some(false) => fs::rename(part, output)?,
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
