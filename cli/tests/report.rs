//! `medimg report`, as an auditor and a script meet it.

#[allow(dead_code)] // Each file of tests uses its part of it.
mod support;

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use support::{Done, Place};

fn processed() -> Place {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in").done().code, 1, "three are quarantined");
    place
}

fn report(place: &Place, format: &str, more: &[&str]) -> (Done, String) {
    let name = format!("report.{format}");
    let _ = fs::remove_file(place.path(&name));
    let line = [&["report", "--json", "--format", format, "-o", &name], more].concat();
    let done = place.run(&line).done();
    let text = fs::read_to_string(place.path(&name)).unwrap_or_default();
    (done, text)
}

fn json(place: &Place, more: &[&str]) -> Value {
    let (done, text) = report(place, "json", more);
    assert_eq!(done.code, 0, "{}", done.stderr);
    serde_json::from_str(&text).expect("one JSON object")
}

/// Objects by event type, and entries, as the ledger's own tables have them.
fn by_sql(place: &Place, below: i64) -> (BTreeMap<String, i64>, i64) {
    let ledger = rusqlite::Connection::open(place.store().join("ledger.sqlite")).expect("opens");
    let mut select = ledger
        .prepare(
            "SELECT json_extract(e.value, '$.type'), count(DISTINCT stream) FROM entries, json_each(body) AS e \
             WHERE gseq < ?1 GROUP BY 1",
        )
        .expect("the query is understood");
    let rows = select.query_map([below], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let counts = rows.collect::<Result<_, _>>().expect("every row reads");
    let entries = ledger.query_row("SELECT count(*) FROM entries WHERE gseq < ?1", [below], |row| row.get(0));
    (counts, entries.expect("a number"))
}

#[test]
fn the_counts_of_a_report_are_those_of_an_independent_query() {
    let place = processed();
    place.run(&["history", "--all"]).done();
    let report = json(&place, &[]);
    let (counts, entries) = by_sql(&place, report["seal"]["size"].as_i64().expect("a size"));
    assert_eq!(report["entries"], entries);
    let events: BTreeMap<String, i64> = serde_json::from_value(report["events"].clone()).expect("counts");
    assert_eq!(events, counts, "in the demo no stream says a type twice");
    for step in ["received", "ingested", "validated", "deidentified", "delivered", "quarantined"] {
        let full = if step == "received" { "object.received" } else { &format!("instance.{step}") };
        assert_eq!(report["funnel"][step], counts[&format!("imaging.{full}.v1")], "{step}");
    }
    assert_eq!((&report["funnel"]["objects"], &report["funnel"]["open"]), (&15.into(), &0.into()));
}

#[test]
fn the_same_size_of_the_log_gives_the_same_bytes_in_every_form() {
    let place = processed();
    for format in ["html", "json", "csv"] {
        let (first, text) = report(&place, format, &[]);
        let size = first.lines[0]["as_of_size"].to_string();
        let (second, again) = report(&place, format, &["--as-of", &size]);
        assert_eq!((first.code, second.code), (0, 0));
        assert!(!text.is_empty() && text == again, "{format}");
        assert_eq!(first.lines[0]["sha256"], second.lines[0]["sha256"]);
        let (third, grown) = report(&place, format, &[]);
        assert_eq!(third.lines[0]["as_of_size"].to_string(), (size.parse::<u64>().expect("a size") + 2).to_string());
        assert!(grown != text, "{format}: another seal is another report");
    }
    assert_eq!(report(&place, "json", &["--as-of", "100000"]).0.code, 2, "the log is not that long");
}

#[test]
fn that_a_report_was_made_is_recorded_and_the_next_one_shows_it() {
    let place = processed();
    let (made, _) = report(&place, "html", &[]);
    let next = json(&place, &[]);
    assert_eq!(next["events"]["imaging.report.exported.v1"], 1);
    let accesses = next["accesses"].as_array().expect("accesses");
    assert_eq!((accesses.len(), &accesses[0]["action"]), (1, &"report.exported html".into()));
    let all = place.run(&["history", "--all", "--json"]).done();
    let entry = all.lines.iter().find(|line| line["types"][0] == "imaging.report.exported.v1").expect("it is recorded");
    let said = &entry["events"][0]["data"];
    for field in ["sha256", "size_bytes", "as_of_size"] {
        assert_eq!(said[field], made.lines[0][field], "{field}");
    }
    assert_eq!(said["scope"], "all");
    assert!(entry["actor"].as_str().expect("an actor").starts_with("u:k1:"));
}

#[test]
fn a_study_by_any_of_its_names_gives_the_same_report_of_that_study_only() {
    let place = processed();
    let all = json(&place, &[]);
    let studies = all["studies"].as_array().expect("studies");
    let mr = studies.iter().find(|study| study["modalities"][0] == "MR").expect("the demo has an MR study");
    let (new, short) = (mr["new_uid"].as_str().expect("a UID"), mr["short_name"].as_str().expect("a name"));
    let original = place.original_study("in/mr");
    let size = all["seal"]["size"].to_string();
    let first = report(&place, "json", &["--study", new, "--as-of", &size]).1;
    for name in [short, &original] {
        assert_eq!(report(&place, "json", &["--study", name, "--as-of", &size]).1, first);
    }
    let told: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((&told["funnel"]["objects"], &told["funnel"]["delivered"]), (&3.into(), &3.into()));
    assert_eq!(told["scope"]["study"], mr["study"]);
    assert_eq!(told["objects"].as_array().expect("objects").len(), 3);
    assert_eq!(report(&place, "json", &["--study", "1.2.3.4"]).0.code, 1, "no entry is about it");
}

#[test]
fn a_span_of_time_holds_what_was_recorded_in_it() {
    let place = processed();
    let all = json(&place, &["--from", "1d"]);
    assert_eq!((&all["funnel"]["received"], &all["scope"]["kind"]), (&15.into(), &"span".into()));
    let none = json(&place, &["--to", "2020-01-01"]);
    assert_eq!((&none["entries"], &none["funnel"]["objects"]), (&0.into(), &0.into()));
    assert!(none["seal"]["size"].as_u64() > Some(0), "the seal is of the whole log");
    assert_eq!(report(&place, "html", &["--to", "2020-01-01"]).0.code, 0, "an empty report is a report");
    assert_eq!(report(&place, "json", &["--from", "2020-01-02", "--to", "2020-01-01"]).0.code, 2);
}

#[test]
fn another_file_under_the_name_is_kept_unless_forced_and_nothing_is_recorded() {
    let place = processed();
    fs::write(place.path("taken.html"), "mine").expect("written");
    let before = by_sql(&place, i64::MAX).1;
    let refused = place.run(&["report", "-o", "taken.html"]).done();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("error[report_exists]"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(place.path("taken.html")).expect("it is there"), "mine");
    assert_eq!(by_sql(&place, i64::MAX).1, before);
    assert_eq!(place.run(&["report", "-o", "taken.html", "--force"]).done().code, 0);
    let page = fs::read_to_string(place.path("taken.html")).expect("it is there");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    let left = fs::read_dir(place.path("")).expect("a folder").filter_map(Result::ok);
    assert!(!left.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains(".part-")));
}

#[test]
fn a_log_that_was_changed_gives_a_red_report_that_names_the_entry_and_is_not_recorded() {
    let place = processed();
    place.sql("UPDATE entries SET body = replace(body, '\"process\"', '\"watch\"') WHERE gseq = 0");
    let before = by_sql(&place, i64::MAX).1;
    let (done, page) = report(&place, "html", &[]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert_eq!(done.lines[0]["recorded"], false);
    assert!(page.contains("The log is not what was written") && page.contains("✗"), "the verdict is red");
    assert!(!page.contains("The log is sound"));
    assert_eq!(by_sql(&place, i64::MAX).1, before, "a log that does not verify gets no further entry");
}

#[test]
fn no_form_of_a_report_holds_what_identifies_a_patient_or_loads_anything() {
    let place = processed();
    let identifiers = place.identifiers();
    assert!(identifiers.len() > 5, "the demo has identifiers");
    for format in ["html", "json", "csv"] {
        let (_, text) = report(&place, format, &[]);
        for identifier in &identifiers {
            assert!(!text.contains(identifier.as_str()), "{format} holds an identifier of the demo");
        }
        assert!(!text.contains(place.path("").to_string_lossy().as_ref()), "{format} holds a path");
    }
    let page = report(&place, "html", &[]).1;
    for loads in ["<script", "src=", "url(", "@import", "http://", "https://", "<link"] {
        assert!(!page.contains(loads), "{loads}");
    }
}
