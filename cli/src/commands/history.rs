//! `medimg history`: what the ledger says about a study, an object, or everything. Reading is recorded too.

use compliance::history::{self, History};
use domain::Phi;
use domain::ids::StreamId;
use handlers::acting::Person;
use handlers::ask::{self, Question};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use ledger::{Entry, LogEntry};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::person;
use crate::ui::colour::{Style, Tone};
use crate::ui::timeline;

/// Show what happened to a study or an object; that you asked is recorded
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("about").required(true)))]
pub(crate) struct Args {
    /// A study: its original or new Study Instance UID, or the short name that process printed
    #[arg(group = "about", value_name = "STUDY")]
    study: Option<String>,
    /// One object, by its stream (32 hex digits)
    #[arg(long, group = "about", value_name = "STREAM")]
    object: Option<String>,
    /// The whole log, in its order
    #[arg(long, group = "about")]
    all: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let question = match (&args.study, &args.object) {
        (Some(study), _) => Some(Question::Study(Phi::new(study.trim().to_owned()))),
        (None, Some(stream)) => Some(Question::Object(StreamId::parse(stream).ok_or(Error::StreamForm)?)),
        (None, None) => None,
    };
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let as_of_size = match question {
        Some(question) => {
            let answer = block_on(ask::history(&store, &System, person, &question))??;
            for stream in &answer.streams {
                tell(stream, context)?;
            }
            answer.as_of_size
        }
        None => tell_all(&store, person, context)?,
    };
    if context.output.json {
        context.output.object(&serde_json::json!({ "as_of_size": as_of_size }))?;
    } else {
        let style = context.output.style;
        context.output.line(style.paint(Tone::Dim, &format!("as of size {as_of_size}; that you asked is recorded")))?;
    }
    Ok(Exit::Well)
}

/// Tells the whole log page by page; that it was read is recorded before the first entry is shown.
fn tell_all(store: &Store, person: Person, context: &mut Context) -> Result<u64, Error> {
    let size = block_on(ask::head_size(store))??;
    block_on(ask::record_reading_all(store, &System, person, size))??;
    // What a log held that ended before a recovery comes first; a recovery is the first entry of the next.
    for number in 0..store.ledger.past_count() {
        tell_pages(context, |from| Ok(ask::past_page(store, number, from)?))?;
    }
    tell_pages(context, |from| Ok(block_on(ask::page(store, from, size))??))?;
    Ok(size)
}

fn tell_pages(context: &mut Context, page: impl Fn(u64) -> Result<Vec<LogEntry>, Error>) -> Result<(), Error> {
    let mut from = 0;
    while !context.output.closed() {
        let page = page(from)?;
        let Some(last) = page.last() else { break };
        from = last.leaf_index + 1;
        for row in &page {
            if context.output.json {
                tell(std::slice::from_ref(&row.entry), context)?;
            } else {
                let line = one_line(row.leaf_index, &row.entry, context.output.style)?;
                context.output.line(line)?;
            }
        }
    }
    Ok(())
}

fn tell(stream: &[Entry], context: &mut Context) -> Result<(), Error> {
    if context.output.json {
        return stream.iter().try_for_each(|entry| context.output.object(&line(entry)?));
    }
    let text = told(&read(stream)?, context.output.style);
    context.output.text(text)
}

pub(super) fn read(stream: &[Entry]) -> Result<History, Error> {
    history::of_stream(stream).map_err(|error| {
        let last = stream.last().map(|entry| &entry.header);
        let stream = last.map(|header| header.stream.to_string()).unwrap_or_default();
        Error::Entry { stream, seq: last.map_or(0, |header| header.seq), code: error.code() }
    })
}

/// Returns the history of one stream for people: facts, then the timeline.
pub(super) fn told(history: &History, style: Style) -> String {
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
    text.push('\n');
    text
}

fn one_line(leaf_index: u64, entry: &Entry, style: Style) -> Result<String, Error> {
    let history = read(std::slice::from_ref(entry))?;
    let Some(moment) = history.moments.first() else { return Ok(String::new()) };
    let about = format!("{leaf_index:>6}  {}  {}/{}", moment.recorded_at, history.stream, moment.seq);
    Ok(format!("{}  {:<16}  {}", style.paint(Tone::Dim, &about), moment.step, moment.told))
}

/// An entry as one line of JSON. The events are the stored text, not written anew.
#[derive(Serialize)]
struct Line<'a> {
    stream: String,
    seq: u64,
    recorded_at: String,
    types: Vec<&'a str>,
    actor: String,
    subject: Option<String>,
    decision_id: String,
    leaf: String,
    events: &'a RawValue,
}

fn line(entry: &Entry) -> Result<Line<'_>, Error> {
    let header = &entry.header;
    let stream = header.stream.to_string();
    // A body was read as JSON before it was appended, and hashes to what its header names.
    let events: &RawValue = serde_json::from_str(&entry.body).map_err(|_| Error::Entry {
        stream: stream.clone(),
        seq: header.seq,
        code: "event_json",
    })?;
    Ok(Line {
        stream,
        seq: header.seq,
        recorded_at: header.recorded_at.to_string(),
        types: header.types.iter().collect(),
        actor: header.actor.to_string(),
        subject: header.subject.map(|subject| subject.to_string()),
        decision_id: header.decision_id.to_string(),
        leaf: entry.leaf.base64(),
        events,
    })
}
