//! The manifest of a backup: every part by name, with the SHA-256 of its stored bytes. It is written last; a folder without
//! one is no backup. It holds no identifier: parts are named by new UIDs, keyed hashes and words of ours.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use domain::events::{Digest, ProcessedKey};
use domain::ids::StreamId;
use ledger::Origin;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Name of the manifest in its backup.
pub const MANIFEST: &str = "manifest.json";
/// First field of every manifest.
const FORMAT: &str = "medimg-backup/v1";
/// A manifest of a million parts has about 300 MB.
const MANIFEST_BYTES_MAX: u64 = 1 << 29;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// Version of the program that wrote it.
    pub medimg: String,
    /// The log that was copied.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// Their Merkle root.
    pub root: Digest,
    /// When it was made; RFC 3339.
    pub made_at: String,
    /// Keys of processed objects and streams of originals that the store did not hold as they were written.
    pub missing: Vec<String>,
    /// The parts, sorted by name.
    pub parts: Vec<Part>,
}

/// One part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its path in the store.
    pub name: String,
    /// SHA-256 of the bytes that the backup stores.
    pub sha256: Digest,
    /// How many those are.
    pub size_bytes: u64,
}

/// What a part is, by its name. No other name is one, so no manifest leads out of its folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A log, that of now or one before a recovery; as it is.
    Ledger,
    /// A processed object; as it is.
    Processed(ProcessedKey),
    /// The copy of an original; sealed.
    Raw(StreamId),
    /// Where objects lie, and notes; sealed.
    Sources,
    /// The configuration; sealed, for it may name folders.
    Config,
    /// The key that signs checkpoints; sealed. It may have changed since the other keys were written to their file.
    SigningKey,
    /// The public keys that have signed, which say what an older signature is of; sealed beside it.
    VerifierKeys,
}

impl Part {
    /// Returns what the part is.
    pub fn kind(&self) -> Option<Kind> {
        let name = self.name.as_str();
        match name {
            "ledger.sqlite" => return Some(Kind::Ledger),
            "sources.sqlite" => return Some(Kind::Sources),
            "config.toml" => return Some(Kind::Config),
            "keys/signing" => return Some(Kind::SigningKey),
            "log/vkeys" => return Some(Kind::VerifierKeys),
            _ => {}
        }
        if let Some(number) = name.strip_prefix("ledger.").and_then(|rest| rest.strip_suffix(".sqlite")) {
            let plain = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
            return plain.then_some(Kind::Ledger);
        }
        if let Some(key) = name.strip_prefix("processed/") {
            return ProcessedKey::parse(key).map(Kind::Processed);
        }
        let stream = name.strip_prefix("raw/").and_then(|rest| rest.strip_suffix(".dcm"))?;
        StreamId::parse(stream).map(Kind::Raw)
    }

    /// Whether the part is sealed.
    pub fn is_sealed(&self) -> bool {
        self.kind().is_some_and(|kind| !matches!(kind, Kind::Ledger | Kind::Processed(_)))
    }

    /// Returns the file of the backup that stores it. The copy of an original is sealed once and keeps its name; everything
    /// else is stored under its digest.
    pub fn file(&self) -> PathBuf {
        match self.kind() {
            Some(Kind::Raw(stream)) => Path::new("sealed").join(format!("{stream}.age")),
            Some(Kind::Sources | Kind::Config | Kind::SigningKey | Kind::VerifierKeys) => {
                Path::new("sealed").join(format!("{}.age", self.sha256))
            }
            _ => Path::new("objects").join(self.sha256.to_string()),
        }
    }
}

impl Manifest {
    /// Returns the manifest of these parts, sorted.
    pub fn of(
        origin: &Origin,
        size: u64,
        root: Digest,
        made_at: String,
        missing: Vec<String>,
        parts: Vec<Part>,
    ) -> Self {
        let (medimg, origin) = (env!("CARGO_PKG_VERSION").to_owned(), origin.as_str().to_owned());
        let mut manifest = Self { format: FORMAT.to_owned(), medimg, origin, size, root, made_at, missing, parts };
        manifest.parts.sort();
        manifest.missing.sort();
        manifest
    }

    /// Returns the bytes of the manifest and their SHA-256.
    pub fn bytes(&self) -> (Vec<u8>, Digest) {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers serialise into memory");
        bytes.push(b'\n');
        let digest = Digest(Sha256::digest(&bytes).into());
        (bytes, digest)
    }

    /// Reads the manifest of the backup in `folder`; none if there is none.
    ///
    /// # Errors
    /// `backup_manifest` when it is not one that this program wrote.
    pub fn read(folder: &Path) -> Result<Option<(Self, Digest)>> {
        let failed = |error| Error::lost("backup_io", "read the manifest of a backup", error);
        let file = match File::open(folder.join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let mut bytes = Vec::new();
        file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        let refused =
            |what: &str| Error::damaged("backup_manifest", format!("read the manifest of a backup: {what}"), None);
        // The error of the parser is dropped: it may repeat what stands there.
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|_| refused("it is none of this program"))?;
        let digest = Digest(Sha256::digest(&bytes).into());
        let named_well = manifest.parts.iter().all(|part| part.kind().is_some());
        let sorted = manifest.parts.windows(2).all(|pair| pair[0].name < pair[1].name);
        if manifest.format != FORMAT || !named_well || !sorted || Origin::parse(&manifest.origin).is_none() {
            return Err(refused("its parts are not in order, or of another version"));
        }
        Ok(Some((manifest, digest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str) -> Part {
        Part { name: name.to_owned(), sha256: Digest([1; 32]), size_bytes: 1 }
    }

    #[test]
    fn no_name_leads_out_of_the_backup_or_the_store() {
        let key = "processed/2.25.1/2.25.2/2.25.3.dcm";
        for good in ["ledger.sqlite", "ledger.0.sqlite", "sources.sqlite", "config.toml", key] {
            assert!(part(good).kind().is_some(), "{good}");
        }
        for bad in [
            "",
            "../x",
            "/etc/passwd",
            "processed/../../x.dcm",
            "raw/../x.dcm",
            "raw/x.dcm",
            "keys/stream",
            "ledger.a.sqlite",
            "ledger..sqlite",
            "processed/2.25.1/2.25.2/x.dcm",
        ] {
            assert_eq!(part(bad).kind(), None, "{bad}");
        }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written_and_any_other_form_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let origin = Origin::new("medimg", "test", [0; 16]).expect("an origin");
        let parts = vec![part("sources.sqlite"), part("ledger.sqlite")];
        let manifest = Manifest::of(&origin, 3, Digest([2; 32]), String::new(), Vec::new(), parts);
        let (bytes, digest) = manifest.bytes();
        assert_eq!(Manifest::read(folder.path()).expect("none"), None);
        std::fs::write(folder.path().join(MANIFEST), &bytes).expect("write");
        assert_eq!(Manifest::read(folder.path()).expect("reads"), Some((manifest, digest)));
        let text = String::from_utf8(bytes).expect("text");
        for (from, to) in [("backup/v1", "backup/v2"), ("sources.sqlite", "a/../x"), ("\"size\"", "\"sise\"")] {
            std::fs::write(folder.path().join(MANIFEST), text.replace(from, to)).expect("write");
            assert_eq!(Manifest::read(folder.path()).expect_err("refused").code(), "backup_manifest", "{to}");
        }
    }
}
