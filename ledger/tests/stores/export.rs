//! The export against a reader that shares no code with us.

use std::process::Command;

use ledger::{Error, Export};

use crate::support::{Seeded, created, fill, folder};

/// Runs the script on the lines; none where Python 3 is not installed.
fn python(lines: &[String]) -> Option<bool> {
    let folder = folder();
    let file = folder.path().join("export.ndjson");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verify_export.py");
    let run = Command::new("python3").arg(script).arg(&file).output().ok()?;
    assert!(matches!(run.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&run.stderr));
    Some(run.status.success())
}

async fn exported(count: u64) -> Vec<String> {
    let folder = folder();
    let ledger = created(&folder);
    fill(&ledger, &mut Seeded(count), count).await;
    let live: Vec<String> = Export::open(folder.path().join("ledger.sqlite")).unwrap().map(Result::unwrap).collect();
    drop(ledger);
    let closed: Vec<String> = Export::open(folder.path().join("ledger.sqlite")).unwrap().map(Result::unwrap).collect();
    assert_eq!(live, closed, "an open store exports the same");
    closed
}

#[tokio::test]
async fn python_alone_confirms_chain_and_root_and_finds_changes() {
    for count in [0, 1, 2, 7, 600] {
        let lines = exported(count).await;
        assert_eq!(lines.len() as u64, count + 1);
        match python(&lines) {
            None => return eprintln!("not run: python3 is not installed"),
            Some(confirmed) => assert!(confirmed, "{count} entries"),
        }
    }
    let lines = exported(30).await;
    let mut seeded = Seeded(5);
    for case in 0..40 {
        let mut changed = lines.clone();
        let row = 1 + seeded.below(30) as usize;
        match case % 4 {
            0 => drop(changed.remove(row)),
            1 if row < 30 => changed.swap(row, row + 1),
            2 => {
                changed[row] = changed[row].replacen("05:00", "05:01", 1).replacen(
                    "specversion\\\":\\\"1.0",
                    "specversion\\\":\\\"1.1",
                    1,
                )
            }
            _ => changed.truncate(row),
        }
        assert_eq!(python(&changed), Some(false), "case {case}, row {row}");
    }
    let mut root = lines;
    root[0] = root[0].replacen("\"size\":30", "\"size\":31", 1);
    assert_eq!(python(&root), Some(false));
}

#[tokio::test]
async fn a_damaged_store_exports_up_to_the_damage_and_says_so() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let ledger = created(&folder);
    fill(&ledger, &mut Seeded(3), 600).await;
    drop(ledger);
    let change = rusqlite::Connection::open(&path).unwrap();
    change.execute("UPDATE entries SET body = body || ' ' WHERE gseq = 400", []).unwrap();
    drop(change);
    let lines: Vec<Result<String, Error>> = Export::open(&path).unwrap().collect();
    let (last, sound) = lines.split_last().unwrap();
    assert!(sound.iter().all(Result::is_ok) && sound.len() == 257, "{}", sound.len());
    assert!(matches!(last, Err(Error::Damaged { leaf_index: Some(400), .. })), "{last:?}");
}
