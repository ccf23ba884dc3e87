//! Searching the history: which entries a question is about, what they say, and the record that somebody asked. `ask` looks
//! up one study or object by the ledger's own tags; here any conditions may be joined, and answers come in pages.
//!
//! The views say where to look; what is answered is read from the ledger, and a row that does not agree with it is told,
//! not shown.

use std::collections::{HashMap, HashSet, VecDeque};

use domain::Phi;
use domain::events::{EventData, HistoryQueried, HistoryQuery, Tag, TagKind};
use domain::ids::{IndexHash, PatientIdentity, StreamId};
use ledger::{LeafHash, Log, LogEntry, Origin, READ_ENTRIES_MAX, StreamKey, first_prev};

use crate::acting::{self, Person};
use crate::ask;
use crate::commit::ledger_error;
use crate::consumer;
use crate::error::{Error, Result};
use crate::ports::views::{EntryRow, Selection, Span, Standing, StreamRow, Views};
use crate::store::Store;
use crate::surroundings::Surroundings;
use crate::views::{SqliteViews, fold};

/// Entries that a question waits for while the views catch up; what they lack then is told.
const CATCH_UP_MAX: u64 = 200_000;
/// Streams that are looked up at once.
const STREAMS_PAGE: usize = 256;

/// Who acted, as somebody asks for it.
#[derive(Clone, Debug)]
pub enum ActorAsked {
    /// As headers spell it: `system:<step>`, `u:k<version>:<32 hex>`.
    Spelled(String),
    /// A person, by the name under which the operating system knows them.
    Person(Phi<String>),
}

/// What somebody asks about: conditions joined by "and"; without any, everything.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// One study: its original UID, its new UID, or the short name of the new one.
    pub study: Option<Phi<String>>,
    /// One patient.
    pub patient: Option<PatientIdentity>,
    /// One accession number.
    pub accession: Option<Phi<String>>,
    /// One stream.
    pub stream: Option<StreamId>,
    /// How the stream stands.
    pub standing: Option<Standing>,
    /// The reason class or code of the failure with which it ended.
    pub why: Option<String>,
    /// Who acted.
    pub actor: Option<ActorAsked>,
    /// Event types with their version.
    pub types: Vec<&'static str>,
    /// From this time on, in milliseconds since 1970.
    pub from_ms: Option<u64>,
    /// Before this time.
    pub to_ms: Option<u64>,
}

/// Which part of the answer is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    /// Leaf index behind which it begins: what the page before named.
    pub after: Option<u64>,
    /// How many entries; a stream that was begun is shown whole.
    pub limit: u64,
}

/// What the ledger says: read page by page with [`Answer::next`].
#[derive(Debug)]
pub struct Answer {
    /// The size of the log that the answer is of.
    pub as_of_size: u64,
    /// Entries that the log holds beyond that: the views had too many to catch up with.
    pub behind: u64,
    /// Entries that are shown.
    pub shown: u64,
    /// Streams, or entries where single ones were asked for, that come behind what is shown.
    pub more: u64,
    /// Leaf index to go on behind, if there are more.
    pub next_after: Option<u64>,
    /// Whether whole streams are shown.
    pub of_streams: bool,
    views: SqliteViews,
    selection: Selection,
    span: Span,
    streams: VecDeque<StreamRow>,
    left: u64,
}

/// A part of an answer.
#[derive(Clone, Debug)]
pub enum Part {
    /// A stream from its first entry on, each entry with its leaf index.
    Stream(Vec<LogEntry>),
    /// One entry.
    Entry(Box<LogEntry>),
}

/// Answers a question and records that it was asked, by whom, and how much was shown; nothing is shown before that.
///
/// # Errors
/// `study_unknown` when no entry is about the study, `study_ambiguous` when a short name fits several; the question is
/// recorded all the same. `consumer_ahead`, `consumer_other_log`, `views_damaged`: build the views anew. What the ledger
/// says otherwise.
pub async fn search(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    question: &Question,
    paging: Paging,
) -> Result<Answer> {
    let views = SqliteViews::open(&store.views_path())?;
    let joined = store.joined()?;
    let followed = consumer::follow(&joined, &views, CATCH_UP_MAX).await?;
    let span = Span { after: paging.after, below: followed.next };
    let answered = answer(store, views, question, paging, span).await;
    let mut tags = vec![person.tag()];
    let (about, shown) = match &answered {
        Ok((answer, about)) => {
            if answer.shown > 0 {
                tags.extend(asked_tags(store, question, *about));
            }
            (*about, answer.shown)
        }
        Err(_) => (None, 0),
    };
    let said = HistoryQueried {
        query: question.word(),
        matched: shown,
        as_of_size: followed.next.saturating_sub(joined.before()),
        tags,
    };
    let did = EventData::from(said);
    acting::record(store.ledger.as_ref(), &store.keys, surroundings, person, about, did).await?;
    let (mut answer, _) = answered?;
    answer.behind = followed.behind();
    Ok(answer)
}

impl Question {
    /// The word under which the question is recorded: the closest to a person that it names.
    fn word(&self) -> HistoryQuery {
        match self {
            Self { study: Some(_), .. } => HistoryQuery::Study,
            Self { patient: Some(_), .. } => HistoryQuery::Patient,
            Self { accession: Some(_), .. } => HistoryQuery::Accession,
            Self { stream: Some(_), .. } => HistoryQuery::Object,
            Self { actor: Some(_), .. } => HistoryQuery::Actor,
            Self { standing: None, why: None, from_ms: None, to_ms: None, types, .. } if types.is_empty() => {
                HistoryQuery::All
            }
            _ => HistoryQuery::Selection,
        }
    }
}

/// The tags under which the record of a question is found again.
fn asked_tags(store: &Store, question: &Question, about: Option<IndexHash>) -> Vec<Tag> {
    let study = about.map(|hash| Tag { kind: TagKind::Study, hash });
    let patient = question.patient.as_ref().map(|patient| store.keys.patient_k(patient));
    let patient = patient.map(|hash| Tag { kind: TagKind::Patient, hash });
    let accession = question.accession.as_ref().map(|number| store.keys.accession_k(number));
    let accession = accession.map(|hash| Tag { kind: TagKind::Accession, hash });
    [study, patient, accession].into_iter().flatten().collect()
}

/// Finds what is asked for; returns the study that it is about beside it.
async fn answer(
    store: &Store,
    views: SqliteViews,
    question: &Question,
    paging: Paging,
    span: Span,
) -> Result<(Answer, Option<IndexHash>)> {
    let (selection, about) = select(store, &views, question, span).await?;
    leaves_none_out(store, &views, &selection, span.below).await?;
    let of_streams = selection.is_of_streams() && !selection.is_everything();
    let counted = views.count(&selection, span).await?;
    let mut answer = Answer {
        as_of_size: span.below,
        behind: 0,
        shown: counted.entries.min(paging.limit),
        more: counted.entries.saturating_sub(paging.limit),
        next_after: None,
        of_streams,
        views,
        selection,
        span,
        streams: VecDeque::new(),
        left: counted.entries.min(paging.limit),
    };
    if of_streams {
        answer.choose_streams(paging.limit, counted.streams).await?;
    } else if answer.more > 0 && answer.selection.is_everything() {
        answer.next_after =
            span.after.map_or(0, |after| after + 1).checked_add(answer.shown).and_then(|n| n.checked_sub(1));
    }
    Ok((answer, about))
}

/// Returns the question in keyed hashes, and the study that it is about.
async fn select(
    store: &Store,
    views: &SqliteViews,
    question: &Question,
    span: Span,
) -> Result<(Selection, Option<IndexHash>)> {
    let keys = &store.keys;
    let mut selection = Selection {
        stream: question.stream.map(|stream| StreamKey(stream.0.0)),
        standing: question.standing,
        why: question.why.clone(),
        types: question.types.clone(),
        from_ms: question.from_ms,
        to_ms: question.to_ms,
        ..Selection::default()
    };
    if let Some(patient) = &question.patient {
        selection.patients = keys.patient_k_all(patient);
    }
    if let Some(number) = &question.accession {
        selection.accessions = keys.accession_k_all(number);
    }
    match &question.actor {
        Some(ActorAsked::Spelled(actor)) => selection.actors.push(actor.clone()),
        Some(ActorAsked::Person(name)) => {
            selection.actors = keys.actor_k_all(name).into_iter().map(|hash| format!("u:{hash}")).collect();
        }
        None => {}
    }
    let Some(name) = &question.study else { return Ok((selection, None)) };
    // It may be the original UID or a new one. An object that was refused has no new UID, and what people did is about the
    // original one: all are found through the study that the new one leads to.
    let uid = ask::full_uid(store, name)?;
    let mut studies = views.studies_of_new(&keys.new_study_k_all(uid.expose())).await?;
    studies.extend(keys.study_k_all(&uid));
    let everything = Span { after: None, below: span.below };
    let mut about = None;
    for study in &studies {
        let one = Selection { studies: vec![*study], ..Selection::default() };
        if !views.streams(&one, everything, 1).await?.is_empty() {
            about = about.max(Some(*study));
        }
    }
    if about.is_none() {
        return Err(unknown());
    }
    selection.studies = studies;
    Ok((selection, about))
}

impl Answer {
    /// Chooses streams, in the order of receipt, until they hold as many entries as are wanted.
    async fn choose_streams(&mut self, limit: u64, streams: u64) -> Result<()> {
        let (mut span, mut entries) = (self.span, 0);
        // Bounded by `limit`, since each stream has an entry.
        'pages: while entries < limit {
            let page = self.views.streams(&self.selection, span, STREAMS_PAGE).await?;
            if page.is_empty() {
                break;
            }
            for row in page {
                span.after = Some(row.first_leaf);
                entries += row.entries;
                self.streams.push_back(row);
                if entries >= limit {
                    break 'pages;
                }
            }
        }
        self.shown = entries;
        self.more = streams.saturating_sub(self.streams.len() as u64);
        self.next_after = span.after.filter(|_| self.more > 0);
        Ok(())
    }

    /// Returns the next parts of the answer, none at its end. Each was read from the ledger and agrees with the views.
    ///
    /// # Errors
    /// `views_differ` when it does not; what the ledger says.
    pub async fn next(&mut self, store: &Store) -> Result<Vec<Part>> {
        if self.of_streams {
            return self.next_streams(store).await;
        }
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(READ_ENTRIES_MAX);
        let rows = if limit == 0 { Vec::new() } else { self.views.entries(&self.selection, self.span, limit).await? };
        self.left = if rows.is_empty() { 0 } else { self.left - rows.len() as u64 };
        if let Some(last) = rows.last() {
            self.span.after = Some(last.leaf);
            if self.more > 0 {
                self.next_after = Some(last.leaf);
            }
        }
        Ok(read(store, &rows).await?.into_iter().map(|row| Part::Entry(Box::new(row))).collect())
    }

    /// Reads streams as of the answer's size, many at once because the entries of neighbours lie together in the log.
    async fn next_streams(&mut self, store: &Store) -> Result<Vec<Part>> {
        let (mut rows, mut leaves): (Vec<StreamRow>, Vec<u64>) = (Vec::new(), Vec::new());
        while let Some(row) = self.streams.pop_front() {
            let count = usize::try_from(row.entries).unwrap_or(usize::MAX);
            let found = self.views.leaves(row.stream).await?;
            // A stream that went on meanwhile is shown as it was.
            leaves.extend(found.get(..count).ok_or_else(|| differs(row.stream))?);
            rows.push(row);
            if leaves.len() >= READ_ENTRIES_MAX {
                break;
            }
        }
        leaves.sort_unstable();
        let mut streams: HashMap<StreamKey, Vec<LogEntry>> = HashMap::new();
        for (first, count) in runs(&leaves) {
            for row in entries_at(store, leaves[first], count).await? {
                streams.entry(row.entry.header.stream).or_default().push(row);
            }
        }
        let mut parts = Vec::with_capacity(rows.len());
        for row in &rows {
            let entries = streams.remove(&row.stream).ok_or_else(|| differs(row.stream))?;
            check(row, &entries)?;
            parts.push(Part::Stream(entries));
        }
        Ok(parts)
    }
}

/// Holds a stream against its row: as many entries, linked from the first on, and come to what the row says.
fn check(row: &StreamRow, entries: &[LogEntry]) -> Result<()> {
    let mut folded = fold::Folded::default();
    let mut next: Option<(&Origin, u64, LeafHash)> = None;
    for (at, LogEntry { entry, .. }) in (0..).zip(entries) {
        let header = &entry.header;
        // In each log of the store a stream begins with a number 0 of its own.
        let (origin, seq, prev) = match next {
            Some((origin, seq, prev)) if *origin == header.origin => (origin, seq, prev),
            _ => (&header.origin, 0, first_prev(&header.origin, row.stream)),
        };
        if header.seq != seq || header.prev != prev {
            return Err(differs(row.stream));
        }
        next = Some((origin, seq + 1, entry.leaf));
        folded.take_in(&fold::of_header(entry)?, at);
    }
    let said = fold::Folded { kind: row.kind, standing: row.standing, why: row.why.clone(), study: row.study };
    let ends = (entries.first().map(|row| row.leaf_index), entries.last().map(|row| row.leaf_index));
    let whole = entries.len() as u64 == row.entries && ends == (Some(row.first_leaf), Some(row.last_leaf));
    if whole && folded == said { Ok(()) } else { Err(differs(row.stream)) }
}

/// Makes sure that the views leave out no stream to which the ledger's own tags lead: what is missing is worse than what is
/// wrong, because nobody sees it.
async fn leaves_none_out(store: &Store, views: &SqliteViews, selection: &Selection, below: u64) -> Result<()> {
    let by_tag = [
        (ledger::TagKind::Study, &selection.studies),
        (ledger::TagKind::Patient, &selection.patients),
        (ledger::TagKind::Accession, &selection.accessions),
    ];
    let joined = store.joined()?;
    for (kind, hash) in by_tag.into_iter().flat_map(|(kind, hashes)| hashes.iter().map(move |hash| (kind, hash))) {
        let one = ledger::IndexHash { version: hash.version, hash: hash.hash.0 };
        let tag = ledger::Tag { kind, hash: one };
        let (mut from, mut known) = (0, HashSet::new());
        // Ends with the tag's last entry below the size that is answered for.
        loop {
            let page = joined.tagged(&tag, from, READ_ENTRIES_MAX).await;
            let page = page.map_err(|error| ledger_error("look up entries by tag", error))?;
            let Some(last) = page.last().filter(|_| from < below) else { break };
            from = last.leaf_index + 1;
            for tagged in page.iter().filter(|tagged| tagged.leaf_index < below) {
                if known.insert(tagged.stream.0) && !views.has_tag(tagged.stream, kind, *hash).await? {
                    return Err(differs(tagged.stream));
                }
            }
        }
    }
    Ok(())
}

/// Returns the entries of these rows, each held against its row.
async fn read(store: &Store, rows: &[EntryRow]) -> Result<Vec<LogEntry>> {
    let leaves: Vec<u64> = rows.iter().map(|row| row.leaf).collect();
    let mut entries = Vec::with_capacity(rows.len());
    for (first, count) in runs(&leaves) {
        let found = entries_at(store, leaves[first], count).await?;
        for (at, row) in rows[first..first + count].iter().enumerate() {
            let found = found.get(at).ok_or_else(|| differs(row.stream))?;
            let header = &found.entry.header;
            let said = (row.stream, row.seq, row.types.as_str(), row.at_ms);
            let stands = (header.stream, header.seq, header.types.as_str(), header.recorded_at.unix_ms());
            if said != stands || header.actor.to_string() != row.actor {
                return Err(differs(row.stream));
            }
        }
        entries.extend(found);
    }
    Ok(entries)
}

/// Returns where runs of neighbouring leaves begin and how long they are, so that each is one reading.
fn runs(leaves: &[u64]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, leaf) in leaves.iter().enumerate() {
        match runs.last_mut() {
            Some((first, count)) if leaves[*first] + *count as u64 == *leaf && *count < READ_ENTRIES_MAX => *count += 1,
            _ => runs.push((at, 1)),
        }
    }
    runs
}

async fn entries_at(store: &Store, from: u64, count: usize) -> Result<Vec<LogEntry>> {
    store.joined()?.entries(from, count).await.map_err(|error| ledger_error("read the ledger", error))
}

fn differs(stream: StreamKey) -> Error {
    let tried = format!("answer from the views: what they say about stream {stream} is not what the ledger says");
    Error::damaged("views_differ", tried, None)
}

fn unknown() -> Error {
    let tried = "look up a study: the ledger has no entry about it";
    Error::broken("study_unknown", tried)
}
