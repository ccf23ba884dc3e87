//! The sweeper of studies: DICOM knows no last image, so a study whose streams have all ended and to which nothing came for
//! a configured time is completed, with the counts as found; what comes later reopens it.
//!
//! The views only say where to look. Each study is counted anew from the ledger before anything is said, and said in its
//! own stream, which no one else writes. Any number of sweepers may run: the decision id of a slot is the same for all.
//!
//! Idle is measured from the last entry's time to now. A clock that jumps back makes a study wait until it has caught up;
//! one that jumps ahead completes a study early, and its next object reopens it.

use std::collections::BTreeSet;

use domain::events::{Event, Time};
use domain::ids::{IndexHash, Keys, StreamId};
use domain::study::{Command, Count, SWEEPER, Study};
use domain::upload::{Ended, Upload};
use domain::workflow::rules::Action;
use ledger::{Actor, Appended, Entry, Ledger, Log, READ_ENTRIES_MAX, Stream, StreamKey, Tag, TagKind, UtcMillis};

use crate::bus::Bus;
use crate::commit::{ledger_decision, ledger_error};
use crate::consumer::{self, Followed};
use crate::error::{Error, Result};
use crate::ports::views::Views;
use crate::runner::report::Observer;
use crate::store::Store;
use crate::surroundings::Surroundings;
use crate::views::SqliteViews;

/// Studies that are looked up at once.
const STUDIES_PAGE: usize = 256;
/// How often a lost answer or another sweeper makes us read a study and decide again.
const ROUNDS_MAX: u32 = 8;
/// Streams of one study that are counted; one with more is left alone.
const STREAMS_MAX: usize = 1_000_000;

/// What a sweeper works with.
pub struct Sweeper<'a> {
    /// Where the study's stream is written, and every stream is read.
    pub ledger: &'a dyn Ledger,
    /// Where the streams of a study are found.
    pub log: &'a dyn Log,
    /// Where to look.
    pub views: &'a dyn Views,
    /// The keys of the store.
    pub keys: &'a Keys,
    /// The random source of nonces.
    pub surroundings: &'a dyn Surroundings,
    /// The rules that say whom to tell.
    pub bus: &'a Bus,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// How long nothing must have come, in milliseconds.
    pub idle_ms: u64,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Studies that were completed.
    pub completed: u64,
    /// Studies that were reopened.
    pub reopened: u64,
    /// Entries that the views still lack; their studies are looked at when the views have caught up.
    pub behind: u64,
}

/// Sweeps the studies of a store as of `now_ms`, after bringing its views up to date.
///
/// # Errors
/// As [`Sweeper::sweep`], and what opening the views says.
pub async fn sweep(
    store: &Store,
    surroundings: &dyn Surroundings,
    bus: &Bus,
    observer: &dyn Observer,
    idle_ms: u64,
    now_ms: u64,
) -> Result<Swept> {
    if nothing_can_be_due(store, now_ms.saturating_sub(idle_ms)).await? {
        return Ok(Swept::default());
    }
    let views = SqliteViews::open(&store.views_path())?;
    let (ledger, keys) = (store.ledger.as_ref(), &store.keys);
    let log = &store.joined()?;
    Sweeper { ledger, log, views: &views, keys, surroundings, bus, observer, idle_ms }.sweep(now_ms, u64::MAX).await
}

/// Whether a store is so young that none of its studies is idle and none was completed: it has no views, and its first entry
/// came after `idle_since_ms`. Most runs of `process` into a new store are; they need not build views to find nothing.
async fn nothing_can_be_due(store: &Store, idle_since_ms: u64) -> Result<bool> {
    if store.views_path().exists() {
        return Ok(false);
    }
    let first = store.joined()?.entries(0, 1).await.map_err(|error| ledger_error("read the ledger", error))?;
    Ok(first.first().is_none_or(|row| row.entry.header.recorded_at.unix_ms() > idle_since_ms))
}

/// What the ledger says about a study, now.
#[derive(Debug)]
struct Found {
    count: Count,
    last_ms: u64,
}

impl Sweeper<'_> {
    /// Brings the views up to date, by at most `entries_max` entries, and completes or reopens each study that is due.
    ///
    /// # Errors
    /// As [`consumer::follow`]; what the ledger says. What was recorded until then stays, and the next sweep goes on.
    pub async fn sweep(&self, now_ms: u64, entries_max: u64) -> Result<Swept> {
        let followed: Followed = consumer::follow(self.log, self.views, entries_max).await?;
        let mut swept = Swept { behind: followed.behind(), ..Swept::default() };
        let idle_since_ms = now_ms.saturating_sub(self.idle_ms);
        let mut after = None;
        // Ends with the last study: each page begins behind the one before.
        loop {
            let due = self.views.studies_due(idle_since_ms, after, STUDIES_PAGE).await?;
            let Some(last) = due.last() else { return Ok(swept) };
            after = Some(last.study);
            for row in &due {
                self.study(row.study, now_ms, &mut swept).await?;
            }
        }
    }

    /// Brings the stream of one study to what the ledger says of its objects.
    async fn study(&self, about: IndexHash, now_ms: u64, swept: &mut Swept) -> Result<()> {
        let Some(found) = self.found(about).await? else { return Ok(()) };
        let idle_ms = now_ms.checked_sub(found.last_ms).filter(|idle_ms| *idle_ms >= self.idle_ms);
        let idle_s = idle_ms.map(|idle_ms| idle_ms / 1_000);
        let stream = self.keys.study_stream(about);
        let mut lost = None;
        for _ in 0..ROUNDS_MAX {
            let loaded = self.load(StreamKey(stream.0.0)).await?;
            let study = study_of(&loaded)?;
            let Some(command) = study.due(found.count, idle_s) else { return Ok(()) };
            match self.append(stream, about, &loaded, &study, &command, now_ms).await {
                Ok(Some(event)) => {
                    self.tell(stream, &event);
                    match command {
                        Command::Complete { .. } => swept.completed += 1,
                        Command::Reopen { .. } => swept.reopened += 1,
                    }
                }
                Ok(None) => {}
                Err(error @ ledger::Error::Unknown { .. }) if !error.is_disk_full() => lost = Some(error),
                // The stream is full: it was reopened hundreds of times, and says nothing more.
                Err(ledger::Error::Invalid(_)) => return Ok(()),
                Err(error) => return Err(ledger_error("record that a study is complete", error)),
            }
        }
        match lost {
            Some(error) => Err(ledger_error("record that a study is complete", error)),
            None => Ok(()),
        }
    }

    /// Appends once. `None`: somebody else wrote to the stream; it is read again.
    async fn append(
        &self,
        stream: StreamId,
        about: IndexHash,
        loaded: &Stream,
        study: &Study,
        command: &Command,
        now_ms: u64,
    ) -> std::result::Result<Option<Event>, ledger::Error> {
        let time = Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX));
        let Ok((id, mut events)) = study.decide(stream, about, command, time) else { return Ok(None) };
        let actor = Actor::system(SWEEPER).expect("the word is an actor's name");
        let decision = ledger_decision(id, &events, Some(about), actor)
            .map_err(|_| ledger::Error::Invalid(ledger::InvalidDecision::HeaderTooLong))?;
        let (at, nonce) = (UtcMillis::from_unix_ms(now_ms), ledger::Nonce(self.surroundings.nonce()));
        match self.ledger.append(&loaded.tip(), &decision, at, nonce).await {
            Ok(Appended::New(_)) => Ok(events.pop()),
            // Another sweeper, or we before an answer was lost: who wrote it has told of it, or tells now.
            Ok(Appended::Already(_)) | Err(ledger::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn tell(&self, stream: StreamId, event: &Event) {
        for rule in self.bus.matches(&event.data) {
            if rule.action == Action::Notify {
                self.observer.notified(stream, rule, &event.data);
            }
        }
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream> {
        self.ledger.load(stream).await.map_err(|error| ledger_error("load a stream", error))
    }

    /// Counts the study's objects from the ledger. `None` if they are more than the bound.
    async fn found(&self, about: IndexHash) -> Result<Option<Found>> {
        let hash = ledger::IndexHash { version: about.version, hash: about.hash.0 };
        let tag = Tag { kind: TagKind::Study, hash };
        let (mut streams, mut from) = (BTreeSet::new(), 0);
        while streams.len() < STREAMS_MAX {
            let page = self.log.tagged(&tag, from, READ_ENTRIES_MAX).await;
            let page = page.map_err(|error| ledger_error("look up entries by tag", error))?;
            let Some(last) = page.last() else { break };
            from = last.leaf_index + 1;
            streams.extend(page.iter().map(|tagged| tagged.stream.0));
        }
        if streams.len() >= STREAMS_MAX {
            return Ok(None);
        }
        let mut found = Found { count: Count::default(), last_ms: 0 };
        for stream in streams {
            let entries = self.load(StreamKey(stream)).await?.entries;
            found.take_in(&entries, about)?;
        }
        Ok(Some(found))
    }
}

impl Found {
    fn take_in(&mut self, entries: &[Entry], about: IndexHash) -> Result<()> {
        let Some(first) = entries.first() else { return Ok(()) };
        if !first.header.types.iter().any(|name| name == "imaging.object.received.v1") {
            return Ok(());
        }
        let mut upload = Upload::default();
        for event in events_of(entries)? {
            upload.apply(&event).map_err(|error| unreadable(first, &error))?;
        }
        if upload.study() != Some(about) {
            return Ok(());
        }
        *match upload.ended() {
            Some(Ended::Delivered) => &mut self.count.delivered,
            Some(Ended::Quarantined(_)) => &mut self.count.quarantined,
            Some(Ended::Failed(_)) => &mut self.count.failed,
            None => &mut self.count.open,
        } += 1;
        let last_ms = entries.last().map_or(0, |entry| entry.header.recorded_at.unix_ms());
        self.last_ms = self.last_ms.max(last_ms);
        Ok(())
    }
}

fn study_of(loaded: &Stream) -> Result<Study> {
    let Some(first) = loaded.entries.first() else { return Ok(Study::default()) };
    Study::of(&events_of(&loaded.entries)?).map_err(|error| unreadable(first, &error))
}

fn events_of(entries: &[Entry]) -> Result<Vec<Event>> {
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        events.extend(domain::events::read(entry.body.as_bytes()).map_err(|error| unreadable(entry, &error))?);
    }
    Ok(events)
}

fn unreadable(entry: &Entry, error: &dyn std::error::Error) -> Error {
    let tried = format!("read entry {} of stream {}: {error}", entry.header.seq, entry.header.stream);
    Error::broken("stream_unreadable", tried)
}

#[cfg(test)]
mod tests;
