//! `medimg replay`: work on ended streams begins again, or is foretold with `--dry-run`.

use domain::Phi;
use domain::workflow::Step;
use handlers::ask;
use handlers::notes::is_note;
use handlers::replay::plan::{Plan, plan};
use handlers::replay::{Request, Selection, Span};
use handlers::runner::replay::Replayed;
use handlers::store::{self, Access, Store};
use handlers::surroundings::{Surroundings as _, System};

use super::{Context, block_on, settle};
use crate::config::{Config, Flag};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::run::{self, Run, Task};
use crate::times::Times;
use crate::ui::ending::{Endings, ReportLine};
use crate::ui::replay::{self as show, Told};
use crate::witnesses::WitnessFlags;

/// Do again what failed, or what you name; --dry-run says beforehand what would be done
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("which").required(true).multiple(true).args(["failed", "study", "from", "to", "step"])),
    after_help = "What is named together must apply together. Without --step work begins at the step that ended it: what is \
    delivered stays as it is, and so does what was quarantined for its own bytes. The output of the same profile is the same \
    to the byte, so nothing is delivered twice. Started again with the same words a replay that was stopped goes on.\n\n\
    --dry-run reads the ledger, judges each stream by the same rules and counts the steps behind it; of sources it looks \
    whether they are there with the size that was received. --dry-run --deep runs the whole work, reading and de-identifying, \
    on ports that keep nothing. Both write nothing, take no lock and are not recorded."
)]
pub(crate) struct Args {
    /// What failed
    #[arg(long)]
    failed: bool,
    /// One study: its original or new Study Instance UID, or the short name that process printed
    #[arg(long, value_name = "STUDY")]
    study: Option<String>,
    /// What was received or ended in this span
    #[command(flatten)]
    times: Times,
    /// Begin at this step; alone: what failed at it
    #[arg(long, value_name = "STEP", value_parser = ["ingestion", "validation", "deidentification", "delivery"])]
    step: Option<String>,
    /// Why; kept beside the sources, recorded as a digest
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Run under this profile even if another one is on record
    #[arg(long, value_name = "PROFILE", value_parser = ["basic"])]
    profile: Option<String>,
    /// Deliver objects whose pixels nobody has judged; recorded with every decision
    #[arg(long)]
    accept_pixels: bool,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: read and de-identify the objects as well
    #[arg(long, requires = "dry_run")]
    deep: bool,
    #[command(flatten)]
    witnesses: WitnessFlags,
    /// Threads that work on objects; 0 is one per processor
    #[arg(long, short = 'j', value_name = "N")]
    workers: Option<String>,
}

impl Args {
    /// Whether it may record something.
    pub(super) const fn records(&self) -> bool {
        !self.dry_run
    }

    fn flags(&self) -> Vec<Flag> {
        let workers = self.workers.iter().map(|n| Flag { setting: "workers", flag: "-j", text: n.clone() });
        let pixels = self.accept_pixels.then(|| Flag {
            setting: "accept_pixels",
            flag: "--accept-pixels",
            text: "true".to_owned(),
        });
        workers.chain(pixels).chain(self.witnesses.flag()).collect()
    }

    fn request(&self, store: &Store) -> Result<Request, Error> {
        if !is_note(&self.reason) {
            return Err(Error::Usage { what: "--reason takes 1 to 2,000 characters".to_owned(), near: None });
        }
        let range = if self.times.is_empty() { None } else { Some(self.times.range(System.now_ms())?) };
        let span = range.map(|range| Span { from_ms: range.from_ms, to_ms: range.to_ms });
        let study = match &self.study {
            Some(name) => Some(block_on(ask::streams_of_study(store, &Phi::new(name.trim().to_owned())))??),
            None => None,
        };
        Ok(Request {
            selection: Selection { failed: self.failed, study, span },
            span_said: span.map(|_| format!("{:?}", self.times)).unwrap_or_default(),
            from_step: self.step.as_deref().and_then(Step::from_name),
            profile_given: self.profile.is_some() || self.accept_pixels,
            reason: Phi::new(self.reason.clone()),
        })
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&args.flags())?;
    if args.dry_run && !args.deep {
        return foretell(args, &config, context);
    }
    let run = Run::open_to_replay(&context.store, &config, args.dry_run)?.cosigned_by(context.witnesses.get());
    let request = Box::new(args.request(run.store())?);
    let json = context.output.json;
    let mut endings = Endings::new(Vec::new());
    let done = run.go(Task::Replay(request), context.quiet, false, |report| {
        if json {
            context.output.object(&ReportLine::of(&report))
        } else {
            endings.add(&report);
            Ok(())
        }
    })?;
    let mut person = false;
    if let Some(replayed) = &done.replayed {
        person = needs_a_person(replayed);
        let told = Told { dry: args.dry_run, terminal: context.output.terminal, places: &done.places };
        if json {
            show::left_lines(&replayed.left).try_for_each(|line| context.output.object(&line))?;
            context.output.object(&show::replayed_line(replayed, &done.summary, &told))?;
        } else {
            let style = context.output.style;
            context.output.text(endings.groups_told(style))?;
            context.output.text(show::replayed(replayed, &told, style))?;
        }
    }
    next(context, endings.largest_study())?;
    if args.dry_run {
        return done.summary.stopped_by.map_or(Ok(exit_of(person)), |error| Err(error.into()));
    }
    settle(done.summary, 0, config.names("rules.disabled")).map(|exit| exit.max(exit_of(person)))
}

/// Counts what would be done, without reading an object.
fn foretell(args: &Args, config: &Config, context: &mut Context) -> Result<Exit, Error> {
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let request = args.request(&store)?;
    let pipeline =
        store::dry_pipeline(&store, run::profile(config)?, run::limits(config), std::sync::Arc::new(System))?;
    let plan: Plan = block_on(plan(&pipeline, &run::bus(config)?, store.ledger.as_ref(), &request))??;
    let places = run::places_of(&store, &plan.left);
    let told = Told { dry: true, terminal: context.output.terminal, places: &places };
    if context.output.json {
        show::left_lines(&plan.left).try_for_each(|line| context.output.object(&line))?;
        context.output.object(&show::plan_line(&plan))?;
    } else {
        let style = context.output.style;
        context.output.text(show::plan(&plan, &told, style))?;
        if context.output.terminal && plan.streams > 0 {
            context.output.flush()?;
            note("next: the same command without --dry-run does it; with --deep its objects are read first\n");
        }
    }
    Ok(exit_of(plan.left.iter().any(handlers::replay::Left::needs_a_person)))
}

fn needs_a_person(replayed: &Replayed) -> bool {
    let counts = &replayed.counts;
    counts.quarantined + counts.failed > 0 || replayed.left.iter().any(handlers::replay::Left::needs_a_person)
}

const fn exit_of(needs_a_person: bool) -> Exit {
    if needs_a_person { Exit::SomeFailed } else { Exit::Well }
}

/// Proposes what a person may run next.
fn next(context: &mut Context, study: Option<String>) -> Result<(), Error> {
    if !context.output.terminal {
        return Ok(());
    }
    context.output.flush()?;
    let history = study.map(|study| format!("{} history {study}   ", context.program)).unwrap_or_default();
    note(&format!("next: {history}{} verify\n", context.program));
    Ok(())
}
