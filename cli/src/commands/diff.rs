//! `medimg diff RAW OUT`: every change between an object as received and as delivered, with the receipt's action and rule.

use std::path::{Path, PathBuf};

use compliance::receipt::Rule;
use domain::dicom::charset::Charset;
use domain::dicom::scan::is_text;
use domain::dicom::skeleton::Skeleton;
use domain::dicom::{Tag, VR};
use handlers::acting::Person;
use handlers::compare::{self, Comparison, Judged, Kind, Pixels, Record, Shape, Side, Why};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use serde_json::{Value, json};

use super::{Context, block_on};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::person;
use crate::run::limits;
use crate::ui::attribute::keyword;
use crate::ui::colour::{Style, Tone};
use crate::ui::item::printable;
use crate::ui::table::{Cell, Table};

/// Longer values are shown up to here.
const VALUE_CHARACTERS_MAX: usize = 48;

/// Compare an object as received with what was delivered, change by change
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a store the changes are shown and not judged. With one, each change is held against the receipt \
    that the ledger has for OUT; a change without a line, a line without its change, or no receipt at all is exit 1.\n\
    Places, VRs and lengths are shown, never values. --show-values shows them, on a terminal only; where there \
    is a store, that is recorded before."
)]
pub(crate) struct Args {
    /// The object as received
    #[arg(value_name = "RAW")]
    raw: PathBuf,
    /// The object as delivered
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Show values: they may name a patient. For a terminal only; recorded in the store as an access
    #[arg(long)]
    show_values: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    if args.show_values && !context.output.terminal {
        return Err(Error::ValuesNeedTerminal);
    }
    let config = context.config(&[])?;
    let raw = read(&args.raw, "RAW", &config)?;
    let out = read(&args.out, "OUT", &config)?;
    let store = store(context, &config)?;
    let record = match &store {
        Some(store) => block_on(compare::about(store, &raw, &out))??,
        None => None,
    };
    if args.show_values
        && let Some(store) = &store
    {
        let person = Person::of_user(&person::name(), &store.keys);
        block_on(compare::record_access(store, &System, person, record.as_ref()))??;
    }
    let comparison = compare::compare(&raw, &out, record.as_ref());
    let told =
        Told { raw: &raw, out: &out, record: record.as_ref(), comparison: &comparison, style: context.output.style };
    if context.output.json {
        told.json(context)?;
    } else {
        context.output.text(told.text(args.show_values))?;
    }
    match (&store, &record) {
        (None, _) => {
            note("no store: the changes were not held against a receipt\n");
            Ok(Exit::Well)
        }
        (Some(_), None) => {
            note("the store's ledger has no entry about OUT or RAW: nothing explains the changes\n");
            Ok(Exit::SomeFailed)
        }
        (Some(_), Some(record)) => {
            let sound = record.raw_is_received && record.out_is_written && comparison.unexplained() == 0;
            Ok(if sound { Exit::Well } else { Exit::SomeFailed })
        }
    }
}

fn read(path: &Path, which: &'static str, config: &Config) -> Result<Side, Error> {
    block_on(compare::read(path, limits(config)))?.map_err(|error| match error {
        handlers::Error::Rejected(rejection) => Error::Object { which, rejection },
        other => other.into(),
    })
}

/// Returns the store, if there is one.
fn store(context: &Context, config: &Config) -> Result<Option<Store>, Error> {
    match Store::open(&context.store, Access::Ask, config.text("environment"), &System) {
        Err(error) if error.code() == "store_missing" => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// What is told of a comparison.
struct Told<'a> {
    raw: &'a Side,
    out: &'a Side,
    record: Option<&'a Record>,
    comparison: &'a Comparison,
    style: Style,
}

impl Told<'_> {
    fn json(&self, context: &mut Context) -> Result<(), Error> {
        for judged in &self.comparison.verdict.changes {
            let change = &judged.change;
            let shape = |shape: Option<Shape>| {
                shape.map(|s| json!({ "vr": s.vr.to_string(), "len": s.len, "items": s.is_sequence }))
            };
            let (action, rule) = self.reason(judged);
            context.output.object(&json!({
                "path": change.place,
                "attribute": keyword(change.tag),
                "change": change.kind.word(),
                "segment": match change.kind { Kind::Cut(what) => Some(what), _ => None },
                "raw": shape(change.raw),
                "out": shape(change.out),
                "action": action,
                "rule": rule.as_ref().map(Rule::code),
                "told": rule.as_ref().map(Rule::told),
                "explained": self.record.map(|_| judged.why != Why::Unexplained),
            }))?;
        }
        if self.record.is_some() {
            for undone in &self.comparison.verdict.undone {
                let line = &undone.line;
                context.output.object(&json!({
                    "path": line_place(&line.path), "change": null, "action": line.action.code(), "rule": line.rule.code(),
                    "told": line.rule.told(), "count": undone.count, "explained": false,
                }))?;
            }
        }
        context.output.object(&json!({ "diff": self.summary() }))
    }

    fn summary(&self) -> Value {
        let (identical, stripped) = match &self.comparison.pixels {
            Pixels::None => (None, None),
            Pixels::Identical => (Some(true), None),
            Pixels::IdenticalButFor(segments) => (Some(true), Some(segments)),
            Pixels::Different => (Some(false), None),
        };
        json!({
            "changes": self.comparison.verdict.changes.len() as u64 + self.comparison.more,
            "unexplained": self.record.map(|_| self.comparison.unexplained()),
            "same": self.comparison.same,
            "identical_pixel_data": identical,
            "stripped": stripped,
            "transfer_syntax": { "raw": self.raw.skeleton.syntax.uid, "out": self.out.skeleton.syntax.uid },
            "record": self.record.map(|record| json!({
                "stream": record.stream.to_string(),
                "seq": record.seq,
                "recorded_at": record.recorded_at,
                "raw_is_received": record.raw_is_received,
                "out_is_written": record.out_is_written,
            })),
        })
    }

    fn reason(&self, judged: &Judged) -> (Option<&'static str>, Option<Rule>) {
        match (self.record, &judged.why) {
            (Some(record), Why::Line(line)) => {
                let line = record.receipt.lines.get(*line);
                (line.map(|line| line.action.code()), line.map(|line| line.rule.clone()))
            }
            _ => (None, None),
        }
    }

    fn text(&self, show_values: bool) -> String {
        let mut text = if show_values { self.table_with_values() } else { self.table() };
        if self.record.is_some() {
            for undone in &self.comparison.verdict.undone {
                let line = &undone.line;
                let told = format!("{} {} by {}", line_place(&line.path), line.action.word(), line.rule.told());
                let missing =
                    format!("not seen: the receipt says {told}, {} times more than there are changes\n", undone.count);
                text.push_str(&self.style.paint(Tone::Bad, &missing));
            }
        }
        if self.comparison.more > 0 {
            text.push_str(&format!("… and {} more changes that were not looked at\n", self.comparison.more));
        }
        text.push_str(&self.closing());
        text
    }

    fn table(&self) -> String {
        let mut table = Table::new(["path", "attribute", "change", "RAW", "OUT", "code", "rule"]);
        for judged in &self.comparison.verdict.changes {
            let (change, (code, rule)) = (&judged.change, self.cells(judged));
            let shapes = [change.raw, change.out].map(|shape| shape.map(shape_told).unwrap_or_default());
            let [raw, out] = shapes;
            let place = change.place.as_str();
            table.row([
                place.into(),
                name(judged).into(),
                word(change.kind).into(),
                raw.into(),
                out.into(),
                code,
                rule,
            ]);
        }
        table.render(self.style)
    }

    fn table_with_values(&self) -> String {
        let mut table = Table::new(["path", "attribute", "RAW", "OUT", "code", "rule"]);
        for judged in &self.comparison.verdict.changes {
            let (change, (code, rule)) = (&judged.change, self.cells(judged));
            let raw = change.raw.map(|shape| value(&self.raw.skeleton, shape)).unwrap_or_default();
            let out = change.out.map(|shape| value(&self.out.skeleton, shape)).unwrap_or_default();
            table.row([change.place.as_str().into(), name(judged).into(), raw.into(), out.into(), code, rule]);
        }
        table.render(self.style)
    }

    fn cells(&self, judged: &Judged) -> (Cell, Cell) {
        let (code, rule) = self.reason(judged);
        let words = match (&judged.why, self.record, &rule) {
            (_, None, _) => Cell::from(""),
            (Why::Unlisted, ..) => Cell::new(Tone::Dim, "counted in the receipt, not listed"),
            (Why::Noted, ..) => {
                Cell::new(Tone::Dim, "of elements that stand twice the last counts; noted at ingestion")
            }
            (Why::Unexplained, ..) => Cell::new(Tone::Bad, "UNEXPLAINED"),
            (Why::Line(_), _, rule) => Cell::from(rule.as_ref().map(Rule::told).unwrap_or_default()),
        };
        (code.unwrap_or_default().into(), words)
    }

    fn closing(&self) -> String {
        let comparison = self.comparison;
        let pixels = match &comparison.pixels {
            Pixels::None => "identical pixel data: there are none".to_owned(),
            Pixels::Identical => "identical pixel data: yes".to_owned(),
            Pixels::IdenticalButFor(segments) => {
                let segments: Vec<_> = segments.iter().map(|(what, count)| format!("{what} {count}")).collect();
                format!(
                    "identical pixel data: yes, apart from stripped segments that code no image: {}",
                    segments.join(", ")
                )
            }
            Pixels::Different => self.style.paint(Tone::Bad, "identical pixel data: no"),
        };
        let changes = comparison.verdict.changes.len() as u64 + comparison.more;
        let mut text = format!("{pixels}\n{changes} changes, {} elements are the same\n", comparison.same);
        let Some(record) = self.record else { return text };
        let (good, bad) = (Tone::Good, Tone::Bad);
        let mut line = |tone, told: &str| text.push_str(&format!("{}\n", self.style.paint(tone, told)));
        if !record.raw_is_received {
            line(bad, "RAW is not the object that was received: its digest is another one");
        }
        if !record.out_is_written {
            line(bad, "OUT is not what was written: its digest is another one");
        }
        let entry = format!("entry {} of stream {}, {}", record.seq, record.stream, record.recorded_at);
        match comparison.unexplained() {
            0 => line(good, &format!("every change is explained by {entry}")),
            many => line(bad, &format!("{many} unexplained by {entry}")),
        }
        text
    }
}

fn name(judged: &Judged) -> &'static str {
    match judged.change.kind {
        Kind::Preamble => "preamble",
        _ => keyword(judged.change.tag),
    }
}

fn word(kind: Kind) -> String {
    match kind {
        Kind::Cut(what) => format!("cut {what}"),
        other => other.word().to_owned(),
    }
}

fn shape_told(shape: Shape) -> String {
    let unit = if shape.is_sequence { "items" } else { "bytes" };
    format!("{} {} {unit}", shape.vr.to_string(), shape.len)
}

fn line_place(path: &[Tag]) -> String {
    let tags: Vec<String> = path
        .iter()
        .map(|tag| match tag {
            Tag(group, 0xFFFF) if group % 2 == 1 => format!("({group:04X},xxxx)"),
            tag => crate::ui::attribute::tag_told(*tag),
        })
        .collect();
    tags.join("[*].")
}

/// Returns a value for the operator's own terminal.
fn value(skeleton: &Skeleton, shape: Shape) -> String {
    let bytes = shape.index.and_then(|at| skeleton.elements.get(at)).and_then(|element| skeleton.bytes(element));
    let is_text = is_text(shape.vr) || shape.vr == VR::UI;
    let Some(bytes) = bytes.filter(|_| is_text) else { return shape_told(shape) };
    let declared = skeleton.value(Tag(0x0008, 0x0005)).filter(|value| !value.is_empty());
    let charset = declared.map_or(Charset::DEFAULT, Charset::parse);
    let Some(text) = charset.decode(bytes, shape.vr == VR::PN) else { return shape_told(shape) };
    let text = printable(text.trim_end_matches([' ', '\0']));
    let short: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
