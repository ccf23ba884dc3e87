//! `medimg process PATH…`: takes files in where they lie and follows each to its end.

use std::path::PathBuf;

use handlers::runner::report::Report;

use super::{Context, settle};
use crate::config::Flag;
use crate::error::Error;
use crate::exit::Exit;
use crate::run::{Done, Run, Task};
use crate::ui::ending::{Endings, ReportLine, SummaryLine};
use crate::witnesses::WitnessFlags;

/// Take DICOM objects in, de-identify and deliver them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Streams that an earlier run left without an end are taken up first. A file that ended already only \
    repeats its verdict. Files are read where they lie and never changed."
)]
pub(crate) struct Args {
    /// Files, and folders that are walked
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
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
    /// Add processor times to the JSON summary
    #[arg(long, hide = true)]
    timings: bool,
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let workers = self.workers.iter().map(|n| Flag { setting: "workers", flag: "-j", text: n.clone() });
        let switches =
            [("accept_pixels", "--accept-pixels", self.accept_pixels), ("copy_raw", "--copy-raw", self.copy_raw)];
        let on = switches.into_iter().filter(|(.., on)| *on);
        let on = on.map(|(setting, flag, _)| Flag { setting, flag, text: "true".to_owned() });
        workers.chain(on).chain(self.witnesses.flag()).collect()
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&args.flags())?;
    let run = Run::open(&context.store, &config, false)?.cosigned_by(context.witnesses.get());
    let items = run.items(&args.paths);
    let total = items.len() as u64;
    let (json, terminal) = (context.output.json, context.output.terminal);
    let mut endings =
        Endings::new(if terminal { items.iter().map(|item| item.path.clone()).collect() } else { Vec::new() });
    let mut told_items = 0;
    let done = run.go(Task::Process(items), context.quiet, args.timings, |report: Report| {
        told_items += u64::from(report.item.is_some());
        if json {
            context.output.object(&ReportLine::of(&report))
        } else {
            endings.add(&report);
            Ok(())
        }
    })?;
    let Done { summary, cpu_ms, .. } = done;
    if json {
        context.output.object(&SummaryLine::of(&summary, cpu_ms))?;
    } else {
        let style = context.output.style;
        context.output.text(endings.told(&summary, style))?;
        if terminal && let Some(study) = endings.largest_study() {
            context.output.flush()?;
            crate::output::note(&format!("next: {0} history {study}   {0} verify\n", context.program));
        }
    }
    settle(summary, total.saturating_sub(told_items), config.names("rules.disabled"))
}
