//! `medimg explain TAG`: what an attribute is, what Table E.1-1 says of it, and what the profile does with it.

use compliance::explain::{self, Explained, Outcome};
use compliance::receipt::Rule;
use dicom_core::dictionary::DataDictionary as _;
use dicom_dictionary_std::StandardDataDictionary;
use domain::dicom::{Tag, VR};
use serde_json::json;

use super::Context;
use crate::config::edits;
use crate::error::Error;
use crate::exit::Exit;
use crate::ui::attribute::{dictionary_vr, keyword, repeats, tag_told};
use crate::ui::colour::{Style, Tone};
use crate::ui::table::{Cell, Table};

/// Sequences in a path; objects nest no deeper.
const DEPTH_MAX: usize = 64;
/// IODs that are named in one line; the others are counted.
const NAMED_MAX: usize = 4;
/// No attribute of PS3.6 has a higher group than that of the pixel data, and none below it a higher element.
const GROUP_MAX: u16 = 0x7FE0;
const ELEMENT_MAX: u16 = 0xA800;

/// Say what an attribute is and what de-identification does with it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A TAG is a keyword (PatientName), a number ((0010,0010) or 00100010), or a path of them with dots: \
    ReferencedImageSequence.ReferencedSOPInstanceUID, 00081140.*.00081155. x stands for any digit: 60xx3000, 0029xxxx"
)]
pub(crate) struct Args {
    /// An attribute: its keyword, its number, or a path of them
    #[arg(value_name = "TAG")]
    tag: String,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let path = parse(&args.tag)?;
    let tag = path.last().copied().unwrap_or(Tag(0, 0));
    let vr = vr_of(tag);
    let explained = explain::explain(&path, vr.unwrap_or(VR::UN)).map_err(|cause| Error::Stopped {
        code: "profile_damaged",
        tried: "explain an attribute".to_owned(),
        cause: Some(Box::new(cause)),
    })?;
    if context.output.json {
        context.output.object(&in_json(&path, vr, &explained))?;
    } else {
        let style = context.output.style;
        context.output.text(told(&path, vr, &explained, style))?;
    }
    Ok(Exit::Well)
}

fn vr_of(tag: Tag) -> Option<VR> {
    if tag.element() == 0 { Some(VR::UL) } else { dictionary_vr(tag) }
}

/// Whether an attribute is one of the file meta, which is not rewritten but written anew.
fn is_meta(path: &[Tag]) -> bool {
    matches!(path, [Tag(0x0002, _)])
}

/// Reads a path of keywords and numbers.
fn parse(text: &str) -> Result<Vec<Tag>, Error> {
    let parts: Vec<&str> = text.trim().split(['.', '/']).map(|part| part.split('[').next().unwrap_or(part)).collect();
    let parts: Vec<&str> = parts.into_iter().filter(|part| !matches!(*part, "*" | "")).collect();
    if parts.is_empty() || parts.len() > DEPTH_MAX {
        return Err(Error::TagUnknown { near: None });
    }
    parts.into_iter().map(tag_of).collect()
}

fn tag_of(text: &str) -> Result<Tag, Error> {
    let digits: String = text.chars().filter(|c| !matches!(c, '(' | ')' | ',' | ' ')).collect();
    let is_number = digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X'));
    if is_number {
        let any_element = digits[4..].eq_ignore_ascii_case("xxxx");
        let number = u32::from_str_radix(&digits.replace(['x', 'X'], "0"), 16).unwrap_or_default();
        let (group, element) = ((number >> 16) as u16, number as u16);
        // The private attributes of a group are told by one of them.
        return Ok(Tag(group, if any_element && group % 2 == 1 { 0x1010 } else { element }));
    }
    match StandardDataDictionary.by_name(text) {
        Some(entry) => Ok(entry.tag.inner()),
        None => match nearest(text) {
            Some((tag, 0)) => Ok(tag),
            near => Err(Error::TagUnknown { near: near.map(|(tag, _)| keyword(tag)) }),
        },
    }
}

/// Returns the attribute whose keyword takes the fewest edits, whatever its case, and how many.
fn nearest(written: &str) -> Option<(Tag, usize)> {
    let written: Vec<char> = written.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let groups = (0x0002..=GROUP_MAX).step_by(2).filter(|group| is_used(*group));
    let tags = groups.flat_map(|group| (1..=ELEMENT_MAX).map(move |element| Tag(group, element)));
    let named = tags.filter_map(|tag| Some((tag, StandardDataDictionary.by_tag(tag)?)));
    let single = named.filter(|(tag, entry)| entry.tag.inner() == *tag);
    single.map(|(tag, entry)| (tag, edits(&written, &entry.alias.to_ascii_lowercase()))).min_by_key(|(_, far)| *far)
}

/// Whether PS3.6 has attributes in a group.
const fn is_used(group: u16) -> bool {
    matches!(
        group,
        0x0002..=0x002E | 0x0032..=0x007E | 0x0080..=0x0088 | 0x0100 | 0x0400 | 0x2000 | 0x2010 | 0x2020 | 0x2030 | 0x2040
            | 0x2050 | 0x2100..=0x2130 | 0x2200 | 0x3002..=0x3010 | 0x4000..=0x4010 | 0x4FFE | 0x5000 | 0x5200 | 0x5400
            | 0x5600 | 0x6000 | GROUP_MAX
    )
}

fn in_json(path: &[Tag], vr: Option<VR>, explained: &Explained) -> serde_json::Value {
    let tag = path.last().copied().unwrap_or(Tag(0, 0));
    let outcome = |outcome: &Outcome| {
        json!({
            "action": outcome.action.map_or("K", |action| action.code()),
            "rule": outcome.rule.as_ref().map(Rule::code),
            "told": outcome.rule.as_ref().map(Rule::told),
            "type": outcome.ty,
            "iods": outcome.iods,
        })
    };
    let outcomes: Vec<_> = explained.outcomes.iter().filter(|_| !is_meta(path)).map(outcome).collect();
    let row = explained.row.as_ref().map(|row| {
        let options: serde_json::Map<String, serde_json::Value> =
            row.options.iter().map(|(name, code)| ((*name).to_owned(), code.to_string().into())).collect();
        json!({ "number": row.number, "basic": row.basic, "options": options, "editions": row.editions })
    });
    json!({
        "path": path.iter().map(|tag| tag_told(*tag)).collect::<Vec<_>>().join("[*]."),
        "keyword": keyword(tag),
        "vr": vr.map(|vr| vr.to_string()),
        "row": row,
        "safe_harbor": explained.safe_harbor.map(|identifier| identifier.told()),
        "profile": explained.profile,
        "edition": explained.edition,
        "outcomes": outcomes,
        "unknown_class": explained.unknown_class.as_ref().filter(|_| !is_meta(path)).map(outcome),
        "if_kept": vr.filter(|_| stays_somewhere(explained)).map(explain::value_rule),
    })
}

fn stays_somewhere(explained: &Explained) -> bool {
    explained.outcomes.iter().chain(&explained.unknown_class).any(|outcome| outcome.action.is_none())
}

fn told(path: &[Tag], vr: Option<VR>, explained: &Explained, style: Style) -> String {
    let tag = path.last().copied().unwrap_or(Tag(0, 0));
    let place = path.iter().map(|tag| tag_told(*tag)).collect::<Vec<_>>().join("[*].");
    let vr_told = vr.map_or("VR not known", |vr| vr.to_string());
    let mut text =
        format!("{}  {}  {vr_told}\n", style.paint(Tone::Strong, &place), style.paint(Tone::Strong, keyword(tag)));
    if repeats(tag) {
        text.push_str("one of a repeating group: what is said holds for each\n");
    }
    text.push_str(&row_told(explained));
    if let Some(identifier) = explained.safe_harbor {
        text.push_str(&format!("Safe Harbor, 45 CFR 164.514(b)(2)(i): {}\n", identifier.told()));
    }
    text.push_str(&format!("profile {}, {}:\n", explained.profile, explained.edition));
    if is_meta(path) {
        text.push_str(&format!("  {}\n", Rule::General("meta".to_owned()).told()));
        return text;
    }
    let mut table = Table::new(["  code", "what happens", "rule", "Type", "IODs"]);
    for outcome in &explained.outcomes {
        table.row(cells(outcome, iods_told(outcome)));
    }
    if let Some(outcome) = &explained.unknown_class {
        table.row(cells(outcome, "of a SOP class that no table has".to_owned()));
    }
    text.push_str(&table.render(style));
    if stays_somewhere(explained)
        && let Some(vr) = vr
    {
        text.push_str(&format!("where it stays: {}\n", explain::value_rule(vr)));
    }
    text
}

fn cells(outcome: &Outcome, iods: String) -> [Cell; 5] {
    let code = outcome.action.map_or("K", |action| action.code());
    let word = outcome.action.map_or("kept", |action| action.word());
    let rule = outcome.rule.as_ref().map_or("listed by the IOD, no row".to_owned(), Rule::told);
    [format!("  {code}").into(), word.into(), rule.into(), outcome.ty.unwrap_or("-").into(), Cell::new(Tone::Dim, iods)]
}

fn iods_told(outcome: &Outcome) -> String {
    let named = outcome.iods.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match outcome.iods.len().saturating_sub(NAMED_MAX) {
        0 => format!("{}: {named}", outcome.iods.len()),
        more => format!("{}: {named} … and {more} more", outcome.iods.len()),
    }
}

fn row_told(explained: &Explained) -> String {
    let Some(row) = &explained.row else {
        return "no row in PS3.15 Table E.1-1: the IOD and the value decide\n".to_owned();
    };
    let options: Vec<String> = row.options.iter().map(|(name, code)| format!("{name} {code}")).collect();
    let options = if options.is_empty() { "no option has a code".to_owned() } else { options.join(", ") };
    format!("PS3.15 Table E.1-1 row {} ({}): Basic Profile {}; {options}\n", row.number, row.editions, row.basic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_in_every_spelling() {
        for text in ["PatientName", "patientname", "(0010,0010)", "0010,0010", "00100010", " (0010,0010) "] {
            assert_eq!(parse(text).expect(text), [Tag(0x0010, 0x0010)]);
        }
        let nested = [Tag(0x0008, 0x1140), Tag(0x0008, 0x1155)];
        for text in [
            "00081140.*.00081155",
            "(0008,1140)[0].(0008,1155)",
            "ReferencedImageSequence.ReferencedSOPInstanceUID",
            "ReferencedImageSequence/00081155",
        ] {
            assert_eq!(parse(text).expect(text), nested, "{text}");
        }
        assert_eq!(parse("(60xx,3000)").expect("a group"), [Tag(0x6000, 0x3000)]);
        assert_eq!(parse("0029xxxx").expect("private"), [Tag(0x0029, 0x1010)]);
    }

    #[test]
    fn a_misspelt_keyword_is_refused_with_the_nearest() {
        let error = parse("PatientNmae").expect_err("refused");
        assert_eq!((error.code(), error.exit()), ("tag_unknown", Exit::Usage));
        assert!(error.next().contains("`PatientName`"), "{}", error.next());
        assert!(!error.to_string().contains("Nmae"), "what was typed may be a name");
        assert_eq!(parse("").expect_err("refused").code(), "tag_unknown");
    }
}
