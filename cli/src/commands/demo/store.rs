//! Whether a store may be used for the demo: it must be empty or hold nothing else.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use domain::events::{self, Digest, EventData};
use handlers::ask;
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use sha2::Digest as _;

use crate::commands::block_on;
use crate::demo::DemoFile;
use crate::error::Error;

/// Folder of the demo's originals, in the store.
pub(super) const INPUT: &str = "demo-input";

/// What may lie in a folder that is no store yet.
const HARMLESS: [&str; 9] =
    ["config.toml", "heads", "keys", "lock", "processed", "staging", "raw", "sources.sqlite", INPUT];

/// Refuses a store that holds an object which is none of the demo's, and a folder that holds something else.
pub(super) fn check(root: &Path, environment: &str, files: &[DemoFile]) -> Result<(), Error> {
    if root.join("ledger.sqlite").exists() {
        return check_log(root, environment, files);
    }
    let failed = |cause| Error::Read { what: "the folder of the store", cause };
    match fs::read_dir(root) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(failed(cause)),
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(failed)?.file_name();
                if !HARMLESS.iter().any(|harmless| name == *harmless) {
                    return Err(Error::DemoStore);
                }
            }
            Ok(())
        }
    }
}

fn check_log(root: &Path, environment: &str, files: &[DemoFile]) -> Result<(), Error> {
    let ours: HashSet<Digest> = files.iter().map(|file| Digest(sha2::Sha256::digest(&file.bytes).into())).collect();
    let store = Store::open(root, Access::Ask, environment, &System)?;
    let size = block_on(ask::head_size(&store))??;
    let mut from = 0;
    while from < size {
        let page = block_on(ask::page(&store, from, size))??;
        let Some(last) = page.last() else { break };
        from = last.leaf_index + 1;
        for row in &page {
            let header = &row.entry.header;
            let read = events::read(row.entry.body.as_bytes()).map_err(|error| Error::Entry {
                stream: header.stream.to_string(),
                seq: header.seq,
                code: error.code(),
            })?;
            let foreign =
                |data: &EventData| matches!(data, EventData::ObjectReceived(said) if !ours.contains(&said.sha256));
            if read.iter().any(|event| foreign(&event.data)) {
                return Err(Error::DemoStore);
            }
        }
    }
    Ok(())
}
