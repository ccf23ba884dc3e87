//! How the objects of a run ended: a line of JSON for each, or for people a summary by reason.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::Reason;
use handlers::runner::report::{Outcome, Report, Summary};
use serde::Serialize;

use super::colour::{Style, Tone};
use super::item::printable;
use super::table::{Cell, Table};
use crate::advice;
use crate::run::CpuMs;

/// Items that are named under one reason; the others are counted.
const NAMED_MAX: usize = 12;

/// A report for a program: the item is its number and its stream, never its path.
#[derive(Serialize)]
pub(crate) struct ReportLine<'a> {
    item: Option<u64>,
    stream: Option<String>,
    outcome: &'static str,
    reason: Option<Reason>,
    detail: Option<&'a str>,
    code: Option<&'a str>,
    key: Option<&'a str>,
    already_present: bool,
    repeated: bool,
}

impl<'a> ReportLine<'a> {
    /// Returns the line of a report.
    pub(crate) fn of(report: &'a Report) -> Self {
        Self {
            item: report.item,
            stream: report.stream.map(|stream| stream.to_string()),
            outcome: report.outcome.word(),
            reason: report.reason,
            detail: report.rejection.as_ref().map(|rejection| rejection.detail.as_ref()),
            code: report.code.as_deref(),
            key: report.key.as_deref(),
            already_present: report.already_present,
            repeated: report.repeated,
        }
    }
}

/// The last line of a run for a program.
#[derive(Serialize)]
pub(crate) struct SummaryLine {
    summary: Counts,
}

#[derive(Serialize)]
struct Counts {
    delivered: u64,
    quarantined: u64,
    failed: u64,
    pending: u64,
    unreadable: u64,
    resumed: u64,
    stopped_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ms: Option<CpuMs>,
}

impl SummaryLine {
    /// Returns the line of a run's counts.
    pub(crate) fn of(summary: &Summary, cpu_ms: Option<CpuMs>) -> Self {
        let Summary { delivered, quarantined, failed, pending, unreadable, resumed, .. } = *summary;
        let interrupted = summary.interrupted.then_some("interrupted");
        let stopped_by = summary.stopped_by.as_ref().map(handlers::Error::code).or(interrupted);
        let summary = Counts { delivered, quarantined, failed, pending, unreadable, resumed, stopped_by, cpu_ms };
        Self { summary }
    }
}

/// Why an object did not end delivered, as people look at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Quarantined(Reason),
    Failed(String),
    Unreadable(String),
    Pending,
}

impl Why {
    fn of(report: &Report) -> Option<Self> {
        let code = || report.code.clone().unwrap_or_default();
        match report.outcome {
            Outcome::Delivered => None,
            // A quarantine without a reason cannot be recorded; should one be reported, it is shown, not dropped.
            Outcome::Quarantined => Some(report.reason.map_or_else(|| Self::Failed(code()), Self::Quarantined)),
            Outcome::Failed => Some(Self::Failed(code())),
            Outcome::Unreadable => Some(Self::Unreadable(code())),
            Outcome::Pending => Some(Self::Pending),
        }
    }

    fn heading(&self, style: Style, count: u64) -> String {
        let (tone, word, code, told) = match self {
            Self::Quarantined(reason) => (Tone::Warn, "quarantined", reason.code(), reason.condition()),
            Self::Failed(code) => (Tone::Bad, "failed", code.as_str(), advice::on(code).next),
            Self::Unreadable(code) => (Tone::Bad, "unreadable", code.as_str(), advice::on(code).next),
            Self::Pending => (Tone::Warn, "pending", "no end yet", "the next run goes on with it"),
        };
        format!("{}  {told}", style.paint(tone, &format!("{count} {word}: {code}")))
    }
}

/// The items that ended in one way: how many, and the first of them by number and name.
#[derive(Debug, Default)]
struct Group {
    count: u64,
    named: Vec<(Option<u64>, String)>,
}

/// What people are told of a run, collected report by report.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    /// Where each item was found, by number from 1; empty unless a person reads along.
    paths: Vec<PathBuf>,
    groups: BTreeMap<Why, Group>,
    studies: BTreeMap<String, u64>,
    repeated: u64,
    already_present: u64,
}

impl Endings {
    /// Returns an empty collection; `paths` are those of the items, if they may be shown.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, ..Self::default() }
    }

    /// Takes in a report.
    pub(crate) fn add(&mut self, report: &Report) {
        self.repeated += u64::from(report.repeated);
        self.already_present += u64::from(report.already_present && !report.repeated);
        if let Some(study) = report.key.as_deref().and_then(|key| key.split('/').next()) {
            *self.studies.entry(study.to_owned()).or_default() += 1;
        }
        let Some(why) = Why::of(report) else { return };
        let name = self.name(report);
        let group = self.groups.entry(why).or_default();
        group.count += 1;
        if group.named.len() < NAMED_MAX {
            group.named.push((report.item, name));
        }
    }

    fn name(&self, report: &Report) -> String {
        let path = report.item.and_then(|number| self.paths.get(usize::try_from(number).ok()?.checked_sub(1)?));
        let at = report.rejection.as_ref().and_then(|rejection| rejection.at.as_deref());
        let at = at.map(|at| format!("  {at}")).unwrap_or_default();
        match (path, report.item, report.stream) {
            (Some(path), ..) => format!("{}{at}", printable(&path.to_string_lossy())),
            (None, Some(number), Some(stream)) => format!("#{number} {stream}{at}"),
            (None, Some(number), None) => format!("#{number}"),
            (None, None, Some(stream)) => format!("{stream}{at}"),
            (None, None, None) => "an object".to_owned(),
        }
    }

    /// Returns what people read: the groups, the studies, and one line of counts.
    pub(crate) fn told(&self, summary: &Summary, style: Style) -> String {
        let mut text = self.groups_told(style);
        text.push_str(&self.studies_told(style));
        text.push_str(&counts_line(summary, self.repeated, self.already_present, style));
        text.push('\n');
        text
    }

    /// Returns the objects that did not end delivered, by reason.
    pub(crate) fn groups_told(&self, style: Style) -> String {
        let mut text = String::new();
        for (why, Group { count, named }) in &self.groups {
            text.push_str(&why.heading(style, *count));
            text.push('\n');
            let mut named: Vec<_> = named.iter().collect();
            named.sort_unstable();
            for (_, name) in &named {
                text.push_str(&format!("    {name}\n"));
            }
            if let Some(more) = count.checked_sub(named.len() as u64).filter(|more| *more > 0) {
                text.push_str(&format!("    and {more} more; --json names all\n"));
            }
        }
        text
    }

    /// Returns the study with the most objects, by its short name.
    pub(crate) fn largest_study(&self) -> Option<String> {
        let (study, _) = self.studies.iter().max_by_key(|(_, count)| **count)?;
        Some(domain::ids::short_name(study).unwrap_or_else(|| study.clone()))
    }

    fn studies_told(&self, style: Style) -> String {
        if self.studies.is_empty() {
            return String::new();
        }
        let mut table = Table::new(["study", "#objects", "new Study Instance UID"]);
        for (study, count) in self.studies.iter().take(NAMED_MAX) {
            table.row([
                Cell::new(Tone::Strong, domain::ids::short_name(study).unwrap_or_default()),
                count.to_string().into(),
                Cell::new(Tone::Dim, study.as_str()),
            ]);
        }
        let mut text = table.render(style);
        if self.studies.len() > NAMED_MAX {
            text.push_str(&format!("and {} more studies\n", self.studies.len() - NAMED_MAX));
        }
        text
    }
}

/// Returns the counts in one line; what did not happen is left out.
fn counts_line(summary: &Summary, repeated: u64, already_present: u64, style: Style) -> String {
    let others = [
        (Tone::Warn, summary.quarantined, "quarantined"),
        (Tone::Bad, summary.failed, "failed"),
        (Tone::Warn, summary.pending, "pending"),
        (Tone::Bad, summary.unreadable, "unreadable"),
    ];
    let mut parts = vec![style.paint(Tone::Good, &format!("{} delivered", summary.delivered))];
    let happened = others.into_iter().filter(|(_, count, _)| *count > 0);
    parts.extend(happened.map(|(tone, count, word)| style.paint(tone, &format!("{count} {word}"))));
    let mut line = parts.join(", ");
    for (count, told) in [
        (repeated, "had ended in an earlier run and keep their verdict"),
        (already_present, "were there already, byte for byte"),
        (summary.resumed, "were taken up from an earlier run"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} {told}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use domain::Rejection;
    use domain::ids::StreamId;

    use super::*;

    fn report(item: u64, outcome: Outcome) -> Report {
        Report {
            stream: StreamId::parse("0123456789abcdef0123456789abcdef"),
            outcome,
            code: None,
            ..Report::unreadable(item, "source_gone")
        }
    }

    fn truncated(item: u64) -> Report {
        let rejection = Rejection::new(Reason::Truncated, "the value ends behind the file").at_offset(1234);
        let (reason, rejection) = (Some(rejection.reason), Some(rejection));
        Report { reason, rejection, ..report(item, Outcome::Quarantined) }
    }

    #[test]
    fn only_what_needs_a_person_is_named_and_a_pipe_gets_no_path() {
        let reports = [report(1, Outcome::Delivered), truncated(2)];
        let mut summary = Summary::default();
        let told = |paths: Vec<PathBuf>, summary: &Summary| {
            let mut endings = Endings::new(paths);
            reports.iter().for_each(|report| endings.add(report));
            endings.told(summary, Style::PLAIN)
        };
        reports.iter().for_each(|report| summary.add(report));
        let piped = told(Vec::new(), &summary);
        assert_eq!(piped.lines().count(), 3);
        assert!(piped.starts_with("1 quarantined: truncated  The bytes end inside"));
        assert!(piped.contains("    #2 0123456789abcdef0123456789abcdef  @1234\n"));
        assert!(piped.ends_with("1 delivered, 1 quarantined\n"));
        let shown = told(vec!["in/DOE^JANE.dcm".into(), "in/DOE^JOHN.dcm".into()], &summary);
        assert!(shown.contains("in/DOE^JOHN.dcm  @1234") && !shown.contains("JANE"));
    }

    #[test]
    fn a_program_gets_every_field_of_a_report_and_no_path() {
        let line = serde_json::to_string(&ReportLine::of(&truncated(2))).expect("JSON");
        assert_eq!(
            line,
            "{\"item\":2,\"stream\":\"0123456789abcdef0123456789abcdef\",\"outcome\":\"quarantined\",\
             \"reason\":\"truncated\",\"detail\":\"the value ends behind the file\",\"code\":null,\"key\":null,\
             \"already_present\":false,\"repeated\":false}"
        );
    }

    #[test]
    fn many_items_of_one_reason_are_counted() {
        let mut endings = Endings::new(Vec::new());
        (1..=40).for_each(|item| endings.add(&truncated(item)));
        let told = endings.told(&Summary::default(), Style::PLAIN);
        assert!(told.contains("40 quarantined: truncated") && told.contains("and 28 more"), "{told}");
    }
}
