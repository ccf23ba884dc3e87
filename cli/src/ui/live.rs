//! What a watch shows while it goes on: for programs a line of JSON for each object and each piece of news; for people one
//! line for each study, modality and outcome of the last second. Holds what one second brings, however long it goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::{Keys, StreamId};
use handlers::runner::items;
use handlers::runner::report::{Outcome, Report, Summary};
use handlers::sources::Sources;
use handlers::watch::News;
use serde_json::json;

use super::colour::{Style, Tone};
use super::ending::{ReportLine, counts_line};
use super::item::printable;
use crate::advice;
use crate::error::Error;
use crate::output::{Output, note};

/// How long outcomes are gathered into one line.
const GATHER: Duration = Duration::from_secs(1);
/// Lines that are gathered; more are printed at once.
const LINES_MAX: usize = 64;

/// One line: a study by its short name, a modality, an outcome, and the reason or the code behind it.
type Line = (String, &'static str, Outcome, String);

/// The lines of a watch.
pub(crate) struct Live {
    sources: Arc<Sources>,
    keys: Keys,
    rescan: Duration,
    quiet: bool,
    lines: BTreeMap<Line, u64>,
    gathered_since: Instant,
    repeated: u64,
    already_present: u64,
    left_changing: u64,
    gone: bool,
}

impl Live {
    /// Returns lines without content.
    pub(crate) fn new((sources, keys): (Arc<Sources>, Keys), rescan: Duration, quiet: bool) -> Self {
        let (lines, gathered_since) = (BTreeMap::new(), Instant::now());
        let (repeated, already_present, left_changing) = (0, 0, 0);
        Self {
            sources,
            keys,
            rescan,
            quiet,
            lines,
            gathered_since,
            repeated,
            already_present,
            left_changing,
            gone: false,
        }
    }

    /// Takes in a report.
    pub(crate) fn ended(&mut self, report: &Report, output: &mut Output) -> Result<(), Error> {
        self.repeated += u64::from(report.repeated);
        self.already_present += u64::from(report.already_present && !report.repeated);
        if output.json {
            return output.object(&ReportLine::of(report));
        }
        let study = report.key.as_deref().and_then(|key| domain::ids::short_name(key.split('/').next()?));
        let modality = report.modality.as_ref().map_or("-", domain::events::Modality::as_str);
        let reason = report.reason.map(|reason| reason.code().to_owned()).or_else(|| report.code.clone());
        // A person reads where it lies on their own terminal only; elsewhere it is the stream.
        let lies = report.stream.filter(|_| report.outcome != Outcome::Delivered).map(|stream| {
            let path = self.path(stream).filter(|_| output.terminal);
            path.map_or_else(|| stream.to_string(), |path| printable(&path.to_string_lossy()))
        });
        let why = [reason, lies].into_iter().flatten().collect::<Vec<_>>().join("  ");
        *self.lines.entry((study.unwrap_or_else(|| "-".to_owned()), modality, report.outcome, why)).or_default() += 1;
        if self.lines.len() >= LINES_MAX { self.print(output) } else { Ok(()) }
    }

    fn path(&self, stream: StreamId) -> Option<PathBuf> {
        let row = self.sources.get(stream, &self.keys).ok()??;
        Some(items::path_of(row.location.key.expose()))
    }

    /// Prints what was gathered, if it is time or the last time.
    pub(crate) fn tick(&mut self, output: &mut Output, last: bool) -> Result<(), Error> {
        if last || self.gathered_since.elapsed() >= GATHER {
            self.print(output)?;
        }
        output.flush()
    }

    fn print(&mut self, output: &mut Output) -> Result<(), Error> {
        self.gathered_since = Instant::now();
        for ((study, modality, outcome, why), count) in std::mem::take(&mut self.lines) {
            let tone = match outcome {
                Outcome::Delivered => Tone::Good,
                Outcome::Quarantined | Outcome::Pending => Tone::Warn,
                Outcome::Failed | Outcome::Unreadable => Tone::Bad,
            };
            let word = output.style.paint(tone, outcome.word());
            let line = format!("{study:<7} {modality:<4} {count:>6} {word}  {why}");
            output.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Tells news of the watch: to programs among the data, to people on standard error.
    pub(crate) fn news(&mut self, news: &News, output: &mut Output) -> Result<(), Error> {
        match news {
            News::FolderGone => self.gone = true,
            News::FolderBack => self.gone = false,
            News::LeftChanging => self.left_changing += 1,
            News::Scanned(_) | News::NoNotifications => {}
        }
        if output.json {
            return output.object(&line_of(news));
        }
        let told = self.told(news, output.terminal);
        if !self.quiet || matches!(news, News::FolderGone) {
            note(&told);
        }
        Ok(())
    }

    fn told(&self, news: &News, terminal: bool) -> String {
        match news {
            News::FolderGone => {
                let (code, seconds) = ("watch_folder_gone", self.rescan.as_secs_f64());
                let next = advice::on(code).next;
                format!(
                    "warning[{code}]: the watched folder is not there; it is looked for every {seconds} s\n  next: {next}\n"
                )
            }
            News::FolderBack => "the watched folder is there again\n".to_owned(),
            News::NoNotifications => {
                let seconds = self.rescan.as_secs_f64();
                format!("the system tells of no changes in this folder; it is scanned every {seconds} s\n")
            }
            News::LeftChanging => String::new(),
            News::Scanned(scanned) => {
                let passed = &scanned.passed;
                let counted = [
                    (passed.links, "links, which are not followed"),
                    (passed.special, "pipes, sockets and devices"),
                    (passed.unreadable, "that cannot be looked at"),
                    (passed.too_deep, "folders too deep"),
                ];
                let counted = counted.into_iter().filter(|(count, _)| *count > 0);
                let mut told: String = counted.map(|(count, what)| format!("passed over: {count} {what}\n")).collect();
                if terminal {
                    let named = passed.first_links.iter().map(|path| printable(&path.to_string_lossy()));
                    named.for_each(|path| told.push_str(&format!("    {path}\n")));
                }
                told
            }
        }
    }

    /// Returns the counts of the whole watch in one line.
    pub(crate) fn counts(&self, summary: &Summary, style: Style) -> String {
        let line = counts_line(summary, self.repeated, self.already_present, style);
        match self.left_changing {
            0 => line,
            left => format!("{line}; {left} still changing and left for the next time"),
        }
    }

    /// Whether the folder was not there when it was last looked for.
    pub(crate) const fn folder_is_gone(&self) -> bool {
        self.gone
    }
}

fn line_of(news: &News) -> serde_json::Value {
    match news {
        News::FolderGone => json!({ "watch": "folder_gone", "code": "watch_folder_gone" }),
        News::FolderBack => json!({ "watch": "folder_back" }),
        News::NoNotifications => json!({ "watch": "no_notifications" }),
        News::LeftChanging => json!({ "watch": "left_changing" }),
        News::Scanned(scanned) => json!({
            "watch": "scanned",
            "files": scanned.files,
            "known": scanned.known,
            "links": scanned.passed.links,
            "special": scanned.passed.special,
            "unfinished": scanned.passed.unfinished,
            "unreadable": scanned.passed.unreadable,
            "too_deep": scanned.passed.too_deep,
        }),
    }
}
