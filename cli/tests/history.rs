//! `medimg history` and `medimg views` as an operator and a script meet them: each condition, pages, what is recorded, and
//! what is told of nobody.

#[allow(dead_code, reason = "another test uses the rest")]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Done, Place};

fn processed() -> Place {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in").done().code, 1, "three are quarantined");
    place
}

fn asked(place: &Place, line: &[&str]) -> Done {
    let full: Vec<&str> = ["history", "--json"].iter().chain(line).copied().collect();
    let run = place.run(&full).done();
    assert_eq!(run.code, 0, "{line:?}: {}", run.stderr);
    run
}

/// The entries of an answer, without its last line.
fn entries(run: &Done) -> &[Value] {
    run.lines.split_last().expect("a last line").1
}

fn end(run: &Done) -> &Value {
    run.lines.last().expect("a last line")
}

fn streams(run: &Done) -> BTreeSet<String> {
    entries(run).iter().map(|entry| entry["stream"].as_str().expect("a stream").to_owned()).collect()
}

/// The value of a text attribute of the first file below a folder.
fn value(place: &Place, below: &str, name: &str) -> String {
    let mut files: Vec<_> =
        fs::read_dir(place.path(below)).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort_unstable();
    let object = dicom_object::open_file(&files[0]).expect("a file of the demo");
    let text = object.element_by_name(name).expect("an attribute").to_str().expect("text").into_owned();
    text.trim_end_matches(['\0', ' ']).to_owned()
}

#[test]
fn a_patient_and_an_accession_number_given_in_clear_lead_to_the_objects_and_are_told_nowhere() {
    let place = processed();
    let patient = value(&place, "in/mr", "PatientID");
    let issuer = fs::read_dir(place.path("in/mr")).expect("a folder").next().expect("a file").expect("a file").path();
    let issuer = dicom_object::open_file(issuer).expect("a file");
    let issuer = issuer
        .element_by_name("IssuerOfPatientID")
        .ok()
        .and_then(|value| value.to_str().ok().map(|t| t.trim().to_owned()));
    let mut line = vec!["--patient", patient.as_str()];
    if let Some(issuer) = &issuer {
        line.extend(["--issuer", issuer.as_str()]);
    }
    let by_study = asked(&place, &[&place.original_study("in/mr")]);
    let by_patient = asked(&place, &line);
    let acts = |run: &Done| {
        entries(run).iter().filter(|entry| entry["actor"].as_str().expect("an actor").starts_with("u:")).count()
    };
    assert_eq!(acts(&by_patient), 0);
    assert!(streams(&by_study).is_subset(&streams(&by_patient)), "the study's objects are the patient's");
    let accession = value(&place, "in/mr", "AccessionNumber");
    let by_accession = asked(&place, &["--accession", &accession]);
    assert_eq!(streams(&by_accession), streams(&by_study));
    let again = asked(&place, &["--accession", &accession]);
    assert_eq!(acts(&again), 1, "that somebody asked is part of what is known of the number");
    let joined = asked(&place, &["--accession", &accession, "--patient", "NO-SUCH"]);
    assert!(entries(&joined).is_empty(), "conditions are joined");
    let kept =
        ["ledger.sqlite", "ledger.sqlite-wal", "views.sqlite", "views.sqlite-wal"].map(|name| place.store().join(name));
    let mut told: Vec<u8> = kept.into_iter().flat_map(|file| fs::read(file).unwrap_or_default()).collect();
    let people = place.run(&["history", "--patient", &patient, "--accession", &accession, "--limit", "1"]).done();
    for run in [&by_study, &by_patient, &by_accession, &joined, &people] {
        told.extend(run.stdout.bytes().chain(run.stderr.bytes()));
    }
    for identifier in place.identifiers().iter().chain([&patient, &accession]) {
        assert!(!told.windows(identifier.len()).any(|window| window == identifier.as_bytes()), "{identifier}");
    }
}

#[test]
fn entries_are_chosen_by_type_actor_outcome_reason_time_and_stream() {
    let place = processed();
    let received = asked(&place, &["--type", "object.received"]);
    assert_eq!(entries(&received).len(), 15);
    assert!(entries(&received).iter().all(|entry| entry["types"][0] == "imaging.object.received.v1"));
    let two = asked(&place, &["--type", "object.received,imaging.instance.quarantined.v1"]);
    assert_eq!(entries(&two).len(), 18);
    let refused = asked(&place, &["--outcome", "quarantined"]);
    assert_eq!(streams(&refused).len(), 3);
    assert_eq!(streams(&asked(&place, &["--outcome", "refused"])), streams(&refused));
    assert_eq!(streams(&asked(&place, &["--outcome", "delivered"])).len(), 12);
    assert!(entries(&asked(&place, &["--outcome", "open"])).is_empty());
    let judged = asked(&place, &["--reason", "pixels_not_judged"]);
    assert!(!entries(&judged).is_empty() && streams(&judged).is_subset(&streams(&refused)));
    let step = asked(&place, &["--actor", "system:delivery"]);
    assert_eq!(entries(&step).len(), 12);
    let stream = entries(&step)[0]["stream"].as_str().expect("a stream").to_owned();
    let one = asked(&place, &["--stream", &stream]);
    assert_eq!(entries(&one).iter().map(|entry| entry["seq"].clone()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(entries(&asked(&place, &["--object", &stream, "--type", "instance.delivered"])).len(), 1);
    let study = place.original_study("in/mr");
    assert_eq!(entries(&asked(&place, &[&study, "--actor", "system:delivery"])).len(), 3);
    assert_eq!(entries(&asked(&place, &["--from", "1h", "--type", "instance.delivered"])).len(), 12);
    assert!(entries(&asked(&place, &["--to", "1h", "--type", "instance.delivered"])).is_empty());
    let queried = asked(&place, &["--type", "history.queried"]);
    let mine = asked(&place, &["--actor", entries(&queried)[0]["actor"].as_str().expect("an actor")]);
    assert!(entries(&mine).len() > 10, "what I asked until now");
    assert!(entries(&mine).iter().all(|entry| entry["types"][0] == "imaging.history.queried.v1"));
}

#[test]
fn what_somebody_asked_is_found_by_their_name_which_stands_nowhere() {
    let place = processed();
    asked(&place, &["--all"]);
    // The name under which the system knows whoever runs the tests, as the program reads it.
    let id = fs::metadata(place.store()).map(|found| std::os::unix::fs::MetadataExt::uid(&found)).expect("the store");
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()));
    let name = line.and_then(|line| line.split(':').next()).map_or_else(|| format!("uid {id}"), str::to_owned);
    let mine = asked(&place, &["--actor", &name]);
    assert_eq!(entries(&mine).len(), 1, "the question before this one");
    let again = asked(&place, &["--actor", &name]);
    let data = &entries(&again)[1]["events"][0]["data"];
    assert_eq!((&data["query"], &data["matched"]), (&"actor".into(), &1.into()));
}

#[test]
fn an_answer_comes_in_pages_that_leave_nothing_out_and_say_nothing_twice() {
    let place = processed();
    for (line, limit) in [
        (&["--type", "object.received,instance.delivered"][..], "4"),
        (&["--outcome", "delivered"], "7"),
        (&["--all", "--to", "2100-01-01"], "9"),
    ] {
        let upto = asked(&place, line);
        let whole: Vec<_> = entries(&upto).iter().map(|entry| entry["leaf"].clone()).collect();
        let (mut seen, mut after) = (Vec::new(), None::<u64>);
        for _ in 0..40 {
            let text = after.map(|after| after.to_string());
            let mut page = [line, &["--limit", limit]].concat();
            page.extend(text.iter().flat_map(|after| ["--after", after.as_str()]));
            let run = asked(&place, &page);
            assert_eq!(end(&run)["shown"], entries(&run).len());
            seen.extend(entries(&run).iter().map(|entry| entry["leaf"].clone()));
            after = end(&run)["next_after"].as_u64();
            assert_eq!(after.is_some(), end(&run)["more"].as_u64() > Some(0));
            if after.is_none() || seen.len() >= whole.len() {
                break;
            }
        }
        assert_eq!(seen[..whole.len()], whole, "{line:?}");
    }
    let told = place.run(&["history", "--type", "object.received", "--limit", "4"]).done().stdout;
    assert!(
        told.contains("… 11 more entries, next: medimg history --type object.received --limit 4 --after "),
        "{told}"
    );
    assert_eq!(told.lines().count(), 6);
}

/// Whether a value is what a schema of the kinds used here allows.
fn allows(schema: &Value, value: &Value, root: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return allows(&root["$defs"][name], value, root);
    }
    if let Some(any) = schema["oneOf"].as_array() {
        return any.iter().filter(|one| allows(one, value, root)).count() == 1;
    }
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("null") => value.is_null(),
        other => panic!("a kind that this test does not know: {other:?}"),
    };
    let kind = &schema["type"];
    if !kind.as_array().map_or_else(|| is(kind), |kinds| kinds.iter().any(is)) {
        return false;
    }
    let items = value.as_array().is_none_or(|items| items.iter().all(|item| allows(&schema["items"], item, root)));
    let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return items };
    let required = schema["required"].as_array().expect("a list");
    required.iter().all(|name| fields.contains_key(name.as_str().expect("a name")))
        && fields.iter().all(|(name, field)| known.get(name).is_some_and(|schema| allows(schema, field, root)))
}

#[test]
fn every_line_for_a_program_is_as_its_schema_says() {
    let place = processed();
    let schema =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/history.v1.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    for line in [&["--all"][..], &["--all", "--limit", "3"], &["--outcome", "quarantined"], &["--accession", "NONE"]] {
        let run = asked(&place, line);
        assert!(run.lines.iter().all(|line| allows(&schema, line, &schema)), "{line:?}");
        assert_eq!(run.stdout.lines().count(), run.lines.len(), "nothing but JSON");
    }
    let mut wrong = asked(&place, &["--all", "--limit", "1"]).lines.remove(0);
    wrong["path"] = "x".into();
    assert!(!allows(&schema, &wrong, &schema), "the check can say no");
}

#[test]
fn a_word_that_is_none_of_ours_is_a_usage_error_that_does_not_repeat_it() {
    let place = processed();
    for line in [
        &["--outcome", "DOE^JANE"][..],
        &["--reason", "DOE^JANE"],
        &["--type", "DOE^JANE"],
        &["--stream", "DOE^JANE"],
        &["--actor", "system:DOE^JANE"],
        &["--from", "DOE^JANE"],
        &["--limit", "DOE^JANE", "--all"],
        &["--limit", "0", "--all"],
        &["--from", "2026-01-02", "--to", "2026-01-01"],
        &["--issuer", "DOE^JANE"],
        &["--all", "--outcome", "open"],
        &[],
    ] {
        let full: Vec<&str> = ["history"].iter().chain(line).copied().collect();
        let run = place.run(&full).done();
        assert_eq!(run.code, 2, "{line:?}: {}", run.stderr);
        assert!(!run.stderr.contains("DOE") && run.stdout.is_empty(), "{line:?}: {}", run.stderr);
    }
}

#[test]
fn the_views_are_made_of_the_ledger_and_built_anew_are_equal() {
    let place = processed();
    assert!(
        !place.store().join("views.sqlite").exists(),
        "in a young store no study can be idle: nothing asked for views"
    );
    assert_eq!(place.run(&["views", "refresh"]).done().code, 0);
    let rebuilt = place.run(&["views", "rebuild", "--json"]).done();
    assert_eq!((rebuilt.code, &rebuilt.lines[0]["compared"]), (0, &"equal".into()), "{}", rebuilt.stderr);
    assert_eq!(rebuilt.lines[0]["as_of_size"], 68);
    let before = asked(&place, &["--outcome", "delivered"]).stdout;
    for name in ["views.sqlite", "views.sqlite-wal", "views.sqlite-shm"] {
        let _ = fs::remove_file(place.store().join(name));
    }
    let told = place.run(&["views", "rebuild"]).done();
    assert_eq!((told.code, told.stdout.as_str()), (0, "views built anew as of size 69; there were none before\n"));
    let after = asked(&place, &["--outcome", "delivered"]);
    assert_eq!(before.lines().count(), after.stdout.lines().count());
    let views = rusqlite::Connection::open(place.store().join("views.sqlite")).expect("opens");
    views.execute_batch("UPDATE streams SET standing = 0").expect("altered");
    drop(views);
    let lied = place.run(&["history", "--outcome", "delivered"]).done();
    assert_eq!((lied.code, lied.error().as_str()), (3, "views_differ"), "a row that the ledger does not bear out");
    assert!(lied.stderr.contains("medimg views rebuild"), "{}", lied.stderr);
    let found = place.run(&["views", "rebuild"]).done();
    assert_eq!(found.code, 3, "what they answered may have been wrong");
    assert!(found.stdout.contains("the old ones differed (streams: "), "{}", found.stdout);
    assert_eq!(place.run(&["history", "--outcome", "delivered"]).done().code, 0);
    let views = rusqlite::Connection::open(place.store().join("views.sqlite")).expect("opens");
    views.execute_batch("DELETE FROM tags WHERE stream = (SELECT min(stream) FROM tags)").expect("altered");
    drop(views);
    let study = ["in/ct", "in/mr", "in/us"].map(|folder| place.original_study(folder));
    let silent = study.iter().filter(|study| place.run(&["history", study]).done().error() == "views_differ").count();
    assert!(silent > 0, "a stream that the views leave out is missed");
    assert_eq!(place.run(&["views", "rebuild"]).done().code, 3);
    fs::write(place.store().join("views.sqlite"), [9; 100]).expect("written");
    let _ = fs::remove_file(place.store().join("views.sqlite-wal"));
    let broken = place.run(&["history", "--all"]).done();
    assert_eq!((broken.code, broken.error().as_str()), (3, "views_damaged"));
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0, "work goes on without views");
    assert_eq!(place.run(&["views", "rebuild"]).done().code, 0);
    assert_eq!(place.run(&["history", "--all"]).done().code, 0);
}

#[test]
fn an_older_ledger_is_not_answered_from_the_views_of_a_longer_one() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let ledger = place.store().join("ledger.sqlite");
    let older = fs::read(&ledger).expect("read");
    place.run(&["process"]).path("in").done();
    asked(&place, &["--all"]);
    fs::write(&ledger, older).expect("restored");
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(place.store().join(format!("ledger.sqlite{end}")));
    }
    let refused = place.run(&["history", "--all"]).done();
    assert_eq!((refused.code, refused.error().as_str()), (3, "consumer_ahead"));
    assert!(refused.stderr.contains("medimg views rebuild"), "{}", refused.stderr);
    let told = place.run(&["views", "rebuild"]).done();
    assert!(told.stdout.contains("the old ones could not be compared: consumer_ahead"), "{}", told.stdout);
    // The views are right again; that the log is older than its published checkpoint stays wrong.
    assert_eq!((told.code, told.error().as_str()), (3, "ledger_rolled_back"));
    let answer = place.run(&["history", "--all", "--json"]).done();
    assert_eq!((answer.code, entries(&answer).len()), (3, 15), "{}", answer.stderr);
}

#[test]
fn a_study_is_completed_when_nothing_came_and_reopened_by_a_late_object() {
    let place = Place::with_demo();
    let now = [("MEDIMG_STUDY_IDLE_MS", "0")];
    place.run(&["process"]).path("in/mr").done();
    let study = place.original_study("in/mr");
    assert!(!asked(&place, &[&study]).stdout.contains("study.completed"), "nothing is idle for ten minutes yet");
    place.run(&["process"]).path("in/mr").env(now).done();
    let said = asked(&place, &["--type", "study.completed"]);
    let data = &entries(&said)[0]["events"][0]["data"];
    assert_eq!((&data["instances"], &data["delivered"], &data["quarantined"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!(entries(&said)[0]["actor"], "system:sweeper");
    assert!(asked(&place, &[&study]).stdout.contains("study.completed"), "it is part of the study's history");
    let refreshed = place.run(&["views", "refresh", "--json"]).env(now).done();
    assert_eq!(
        (&refreshed.lines[0]["studies_completed"], &refreshed.lines[0]["studies_reopened"]),
        (&0.into(), &0.into())
    );
    assert_eq!(place.run(&["verify"]).done().code, 0);
    assert_eq!(place.run(&["views", "rebuild", "--json"]).done().lines[0]["compared"], "equal");
}

#[test]
fn views_that_were_followed_through_kills_equal_those_built_anew() {
    let place = Place::with_demo();
    let now = [("MEDIMG_STUDY_IDLE_MS", "0")];
    let mut killed = 0;
    for turn in 0..24 {
        let wait = std::time::Duration::from_millis(10 + turn * 15);
        let line: &[&str] = if turn % 3 == 2 { &["views", "refresh"] } else { &["process", "in", "--accept-pixels"] };
        killed += u32::from(!place.run(line).env(now).killed_after(wait));
        if turn % 6 == 5 {
            place.run(&["views", "rebuild"]).killed_after(wait / 4);
        }
    }
    assert!(killed > 0, "no call was killed at work");
    let run = place.run(&["process", "in", "--accept-pixels", "--json"]).env(now).done();
    assert_eq!(run.lines.last().expect("a summary")["summary"]["pending"], 0, "{}", run.stderr);
    assert_eq!(place.run(&["verify"]).done().code, 0);
    let rebuilt = place.run(&["views", "rebuild", "--json"]).done();
    assert_eq!(
        (rebuilt.code, &rebuilt.lines[0]["compared"]),
        (0, &"equal".into()),
        "{} {}",
        rebuilt.stdout,
        rebuilt.stderr
    );
    let studies = asked(&place, &["--type", "study.completed"]);
    assert!(!entries(&studies).is_empty(), "the sweeper spoke");
}
