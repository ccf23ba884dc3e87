//! Forget: where the objects of a study lie, the copies of their originals and the notes about them are erased, and that is
//! recorded before the first byte goes. The chain stays whole: no entry ever held what is erased.
//!
//! What stays: the entries (keyed hashes, digests, counts), the processed objects, the file at its site, and backups made
//! before. Nothing is remembered of a forgotten object again: its stream keeps its verdict, and `process` on the same file
//! repeats that without writing down where the file lies.

use std::fs;
use std::io;
use std::path::PathBuf;

use domain::Phi;
use domain::events::{SourceForgotten, Tag, TagKind};
use domain::ids::{IndexHash, KeyedHash, StreamId};
use ledger::Entry;
use uuid::Uuid;

use crate::acting::{self, Person};
use crate::ask;
use crate::backup::{self, Before};
use crate::error::{Error, Result};
use crate::notes::is_note;
use crate::store::Store;
use crate::surroundings::Surroundings;

/// What there is to forget of a study, and then what was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Objects of the study that have a stream.
    pub objects: u64,
    /// Places that are known.
    pub sources: u64,
    /// Copies of originals.
    pub copies: u64,
    /// Notes that people wrote about the study.
    pub notes: u64,
    /// Objects without an end.
    pub unfinished: u64,
}

impl Count {
    /// Whether nothing is left to forget.
    pub const fn is_nothing(&self) -> bool {
        self.sources == 0 && self.copies == 0 && self.notes == 0
    }
}

/// What is asked to be forgotten.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The study: its original or new UID, or its short name.
    pub study: &'a Phi<String>,
    /// Why.
    pub reason: &'a Phi<String>,
    /// Whether objects without an end are forgotten too; they then never come to one by themselves.
    pub unfinished_too: bool,
}

/// Returns what there is to forget, and changes nothing.
///
/// # Errors
/// `study_unknown`, `study_ambiguous`, `sources_*` and what the ledger says.
pub async fn look(store: &Store, study: &Phi<String>) -> Result<Count> {
    Ok(Found::of(store, study).await?.count)
}

/// Records what is forgotten, then erases it. For whoever holds the store's lock. Cut short, it can be run again, and
/// finishes; that is then recorded as well.
///
/// # Errors
/// As [`look`]; `study_unfinished`, `note_form`, `backup_busy`, `store_io`.
pub async fn forget(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    asked: Asked<'_>,
    before: Before<'_>,
) -> Result<Count> {
    let failed = |error| Error::store("erase what is forgotten", error);
    let _lock = backup::lock(store)?;
    let Found { count, objects, copies, notes, about } = Found::of(store, asked.study).await?;
    if count.unfinished > 0 && !asked.unfinished_too {
        let tried = format!("forget a study: {} of its objects have no end yet", count.unfinished);
        return Err(Error::damaged("study_unfinished", tried, None));
    }
    if !is_note(asked.reason.expose()) {
        return Err(Error::broken("note_form", "keep the reason: it is blank or too long"));
    }
    if !count.is_nothing() {
        let id = acting::new_id(surroundings);
        before("keep the reason").map_err(failed)?;
        let reason = store.sources.keep_note(id, asked.reason, surroundings.nonce())?;
        let Count { sources, copies, notes, unfinished, .. } = count;
        let mut tags = vec![person.tag()];
        tags.extend(about.map(|hash| Tag { kind: TagKind::Study, hash }));
        let said = SourceForgotten { sources, copies, notes, unfinished, reason, tags };
        before("record what is forgotten").map_err(failed)?;
        acting::record_under(id, store.ledger.as_ref(), &store.keys, surroundings, person, about, said.into()).await?;
    }
    // That it is forgotten is durable from here on. Everything below can be done again.
    for copy in copies.iter().chain([&backup::unsealed_sources(store)]) {
        before("erase a copy").map_err(failed)?;
        match fs::remove_file(copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    before("make that durable").map_err(failed)?;
    fs::File::open(store.raw()).and_then(|folder| folder.sync_all()).map_err(failed)?;
    before("erase notes").map_err(failed)?;
    store.sources.erase_notes(&notes)?;
    before("erase where objects lie").map_err(failed)?;
    store.sources.forget(&objects)?;
    Ok(count)
}

struct Found {
    count: Count,
    objects: Vec<StreamId>,
    copies: Vec<PathBuf>,
    notes: Vec<Uuid>,
    about: Option<IndexHash>,
}

impl Found {
    async fn of(store: &Store, study: &Phi<String>) -> Result<Self> {
        let (streams, about) = ask::study(store, study).await?;
        let is_object =
            |entries: &&Vec<Entry>| entries.first().is_some_and(|entry| has(entry, &["imaging.object.received."]));
        let objects: Vec<&Vec<Entry>> = streams.iter().filter(is_object).collect();
        let unfinished = objects.iter().filter(|entries| !entries.last().is_some_and(is_end)).count() as u64;
        let objects: Vec<StreamId> =
            objects.iter().map(|entries| StreamId(KeyedHash(entries[0].header.stream.0))).collect();
        let raw = store.raw();
        let named = objects.iter().flat_map(|stream| ["dcm", "part"].map(|kind| raw.join(format!("{stream}.{kind}"))));
        let copies: Vec<PathBuf> = named.filter(|copy| copy.exists()).collect();
        // The reasons of earlier forgettings stay: they say why nothing is there.
        let of_others = |entry: &&Entry| !has(entry, &["imaging.source.forgotten."]);
        let mut notes = Vec::new();
        for entry in streams.iter().flatten().filter(of_others) {
            if store.sources.note(entry.header.decision_id)?.is_some() {
                notes.push(entry.header.decision_id);
            }
        }
        let count = Count {
            objects: objects.len() as u64,
            sources: store.sources.count(&objects)?,
            copies: copies.len() as u64,
            notes: notes.len() as u64,
            unfinished,
        };
        Ok(Self { count, objects, copies, notes, about })
    }
}

fn has(entry: &Entry, starts: &[&str]) -> bool {
    entry.header.types.iter().any(|name| starts.iter().any(|start| name.starts_with(start)))
}

fn is_end(entry: &Entry) -> bool {
    has(entry, &backup::ENDS)
}
