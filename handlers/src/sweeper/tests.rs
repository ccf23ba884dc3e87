//! Studies are completed once nothing came for long enough, reopened by what comes late, and said once whatever is lost.

use std::sync::Mutex;

use domain::Reason;
use domain::events::{
    Code, Decision as EventDecision, Detail, Digest, EventData, InstanceIngested, InstanceQuarantined, Intake,
    ObjectReceived, ProcessingFailed, RegisteredUid, Tag as EventTag, TagKind as EventTagKind,
};
use domain::ids::{Key, KeyedHash};
use domain::workflow::{FailureKind, Rule, Step};
use ledger::faulty::{Fault, Faulty};
use ledger::{MemoryLedger, Nonce, Origin};
use uuid::Uuid;

use super::*;
use crate::runner::report::Silent;

const MINUTE_MS: u64 = 60_000;
const IDLE_MS: u64 = 10 * MINUTE_MS;
const START_MS: u64 = 1_795_000_000_000;

struct Nonces;

impl Surroundings for Nonces {
    fn now_ms(&self) -> u64 {
        START_MS
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(9);
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<&'static str>>);

impl Observer for Told {
    fn notified(&self, _: StreamId, rule: &'static Rule, _: &EventData) {
        self.0.lock().expect("told").push(rule.name);
    }
}

fn keys() -> Keys {
    Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) }
}

fn study(number: u8) -> IndexHash {
    IndexHash { version: 1, hash: KeyedHash([number; 16]) }
}

/// A ledger, views of it in a folder, and what is appended to it.
struct Bench {
    folder: tempfile::TempDir,
    ledger: MemoryLedger,
    keys: Keys,
}

impl Bench {
    fn new() -> Self {
        let origin = Origin::new("medimg", "test", [7; 16]).expect("an origin");
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, ledger: MemoryLedger::new(origin), keys: keys() }
    }

    fn views(&self) -> SqliteViews {
        SqliteViews::open(&self.folder.path().join("views.sqlite")).expect("views")
    }

    /// Appends an event to an object's stream.
    async fn say(&self, object: u8, about: Option<IndexHash>, step: &'static str, at_ms: u64, said: EventData) {
        let stream = StreamId(KeyedHash([object; 16]));
        let loaded = self.ledger.load(StreamKey(stream.0.0)).await.expect("loads");
        let id = Uuid::from_u128(u128::from(object) << 32 | loaded.entries.len() as u128);
        let time = Time::from_unix_ms(at_ms as i64);
        let decided = EventDecision { id, stream, time, correlation_id: None, causation_id: None };
        let events = Event::of(&decided, vec![said]);
        let actor = Actor::system(step).expect("an actor");
        let decision = ledger_decision(id, &events, about, actor).expect("a decision");
        let at = UtcMillis::from_unix_ms(at_ms);
        self.ledger.append(&loaded.tip(), &decision, at, Nonce([1; 16])).await.expect("appended");
    }

    async fn receive(&self, object: u8, about: IndexHash, at_ms: u64) {
        let received =
            ObjectReceived { sha256: Digest([object; 32]), size_bytes: 9, intake: Intake::Process, raw_copied: false };
        self.say(object, None, "intake", at_ms, received.into()).await;
        let ingested = InstanceIngested {
            transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
            sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
            modality: None,
            elements: 9,
            notes: Vec::new(),
            tags: vec![EventTag { kind: EventTagKind::Study, hash: about }],
        };
        self.say(object, Some(about), "ingestion", at_ms, ingested.into()).await;
    }

    async fn refuse(&self, object: u8, about: IndexHash, at_ms: u64) {
        let quarantined = InstanceQuarantined {
            reason: Reason::Pixel,
            step: Step::Validation,
            detail: Detail::of("no pixels"),
            at: None,
            profile_digest: None,
            tags: Vec::new(),
        };
        self.say(object, Some(about), "quarantine", at_ms, quarantined.into()).await;
    }

    async fn fail(&self, object: u8, about: IndexHash, at_ms: u64) {
        let (step, kind, code) = (Step::Validation, FailureKind::Broken, Code::fixed("source_gone"));
        let failed = ProcessingFailed { step, kind, code, attempts: 3 };
        self.say(object, Some(about), "record-failure", at_ms, failed.into()).await;
    }

    async fn ended(&self, object: u8, about: IndexHash, at_ms: u64) {
        self.receive(object, about, at_ms).await;
        self.refuse(object, about, at_ms).await;
    }

    async fn sweep_on<L: Ledger + Log>(&self, ledger: &L, now_ms: u64, observer: &dyn Observer) -> Result<Swept> {
        let (views, bus) = (self.views(), Bus::default());
        let (keys, surroundings) = (&self.keys, &Nonces);
        let idle_ms = IDLE_MS;
        let sweeper = Sweeper { ledger, log: ledger, views: &views, keys, surroundings, bus: &bus, observer, idle_ms };
        sweeper.sweep(now_ms, u64::MAX).await
    }

    async fn sweep(&self, now_ms: u64) -> (u64, u64) {
        let swept = self.sweep_on(&self.ledger, now_ms, &Silent).await.expect("swept");
        (swept.completed, swept.reopened)
    }

    /// What the study's own stream says.
    async fn said(&self, about: IndexHash) -> Vec<EventData> {
        let stream = self.keys.study_stream(about);
        let loaded = self.ledger.load(StreamKey(stream.0.0)).await.expect("loads");
        Study::of(&events_of(&loaded.entries).expect("reads")).expect("an order that may stand");
        assert!(loaded.entries.iter().all(|entry| entry.header.actor.to_string() == "system:sweeper"));
        events_of(&loaded.entries).expect("reads").into_iter().map(|event| event.data).collect()
    }
}

fn block_on<T>(asked: impl Future<Output = T>) -> T {
    crate::views::testkit::block_on(asked)
}

#[test]
fn a_study_is_completed_with_the_counts_as_found_once_nothing_came_for_long_enough() {
    block_on(async {
        let bench = Bench::new();
        bench.ended(1, study(1), START_MS).await;
        bench.receive(2, study(1), START_MS).await;
        bench.fail(2, study(1), START_MS + MINUTE_MS).await;
        assert_eq!(bench.sweep(START_MS + IDLE_MS).await, (0, 0), "the last came a minute later");
        let told = Told::default();
        let due = START_MS + MINUTE_MS + IDLE_MS;
        let swept = bench.sweep_on(&bench.ledger, due, &told).await.expect("swept");
        assert_eq!((swept.completed, swept.reopened, swept.behind), (1, 0, 0));
        let said = bench.said(study(1)).await;
        let EventData::StudyCompleted(said) = &said[0] else { panic!("{said:?}") };
        assert_eq!((said.instances, said.delivered, said.quarantined, said.failed), (2, 0, 1, 1));
        assert_eq!(said.idle_s, 600);
        assert_eq!(*told.0.lock().expect("told"), ["study-completed"], "the rule tells those who wait");
        assert_eq!(bench.sweep(due + MINUTE_MS).await, (0, 0), "what stands is not said again");
        assert_eq!(bench.said(study(1)).await.len(), 1);
    });
}

#[test]
fn a_study_with_an_open_stream_waits() {
    block_on(async {
        let bench = Bench::new();
        bench.ended(1, study(1), START_MS).await;
        bench.receive(2, study(1), START_MS).await;
        assert_eq!(bench.sweep(START_MS + 10 * IDLE_MS).await, (0, 0));
        bench.refuse(2, study(1), START_MS).await;
        assert_eq!(bench.sweep(START_MS + 10 * IDLE_MS).await, (1, 0));
    });
}

#[test]
fn a_late_object_reopens_the_study_and_it_is_completed_again() {
    block_on(async {
        let bench = Bench::new();
        bench.ended(1, study(1), START_MS).await;
        assert_eq!(bench.sweep(START_MS + IDLE_MS).await, (1, 0));
        let late = START_MS + 2 * IDLE_MS;
        bench.receive(2, study(1), late).await;
        assert_eq!(bench.sweep(late + 1).await, (0, 1));
        assert_eq!(bench.sweep(late + 1).await, (0, 0), "it is open");
        bench.refuse(2, study(1), late + 2).await;
        assert_eq!(bench.sweep(late + 2 + IDLE_MS).await, (1, 0));
        bench.ended(3, study(1), late + 2 * IDLE_MS).await;
        assert_eq!(bench.sweep(late + 3 * IDLE_MS).await, (1, 1), "reopened and completed in one sweep");
        let types: Vec<_> = bench.said(study(1)).await.iter().map(|said| said.event_type().name).collect();
        let (done, open) = ("imaging.study.completed", "imaging.study.reopened");
        assert_eq!(types, [done, open, done, open, done]);
    });
}

#[test]
fn a_clock_that_jumps_back_makes_a_study_wait_and_one_that_jumps_ahead_is_put_right_by_the_next_object() {
    block_on(async {
        let (bench, hour_ms) = (Bench::new(), 60 * MINUTE_MS);
        bench.ended(1, study(1), START_MS).await;
        assert_eq!(bench.sweep(START_MS - hour_ms).await, (0, 0));
        assert_eq!(bench.sweep(0).await, (0, 0));
        assert_eq!(bench.sweep(START_MS + hour_ms).await, (1, 0), "too early by the true clock");
        bench.ended(2, study(1), START_MS + MINUTE_MS).await;
        assert_eq!(bench.sweep(START_MS + MINUTE_MS).await, (0, 1));
        assert_eq!(bench.sweep(START_MS + MINUTE_MS + IDLE_MS).await, (1, 0));
        assert_eq!(bench.sweep(u64::MAX).await, (0, 0));
    });
}

#[test]
fn every_lost_call_kept_or_not_kept_leads_to_the_same_words() {
    block_on(async {
        let mut failed_calls = 0;
        for fault in [Fault::Kept, Fault::NotKept, Fault::Unavailable] {
            // Ends when no call is left to fail.
            for call in 0.. {
                let bench = Bench::new();
                bench.ended(1, study(1), START_MS).await;
                assert_eq!(bench.sweep(START_MS + IDLE_MS).await, (1, 0));
                let late = START_MS + 2 * IDLE_MS;
                bench.ended(2, study(1), late).await;
                bench.ended(3, study(2), late).await;
                let faulty = Faulty::at(bench.ledger.clone(), call, fault);
                let failed = bench.sweep_on(&faulty, late + IDLE_MS, &Silent).await.is_err();
                let reached = faulty.calls() > call;
                bench.sweep(late + IDLE_MS).await;
                assert_eq!(bench.said(study(1)).await.len(), 3, "call {call}, {fault:?}");
                assert_eq!(bench.said(study(2)).await.len(), 1, "call {call}, {fault:?}");
                failed_calls += u64::from(failed);
                if !reached {
                    break;
                }
            }
        }
        assert!(failed_calls > 20, "calls failed: {failed_calls}");
    });
}

#[test]
fn two_sweepers_say_it_once() {
    let bench = Bench::new();
    block_on(async {
        for number in 1..30 {
            bench.ended(number, study(number % 7), START_MS).await;
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| block_on(bench.sweep_on(&bench.ledger, START_MS + IDLE_MS, &Silent)).expect("swept"));
        }
    });
    block_on(async {
        for number in 0..7 {
            assert_eq!(bench.said(study(number)).await.len(), 1);
        }
    });
}
