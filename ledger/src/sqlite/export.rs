//! The log as lines of JSON that anyone can check with nothing but SHA-256: see `ledger/verify_export.py`.

use std::collections::VecDeque;
use std::path::Path;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::connect::{self, Snapshot, classify};
use super::read;
use crate::{Error, Head, Origin};

/// Entries read at once.
const CHUNK: usize = 256;

/// The lines of an export, without their LF: the head, then one line for each entry by rising leaf index.
///
/// One state of the store, read as `verify` reads it: nothing is written. Ends after the first error.
pub struct Export {
    snapshot: Snapshot,
    origin: Origin,
    head: Head,
    next: u64,
    lines: VecDeque<String>,
    ended: bool,
}

#[derive(Serialize)]
struct HeadLine<'a> {
    format: &'static str,
    origin: &'a str,
    size: u64,
    root: String,
}

#[derive(Serialize)]
struct EntryLine<'a> {
    leafindex: u64,
    header: &'a str,
    nonce: String,
    body: &'a str,
}

impl Export {
    /// Opens the store at `path` for an export.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let snapshot = Snapshot::open(path.as_ref(), false)?;
        let (origin, head) = begin(&snapshot.connection)?;
        let line = HeadLine {
            format: "imgledger-export/v1",
            origin: origin.as_str(),
            size: head.size,
            root: head.root.base64(),
        };
        let lines = VecDeque::from([json(&line)?]);
        Ok(Self { snapshot, origin, head, next: 0, lines, ended: false })
    }

    /// Returns the head that the export is of.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    fn read_chunk(&mut self) -> Result<(), Error> {
        let rows = read::entries(&self.snapshot.connection, &self.origin, self.next, CHUNK)?;
        let complete = rows.last().map_or(self.next, |row| row.leaf_index + 1);
        let expected = self.head.size.min(self.next + CHUNK as u64);
        if rows.first().is_some_and(|row| row.leaf_index != self.next) || complete != expected {
            let what = "the log does not hold the entries that its head counts";
            return Err(Error::Damaged { what, leaf_index: Some(self.next), source: None });
        }
        for row in &rows {
            let header =
                std::str::from_utf8(&row.entry.header_bytes).map_err(|_| connect::damaged("a header is no text"))?;
            let (nonce, body) = (row.entry.nonce.base64(), row.entry.body.as_str());
            self.lines.push_back(json(&EntryLine { leafindex: row.leaf_index, header, nonce, body })?);
        }
        self.next = complete;
        if self.next == self.head.size && self.snapshot.was_disturbed() {
            return Err(Error::Unavailable { source: Some("the store was changed while it was read".into()) });
        }
        Ok(())
    }
}

impl Iterator for Export {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.lines.is_empty()
            && !self.ended
            && self.next < self.head.size
            && let Err(error) = self.read_chunk()
        {
            self.ended = true;
            self.lines.clear();
            return Some(Err(error));
        }
        self.lines.pop_front().map(Ok)
    }
}

fn begin(connection: &Connection) -> Result<(Origin, Head), Error> {
    connection.execute_batch("BEGIN").map_err(classify)?;
    connect::identify(connection)?;
    let head = read::head(connection)?;
    // Rows beyond the head are in no export, and an export that leaves out rows is no copy of the log.
    let beyond = "SELECT count(*) FROM (SELECT 1 FROM entries WHERE gseq < 0 OR gseq >= ? LIMIT 1)";
    let beyond: i64 = connection.query_row(beyond, params![head.size as i64], |row| row.get(0)).map_err(classify)?;
    if beyond > 0 {
        let what = "the log holds entries beyond its head";
        return Err(Error::Damaged { what, leaf_index: Some(head.size), source: None });
    }
    Ok((connect::origin(connection)?, head))
}

fn json(line: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(line).map_err(|error| Error::Damaged {
        what: "an entry cannot be written as JSON",
        leaf_index: None,
        source: Some(Box::new(error)),
    })
}
