//! `medimg report`: what the ledger shows an auditor, as a page, as JSON or as a table. That it was made is recorded.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use compliance::report::{Report, Scope, csv, html};
use domain::Phi;
use domain::events::{Digest, ReportFormat, ReportScope};
use domain::ids::IndexHash;
use handlers::acting::Person;
use handlers::ask;
use handlers::reporting::{self, Made};
use handlers::store::{Access, Store};
use handlers::surroundings::{Surroundings as _, System};
use sha2::{Digest as _, Sha256};

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::person;
use crate::times::Times;
use crate::ui::colour::Tone;
use crate::whole;

/// Make a compliance report of a study, a span of time, or the whole log; that you made it is recorded
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The log is verified while it is read. The same log gives the same bytes: --as-of makes an earlier report \
    again, although the record of it made the log grow. A report holds no identifier of a patient."
)]
pub(crate) struct Args {
    /// A page for people, JSON for programs, or a table with one line an event
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
    /// One study: its original or new Study Instance UID, or its short name
    #[arg(long, value_name = "STUDY", conflicts_with_all = ["from", "to"])]
    study: Option<String>,
    #[command(flatten)]
    times: Times,
    /// Of the first SIZE entries of the log only
    #[arg(long, value_name = "SIZE")]
    as_of: Option<u64>,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it is there and differs
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Html,
    Json,
    Csv,
}

impl From<Format> for ReportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Html => Self::Html,
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
        }
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let range = args.times.range(System.now_ms())?;
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let (scope, kind, about) = match &args.study {
        Some(study) => {
            let (scope, about) = block_on(reporting::study(&store, &Phi::new(study.trim().to_owned())))??;
            (scope, ReportScope::Study, about)
        }
        None if args.times.is_empty() => (Scope::All, ReportScope::All, None),
        None => (Scope::Span { from_ms: range.from_ms, to_ms: range.to_ms }, ReportScope::Span, None),
    };
    let mut report = reporting::gather(&context.store, scope.clone(), args.as_of)?;
    block_on(reporting::fill_sample(&store, &mut report))?;
    let made = deliver(args, &store, person, (&scope, kind, about), &report)?;
    tell(&made, &report, context)?;
    match first_bad(&report) {
        None => Ok(Exit::Well),
        Some(first_bad) => Err(Error::Unsound { first_bad }),
    }
}

/// Writes the report beside its name, records it, and only then lets it be seen: never half a file, and never one that the
/// ledger does not know. A log that does not verify gets no further entry; its report is written all the same.
fn deliver(
    args: &Args,
    store: &Store,
    person: Person,
    (scope, kind, about): (&Scope, ReportScope, Option<IndexHash>),
    report: &Report,
) -> Result<Made, Error> {
    let part = whole::part_of(&args.output);
    let done = write(args.format, store, scope, report, &part).and_then(|made| {
        let stands = whole::stands(&args.output, &part).map_err(broken)?;
        if stands == Some(false) && !args.force {
            return Err(Error::ReportExists);
        }
        if report.integrity.sound {
            block_on(reporting::record(store, &System, person, &made, (kind, about)))??;
        }
        // The record is durable from here on. If we stop before the file has its name, the same command makes it again.
        whole::publish(&part, &args.output, stands).map_err(broken)?;
        Ok(made)
    });
    // After a rename there is nothing left to remove; after an error what is left is only a part.
    let _ = fs::remove_file(&part);
    done
}

fn broken(cause: io::Error) -> Error {
    Error::Write { what: "the report", cause }
}

/// Writes the report to a new file and makes it durable.
fn write(format: Format, store: &Store, scope: &Scope, report: &Report, part: &Path) -> Result<Made, Error> {
    let file = whole::create(part, 0o640).map_err(broken)?;
    let mut hashed = Hashed { file: BufWriter::new(file), hash: Sha256::new(), size_bytes: 0 };
    match format {
        Format::Html => hashed.write_all(html::render(report).as_bytes()).map_err(broken)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut hashed, report).map_err(|error| broken(error.into()))?;
            hashed.write_all(b"\n").map_err(broken)?;
        }
        Format::Csv => write_csv(store, scope, report.seal.size, &mut hashed)?,
    }
    hashed.flush().and_then(|()| hashed.file.get_ref().sync_all()).map_err(broken)?;
    let sha256 = Digest(hashed.hash.finalize().into());
    Ok(Made { format: format.into(), sha256, size_bytes: hashed.size_bytes, as_of_size: report.seal.size })
}

/// Writes the entries in scope page by page; none is kept.
fn write_csv(store: &Store, scope: &Scope, size: u64, out: &mut impl Write) -> Result<(), Error> {
    out.write_all(csv::HEADER.as_bytes()).map_err(broken)?;
    let mut from = 0;
    while from < size {
        let page = block_on(ask::page(store, from, size))??;
        let Some(last) = page.last() else { break };
        from = last.leaf_index + 1;
        for row in page.iter().filter(|row| scope.holds(&row.entry.header)) {
            let header = &row.entry.header;
            let lines = csv::lines(row.leaf_index, header, &row.entry.body).map_err(|error| Error::Entry {
                stream: header.stream.to_string(),
                seq: header.seq,
                code: error.code(),
            })?;
            out.write_all(lines.as_bytes()).map_err(broken)?;
        }
    }
    Ok(())
}

/// A file that is hashed as it is written.
struct Hashed {
    file: BufWriter<File>,
    hash: Sha256,
    size_bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where the first thing is that does not hold, in words; none if all holds.
fn first_bad(report: &Report) -> Option<String> {
    if report.integrity.sound {
        return None;
    }
    let index = report.integrity.findings.iter().filter_map(|finding| finding.leaf_index).min();
    Some(index.map_or_else(
        || "no entry, but the head or the file around the entries".to_owned(),
        |index| format!("entry {index}"),
    ))
}

fn tell(made: &Made, report: &Report, context: &mut Context) -> Result<(), Error> {
    let funnel = &report.funnel;
    if context.output.json {
        return context.output.object(&serde_json::json!({
            "format": made.format, "scope": report.scope.kind, "entries": report.entries, "as_of_size": made.as_of_size,
            "root": report.seal.root, "sha256": made.sha256, "size_bytes": made.size_bytes, "sound": report.integrity.sound,
            "recorded": report.integrity.sound, "funnel": funnel,
        }));
    }
    let style = context.output.style;
    let said =
        if report.integrity.sound { "that you made it is recorded" } else { "not recorded: the log does not verify" };
    let seal =
        format!("as of size {}, root {}; {said}", made.as_of_size, report.seal.root.as_deref().unwrap_or("unknown"));
    context.output.line(format!(
        "{} entries in scope: {} objects, {} delivered, {} quarantined, {} failed, {} without an end",
        report.entries, funnel.objects, funnel.delivered, funnel.quarantined, funnel.failed, funnel.open
    ))?;
    context.output.line(format!("{} bytes, sha256 {}", made.size_bytes, made.sha256))?;
    context.output.line(style.paint(Tone::Dim, &seal))
}
