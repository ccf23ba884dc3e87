//! A site and its witnesses, each a process of its own on this machine: cosigned, counted, refused, killed, silent.

#[allow(dead_code)] // Each file of tests uses a part of it.
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ledger::note::{KeyKind, Note, NoteKey, VerifierKey};
use ledger::proof::{TileSet, consistency_ranges};
use ledger::tiles::{Edge, TileKind, tiles_between};
use ledger::witness::{QuorumError, witnessed};
use ledger::{Checkpoint, Origin, leaf_hash, merkle_root};
use support::{Done, Place};

/// 2100-01-01: whatever the clock of the machine says, these cosignatures are not from the future.
const NOW_S: u64 = 4_102_444_800;

/// A site with a processed object.
struct Site(Place);

impl Site {
    fn new() -> Self {
        let site = Self(Place::with_demo());
        fs::rename(site.0.path("in"), site.0.path("demo")).expect("moved");
        fs::create_dir(site.0.path("in")).expect("a folder");
        site.take(0);
        site.run(&["process", "in"]);
        site
    }

    /// Puts one more of the demo's files into the folder of inputs.
    fn take(&self, number: usize) {
        let mut found = Vec::new();
        let mut folders = vec![self.0.path("demo")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        fs::copy(&found[number], self.0.path(&format!("in/{number}"))).expect("a copy");
    }

    fn run(&self, line: &[&str]) -> Done {
        self.0.run(line).env([("MEDIMG_HEADS", "heads")]).done()
    }

    fn vkey(&self) -> String {
        let done = self.run(&["checkpoint", "--vkey"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        done.stdout.trim_end().to_owned()
    }

    fn checkpoint(&self, witness: &Witness) -> Done {
        self.run(&["checkpoint", "--json", "--witness", &witness.url(), "--witness-key", &witness.vkey])
    }

    fn configure(&self, witnesses: &[&Witness]) {
        let pairs: Vec<_> = witnesses.iter().map(|witness| format!("\"{} {}\"", witness.url(), witness.vkey)).collect();
        fs::write(self.0.store().join("config.toml"), format!("witnesses = [{}]\n", pairs.join(", ")))
            .expect("written");
    }

    fn note(&self) -> Note {
        Note::parse(&fs::read(self.0.store().join("log/0/checkpoint")).expect("published")).expect("a note")
    }

    /// How many of the witnesses' cosignatures count under what is published.
    fn cosigned_by(&self, witnesses: &[&Witness], quorum: usize) -> Result<usize, QuorumError> {
        let keys: Vec<_> = witnesses.iter().map(|one| VerifierKey::parse(&one.vkey).expect("a key")).collect();
        let log = VerifierKey::parse(&self.vkey()).expect("a key");
        self.note().verify(&[log]).expect("the log signed it");
        witnessed(&self.note(), &keys, quorum, NOW_S).map(|counted| counted.len())
    }
}

/// A witness that runs until it is dropped.
struct Witness {
    child: Child,
    address: String,
    vkey: String,
}

impl Witness {
    fn start(folder: &Path, logs: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medimg"));
        command.env_clear().args(["witness", "--json", "--listen", "127.0.0.1:0", "--store"]).arg(folder);
        for log in logs {
            command.args(["--log", log]);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.with_extension("log")).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("medimg starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
        let told: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        let word = |name: &str| told[name].as_str().expect("text").to_owned();
        Self { child, address: word("listening"), vkey: word("vkey") }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Sends a request; none if there is no whole answer.
    fn ask(address: &str, request: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn held(&self) -> u64 {
        let (status, body) = Self::ask(&self.address, "GET /state", b"").expect("an answer");
        assert_eq!(status, 200);
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON")["logs"][0]["size"].as_u64().expect("a size")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn three_witnesses_cosign_and_two_suffice_for_two_of_three_when_one_is_away() {
    let site = Site::new();
    let vkey = site.vkey();
    let mut witnesses: Vec<_> = (0..3).map(|n| Witness::start(&site.0.path(&format!("w{n}")), &[&vkey])).collect();
    let done = site.checkpoint(&witnesses[0]);
    assert_eq!((done.code, done.lines[0]["witnesses"][0]["code"].is_null()), (0, true), "{}", done.stderr);
    assert_eq!(site.cosigned_by(&[&witnesses[0]], 1), Ok(1));
    // From the configuration, at the end of whatever records something.
    site.configure(&witnesses.iter().collect::<Vec<_>>());
    site.take(1);
    assert_eq!(site.run(&["process", "in"]).code, 0);
    let all: Vec<_> = witnesses.iter().collect();
    assert_eq!(site.cosigned_by(&all, 3), Ok(3));
    witnesses[1].kill();
    site.take(2);
    let done = site.run(&["process", "in"]);
    assert_eq!(done.code, 0, "a witness that is away stops nothing: {}", done.stderr);
    assert!(done.stderr.contains("warning[witness_away]"), "{}", done.stderr);
    let all: Vec<_> = witnesses.iter().collect();
    assert_eq!(site.cosigned_by(&all, 2), Ok(2));
    assert_eq!(site.cosigned_by(&all, 3), Err(QuorumError::TooFew { found: 2, quorum: 3, ahead: 0 }));
    // The verifier's own word, with the same quorum.
    let published = site.0.store().join("log/0/checkpoint");
    let verify = |quorum: &str| {
        let mut line =
            vec!["verify", "--checkpoint", published.to_str().expect("text"), "--vkey", &vkey, "--quorum", quorum];
        all.iter().for_each(|witness| line.extend(["--witness-key", &witness.vkey]));
        site.run(&line)
    };
    let (two, three) = (verify("2"), verify("3"));
    assert_eq!((two.code, three.code), (0, 3), "{}{}", two.stderr, three.stderr);
    // Back again, it is behind by more than one checkpoint, and the proof leads there.
    let again = Witness::start(&site.0.path("w1"), &[&vkey]);
    assert_eq!(again.vkey, witnesses[1].vkey);
    assert_eq!(site.checkpoint(&again).code, 0);
    assert_eq!(site.cosigned_by(&[&witnesses[0], &again, &witnesses[2]], 3), Ok(3));
}

#[test]
fn a_watch_has_its_checkpoints_cosigned_while_it_runs() {
    let site = Site::new();
    let witness = Witness::start(&site.0.path("w"), &[&site.vkey()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_medimg"));
    command.env_clear().env("MEDIMG_HEADS", "heads").current_dir(site.0.path(""));
    command.args(["watch", "in", "--store", "store", "--settle", "100ms", "--witness", &witness.url()]);
    let mut watch = command.args(["--witness-key", &witness.vkey]).stdout(Stdio::null()).spawn().expect("starts");
    let (before, began) = (witness.held(), Instant::now());
    site.take(1);
    let key = [VerifierKey::parse(&witness.vkey).expect("a key")];
    let is_cosigned = || witness.held() > before && site.note().verify(&key).is_ok();
    while !is_cosigned() && began.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(50));
    }
    let cosigned = is_cosigned();
    watch.kill().expect("killed");
    watch.wait().expect("ended");
    assert!(cosigned, "not within {:?}", began.elapsed());
}

#[test]
fn a_fork_and_a_rollback_are_refused_loudly_and_the_notes_are_kept() {
    let site = Site::new();
    let vkey = site.vkey();
    let witness = Witness::start(&site.0.path("w"), &[&vkey]);
    copy(&site.0.store(), &site.0.path("older"));
    site.take(1);
    site.run(&["process", "in"]);
    assert_eq!(site.checkpoint(&witness).code, 0);
    let held = witness.held();
    let honest = site.note().text().to_owned();
    copy(&site.0.store(), &site.0.path("honest"));
    // The older store, put back where nobody has seen the newer one: it is behind what the witness holds.
    let put_back = |from: &str| {
        fs::remove_dir_all(site.0.store()).expect("removed");
        fs::remove_dir_all(site.0.path("heads")).ok();
        copy(&site.0.path(from), &site.0.store());
    };
    let refused = |done: &Done| {
        assert_eq!(done.code, 3, "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("witness_refuses"), "{}", done.stderr);
    };
    put_back("older");
    let done = site.checkpoint(&witness);
    refused(&done);
    assert!(done.lines[0]["witnesses"][0]["code"] == "witness_refuses", "{}", done.stdout);
    // It goes on with another object: the same origin, the same key, another history, of the size that is held and beyond.
    fs::remove_dir_all(site.0.path("in")).expect("removed");
    fs::create_dir(site.0.path("in")).expect("a folder");
    site.take(2);
    site.run(&["process", "in"]);
    let forked = site.note();
    refused(&site.checkpoint(&witness));
    site.take(3);
    let done = site.run(&["process", "in", "--witness", &witness.url(), "--witness-key", &witness.vkey]);
    assert!(done.stderr.contains("warning[witness_refuses]"), "process tells it too: {}", done.stderr);
    refused(&site.checkpoint(&witness));
    assert_eq!(witness.held(), held, "nothing of it moved the witness");
    let size = |text: &str| Checkpoint::parse(text).expect("a checkpoint").size;
    drop(witness);
    let evidence = site.0.run(&["witness", "--evidence", "--json", "--store", "w"]).done();
    assert_eq!(evidence.code, 3, "{}", evidence.stderr);
    let kinds: Vec<_> = evidence.lines.iter().filter_map(|line| line["kind"].as_str()).collect();
    // Each history has one more object that is delivered, so the trees are of one size.
    assert_eq!(size(&honest), size(forked.text()));
    let two = evidence.lines.iter().find(|line| line["kind"] == "forked").expect("a fork");
    assert!(two["held"].as_str().is_some_and(|note| note.starts_with(&honest)));
    assert!(two["shown"].as_str().is_some_and(|note| note.starts_with(forked.text())));
    assert!(kinds.contains(&"unproved"), "{kinds:?}");
    // The honest history is cosigned as before.
    put_back("honest");
    let witness = Witness::start(&site.0.path("w"), &[&vkey]);
    assert_eq!(site.checkpoint(&witness).code, 0);
}

#[test]
fn a_log_that_the_witness_does_not_know_and_a_key_that_is_not_its_own_are_told() {
    let site = Site::new();
    let stranger = NoteKey::from_seed("medimg/test/00112233445566778899aabbccddeeff", KeyKind::Ed25519, &[1; 32]);
    let unknowing = Witness::start(&site.0.path("w"), &[&stranger.expect("a key").verifier().to_string()]);
    let done = site.checkpoint(&unknowing);
    assert!(done.code == 0 && done.stderr.contains("warning[witness_unknown_log]"), "{}", done.stderr);
    let knowing = Witness::start(&site.0.path("v"), &[&site.vkey()]);
    let done = site.run(&["checkpoint", "--witness", &knowing.url(), "--witness-key", &unknowing.vkey]);
    assert!(done.code == 0 && done.stderr.contains("warning[witness_answer]"), "{}", done.stderr);
    assert_eq!(site.note().signatures().len(), 1, "nothing unverified is added");
    for line in [&["--witness", "http://w"][..], &["--witness", "ftp://w", "--witness-key", &knowing.vkey]] {
        let line: Vec<_> = ["checkpoint"].iter().chain(line).copied().collect();
        assert_eq!(site.run(&line).code, 2, "{line:?}");
    }
    let log_key = site.vkey();
    assert_eq!(
        site.run(&["checkpoint", "--witness", "http://w", "--witness-key", &log_key]).code,
        2,
        "no key of type 4"
    );
}

#[test]
fn a_witness_that_says_nothing_holds_a_checkpoint_up_for_seconds_only_and_nonsense_is_not_believed() {
    let site = Site::new();
    let key = NoteKey::from_seed("w.example", KeyKind::Cosignature, &[2; 32]).expect("a key").verifier().to_string();
    let ask = |listener: &TcpListener| {
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let began = Instant::now();
        (site.run(&["checkpoint", "--witness", &url, "--witness-key", &key]), began.elapsed())
    };
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (done, took) = ask(&silent);
    assert!(done.code == 0 && done.stderr.contains("warning[witness_away]"), "{}", done.stderr);
    assert!(took < Duration::from_secs(9), "{took:?}");
    let other = NoteKey::from_seed("w.example", KeyKind::Cosignature, &[3; 32]).expect("a key");
    let text = site.note().text().to_owned();
    let mine = NoteKey::from_seed("w.example", KeyKind::Cosignature, &[2; 32]).expect("a key");
    let answers = [
        ("200 OK", "text/plain", String::new()),
        ("200 OK", "text/plain", format!("{}\n", other.sign(&text, 1_795_000_000))),
        ("200 OK", "text/plain", format!("{}\n", mine.sign("another text\n", 1_795_000_000))),
        ("200 OK", "text/plain", format!("{}\n", mine.sign(&text, NOW_S + 1_000_000))),
        ("200 OK", "text/plain", "x".repeat(1 << 20)),
        ("409 Conflict", "text/plain", "5\n".to_owned()),
        ("409 Conflict", "text/x.tlog.size", "05\n".to_owned()),
        ("409 Conflict", "text/x.tlog.size", "5".to_owned()),
        ("302 Found", "text/plain", String::new()),
        ("418 I'm a teapot", "text/plain", String::new()),
        ("500 Internal Server Error", "text/plain", String::new()),
    ];
    let (count, listener) = (answers.len(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let fake = listener.try_clone().expect("a second handle");
    let server = thread::spawn(move || {
        for (status, kind, body) in answers {
            let (mut stream, _) = fake.accept().expect("a connection");
            let mut read = [0; 16_384];
            stream.read(&mut read).expect("a request");
            let location = "location: http://127.0.0.1:9/\r\n";
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{location}connection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            // One who is told too much hangs up.
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok();
        }
    });
    for number in 0..count {
        let (done, _) = ask(&listener);
        assert_eq!(done.code, 0, "{number}: {}", done.stderr);
        assert!(
            done.stderr.contains("warning[witness_a"),
            "answer {number} is told as witness_away or witness_answer: {}",
            done.stderr
        );
        assert_eq!(site.note().signatures().len(), 1, "answer {number} is not believed");
    }
    server.join().expect("every answer was asked for");
}

/// A log of numbers, made here, so that a witness can be asked fast.
struct Numbers {
    key: NoteKey,
    requests: Vec<Vec<u8>>,
}

impl Numbers {
    /// Requests from each size to the next one, up to `most`.
    fn new(most: u64) -> Self {
        let origin = Origin::parse("medimg/test/00112233445566778899aabbccddeeff").expect("an origin");
        let key = NoteKey::from_seed(origin.as_str(), KeyKind::Ed25519, &[9; 32]).expect("a key");
        let entry = |n: u64| n.to_string().into_bytes();
        let request = |old: u64| {
            let (mut edge, mut tiles, mut set) = (Edge::new(), Vec::new(), TileSet::new(old + 1));
            (0..=old).for_each(|n| assert!(edge.push(&entry(n), &mut tiles).is_some()));
            tiles.extend(edge.partial());
            for (path, bytes) in tiles {
                if path.kind != TileKind::Entries && tiles_between(0, old + 1).any(|wanted| wanted == path) {
                    assert!(set.insert(path, bytes));
                }
            }
            let leaves: Vec<_> = (0..=old).map(|n| leaf_hash(&entry(n))).collect();
            let text = Checkpoint::new(&origin, old + 1, merkle_root(&leaves)).to_string();
            let note = Note::new(text.clone(), vec![key.sign(&text, 0)]).expect("a note").to_string().into_bytes();
            let proof = set.hashes(&consistency_ranges(old, old + 1)).expect("tiles");
            handlers::witness::request::AddCheckpoint { old_size: old, proof, note: &note }.render()
        };
        let requests = (0..most).map(request).collect();
        Self { key, requests }
    }
}

#[test]
fn a_witness_killed_at_any_moment_holds_what_it_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Numbers::new(240);
    let vkey = log.key.verifier().to_string();
    let (mut answered, mut seed) = (0_u64, 0x7769_u64);
    for round in 0..12 {
        let mut witness = Witness::start(&folder.path().join("w"), &[&vkey]);
        let held = witness.held();
        assert!((answered..=answered + 1).contains(&held), "round {round}: {held} is held and {answered} was answered");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (moment, address) = (Duration::from_micros(2_000 + (seed >> 33) % 40_000), witness.address.clone());
        let killer = thread::spawn(move || {
            thread::sleep(moment);
            witness.kill();
        });
        answered = held;
        while let Some(request) = log.requests.get(answered as usize) {
            match Witness::ask(&address, "POST /add-checkpoint", request) {
                Some((200, _)) => answered += 1,
                Some((status, body)) => panic!("round {round}: {status} {body}"),
                None => break,
            }
        }
        killer.join().expect("killed");
    }
    assert!(answered > 12, "only {answered} were answered: the kills came too early to show anything");
}

#[test]
fn sigterm_ends_a_witness_and_its_own_key_is_printed() {
    let place = Place::with_demo();
    let printed = place.run(&["witness", "--vkey", "--store", "w", "--name", "w.example/1"]).done();
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let mut witness = Witness::start(&place.path("w"), &[]);
    assert_eq!(printed.stdout.trim_end(), witness.vkey);
    assert!(witness.vkey.starts_with("w.example/1+"));
    let pid = rustix::process::Pid::from_child(&witness.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    assert_eq!(witness.child.wait().expect("ended").code(), Some(0));
    let secret = fs::read(place.path("w/keys/witness")).expect("a key");
    let log = fs::read(place.path("w.log")).expect("a log");
    assert!(!log.windows(secret.len()).any(|window| window == secret));
    for line in [&["witness", "--store", "w"][..], &["witness", "--listen", "nowhere", "--store", "w"]] {
        assert_eq!(place.run(line).done().code, 2, "{line:?}");
    }
    let process = place.run(&["process", "in"]).done();
    assert_eq!(process.code, 1);
    let done = place.run(&["witness", "--listen", "127.0.0.1:0"]).done();
    assert!(
        done.code == 2 && done.stderr.contains("witness_store"),
        "the store of a pipeline is none: {}",
        done.stderr
    );
}
