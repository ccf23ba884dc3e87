//! `medimg follow STUDY`: the history of a study as it is written, until every object has its end.

use std::time::{Duration, Instant};

use domain::Phi;
use handlers::acting::Person;
use handlers::follow::{Follower, Objects};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use ledger::Entry;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, history};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::person;
use crate::ui::colour::Tone;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A study of which all objects have their end, and of which nothing came for this long, is told as ended.
const IDLE: Duration = Duration::from_secs(2);
/// A wait of this many seconds is the longest that may be asked for.
const SECONDS_MAX: u64 = 24 * 3_600;

/// Show the history of a study as it is written, until all its objects have ended
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends when every object of the study has its end and nothing came for two seconds, on Ctrl-C, or at the \
    limit. A study that is not known yet is waited for. That you asked is recorded, once.\n\
    Exit 0 all delivered, 1 some object was refused or the study never came, 75 the limit or Ctrl-C came first."
)]
pub(crate) struct Args {
    /// A study: its original or new Study Instance UID, or its short name
    #[arg(value_name = "STUDY")]
    study: String,
    /// Longest time to follow: a number with s, m or h
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = seconds)]
    limit: Duration,
}

/// Reads `30s`, `10m`, `2h`.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let wrong = "a number of seconds, minutes or hours: 30s, 10m, 2h; at most 24h";
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => return Err(wrong),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong)?;
    let seconds = number.checked_mul(unit).filter(|seconds| (1..=SECONDS_MAX).contains(seconds)).ok_or(wrong)?;
    Ok(Duration::from_secs(seconds))
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let failed = |cause| Error::Threads { cause };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let name = Phi::new(args.study.trim().to_owned());
    runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (follower, first) = Follower::begin(&store, &System, person, name).await?;
        let known = !first.is_empty();
        tell(&first, context)?;
        if !known && !context.quiet {
            note("the ledger has no entry about this study yet: waiting for it\n");
        }
        follow(follower, args.limit, [interrupt, terminate], context).await
    })
}

/// Why following ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Ended,
    Limit,
    Stopped,
}

async fn follow(
    mut follower: Follower<'_>,
    limit: Duration,
    [mut interrupt, mut terminate]: [Signal; 2],
    context: &mut Context,
) -> Result<Exit, Error> {
    let (begun, mut last) = (Instant::now(), Instant::now());
    // Bounded by the limit.
    let ends = loop {
        let entries = follower.look().await?;
        if !entries.is_empty() {
            last = Instant::now();
            tell(&entries, context)?;
        }
        let objects = follower.objects();
        if objects.all() > 0 && objects.open == 0 && (follower.completed() || last.elapsed() >= IDLE) {
            break Ends::Ended;
        }
        if begun.elapsed() >= limit {
            break Ends::Limit;
        }
        if context.output.closed() {
            break Ends::Stopped;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY.min(limit.saturating_sub(begun.elapsed()))) => {}
            _ = interrupt.recv() => break Ends::Stopped,
            _ = terminate.recv() => break Ends::Stopped,
        }
    };
    conclude(ends, follower.objects(), context)
}

fn conclude(ends: Ends, objects: Objects, context: &mut Context) -> Result<Exit, Error> {
    let word = match ends {
        Ends::Ended => "ended",
        Ends::Limit => "limit",
        Ends::Stopped => "stopped",
    };
    let Objects { open, delivered, refused } = objects;
    if context.output.json {
        let said = serde_json::json!({ "ends": word, "delivered": delivered, "refused": refused, "open": open });
        context.output.object(&serde_json::json!({ "follow": said }))?;
    } else {
        let told = match ends {
            Ends::Ended => "every object has its end",
            Ends::Limit => "the limit of --for came first",
            Ends::Stopped => "stopped",
        };
        let counts = format!("{delivered} delivered, {refused} refused, {open} without an end");
        let style = context.output.style;
        context.output.line(style.paint(Tone::Dim, &format!("{told}: {counts}")))?;
    }
    if objects.all() == 0 && ends == Ends::Limit {
        return Err(Error::Stopped {
            code: "study_unknown",
            tried: "follow a study: no entry about it came within the time of --for".to_owned(),
            cause: None,
        });
    }
    Ok(match ends {
        Ends::Ended if refused == 0 => Exit::Well,
        Ends::Ended => Exit::SomeFailed,
        Ends::Limit | Ends::Stopped => Exit::TryAgain,
    })
}

/// Tells entries as they come: what is not on its way is not live.
fn tell(entries: &[Entry], context: &mut Context) -> Result<(), Error> {
    for entry in entries {
        history::tell_entry(entry, context)?;
    }
    context.output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(seconds("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "30", "0s", "25h", "s", "-1s", "1d", "99999999999999999999s", "5é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
