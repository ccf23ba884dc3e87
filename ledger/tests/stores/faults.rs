//! Every call fails once, with its write kept and not kept; whoever reads again and decides again ends in the same state.

use std::sync::Arc;

use ledger::faulty::{Call, Fault, Faulty};
use ledger::{Appended, Error, Head, Ledger, Log, MemoryLedger, Nonce, StreamKey, UtcMillis};

use crate::support::{Seeded, created, decision, folder, origin};

const STREAMS: u128 = 3;
const STEPS: usize = 4;

/// Records each stream's decisions as a worker does: load, see what is there, append the next one, and on any error load
/// again. `restarts` bounds it.
async fn record_all(ledger: &(impl Ledger + Log)) -> Result<Head, &'static str> {
    for stream in 0..STREAMS {
        let mut seeded = Seeded(stream as u64);
        let decisions: Vec<_> = (0..STEPS).map(|_| decision(&mut seeded)).collect();
        let mut restarts = 0;
        loop {
            restarts += 1;
            if restarts > 3 * STEPS {
                return Err("a worker that reads again does not get on");
            }
            let Ok(loaded) = ledger.load(StreamKey(stream.to_be_bytes())).await else { continue };
            let done = loaded.entries.len();
            assert!(loaded.entries.iter().zip(&decisions).all(|(entry, d)| entry.header.decision_id == d.decision_id));
            let Some(next) = decisions.get(done) else { break };
            let (at, nonce) = (UtcMillis::from_unix_ms(done as u64), Nonce([done as u8; 16]));
            match ledger.append(&loaded.tip(), next, at, nonce).await {
                Ok(_) | Err(Error::Unknown { .. } | Error::DiskFull { .. } | Error::Unavailable { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    match ledger.head().await {
        Ok(head) => Ok(head),
        Err(_) => ledger.head().await.map_err(|_| "one fault fails one call"),
    }
}

async fn converge<L: Ledger + Log>(make: impl Fn() -> L) {
    let clean = Faulty::new(make(), |_| None);
    let expected = record_all(&clean).await.unwrap();
    assert_eq!(expected.size, STREAMS as u64 * STEPS as u64);
    for index in 0..clean.calls() {
        for fault in [Fault::Kept, Fault::NotKept, Fault::DiskFull, Fault::Unavailable] {
            let head = record_all(&Faulty::at(make(), index, fault)).await.unwrap();
            assert_eq!(head, expected, "call {index} {fault:?}: same entries, in the same order, none twice");
        }
    }
}

#[tokio::test]
async fn any_failing_call_of_the_store_in_memory_changes_nothing_in_the_end() {
    converge(|| MemoryLedger::new(origin())).await;
}

#[tokio::test]
async fn any_failing_call_of_sqlite_changes_nothing_in_the_end() {
    let folders = std::sync::Mutex::new(Vec::new());
    converge(|| {
        let folder = folder();
        let ledger = created(&folder);
        folders.lock().unwrap().push(folder);
        ledger
    })
    .await;
}

#[tokio::test]
async fn a_kept_append_stands_and_one_not_kept_does_not() {
    for (fault, kept) in [(Fault::Kept, 1), (Fault::NotKept, 0), (Fault::DiskFull, 0)] {
        let ledger = Faulty::at_kind(MemoryLedger::new(origin()), Call::Append, 0, fault);
        let (decision, tip) = (decision(&mut Seeded(1)), ledger::Tip::empty(StreamKey([1; 16])));
        let answer = ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
        assert_eq!(matches!(answer, Err(Error::Unknown { .. })), fault != Fault::DiskFull);
        assert_eq!(answer.unwrap_err().is_disk_full(), fault == Fault::DiskFull);
        assert_eq!(ledger.head().await.unwrap().size, kept);
        let again = ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await.unwrap();
        assert_eq!(matches!(again, Appended::Already(_)), kept == 1);
        assert_eq!(ledger.calls(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_and_two_openings_of_one_store_lose_nothing() {
    let folder = folder();
    let first = Arc::new(created(&folder));
    let path = folder.path().join("ledger.sqlite");
    let second = Arc::new(ledger::SqliteLedger::open(&path, ledger::Open::Existing).unwrap());
    let workers = (0..40u128).map(|worker| {
        let ledger = if worker % 2 == 0 { Arc::clone(&first) } else { Arc::clone(&second) };
        tokio::spawn(async move {
            // Both openings write the same streams, so half of the appends find the decision there.
            let mut seeded = Seeded((worker / 2) as u64);
            let mut tip = ledger::Tip::empty(StreamKey((worker / 2).to_be_bytes()));
            for _ in 0..10 {
                let decision = decision(&mut seeded);
                tip = ledger
                    .append(&tip, &decision, UtcMillis::from_unix_ms(5), Nonce([2; 16]))
                    .await
                    .unwrap()
                    .receipt()
                    .tip();
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
        // Reading while others write raises no alarm.
        let report = ledger::verify_store(&path, &mut |_, _, _| {}).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
    assert_eq!((first.head().await.unwrap().size, second.head().await.unwrap().size), (200, 200));
}
