//! Building the views anew from the log: beside the old ones, compared with them, put in their place in one transaction.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger::Log;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::{SqliteViews, TABLES, sql};
use crate::consumer::{self, Sink as _};
use crate::error::{Error, Result};

/// How often others may hold the old file before we give up, and how long we wait between.
const SWAP_TRIES_MAX: u32 = 100;
const SWAP_WAIT: Duration = Duration::from_millis(50);

/// What the old views were beside the new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Equal, row by row.
    Equal,
    /// They differed: in these tables, so many rows each.
    Different(Vec<(&'static str, u64)>),
    /// They could not be compared: none was there, or the code that says why not.
    NotCompared(Option<&'static str>),
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The size of the log that the new views are of.
    pub size: u64,
    /// What the old ones were beside them.
    pub compared: Compared,
}

/// Builds the views at `path` anew and puts them in place of the old ones, which stand until the moment of the swap.
///
/// # Errors
/// What the log says; `views_io`, `store_unwritable`, `disk_full`.
pub async fn rebuild(log: &dyn Log, path: &Path) -> Result<Rebuilt> {
    let beside = beside(path);
    // A rebuild that was stopped leaves its file: it is nobody's.
    SqliteViews::remove(&beside)?;
    let new = SqliteViews::open(&beside)?;
    let followed = consumer::follow(log, &new, u64::MAX).await?;
    let (compared, swapped) = match path.exists().then(|| SqliteViews::open(path)) {
        Some(Ok(old)) => (compare(log, &old, &new).await?, swap(&new, &old)),
        Some(Err(error)) if error.code() != "views_damaged" => return Err(error),
        damaged => {
            // Nothing can be kept of a file that is no views, and nothing is lost with it.
            SqliteViews::remove(path)?;
            let why = damaged.is_some().then_some("views_damaged");
            (Compared::NotCompared(why), swap(&new, &SqliteViews::open(path)?))
        }
    };
    swapped?;
    drop(new);
    SqliteViews::remove(&beside)?;
    Ok(Rebuilt { size: followed.next, compared })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Brings the old views to the size of the new ones and compares them.
async fn compare(log: &dyn Log, old: &SqliteViews, new: &SqliteViews) -> Result<Compared> {
    let size = new.cursor().await?.next;
    let had = match old.cursor().await {
        Ok(cursor) => cursor.next,
        Err(error) => return Ok(Compared::NotCompared(Some(error.code()))),
    };
    match consumer::follow(log, old, size.saturating_sub(had)).await {
        Ok(_) => {}
        // What was recorded since is in neither of the two until they are followed again.
        Err(error) if matches!(error.code(), "consumer_ahead" | "consumer_other_log" | "views_damaged") => {
            return Ok(Compared::NotCompared(Some(error.code())));
        }
        Err(error) => return Err(error),
    }
    if old.cursor().await?.next != size {
        // Another process followed further than we did: so do the new ones.
        consumer::follow(log, new, u64::MAX).await?;
    }
    let mut differing = Vec::new();
    for (table, order) in TABLES {
        match rows_that_differ(&old.connection(), &new.connection(), table, order) {
            Ok(0) => {}
            Ok(count) => differing.push((table, count)),
            Err(_) => return Ok(Compared::NotCompared(Some("views_damaged"))),
        }
    }
    Ok(if differing.is_empty() { Compared::Equal } else { Compared::Different(differing) })
}

/// Counts rows that stand in one of the two only, or differ, walking both in the order of their key: the rows are compared
/// place by place up to the first that differs, from there on as sets by count only.
fn rows_that_differ(old: &Connection, new: &Connection, table: &str, order: &str) -> rusqlite::Result<u64> {
    let text = format!("SELECT * FROM {table} ORDER BY {order}");
    let (mut old, mut new) = (old.prepare(&text)?, new.prepare(&text)?);
    let (mut left, mut right) = (old.query([])?, new.query([])?);
    let mut count = 0;
    // Ends with the longer of two tables, which are bounded by the log.
    loop {
        match (left.next()?, right.next()?) {
            (None, None) => return Ok(count),
            (Some(one), Some(other)) if same(one, other)? => {}
            _ => count += 1,
        }
    }
}

fn same(one: &Row<'_>, other: &Row<'_>) -> rusqlite::Result<bool> {
    let columns = one.as_ref().column_count();
    for at in 0..columns {
        let (left, right): (ValueRef<'_>, ValueRef<'_>) = (one.get_ref(at)?, other.get_ref(at)?);
        if left != right {
            return Ok(false);
        }
    }
    Ok(columns == other.as_ref().column_count())
}

/// Copies the new pages over the old ones as one transaction of the old file: a reader sees the one or the other, and a
/// crash leaves the old ones.
fn swap(new: &SqliteViews, old: &SqliteViews) -> Result<()> {
    let failed = sql("put the new views in place of the old ones");
    let (source, mut target) = (new.connection(), old.connection());
    let backup = Backup::new(&source, &mut target).map_err(failed)?;
    for _ in 0..SWAP_TRIES_MAX {
        match backup.step(-1).map_err(failed)? {
            StepResult::Done => return Ok(()),
            _ => std::thread::sleep(SWAP_WAIT),
        }
    }
    Err(Error::lost("views_io", "put the new views in place of the old ones", "others hold the file"))
}
