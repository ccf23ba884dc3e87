//! The embedded facts: PS3.15 Table E.1-1, the attributes of every IOD, the public coding schemes.
//!
//! The texts under `domain/facts/` are written by `domain/facts/generate.py` and checked in. They are checked whole once, when
//! a profile is made ([`Facts::load`]); what an object needs of the IODs is parsed when it is needed (`super::iod`).
//! `e1-1.txt`: one row a line, its number first. `iods.txt`: `S uid iod`, `I name modules overrides`, `M name tree`.
//! `trees.txt`: one tree a line, 13 characters an entry: tag, Type (`1`, `A` = 1C, `2`, `B` = 2C, `3`, `-`), tree of the items.

mod rows;

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

pub use rows::{Action, IdentifierClass, Row, Rows};

const TABLE: &str = include_str!("../../../facts/e1-1.txt");
pub(super) const IODS: &str = include_str!("../../../facts/iods.txt");
pub(super) const TREES: &str = include_str!("../../../facts/trees.txt");
const SCHEMES: &str = include_str!("../../../facts/coding-schemes.txt");

/// How many rows Table E.1-1 has; a table with fewer is not whole.
pub const ROW_COUNT: usize = 656;

/// Why the facts, and with them a profile, did not load. The pipeline stops: nothing may be de-identified by half a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// A line does not have the form that the loader reads.
    #[error("line {line} of the embedded {file} does not parse")]
    Line {
        /// Name of the embedded file.
        file: &'static str,
        /// Line number, from 1.
        line: usize,
    },
    /// There are not as many entries as the file's first line promises.
    #[error("the embedded {file} has {found} entries where {expected} are promised")]
    Count {
        /// Name of the embedded file.
        file: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
}

/// The facts, loaded whole.
#[derive(Debug)]
pub struct Facts {
    /// Table E.1-1.
    pub rows: Rows,
    schemes: Vec<&'static str>,
    digest: String,
}

impl Facts {
    /// Returns the facts, parsed and checked on the first call.
    pub fn load() -> Result<&'static Self, FactsError> {
        static FACTS: OnceLock<Result<Facts, FactsError>> = OnceLock::new();
        FACTS.get_or_init(|| Self::parse(TABLE, SCHEMES, IODS, TREES)).as_ref().map_err(Clone::clone)
    }

    fn parse(table: &str, schemes: &'static str, iods: &str, trees: &str) -> Result<Self, FactsError> {
        let rows = Rows::parse(table)?;
        check_iods(iods, trees)?;
        let mut schemes: Vec<_> =
            schemes.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect();
        schemes.sort_unstable();
        let mut hash = Sha256::new();
        for text in [table, SCHEMES, iods, trees] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { rows, schemes, digest })
    }

    /// Returns the SHA-256 of the embedded texts in lower-case hex; part of every profile's digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether `designator` names a public coding scheme (PS3.16 Table 8-1), whose codes and meanings identify nobody.
    pub fn is_standard_scheme(&self, designator: &str) -> bool {
        self.schemes.binary_search(&designator).is_ok()
    }
}

/// Checks the form of the IOD texts without building anything: lines, counts, and that every tree named exists.
fn check_iods(iods: &str, trees: &str) -> Result<(), FactsError> {
    let tree_count = trees.lines().count();
    for (index, line) in trees.lines().enumerate() {
        let whole = line.len() % 13 == 0
            && line.as_bytes().chunks_exact(13).all(|entry| {
                b"1A2B3-".contains(&entry[8])
                    && (&entry[9..] == b"....".as_slice()
                        || std::str::from_utf8(&entry[9..])
                            .ok()
                            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
                            .is_some_and(|child| child < tree_count))
            });
        if !whole {
            return Err(FactsError::Line { file: "trees.txt", line: index + 1 });
        }
    }
    let mut found = [0usize; 3];
    for (index, line) in iods.lines().enumerate().skip(1) {
        let kind = ["S ", "I ", "M "].iter().position(|prefix| line.starts_with(prefix));
        found[kind.ok_or(FactsError::Line { file: "iods.txt", line: index + 1 })?] += 1;
    }
    let promised: Vec<usize> = iods.lines().next().unwrap_or("").split(' ').filter_map(|w| w.parse().ok()).collect();
    if promised != found {
        return Err(FactsError::Count { file: "iods.txt", found: found.iter().sum(), expected: promised.iter().sum() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_facts_load_whole() {
        let facts = Facts::load().unwrap();
        assert_eq!(facts.rows.len(), ROW_COUNT);
        assert_eq!(facts.digest().len(), 64);
        assert!(facts.is_standard_scheme("DCM") && !facts.is_standard_scheme("99LOCAL"));
    }

    #[test]
    fn the_class_of_a_tag_is_its_rows() {
        let rows = &Facts::load().unwrap().rows;
        let mut classed = 0;
        for group in (0..=0x0100).chain([0x0400, 0x2200, 0x300A, 0x3010, 0x4008, 0x5002, 0x6000, 0x60FF]) {
            for element in 0..=0xFFFF {
                let tag = dicom_core::Tag(group, element);
                let row = rows.find(tag).map_or(IdentifierClass::None, |row| row.class);
                assert_eq!(rows.class_of(tag), row, "{tag}");
                classed += usize::from(row != IdentifierClass::None);
            }
        }
        assert!(classed > 50, "{classed}");
    }

    #[test]
    fn a_table_that_lacks_a_row_does_not_load() {
        let short: String =
            TABLE.lines().filter(|line| !line.starts_with("72 ")).map(|line| format!("{line}\n")).collect();
        assert!(Facts::parse(&short, SCHEMES, IODS, TREES).is_err());
        let garbled = TABLE.replace("00100010 Z", "00100010 Q");
        assert!(Facts::parse(&garbled, SCHEMES, IODS, TREES).is_err());
        assert!(Facts::parse(TABLE, SCHEMES, IODS, &TREES[..TREES.len() - 20]).is_err());
    }
}
