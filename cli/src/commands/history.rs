//! `medimg history`: what the ledger says about a study, a patient, an object, or everything. Reading is recorded too.

use compliance::history::{self, History};
use handlers::acting::Person;
use handlers::search::{self, Answer, Paging, Part};
use handlers::store::{Access, Store};
use handlers::surroundings::{Surroundings as _, System};
use ledger::{Entry, LogEntry};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::person;
use crate::ui::colour::{Style, Tone};
use crate::ui::sealing;
use crate::ui::timeline;

mod select;

/// Show what happened to a study, a patient's objects, or everything; that you asked is recorded
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Whole streams are shown for a study, a patient, an accession number, an outcome or a reason; single \
    entries once --actor, --type, --from or --to choose among them. Names and numbers of persons are hashed before they \
    are looked up, and stand in no log."
)]
pub(crate) struct Args {
    #[command(flatten)]
    which: select::Which,
    /// Show at most so many entries; a stream that was begun is shown whole
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// Go on behind this leaf index, as the page before said
    #[arg(long, value_name = "LEAF")]
    after: Option<u64>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let question = args.which.question(System.now_ms())?;
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let paging = Paging { after: args.after, limit: args.limit };
    let mut answer = block_on(search::search(&store, &System, person, &question, paging))??;
    // Each turn takes from what is shown, which `--limit` bounds.
    while !context.output.closed() {
        let parts = block_on(answer.next(&store))??;
        if parts.is_empty() {
            break;
        }
        parts.iter().try_for_each(|part| tell(part, &store, context))?;
    }
    end(&answer, args, context)?;
    Ok(Exit::Well)
}

/// The last line: of what size the answer is, what it lacks, and how to go on.
#[derive(Serialize)]
struct End {
    as_of_size: u64,
    behind: u64,
    shown: u64,
    more: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<u64>,
}

fn end(answer: &Answer, args: &Args, context: &mut Context) -> Result<(), Error> {
    let Answer { as_of_size, behind, shown, more, next_after, of_streams, .. } = *answer;
    if context.output.json {
        return context.output.object(&End { as_of_size, behind, shown, more, next_after });
    }
    let style = context.output.style;
    let mut lines = Vec::new();
    if let Some(after) = next_after {
        let what = match (of_streams, more) {
            (true, 1) => "stream",
            (true, _) => "streams",
            (false, 1) => "entry",
            (false, _) => "entries",
        };
        let limit = if args.limit == 1_000 { String::new() } else { format!(" --limit {}", args.limit) };
        let again = args.which.again();
        lines.push(format!("… {more} more {what}, next: {} history {again}{limit} --after {after}", context.program));
    }
    if behind > 0 {
        lines.push(format!("the ledger holds {behind} entries more; run {} views refresh", context.program));
    }
    lines.push(format!("as of size {as_of_size}; that you asked is recorded"));
    lines.iter().try_for_each(|line| context.output.line(style.paint(Tone::Dim, line)))
}

fn tell(part: &Part, store: &Store, context: &mut Context) -> Result<(), Error> {
    let (style, joined) = (context.output.style, store.joined()?);
    let sealing = |row: &LogEntry| {
        joined.sealing(row.leaf_index).map_err(|error| handlers::commit::ledger_error("read the checkpoints", error))
    };
    let json = |row: &LogEntry, context: &mut Context| {
        let checkpoint = sealing(row)?.map(|sealing| sealing.size);
        context.output.object(&Line { checkpoint: Some(checkpoint), ..line(Some(row.leaf_index), &row.entry)? })
    };
    match part {
        Part::Stream(rows) if context.output.json => rows.iter().try_for_each(|row| json(row, context)),
        Part::Entry(row) if context.output.json => json(row, context),
        Part::Stream(rows) => {
            let entries: Vec<Entry> = rows.iter().map(|row| row.entry.clone()).collect();
            let numbered = |row: &LogEntry| Ok((row.entry.header.seq, sealing(row)?));
            let sealed: Vec<_> = rows.iter().map(numbered).collect::<Result<_, handlers::Error>>()?;
            context.output.text(told(&read(&entries)?, &sealing::line(&sealed, style), style))
        }
        Part::Entry(row) => context.output.line(one_line(row, &sealing::short(sealing(row)?), style)?),
    }
}

pub(super) fn read(stream: &[Entry]) -> Result<History, Error> {
    history::of_stream(stream).map_err(|error| {
        let last = stream.last().map(|entry| &entry.header);
        let stream = last.map(|header| header.stream.to_string()).unwrap_or_default();
        Error::Entry { stream, seq: last.map_or(0, |header| header.seq), code: error.code() }
    })
}

/// Returns the history of one stream for people: facts, then the timeline, then what seals it.
pub(super) fn told(history: &History, sealed: &str, style: Style) -> String {
    let mut facts = vec![style.paint(Tone::Strong, &history.stream), history.standing.told()];
    facts.extend(history.modality.map(str::to_owned));
    facts.extend(history.sop_class.as_deref().map(|uid| format!("SOP Class {uid}")));
    let mut text = format!("{}\n", facts.join("  "));
    if let Some(subject) = &history.subject {
        text.push_str(&style.paint(Tone::Dim, &format!("study {subject}")));
        text.push('\n');
    }
    if let Some(key) = &history.key {
        text.push_str(&style.paint(Tone::Dim, &format!("output {key}")));
        text.push('\n');
    }
    text.push_str(&timeline::render(&history.moments, style));
    text.push_str(sealed);
    text.push('\n');
    text
}

/// Tells one entry of any stream, for whoever reads along.
pub(super) fn tell_entry(entry: &Entry, context: &mut Context) -> Result<(), Error> {
    if context.output.json {
        return context.output.object(&line(None, entry)?);
    }
    let history = read(std::slice::from_ref(entry))?;
    let Some(moment) = history.moments.first() else { return Ok(()) };
    let (tone, sign) = timeline::sign(moment.outcome);
    let style = context.output.style;
    let about = style.paint(Tone::Dim, &format!("{}  {}/{}", moment.recorded_at, entry.header.stream, moment.seq));
    let told = style.paint(tone, &format!("{sign} {}", moment.told));
    context.output.line(format!("{about}  {:<16}  {told}", moment.step))
}

fn one_line(row: &LogEntry, sealed: &str, style: Style) -> Result<String, Error> {
    let history = read(std::slice::from_ref(&row.entry))?;
    let Some(moment) = history.moments.first() else { return Ok(String::new()) };
    let about = format!("{:>6}  {}  {}/{}", row.leaf_index, moment.recorded_at, history.stream, moment.seq);
    let sealed = style.paint(Tone::Dim, sealed);
    Ok(format!("{}  {:<16}  {}  {sealed}", style.paint(Tone::Dim, &about), moment.step, moment.told))
}

/// An entry as one line of JSON, as `cli/schemas/history.v1.json` says. The events are the stored text, not written anew.
#[derive(Serialize)]
struct Line<'a> {
    /// None where entries are told as they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_index: Option<u64>,
    stream: String,
    seq: u64,
    recorded_at: String,
    types: Vec<&'a str>,
    actor: String,
    subject: Option<String>,
    decision_id: String,
    leaf: String,
    /// The size of the smallest checkpoint over it, null while there is none; none where entries are told as they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Option<u64>>,
    events: &'a RawValue,
}

fn line(leaf_index: Option<u64>, entry: &Entry) -> Result<Line<'_>, Error> {
    let header = &entry.header;
    let stream = header.stream.to_string();
    // A body was read as JSON before it was appended, and hashes to what its header names.
    let events: &RawValue = serde_json::from_str(&entry.body).map_err(|_| Error::Entry {
        stream: stream.clone(),
        seq: header.seq,
        code: "event_json",
    })?;
    Ok(Line {
        leaf_index,
        stream,
        seq: header.seq,
        recorded_at: header.recorded_at.to_string(),
        types: header.types.iter().collect(),
        actor: header.actor.to_string(),
        subject: header.subject.map(|subject| subject.to_string()),
        decision_id: header.decision_id.to_string(),
        leaf: entry.leaf.base64(),
        checkpoint: None,
        events,
    })
}
