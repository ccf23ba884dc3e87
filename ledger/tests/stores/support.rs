//! What the tests share: a seeded generator, small logs, and stores in temporary folders.

use ledger::{
    Actor, Decision, EventTypes, IndexHash, Ledger, Nonce, Open, Origin, SqliteLedger, StreamKey, Tag, TagKind, Tip,
    UtcMillis,
};
use uuid::Uuid;

/// SplitMix64: the tests' only randomness, from a printed seed.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub(crate) fn origin() -> Origin {
    Origin::new("medimg", "test", [0x5a; 16]).unwrap()
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn created(folder: &tempfile::TempDir) -> SqliteLedger {
    SqliteLedger::open(folder.path().join("ledger.sqlite"), Open::CreateWith(origin())).unwrap()
}

/// A decision as the pipeline makes them: one or two events, up to four tags, a body of some hundred bytes.
pub(crate) fn decision(seeded: &mut Seeded) -> Decision {
    let verbs = ["received", "ingested", "validated", "deidentified", "delivered"];
    let count = 1 + seeded.below(2) as usize;
    let names: Vec<String> =
        (0..count).map(|_| format!("imaging.instance.{}.v1", verbs[seeded.below(5) as usize])).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let study = IndexHash { version: 1 + seeded.below(2) as u32, hash: u128::from(seeded.below(7)).to_be_bytes() };
    let tags: Vec<String> =
        (0..seeded.below(5)).map(|n| format!("\"{}\"", Tag { kind: TagKind::ALL[n as usize], hash: study })).collect();
    let events: Vec<String> = names
        .iter()
        .map(|name| {
            let (id, filler) = (seeded.next(), "π{}".repeat(seeded.below(20) as usize));
            format!(
                r#"{{"specversion":"1.0","id":"{id}","type":"{name}","data":{{"tags":[{}],"note":"{filler}"}}}}"#,
                tags.join(",")
            )
        })
        .collect();
    Decision {
        decision_id: Uuid::from_u64_pair(seeded.next(), seeded.next()),
        types: EventTypes::new(&names).unwrap(),
        subject: (seeded.below(3) > 0).then_some(study),
        actor: if seeded.below(4) == 0 { Actor::Person(study) } else { Actor::system("validation").unwrap() },
        body: format!("[{}]", events.join(",")),
    }
}

/// Appends `count` entries to streams of up to five entries, several begun at a time, as the pipeline interleaves them.
pub(crate) async fn fill(ledger: &impl Ledger, seeded: &mut Seeded, count: u64) {
    let mut open: Vec<Tip> = Vec::new();
    for n in 0..count {
        let fresh = open.len() < 4 || seeded.below(5) == 0;
        let tip = if fresh {
            Tip::empty(StreamKey((u128::from(seeded.next()) << 64 | u128::from(n)).to_be_bytes()))
        } else {
            open.swap_remove(seeded.below(open.len() as u64) as usize)
        };
        let (decision, at) = (decision(seeded), UtcMillis::from_unix_ms(1_790_000_000_000 + seeded.below(100_000)));
        let nonce = Nonce(u128::from(seeded.next()).to_le_bytes());
        let appended = ledger.append(&tip, &decision, at, nonce).await.unwrap();
        if appended.receipt().tip().count() < 5 {
            open.push(appended.receipt().tip());
        }
    }
}
