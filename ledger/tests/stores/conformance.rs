//! The suite over every store, bare and behind the wrapper that fails.

use ledger::faulty::Faulty;
use ledger::{MemoryLedger, Open, SqliteLedger, conformance, verify_store};

use crate::support::{created, folder, origin};

#[tokio::test]
async fn memory_conforms() {
    conformance::all(&MemoryLedger::new(origin())).await;
    let memory = MemoryLedger::new(origin());
    conformance::reopening_keeps_everything(memory, async |ledger: MemoryLedger| ledger.clone()).await;
}

#[tokio::test]
async fn sqlite_conforms_and_verifies() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let ledger = created(&folder);
    conformance::all(&ledger).await;
    drop(ledger);
    let report = verify_store(&path, &mut |_, _, _| {}).unwrap();
    assert!(report.is_sound() && report.entries > 4000, "{report:?}");
}

#[tokio::test]
async fn sqlite_keeps_everything_when_opened_again() {
    let folder = folder();
    let reopen = async |ledger: SqliteLedger| {
        drop(ledger);
        SqliteLedger::open(folder.path().join("ledger.sqlite"), Open::Existing).unwrap()
    };
    conformance::reopening_keeps_everything(created(&folder), reopen).await;
}

#[tokio::test]
async fn the_wrapper_conforms_where_nothing_fails() {
    conformance::all(&Faulty::new(MemoryLedger::new(origin()), |_| None)).await;
    let folder = folder();
    conformance::all(&Faulty::new(created(&folder), |_| None)).await;
}
