//! A ledger with a queue in front: appends become durable in groups, in the order of first polls, later than they were asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use ledger::{
    Appended, Decision, Error, Ledger, Link, LogEntry, MemoryLedger, Nonce, Origin, Stream, StreamKey, Tip, UtcMillis,
};

use super::world::{Effect, Fate, World, about};

type Answers = Vec<Result<Appended, Error>>;

/// Decisions of one stream that wait to be committed together.
struct Job {
    ticket: u64,
    tip: Tip,
    links: Vec<Link>,
}

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: VecDeque<Job>,
    done: HashMap<u64, Answers>,
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

    fn enqueue(&self, tip: &Tip, links: &[Link]) -> u64 {
        let mut queue = self.queue();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.waiting.push_back(Job { ticket, tip: *tip, links: links.to_vec() });
        ticket
    }

    /// Commits what waits up to a ticket.
    fn flush(&self, up_to: u64) {
        let mut queue = self.queue();
        while queue.waiting.front().is_some_and(|job| job.ticket <= up_to) {
            let Some(job) = queue.waiting.pop_front() else { return };
            let done = self.durable.append_chain(&job.tip, &job.links).now_or_never();
            queue.done.insert(job.ticket, done.expect("a ledger in memory answers at once"));
        }
    }

    fn done(&self, ticket: u64) -> Answers {
        self.queue().done.remove(&ticket).expect("a flushed append has an answer")
    }

    fn refusal(&self, effect: Effect) -> Error {
        match (effect, self.world.below(3)) {
            (Effect::Kept, _) | (_, 0) => Error::Unknown { cause: Some("simulated".into()) },
            (_, 1) => Error::Unavailable { source: Some("simulated".into()) },
            _ => Error::DiskFull { source: "simulated".into() },
        }
    }

    async fn chain(&self, tip: &Tip, links: &[Link]) -> Answers {
        // Without a wait: the first poll decides the order (the port's promise).
        let fate = self.world.fate("ledger append", about(&tip.stream().0));
        // A store need not take a chain as one: where it goes wrong, the first few may stand.
        let kept = match fate {
            Fate::Dead => return self.world.never().await,
            Fate::Fail(Effect::NotKept) | Fate::Crash(_, Effect::NotKept) => self.world.below(links.len()),
            Fate::Fail(Effect::Kept) => 1 + self.world.below(links.len()),
            _ => links.len(),
        };
        let ticket = self.enqueue(tip, &links[..kept]);
        if let Fate::Crash(crash, effect) = fate {
            // What came before in the queue may be committed or not; this one as told, and never without those before.
            if effect == Effect::Kept || self.world.below(2) == 0 {
                self.flush(ticket);
            }
            self.world.die(crash);
            return self.world.never().await;
        }
        self.world.pause().await;
        if self.world.is_dead() {
            return self.world.never().await;
        }
        if let Fate::Fail(effect) = fate {
            let told = effect == Effect::NotKept || self.world.below(2) == 0;
            // Committed now, or by whoever flushes next: no answer says nothing about when. What is told is committed.
            let mut answers = Vec::new();
            if told {
                self.flush(ticket);
                answers = self.done(ticket);
                answers.truncate(if effect == Effect::Kept { kept - 1 } else { kept });
            }
            if answers.last().is_none_or(|answer| matches!(answer, Ok(Appended::New(_)))) {
                answers.push(Err(self.refusal(effect)));
            }
            return answers;
        }
        self.flush(ticket);
        let done = self.done(ticket);
        self.world.pause().await;
        done
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
        let mut answers = self.chain(tip, &[Link { decision: decision.clone(), at, nonce }]).await;
        answers.pop().expect("one decision has one answer")
    }

    async fn append_chain(&self, tip: &Tip, links: &[Link]) -> Vec<Result<Appended, Error>> {
        self.chain(tip, links).await
    }
}
