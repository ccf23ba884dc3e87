//! The members of a bundle, one after the other, in the order of their names. Each is written as it is read.

use std::ops::Range;

use ledger::tiles::{BUNDLE_BYTES_MAX, TILE_BYTES_MAX, TileKind, tiles_between};
use ledger::{LeafHash, LogEntry, READ_ENTRIES_MAX};
use serde::Serialize;

use super::published::{Published, differs};
use super::select::Place;
use super::tree::Tree;
use super::zipped::{Written, Zipped};
use super::{Kind, readme};
use crate::error::{Error, Result};
use crate::store::Store;

const CHECK: &str = include_str!("bundle/check.py");
const CHECK_SIGNATURE: &str = include_str!("bundle/check_signature.sh");
/// The form of a bundle; the scripts refuse another.
const FORMAT: &str = "medimg-proof/v1";
/// Leaves between two that are wanted that are read along: cheaper than asking again.
const GAP_MAX: u64 = 16;
/// What a line takes at most: a body of a mebibyte, each byte spelt with six.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// What most lines take.
const LINE_BYTES: u64 = 16 << 10;

/// What a bundle proves, and from what.
pub(super) struct Contents<'a> {
    pub(super) store: &'a Store,
    pub(super) place: Place,
    /// Number of the log's folder.
    pub(super) number: u32,
    pub(super) published: &'a Published,
    pub(super) kind: Kind,
    /// Subjects of the study, as headers spell them.
    pub(super) subjects: &'a [String],
    /// Other logs of the store that hold more of it.
    pub(super) elsewhere: Vec<&'a str>,
    pub(super) carrying: &'a [u64],
    pub(super) leaves: &'a [u64],
    pub(super) streams: u64,
    pub(super) with_log: bool,
}

#[derive(Serialize)]
struct EntryLine<'a> {
    leafindex: u64,
    leafhash: String,
    header: &'a str,
    nonce: String,
    body: &'a str,
}

#[derive(Serialize)]
struct ProofLine {
    leafindex: u64,
    hashes: Vec<String>,
}

#[derive(Serialize)]
struct Statement<'a> {
    format: &'static str,
    kind: &'static str,
    origin: &'a str,
    size: u64,
    root: String,
    subjects: &'a [String],
    elsewhere: &'a [&'a str],
    log: bool,
}

impl Contents<'_> {
    /// Writes the bundle.
    ///
    /// # Errors
    /// What reading the ledger and the published log, and writing the zip say.
    pub(super) fn write(&self, mut zip: Zipped) -> Result<Written> {
        let mut tree = Tree::of(self.published);
        if self.kind != Kind::Study {
            self.tlog_proofs(&mut tree, &mut zip)?;
        }
        zip.file("README.txt", readme::of(self).as_bytes())?;
        zip.file("check.py", CHECK.as_bytes())?;
        zip.file("check_signature.sh", CHECK_SIGNATURE.as_bytes())?;
        zip.file("checkpoint", self.note().as_bytes())?;
        self.entries(&mut tree, &mut zip)?;
        if self.with_log {
            self.log(&mut zip)?;
        }
        self.proofs(&mut tree, &mut zip)?;
        self.statement(&mut zip)?;
        zip.file("vkey", format!("{}\n", self.published.key).as_bytes())?;
        zip.finish()
    }

    /// Each proof as a file of its own that other tools read (c2sp.org/tlog-proof).
    fn tlog_proofs(&self, tree: &mut Tree<'_>, zip: &mut Zipped) -> Result<()> {
        for &leaf in self.leaves {
            let mut text = format!("c2sp.org/tlog-proof@v1\nindex {leaf}\n").into_bytes();
            for hash in tree.inclusion(leaf)? {
                text.extend_from_slice(base64(hash).as_bytes());
                text.push(b'\n');
            }
            text.push(b'\n');
            text.extend_from_slice(self.note().as_bytes());
            zip.file(format!("{leaf}.tlog-proof"), &text)?;
        }
        Ok(())
    }

    fn entries(&self, tree: &mut Tree<'_>, zip: &mut Zipped) -> Result<()> {
        zip.member("entries.ndjson", self.lines_bytes())?;
        let mut line = Vec::new();
        for Span { rows, wanted } in spans(self.leaves) {
            let mut wanted = self.leaves[wanted].iter().copied().peekable();
            for LogEntry { leaf_index, entry } in self.place.entries(self.store, rows)? {
                if wanted.next_if_eq(&leaf_index).is_none() {
                    continue;
                }
                if entry.leaf != tree.leaf(leaf_index)? {
                    return Err(differs("an entry of the ledger is not the leaf that was published"));
                }
                let header = std::str::from_utf8(&entry.header_bytes).map_err(|_| differs("a header is no text"))?;
                let (leafhash, nonce, body) = (entry.leaf.base64(), entry.nonce.base64(), entry.body.as_str());
                line.clear();
                put(&mut line, &EntryLine { leafindex: leaf_index, leafhash, header, nonce, body })?;
                zip.write(&line)?;
            }
            if wanted.peek().is_some() {
                return Err(differs("the ledger lacks an entry that was published"));
            }
        }
        Ok(())
    }

    fn proofs(&self, tree: &mut Tree<'_>, zip: &mut Zipped) -> Result<()> {
        zip.member("proofs.ndjson", self.lines_bytes())?;
        let mut line = Vec::new();
        for &leafindex in self.leaves {
            let hashes = tree.inclusion(leafindex)?.into_iter().map(base64).collect();
            line.clear();
            put(&mut line, &ProofLine { leafindex, hashes })?;
            zip.write(&line)?;
        }
        Ok(())
    }

    /// The log itself up to the checkpoint: headers and hashes, nothing of any body.
    fn log(&self, zip: &mut Zipped) -> Result<()> {
        zip.file("log/checkpoint", self.note().as_bytes())?;
        for path in tiles_between(0, self.published.checkpoint.size) {
            let size_max = match path.kind {
                TileKind::Hashes(_) => TILE_BYTES_MAX,
                TileKind::Entries => BUNDLE_BYTES_MAX,
            };
            zip.member(format!("log/{path}"), size_max as u64)?;
            zip.write(&self.published.read(path)?)?;
        }
        Ok(())
    }

    fn statement(&self, zip: &mut Zipped) -> Result<()> {
        let checkpoint = &self.published.checkpoint;
        let mut text = Vec::new();
        let said = Statement {
            format: FORMAT,
            kind: self.kind.word(),
            origin: &checkpoint.origin,
            size: checkpoint.size,
            root: checkpoint.root.base64(),
            subjects: self.subjects,
            elsewhere: &self.elsewhere,
            log: self.with_log,
        };
        put(&mut text, &said)?;
        // The lists go on where the object ends, piece by piece.
        text.truncate(text.len().saturating_sub("}\n".len()));
        zip.member("statement.json", LINE_BYTES_MAX + 42 * self.leaves.len() as u64)?;
        zip.write(&text)?;
        for (name, leaves) in [("carrying", self.carrying), ("leaves", self.leaves)] {
            zip.write(format!(",\"{name}\":[").as_bytes())?;
            for (at, leaf) in leaves.iter().enumerate() {
                zip.write(format!("{}{leaf}", if at == 0 { "" } else { "," }).as_bytes())?;
            }
            zip.write(b"]")?;
        }
        zip.write(b"}\n")
    }

    fn note(&self) -> String {
        self.published.note.to_string()
    }

    /// How many bytes the lines of all entries may have, so that the zip has room to say it.
    const fn lines_bytes(&self) -> u64 {
        LINE_BYTES_MAX + LINE_BYTES * self.leaves.len() as u64
    }
}

/// Rows of the log that are read at once, and which of the wanted leaves are among them.
struct Span {
    rows: Range<u64>,
    wanted: Range<usize>,
}

/// Returns the readings that give all of these leaves, which rise.
fn spans(leaves: &[u64]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (at, &leaf) in leaves.iter().enumerate() {
        match spans.last_mut() {
            Some(Span { rows, wanted })
                if leaf < rows.start + READ_ENTRIES_MAX as u64 && leaf <= rows.end + GAP_MAX =>
            {
                (rows.end, wanted.end) = (leaf + 1, at + 1);
            }
            _ => spans.push(Span { rows: leaf..leaf + 1, wanted: at..at + 1 }),
        }
    }
    spans
}

fn base64(hash: [u8; 32]) -> String {
    LeafHash(hash).base64()
}

fn put(line: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *line, value)
        .map_err(|error| Error::damaged("task_panicked", "write a line of a bundle", Some(Box::new(error))))?;
    line.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_leaves_are_one_reading_and_none_is_left_out() {
        let leaves: Vec<u64> =
            [(0, 2_000), (2_010, 3), (5_000, 1)].iter().flat_map(|&(from, n)| from..from + n).collect();
        let spans = spans(&leaves);
        let rows: Vec<_> = spans.iter().map(|span| span.rows.clone()).collect();
        assert_eq!(rows, [0..1_024, 1_024..2_013, 5_000..5_001]);
        let wanted: Vec<u64> = spans.iter().flat_map(|span| leaves[span.wanted.clone()].iter().copied()).collect();
        assert_eq!(wanted, leaves);
    }
}
