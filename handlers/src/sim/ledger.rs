//! A ledger with a queue in front: appends become durable in groups, in the order of first polls, later than they were asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use ledger::{
    Appended, Decision, Error, Ledger, LogEntry, MemoryLedger, Nonce, Origin, Stream, StreamKey, Tip, UtcMillis,
};

use super::world::{Effect, Fate, World, about};

struct Job {
    ticket: u64,
    tip: Tip,
    decision: Decision,
    at: UtcMillis,
    nonce: Nonce,
}

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: VecDeque<Job>,
    done: HashMap<u64, Result<Appended, Error>>,
}

/// The connection of one life of the process to a ledger that outlives it.
pub(super) struct SimLedger {
    world: Arc<World>,
    durable: MemoryLedger,
    queue: Mutex<Queue>,
}

impl SimLedger {
    pub(super) fn new(world: Arc<World>, durable: MemoryLedger) -> Self {
        Self { world, durable, queue: Mutex::default() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> u64 {
        let mut queue = self.queue();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.waiting.push_back(Job { ticket, tip: *tip, decision: decision.clone(), at, nonce });
        ticket
    }

    /// Commits what waits up to a ticket.
    fn flush(&self, up_to: u64) {
        let mut queue = self.queue();
        while queue.waiting.front().is_some_and(|job| job.ticket <= up_to) {
            let Some(job) = queue.waiting.pop_front() else { return };
            let done = self.durable.append(&job.tip, &job.decision, job.at, job.nonce).now_or_never();
            queue.done.insert(job.ticket, done.expect("a ledger in memory answers at once"));
        }
    }

    fn done(&self, ticket: u64) -> Result<Appended, Error> {
        self.queue().done.remove(&ticket).expect("a flushed append has an answer")
    }

    fn refusal(&self, effect: Effect) -> Error {
        match (effect, self.world.below(3)) {
            (Effect::Kept, _) | (_, 0) => Error::Unknown { cause: Some("simulated".into()) },
            (_, 1) => Error::Unavailable { source: Some("simulated".into()) },
            _ => Error::DiskFull { source: "simulated".into() },
        }
    }
}

/// Returns all that a ledger in memory holds.
pub(super) fn entries(ledger: &MemoryLedger) -> Vec<LogEntry> {
    use ledger::Log;
    let mut all = Vec::new();
    // Bounded: a simulation writes a few hundred entries.
    loop {
        let page = ledger.entries(all.len() as u64, 1_024).now_or_never().expect("at once").expect("no faults in it");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[async_trait]
impl Ledger for SimLedger {
    fn origin(&self) -> &Origin {
        self.durable.origin()
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, Error> {
        match self.world.call("ledger load", about(&stream.0)).await {
            Fate::Go | Fate::Stop => {}
            Fate::Fail(_) => return Err(Error::Unavailable { source: Some("simulated".into()) }),
            Fate::Crash(crash, _) => {
                self.world.die(crash);
                return self.world.never().await;
            }
            Fate::Dead => return self.world.never().await,
        }
        let loaded = self.durable.load(stream).await;
        self.world.pause().await;
        loaded
    }

    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error> {
        // Without a wait: the first poll decides the order (the port's promise).
        let fate = self.world.fate("ledger append", about(&tip.stream().0));
        if fate == Fate::Dead {
            return self.world.never().await;
        }
        if fate == Fate::Fail(Effect::NotKept) {
            self.world.pause().await;
            return Err(self.refusal(Effect::NotKept));
        }
        let ticket = self.enqueue(tip, decision, at, nonce);
        if let Fate::Crash(crash, effect) = fate {
            // What came before in the queue may be committed or not; this one as told, and never without those before.
            let before = self.world.below(2) == 0;
            match effect {
                Effect::Kept => self.flush(ticket),
                Effect::NotKept if before => self.flush(ticket - 1),
                Effect::NotKept => {}
            }
            self.world.die(crash);
            return self.world.never().await;
        }
        self.world.pause().await;
        if self.world.is_dead() {
            return self.world.never().await;
        }
        if fate == Fate::Fail(Effect::Kept) {
            // Committed now, or by whoever flushes next: no answer says nothing about when.
            if self.world.below(2) == 0 {
                self.flush(ticket);
            }
            return Err(self.refusal(Effect::Kept));
        }
        self.flush(ticket);
        let done = self.done(ticket);
        self.world.pause().await;
        done
    }
}
