//! The sealer's ports in memory and in SQLite against their suite, a log that is not what was sealed, and an older store.

use std::sync::Arc;

use ledger::faulty::Fault;
use ledger::seal::faulty::{Faulty, Plan};
use ledger::seal::{
    FollowedLog, KeyInMemory, MemoryPublished, MemorySealHead, Published as _, SealError, SealHead as _, Sealer,
    conformance, mend,
};
use ledger::tiles::{TileKind, TilePath};
use ledger::{Checkpoint, Log as _, MemoryLedger, Open, SqliteLedger, SqliteSeal, verify_store};

use crate::support::{Seeded, created, fill, folder, origin};

type MemorySealer = Sealer<MemorySealHead, FollowedLog<MemoryLedger>, MemoryPublished, KeyInMemory>;

fn memory_sealer(log: &MemoryLedger, published: &MemoryPublished) -> MemorySealer {
    let key = KeyInMemory::of(&origin(), &[5; 32]).unwrap();
    Sealer::new(origin(), MemorySealHead::default(), FollowedLog(log.clone()), published.clone(), key)
}

#[tokio::test]
async fn memory_conforms() {
    conformance::a_cell_is_swapped_by_whoever_saw_it_and_nobody_else(&MemorySealHead::default()).await;
    let published = MemoryPublished::default();
    conformance::what_is_published_stays(&published, async |size| published.kept().remove(&size)).await;
    let log = MemoryLedger::new(origin());
    fill(&log, &mut Seeded(1), 40).await;
    conformance::what_is_not_sealed_comes_in_the_order_of_its_leaves(&FollowedLog(log.clone()), &log).await;
    let ports = (MemorySealHead::default(), FollowedLog(log.clone()), MemoryPublished::default());
    conformance::a_sealer_publishes_the_log(origin(), ports, &log).await;
    conformance::the_same_text_has_the_same_signature(&KeyInMemory::of(&origin(), &[5; 32]).unwrap()).await;
}

#[tokio::test]
async fn sqlite_conforms_and_its_store_verifies() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let log = created(&folder);
    fill(&log, &mut Seeded(1), 40).await;
    let seal = Arc::new(SqliteSeal::open(&path).unwrap());
    conformance::what_is_not_sealed_comes_in_the_order_of_its_leaves(seal.as_ref(), &log).await;
    let ports = (Arc::clone(&seal), Arc::clone(&seal), MemoryPublished::default());
    conformance::a_sealer_publishes_the_log(origin(), ports, &log).await;
    drop((seal, log));
    assert!(verify_store(&path, &mut |_, _, _| {}).unwrap().is_sound());
    let folder = self::folder();
    drop(created(&folder));
    let seal = SqliteSeal::open(folder.path().join("ledger.sqlite")).unwrap();
    conformance::a_cell_is_swapped_by_whoever_saw_it_and_nobody_else(&seal).await;
}

#[tokio::test]
async fn a_cell_in_sqlite_survives_being_opened_again() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let log = created(&folder);
    fill(&log, &mut Seeded(1), 30).await;
    let seal = Arc::new(SqliteSeal::open(&path).unwrap());
    let key = KeyInMemory::of(&origin(), &[5; 32]).unwrap();
    let ports = (Arc::clone(&seal), Arc::clone(&seal), MemoryPublished::default());
    Sealer::new(origin(), ports.0, ports.1, ports.2, key).seal().await.unwrap();
    let before = seal.load().await.unwrap();
    drop((seal, log));
    let seal = SqliteSeal::open(&path).unwrap();
    assert_eq!(seal.load().await.unwrap(), before);
    assert_eq!(before.head.size, 30);
}

#[tokio::test]
async fn an_older_store_gets_its_tables_when_it_is_opened_for_writing_and_not_before() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    fill(&created(&folder), &mut Seeded(1), 5).await;
    let older = "DROP TABLE seal; DROP TABLE checkpoints; PRAGMA user_version = 1";
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(verify_store(&path, &mut |_, _, _| {}).unwrap().is_sound());
    assert_eq!(ledger::Peek::open(&path).unwrap().sealed, None);
    assert_eq!(std::fs::read(&path).unwrap(), before, "looking changes nothing");
    let log = SqliteLedger::open(&path, Open::Existing).unwrap();
    assert_eq!(log.head().await.unwrap().size, 5);
    drop(log);
    assert_eq!(ledger::Peek::open(&path).unwrap().sealed, Some(0));
    assert!(verify_store(&path, &mut |_, _, _| {}).unwrap().is_sound());
}

#[tokio::test]
async fn a_log_that_is_not_what_was_sealed_is_refused() {
    for sql in [
        "DELETE FROM entries WHERE gseq = 39; UPDATE head SET size = 39",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE entries SET header = replace(header, 'system', 'sistem') WHERE gseq = 35",
    ] {
        let folder = folder();
        let path = folder.path().join("ledger.sqlite");
        let log = created(&folder);
        fill(&log, &mut Seeded(1), 30).await;
        let seal = Arc::new(SqliteSeal::open(&path).unwrap());
        let key = KeyInMemory::of(&origin(), &[5; 32]).unwrap();
        let published = MemoryPublished::default();
        let sealer = Sealer::new(origin(), Arc::clone(&seal), Arc::clone(&seal), published.clone(), key);
        sealer.seal().await.unwrap();
        let (before, cell) = (published.checkpoint().await.unwrap(), seal.load().await.unwrap());
        fill(&log, &mut Seeded(2), 10).await;
        drop(log);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let refused = sealer.seal().await.expect_err(sql);
        assert!(!refused.is_transient(), "{sql}: {refused}");
        assert_eq!(published.checkpoint().await.unwrap(), before, "{sql}: nothing was published");
        assert_eq!(seal.load().await.unwrap(), cell, "{sql}: nothing was sealed");
    }
}

#[tokio::test]
async fn a_batch_that_does_not_reach_the_end_is_not_sealed_of_a_log_that_leads_elsewhere() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    fill(&created(&folder), &mut Seeded(1), 30).await;
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE entries SET leaf = zeroblob(32) WHERE gseq = 29")
        .unwrap();
    let seal = Arc::new(SqliteSeal::open(&path).unwrap());
    let key = KeyInMemory::of(&origin(), &[5; 32]).unwrap();
    let ports = (Arc::clone(&seal), Arc::clone(&seal), MemoryPublished::default());
    let sealer = Sealer::new(origin(), ports.0, ports.1, ports.2, key).with_entries_max(7);
    let refused = sealer.turn().await.unwrap_err();
    assert!(matches!(refused, SealError::Forked { size: 0 }), "{refused}");
    assert_eq!(seal.load().await.unwrap().head.size, 0);
}

#[tokio::test]
async fn a_sealed_head_below_the_published_checkpoint_is_refused() {
    let (log, published) = (MemoryLedger::new(origin()), MemoryPublished::default());
    fill(&log, &mut Seeded(1), 30).await;
    memory_sealer(&log, &published).seal().await.unwrap();
    // The cell is that of an older store; the log is shorter too, or has other entries, or has all of them.
    let (shorter, other) = (MemoryLedger::new(origin()), MemoryLedger::new(origin()));
    fill(&shorter, &mut Seeded(1), 12).await;
    fill(&other, &mut Seeded(9), 30).await;
    for log in [log, shorter, other] {
        let refused = memory_sealer(&log, &published).seal().await.unwrap_err();
        assert_eq!(refused.code(), "ledger_rolled_back", "{refused}");
    }
}

#[tokio::test]
async fn tiles_at_the_edge_are_read_and_held_against_the_head() {
    let edge = TilePath { kind: TileKind::Hashes(0), index: 0, width: 30 };
    for tampered in [None, Some(vec![7; 30 * 32]), Some(vec![7; 31])] {
        let (log, published) = (MemoryLedger::new(origin()), MemoryPublished::default());
        fill(&log, &mut Seeded(1), 30).await;
        let sealer = memory_sealer(&log, &published);
        sealer.seal().await.unwrap();
        fill(&log, &mut Seeded(2), 4).await;
        published.tamper(edge, tampered);
        assert_eq!(sealer.seal().await.unwrap_err().code(), "tiles_damaged");
        let note = ledger::note::Note::parse(&published.checkpoint().await.unwrap().unwrap()).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        let read = async |from, limit| {
            let rows = log.entries(from, limit).await?;
            Ok(rows.into_iter().map(|row| row.entry.header_bytes).collect())
        };
        assert_eq!(mend(&checkpoint, &published, read).await.unwrap().written, 1);
        assert_eq!(sealer.seal().await.unwrap().size, 34, "mended, it goes on");
    }
}

#[tokio::test]
async fn nothing_is_mended_from_a_log_that_is_not_what_was_signed() {
    let (log, published) = (MemoryLedger::new(origin()), MemoryPublished::default());
    fill(&log, &mut Seeded(1), 30).await;
    memory_sealer(&log, &published).seal().await.unwrap();
    let note = ledger::note::Note::parse(&published.checkpoint().await.unwrap().unwrap()).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    let tiles = published.tiles();
    for (seed, count, code) in [(9, 30, "ledger_forked"), (1, 20, "ledger_rolled_back")] {
        let other = MemoryLedger::new(origin());
        fill(&other, &mut Seeded(seed), count).await;
        let read = async |from, limit| {
            let rows = other.entries(from, limit).await?;
            Ok(rows.into_iter().map(|row| row.entry.header_bytes).collect())
        };
        assert_eq!(mend(&checkpoint, &published, read).await.unwrap_err().code(), code);
    }
    assert_eq!(published.tiles(), tiles);
}

#[tokio::test]
async fn whichever_call_of_the_ports_fails_the_next_turn_seals() {
    let run = async |plan: Plan| {
        let (log, published, cell) =
            (MemoryLedger::new(origin()), MemoryPublished::default(), MemorySealHead::default());
        fill(&log, &mut Seeded(1), 30).await;
        let key = || KeyInMemory::of(&origin(), &[5; 32]).unwrap();
        let faulty = Sealer::new(
            origin(),
            Faulty::new(cell.clone(), plan.clone()),
            Faulty::new(FollowedLog(log.clone()), plan.clone()),
            Faulty::new(published.clone(), plan.clone()),
            Faulty::new(key(), plan.clone()),
        )
        .with_entries_max(20);
        let first = faulty.seal().await;
        assert!(first.as_ref().err().is_none_or(SealError::is_transient), "{first:?}");
        let sealer = Sealer::new(origin(), cell, FollowedLog(log.clone()), published.clone(), key());
        assert_eq!(sealer.seal().await.unwrap(), log.head().await.unwrap());
        plan.calls()
    };
    let calls = run(Plan::new(|_, _| None)).await;
    assert!(calls > 20, "{calls}");
    for index in 0..calls {
        for fault in [Fault::Kept, Fault::NotKept, Fault::DiskFull, Fault::Unavailable] {
            run(Plan::at(index, fault)).await;
        }
    }
}
