//! What the demo shows to a person: the steps, what became of each file, one history, the verification, and what to try.

use compliance::history::Standing;
use domain::Phi;
use handlers::acting::Person;
use handlers::ask::{self, Question};
use handlers::audit;
use handlers::runner::report::{Outcome, Report};
use handlers::store::{Access, Store};
use handlers::surroundings::System;

use crate::commands::{Context, block_on, history, verify};
use crate::config::STORE_DEFAULT;
use crate::demo::DemoFile;
use crate::error::Error;
use crate::person;
use crate::run::{STEPS, StepCounts};
use crate::ui::colour::Tone;
use crate::ui::table::{Cell, Table};

/// Cells of a full bar.
const BAR_WIDTH: u64 = 30;

pub(super) fn show(
    files: &[DemoFile],
    reports: &[Report],
    steps: &StepCounts,
    planned: bool,
    context: &mut Context,
) -> Result<(), Error> {
    context.output.line(format!("{} synthetic files, made in code: nobody in them exists\n", files.len()))?;
    if reports.iter().all(|report| report.repeated) {
        let told = "an earlier run took every file to its end: nothing was done again, the verdicts stand";
        context.output.line(format!("{told}\n"))?;
    } else {
        bars(files.len() as u64, reports, steps, context)?;
    }
    table(files, reports, context)?;
    let mark =
        if planned { (Tone::Good, "✓ every file ended as planned") } else { (Tone::Bad, "✗ not as planned") };
    let mark = context.output.style.paint(mark.0, mark.1);
    context.output.line(format!("{mark}\n"))?;
    let study = largest_study(reports);
    if let Some(study) = &study {
        one_history(study, context)?;
    }
    let audit = audit::audit(&context.store)?;
    let told = verify::told(&audit, ledger::Depth::Whole, context.output.style);
    context.output.text(told)?;
    next(study.as_deref(), context)
}

/// One bar a step: how many objects went through it.
fn bars(total: u64, reports: &[Report], steps: &StepCounts, context: &mut Context) -> Result<(), Error> {
    let quarantined = reports.iter().filter(|report| report.outcome == Outcome::Quarantined).count() as u64;
    let counted = STEPS.iter().map(|step| step.name()).zip(steps.iter().copied());
    for (name, count) in counted.chain([("quarantine", quarantined)]) {
        let full = count.min(total) * BAR_WIDTH / total.max(1);
        let tone = if name == "quarantine" { Tone::Warn } else { Tone::Good };
        let bar = "█".repeat(usize::try_from(full).unwrap_or(0));
        let rest = "░".repeat(usize::try_from(BAR_WIDTH - full).unwrap_or(0));
        let bar = context.output.style.paint(tone, &bar);
        context.output.line(format!("{name:<17} {bar}{rest} {count:>3}"))?;
    }
    context.output.line("")
}

/// One row for files of one kind that ended alike.
fn table(files: &[DemoFile], reports: &[Report], context: &mut Context) -> Result<(), Error> {
    let mut rows: Vec<(&str, u64, Outcome, String)> = Vec::new();
    for (report, file) in reports.iter().zip(files) {
        let why = match (report.reason, &report.code) {
            // The first clause of the condition: a row of a table is one line.
            (Some(reason), _) => {
                format!("{reason}: {}", reason.condition().split([':', '.']).next().unwrap_or_default())
            }
            (None, Some(code)) => code.clone(),
            (None, None) => String::new(),
        };
        let alike =
            rows.iter_mut().find(|row| (row.0, row.2, row.3.as_str()) == (file.told, report.outcome, why.as_str()));
        match alike {
            Some(row) => row.1 += 1,
            None => rows.push((file.told, 1, report.outcome, why)),
        }
    }
    let mut table = Table::new(["#files", "what", "ended", "why"]);
    for (told, count, outcome, why) in rows {
        let tone = if outcome == Outcome::Delivered { Tone::Good } else { Tone::Warn };
        table.row([count.to_string().into(), told.into(), Cell::new(tone, outcome.word()), Cell::new(Tone::Dim, why)]);
    }
    context.output.text(table.render(context.output.style))
}

/// The short name of the study with the most delivered objects.
fn largest_study(reports: &[Report]) -> Option<String> {
    let studies = || reports.iter().filter_map(|report| report.key.as_deref()?.split('/').next());
    let largest = studies().max_by_key(|study| studies().filter(|other| other == study).count())?;
    domain::ids::short_name(largest)
}

fn one_history(study: &str, context: &mut Context) -> Result<(), Error> {
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let answer = block_on(ask::history(&store, &System, person, &Question::Study(Phi::new(study.to_owned()))))??;
    let histories = answer.streams.iter().map(|stream| history::read(stream)).collect::<Result<Vec<_>, _>>()?;
    let objects: Vec<_> = histories.iter().filter(|history| history.standing != Standing::Act).collect();
    let Some(first) = objects.first() else { return Ok(()) };
    let style = context.output.style;
    context.output.line(format!(
        "history of study {}: {} objects; the first of them:",
        style.paint(Tone::Strong, study),
        objects.len()
    ))?;
    let told = history::told(first, style);
    context.output.text(told)
}

fn next(study: Option<&str>, context: &mut Context) -> Result<(), Error> {
    let program = context.program.clone();
    let store = match (context.store.as_os_str() == STORE_DEFAULT, context.output.terminal) {
        (true, _) => String::new(),
        (false, true) => format!(" --store {}", context.store.display()),
        (false, false) => " --store DIR".to_owned(),
    };
    context.output.line("\nnext:")?;
    let mut commands = Vec::new();
    if let Some(study) = study {
        commands.push((format!("{program} history {study}{store}"), "every object of that study"));
    }
    commands.extend([
        (format!("{program} verify{store}"), "the whole ledger, again"),
        (format!("{program} export -o ledger.ndjson{store}"), "a copy that ledger/verify_export.py checks"),
        (format!("{program} doctor{store}"), "store, keys, disk and clock"),
        (format!("{program} process --store my-store YOUR/FOLDER"), "your own files, in a store of their own"),
    ]);
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, told) in commands {
        let told = context.output.style.paint(Tone::Dim, &format!("# {told}"));
        context.output.line(format!("  {command:<width$}  {told}"))?;
    }
    Ok(())
}
