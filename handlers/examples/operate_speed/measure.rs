//! What is measured: the work behind `history`, `report` and `replay --dry-run`, from opening the store on.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use compliance::report::{Scope, html};
use domain::Phi;
use domain::dicom::Profile;
use domain::dicom::limits::Limits;
use domain::events::{Digest, ReportFormat, ReportScope};
use domain::workflow::Step;
use handlers::acting::Person;
use handlers::ask;
use handlers::bus::Bus;
use handlers::replay::plan::{Plan, plan};
use handlers::replay::{Request, Selection, Span};
use handlers::reporting::{self, Made};
use handlers::search::{self, Paging, Part, Question};
use handlers::store::{self, Access, Store};
use handlers::surroundings::System;
use ledger::Entry;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::machine;
use crate::month::{BEGIN_MS, ENVIRONMENT, MONTH_MS, Month, study_uid};

/// A figure: medians over its runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// Time on the wall in seconds.
    pub(crate) seconds: f64,
    /// Time of the processors in seconds, all threads.
    pub(crate) cpu_s: f64,
    /// Slowest run by fastest, on the wall.
    pub(crate) spread: f64,
    /// How many runs.
    pub(crate) runs: usize,
}

/// Measures everything.
///
/// # Errors
/// What the store says, and an answer that is not what the month holds.
pub(crate) fn all(month: &Month, runs: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let in_views = |run: usize| by_views(month, study_of(month, run));
    let by_tags = |run: usize| by_tags(month, study_of(month, run));
    // The first question makes the views; it is none of those that are measured.
    let begin = Instant::now();
    in_views(0)?;
    note(&format!("views made, and one study asked for, in {:.1} s", begin.elapsed().as_secs_f64()));
    // Of a large store each of these takes many seconds.
    let few = runs.min(if month.entries > 500_000 { 3 } else { 5 });
    let whole = |replay: Asked| move |_: usize| foretold(month, replay);
    Ok(vec![
        median("history", runs, in_views)?,
        median("history by tags", runs, by_tags)?,
        median("report", few, |_| reported(month))?,
        median("replay everything", few, whole(Asked::All))?,
        median("replay --failed", few, whole(Asked::Failed))?,
        median("replay --step ingestion", few, whole(Asked::FromIngestion))?,
    ])
}

/// Says something that is no result.
#[allow(clippy::print_stderr, reason = "an example speaks to the terminal")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// Another study each time, from all over the month.
fn study_of(month: &Month, run: usize) -> u64 {
    (run as u64 * 7 + 3) * 31 % month.studies.saturating_sub(4).max(1)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn median(
    name: &'static str,
    runs: usize,
    act: impl Fn(usize) -> Result<(), Box<dyn Error>>,
) -> Result<Figure, Box<dyn Error>> {
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for run in 1..=runs.max(1) {
        let (begin, begun) = (Instant::now(), machine::processors());
        act(run)?;
        walls.push(begin.elapsed().as_secs_f64());
        cpus.push(machine::processors().saturating_sub(begun).as_secs_f64());
    }
    let least = walls.iter().copied().fold(f64::INFINITY, f64::min);
    let most = walls.iter().copied().fold(0.0, f64::max);
    Ok(Figure { name, runs: walls.len(), seconds: middle(walls), cpu_s: middle(cpus), spread: most / least })
}

/// As a command runs its questions: on a runtime of its own.
pub(crate) fn block_on<T>(asked: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(asked))
}

fn open(month: &Month) -> Result<(Store, Person), Box<dyn Error>> {
    let store = Store::open(&month.root, Access::Ask, ENVIRONMENT, &System)?;
    let person = Person::of_user(&Phi::new("bench".to_owned()), &store.keys);
    Ok((store, person))
}

/// The history of a study, found by the views, read from the ledger and told.
fn by_views(month: &Month, study: u64) -> Result<(), Box<dyn Error>> {
    let (store, person) = open(month)?;
    let question = Question { study: Some(study_uid(study)), ..Question::default() };
    let paging = Paging { after: None, limit: 1_000 };
    let mut answer = block_on(search::search(&store, &System, person, &question, paging))??;
    if answer.behind > 0 {
        // More entries than one question waits for: the views are built as `views refresh` builds them.
        let views = handlers::views::SqliteViews::open(&store.views_path())?;
        block_on(handlers::consumer::follow(&store.joined()?, &views, u64::MAX))??;
        return by_views(month, study);
    }
    let mut objects = 0;
    // Bounded by the limit of the paging.
    loop {
        let parts = block_on(answer.next(&store))??;
        if parts.is_empty() {
            break;
        }
        for part in parts {
            let Part::Stream(rows) = part else { return Err("a single entry where streams were asked for".into()) };
            let entries: Vec<Entry> = rows.into_iter().map(|row| row.entry).collect();
            objects += u64::from(told(&entries)?);
        }
    }
    if objects == 100 { Ok(()) } else { Err(format!("study {study} shows {objects} objects").into()) }
}

/// The same by the ledger's own tags.
fn by_tags(month: &Month, study: u64) -> Result<(), Box<dyn Error>> {
    let (store, person) = open(month)?;
    let question = ask::Question::Study(study_uid(study));
    let answer = block_on(ask::history(&store, &System, person, &question))??;
    let mut objects = 0;
    for entries in &answer.streams {
        objects += u64::from(told(entries)?);
    }
    if objects == 100 { Ok(()) } else { Err(format!("study {study} has {objects} objects").into()) }
}

/// Tells a stream; whether it is an object's.
fn told(entries: &[Entry]) -> Result<bool, Box<dyn Error>> {
    let history = compliance::history::of_stream(entries).map_err(|error| error.code())?;
    std::hint::black_box(&history);
    Ok(entries.first().is_some_and(|first| first.header.types.iter().any(|name| name == "imaging.object.received.v1")))
}

/// The report of the month: verified, counted, as a page, written, and recorded.
fn reported(month: &Month) -> Result<(), Box<dyn Error>> {
    let (store, person) = open(month)?;
    let scope = Scope::Span { from_ms: BEGIN_MS, to_ms: BEGIN_MS + MONTH_MS };
    let mut report = reporting::gather(&month.root, scope, None)?;
    block_on(reporting::fill_sample(&store, &mut report))?;
    let page = html::render(&report);
    write_durably(&month.root.with_extension("html"), page.as_bytes())?;
    let made = Made {
        format: ReportFormat::Html,
        sha256: Digest(Sha256::digest(&page).into()),
        size_bytes: page.len() as u64,
        as_of_size: report.seal.size,
    };
    block_on(reporting::record(&store, &System, person, &made, (ReportScope::Span, None)))??;
    if !report.integrity.sound || report.entries != month.entries {
        return Err(format!("the report is of {} entries: {:?}", report.entries, report.integrity.findings).into());
    }
    Ok(())
}

fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::write(path, bytes)?;
    fs::File::open(path)?.sync_all()
}

/// What a replay is asked of.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// `--from --to`: what ended otherwise than delivered is judged for another try.
    All,
    /// `--failed`.
    Failed,
    /// `--from --to --step ingestion`: every object again from its source.
    FromIngestion,
}

/// `replay --dry-run`.
fn foretold(month: &Month, asked: Asked) -> Result<(), Box<dyn Error>> {
    let (store, _) = open(month)?;
    let span = Span { from_ms: BEGIN_MS, to_ms: BEGIN_MS + MONTH_MS };
    let failed = matches!(asked, Asked::Failed);
    let request = Request {
        selection: Selection { failed, study: None, span: (!failed).then_some(span) },
        span_said: String::new(),
        from_step: matches!(asked, Asked::FromIngestion).then_some(Step::Ingestion),
        profile_given: false,
        reason: Phi::new("a measurement".to_owned()),
    };
    let pipeline = store::dry_pipeline(&store, Profile::basic()?, Limits::default(), Arc::new(System))?;
    let plan: Plan = block_on(plan(&pipeline, &Bus::default(), store.ledger.as_ref(), &request))??;
    // Of 100 objects one failed, and two were refused, one of them for what it is.
    let objects = month.studies * 100;
    let wanted = match asked {
        Asked::All => (objects / 50, objects - objects / 50),
        Asked::Failed => (objects / 100, 0),
        Asked::FromIngestion => (objects, 0),
    };
    let found = (plan.streams, plan.left.len() as u64);
    if found == wanted { Ok(()) } else { Err(format!("{asked:?}: {found:?} instead of {wanted:?}").into()) }
}
