//! `medimg demo`: synthetic studies through the whole pipeline; `--write` only writes their files.

mod show;
mod store;

use std::io;
use std::path::PathBuf;

use handlers::runner::report::{Outcome, Report};
use serde_json::json;

use super::{Context, settle};
use crate::config::Flag;
use crate::demo::{self, DemoFile, Expected};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::run::{Run, Task};
use crate::ui::colour::Tone;
use crate::ui::ending::{ReportLine, SummaryLine};
use crate::ui::table::{Cell, Table};

/// Show the pipeline at work on synthetic studies
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Uses the store ./medimg-data unless --store says otherwise, and no store that holds anything but the \
    demo. A second run repeats the verdicts."
)]
pub(crate) struct Args {
    /// Only write the files of the demo to this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let files = demo::studies(demo::SEED);
    match &args.write {
        Some(folder) => write_only(&files, folder, context),
        None => whole(&files, context),
    }
}

fn write_only(files: &[DemoFile], folder: &std::path::Path, context: &mut Context) -> Result<Exit, Error> {
    demo::write(files, folder).map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => Error::DemoExists,
        _ => Error::Write { what: "a file of the demo", cause },
    })?;
    list(files, context)?;
    context.output.flush()?;
    if context.output.terminal {
        note(&format!("next: {} process {}\n", context.program, folder.display()));
    }
    Ok(Exit::Well)
}

/// Prints what each file is and how it must end.
fn list(files: &[DemoFile], context: &mut Context) -> Result<(), Error> {
    let mut table = Table::new(["file", "what it is", "will end"]);
    for (number, file) in (1..).zip(files) {
        let (ending, reason) = match file.expected {
            Expected::Delivered => ("delivered", None),
            Expected::Quarantined(reason) => ("quarantined", Some(reason)),
        };
        if context.output.json {
            let object = json!({ "item": number, "told": file.told, "expected": ending, "reason": reason,
                "size_bytes": file.bytes.len() });
            context.output.object(&object)?;
            continue;
        }
        table.row([
            if context.output.terminal { file.name.clone().into() } else { format!("#{number}").into() },
            file.told.into(),
            match reason {
                None => Cell::new(Tone::Good, ending),
                Some(reason) => Cell::new(Tone::Warn, format!("{ending}: {reason}")),
            },
        ]);
    }
    if context.output.json { Ok(()) } else { context.output.text(table.render(context.output.style)) }
}

/// The demo is the same wherever it runs: what a configuration may say about these is set aside.
fn flags() -> Vec<Flag> {
    [("accept_pixels", "false"), ("copy_raw", "false"), ("rules.disabled", "")]
        .map(|(setting, text)| Flag { setting, flag: "demo", text: text.to_owned() })
        .into()
}

fn whole(files: &[DemoFile], context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&flags())?;
    store::check(&context.store, config.text("environment"), files)?;
    let run = Run::open(&context.store, &config, false)?;
    let input = context.store.join(store::INPUT);
    demo::ensure(files, &input).map_err(|cause| match cause.kind() {
        io::ErrorKind::InvalidData => Error::DemoStore,
        _ => Error::Write { what: "a file of the demo", cause },
    })?;
    let items = run.items(&[input]);
    let (total, json) = (items.len() as u64, context.output.json);
    let mut reports: Vec<Report> = Vec::new();
    let done = run.go(Task::Process(items), context.quiet, false, |report| {
        if json {
            context.output.object(&ReportLine::of(&report))?;
        }
        reports.push(report);
        Ok(())
    })?;
    // Streams that an interrupted demo left open end first, without a number; their items then repeat them.
    reports.retain(|report| report.item.is_some());
    reports.sort_by_key(|report| report.item);
    let untold = total.saturating_sub(reports.len() as u64);
    let planned =
        reports.len() == files.len() && reports.iter().zip(files).all(|(report, file)| as_planned(report, file));
    if json {
        context.output.object(&SummaryLine::of(&done.summary, None))?;
        context.output.object(&json!({ "demo": { "as_planned": planned } }))?;
    } else {
        show::show(files, &reports, &done.steps, planned, context)?;
    }
    match settle(done.summary, untold, &[])? {
        Exit::Well | Exit::SomeFailed if planned => Ok(Exit::Well),
        other => Ok(other.max(Exit::SomeFailed)),
    }
}

fn as_planned(report: &Report, file: &DemoFile) -> bool {
    match file.expected {
        Expected::Delivered => report.outcome == Outcome::Delivered,
        Expected::Quarantined(reason) => report.outcome == Outcome::Quarantined && report.reason == Some(reason),
    }
}
