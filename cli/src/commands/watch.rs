//! `medimg watch DIR`: takes in what is put into a folder, as soon as it is complete, until a signal ends it.

use std::path::PathBuf;
use std::time::Duration;

use domain::events::Intake;
use handlers::watch::WatchOptions;

use super::{Context, settle};
use crate::config::{Config, Flag};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::run::{Done, Run, Tale};
use crate::ui::ending::SummaryLine;
use crate::ui::live::Live;
use crate::witnesses::WitnessFlags;

/// Streams of an earlier run that are counted before the watch begins.
const UNFINISHED_COUNTED_MAX: usize = 100_000;

/// Take in DICOM objects as they are put into a folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A file is complete when it has not changed for --settle, or when it is renamed into the folder; hidden \
    files and names ending in .part, .partial, .tmp, .temp, .filepart, .crdownload, .swp or ~ wait until they are renamed. \
    Links are not followed. SIGTERM or SIGINT lets what is in flight come to its end and exits 0; the same command goes on."
)]
pub(crate) struct Args {
    /// The folder; all folders below it are watched too
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How long a file must not change: 500ms, 2s, 1m [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    settle: Option<u64>,
    /// Time between scans of the whole folder, which find what no notification told [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    rescan: Option<u64>,
    /// Take in what is complete now, then end
    #[arg(long)]
    once: bool,
    /// Ask the system for no notifications: scans alone, as for a network file system
    #[arg(long)]
    scan_only: bool,
    /// Threads that work on objects; 0 is one per processor
    #[arg(long, short = 'j', value_name = "N")]
    workers: Option<String>,
    /// Deliver objects whose pixels nobody has judged; recorded with every decision
    #[arg(long)]
    accept_pixels: bool,
    /// Keep a copy of each original in the store's raw/
    #[arg(long)]
    copy_raw: bool,
    #[command(flatten)]
    witnesses: WitnessFlags,
}

/// Reads a time as milliseconds.
fn milliseconds(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time is a whole number and ms, s, m or h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a time begins with a whole number".to_owned())?;
    number.checked_mul(each).ok_or_else(|| "the time is too long".to_owned())
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let number = |setting, flag, text: Option<String>| text.map(|text| Flag { setting, flag, text });
        let switch = |setting, flag, on: bool| on.then(|| Flag { setting, flag, text: "true".to_owned() });
        let flags = [
            number("workers", "-j", self.workers.clone()),
            number("watch.settle_ms", "--settle", self.settle.map(|ms| ms.to_string())),
            number("watch.rescan_ms", "--rescan", self.rescan.map(|ms| ms.to_string())),
            switch("accept_pixels", "--accept-pixels", self.accept_pixels),
            switch("copy_raw", "--copy-raw", self.copy_raw),
        ];
        flags.into_iter().flatten().chain(self.witnesses.flag()).collect()
    }

    fn options(&self, config: &Config) -> WatchOptions {
        WatchOptions {
            settle: Duration::from_millis(config.number("watch.settle_ms")),
            rescan: Duration::from_millis(config.number("watch.rescan_ms")),
            notifications: !self.scan_only,
            once: self.once,
        }
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&args.flags())?;
    let run = Run::open_for(&context.store, &config, false, Intake::Watch)?.cosigned_by(context.witnesses.get());
    let options = args.options(&config);
    let (quiet, program) = (context.quiet, context.program.clone());
    match run.unfinished(UNFINISHED_COUNTED_MAX)? {
        0 => {}
        unfinished if !quiet => note(&format!("{unfinished} objects of an earlier run are taken up first\n")),
        _ => {}
    }
    if !args.once && !quiet {
        note("watching; SIGTERM or Ctrl-C ends it, and the same command goes on where it stopped\n");
    }
    let output = &mut context.output;
    let mut live = Live::new(run.places(), options.rescan, quiet);
    let done = run.serve(&args.folder, options, |tale| match tale {
        Tale::Ended(report) => live.ended(&report, output),
        Tale::News(news) => live.news(&news, output),
        Tale::Tick => live.tick(output, false),
    })?;
    live.tick(output, true)?;
    let Done { summary, .. } = done;
    if output.json {
        output.object(&SummaryLine::of(&summary, None))?;
    } else {
        output.line(live.counts(&summary, output.style))?;
    }
    output.flush()?;
    if args.once && live.folder_is_gone() {
        let tried = "watch the folder once: it is not there any more".to_owned();
        return Err(Error::Stopped { code: "watch_folder_gone", tried, cause: None });
    }
    // That it was asked to end is how a watch ends well; whatever stopped it otherwise is told as by any run.
    if summary.interrupted && summary.pending == 0 {
        if !quiet {
            note(&format!("the watch has ended; {program} watch goes on where it stopped\n"));
        }
        return Ok(Exit::Well);
    }
    settle(summary, 0, config.names("rules.disabled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let good = [("500ms", 500), ("2s", 2_000), ("1m", 60_000), ("1h", 3_600_000)];
        assert!(good.iter().all(|(text, ms)| milliseconds(text) == Ok(*ms)));
        for bad in ["2", "s", "-1s", "1.5s", "2 s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(milliseconds(bad).is_err(), "{bad}");
        }
    }
}
