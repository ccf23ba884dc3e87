//! A store whose log is sealed several times, and the pen of somebody who has its file and knows the format.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::Phi;
use domain::Reason;
use domain::events::{
    Detail, Digest, InstanceIngested, InstanceQuarantined, Intake, Modality, ObjectReceived, RegisteredUid,
    Tag as Named, TagKind as Kind, Time,
};
use domain::ids::{Keys, Location, PatientIdentity};
use domain::upload::{Command, Upload};
use domain::workflow::Step;
use ledger::{
    Actor, Frontier, Header, Ledger as _, Link, Nonce, Open, Origin, SqliteLedger, StreamKey, Tip, UtcMillis,
    body_hash, first_prev, leaf_hash,
};
use rusqlite::Connection;

use crate::commit::ledger_decision;
use crate::sealer::{StoreSealer, in_place};

/// SplitMix64 from a printed seed.
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// A store that is written to.
pub(super) struct Writing {
    pub(super) root: PathBuf,
    keys: Keys,
    ledger: SqliteLedger,
    next: u64,
    /// Objects that have not ended.
    open: Vec<(Tip, Upload, u64)>,
}

impl Writing {
    pub(super) fn begin(root: &Path, seeded: &mut Seeded) -> Self {
        crate::keys::create_missing(&root.join("keys")).expect("keys");
        let keys = crate::keys::load(&root.join("keys")).expect("keys");
        let id = (u128::from(seeded.next()) << 64 | u128::from(seeded.next())).to_be_bytes();
        let origin = Origin::new("medimg", "test", id).expect("an origin");
        let ledger = SqliteLedger::open(root.join("ledger.sqlite"), Open::CreateWith(origin)).expect("a ledger");
        Self { root: root.to_owned(), keys, ledger, next: seeded.next(), open: Vec::new() }
    }

    /// Goes on with a store that lies there.
    pub(super) fn resume(root: &Path, seeded: &mut Seeded) -> Self {
        let keys = crate::keys::load(&root.join("keys")).expect("keys");
        let ledger = SqliteLedger::open(root.join("ledger.sqlite"), Open::Existing).expect("a ledger");
        Self { root: root.to_owned(), keys, ledger, next: seeded.next(), open: Vec::new() }
    }

    /// Appends this many entries: objects come in, are read and are refused, several at a time.
    pub(super) async fn append(&mut self, count: u64, seeded: &mut Seeded) {
        let mut left = count;
        while left > 0 {
            let mut together = Vec::new();
            for _ in 0..left.min(1 + seeded.below(16)) {
                let fresh = self.open.len() < 3 || seeded.below(3) == 0;
                together.push(if fresh {
                    self.next += 1;
                    (Tip::empty(StreamKey(self.location(self.next).0.0)), Upload::default(), self.next)
                } else {
                    let at = seeded.below(self.open.len() as u64) as usize;
                    self.open.swap_remove(at)
                });
            }
            left -= together.len() as u64;
            let steps = together.into_iter().map(|(tip, upload, number)| self.step(tip, upload, number));
            let on = futures::future::join_all(steps).await;
            self.open.extend(on.into_iter().flatten());
        }
    }

    fn location(&self, number: u64) -> domain::ids::StreamId {
        let (bucket, version) = ("file".to_owned(), Digest([7; 32]).to_string());
        self.keys.object_stream(&Location { bucket, key: Phi::new(number.to_le_bytes().to_vec()), version })
    }

    async fn step(&self, tip: Tip, mut upload: Upload, number: u64) -> Option<(Tip, Upload, u64)> {
        let command = match tip.count() {
            0 => Command::Receive(ObjectReceived {
                sha256: Digest([7; 32]),
                size_bytes: 1,
                intake: Intake::Process,
                raw_copied: false,
            }),
            1 => Command::Ingest(self.ingested(number)),
            _ => Command::Quarantine(InstanceQuarantined {
                reason: Reason::Pixel,
                step: Step::Validation,
                detail: Detail::of("it is refused"),
                at: None,
                profile_digest: None,
                tags: Vec::new(),
            }),
        };
        let at = 1_790_000_000_000 + number % 1_000_000;
        let decided = upload.decide(self.location(number), &command, Time::from_unix_ms(at as i64)).expect("decided");
        decided.events.iter().try_for_each(|event| upload.apply(event)).expect("in order");
        let actor = command.step().and_then(|step| Actor::system(step.name())).expect("a step");
        let decision = ledger_decision(decided.id, &decided.events, decided.study, actor).expect("a decision");
        let nonce = Nonce((u128::from(number) << 8 | u128::from(tip.count())).to_le_bytes());
        let link = Link { decision, at: UtcMillis::from_unix_ms(at), nonce };
        let answers = self.ledger.append_chain(&tip, &[link]).await;
        let tip = answers.into_iter().next().expect("an answer").expect("appended").receipt().tip();
        (tip.count() < 3).then_some((tip, upload, number))
    }

    fn ingested(&self, number: u64) -> InstanceIngested {
        let study = Phi::new(format!("1.2.826.0.1.3680043.10.1.{}", number % 5));
        let patient =
            PatientIdentity { patient_id: Phi::new(format!("P{}", number % 3)), issuer: Phi::new(String::new()) };
        InstanceIngested {
            transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
            sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
            modality: Modality::parse("CT"),
            elements: 104,
            notes: Vec::new(),
            tags: vec![
                Named { kind: Kind::Study, hash: self.keys.study_k(&study) },
                Named { kind: Kind::Patient, hash: self.keys.patient_k(&patient) },
            ],
        }
    }

    /// Seals what stands; returns the published checkpoint.
    pub(super) fn seal(&self) -> Vec<u8> {
        seal(&self.root)
    }
}

pub(super) fn seal(root: &Path) -> Vec<u8> {
    let sealer = StoreSealer::open(root).expect("a sealer");
    in_place(sealer.seal()).expect("sealed");
    let published = sealer.published().expect("published").map(|(note, _)| note.to_string());
    published.unwrap_or_default().into_bytes()
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        let (source, target) = (file.path(), to.join(file.file_name()));
        if file.file_type().expect("a type").is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).expect("copied");
        }
    }
}

/// An entry as somebody rewrites it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) nonce: [u8; 16],
    pub(super) header: Header,
    pub(super) body: String,
    tags: Vec<(Vec<u8>, String, i64)>,
}

/// Opens the file as an attacker does.
pub(super) fn open(root: &Path) -> Connection {
    let connection = Connection::open(root.join("ledger.sqlite")).expect("open");
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF").expect("one file");
    connection
}

pub(super) fn sql(root: &Path, sql: &str) {
    open(root).execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(super) fn rows(root: &Path) -> Vec<Row> {
    let connection = open(root);
    let mut query = connection.prepare("SELECT gseq, nonce, header, body FROM entries ORDER BY gseq").expect("entries");
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    };
    let found: Vec<_> = query.query_map([], read).expect("entries").map(|row| row.expect("a row")).collect();
    let mut tags: HashMap<i64, Vec<_>> = HashMap::new();
    let mut query = connection.prepare("SELECT gseq, hash, kind, version FROM tags").expect("tags");
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
    for row in query.query_map([], read).expect("tags") {
        let (index, tag) = row.expect("a tag");
        tags.entry(index).or_default().push(tag);
    }
    let row = |(index, nonce, header, body): (i64, Vec<u8>, String, String)| Row {
        nonce: nonce.try_into().expect("16 bytes"),
        header: Header::parse(header.as_bytes()).expect("a header"),
        body,
        tags: tags.remove(&index).unwrap_or_default(),
    };
    found.into_iter().map(row).collect()
}

/// Makes numbers, links, times and body hashes fit, so that the log is sound by itself.
pub(super) fn relink(rows: &mut [Row]) {
    let mut tips: HashMap<StreamKey, (u64, ledger::LeafHash, UtcMillis)> = HashMap::new();
    for row in rows {
        let header = &mut row.header;
        let before = tips.get(&header.stream).copied();
        header.seq = before.map_or(0, |(count, ..)| count);
        header.prev = before.map_or_else(|| first_prev(&header.origin, header.stream), |(_, leaf, _)| leaf);
        header.recorded_at = before.map_or(header.recorded_at, |(_, _, at)| at.max(header.recorded_at));
        header.body = body_hash(&Nonce(row.nonce), row.body.as_bytes());
        tips.insert(header.stream, (header.seq + 1, leaf_hash(&header.render()), header.recorded_at));
    }
}

/// Writes the whole log anew with its head, and the row of what is sealed as far as the log goes.
pub(super) fn write(root: &Path, rows: &[Row]) {
    let connection = open(root);
    connection.execute_batch("BEGIN; DELETE FROM entries; DELETE FROM tags").expect("emptied");
    let sealed: i64 = connection.query_row("SELECT size FROM seal", [], |row| row.get(0)).expect("sealed");
    let mut tree = Frontier::new();
    for (index, row) in rows.iter().enumerate() {
        let header = row.header.render();
        let leaf = leaf_hash(&header);
        tree.push(leaf);
        let text = String::from_utf8(header).expect("text");
        let values = rusqlite::params![
            index as i64,
            row.header.stream.0,
            row.header.seq as i64,
            leaf.0,
            row.nonce,
            text,
            row.body
        ];
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values).expect("an entry");
        for (hash, kind, version) in &row.tags {
            let values = rusqlite::params![hash, kind, version, index as i64];
            connection
                .execute("INSERT INTO tags(hash, kind, version, gseq) VALUES (?, ?, ?, ?)", values)
                .expect("a tag");
        }
        if index as i64 + 1 == sealed.min(rows.len() as i64) {
            set_tree(&connection, "seal", &tree);
        }
    }
    set_tree(&connection, "head", &tree);
    connection.execute_batch("COMMIT").expect("written");
}

fn set_tree(connection: &Connection, table: &str, tree: &Frontier) {
    let values = rusqlite::params![tree.size() as i64, tree.root().0, tree.to_bytes()];
    connection.execute(&format!("UPDATE {table} SET size = ?, root = ?, frontier = ?"), values).expect("a head");
}

/// Forgets every seal of the store and seals what stands anew: what its owner can always do.
pub(super) fn seal_anew(root: &Path) {
    fs::remove_dir_all(root.join("log").join("0")).expect("unpublished");
    let connection = open(root);
    connection.execute_batch("DELETE FROM checkpoints; UPDATE seal SET staged = NULL").expect("forgotten");
    set_tree(&connection, "seal", &Frontier::new());
    drop(connection);
    seal(root);
}
