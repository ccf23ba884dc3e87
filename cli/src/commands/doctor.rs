//! `medimg doctor`: can the store be worked with? Each check says what it found and what to do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use handlers::keys;
use handlers::sealer::{self, Look};
use handlers::store::{Access, Store};
use handlers::surroundings::{Surroundings as _, System};
use ledger::Log as _;
use serde::Serialize;

use super::{Context, block_on};
use crate::advice;
use crate::error::Error;
use crate::exit::Exit;
use crate::ui::colour::{Style, Tone};

/// Less room than this on the store's disk is told: a run stops when it is used up.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// 2026-01-01T00:00:00Z: this program is younger, so a clock before it is wrong.
const CLOCK_MS_MIN: u64 = 1_767_225_600_000;
/// An entry that waits longer to be sealed is told: whoever records it seals it, at its end at the latest.
const UNSEALED_S_MAX: u64 = 60;
/// An entry may be this much younger than the clock, when the clock was set back a little.
const CLOCK_BACK_MS_MAX: u64 = 60_000;

/// Check the store, its keys, the ledger and the machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    Bad,
    Skipped,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    state: State,
    code: Option<&'static str>,
    told: String,
    next: Option<String>,
}

impl Check {
    fn good(check: &'static str, told: impl Into<String>) -> Self {
        Self { check, state: State::Good, code: None, told: told.into(), next: None }
    }

    fn skipped(check: &'static str, told: impl Into<String>) -> Self {
        Self { check, state: State::Skipped, code: None, told: told.into(), next: None }
    }

    fn bad(check: &'static str, code: &'static str, told: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, state: State::Bad, code: Some(code), told: told.into(), next: Some(next.into()) }
    }

    fn failed(check: &'static str, error: &Error) -> Self {
        Self::bad(check, error.code(), error.to_string(), error.next())
    }
}

pub(super) fn run(_: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&[]);
    let root = context.store.clone();
    let mut checks = vec![match &config {
        Ok(_) => Check::good("configuration", "every setting is known and has a value that it takes"),
        Err(error) => Check::failed("configuration", error),
    }];
    let environment = config.as_ref().map_or("dev", |config| config.text("environment")).to_owned();
    checks.push(clock());
    if root.join("ledger.sqlite").exists() {
        checks.extend([folder(&root), links(&root), worker(&root), key_files(&root), sources(&root)]);
        checks.extend(ledger(&root, &environment));
        checks.push(sealing(&root));
    } else {
        checks.push(Check::skipped("store", "there is none yet; the first `medimg process` makes it"));
    }
    checks.push(room(&root));
    let style = context.output.style;
    for check in &checks {
        if context.output.json {
            context.output.object(check)?;
        } else {
            context.output.text(told(check, style))?;
        }
    }
    let bad = checks.iter().any(|check| check.state == State::Bad);
    Ok(if bad { Exit::SomeFailed } else { Exit::Well })
}

fn told(check: &Check, style: Style) -> String {
    let (tone, sign) = match check.state {
        State::Good => (Tone::Good, "✓"),
        State::Bad => (Tone::Bad, "✗"),
        State::Skipped => (Tone::Dim, "–"),
    };
    let code = check.code.map(|code| format!("{code}: ")).unwrap_or_default();
    let mut text = format!("{} {:<13}  {code}{}\n", style.paint(tone, sign), check.check, check.told);
    if let Some(next) = &check.next {
        text.push_str(&format!("  {:<13}  next: {next}\n", ""));
    }
    text
}

fn clock() -> Check {
    if System.now_ms() < CLOCK_MS_MIN {
        return Check::bad("clock", "clock", "the clock is before 2026", "set the clock, best by NTP");
    }
    Check::good("clock", "it is later than this program")
}

/// Tries what the store needs of its folder, with a file of its own name.
fn folder(root: &Path) -> Check {
    let probe = root.join("staging").join(format!("doctor-{}", std::process::id()));
    let tried = write(&probe).and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Check::good("store", "its folder can be written and made durable"),
        Err(cause) => failed("store", "write a file to staging/", cause),
    }
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(b"doctor")?;
    file.sync_all()
}

/// Publishing links a file of staging/ into processed/ (docs/adr/0004).
fn links(root: &Path) -> Check {
    let name = format!("doctor-{}", std::process::id());
    let (from, to) = (root.join("staging").join(&name), root.join("processed").join(&name));
    let tried = write(&from).and_then(|()| fs::hard_link(&from, &to));
    // Removed whatever came of it; a link that was not made cannot be removed.
    fs::remove_file(&to).ok();
    fs::remove_file(&from).ok();
    match tried {
        Ok(()) => Check::good("hard links", "from staging/ to processed/ they work"),
        Err(cause) => Check::bad(
            "hard links",
            "no_hard_links",
            format!("a file of staging/ was linked into processed/: {}", cause.kind()),
            "keep both folders on one file system that has hard links (not FAT, not some network shares)",
        ),
    }
}

fn worker(root: &Path) -> Check {
    match File::open(root.join("lock")).map(|file| file.try_lock()) {
        Ok(Err(fs::TryLockError::WouldBlock)) => Check::skipped("worker", "one is at work in this store"),
        Err(error) if error.kind() != io::ErrorKind::NotFound => failed("worker", "open the store's lock", error),
        _ => Check::good("worker", "none holds the store"),
    }
}

fn key_files(root: &Path) -> Check {
    match keys::load(&root.join("keys")) {
        Ok(keys) => {
            Check::good("keys", format!("stream, mapping and {} of the index are there, mode 600", keys.index.len()))
        }
        Err(error) => Check::failed("keys", &error.into()),
    }
}

fn sources(root: &Path) -> Check {
    match fs::metadata(root.join("sources.sqlite")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::skipped("sources", "there is none; the next run makes it")
        }
        Err(error) => failed("sources", "look at sources.sqlite", error),
        Ok(meta) if meta.mode() & 0o077 != 0 => {
            let advice = advice::on("sources_permissions");
            let told = format!(
                "its mode is {:03o} and must be 600: it holds paths, and a path may be a name",
                meta.mode() & 0o777
            );
            Check::bad("sources", advice.code, told, advice.next)
        }
        Ok(_) => Check::good("sources", "mode 600"),
    }
}

/// Opens the store as a question does: the keys must be those that it was made with.
fn ledger(root: &Path, environment: &str) -> Vec<Check> {
    let store = match Store::open(root, Access::Ask, environment, &System) {
        Ok(store) => store,
        Err(error) => return vec![Check::failed("ledger", &error.into())],
    };
    let newest = block_on(async {
        let size = store.ledger.head().await?.size;
        let last = store.ledger.entries(size.saturating_sub(1), 1).await?;
        Ok::<_, ledger::Error>((size, last.first().map(|row| row.entry.header.recorded_at)))
    });
    match newest {
        Err(error) => vec![Check::failed("ledger", &error)],
        Ok(Err(error)) => {
            vec![Check::failed("ledger", &handlers::commit::ledger_error("read the head of the ledger", error).into())]
        }
        Ok(Ok((size, newest))) => {
            let told = format!("it opens with these keys and has {size} entries; `medimg verify` checks them");
            let behind = newest.filter(|at| at.unix_ms() > System.now_ms() + CLOCK_BACK_MS_MAX);
            let clock = behind.map(|at| {
                let told = format!("the newest entry was recorded at {at}, which is later than now");
                Check::bad(
                    "clock",
                    "clock_behind",
                    told,
                    "set the clock, best by NTP; entries keep their order meanwhile",
                )
            });
            [Check::good("ledger", told)].into_iter().chain(clock).collect()
        }
    }
}

/// Looks at what is published of the log: how far, since when something waits, and whether its tiles lead to its root.
fn sealing(root: &Path) -> Check {
    match sealer::look(root) {
        Err(error) => Check::failed("sealing", &error.into()),
        Ok(Look { unsealed: 0, size: 0, .. }) => Check::skipped("sealing", "nothing is recorded yet"),
        Ok(Look { unsealed: 0, size, .. }) => Check::good(
            "sealing",
            format!("the checkpoint over all {size} entries is published, and its tiles lead to its root"),
        ),
        Ok(Look { unsealed, since, .. }) => {
            let age_s = since.map_or(0, |since| System.now_ms().saturating_sub(since)) / 1_000;
            let told = format!("{unsealed} entries wait to be sealed, the first for {age_s} s");
            if age_s <= UNSEALED_S_MAX {
                return Check::good("sealing", told);
            }
            Check::bad(
                "sealing",
                "unsealed",
                told,
                "run `medimg checkpoint`; what a command could not seal, the next one seals",
            )
        }
    }
}

/// Looks at the disk of the store, or of the folder where it will be.
fn room(root: &Path) -> Check {
    let there = root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    match rustix::fs::statvfs(there) {
        Err(error) => failed("room", "ask the disk for its free space", error.into()),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let told = format!("{} MiB are free on the store's disk", free >> 20);
            if free < FREE_BYTES_MIN {
                let next = "free space: outputs take about as much as the originals, the ledger 4 KB for each object";
                Check::bad("room", "disk_low", told, next)
            } else {
                Check::good("room", told)
            }
        }
    }
}

fn failed(check: &'static str, tried: &str, cause: io::Error) -> Check {
    Check::failed(check, &handlers::Error::store(tried, cause).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_check_says_code_and_what_to_do() {
        let check = Check::bad("room", "disk_low", "5 MiB are free", "free space");
        assert_eq!(
            told(&check, Style::PLAIN),
            "✗ room           disk_low: 5 MiB are free\n                 next: free space\n"
        );
    }

    #[test]
    fn a_store_on_a_read_only_folder_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Without staging/ and processed/ neither probe can be written, whoever runs the test.
        for check in [super::folder(folder.path()), links(folder.path())] {
            assert_eq!(check.state, State::Bad, "{check:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
    }
}
