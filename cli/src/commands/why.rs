//! `medimg why STUDY|STREAM`: what ended the objects, in words, and what a person may do. It is a read of the history, and
//! recorded as one.

use compliance::why::{self, Cause, Object, Why};
use domain::Phi;
use domain::ids::StreamId;
use handlers::acting::Person;
use handlers::ask::{self, Question};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use serde_json::json;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::person;
use crate::remedy::{self, Remedy};
use crate::ui::attribute::place_told;
use crate::ui::colour::{Style, Tone};

/// Objects that are named under one cause; the others are counted.
const NAMED_MAX: usize = 12;

/// Say why the objects of a study ended as they did, and what to do next
#[derive(Debug, clap::Args)]
#[command(after_help = "That you asked is recorded, as for history. Exit 1 if an object did not end delivered.")]
pub(crate) struct Args {
    /// A study (its original or new UID, or its short name), or one object by its stream (32 hex digits)
    #[arg(value_name = "STUDY|STREAM")]
    about: String,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let question = question(&args.about);
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let answer = block_on(ask::history(&store, &System, person, &question))??;
    let found = why::of_streams(&answer.streams).map_err(|why::Unreadable { stream, seq, code }| Error::Entry {
        stream,
        seq,
        code,
    })?;
    if found.objects() == 0 {
        return Err(Error::Stopped {
            code: "stream_unknown",
            tried: "look up why an object ended".to_owned(),
            cause: None,
        });
    }
    if context.output.json {
        json_lines(&found, answer.as_of_size, context)?;
    } else {
        let command = |words: &str| context.command(words);
        let text = told(&found, command, context.output.style);
        context.output.text(text)?;
        let style = context.output.style;
        let size = answer.as_of_size;
        context.output.line(style.paint(Tone::Dim, &format!("as of size {size}; that you asked is recorded")))?;
    }
    Ok(if found.causes.is_empty() { Exit::Well } else { Exit::SomeFailed })
}

/// A stream is 32 hex digits; a short name has six characters, and no UID is made of digits alone in this length.
pub(super) fn question(text: &str) -> Question {
    let text = text.trim();
    match StreamId::parse(text) {
        Some(stream) => Question::Object(stream),
        None => Question::Study(Phi::new(text.to_owned())),
    }
}

/// What is told of a cause: heading, why, and what to do.
struct Words {
    outcome: &'static str,
    code: String,
    step: String,
    why: String,
    remedy: Remedy,
}

fn words(cause: &Cause) -> Words {
    match cause {
        Cause::Failed { code, step, kind } => Words {
            outcome: "failed",
            code: code.clone(),
            step: step.to_string(),
            why: format!("work on it was given up: {code}, a {} failure", kind.word()),
            remedy: remedy::of_failure(code),
        },
        Cause::Quarantined { reason, step, detail } => Words {
            outcome: "quarantined",
            code: reason.code().to_owned(),
            step: step.to_string(),
            why: format!("{} Here: {detail}", reason.condition()),
            remedy: remedy::of_reason(*reason),
        },
        Cause::Open { after } => Words {
            outcome: "open",
            code: "no_end_yet".to_owned(),
            step: after.strip_prefix("system:").unwrap_or(after).to_owned(),
            why: "it has no end yet: a run was stopped, or works on it now".to_owned(),
            remedy: Remedy {
                told: "run process on any path: what is open is taken up first",
                command: remedy::Command::Process,
            },
        },
    }
}

fn told(found: &Why, command: impl Fn(&str) -> String, style: Style) -> String {
    let mut text = String::new();
    for (cause, objects) in &found.causes {
        let words = words(cause);
        let tone = if matches!(cause, Cause::Failed { .. }) { Tone::Bad } else { Tone::Warn };
        let at = if matches!(cause, Cause::Open { .. }) { "after" } else { "in" };
        let heading = format!("{} {}: {}", objects.len(), words.outcome, words.code);
        text.push_str(&format!("{} {at} {}\n", style.paint(tone, &heading), words.step));
        text.push_str(&format!("  why    {}\n", words.why));
        for (number, object) in objects.iter().take(NAMED_MAX).enumerate() {
            let label = if number == 0 { "where" } else { "" };
            text.push_str(&format!("  {label:<5}  {}\n", object_told(object, style)));
        }
        if objects.len() > NAMED_MAX {
            text.push_str(&format!("         … and {} more; --json names all\n", objects.len() - NAMED_MAX));
        }
        text.push_str(&format!("  do     {}\n", words.remedy.told));
        let stream = objects.first().map(|object| object.stream.as_str()).unwrap_or_default();
        text.push_str(&format!(
            "  next   {}\n",
            style.paint(Tone::Strong, &command(&words.remedy.command.words(stream)))
        ));
    }
    let all = found.objects();
    match (found.causes.is_empty(), all) {
        (true, 1) => text.push_str(&style.paint(Tone::Good, "delivered: nothing went wrong")),
        (true, _) => {
            text.push_str(&style.paint(Tone::Good, &format!("all {all} objects are delivered: nothing went wrong")))
        }
        (false, _) => text.push_str(&format!("{} of {all} objects are delivered", found.delivered)),
    }
    text.push('\n');
    text
}

fn object_told(object: &Object, style: Style) -> String {
    let at = object.at.as_deref().map(|at| format!("  at {}", place_told(at))).unwrap_or_default();
    let tried = object.attempts.map(|attempts| format!("  tried {attempts} times")).unwrap_or_default();
    let entry = style.paint(Tone::Dim, &format!("entry {}, {}", object.seq, object.recorded_at));
    format!("{}{at}{tried}  {entry}", object.stream)
}

fn json_lines(found: &Why, as_of_size: u64, context: &mut Context) -> Result<(), Error> {
    for (cause, objects) in &found.causes {
        let words = words(cause);
        for object in objects {
            context.output.object(&json!({
                "stream": object.stream,
                "outcome": words.outcome,
                "code": words.code,
                "step": words.step,
                "why": words.why,
                "at": object.at,
                "attempts": object.attempts,
                "seq": object.seq,
                "recorded_at": object.recorded_at,
                "do": words.remedy.told,
                "next": format!("medimg {}", words.remedy.command.words(&object.stream)),
            }))?;
        }
    }
    context.output.object(&json!({ "why": {
        "objects": found.objects(), "delivered": found.delivered, "as_of_size": as_of_size,
    }}))
}
