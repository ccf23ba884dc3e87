//! Prints what the scanner finds in each file named, as NDJSON, for comparison with other readers:
//! one line for the file (`verdict`, and `reason`, `detail`, `at` or `syntax`, `notes`), then one line for each element.
//!
//! `cargo run -p domain --example skeleton_dump -- FILE…`, or `-` to read the names from standard input.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example speaks to the terminal")]

use std::io::{BufRead as _, Write};

use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::skeleton::{Content, Element, Skeleton};
use serde_json::json;
use sha2::{Digest as _, Sha256};

fn main() -> std::io::Result<()> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names == ["-"] {
        names = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for name in names {
        let bytes = std::fs::read(&name)?;
        dump(&mut out, &name, &bytes)?;
    }
    out.flush()
}

fn dump(out: &mut impl Write, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let (skeleton, inflated) = match scan_slice(bytes, Limits::default()) {
        Ok(scanned) => scanned,
        Err(refused) => {
            let line = json!({"file": name, "verdict": "refused", "reason": refused.reason.code(),
                              "detail": refused.detail, "at": refused.at});
            return writeln!(out, "{line}");
        }
    };
    let notes: Vec<String> = skeleton.notes.iter().map(|note| format!("{note:?}")).collect();
    let encapsulated = skeleton.encapsulated.as_ref().map(|found| {
        let cuts: Vec<_> = found.cuts.iter().map(|c| json!([c.what, c.offset, c.len, c.replacement.len()])).collect();
        json!({"table": found.basic_offset_table.len(), "fragments": found.fragments.len(),
               "frames": found.frames.len(), "cuts": cuts})
    });
    let line = json!({"file": name, "verdict": "scanned", "syntax": skeleton.syntax.uid, "len": skeleton.len,
        "data_set": skeleton.data_set, "data_set_end": skeleton.data_set_end, "notes": notes,
        "encapsulated": encapsulated});
    writeln!(out, "{line}")?;
    let source = Source { file: bytes, inflated: inflated.as_deref(), data_set: skeleton.data_set };
    for element in &skeleton.meta {
        leaf(out, &source, &path(&[], element), element)?;
    }
    elements(out, &source, &skeleton)
}

/// Where the bytes of a logical offset are.
struct Source<'a> {
    file: &'a [u8],
    inflated: Option<&'a [u8]>,
    data_set: u64,
}

impl Source<'_> {
    fn value(&self, element: &Element) -> &[u8] {
        let (start, len) = (element.value as usize, element.len as usize);
        match self.inflated {
            Some(inflated) if element.value >= self.data_set => &inflated[start - self.data_set as usize..][..len],
            _ => &self.file[start..][..len],
        }
    }
}

fn path(parents: &[String], element: &Element) -> String {
    let own = format!("{:04X}{:04X}", element.tag.0, element.tag.1);
    parents.iter().chain([&own]).cloned().collect::<Vec<_>>().join(".")
}

fn leaf(out: &mut impl Write, source: &Source<'_>, path: &str, element: &Element) -> std::io::Result<()> {
    let digest = Sha256::digest(source.value(element));
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let line =
        json!({"path": path, "vr": element.vr.to_string(), "un": element.was_un, "len": element.len, "sha256": hex});
    writeln!(out, "{line}")
}

/// Prints every element; the item numbers of a path count from 0 and stand between the tags.
fn elements(out: &mut impl Write, source: &Source<'_>, skeleton: &Skeleton) -> std::io::Result<()> {
    // Open sequences and items: index behind their subtree, their part of the path, items seen so far.
    let mut open: Vec<(u32, String, usize)> = Vec::new();
    for (index, element) in skeleton.elements.iter().enumerate() {
        while open.last().is_some_and(|(end, ..)| *end as usize <= index) {
            open.pop();
        }
        let parents: Vec<String> = open.iter().map(|(_, part, _)| part.clone()).collect();
        match element.content {
            Content::Item => {
                let number = open.last_mut().map_or(0, |sequence| {
                    sequence.2 += 1;
                    sequence.2 - 1
                });
                open.push((element.end, number.to_string(), 0));
            }
            Content::Sequence => {
                let path = path(&parents, element);
                let items = skeleton.children(Some(index)).count();
                writeln!(out, "{}", json!({"path": path, "vr": "SQ", "un": element.was_un, "items": items}))?;
                open.push((element.end, format!("{:04X}{:04X}", element.tag.0, element.tag.1), 0));
            }
            _ => leaf(out, source, &path(&parents, element), element)?,
        }
    }
    Ok(())
}
