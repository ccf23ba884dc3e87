//! Notes: what a person wrote as the reason of an act. Free text may name a patient, so it lies beside the sources, erasable,
//! each under a salt of its own; an event carries SHA-256(salt ‖ text) only, which says nothing once the salt is erased.

use domain::Phi;
use domain::events::Digest;
use rusqlite::{OptionalExtension, params};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::sources::{Sources, sql};

/// Most characters of one note.
pub const NOTE_CHARS_MAX: usize = 2_000;

/// Returns the digest under which an event names a note: SHA-256(salt ‖ text in UTF-8).
pub fn note_digest(salt: [u8; 16], text: &Phi<String>) -> Digest {
    Digest(Sha256::new().chain_update(salt).chain_update(text.expose()).finalize().into())
}

/// Whether `text` can be kept: 1 to [`NOTE_CHARS_MAX`] characters, not blank.
pub fn is_note(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().take(NOTE_CHARS_MAX + 1).count() <= NOTE_CHARS_MAX
}

impl Sources {
    /// Keeps a note under the id of the decision or run that it is the reason of, durably, and returns the digest for the
    /// event. The same text again under its id changes nothing and has the same digest, whatever the salt.
    ///
    /// # Errors
    /// `note_form` for a text that [`is_note`] refuses, `note_differs` when another text stands under the id, `sources_*`.
    pub fn keep_note(&self, id: Uuid, text: &Phi<String>, salt: [u8; 16]) -> Result<Digest> {
        if !is_note(text.expose()) {
            return Err(Error::broken("note_form", format!("keep the note of {id}: it is blank or too long")));
        }
        if self.discards {
            return Ok(note_digest(salt, text));
        }
        let failed = sql("keep a note");
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(&failed)?;
        let insert = "INSERT INTO notes (id, salt, text) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
        transaction.execute(insert, params![id.as_bytes(), salt, text.expose()]).map_err(&failed)?;
        let stands = transaction
            .query_row("SELECT salt, text FROM notes WHERE id = ?1", [id.as_bytes()], |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, Phi::new(row.get::<_, String>(1)?)))
            })
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        if stands.1 != *text {
            return Err(Error::broken("note_differs", format!("keep the note of {id}: another stands there")));
        }
        Ok(note_digest(stands.0, &stands.1))
    }

    /// Returns the note kept under `id`; none if there is none or it was erased.
    ///
    /// # Errors
    /// `sources_*`.
    pub fn note(&self, id: Uuid) -> Result<Option<Phi<String>>> {
        let failed = sql("look up a note");
        let connection = self.connection();
        let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let text = connection.query_row("SELECT text FROM notes WHERE id = ?1", [id.as_bytes()], read);
        Ok(text.optional().map_err(&failed)?.map(Phi::new))
    }

    /// Erases notes with their salts, overwriting their bytes, and returns how many there were. Their digests stay in the
    /// ledger and can be matched with no text any more.
    ///
    /// # Errors
    /// `sources_*`; after `sources_io` some may still stand: call it again.
    pub fn erase_notes(&self, ids: &[Uuid]) -> Result<u64> {
        if self.discards {
            return Ok(0);
        }
        let failed = sql("erase notes");
        let mut connection = self.connection();
        connection.pragma_update(None, "secure_delete", true).map_err(&failed)?;
        let transaction = connection.transaction().map_err(&failed)?;
        let mut erased = 0;
        for id in ids {
            erased += transaction.execute("DELETE FROM notes WHERE id = ?1", [id.as_bytes()]).map_err(&failed)? as u64;
        }
        transaction.commit().map_err(&failed)?;
        // What was written before lies in the write-ahead log until that is folded into the file and cut.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(&failed)?;
        Ok(erased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn sources() -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sources = Sources::open(&folder.path().join("sources.sqlite")).expect("open");
        (folder, sources)
    }

    fn text(text: &str) -> Phi<String> {
        Phi::new(text.to_owned())
    }

    #[test]
    fn a_note_comes_back_and_its_digest_depends_on_its_salt() {
        let (_folder, sources) = sources();
        let digest = sources.keep_note(ID, &text("disk of Mrs Doe's site was full"), [1; 16]).expect("keep");
        assert_eq!(digest, note_digest([1; 16], &text("disk of Mrs Doe's site was full")));
        assert_ne!(digest, note_digest([2; 16], &text("disk of Mrs Doe's site was full")));
        assert_eq!(sources.note(ID).expect("look"), Some(text("disk of Mrs Doe's site was full")));
        assert_eq!(sources.note(Uuid::from_u128(8)).expect("look"), None);
    }

    #[test]
    fn the_same_note_again_keeps_its_digest_and_another_text_is_refused() {
        let (_folder, sources) = sources();
        let first = sources.keep_note(ID, &text("repaired"), [1; 16]).expect("keep");
        assert_eq!(sources.keep_note(ID, &text("repaired"), [2; 16]).expect("again"), first);
        assert_eq!(sources.keep_note(ID, &text("other"), [1; 16]).expect_err("refused").code(), "note_differs");
        assert_eq!(sources.note(ID).expect("look"), Some(text("repaired")));
    }

    #[test]
    fn a_blank_note_and_one_of_more_than_2000_characters_are_refused() {
        let (_folder, sources) = sources();
        for refused in [String::new(), " \n".to_owned(), "ä".repeat(2_001)] {
            let kept = sources.keep_note(ID, &Phi::new(refused), [1; 16]);
            assert_eq!(kept.expect_err("refused").code(), "note_form");
        }
        sources.keep_note(ID, &text(&"ä".repeat(2_000)), [1; 16]).expect("2,000 characters fit");
    }

    #[test]
    fn of_an_erased_note_no_byte_stays_in_the_file() {
        let (folder, sources) = sources();
        sources.keep_note(ID, &text("asked for by Nightingale"), [1; 16]).expect("keep");
        sources.keep_note(Uuid::from_u128(9), &text("stays"), [1; 16]).expect("keep");
        assert_eq!(sources.erase_notes(&[ID, Uuid::from_u128(8)]).expect("erase"), 1);
        assert_eq!(sources.note(ID).expect("look"), None);
        assert_eq!(sources.note(Uuid::from_u128(9)).expect("look"), Some(text("stays")));
        for file in std::fs::read_dir(folder.path()).expect("folder") {
            let bytes = std::fs::read(file.expect("entry").path()).expect("read");
            assert!(!bytes.windows(11).any(|window| window == b"Nightingale"), "the text is still there");
        }
    }
}
