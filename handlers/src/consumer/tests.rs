//! A consumer takes every entry in exactly once, whatever is lost on the way, and goes on with no other log.

use std::sync::{Mutex, PoisonError};

use domain::ids::{KeyedHash, StreamId};
use ledger::faulty::{Fault, Faulty};
use ledger::{Actor, Decision, EventTypes, Ledger as _, MemoryLedger, Nonce, Origin, StreamKey, Tip, UtcMillis};
use uuid::Uuid;

use super::*;

fn memory(store: u8) -> MemoryLedger {
    MemoryLedger::new(Origin::new("medimg", "test", [store; 16]).expect("an origin"))
}

/// Appends so many entries, each the first of its stream.
fn fill(ledger: &MemoryLedger, from: u64, count: u64) {
    crate::views::testkit::block_on(async {
        for number in from..from + count {
            let stream = StreamKey(u128::from(number).to_be_bytes());
            let subject = StreamId(KeyedHash(stream.0));
            let decision = Decision {
                decision_id: Uuid::from_u128(u128::from(number)),
                types: EventTypes::new(&["imaging.ledger.heartbeat.v1"]).expect("a type"),
                subject: None,
                actor: Actor::system("intake").expect("an actor"),
                body: format!(r#"[{{"type":"imaging.ledger.heartbeat.v1","subject":"{subject}"}}]"#),
            };
            let at = UtcMillis::from_unix_ms(number);
            ledger.append(&Tip::empty(stream), &decision, at, Nonce([1; 16])).await.expect("appended");
        }
    });
}

/// What a sink does with the call of this number, from 0.
#[derive(Clone, Copy)]
enum Tear {
    /// Effect and cursor are kept, the answer is lost.
    Kept(u64),
    /// Nothing is kept.
    NotKept(u64),
    Never,
}

/// Keeps the leaf indices that it was given.
struct Seen {
    state: Mutex<(Cursor, Vec<u64>, u64)>,
    tear: Tear,
}

impl Seen {
    fn new(tear: Tear) -> Self {
        Self { state: Mutex::new((Cursor::default(), Vec::new(), 0)), tear }
    }

    fn leaves(&self) -> Vec<u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

#[async_trait]
impl Sink for Seen {
    fn name(&self) -> &'static str {
        "a test"
    }

    async fn cursor(&self) -> Result<Cursor> {
        Ok(self.state.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    async fn take(&self, from: Cursor, page: &[LogEntry]) -> Result<Took> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let call = state.2;
        state.2 += 1;
        let torn = || Err(Error::lost("views_io", "commit a page", "injected"));
        if matches!(self.tear, Tear::NotKept(at) if at == call) {
            return torn();
        }
        if state.0 != from {
            return Ok(Took::Moved);
        }
        state.0 = from.after(page);
        state.1.extend(page.iter().map(|row| row.leaf_index));
        if matches!(self.tear, Tear::Kept(at) if at == call) { torn() } else { Ok(Took::Committed) }
    }
}

fn run(log: &dyn Log, sink: &dyn Sink) -> Result<Followed> {
    crate::views::testkit::block_on(follow(log, sink, u64::MAX))
}

const SIZE: u64 = 2 * READ_ENTRIES_MAX as u64 + 7;

#[test]
fn every_entry_is_taken_in_once_and_in_order_and_a_restart_goes_on() {
    let (ledger, sink) = (memory(1), Seen::new(Tear::Never));
    fill(&ledger, 0, SIZE);
    assert_eq!(run(&ledger, &sink).expect("followed"), Followed { next: SIZE, size: SIZE });
    fill(&ledger, SIZE, 3);
    run(&ledger, &sink).expect("followed");
    assert_eq!(sink.leaves(), (0..SIZE + 3).collect::<Vec<_>>());
}

#[test]
fn a_call_takes_in_no_more_than_it_may_and_says_what_is_left() {
    let (ledger, sink) = (memory(1), Seen::new(Tear::Never));
    fill(&ledger, 0, 20);
    let followed = crate::views::testkit::block_on(follow(&ledger, &sink, 15)).expect("followed");
    assert_eq!((followed.next, followed.behind()), (15, 5));
}

#[test]
fn a_torn_commit_loses_and_doubles_nothing_kept_or_not_kept() {
    let ledger = memory(1);
    fill(&ledger, 0, SIZE);
    for call in 0..3 {
        for tear in [Tear::Kept(call), Tear::NotKept(call)] {
            let sink = Seen::new(tear);
            assert_eq!(run(&ledger, &sink).expect_err("torn").code(), "views_io");
            run(&ledger, &sink).expect("the next call goes on");
            assert_eq!(sink.leaves(), (0..SIZE).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_log_that_does_not_answer_loses_and_doubles_nothing() {
    let ledger = memory(1);
    fill(&ledger, 0, SIZE);
    let mut call = 0;
    // Ends when no call is left to fail.
    loop {
        let sink = Seen::new(Tear::Never);
        let faulty = Faulty::at(ledger.clone(), call, Fault::Unavailable);
        let failed = run(&faulty, &sink).is_err();
        run(&ledger, &sink).expect("the next call goes on");
        assert_eq!(sink.leaves(), (0..SIZE).collect::<Vec<_>>());
        if !failed {
            break;
        }
        call += 1;
    }
    assert!(call >= 4, "the head and three pages were read: {call}");
}

#[test]
fn a_restored_older_ledger_and_another_one_are_refused() {
    let (ledger, sink) = (memory(1), Seen::new(Tear::Never));
    fill(&ledger, 0, 10);
    run(&ledger, &sink).expect("followed");
    let restored = memory(1);
    fill(&restored, 0, 9);
    assert_eq!(run(&restored, &sink).expect_err("refused").code(), "consumer_ahead");
    fill(&restored, 100, 5);
    assert_eq!(run(&restored, &sink).expect_err("refused").code(), "consumer_other_log");
    assert_eq!(sink.leaves().len(), 10, "nothing of another log was taken in");
}

/// A log whose entry 5 is gone, or which ends before its head says.
struct Gap {
    inner: MemoryLedger,
    at_end: bool,
}

#[async_trait]
impl Log for Gap {
    async fn head(&self) -> std::result::Result<ledger::Head, ledger::Error> {
        self.inner.head().await
    }

    async fn entries(&self, from: u64, limit: usize) -> std::result::Result<Vec<LogEntry>, ledger::Error> {
        let mut rows = self.inner.entries(from, limit).await?;
        rows.retain(|row| if self.at_end { row.leaf_index < 5 } else { row.leaf_index != 5 });
        Ok(rows)
    }

    async fn tagged(
        &self,
        tag: &ledger::Tag,
        from: u64,
        limit: usize,
    ) -> std::result::Result<Vec<ledger::Tagged>, ledger::Error> {
        self.inner.tagged(tag, from, limit).await
    }
}

#[test]
fn a_gap_in_the_log_is_told_and_not_stepped_over() {
    for at_end in [false, true] {
        let (inner, sink) = (memory(1), Seen::new(Tear::Never));
        fill(&inner, 0, 8);
        let gap = Gap { inner, at_end };
        assert_eq!(run(&gap, &sink).expect_err("refused").code(), "ledger_gap");
        assert!(sink.leaves().iter().all(|leaf| *leaf < 5));
    }
}

#[test]
fn two_consumers_of_one_sink_take_every_entry_in_once() {
    let (ledger, sink) = (memory(1), std::sync::Arc::new(Seen::new(Tear::Never)));
    fill(&ledger, 0, SIZE);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| run(&ledger, sink.as_ref()).expect("followed"));
        }
    });
    assert_eq!(sink.leaves(), (0..SIZE).collect::<Vec<_>>());
}
