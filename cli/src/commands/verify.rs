//! `medimg verify`: is the ledger what was written, and is its order one that the pipeline can have walked? Reads only.

use handlers::audit::{self, Audit};
use handlers::objects_audit::{self, Claims};
use ledger::verify::FirstBad;
use serde_json::{Value, json};

use super::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::ui::colour::{Style, Tone};
use crate::ui::objects;

/// Verify the ledger: every byte of every entry, every link, and the order of the steps
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes nothing, and needs no key. What it finds is change, insertion, deletion and reordering below \
    the head that the store holds; a store that was rewritten as a whole is found by comparing with an export kept elsewhere."
)]
pub(crate) struct Args {
    /// Read every stored object again, too: is it what its entry says, and is there an entry for all that lies there?
    #[arg(long)]
    objects: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    context.config(&[])?;
    let mut claims = args.objects.then(|| Claims::new(&context.store)).transpose()?;
    let audit = audit::audit_with(&context.store, &mut |index, header, events| {
        if let Some(claims) = &mut claims {
            claims.entry(index, header, events);
        }
    })?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let hold = |claims| objects_audit::audit(claims, &context.store, workers, &mut objects::watch(context.quiet));
    let held = claims.map(hold).transpose()?;
    if context.output.json {
        let mut found = object(&audit);
        if let Some(held) = &held {
            found["objects"] = objects::object(held);
        }
        context.output.object(&found)?;
    } else {
        let style = context.output.style;
        context.output.text(told(&audit, style))?;
        if let Some(held) = &held {
            context.output.text(objects::told(held, style))?;
        }
    }
    match (first_bad(&audit), held.as_ref().and_then(objects::first_bad)) {
        (None, None) => Ok(Exit::Well),
        (Some(first_bad), _) => Err(Error::Unsound { first_bad }),
        (None, Some(first_bad)) => Err(Error::ObjectsUnsound { first_bad }),
    }
}

/// Where the first thing is that does not hold, in words; none if all holds.
fn first_bad(audit: &Audit) -> Option<String> {
    let told = |bad| match bad {
        FirstBad::At(index) => format!("entry {index}"),
        FirstBad::AtOrAfter(index) => format!("entry {index} or a later one"),
        FirstBad::NoEntry => "no entry, but the head or the file around the entries".to_owned(),
    };
    let of = |log: &str, what: String| format!("{what} of {log}");
    let past = audit.past.iter().find_map(|(log, report)| report.first_bad.map(|bad| of(log, told(bad))));
    past.or_else(|| audit.ledger.first_bad.map(told)).or_else(|| {
        let misstep = audit.misstep.as_ref()?;
        let what = format!("entry {}", misstep.leaf_index);
        Some(misstep.log.as_ref().map_or(what.clone(), |log| of(log, what)))
    })
}

/// Returns what was found, for people.
pub(super) fn told(audit: &Audit, style: Style) -> String {
    let report = &audit.ledger;
    let size = format!("{} entries in {} streams", report.entries, report.streams);
    let root = report.root.map(|root| root.base64());
    if audit.is_sound() {
        let mark = style.paint(Tone::Good, "✓ the ledger is sound:");
        let mut text = format!(
            "{mark} {size}, every hash, link, tag and the order of the steps\n  root {} as of size {}\n",
            root.unwrap_or_default(),
            report.entries
        );
        for (log, report) in &audit.past {
            let root = report.root.map(|root| root.base64()).unwrap_or_default();
            text.push_str(&format!("  before a recovery: {log}, {} entries, root {root}\n", report.entries));
        }
        return text;
    }
    let mut text = format!("{} {size}\n", style.paint(Tone::Bad, "✗ the ledger is not what was written:"));
    for (log, finding) in audit.past.iter().flat_map(|(log, report)| report.findings.iter().map(move |f| (log, f))) {
        text.push_str(&format!("  {log}: {finding}  {}\n", finding.code.meaning()));
    }
    for finding in &report.findings {
        text.push_str(&format!("  {finding}  {}\n", finding.code.meaning()));
    }
    if report.findings_count > report.findings.len() as u64 {
        text.push_str(&format!("  and {} more findings\n", report.findings_count - report.findings.len() as u64));
    }
    if let Some(misstep) = &audit.misstep {
        text.push_str(&format!(
            "  step_order at {}  entry {} of stream {} cannot stand there: {}\n",
            misstep.leaf_index, misstep.seq, misstep.stream, misstep.why
        ));
    }
    if let Some(first_bad) = first_bad(audit) {
        text.push_str(&format!(
            "first bad: {first_bad}; proved as it was written: the entries below {}\n",
            report.proved_below
        ));
    }
    text
}

/// Returns what was found, for a program.
fn object(audit: &Audit) -> Value {
    let report = &audit.ledger;
    let (index, at_or_after) = match report.first_bad {
        Some(FirstBad::At(index)) => (Some(index), false),
        Some(FirstBad::AtOrAfter(index)) => (Some(index), true),
        Some(FirstBad::NoEntry) => (None, false),
        None => (audit.misstep.as_ref().map(|misstep| misstep.leaf_index), false),
    };
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({ "code": finding.code.code(), "leafindex": finding.leaf_index, "at_or_after": finding.at_or_after,
                "meaning": finding.code.meaning() })
        })
        .chain(audit.misstep.iter().map(|misstep| {
            json!({ "code": "step_order", "leafindex": misstep.leaf_index, "at_or_after": false, "meaning": misstep.why,
                "stream": misstep.stream, "seq": misstep.seq })
        }))
        .collect();
    let past: Vec<Value> = audit
        .past
        .iter()
        .map(|(log, report)| {
            json!({ "log": log, "sound": report.is_sound(), "entries": report.entries,
                "root": report.root.map(|root| root.base64()), "findings_count": report.findings_count })
        })
        .collect();
    json!({
        "sound": audit.is_sound(),
        "entries": report.entries,
        "streams": report.streams,
        "root": report.root.map(|root| root.base64()),
        "past": past,
        "proved_below": report.proved_below,
        "first_bad": index,
        "first_bad_at_or_after": at_or_after,
        "findings_count": report.findings_count
            + u64::from(audit.misstep.is_some())
            + audit.past.iter().map(|(_, report)| report.findings_count).sum::<u64>(),
        "findings": findings,
    })
}
