//! Single bytes against the verifier, without a database: fast enough for every byte of a thousand entries.

use ledger::verify::{Cell, Code, EntryRow, FirstBad, HeadRow, Report, TagRow, Verifier};
use ledger::{
    Actor, EventTypes, Frontier, Head, Header, LeafHash, Log, LogEntry, MemoryLedger, Nonce, Origin, StreamKey, Tag,
    UtcMillis, body_hash, first_prev, leaf_hash,
};
use uuid::Uuid;

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

/// Feeds rows whose head was recomputed over them, so that only the rule in question can speak.
fn verify_forged(rows: &[(Header, String, Vec<Tag>)]) -> Report {
    let nonce = Nonce([7; 16]);
    let mut frontier = Frontier::new();
    let leaves: Vec<_> = rows.iter().map(|(header, ..)| leaf_hash(&header.render())).collect();
    leaves.iter().for_each(|&leaf| frontier.push(leaf));
    let mut verifier = begin(&Head::of(frontier));
    for (index, ((header, body, tags), leaf)) in rows.iter().zip(leaves).enumerate() {
        let (header_bytes, stream) = (header.render(), header.stream.0.to_vec());
        let (leaf, nonce, body) = (leaf.0.to_vec(), nonce.0.to_vec(), body.clone().into_bytes());
        let columns = Columns { stream, leaf, nonce, header: header_bytes, body };
        columns.feed(&mut verifier, index as u64, header.seq, tags);
    }
    verifier.finish()
}

/// Three sound entries of one stream, linked.
fn three() -> Vec<(Header, String, Vec<Tag>)> {
    let mut rows: Vec<(Header, String, Vec<Tag>)> = Vec::new();
    for seq in 0..3u64 {
        let tag = Tag::parse("study:k1:000102030405060708090a0b0c0d0e0f").unwrap();
        let body = format!(r#"[{{"type":"a.thing.v1","data":{{"n":{seq},"tags":["{tag}"]}}}}]"#);
        let stream = StreamKey([3; 16]);
        let header = Header {
            origin: origin(),
            stream,
            seq,
            prev: rows.last().map_or_else(|| first_prev(&origin(), stream), |row| leaf_hash(&row.0.render())),
            types: EventTypes::new(&["a.thing.v1"]).unwrap(),
            decision_id: Uuid::from_u128(u128::from(seq)),
            subject: None,
            actor: Actor::system("test").unwrap(),
            recorded_at: UtcMillis::from_unix_ms(1000 + seq),
            body: body_hash(&Nonce([7; 16]), body.as_bytes()),
        };
        rows.push((header, body, vec![tag]));
    }
    rows
}

#[test]
fn each_rule_alone_finds_its_breach_even_where_the_head_was_recomputed() {
    assert!(verify_forged(&three()).is_sound());
    type Forge = fn(&mut Vec<(Header, String, Vec<Tag>)>);
    let cases: [(Code, FirstBad, Forge); 11] = [
        (Code::Link, FirstBad::AtOrAfter(1), |rows| rows[2].0.prev = LeafHash([1; 32])),
        (Code::Link, FirstBad::At(0), |rows| rows[0].0.prev = LeafHash([1; 32])),
        (Code::SeqGap, FirstBad::At(1), |rows| drop(rows.remove(1))),
        (Code::SeqGap, FirstBad::At(0), |rows| drop(rows.remove(0))),
        (Code::SeqRepeated, FirstBad::At(1), |rows| rows.insert(1, rows[0].clone())),
        (Code::TimeBackwards, FirstBad::At(2), |rows| rows[2].0.recorded_at = UtcMillis::from_unix_ms(1)),
        (Code::Origin, FirstBad::At(2), |rows| rows[2].0.origin = Origin::parse(&format!("{}#1", origin())).unwrap()),
        (Code::BodyForm, FirstBad::At(2), |rows| rows[2].0.types = EventTypes::new(&["a.other.v1"]).unwrap()),
        (Code::TagMissing, FirstBad::At(1), |rows| rows[1].2.clear()),
        (Code::TagAdded, FirstBad::At(1), |rows| {
            rows[1].2.extend(Tag::parse("actor:k1:000102030405060708090a0b0c0d0e0f"))
        }),
        // The same tag twice is one row too many, should a store allow it.
        (Code::TagAdded, FirstBad::At(1), |rows| rows[1].2 = rows[1].2.repeat(2)),
    ];
    for (n, (code, first_bad, forge)) in cases.into_iter().enumerate() {
        let mut rows = three();
        forge(&mut rows);
        let report = verify_forged(&rows);
        assert!(report.findings.iter().all(|finding| finding.code == code), "case {n}: {report:?}");
        assert_eq!(report.first_bad, Some(first_bad), "case {n}: {report:?}");
    }
}

#[test]
fn codes_are_unique_and_of_one_form() {
    let codes: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.code()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
    assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}
