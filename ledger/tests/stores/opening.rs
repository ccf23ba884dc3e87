//! Opening and closing: each thing that can stand at the path has its own answer, and crashes lose nothing that was confirmed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ledger::verify::Code;
use ledger::{Error, Ledger, Log, Nonce, Open, SqliteLedger, StreamKey, Tip, UtcMillis, verify_store};

use crate::support::{Seeded, created, decision, fill, folder, origin};

fn existing(path: &Path) -> Result<SqliteLedger, Error> {
    SqliteLedger::open(path, Open::Existing)
}

fn verify(path: &Path) -> Result<ledger::verify::Report, Error> {
    verify_store(path, &mut |_, _, _| {})
}

#[test]
fn what_stands_at_the_path_decides_the_error() {
    let folder = folder();
    let path = folder.path().join("a store?with%20 odd#name.sqlite");
    assert!(matches!(existing(&path), Err(Error::Missing)));
    assert!(matches!(verify(&path), Err(Error::Missing)));
    assert!(!path.exists(), "looking creates nothing");
    assert!(matches!(existing(folder.path()), Err(Error::NotALedger { .. })));
    // A crash during creation leaves an empty file, which counts as none and can be created anew.
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(existing(&path), Err(Error::Missing)));
    drop(SqliteLedger::open(&path, Open::CreateWith(origin())).unwrap());
    assert!(matches!(SqliteLedger::open(&path, Open::CreateWith(origin())), Err(Error::Exists)));
    assert!(verify(&path).unwrap().is_sound());
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database at all, but long enough to be read as the first page of one".repeat(99))
        .unwrap();
    let other = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    for path in [&text, &other] {
        let before = std::fs::read(path).unwrap();
        assert!(matches!(existing(path), Err(Error::NotALedger { .. })));
        assert!(matches!(SqliteLedger::open(path, Open::CreateWith(origin())), Err(Error::NotALedger { .. })));
        assert!(matches!(verify(path), Err(Error::NotALedger { .. })));
        assert_eq!(std::fs::read(path).unwrap(), before, "another program's file is left as it is");
    }
    let lost = folder.path().join("no such folder/ledger.sqlite");
    assert!(matches!(existing(&lost), Err(Error::Missing)));
    assert!(matches!(SqliteLedger::open(&lost, Open::CreateWith(origin())), Err(Error::NoAccess { .. })));
}

#[tokio::test]
async fn a_store_of_another_version_or_with_a_planted_trigger_is_refused() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    fill(&created(&folder), &mut Seeded(1), 5).await;
    let change = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 3");
    assert!(matches!(existing(&path), Err(Error::SchemaVersion { found: 3, known: 2 })));
    assert!(matches!(verify(&path), Err(Error::SchemaVersion { .. })));
    change("PRAGMA user_version = 2; CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END");
    assert!(matches!(existing(&path), Err(Error::Damaged { .. })));
    assert!(verify(&path).unwrap().findings.iter().any(|finding| finding.code == Code::Schema));
    change("DROP TRIGGER t; PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'nonsense'");
    assert!(matches!(existing(&path), Err(Error::Damaged { .. })));
    assert!(matches!(verify(&path), Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn nothing_is_appended_to_a_cut_or_contradictory_log() {
    let cuts = [
        "DELETE FROM entries WHERE gseq = 9",
        "DELETE FROM head",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE head SET size = 9",
        "UPDATE head SET frontier = zeroblob(64)",
    ];
    for cut in cuts {
        let folder = folder();
        let path = folder.path().join("ledger.sqlite");
        fill(&created(&folder), &mut Seeded(1), 10).await;
        rusqlite::Connection::open(&path).unwrap().execute(cut, []).unwrap();
        let ledger = existing(&path).unwrap();
        let tip = Tip::empty(StreamKey([9; 16]));
        let refused = ledger.append(&tip, &decision(&mut Seeded(2)), UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{cut}: {refused:?}");
        drop(ledger);
        assert!(!verify(&path).unwrap().is_sound());
    }
}

#[tokio::test]
async fn a_name_beside_the_log_keeps_its_first_value() {
    let folder = folder();
    let ledger = created(&folder);
    assert_eq!(ledger.meta("kcv.stream").unwrap(), None);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ledger.set_metas_if_absent(&[pair("kcv.stream", "first")]).unwrap();
    ledger.set_metas_if_absent(&[pair("kcv.stream", "second"), pair("kcv.other", "third")]).unwrap();
    assert_eq!(ledger.meta("kcv.stream").unwrap().as_deref(), Some("first"));
    assert_eq!(ledger.meta("kcv.other").unwrap().as_deref(), Some("third"));
    drop(ledger);
    let ledger = existing(&folder.path().join("ledger.sqlite")).unwrap();
    assert_eq!(ledger.meta("kcv.stream").unwrap().as_deref(), Some("first"));
    assert_eq!(ledger.meta("origin").unwrap().as_deref(), Some(origin().as_str()));
}

#[tokio::test]
async fn a_store_held_by_another_process_is_unavailable_and_then_goes_on() {
    let folder = folder();
    let ledger = created(&folder);
    let other = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (tip, decision) = (Tip::empty(StreamKey([9; 16])), decision(&mut Seeded(2)));
    let refused = ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await.unwrap();
}

/// Names the role of a test binary that a test started anew, and the store that it works on.
const ROLE: &str = "LEDGER_TEST_STORE";

fn myself(test: &str, store: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ROLE, store);
    command
}

#[test]
fn a_killed_process_loses_nothing_that_was_confirmed() {
    if let Some(path) = std::env::var_os(ROLE) {
        return append_until_killed(Path::new(&path));
    }
    let (folder, mut seeded) = (folder(), Seeded(0xdead));
    let path = folder.path().join("ledger.sqlite");
    drop(created(&folder));
    let mut confirmed = Vec::new();
    for round in 0..8 {
        let mut child = myself("opening::a_killed_process_loses_nothing_that_was_confirmed", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut lines, wanted) = (BufReader::new(child.stdout.take().unwrap()).lines(), 20 + seeded.below(300));
        let leaves =
            lines.by_ref().map_while(Result::ok).filter_map(|line| line.strip_prefix("leaf ").map(str::to_owned));
        confirmed.extend(leaves.take(wanted as usize));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut stored = std::collections::HashSet::new();
        let report = verify_store(&path, &mut |_, header, _| {
            stored.insert(ledger::leaf_hash(&header.render()).to_string());
        });
        let report = report.unwrap();
        assert!(report.is_sound(), "round {round}: {report:?}");
        assert!(confirmed.iter().all(|leaf| stored.contains(leaf)), "round {round}");
    }
    assert!(confirmed.len() > 160, "{}", confirmed.len());
}

fn append_until_killed(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let ledger = existing(path).unwrap();
    runtime.block_on(async {
        let mut seeded = Seeded(u64::from(std::process::id()));
        // Far more than the parent waits for; a parent that died leaves no endless child.
        for _ in 0..10_000 {
            let round: Vec<_> =
                (0..7).map(|_| (decision(&mut seeded), StreamKey(u128::from(seeded.next()).to_be_bytes()))).collect();
            let appends = round.iter().map(|(decision, stream)| async {
                let tip = Tip::empty(*stream);
                ledger.append(&tip, decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await
            });
            for appended in futures::future::join_all(appends).await {
                writeln!(std::io::stdout().lock(), "leaf {}", appended.unwrap().receipt().leaf).unwrap();
            }
        }
    });
}

#[test]
fn a_read_only_folder_is_verified_without_a_trace_and_refused_for_writing() {
    const NOBODY: u32 = 65_534;
    if let Some(path) = std::env::var_os(ROLE) {
        let path = Path::new(&path);
        let report = verify(path).unwrap();
        assert!(report.is_sound() && report.entries == 30, "{report:?}");
        assert_eq!(ledger::Export::open(path).unwrap().count(), 31);
        assert!(matches!(existing(path), Err(Error::NoAccess { .. })), "{:?}", existing(path));
        let fresh = SqliteLedger::open(path.with_file_name("fresh.sqlite"), Open::CreateWith(origin()));
        assert!(matches!(fresh, Err(Error::NoAccess { .. })), "{fresh:?}");
        return;
    }
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { fill(&created(&folder), &mut Seeded(1), 30).await });
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(&path, 0o444);
    set(folder.path(), 0o555);
    let mut child = myself("opening::a_read_only_folder_is_verified_without_a_trace_and_refused_for_writing", &path);
    // Root may write anywhere, so root looks through the eyes of someone who may not.
    let root = std::fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
    let run = if root { child.uid(NOBODY).gid(NOBODY).output() } else { child.output() };
    set(folder.path(), 0o755);
    match run {
        Err(error) => eprintln!("not run: the test binary cannot be started by another user ({error})"),
        Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout)),
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["ledger.sqlite"], "nothing lies beside the store");
}

#[tokio::test]
async fn verifying_a_closed_store_leaves_its_folder_as_it_was() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    fill(&created(&folder), &mut Seeded(1), 30).await;
    let look = || {
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = look();
    assert!(verify(&path).unwrap().is_sound());
    assert_eq!(ledger::Export::open(&path).unwrap().count(), 31);
    assert!(look() == before);
    assert_eq!(existing(&path).unwrap().head().await.unwrap().size, 30);
}

#[test]
fn a_full_disk_is_told_and_nothing_confirmed_is_lost() {
    if let Some(path) = std::env::var_os(ROLE) {
        return append_until_full(Path::new(&path));
    }
    let (folder, test) = (folder(), "opening::a_full_disk_is_told_and_nothing_confirmed_is_lost");
    // A mount name space of its own: the small disk is gone with the process, however it ends.
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$1\" || exit 99; exec \"$2\" --exact \"$3\" --nocapture";
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", mount, "sh"]).arg(folder.path()).arg(std::env::current_exe().unwrap()).arg(test);
    match shell.env(ROLE, folder.path().join("ledger.sqlite")).output() {
        Ok(run) if run.status.success() => {}
        Ok(run) if run.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&run.stdout)),
        _ => eprintln!("not run: no small disk can be mounted here"),
    }
}

fn append_until_full(path: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ledger = SqliteLedger::open(path, Open::CreateWith(origin())).unwrap();
        let (mut seeded, mut confirmed) = (Seeded(1), 0u64);
        let (tip, full, last) = loop {
            let (tip, decision) =
                (Tip::empty(StreamKey(u128::from(seeded.next()).to_be_bytes())), decision(&mut seeded));
            match ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await {
                Ok(_) => confirmed += 1,
                Err(error) => break (tip, error, decision),
            }
            assert!(confirmed < 10_000, "a disk of 1 MiB is full before");
        };
        assert!(full.is_disk_full(), "{full:?}");
        drop(ledger);
        // Room is made by hand: nothing on this disk but the store, so it is read where it lies.
        let report = verify(path).unwrap();
        assert!(
            report.is_sound() && report.entries >= confirmed && report.entries <= confirmed + 1,
            "{confirmed} {report:?}"
        );
        let larger =
            Command::new("mount").args(["-o", "remount,size=8m"]).arg(path.parent().unwrap()).status().unwrap();
        assert!(larger.success());
        let ledger = existing(path).unwrap();
        ledger.append(&tip, &last, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await.unwrap();
        assert_eq!(ledger.head().await.unwrap().size, confirmed + 1);
    });
}
