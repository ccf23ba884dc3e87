//! The receipt: what was done at which path by which rule, packed; no values.

use std::fmt::Write as _;

use dicom_core::Tag;

use super::hash::FastMap;
use crate::dicom::plan::Receipt;

/// More distinct entries than this are only counted (16 KB is where a ledger body becomes a claim check).
const ENTRY_COUNT_MAX: usize = 600;

/// What was done to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Done {
    /// Put in by us.
    Added,
    /// A dummy stands in its place.
    Dummy,
    /// Unchanged; only counted.
    Kept,
    /// A new UID or pseudonym stands in its place.
    Mapped,
    /// Gone.
    Removed,
    /// Zero length.
    Emptied,
}

impl Done {
    const ALL: [Self; 6] = [Self::Added, Self::Dummy, Self::Kept, Self::Mapped, Self::Removed, Self::Emptied];

    const fn letter(self) -> char {
        match self {
            Self::Added => 'a',
            Self::Dummy => 'd',
            Self::Kept => 'k',
            Self::Mapped => 'u',
            Self::Removed => 'x',
            Self::Emptied => 'z',
        }
    }
}

/// The rule that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// A row of Table E.1-1, by its number.
    Row(u16),
    /// A general rule, by its name.
    General(&'static str),
}

/// A place: a chain of sequences. Items of one sequence share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path(u32);

impl Path {
    pub(super) const ROOT: Self = Self(0);
}

/// The receipt under construction.
#[derive(Debug)]
pub(super) struct Book {
    /// Sequences by number: parent and tag; number 0 is the top level.
    paths: Vec<(Path, Tag)>,
    entries: Vec<(Path, Tag, Done, Rule, u32)>,
    found: FastMap<(Path, Tag, Done, Rule), u32>,
    counts: [u32; 6],
    /// What found no room any more.
    rest: u32,
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            paths: vec![(Path::ROOT, Tag(0, 0))],
            entries: Vec::with_capacity(96),
            found: FastMap::default(),
            counts: [0; 6],
            rest: 0,
        }
    }

    /// Returns the place inside the sequence `tag` of `parent`.
    pub(super) fn inside(&mut self, parent: Path, tag: Tag) -> Path {
        if let Some(at) = self.paths.iter().rposition(|path| *path == (parent, tag)) {
            return Path(at as u32);
        }
        if self.paths.len() >= ENTRY_COUNT_MAX {
            return parent;
        }
        self.paths.push((parent, tag));
        Path(self.paths.len() as u32 - 1)
    }

    pub(super) fn kept(&mut self) {
        self.counts[Done::Kept as usize] += 1;
    }

    pub(super) fn note(&mut self, path: Path, tag: Tag, done: Done, rule: Rule) {
        self.counts[done as usize] += 1;
        // Private attributes are one entry a group; which vendor's they were is no business of the ledger.
        let tag = if tag.group() & 1 == 1 { Tag(tag.group(), 0xFFFF) } else { tag };
        let key = (path, tag, done, rule);
        if let Some(entry) = self.entries.last_mut().filter(|entry| (entry.0, entry.1, entry.2, entry.3) == key) {
            entry.4 += 1;
            return;
        }
        // At the top level a tag stands once; only inside items entries come again.
        if path != Path::ROOT
            && let Some(&at) = self.found.get(&key)
        {
            self.entries[at as usize].4 += 1;
            return;
        }
        if self.entries.len() >= ENTRY_COUNT_MAX {
            self.rest += 1;
            return;
        }
        if path != Path::ROOT {
            self.found.insert(key, self.entries.len() as u32);
        }
        self.entries.push((path, tag, done, rule, 1));
    }

    pub(super) fn finish(self) -> Receipt {
        let mut packed = String::with_capacity(self.entries.len() * 18);
        for (path, tag, done, rule, count) in &self.entries {
            if !packed.is_empty() {
                packed.push(',');
            }
            self.write_path(*path, &mut packed, 0);
            write_tag(*tag, &mut packed);
            let _ = write!(packed, " {} ", done.letter());
            let _ = match rule {
                Rule::Row(number) => write!(packed, "r{number}"),
                Rule::General(name) => write!(packed, "{name}"),
            };
            if *count > 1 {
                let _ = write!(packed, " *{count}");
            }
        }
        if self.rest > 0 {
            let _ = write!(packed, ",* * more *{}", self.rest);
        }
        let counts = Done::ALL
            .into_iter()
            .map(|done| (done.letter(), self.counts[done as usize]))
            .filter(|(_, count)| *count > 0)
            .collect();
        Receipt { packed, counts }
    }

    /// Recursion is bounded by the scan's nesting limit.
    fn write_path(&self, path: Path, out: &mut String, depth: usize) {
        if path == Path::ROOT || depth > 64 {
            return;
        }
        let (parent, tag) = self.paths[path.0 as usize];
        self.write_path(parent, out, depth + 1);
        write_tag(tag, out);
        out.push_str(".*.");
    }
}

fn write_tag(tag: Tag, out: &mut String) {
    let digits = b"0123456789ABCDEF";
    for shift in [12, 8, 4, 0] {
        out.push(char::from(digits[usize::from(tag.group() >> shift & 15)]));
    }
    if tag.group() & 1 == 1 && tag.element() == 0xFFFF {
        out.push_str("xxxx");
        return;
    }
    for shift in [12, 8, 4, 0] {
        out.push(char::from(digits[usize::from(tag.element() >> shift & 15)]));
    }
}
