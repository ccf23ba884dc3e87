//! What a replay did or would do: one line of counts, then the streams that were left as they are, by cause.

use std::collections::BTreeMap;

use domain::upload::Kept;
use handlers::replay::plan::Plan;
use handlers::replay::{Left, Why, skipped};
use handlers::runner::replay::Replayed;
use handlers::runner::report::Summary;
use serde_json::{Value, json};

use super::colour::{Style, Tone};
use super::item::printable;
use crate::advice;
use crate::run::Places;

/// Streams that are named under one cause; the others are counted.
const NAMED_MAX: usize = 12;

/// To whom it is told, and of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// Nothing was done.
    pub(crate) dry: bool,
    /// A person reads along at their own terminal, who may see a path.
    pub(crate) terminal: bool,
    /// Where the objects lie that were left.
    pub(crate) places: &'a Places,
}

/// Returns what a replay did, or would have done, for people.
pub(crate) fn replayed(replayed: &Replayed, told: &Told<'_>, style: Style) -> String {
    let counts = &replayed.counts;
    let fresh = counts.delivered - counts.already_done;
    let untouched = replayed.left.iter().filter(|left| left.why == Why::Kept(Kept::AlreadyDone)).count() as u64;
    let already_done = counts.already_done + untouched;
    let line = if told.dry {
        let parts = [
            Some(format!("would redo {}", steps_of(counts.steps, counts.streams))),
            Some(format!("would deliver {fresh}")),
            some(already_done, |n| format!("would not deliver {n} again (already done)")),
            some(counts.quarantined, |n| format!("would quarantine {n}")),
            some(counts.failed, |n| format!("{n} would fail")),
            some(replayed.pending, |n| format!("{n} would wait: the rule is switched off")),
            sources(&replayed.left),
        ];
        joined(&parts)
    } else {
        let parts = [
            Some(format!("redid {}", steps_of(counts.steps, counts.streams))),
            Some(format!("delivered {fresh}")),
            some(already_done, |n| format!("did not deliver {n} again (already done)")),
            some(counts.quarantined, |n| format!("{n} quarantined")),
            some(counts.failed, |n| format!("{n} failed")),
            some(replayed.pending, |n| format!("{n} pending")),
            sources(&replayed.left),
        ];
        let continued = if replayed.continued { "; went on with a replay that had been stopped" } else { "" };
        format!("{}{continued}", joined(&parts))
    };
    let mut text = left(&replayed.left, told, style);
    text.push_str(&style.paint(Tone::Strong, &line));
    text.push('\n');
    let note = match (told.dry, replayed.completed) {
        (true, _) => "nothing was written".to_owned(),
        (false, true) => format!("replay {}, recorded with its end", replayed.run),
        (false, false) => format!("replay {}, not at its end: the same command goes on with it", replayed.run),
    };
    text.push_str(&format!("{}\n", style.paint(Tone::Dim, &note)));
    text
}

/// Returns what a replay would do, for people.
pub(crate) fn plan(plan: &Plan, told: &Told<'_>, style: Style) -> String {
    let parts = [
        some(plan.unfinished, |n| format!("would first take up {n} without an end")),
        Some(format!("would redo {}", steps_of(plan.steps, plan.streams))),
        Some(format!("would deliver {}", plan.deliver)),
        some(plan.already_done, |n| format!("would not deliver {n} again (already done)")),
        some(plan.may_conflict, |n| {
            format!("{n} delivered under another profile would end as dup_conflict if their bytes differ")
        }),
        some(plan.waiting, |n| format!("{n} would wait: the rule is switched off")),
        sources(&plan.left),
    ];
    let mut text = left(&plan.left, told, style);
    text.push_str(&style.paint(Tone::Strong, &joined(&parts)));
    let note = "if each step goes through; nothing was written, and no object was read: --deep reads them";
    text.push_str(&format!("\n{}\n", style.paint(Tone::Dim, &format!("as of size {}; {note}", plan.as_of_size))));
    text
}

fn some(count: u64, told: impl FnOnce(u64) -> String) -> Option<String> {
    (count > 0).then(|| told(count))
}

/// Says how many sources are gone, changed or unreadable.
fn sources(left: &[Left]) -> Option<String> {
    let count = |codes: &[&str]| left.iter().filter(|left| codes.contains(&left.code())).count() as u64;
    let verb = |n: u64| if n == 1 { "source is" } else { "sources are" };
    let told = [
        some(count(&["source_gone", "source_unknown"]), |n| format!("{n} {} gone", verb(n))),
        some(count(&["source_changed"]), |n| format!("{n} {} changed", verb(n))),
        some(count(&["source_unreadable", "source_io"]), |n| format!("{n} {} unreadable", verb(n))),
    ];
    Some(joined(&told)).filter(|text| !text.is_empty())
}

fn joined(parts: &[Option<String>]) -> String {
    parts.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn steps_of(steps: u64, streams: u64) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    format!("{steps} step{} of {streams} object{}", plural(steps), plural(streams))
}

/// Returns the streams that were left, by cause; those that need nobody are only counted.
fn left(left: &[Left], told: &Told<'_>, style: Style) -> String {
    let mut groups: BTreeMap<&'static str, Vec<&Left>> = BTreeMap::new();
    for one in left.iter().filter(|left| left.needs_a_person()) {
        groups.entry(one.code()).or_default().push(one);
    }
    let mut text = String::new();
    for (code, group) in groups {
        let heading = style.paint(Tone::Warn, &format!("{} left as they are: {code}", group.len()));
        text.push_str(&format!("{heading}  {}\n", advice::on(code).next));
        for one in group.iter().take(NAMED_MAX) {
            text.push_str(&format!("    {}\n", name(one, told)));
        }
        if group.len() > NAMED_MAX {
            text.push_str(&format!("    and {} more; --json names all\n", group.len() - NAMED_MAX));
        }
    }
    text
}

fn name(left: &Left, told: &Told<'_>) -> String {
    let place = told.places.get(&left.stream).filter(|_| told.terminal);
    let place = place.map(|path| format!("  {}", printable(&path.to_string_lossy()))).unwrap_or_default();
    let detail = match left.why {
        Why::Kept(Kept::ProfileDiffers { recorded, current }) => format!("  recorded {recorded}, in force {current}"),
        Why::Kept(Kept::StepNotReached { reached }) => format!("  ended at {reached}"),
        Why::Kept(Kept::Quarantined(reason)) => format!("  {reason}"),
        _ => String::new(),
    };
    format!("{}{place}{detail}", left.stream)
}

/// Returns each stream that was left, for a program: by its id, never by its path.
pub(crate) fn left_lines(left: &[Left]) -> impl Iterator<Item = Value> {
    left.iter().map(|left| {
        let mut line = json!({ "stream": left.stream.to_string(), "left": left.code() });
        match left.why {
            Why::Kept(Kept::ProfileDiffers { recorded, current }) => {
                line["recorded"] = json!(recorded);
                line["current"] = json!(current);
            }
            Why::Kept(Kept::StepNotReached { reached }) => line["reached"] = json!(reached),
            Why::Kept(Kept::Quarantined(reason)) => line["reason"] = json!(reason),
            _ => {}
        }
        line
    })
}

/// Returns the counts of a replay for a program.
pub(crate) fn replayed_line(replayed: &Replayed, summary: &Summary, told: &Told<'_>) -> Value {
    let counts = &replayed.counts;
    json!({ "replay": {
        "run": if told.dry { Value::Null } else { json!(replayed.run) },
        "dry_run": told.dry,
        "continued": replayed.continued,
        "completed": replayed.completed && !told.dry,
        "as_of_size": replayed.as_of_size,
        "resumed": summary.resumed,
        "streams": counts.streams,
        "steps": counts.steps,
        "delivered": counts.delivered,
        "already_done": counts.already_done,
        "quarantined": counts.quarantined,
        "failed": counts.failed,
        "pending": replayed.pending,
        "skipped": skipped(&replayed.left),
    }})
}

/// Returns the counts of a plan for a program.
pub(crate) fn plan_line(plan: &Plan) -> Value {
    json!({ "plan": {
        "as_of_size": plan.as_of_size,
        "unfinished": plan.unfinished,
        "streams": plan.streams,
        "steps": plan.steps,
        "deliver": plan.deliver,
        "already_done": plan.already_done,
        "may_conflict": plan.may_conflict,
        "waiting": plan.waiting,
        "skipped": skipped(&plan.left),
    }})
}

#[cfg(test)]
mod tests {
    use domain::events::Digest;
    use domain::ids::StreamId;
    use domain::workflow::Step;

    use super::*;

    fn left(why: Why) -> Left {
        Left { stream: StreamId::parse("0123456789abcdef0123456789abcdef").expect("a stream"), why }
    }

    #[test]
    fn a_plan_is_one_line_of_counts_below_what_a_person_has_to_look_at() {
        let gone = left(Why::Failed("source_gone"));
        let plan = Plan {
            as_of_size: 99,
            streams: 5,
            steps: 14,
            deliver: 2,
            already_done: 3,
            left: vec![gone, left(Why::Kept(Kept::AlreadyDone))],
            ..Plan::default()
        };
        let path = std::path::PathBuf::from("in/DOE^JANE.dcm");
        let places = Places::from([(plan.left[0].stream, path)]);
        let piped = super::plan(&plan, &Told { dry: true, terminal: false, places: &places }, Style::PLAIN);
        let counts = "would redo 14 steps of 5 objects, would deliver 2, would not deliver 3 again (already done), 1 source is gone";
        assert_eq!(piped.lines().nth(2), Some(counts), "{piped}");
        assert!(piped.starts_with("1 left as they are: source_gone") && !piped.contains("DOE"));
        let shown = super::plan(&plan, &Told { dry: true, terminal: true, places: &places }, Style::PLAIN);
        assert!(shown.contains("0123456789abcdef0123456789abcdef  in/DOE^JANE.dcm\n"), "{shown}");
    }

    #[test]
    fn each_stream_that_is_left_says_what_a_person_needs_to_know() {
        let (recorded, current) = (Digest([1; 32]), Digest([2; 32]));
        let all = [
            left(Why::Kept(Kept::ProfileDiffers { recorded, current })),
            left(Why::Kept(Kept::StepNotReached { reached: Step::Ingestion })),
            left(Why::Kept(Kept::Quarantined(domain::Reason::Vr))),
        ];
        let lines: Vec<Value> = left_lines(&all).collect();
        assert_eq!((&lines[0]["recorded"], &lines[0]["current"]), (&json!(recorded), &json!(current)));
        assert_eq!((&lines[1]["reached"], &lines[2]["reason"]), (&json!("ingestion"), &json!("vr")));
        let places = Places::new();
        let told = super::left(&all, &Told { dry: false, terminal: false, places: &places }, Style::PLAIN);
        assert!(
            told.contains(&format!("recorded {recorded}, in force {current}")) && told.contains("ended at ingestion")
        );
    }
}
