//! Single bytes against the verifier, without a database: fast enough for every byte of a thousand entries.

use ledger::verify::{Cell, Code, EntryRow, FirstBad, HeadRow, TagRow, Verifier};
use ledger::{Head, Log, LogEntry, MemoryLedger, StreamKey, Tag};

use crate::support::{Seeded, fill, origin};

async fn log(seed: u64, count: u64) -> (Vec<LogEntry>, Head) {
    let memory = MemoryLedger::new(origin());
    fill(&memory, &mut Seeded(seed), count).await;
    (memory.entries(0, 1024).await.unwrap(), memory.head().await.unwrap())
}

fn begin(head: &Head) -> Verifier {
    let frontier = head.frontier.to_bytes();
    let row = HeadRow {
        size: Cell::Integer(head.size as i64),
        root: Cell::Blob(&head.root.0),
        frontier: Cell::Blob(&frontier),
    };
    Verifier::new(Some(origin()), Some(row))
}

/// The columns of one entry, owned, so that a test can change any byte.
#[derive(Clone)]
struct Columns {
    stream: Vec<u8>,
    leaf: Vec<u8>,
    nonce: Vec<u8>,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Columns {
    fn of(row: &LogEntry) -> Self {
        let entry = &row.entry;
        Self {
            stream: entry.header.stream.0.to_vec(),
            leaf: entry.leaf.0.to_vec(),
            nonce: entry.nonce.0.to_vec(),
            header: entry.header_bytes.clone(),
            body: entry.body.clone().into_bytes(),
        }
    }

    fn all(&mut self) -> [&mut Vec<u8>; 5] {
        [&mut self.stream, &mut self.leaf, &mut self.nonce, &mut self.header, &mut self.body]
    }

    fn feed(&self, verifier: &mut Verifier, index: u64, seq: u64, tags: &[Tag]) {
        for tag in tags {
            verifier.tag(&TagRow {
                leaf_index: Cell::Integer(index as i64),
                kind: Cell::Text(tag.kind.as_str().as_bytes()),
                version: Cell::Integer(i64::from(tag.hash.version)),
                hash: Cell::Blob(&tag.hash.hash),
            });
        }
        verifier.entry(&EntryRow {
            leaf_index: index as i64,
            stream: Cell::Blob(&self.stream),
            seq: Cell::Integer(seq as i64),
            leaf: Cell::Blob(&self.leaf),
            nonce: Cell::Blob(&self.nonce),
            header: Cell::Text(&self.header),
            body: Cell::Text(&self.body),
        });
    }
}

#[tokio::test]
async fn every_changed_byte_of_a_thousand_entries_is_found_at_its_index() {
    let seed = 0x1ed6e5;
    eprintln!("seed {seed:#x}");
    let (log, head) = log(seed, 1000).await;
    let (mut seeded, mut verifier, mut changes) = (Seeded(seed), begin(&head), 0u64);
    for row in &log {
        let (index, seq, tags) = (row.leaf_index, row.entry.header.seq, row.entry.read_body().unwrap().tags);
        let sound = Columns::of(row);
        let mut changed = sound.clone();
        for column in 0..5 {
            for at in 0..changed.all()[column].len() {
                let was = changed.all()[column][at];
                changed.all()[column][at] ^= 1 + seeded.below(255) as u8;
                let mut verifier = verifier.clone();
                changed.feed(&mut verifier, index, seq, &tags);
                let report = verifier.report();
                assert_eq!(
                    report.first_bad,
                    Some(FirstBad::At(index)),
                    "entry {index}, column {column}, byte {at}: {report:?}"
                );
                changed.all()[column][at] = was;
                changes += 1;
            }
        }
        sound.feed(&mut verifier, index, seq, &tags);
    }
    let report = verifier.finish();
    assert!(report.is_sound() && report.entries == 1000 && report.proved_below == 1000, "{report:?}");
    assert!(changes > 500_000, "{changes}");
}

#[tokio::test]
async fn a_thousand_clean_logs_raise_no_alarm() {
    for seed in 0..1000u64 {
        let memory = MemoryLedger::new(origin());
        fill(&memory, &mut Seeded(seed), seed % 70).await;
        let (log, head) = (memory.entries(0, 1024).await.unwrap(), memory.head().await.unwrap());
        let mut verifier = begin(&head);
        for row in &log {
            Columns::of(row).feed(
                &mut verifier,
                row.leaf_index,
                row.entry.header.seq,
                &row.entry.read_body().unwrap().tags,
            );
        }
        let report = verifier.finish();
        assert!(report.is_sound(), "seed {seed}: {report:?}");
        assert_eq!(report.root, Some(head.root));
        let streams: std::collections::HashSet<StreamKey> = log.iter().map(|row| row.entry.header.stream).collect();
        assert_eq!(report.streams, streams.len() as u64);
    }
}

#[tokio::test]
async fn a_consistent_rewrite_of_one_entry_is_found_at_or_before_it() {
    // Header, leaf, body and tags all rewritten so that the row fits itself: only its successor's link or the head can tell.
    let (log, head) = log(77, 200).await;
    for victim in 0..log.len() {
        let mut verifier = begin(&head);
        for (index, row) in log.iter().enumerate() {
            let mut columns = Columns::of(row);
            if index == victim {
                let mut header = row.entry.header.clone();
                header.actor = ledger::Actor::system("someone-else").unwrap();
                columns.header = header.render();
                columns.leaf = ledger::leaf_hash(&columns.header).0.to_vec();
            }
            columns.feed(&mut verifier, index as u64, row.entry.header.seq, &row.entry.read_body().unwrap().tags);
        }
        let report = verifier.finish();
        let found = match report.first_bad {
            Some(FirstBad::At(index) | FirstBad::AtOrAfter(index)) => index,
            other => panic!("victim {victim}: {other:?}"),
        };
        assert!(found <= victim as u64, "victim {victim}, said {found}: {report:?}");
        assert!(report.findings.iter().any(|f| f.code == Code::TreeDiffers));
    }
}
