//! `medimg bus put FILE`: puts events on the bus by hand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use domain::events::{self, Event, EventData};
use domain::ids::StreamId;
use domain::workflow::rules::{Action, RULES};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Context, settle};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::run::{Run, Task};
use crate::ui::ending::{Endings, ReportLine, SummaryLine};

/// More bytes of events than this are several calls.
const BYTES_MAX: u64 = 1 << 30;

/// Put events on the bus by hand
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Put events: what they set off runs, also where its rule is switched off; twice changes nothing
    Put {
        /// One event, an array of events, or the lines of `history --json`; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let Verb::Put { file } = &args.verb;
    let config = context.config(&[])?;
    let read = parse(&read(file)?)?;
    let total = read.len();
    let starts = starts(read);
    let run = Run::open(&context.store, &config, true)?;
    let json = context.output.json;
    let mut endings = Endings::new(Vec::new());
    let streams = starts.len();
    let done = run.go(Task::Put(starts), context.quiet, false, |report| {
        if json {
            context.output.object(&ReportLine::of(&report))
        } else {
            endings.add(&report);
            Ok(())
        }
    })?;
    if json {
        context.output.object(&SummaryLine::of(&done.summary, None))?;
    } else {
        let style = context.output.style;
        context.output.text(endings.told(&done.summary, style))?;
    }
    if !context.quiet {
        note(&format!("{total} events were read; those of {streams} streams set off a rule\n"));
    }
    settle(done.summary, 0, &[])
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |cause| Error::Read { what: "the file of events", cause };
    let mut bytes = Vec::new();
    let mut source: Box<dyn Read> =
        if path == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    source.by_ref().take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

/// A line of `history --json`; other fields are not ours to judge.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    as_of_size: Option<u64>,
}

/// Returns the events of the text: JSON values one after the other, each an event, an array of events, or a line of
/// `history --json`.
fn parse(text: &[u8]) -> Result<Vec<Event>, Error> {
    let line_at = |offset: usize| text[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
    let mut found = Vec::new();
    loop {
        let offset = values.byte_offset();
        // What stands before a value is white space.
        let blank = text[offset..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let wrong = |code| Error::Events { line: line_at(offset + blank), code };
        match values.next() {
            None if found.is_empty() => return Err(wrong("event_size")),
            None => return Ok(found),
            Some(value) => take(value.map_err(|_| wrong("event_json"))?, &mut found).map_err(wrong)?,
        }
    }
}

fn take(value: &RawValue, found: &mut Vec<Event>) -> Result<(), &'static str> {
    if value.get().starts_with('[') {
        let events: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|_| "event_json")?;
        return events.into_iter().try_for_each(|event| one(event, found));
    }
    match serde_json::from_str::<Line<'_>>(value.get()) {
        Ok(Line { events: Some(events), .. }) => take(events, found),
        Ok(Line { as_of_size: Some(_), .. }) => Ok(()),
        _ => one(value, found),
    }
}

fn one(value: &RawValue, found: &mut Vec<Event>) -> Result<(), &'static str> {
    let read = events::read_detail(value.get().as_bytes()).map_err(|error| error.code())?;
    found.push(read.event);
    Ok(())
}

/// Returns one event for each stream that any of its events starts or resumes: the last such one. Streams come in the order
/// of their first event, so that objects are delivered in the order of receipt.
fn starts(events: Vec<Event>) -> Vec<(StreamId, EventData)> {
    let starts = |data: &EventData| {
        RULES.iter().any(|rule| rule.matches(data) && matches!(rule.action, Action::Start { .. } | Action::Resume))
    };
    let mut places: BTreeMap<StreamId, usize> = BTreeMap::new();
    let mut found: Vec<(StreamId, EventData)> = Vec::new();
    for event in events.into_iter().filter(|event| starts(&event.data)) {
        match places.get(&event.subject) {
            Some(at) => found[*at].1 = event.data,
            None => {
                places.insert(event.subject, found.len());
                found.push((event.subject, event.data));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use domain::events::{Decision, Digest, Intake, ObjectReceived, Time};
    use domain::ids::KeyedHash;

    use super::*;

    fn received(stream: u8) -> String {
        let decision = Decision {
            id: uuid::Uuid::from_u128(1),
            stream: StreamId(KeyedHash([stream; 16])),
            time: Time::from_unix_ms(0),
            correlation_id: None,
            causation_id: None,
        };
        let said =
            ObjectReceived { sha256: Digest([1; 32]), size_bytes: 1, intake: Intake::Process, raw_copied: false };
        let body = events::body(&Event::of(&decision, vec![said.into()]));
        String::from_utf8(body).expect("JSON")
    }

    #[test]
    fn an_event_an_array_and_lines_of_the_history_are_read() {
        let array = received(1);
        let event = array.trim_start_matches('[').trim_end_matches(']');
        let lines = format!(
            "{{\"seq\":0,\"events\":{array}}}\n{{\"seq\":1,\"events\":{}}}\n{{\"as_of_size\":2}}\n",
            received(2)
        );
        for (text, count) in [(event, 1), (&array, 1), (&format!("{event}\n\n{event}\n"), 2), (&lines, 2)] {
            assert_eq!(parse(text.as_bytes()).expect(text).len(), count, "{text}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_line() {
        for (text, line) in
            [("", 1), ("{}", 1), ("\n\n[{}]", 3), ("{\"as_of_size\":1}\n!", 2), ("{\"as_of_size\":1}", 1)]
        {
            match parse(text.as_bytes()) {
                Err(Error::Events { line: found, .. }) => assert_eq!(found, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn each_stream_is_put_once() {
        let text = format!("{}{}{}", received(2), received(1), received(2));
        let streams: Vec<_> =
            starts(parse(text.as_bytes()).expect("events")).into_iter().map(|(s, _)| s.0.0[0]).collect();
        assert_eq!(streams, [2, 1]);
    }
}
