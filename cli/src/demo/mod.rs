//! The demo's synthetic studies, made in code: nobody in them exists, and the same seed makes the same bytes.

mod canvas;
mod invent;
mod object;
mod studies;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use domain::Reason;

pub(crate) use studies::studies;

/// The seed of `medimg demo`.
pub(crate) const SEED: u64 = 1;

/// What the pipeline must do with a file of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It ends delivered.
    Delivered,
    /// It ends quarantined for this reason.
    Quarantined(Reason),
}

/// One file of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DemoFile {
    /// Relative path with `/` between its parts.
    pub(crate) name: String,
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
    /// What it is, for people; holds none of its identifiers.
    pub(crate) told: &'static str,
    /// How it must end.
    pub(crate) expected: Expected,
}

/// Writes the files below `dir`, which is created. If one of them is there
/// already, nothing is written: `AlreadyExists`.
pub(crate) fn write(files: &[DemoFile], dir: &Path) -> io::Result<()> {
    if files.iter().any(|file| dir.join(&file.name).exists()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    for file in files {
        let path = dir.join(&file.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut target = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        target.write_all(&file.bytes)?;
        target.sync_all()?;
    }
    Ok(())
}

/// Makes sure that `dir` holds the files: those that are not there are written, each whole or not at all. One that is
/// there with other bytes is no file of the demo: `InvalidData`, and it is left as it is.
pub(crate) fn ensure(files: &[DemoFile], dir: &Path) -> io::Result<()> {
    for file in files {
        let path = dir.join(&file.name);
        match fs::read(&path) {
            Ok(bytes) if bytes == file.bytes => continue,
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let part = path.with_extension("part");
        let mut target = fs::File::create(&part)?;
        target.write_all(&file.bytes)?;
        target.sync_all()?;
        fs::rename(&part, &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_bytes() {
        assert!(studies(7) == studies(7));
    }

    #[test]
    fn another_seed_makes_other_people_and_other_uids() {
        let (first, second) = (studies(1), studies(2));
        assert_eq!(first.len(), second.len());
        assert!(first.iter().zip(&second).all(|(a, b)| a.bytes != b.bytes));
    }

    #[test]
    fn no_name_stands_twice_and_every_ending_is_shown() {
        let files = studies(SEED);
        let mut names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), files.len());
        for expected in [
            Expected::Delivered,
            Expected::Quarantined(Reason::PixelsNotJudged),
            Expected::Quarantined(Reason::Truncated),
            Expected::Quarantined(Reason::NotDicom),
        ] {
            assert!(files.iter().any(|file| file.expected == expected), "{expected:?}");
        }
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files = studies(SEED);
        write(&files, dir.path()).expect("the first time");
        for file in &files {
            assert_eq!(fs::read(dir.path().join(&file.name)).expect("written"), file.bytes);
        }
        let again = write(&files, dir.path()).expect_err("the second time");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn files_that_are_there_stay_and_others_are_told_apart() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files = studies(SEED);
        ensure(&files, dir.path()).expect("the first time");
        fs::remove_file(dir.path().join(&files[3].name)).expect("removed");
        ensure(&files, dir.path()).expect("the second time");
        assert_eq!(fs::read(dir.path().join(&files[3].name)).expect("written again"), files[3].bytes);
        fs::write(dir.path().join(&files[3].name), b"other").expect("changed");
        assert_eq!(ensure(&files, dir.path()).expect_err("refused").kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read(dir.path().join(&files[3].name)).expect("left"), b"other");
    }
}
