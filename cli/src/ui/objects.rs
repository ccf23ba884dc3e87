//! How `verify --objects` tells what lies in the store against what the entries say.

use handlers::objects_audit::{Finding, Named, Report};
use serde_json::{Value, json};

use super::colour::{Style, Tone};
use super::progress::Progress;
use crate::advice;

/// Returns who is told how far the audit has come: a bar on standard error, if a person looks.
pub(crate) fn watch(quiet: bool) -> impl FnMut(handlers::objects_audit::Progress) + Send {
    let (progress, mut bar) = (Progress::open(quiet), None);
    move |at| {
        let Some(progress) = &progress else { return };
        bar.get_or_insert_with(|| progress.step("objects", at.expected)).advance();
    }
}

/// Returns where the first thing is that is not as its entry says, in words; none if all is.
pub(crate) fn first_bad(report: &Report) -> Option<String> {
    match report.first_bad() {
        Some(named) => Some(entry(named)),
        None if report.is_sound() => None,
        None => Some("no entry, but something that none names".to_owned()),
    }
}

fn entry(named: &Named) -> String {
    let of = named.log.as_ref().map(|log| format!(" of {log}")).unwrap_or_default();
    format!("entry {}{of}", named.leaf_index)
}

/// Returns what was found, for people.
pub(crate) fn told(report: &Report, style: Style) -> String {
    let size = format!(
        "{} processed objects and {} copies of originals, {} bytes read again",
        report.objects, report.copies, report.bytes
    );
    let mut text = match report.is_sound() {
        true => format!("{} {size}\n", style.paint(Tone::Good, "✓ the objects are what the ledger says:")),
        false => format!("{} {size}\n", style.paint(Tone::Bad, "✗ the objects are not what the ledger says:")),
    };
    for finding in report.findings() {
        text.push_str(&line(finding));
    }
    let listed = report.findings().count() as u64;
    if report.findings_count > listed {
        text.push_str(&format!("  and {} more findings\n", report.findings_count - listed));
    }
    for (remark, count) in &report.remarks {
        text.push_str(&format!("  {} ({count})  {}\n", remark.code(), remark.meaning()));
    }
    if let Some(first_bad) = first_bad(report) {
        text.push_str(&format!("first bad object: {first_bad}\n"));
    }
    text
}

fn line(finding: &Finding) -> String {
    let at = finding.at.as_ref().map(|at| format!(" named by {}", entry(at))).unwrap_or_default();
    let area = finding.area.name();
    let place = match (&finding.name, finding.number) {
        (Some(name), _) => format!("{area}/{name}"),
        // What we did not name may be named after a patient.
        (None, Some(number)) => format!("in {area}/, inode {number}"),
        (None, None) => format!("{area}/"),
    };
    let mut text = format!("  {}{at}  {place}\n    {}", finding.code.code(), finding.code.meaning());
    if let Some((recorded, found)) = finding.size_bytes.filter(|(recorded, found)| recorded != found) {
        text.push_str(&format!(" It has {found} of {recorded} bytes."));
    }
    if let Some(named) = &finding.bytes_of {
        text.push_str(&format!(" Its bytes are those that {} names.", entry(named)));
    }
    format!("{text}\n    next: {}\n", advice::on(finding.code.code()).next)
}

/// Returns what was found, for a program.
pub(crate) fn object(report: &Report) -> Value {
    let place = |named: &Named| json!({ "leafindex": named.leaf_index, "log": named.log });
    let findings: Vec<Value> = report
        .findings()
        .map(|finding| {
            json!({ "code": finding.code.code(), "meaning": finding.code.meaning(),
                "leafindex": finding.at.as_ref().map(|at| at.leaf_index),
                "log": finding.at.as_ref().and_then(|at| at.log.clone()),
                "area": finding.area.name(), "name": finding.name, "inode": finding.number,
                "size_bytes": finding.size_bytes.map(|(_, found)| found),
                "size_bytes_recorded": finding.size_bytes.map(|(recorded, _)| recorded),
                "bytes_of": finding.bytes_of.as_ref().map(place) })
        })
        .collect();
    let remarks: Vec<Value> = report
        .remarks
        .iter()
        .map(|(remark, count)| json!({ "code": remark.code(), "count": count, "meaning": remark.meaning() }))
        .collect();
    json!({
        "sound": report.is_sound(),
        "as_of_size": report.entries,
        "objects": report.objects,
        "copies": report.copies,
        "bytes": report.bytes,
        "first_bad": report.first_bad().map(|named| named.leaf_index),
        "first_bad_log": report.first_bad().and_then(|named| named.log.clone()),
        "findings_count": report.findings_count,
        "findings": findings,
        "remarks": remarks,
    })
}
