//! Recover: an older store that was restored goes on, under a new origin, so that what was lost is named and nothing is
//! forked (DESIGN §5, docs/adr/0006). The log as it was restored stays beside the new one, whole and as it is.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use domain::Phi;
use domain::events::{Digest, LedgerRecovered};
use ledger::{Ledger, Open, Origin, Peek, SqliteLedger, end_log, verify_store};

use crate::acting::{self, Person};
use crate::backup::{self, Before};
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::heads::{self, Heads, Held};
use crate::segments;
use crate::store::{Access, Store};
use crate::surroundings::Surroundings;

/// Where the new log is made.
const NEXT: &str = "ledger.next.sqlite";

/// What a recovery did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The log that goes on.
    pub origin: Origin,
    /// How many entries the one before was seen with.
    pub held_size: u64,
    /// How many of them the store has.
    pub restored_size: u64,
    /// Objects without an end, which the next run takes up.
    pub unfinished: u64,
}

/// What has to be known of who recovers, and why.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The user's name.
    pub user: &'a Phi<String>,
    /// The reason.
    pub reason: &'a Phi<String>,
}

/// Begins the next log of the store at `root`.
///
/// # Errors
/// `nothing_to_recover` when the store is the one that was seen last, `note_form`, `ledger_damaged` when what was restored
/// does not verify, `ledger_unavailable` when somebody has the store open, and what opening says. Cut short, it can be run
/// again: the store is the old one until the new log has its name.
pub async fn recover(
    root: &Path,
    environment: &str,
    heads: &Heads,
    surroundings: &dyn Surroundings,
    asked: Asked<'_>,
    before: Before<'_>,
) -> Result<Recovered> {
    let present = root.join("ledger.sqlite");
    let store = Store::open_existing(root, Access::Work, environment, surroundings)?;
    let closed = store.close();
    let peek = Peek::open(&present).map_err(|error| ledger_error("look at the ledger", error))?;
    let held = lost(root, &peek, heads)?;
    let report = verify_store(&present, &mut |_, _, _| {}).map_err(|error| ledger_error("verify the ledger", error))?;
    if !report.is_sound() {
        return Err(Error::damaged("ledger_damaged", "recover a store: what was restored does not verify", None));
    }
    let recovered = next_origin(&peek.origin, &held)?;
    let failed = |error| Error::store("begin the next log of a store", error);
    for left in [NEXT.to_owned(), format!("{NEXT}-wal"), format!("{NEXT}-shm")] {
        match fs::remove_file(root.join(left)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    before("make the next log").map_err(failed)?;
    let person = Person::of_user(asked.user, &closed.keys);
    let id = acting::new_id(surroundings);
    let reason = closed.sources.keep_note(id, asked.reason, surroundings.nonce())?;
    let next = make_next(root, &peek, recovered.clone()).map_err(|error| ledger_error("begin the next log", error))?;
    let said = LedgerRecovered {
        held_size: held.size,
        held_root: held.root,
        restored_size: peek.head.size,
        restored_root: Digest(peek.head.root.0),
        reason,
        tags: vec![person.tag()],
    };
    acting::record_under(id, &next, &closed.keys, surroundings, person, None, said.into()).await?;
    let origin = next.origin().clone();
    drop(next);
    before("close the next log").map_err(failed)?;
    drop(end_log(root.join(NEXT)).map_err(|error| ledger_error("close the next log", error))?);
    let unfinished = backup::take_up_again(segments::paths(root)?.into_iter().map(|(_, path)| path), &closed.sources)?;
    change(root, &present, segments::number(&peek.origin), before)?;
    Ok(Recovered { origin, held_size: held.size, restored_size: peek.head.size, unfinished })
}

/// Gives the old log its number and the new one its name. The old one is held meanwhile, so nobody appends to it.
fn change(root: &Path, present: &Path, number: u32, before: Before<'_>) -> Result<()> {
    let failed = |error| Error::store("put the next log in its place", error);
    let held = end_log(present).map_err(|error| ledger_error("end the log of a store", error))?;
    let ended = root.join(segments::name(number));
    before("give the old log its number").map_err(failed)?;
    match fs::hard_link(present, &ended) {
        // An earlier recovery was cut short here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && same_file(present, &ended) => {}
        other => other.map_err(failed)?,
    }
    let sync = || File::open(root).and_then(|folder| folder.sync_all());
    before("make its name durable").and_then(|()| sync()).map_err(failed)?;
    before("give the next log its name").map_err(failed)?;
    fs::rename(root.join(NEXT), present).map_err(failed)?;
    // The store goes on under the new origin from here on; a mark that is left names an older log and says nothing.
    before("make the change durable").and_then(|()| sync()).map_err(failed)?;
    drop(held);
    match fs::remove_file(root.join(heads::RESTORED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Returns the newest head that is known of the store, if its log does not go on from it.
fn lost(root: &Path, peek: &Peek, heads: &Heads) -> Result<Held> {
    let refused = || {
        let tried = "recover a store: its log is the one that was seen last, so nothing is lost";
        Error::damaged("nothing_to_recover", tried, None)
    };
    let held = heads.newest(&peek.origin)?;
    match (heads.check(root), held, heads::restored(root)?) {
        (Ok(()), ..) => Err(refused()),
        (Err(error), held, mark) if is_lost(&error) => held.or(mark).ok_or(error),
        (Err(error), ..) => Err(error),
    }
}

fn is_lost(error: &Error) -> bool {
    ["ledger_rolled_back", "ledger_forked", "ledger_restored"].contains(&error.code())
}

/// The origin after the newest one that is known: a number is never used twice.
fn next_origin(origin: &Origin, held: &Held) -> Result<Origin> {
    let number = segments::number(origin).max(held.number()) + 1;
    let base = origin.as_str().split('#').next().unwrap_or_default();
    let next = Origin::parse(&format!("{base}#{number}"));
    next.ok_or_else(|| Error::damaged("ledger_invalid", "name the next log of a store", None))
}

fn make_next(root: &Path, peek: &Peek, origin: Origin) -> std::result::Result<SqliteLedger, ledger::Error> {
    let next = SqliteLedger::open(root.join(NEXT), Open::CreateWith(origin))?;
    let meta = peek.meta()?;
    let listed = meta.iter().find(|(name, _)| name == segments::PAST).map(|(_, listed)| format!("{listed},"));
    let past = format!("{}{}", listed.unwrap_or_default(), segments::number(&peek.origin));
    // The check values of the keys go with it: the next log is written with the same keys or not at all.
    let mut values: Vec<_> = meta.into_iter().filter(|(name, _)| name != segments::PAST).collect();
    values.push((segments::PAST.to_owned(), past));
    next.set_metas_if_absent(&values)?;
    Ok(next)
}
