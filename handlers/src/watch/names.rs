//! Names under which programs write what is not complete yet.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Endings of files that are still being transferred or edited; the writer renames them when they are whole.
const UNFINISHED_ENDINGS: [&[u8]; 8] =
    [b".part", b".partial", b".tmp", b".temp", b".filepart", b".crdownload", b".swp", b"~"];

/// Whether a file or folder of this name waits until it is renamed: hidden ones, and those with a temporary ending in any letter case.
pub fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let ends = |end: &&[u8]| name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end);
    name.starts_with(b".") || UNFINISHED_ENDINGS.iter().any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_and_hidden_names_wait_and_others_do_not() {
        for name in [".a.dcm", "a.dcm.part", "a.TMP", "a~", "a.filepart", "a.crdownload", ".a.dcm.Xy12"] {
            assert!(is_unfinished(OsStr::new(name)), "{name}");
        }
        for name in ["a.dcm", "part", "IM0001", "a.parted", "tmp.dcm"] {
            assert!(!is_unfinished(OsStr::new(name)), "{name}");
        }
    }
}
