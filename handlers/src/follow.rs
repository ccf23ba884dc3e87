//! A study as it happens: the entries about it, in the order of the log, as they are appended. A consumer of the log by leaf
//! index that keeps nothing.

use std::collections::{BTreeMap, BTreeSet};

use domain::Phi;
use domain::events::{self, EventData};
use ledger::{Entry, Ledger, READ_ENTRIES_MAX, StreamKey};

use crate::acting::Person;
use crate::ask::{self, Question};
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::surroundings::Surroundings;

/// Pages of the log that one look reads at most; what is behind them is for the next look.
const PAGES_MAX: usize = 16;

/// How an object of the study stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Delivered,
    Refused,
    /// What a person or a sweeper did.
    NoObject,
}

/// How many objects stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Without an end.
    pub open: u64,
    /// Delivered.
    pub delivered: u64,
    /// Quarantined or failed.
    pub refused: u64,
}

impl Objects {
    /// Returns how many there are.
    pub const fn all(self) -> u64 {
        self.open + self.delivered + self.refused
    }
}

/// One study that is being followed.
#[derive(Debug)]
pub struct Follower<'s> {
    store: &'s Store,
    name: Phi<String>,
    /// Leaf index of the next entry to look at.
    next: u64,
    /// Streams of the study: how they stand, and the seq of the next entry to show.
    streams: BTreeMap<[u8; 16], (Standing, u64)>,
    /// The study's keyed hashes, as headers name it.
    subjects: BTreeSet<(u32, [u8; 16])>,
    completed: bool,
}

impl<'s> Follower<'s> {
    /// Begins to follow and records that somebody asked, once. Returns the entries that are there already.
    ///
    /// # Errors
    /// `study_ambiguous`, and what the ledger says. A study that is not known yet is no error.
    pub async fn begin(
        store: &'s Store,
        surroundings: &dyn Surroundings,
        person: Person,
        name: Phi<String>,
    ) -> Result<(Self, Vec<Entry>)> {
        let next = ask::head_size(store).await?;
        let (streams, subjects) = (BTreeMap::new(), BTreeSet::new());
        let mut follower = Self { store, name: name.clone(), next, streams, subjects, completed: false };
        let answer = match ask::history(store, surroundings, person, &Question::Study(name)).await {
            Ok(answer) => answer,
            Err(error) if error.code() == "study_unknown" => return Ok((follower, Vec::new())),
            Err(error) => return Err(error),
        };
        let mut shown: Vec<Entry> = answer.streams.into_iter().flatten().collect();
        // The log's order within a millisecond is not known here; that of the streams' own entries is kept.
        shown.sort_by_key(|entry| entry.header.recorded_at);
        for entry in &shown {
            follower.take_in(entry)?;
        }
        Ok((follower, shown))
    }

    /// Looks for new entries and returns them.
    ///
    /// # Errors
    /// What the ledger says; `stream_unreadable`.
    pub async fn look(&mut self) -> Result<Vec<Entry>> {
        let size = ask::head_size(self.store).await?;
        if self.subjects.is_empty() {
            // Nothing new, nothing to find.
            let grown = size > self.next;
            self.next = size;
            return if grown { self.find().await } else { Ok(Vec::new()) };
        }
        let mut shown = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = ask::page(self.store, self.next, size).await?;
            let Some(last) = page.last() else { break };
            self.next = last.leaf_index + 1;
            for row in page {
                if self.is_about(&row.entry) {
                    self.show(row.entry, &mut shown).await?;
                }
            }
        }
        Ok(shown)
    }

    /// Returns how the objects stand.
    pub fn objects(&self) -> Objects {
        let mut objects = Objects::default();
        for (standing, _) in self.streams.values() {
            match standing {
                Standing::Open => objects.open += 1,
                Standing::Delivered => objects.delivered += 1,
                Standing::Refused => objects.refused += 1,
                Standing::NoObject => {}
            }
        }
        objects
    }

    /// Whether the study was completed, and nothing came since.
    pub const fn completed(&self) -> bool {
        self.completed
    }

    /// Looks up a study that was not known yet. It may be named by what only its first output has.
    async fn find(&mut self) -> Result<Vec<Entry>> {
        let Ok(uid) = ask::full_uid(self.store, &self.name) else { return Ok(Vec::new()) };
        let mut streams = Vec::new();
        for tag in ask::tags_of(&self.store.keys, &uid) {
            ask::tagged(self.store, &tag, &mut streams).await?;
        }
        let mut seen = BTreeSet::new();
        streams.retain(|stream| seen.insert(stream.0));
        let mut shown = Vec::new();
        for stream in streams {
            let loaded = self.store.ledger.load(stream).await.map_err(|error| ledger_error("load a stream", error))?;
            shown.extend(loaded.entries);
        }
        shown.sort_by_key(|entry| entry.header.recorded_at);
        for entry in &shown {
            self.take_in(entry)?;
        }
        Ok(shown)
    }

    fn is_about(&self, entry: &Entry) -> bool {
        let header = &entry.header;
        let subject = header.subject.map(|subject| (subject.version, subject.hash));
        self.streams.contains_key(&header.stream.0) || subject.is_some_and(|subject| self.subjects.contains(&subject))
    }

    /// Shows an entry, and in front of it those of its stream that came before the study was known.
    async fn show(&mut self, entry: Entry, shown: &mut Vec<Entry>) -> Result<()> {
        let (stream, seq) = (entry.header.stream.0, entry.header.seq);
        let from = self.streams.get(&stream).map_or(0, |(_, next)| *next);
        if seq < from {
            return Ok(());
        }
        if seq > from {
            let loaded = self.store.ledger.load(StreamKey(stream)).await;
            let loaded = loaded.map_err(|error| ledger_error("load a stream", error))?;
            for earlier in loaded.entries.into_iter().filter(|earlier| (from..seq).contains(&earlier.header.seq)) {
                self.take_in(&earlier)?;
                shown.push(earlier);
            }
        }
        self.take_in(&entry)?;
        shown.push(entry);
        Ok(())
    }

    fn take_in(&mut self, entry: &Entry) -> Result<()> {
        let header = &entry.header;
        self.subjects.extend(header.subject.map(|subject| (subject.version, subject.hash)));
        let read = events::read(entry.body.as_bytes())
            .map_err(|_| Error::broken("stream_unreadable", format!("read the events of stream {}", header.stream)))?;
        let (standing, next) = self.streams.entry(header.stream.0).or_insert((Standing::NoObject, 0));
        *next = header.seq + 1;
        for event in read {
            match event.data {
                EventData::ObjectReceived(_) => *standing = Standing::Open,
                EventData::InstanceDelivered(_) => *standing = Standing::Delivered,
                EventData::InstanceQuarantined(_) | EventData::ProcessingFailed(_) => *standing = Standing::Refused,
                EventData::ReplayRequested(_) if *standing != Standing::NoObject => *standing = Standing::Open,
                EventData::StudyCompleted(_) => self.completed = true,
                EventData::StudyReopened(_) => self.completed = false,
                _ => {}
            }
        }
        Ok(())
    }
}

const _: () = assert!(READ_ENTRIES_MAX * PAGES_MAX >= 10_000, "a look keeps up with a busy pipeline");

#[cfg(test)]
mod tests {
    use domain::events::{
        Decision, Digest, Event, InstanceIngested, Intake, ObjectReceived, RegisteredUid, Tag, TagKind, Time,
    };
    use domain::ids::{KeyedHash, StreamId};
    use ledger::{Actor, Nonce, Tip, UtcMillis};
    use uuid::Uuid;

    use super::*;
    use crate::commit::ledger_decision;
    use crate::store::Access;
    use crate::surroundings::System;

    const STUDY: &str = "1.2.826.0.1.3680043.10.1.2";

    /// Says that an object was received, and then of which study it is.
    async fn object(store: &Store, stream: u8) {
        let study = store.keys.study_k(&Phi::new(STUDY.to_owned()));
        let digest = Digest([stream; 32]);
        let received = ObjectReceived { sha256: digest, size_bytes: 1, intake: Intake::Process, raw_copied: false };
        let ingested = InstanceIngested {
            transfer_syntax: RegisteredUid::PRIVATE,
            sop_class: RegisteredUid::PRIVATE,
            modality: None,
            elements: 1,
            notes: Vec::new(),
            tags: vec![Tag { kind: TagKind::Study, hash: study }],
        };
        let mut tip = Tip::empty(StreamKey([stream; 16]));
        for (number, (data, about)) in
            [(EventData::from(received), None), (ingested.into(), Some(study))].into_iter().enumerate()
        {
            let id = Uuid::from_u128(u128::from(stream) << 8 | number as u128);
            let stream = StreamId(KeyedHash([stream; 16]));
            let said = Decision { id, stream, time: Time::from_unix_ms(0), correlation_id: None, causation_id: None };
            let actor = Actor::system("ingestion").expect("a step");
            let decision = ledger_decision(id, &Event::of(&said, vec![data]), about, actor).expect("a decision");
            let done = store.ledger.append(&tip, &decision, UtcMillis::from_unix_ms(0), Nonce([0; 16])).await;
            tip = done.expect("append").receipt().tip();
        }
    }

    fn seqs(entries: &[Entry]) -> Vec<(u8, u64)> {
        let objects = entries.iter().filter(|entry| matches!(entry.header.actor, ledger::Actor::System(_)));
        objects.map(|entry| (entry.header.stream.0[0], entry.header.seq)).collect()
    }

    #[tokio::test]
    async fn the_entries_of_a_study_are_shown_whole_and_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = Store::open(&folder.path().join("store"), Access::Work, "test", &System).expect("a store");
        let person = Person::of_user(&Phi::new("jdoe".to_owned()), &store.keys);
        let begun = Follower::begin(&store, &System, person, Phi::new(STUDY.to_owned())).await;
        let (mut follower, first) = begun.expect("a study that nobody knows yet is no error");
        assert_eq!((first.len(), follower.objects().all()), (0, 0));
        object(&store, 1).await;
        assert_eq!(seqs(&follower.look().await.expect("look")), [(1, 0), (1, 1)]);
        // The study is known now: what stands in front of the entry that names it is fetched.
        object(&store, 2).await;
        assert_eq!(seqs(&follower.look().await.expect("look")), [(2, 0), (2, 1)]);
        assert_eq!(follower.objects(), Objects { open: 2, delivered: 0, refused: 0 });
        assert!(follower.look().await.expect("look").is_empty());
        // What was shown when the study was looked up may come again by its place in the log.
        follower.next = 0;
        assert!(seqs(&follower.look().await.expect("look")).is_empty());
        let again = Follower::begin(&store, &System, person, Phi::new(STUDY.to_owned())).await;
        assert_eq!(seqs(&again.expect("known").1).len(), 4);
    }
}
