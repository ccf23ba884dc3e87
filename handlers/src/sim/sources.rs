//! The table of sources in memory: every call is one transaction, kept whole or not at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Phi;
use domain::events::Digest;
use domain::ids::{Keys, StreamId};
use uuid::Uuid;

use super::world::{Effect, Fate, World, about};
use crate::error::{Error, Result};
use crate::ports::sources::SourceTable;
use crate::sources::SourceRow;

/// The table; clones share it.
#[derive(Clone)]
pub(super) struct SimSources {
    world: Arc<World>,
    rows: Arc<Mutex<Vec<(SourceRow, bool)>>>,
}

fn lost() -> Error {
    Error::lost("sources_io", "call a table that was told to fail", "simulated")
}

impl SimSources {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, rows: Arc::default() }
    }

    fn rows(&self) -> MutexGuard<'_, Vec<(SourceRow, bool)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the streams in the order of their rows, each with whether it is noted as ended.
    pub(super) fn all(&self) -> Vec<(StreamId, bool)> {
        self.rows().iter().map(|(row, ended)| (row.stream, *ended)).collect()
    }

    /// Runs one transaction. The calls are not asynchronous, so a process that is gone is told of an error; whatever it does
    /// with it has no effect any more.
    fn call<T>(&self, name: &'static str, of: u32, act: impl FnOnce(&mut Vec<(SourceRow, bool)>) -> T) -> Result<T> {
        match self.world.fate(name, of) {
            Fate::Go | Fate::Stop => Ok(act(&mut self.rows())),
            Fate::Fail(effect) => {
                if effect == Effect::Kept {
                    act(&mut self.rows());
                }
                Err(lost())
            }
            Fate::Crash(crash, effect) => {
                if effect == Effect::Kept {
                    act(&mut self.rows());
                }
                self.world.die(crash);
                Err(lost())
            }
            Fate::Dead => Err(lost()),
        }
    }
}

impl SourceTable for SimSources {
    fn put(&self, rows: &[SourceRow]) -> Result<()> {
        let first = rows.first().map_or(0, |row| about(&row.stream.0.0));
        self.call("sources put", first, |held| {
            for row in rows {
                match held.iter_mut().find(|(known, _)| known.stream == row.stream) {
                    Some((known, _)) => known.copied |= row.copied,
                    None => held.push((row.clone(), false)),
                }
            }
        })
    }

    fn get(&self, stream: StreamId, keys: &Keys) -> Result<Option<SourceRow>> {
        let found = self.call("sources get", about(&stream.0.0), |held| {
            held.iter().find(|(row, _)| row.stream == stream).map(|(row, _)| row.clone())
        })?;
        assert!(found.iter().all(|row| keys.object_stream(&row.location) == stream), "a row hashes to its stream");
        Ok(found)
    }

    fn is_forgotten(&self, _stream: StreamId) -> Result<bool> {
        // No scenario forgets.
        Ok(false)
    }

    fn open_streams(&self, limit: usize) -> Result<Vec<StreamId>> {
        self.call("sources open", 0, |held| {
            held.iter().filter(|(_, ended)| !ended).map(|(row, _)| row.stream).take(limit).collect()
        })
    }

    fn set_ended(&self, streams: &[StreamId], ended: bool) -> Result<()> {
        let first = streams.first().map_or(0, |stream| about(&stream.0.0));
        self.call("sources ended", first, |held| {
            for (row, is_ended) in held {
                if streams.contains(&row.stream) {
                    *is_ended = ended;
                }
            }
        })
    }

    fn order(&self, stream: StreamId) -> Result<Option<i64>> {
        let place = self.all().iter().position(|(found, _)| *found == stream);
        Ok(place.and_then(|place| i64::try_from(place).ok()))
    }

    // A simulated replay is asked for in the object's own stream: it has no run of a person and no note.

    fn begin_replay(&self, _run: Uuid, _asked: Digest) -> Result<()> {
        Err(lost())
    }

    fn open_replays(&self, _asked: Digest) -> Result<Vec<Uuid>> {
        Err(lost())
    }

    fn end_replay(&self, _run: Uuid) -> Result<()> {
        Err(lost())
    }

    fn keep_note(&self, _id: Uuid, _text: &Phi<String>, _salt: [u8; 16]) -> Result<Digest> {
        Err(lost())
    }

    fn note(&self, _id: Uuid) -> Result<Option<Phi<String>>> {
        Err(lost())
    }

    fn erase_notes(&self, _ids: &[Uuid]) -> Result<u64> {
        Err(lost())
    }
}
