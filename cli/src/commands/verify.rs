//! `medimg verify`: is the ledger what was written, and is its order one that the pipeline can have walked? Reads only.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use handlers::audit::{self, Audit, Outside};
use handlers::objects_audit::{self, Claims};
use ledger::Depth;
use ledger::note::{KeyKind, NOTE_BYTES_MAX, VerifierKey};
use ledger::verify::{Finding, FirstBad};
use serde_json::{Value, json};

use super::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::ui::colour::{Style, Tone};
use crate::ui::{objects, sealed};

/// Largest file of keys.
const KEYS_BYTES_MAX: usize = 1 << 18;

/// Verify the ledger: every byte of every entry, every link, the order of the steps, checkpoints and tiles
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes nothing to the store, and needs no private key and no network: a copied folder is enough, also one that \
    holds only a published log (log/<n>). By itself a store proves that nothing was changed without rewriting all of it; with a \
    checkpoint that was kept elsewhere (--checkpoint) and the key of the log (--vkey), that nobody has rewritten it either."
)]
pub(crate) struct Args {
    /// Read every stored object again, too: is it what its entry says, and is there an entry for all that lies there?
    #[arg(long, conflicts_with_all = ["headers", "log"])]
    objects: bool,
    /// A checkpoint that was kept elsewhere: the log must go on from it; may be given several times
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A key of the log, or a file with one on each line; without one the store's own list is believed
    #[arg(long, value_name = "KEY|FILE")]
    vkey: Vec<String>,
    /// The key of a witness, or a file with one on each line
    #[arg(long, value_name = "KEY|FILE")]
    witness_key: Vec<String>,
    /// How many of these witnesses must have signed each checkpoint; all of them if not given
    #[arg(long, value_name = "N", requires = "witness_key")]
    quorum: Option<usize>,
    /// Verify headers only: links, order and tree, checkpoints and tiles; no bodies, tags or steps
    #[arg(long)]
    headers: bool,
    /// Verify a published log that lies by itself: the folder with its checkpoint and tiles
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    context.config(&[])?;
    let outside = outside(args)?;
    let alone = args.log.clone().or_else(|| published_alone(&context.store));
    if alone.is_some() && args.objects {
        return Err(usage("--objects needs the ledger, and here lies a published log alone".to_owned()));
    }
    let mut claims = None;
    let audit = match &alone {
        Some(folder) => audit::audit_published(folder, &outside)?,
        None => {
            claims = args.objects.then(|| Claims::new(&context.store)).transpose()?;
            audit::audit_against(&context.store, &outside, &mut |index, header, events| {
                if let Some(claims) = &mut claims {
                    claims.entry(index, header, events);
                }
            })?
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let hold = |claims| objects_audit::audit(claims, &context.store, workers, &mut objects::watch(context.quiet));
    let held = claims.map(hold).transpose()?;
    let depth = if outside.headers_only || alone.is_some() { Depth::Headers } else { Depth::Whole };
    if context.output.json {
        let mut found = object(&audit);
        found["depth"] = json!(if depth == Depth::Whole { "whole" } else { "headers" });
        if let Some(held) = &held {
            found["objects"] = objects::object(held);
        }
        context.output.object(&found)?;
    } else {
        let style = context.output.style;
        context.output.text(told(&audit, depth, style))?;
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

/// The store, where it holds a published log and no ledger.
fn published_alone(store: &Path) -> Option<PathBuf> {
    let alone = store.join("checkpoint").is_file() && store.join("tile").is_dir();
    // Where anything else of a store lies its ledger is gone, and that must not look like a copy of what was published.
    let of_a_store = ["ledger.sqlite", "sources.sqlite", "keys", "processed", "staging", "log"];
    let is_store = of_a_store.iter().any(|name| store.join(name).symlink_metadata().is_ok());
    (alone && !is_store).then(|| store.to_owned())
}

/// Reads what the verifier brings along.
fn outside(args: &Args) -> Result<Outside, Error> {
    if args.checkpoint.len() > audit::GIVEN_MAX {
        return Err(usage(format!("more than {} checkpoints are given", audit::GIVEN_MAX)));
    }
    let read = |(number, path): (usize, &PathBuf)| {
        let what = || format!("checkpoint {} that was given cannot be read", number + 1);
        bounded(path, NOTE_BYTES_MAX).ok_or_else(|| usage(what()))
    };
    let checkpoints = args.checkpoint.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let keys = keys(&args.vkey, KeyKind::Ed25519, "--vkey")?;
    let witnesses = keys_of_witnesses(&args.witness_key)?;
    let quorum = args.quorum.unwrap_or(witnesses.len());
    if quorum > witnesses.len() {
        return Err(usage(format!("--quorum {quorum} is more than the {} witness keys given", witnesses.len())));
    }
    Ok(Outside { checkpoints, keys, witnesses, quorum, headers_only: args.headers })
}

fn keys_of_witnesses(given: &[String]) -> Result<Vec<VerifierKey>, Error> {
    let mut witnesses: Vec<VerifierKey> = Vec::new();
    for key in keys(given, KeyKind::Cosignature, "--witness-key")? {
        // One witness counts once, however often and under whatever name it is given.
        if !witnesses.iter().any(|known| known.public() == key.public()) {
            witnesses.push(key);
        }
    }
    Ok(witnesses)
}

/// Keys as they are given: each a key, or a file with a key on each line.
fn keys(given: &[String], kind: KeyKind, flag: &str) -> Result<Vec<VerifierKey>, Error> {
    let mut keys = Vec::new();
    for (number, text) in given.iter().enumerate() {
        let refused = |why: String| usage(format!("{flag}, number {}: {why}", number + 1));
        let text = match VerifierKey::parse(text) {
            Ok(_) => text.clone(),
            Err(cause) => {
                let file = bounded(Path::new(text), KEYS_BYTES_MAX).and_then(|bytes| String::from_utf8(bytes).ok());
                file.ok_or_else(|| refused(format!("{cause}, and it names no file that can be read")))?
            }
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let key = VerifierKey::parse(line).map_err(|cause| refused(cause.to_string()))?;
            if key.kind() != kind {
                return Err(refused(
                    "the key is of another kind: those of a log have type 1, those of witnesses 4".to_owned(),
                ));
            }
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The whole of a file, if it can be read and is no longer.
fn bounded(path: &Path, bytes_max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(bytes_max as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= bytes_max).then_some(bytes)
}

const fn usage(what: String) -> Error {
    Error::Usage { what, near: None }
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
pub(super) fn told(audit: &Audit, depth: Depth, style: Style) -> String {
    let report = &audit.ledger;
    let size = format!("{} entries in {} streams", report.entries, report.streams);
    let root = report.root.map(|root| root.base64());
    if audit.is_sound() {
        let mark = style.paint(Tone::Good, "✓ the ledger is sound:");
        let what = match depth {
            Depth::Whole => "every hash, link, tag and the order of the steps",
            Depth::Headers => "every header, link and place in the tree; bodies were not read",
        };
        let root = root.unwrap_or_default();
        let mut text = format!("{mark} {size}, {what}\n  root {root} as of size {}\n", report.entries);
        for (log, report) in &audit.past {
            let root = report.root.map(|root| root.base64()).unwrap_or_default();
            text.push_str(&format!("  before a recovery: {log}, {} entries, root {root}\n", report.entries));
        }
        text.push_str(&sealed::told(audit));
        return text;
    }
    let mut text = format!("{} {size}\n", style.paint(Tone::Bad, "✗ the ledger is not what was written:"));
    let logs = audit.past.iter().map(|(log, report)| (format!("{log}: "), report)).chain([(String::new(), report)]);
    for (at, (log, report)) in logs.enumerate() {
        for (finding, about) in sealed::about(audit, at, &report.findings) {
            let about = about.map(|what| format!(", {what}")).unwrap_or_default();
            text.push_str(&format!("  {log}{finding}{about}  {}\n", finding.code.meaning()));
        }
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
            "first bad: {first_bad}; proved by the head, and as they were written: the headers below {}\n",
            report.proved_below
        ));
    }
    text.push_str(&sealed::told(audit));
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
    let findings_of = |at: usize, report: &ledger::verify::Report| -> Vec<Value> {
        let finding = |(finding, about): (&Finding, Option<&str>)| {
            json!({ "code": finding.code.code(), "leafindex": finding.leaf_index, "at_or_after": finding.at_or_after,
                "meaning": finding.code.meaning(), "about": about })
        };
        sealed::about(audit, at, &report.findings).into_iter().map(finding).collect()
    };
    let findings: Vec<Value> = findings_of(audit.past.len(), report)
        .into_iter()
        .chain(audit.misstep.iter().map(|misstep| {
            json!({ "code": "step_order", "leafindex": misstep.leaf_index, "at_or_after": false, "meaning": misstep.why,
                "stream": misstep.stream, "seq": misstep.seq })
        }))
        .collect();
    let past: Vec<Value> = audit
        .past
        .iter()
        .enumerate()
        .map(|(at, (log, report))| {
            json!({ "log": log, "sound": report.is_sound(), "entries": report.entries,
                "root": report.root.map(|root| root.base64()), "findings_count": report.findings_count,
                "findings": findings_of(at, report) })
        })
        .collect();
    json!({
        "sound": audit.is_sound(),
        "entries": report.entries,
        "streams": report.streams,
        "root": report.root.map(|root| root.base64()),
        "past": past,
        "sealed": sealed::objects(audit),
        "proved_below": report.proved_below,
        "first_bad": index,
        "first_bad_at_or_after": at_or_after,
        "findings_count": report.findings_count
            + u64::from(audit.misstep.is_some())
            + audit.past.iter().map(|(_, report)| report.findings_count).sum::<u64>(),
        "findings": findings,
    })
}
