//! The control matrix: each row of `controls.toml` with what the report shows for it. It says what evidence there is, and
//! never that anybody complies with anything.

use serde::{Deserialize, Serialize};

use super::Report;

const TABLE: &str = include_str!("../../controls.toml");

/// A row of `controls.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Section of 45 CFR, such as `164.312(b)`.
    pub section: String,
    /// What it asks for.
    pub title: String,
    /// `required`, `addressable` or `both`.
    pub reading: String,
    /// Name of a function of [`EVIDENCE`].
    pub evidence: String,
    /// `file#function` of the test that shows it.
    pub test: String,
    /// What the evidence does not show.
    pub limit: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    control: Vec<Control>,
}

/// Returns every row, in order.
///
/// # Errors
/// The message of the reader of TOML.
pub fn table() -> Result<Vec<Control>, String> {
    toml::from_str::<Table>(TABLE).map(|table| table.control).map_err(|error| error.to_string())
}

/// What the records show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The records show it.
    Pass,
    /// The records show a part, or something that a person must look at.
    Partial,
    /// The records show nothing: a person must find the evidence elsewhere.
    Manual,
}

impl Verdict {
    /// Returns the word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Partial => "partial",
            Self::Manual => "manual",
        }
    }
}

/// What the records show, how many of them, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What they show.
    pub verdict: Verdict,
    /// How many records it rests on.
    pub count: u64,
    /// In words.
    pub told: String,
}

/// A function over the report that finds evidence.
pub type Query = fn(&Report) -> Evidence;

/// The functions that `controls.toml` may name.
pub const EVIDENCE: &[(&str, Query)] = &[
    ("identified_actors", identified_actors),
    ("recorded_activity", recorded_activity),
    ("verified_ledger", verified_ledger),
    ("digests_of_objects", digests_of_objects),
    ("activity_read", activity_read),
    ("incidents_recorded", incidents_recorded),
    ("oldest_entry", oldest_entry),
    ("identifiers_acted_on", identifiers_acted_on),
    ("backups_made", backups_made),
    ("recoveries_recorded", recoveries_recorded),
    ("sources_forgotten", sources_forgotten),
    ("no_evidence", no_evidence),
];

/// A row of the control matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Section of 45 CFR.
    pub section: String,
    /// What it asks for.
    pub title: String,
    /// `required`, `addressable` or `both`.
    pub reading: String,
    /// What the records show.
    pub verdict: Verdict,
    /// How many records it rests on.
    pub count: u64,
    /// What they show, in words.
    pub told: String,
    /// What they do not show.
    pub limit: String,
    /// The test that shows it.
    pub test: String,
}

/// Returns the control matrix. A row that names no function is `manual`; a test keeps such rows out.
pub(super) fn judge(report: &Report) -> Vec<Judged> {
    // The table is part of the program; a test reads it, and a build whose table does not read shows no row.
    let rows = table().unwrap_or_default();
    rows.into_iter()
        .map(|row| {
            let query =
                EVIDENCE.iter().find(|(name, _)| *name == row.evidence).map_or(no_evidence as Query, |found| found.1);
            let Evidence { verdict, count, told } = query(report);
            let Control { section, title, reading, test, limit, .. } = row;
            Judged { section, title, reading, verdict, count, told, limit, test }
        })
        .collect()
}

fn of(verdict: Verdict, count: u64, told: String) -> Evidence {
    Evidence { verdict, count, told }
}

fn events(report: &Report, types: &[&str]) -> u64 {
    types.iter().filter_map(|full| report.events.get(*full)).sum()
}

fn identified_actors(report: &Report) -> Evidence {
    let acts: u64 = report.accesses.iter().map(|access| access.count).sum();
    let people: std::collections::BTreeSet<&str> = report.accesses.iter().map(|access| access.actor.as_str()).collect();
    let told = format!(
        "acts by people: {acts}, users: {}; each act stands under the keyed hash of its user, and the steps act under their own names",
        people.len()
    );
    of(if acts > 0 { Verdict::Pass } else { Verdict::Partial }, acts, told)
}

fn recorded_activity(report: &Report) -> Evidence {
    let (count, kinds) = (report.events.values().sum(), report.events.len());
    let verdict = if count > 0 { Verdict::Pass } else { Verdict::Manual };
    let opened = events(report, &["imaging.object.accessed.v1"]);
    let told = format!(
        "{count} events of {kinds} types in {} entries; {opened} of them say that a person opened an object",
        report.entries
    );
    of(verdict, count, told)
}

fn verified_ledger(report: &Report) -> Evidence {
    let (integrity, sealing) = (&report.integrity, &report.sealing);
    if integrity.sound && sealing.newest_is_of_these_entries == Some(false) {
        return of(Verdict::Partial, 1, "the newest checkpoint names another root than the entries have".to_owned());
    }
    if integrity.sound {
        let sealed = match sealing.checkpoints_count {
            0 => "no signed checkpoint seals those in scope".to_owned(),
            count => format!(
                "signed checkpoints that seal those in scope: {count}; entries not sealed yet: {}",
                sealing.unsealed
            ),
        };
        let told = format!("all {} entries of the log verified for this report; {sealed}", integrity.verified);
        return of(Verdict::Pass, integrity.verified, told);
    }
    of(
        Verdict::Partial,
        integrity.findings_count,
        format!("{} findings: the log is not what was written", integrity.findings_count),
    )
}

fn digests_of_objects(report: &Report) -> Evidence {
    let count = report.funnel.received + report.funnel.deidentified;
    let told = format!("SHA-256 of {} originals and {} outputs", report.funnel.received, report.funnel.deidentified);
    of(if count > 0 { Verdict::Pass } else { Verdict::Manual }, count, told)
}

fn activity_read(report: &Report) -> Evidence {
    let types = ["imaging.history.queried.v1", "imaging.report.exported.v1", "imaging.ledger.verified.v1"];
    let count = events(report, &types);
    let verdict = if count > 0 { Verdict::Partial } else { Verdict::Manual };
    of(verdict, count, format!("{count} recorded readings of histories, exports of reports and verifications"))
}

fn incidents_recorded(report: &Report) -> Evidence {
    let (refused, failed) = (report.quarantine.total, report.failures.total);
    let told = format!("{refused} refusals and {failed} failures, each with reason, step and time");
    of(if report.funnel.objects > 0 { Verdict::Pass } else { Verdict::Manual }, refused + failed, told)
}

fn oldest_entry(report: &Report) -> Evidence {
    match &report.first_recorded_at {
        Some(first) => {
            of(Verdict::Partial, report.entries, format!("the oldest entry in scope is of {}", &first[..10]))
        }
        None => of(Verdict::Manual, 0, "no entry is in scope".to_owned()),
    }
}

fn identifiers_acted_on(report: &Report) -> Evidence {
    let classes =
        report.deidentification.classes.iter().filter(|sum| sum.class.letter != '-' && sum.attributes > 0).count();
    let actions: u64 = report.deidentification.classes.iter().flat_map(|sum| sum.actions.values()).sum();
    let told = format!("{actions} actions on attributes; {classes} of the 18 classes were met in the objects");
    of(if actions > 0 { Verdict::Partial } else { Verdict::Manual }, actions, told)
}

fn backups_made(report: &Report) -> Evidence {
    let count = events(report, &["imaging.backup.made.v1"]);
    let verdict = if count > 0 { Verdict::Partial } else { Verdict::Manual };
    of(
        verdict,
        count,
        format!("{count} backups recorded, each with size and root of the log and the digest of its manifest"),
    )
}

fn recoveries_recorded(report: &Report) -> Evidence {
    let count = events(report, &["imaging.ledger.recovered.v1"]);
    let verdict = if count > 0 { Verdict::Partial } else { Verdict::Manual };
    of(verdict, count, format!("{count} recoveries recorded, each with what was held and what was restored"))
}

fn sources_forgotten(report: &Report) -> Evidence {
    let count = events(report, &["imaging.source.forgotten.v1"]);
    let verdict = if count > 0 { Verdict::Partial } else { Verdict::Manual };
    of(verdict, count, format!("{count} times a study's places, copies and notes were erased, with a reason"))
}

fn no_evidence(_: &Report) -> Evidence {
    of(Verdict::Manual, 0, "nothing is recorded about this".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_reads_and_names_functions_that_exist_each_section_once() {
        let rows = table().expect("it reads");
        let sections: BTreeSet<&str> = rows.iter().map(|row| row.section.as_str()).collect();
        assert_eq!(sections.len(), rows.len());
        for row in &rows {
            assert!(
                EVIDENCE.iter().any(|(name, _)| *name == row.evidence),
                "{}: no evidence `{}`",
                row.section,
                row.evidence
            );
            assert!(["required", "addressable", "both"].contains(&row.reading.as_str()), "{}", row.section);
            assert!(!row.limit.is_empty(), "{}", row.section);
        }
        for (name, _) in EVIDENCE {
            assert!(rows.iter().any(|row| row.evidence == *name), "{name} serves no row");
        }
    }

    #[test]
    fn the_test_that_each_row_names_exists() {
        for row in table().expect("it reads") {
            let (file, function) = row.test.split_once('#').expect("file#function");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            let source = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}: no file {file}", row.section));
            assert!(source.contains(&format!("fn {function}(")), "{}: no test {function} in {file}", row.section);
        }
    }

    #[test]
    fn nothing_says_that_anybody_complies() {
        let page = format!("{TABLE}{}", include_str!("html/mod.rs")).to_lowercase();
        assert!(!page.contains("compliant") && !page.contains("complies"));
    }
}
