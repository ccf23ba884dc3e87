//! Asking the history: which streams a question is about, what they say, and the record that somebody asked.

use std::collections::BTreeSet;

use domain::Phi;
use domain::dicom::identity::is_well_formed_uid;
use domain::events::{EventData, HistoryQueried, HistoryQuery, Tag, TagKind};
use domain::ids::{self, IndexHash, KeyedHash, Keys, StreamId};
use ledger::{Entry, Ledger, Log, LogEntry, READ_ENTRIES_MAX, StreamKey};

use crate::acting::{self, Person};
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::replay::StudyStreams;
use crate::store::Store;
use crate::surroundings::Surroundings;

/// Streams that one question may be about; a study has fewer.
const STREAMS_MAX: usize = 1_000_000;
/// Folders of processed studies that are looked at for a short name.
const STUDIES_MAX: usize = 1_000_000;

/// What somebody asks about.
#[derive(Clone, Debug)]
pub enum Question {
    /// One study: its original UID, its new UID, or the short name of the new one.
    Study(Phi<String>),
    /// One object, by its stream.
    Object(StreamId),
}

/// What the ledger says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The streams that the question is about, each with its entries, in the order in which they were received.
    pub streams: Vec<Vec<Entry>>,
    /// The size of the log that the answer is of.
    pub as_of_size: u64,
}

/// Answers a question and records that it was asked, by whom, and how much was shown.
///
/// # Errors
/// `study_unknown` when no entry is about it, `study_ambiguous` when a short name fits several; the question is recorded
/// all the same. What the ledger says otherwise.
pub async fn history(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    question: &Question,
) -> Result<Answer> {
    let as_of_size = head_size(store).await?;
    let found = streams_of(store, question).await;
    let (streams, about) = match &found {
        Ok(found) if matches!(question, Question::Study(_)) => whole_study(store, &found.streams).await?,
        Ok(found) => (entries_of(store, &found.streams).await?, None),
        Err(_) => (Vec::new(), None),
    };
    let matched = streams.iter().map(Vec::len).sum::<usize>() as u64;
    let query = match question {
        Question::Study(_) => HistoryQuery::Study,
        Question::Object(_) => HistoryQuery::Object,
    };
    let mut tags = vec![person.tag()];
    tags.extend(about.map(|hash| Tag { kind: TagKind::Study, hash }));
    let did = EventData::from(HistoryQueried { query, matched, as_of_size, tags });
    acting::record(store.ledger.as_ref(), &store.keys, surroundings, person, about, did).await?;
    found?;
    Ok(Answer { streams, as_of_size })
}

/// Returns the present size of the log.
///
/// # Errors
/// What the ledger says.
pub async fn head_size(store: &Store) -> Result<u64> {
    Ok(store.ledger.head().await.map_err(|error| ledger_error("read the head of the ledger", error))?.size)
}

/// Returns the next entries of the log, from leaf index `from` on and below `size`.
///
/// # Errors
/// What the ledger says.
pub async fn page(store: &Store, from: u64, size: u64) -> Result<Vec<LogEntry>> {
    let limit = usize::try_from(size.saturating_sub(from)).unwrap_or(usize::MAX).min(READ_ENTRIES_MAX);
    if limit == 0 {
        return Ok(Vec::new());
    }
    store.ledger.entries(from, limit).await.map_err(|error| ledger_error("read the ledger", error))
}

/// Returns the next entries of the log that ended `number`-th (from 0) when the store was recovered, from a leaf index on.
///
/// # Errors
/// What the ledger says.
pub fn past_page(store: &Store, number: usize, from: u64) -> Result<Vec<LogEntry>> {
    let page = store.ledger.past_entries(number, from, READ_ENTRIES_MAX);
    page.map_err(|error| ledger_error("read a log that ended before a recovery", error))
}

/// Returns the entries of every stream about the study that these streams are about, and the study. An object that was
/// refused has no new UID, and what people did is about the original one: both are found through the entries' subject.
async fn whole_study(store: &Store, streams: &[StreamKey]) -> Result<(Vec<Vec<Entry>>, Option<IndexHash>)> {
    let mut all = entries_of(store, streams).await?;
    let entries = all.iter().flatten();
    let subjects: BTreeSet<(u32, [u8; 16])> =
        entries.filter_map(|entry| entry.header.subject).map(|subject| (subject.version, subject.hash)).collect();
    let mut seen: BTreeSet<_> = streams.iter().map(|stream| stream.0).collect();
    let mut others = Vec::new();
    for (version, hash) in &subjects {
        let hash = IndexHash { version: *version, hash: KeyedHash(*hash) };
        tagged(store, &Tag { kind: TagKind::Study, hash }, &mut others).await?;
    }
    others.retain(|stream| seen.insert(stream.0));
    all.extend(entries_of(store, &others).await?);
    all.sort_by_key(|stream| stream.first().map(|entry| entry.header.recorded_at));
    let newest = subjects.last().map(|(version, hash)| IndexHash { version: *version, hash: KeyedHash(*hash) });
    Ok((all, newest))
}

/// Returns the streams of the objects of a study: by its original UID, its new UID or the short name of the new one.
///
/// # Errors
/// `study_unknown`, `study_ambiguous`, and what the ledger says.
pub async fn streams_of_study(store: &Store, name: &Phi<String>) -> Result<StudyStreams> {
    let found = streams_of(store, &Question::Study(name.clone())).await?;
    let (all, about) = whole_study(store, &found.streams).await?;
    // What people did is about the study too, and is no object of it.
    let of_object = |entry: &&Entry| entry.header.types.iter().any(|name| name == "imaging.object.received.v1");
    let firsts = all.iter().filter_map(|entries| entries.first()).filter(of_object);
    let streams = firsts.map(|entry| StreamId(KeyedHash(entry.header.stream.0))).collect();
    Ok(StudyStreams { about, streams })
}

/// Returns the entries of every stream about a study, and the study; for what is done with a study, not asked about it.
///
/// # Errors
/// `study_unknown`, `study_ambiguous`, and what the ledger says.
pub(crate) async fn study(store: &Store, name: &Phi<String>) -> Result<(Vec<Vec<Entry>>, Option<IndexHash>)> {
    let found = streams_of(store, &Question::Study(name.clone())).await?;
    whole_study(store, &found.streams).await
}

/// Returns the subjects under which headers name a study: its keyed hash under each version of the index key that was in use.
///
/// # Errors
/// `study_unknown`, `study_ambiguous`, and what the ledger says.
pub(crate) async fn subjects_of_study(store: &Store, name: &Phi<String>) -> Result<BTreeSet<ledger::IndexHash>> {
    let uid = full_uid(store, name)?;
    let mut subjects = BTreeSet::new();
    for tag in tags_of(&store.keys, &uid) {
        let Some(stream) = first_tagged(store, &tag).await? else { continue };
        let of_stream = || async {
            let loaded = store.ledger.load(stream).await.map_err(|error| ledger_error("load a stream", error))?;
            Ok::<_, Error>(loaded.entries.iter().find_map(|entry| entry.header.subject))
        };
        match tag.kind {
            TagKind::Study => subjects.extend([ledger::IndexHash { version: tag.hash.version, hash: tag.hash.hash.0 }]),
            // The new UID stands for one original UID, which the headers of every stream name that carries it.
            _ => subjects.extend(of_stream().await?),
        }
    }
    if subjects.is_empty() { Err(unknown()) } else { Ok(subjects) }
}

/// Returns a stream that carries the tag, in any log of the store.
async fn first_tagged(store: &Store, tag: &Tag) -> Result<Option<StreamKey>> {
    let Some(kind) = ledger::TagKind::from_word(tag.kind.word().as_bytes()) else { return Ok(None) };
    let tag = ledger::Tag { kind, hash: ledger::IndexHash { version: tag.hash.version, hash: tag.hash.hash.0 } };
    let found = store.joined()?.tagged(&tag, 0, 1).await;
    let found = found.map_err(|error| ledger_error("look up entries by tag", error))?;
    Ok(found.first().map(|tagged| tagged.stream))
}

struct Found {
    streams: Vec<StreamKey>,
}

async fn streams_of(store: &Store, question: &Question) -> Result<Found> {
    match question {
        Question::Object(stream) => Ok(Found { streams: vec![StreamKey(stream.0.0)] }),
        Question::Study(name) => {
            let uid = full_uid(store, name)?;
            let tags = tags_of(&store.keys, &uid);
            let mut streams = Vec::new();
            for tag in &tags {
                tagged(store, tag, &mut streams).await?;
            }
            let mut seen = BTreeSet::new();
            streams.retain(|stream: &StreamKey| seen.insert(stream.0));
            if streams.is_empty() { Err(unknown()) } else { Ok(Found { streams }) }
        }
    }
}

fn unknown() -> Error {
    let tried = "look up a study: the ledger has no entry about it";
    Error::broken("study_unknown", tried)
}

/// Every tag under which entries of the study may stand: it may be the original UID or a new one.
pub(crate) fn tags_of(keys: &Keys, uid: &Phi<String>) -> Vec<Tag> {
    let new = keys.new_study_k_all(uid.expose()).into_iter().map(|hash| Tag { kind: TagKind::NewStudy, hash });
    let original = keys.study_k_all(uid).into_iter().map(|hash| Tag { kind: TagKind::Study, hash });
    new.chain(original).collect()
}

/// Returns the UID that `name` is, or the new UID whose short name it is.
pub(crate) fn full_uid(store: &Store, name: &Phi<String>) -> Result<Phi<String>> {
    if is_well_formed_uid(name.expose()) {
        return Ok(name.clone());
    }
    let failed = |error| Error::store("list the processed studies", error);
    let wanted = name.expose().to_ascii_uppercase();
    let mut fits = Vec::new();
    for study in std::fs::read_dir(store.processed()).map_err(failed)?.take(STUDIES_MAX) {
        let study = study.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if ids::short_name(&study).is_some_and(|short| short == wanted) {
            fits.push(study);
        }
    }
    match fits.len() {
        1 => Ok(Phi::new(fits.remove(0))),
        0 => Err(unknown()),
        _ => Err(Error::broken("study_ambiguous", "look up a study by its short name: several have it")),
    }
}

pub(crate) async fn tagged(store: &Store, tag: &Tag, streams: &mut Vec<StreamKey>) -> Result<()> {
    let kind = ledger::TagKind::from_word(tag.kind.word().as_bytes());
    let Some(kind) = kind else { return Ok(()) };
    let tag = ledger::Tag { kind, hash: ledger::IndexHash { version: tag.hash.version, hash: tag.hash.hash.0 } };
    for number in 0..store.ledger.past_count() {
        let mut from = 0;
        while streams.len() < STREAMS_MAX {
            let page = store.ledger.past_tagged(number, &tag, from, READ_ENTRIES_MAX);
            let page = page.map_err(|error| ledger_error("look up entries by tag", error))?;
            let Some(last) = page.last() else { break };
            from = last.leaf_index + 1;
            streams.extend(page.iter().map(|tagged| tagged.stream));
        }
    }
    let mut from = 0;
    while streams.len() < STREAMS_MAX {
        let page = store.ledger.tagged(&tag, from, READ_ENTRIES_MAX).await;
        let page = page.map_err(|error| ledger_error("look up entries by tag", error))?;
        let Some(last) = page.last() else { break };
        from = last.leaf_index + 1;
        streams.extend(page.iter().map(|tagged| tagged.stream));
    }
    Ok(())
}

async fn entries_of(store: &Store, streams: &[StreamKey]) -> Result<Vec<Vec<Entry>>> {
    let mut all = Vec::with_capacity(streams.len());
    for stream in streams {
        let loaded = store.ledger.load(*stream).await.map_err(|error| ledger_error("load a stream", error))?;
        if !loaded.entries.is_empty() {
            all.push(loaded.entries);
        }
    }
    // One order, whichever tag they were found by: that of receipt, and within a millisecond that of the streams' ids.
    all.sort_by_key(|entries: &Vec<Entry>| (entries[0].header.recorded_at, entries[0].header.stream.0));
    Ok(all)
}
