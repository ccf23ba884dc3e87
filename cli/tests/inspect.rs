//! `diff`, `explain`, `why` and `follow` on the demo's files: what they tell, what they find, and what they must not show.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Done, Place};

/// Processes the demo and returns each delivered file with its key, in walk order.
fn delivered(place: &Place) -> Vec<(String, String)> {
    let run = place.run(&["process", "--json"]).path("in").done();
    let mut files = place.demo_files();
    files.sort_unstable();
    let pair = |report: &Value| {
        let number = usize::try_from(report["item"].as_u64()?).ok()?;
        Some((files.get(number.checked_sub(1)?)?.clone(), report["key"].as_str()?.to_owned()))
    };
    let mut pairs: Vec<_> = run.lines.iter().filter_map(pair).collect();
    pairs.sort_unstable();
    assert_eq!(pairs.len(), 12, "{}", run.stderr);
    pairs
}

fn diff(place: &Place, line: &[&str], raw: &str, out: &str) -> Done {
    let mut words = vec!["diff"];
    words.extend(line);
    place.run(&words).path(raw).path(out).done()
}

/// Returns the summary and the changes of a `diff --json`.
fn read(done: &Done) -> (&Value, &[Value]) {
    let (last, changes) = done.lines.split_last().expect("a summary");
    (&last["diff"], changes)
}

fn is_ct(pair: &&(String, String)) -> bool {
    pair.0.starts_with("in/ct/")
}

#[test]
fn every_change_of_the_demo_is_explained_and_none_shows_a_value() {
    let place = Place::with_demo();
    let identifiers = place.identifiers();
    assert!(identifiers.len() > 20, "the demo has canaries");
    for (raw, key) in delivered(&place) {
        let out = format!("store/processed/{key}");
        let done = diff(&place, &["--json"], &raw, &out);
        let (summary, changes) = read(&done);
        assert_eq!((done.code, &summary["unexplained"]), (0, &0.into()), "{raw}: {}{}", done.stdout, done.stderr);
        assert!(changes.len() > 20 && changes.iter().all(|change| change["explained"] == true));
        let named = |path: &str| changes.iter().find(|change| change["path"] == path).expect("told");
        let name = named("(0010,0010)");
        assert_eq!((&name["action"], &name["rule"], &name["change"]), (&"U".into(), &"r72".into(), &"replaced".into()));
        assert_eq!(named("(0012,0062)")["rule"], "profile");
        assert_ne!(summary["identical_pixel_data"], false);
        let told = diff(&place, &[], &raw, &out);
        assert_eq!(told.code, 0);
        assert!(told.stdout.contains("every change is explained by entry 3"), "{}", told.stdout);
        for text in [&done.stdout, &done.stderr, &told.stdout, &told.stderr] {
            let leaked = identifiers.iter().find(|identifier| text.contains(identifier.as_str()));
            assert_eq!(leaked, None, "{raw}");
        }
    }
}

#[test]
fn a_byte_changed_in_a_kept_attribute_is_found_and_named() {
    let place = Place::with_demo();
    let pairs = delivered(&place);
    let (raw, key) = pairs.iter().find(is_ct).expect("a CT");
    let mut bytes = fs::read(place.store().join("processed").join(key)).expect("delivered");
    let header = [&[0x18, 0x00, 0x50, 0x00][..], b"DS"].concat();
    let at = bytes.windows(6).position(|window| window == header).expect("Slice Thickness is kept");
    bytes[at + 8] = if bytes[at + 8] == b'9' { b'8' } else { b'9' };
    fs::write(place.path("changed.dcm"), &bytes).expect("written");
    let done = diff(&place, &["--json"], raw, "changed.dcm");
    let (summary, changes) = read(&done);
    let unexplained: Vec<_> = changes.iter().filter(|change| change["explained"] == false).collect();
    assert_eq!((done.code, unexplained.len()), (1, 1), "{unexplained:?}");
    assert_eq!(
        (&unexplained[0]["path"], &unexplained[0]["attribute"]),
        (&"(0018,0050)".into(), &"SliceThickness".into())
    );
    assert_eq!(
        (&summary["record"]["out_is_written"], &summary["record"]["raw_is_received"]),
        (&false.into(), &true.into())
    );
    let told = diff(&place, &[], raw, "changed.dcm");
    assert!(told.stdout.contains("UNEXPLAINED") && told.stdout.contains("OUT is not what was written"));
}

#[test]
fn a_line_of_the_receipt_without_its_change_is_told() {
    let place = Place::with_demo();
    let pairs = delivered(&place);
    let (raw, _) = pairs.iter().find(is_ct).expect("a CT");
    // Delivered is, so somebody says, the very object that was received.
    let done = diff(&place, &["--json"], raw, raw);
    let (summary, lines) = read(&done);
    assert_eq!((done.code, &summary["changes"]), (1, &0.into()));
    assert!(
        lines.iter().any(|line| line["path"] == "(0010,0010)" && line["change"].is_null() && line["action"] == "U")
    );
    assert!(summary["unexplained"].as_u64().expect("a number") > 40);
}

#[test]
fn a_changed_pixel_is_told_as_such() {
    let place = Place::with_demo();
    let pairs = delivered(&place);
    let (raw, key) = pairs.iter().find(is_ct).expect("a CT");
    let mut bytes = fs::read(place.store().join("processed").join(key)).expect("delivered");
    *bytes.last_mut().expect("pixels stand last") ^= 1;
    fs::write(place.path("changed.dcm"), &bytes).expect("written");
    let done = diff(&place, &["--json"], raw, "changed.dcm");
    let (summary, changes) = read(&done);
    assert_eq!((done.code, &summary["identical_pixel_data"]), (1, &false.into()));
    assert!(changes.iter().any(|change| change["path"] == "(7FE0,0010)" && change["explained"] == false));
}

#[test]
fn without_a_store_changes_are_shown_and_not_judged_and_a_store_without_the_object_explains_nothing() {
    let place = Place::with_demo();
    let pairs = delivered(&place);
    let (raw, key) = pairs.iter().find(is_ct).expect("a CT");
    let out = format!("store/processed/{key}");
    let done = diff(&place, &["--json", "--store", "no-such-store"], raw, &out);
    let (summary, changes) = read(&done);
    assert_eq!((done.code, &summary["record"], &summary["unexplained"]), (0, &Value::Null, &Value::Null));
    assert!(changes.len() > 20 && changes.iter().all(|change| change["explained"].is_null()));
    assert!(!place.path("no-such-store").exists(), "asking makes no store");
    place.run(&["process", "--store", "other"]).path("in/mr").done();
    let other = diff(&place, &["--json", "--store", "other"], raw, &out);
    assert_eq!((other.code, &read(&other).0["record"]), (1, &Value::Null));
    // A raw object that was moved is found by its study.
    fs::rename(place.path(raw), place.path("moved.dcm")).expect("moved");
    assert_eq!(diff(&place, &["--json"], "moved.dcm", &out).code, 0);
}

#[test]
fn values_are_for_a_terminal_and_what_is_no_object_is_refused() {
    let place = Place::with_demo();
    let pairs = delivered(&place);
    let (raw, key) = pairs.iter().find(is_ct).expect("a CT");
    let out = format!("store/processed/{key}");
    for line in [&["--show-values"][..], &["--show-values", "--json"]] {
        let done = diff(&place, line, raw, &out);
        assert_eq!((done.code, done.error().as_str(), done.stdout.as_str()), (2, "values_need_terminal", ""));
    }
    fs::write(place.path("DOE^JANE.txt"), "no DICOM").expect("written");
    let refused = diff(&place, &[], raw, "DOE^JANE.txt");
    assert_eq!((refused.code, refused.error().as_str()), (1, "object_refused"));
    assert!(refused.stderr.contains("OUT was scanned: not_dicom") && !refused.stderr.contains("DOE"));
    assert_eq!(diff(&place, &[], raw, "DOE^JOHN").error(), "source_gone");
    let all = place.run(&["history", "--all", "--json"]).done();
    assert!(!all.stdout.contains("object.accessed"), "nothing was shown");
}

/// Runs `medimg` on a terminal of its own and returns its exit code and what the terminal showed.
fn on_a_terminal(place: &Place, line: &[&str]) -> (i32, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("text");
    let slave = fs::File::options().read(true).write(true).open(name).expect("opened");
    let mut command = Command::new(env!("CARGO_BIN_EXE_medimg"));
    command.args(line).env_clear().env("MEDIMG_STORE", "store").env("NO_COLOR", "1").current_dir(place.path(""));
    let mut child = command.stdout(slave).stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("starts");
    drop(command);
    let (mut shown, mut block) = (Vec::new(), [0; 4_096]);
    // Once nobody holds the other end, reading is an error (EIO).
    while let Ok(len) = std::io::Read::read(&mut fs::File::from(master.try_clone().expect("a handle")), &mut block) {
        shown.extend_from_slice(&block[..len]);
        if len == 0 {
            break;
        }
    }
    (child.wait().expect("ends").code().expect("by itself"), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn values_are_shown_on_a_terminal_when_asked_for_and_that_is_recorded() {
    let place = Place::with_demo();
    let pairs = delivered(&place);
    let (raw, key) = pairs.iter().find(is_ct).expect("a CT");
    let out = format!("store/processed/{key}");
    let object = dicom_object::open_file(place.path(raw)).expect("a file of the demo");
    let name = object.element_by_name("PatientName").expect("a name").to_str().expect("text").into_owned();
    let (code, shown) = on_a_terminal(&place, &["diff", raw, &out]);
    assert_eq!(code, 0);
    assert!(shown.contains("PatientName") && !shown.contains(name.trim_end()), "no value unless asked for");
    let (code, shown) = on_a_terminal(&place, &["diff", "--show-values", raw, &out]);
    assert_eq!(code, 0);
    assert!(shown.contains(name.trim_end()));
    let all = place.run(&["history", "--all", "--json"]).done();
    let read: Vec<_> = all.lines.iter().filter(|line| line["types"][0] == "imaging.object.accessed.v1").collect();
    assert_eq!(read.len(), 1, "the one time that values were shown");
    let said = &read[0]["events"][0]["data"];
    let streams: Vec<_> = all.lines.iter().map(|line| &line["stream"]).collect();
    assert!(said["purpose"] == "diff" && streams.contains(&&said["object"]) && read[0]["subject"].is_string());
    assert!(read[0]["actor"].as_str().expect("an actor").starts_with("u:k1:"));
    assert_eq!(place.run(&["verify"]).done().code, 0);
}

#[test]
fn an_attribute_is_explained_by_keyword_number_and_path() {
    let place = Place::with_demo();
    let by_name = place.run(&["explain", "--json", "PatientName"]).done();
    let by_number = place.run(&["explain", "--json", "(0010,0010)"]).done();
    assert_eq!((by_name.code, &by_name.stdout), (0, &by_number.stdout));
    let said = &by_name.lines[0];
    assert_eq!((&said["vr"], &said["row"]["number"], &said["row"]["basic"]), (&"PN".into(), &72.into(), &"Z".into()));
    assert_eq!(said["outcomes"][0]["action"], "U");
    let nested = place.run(&["explain", "--json", "00082112.*.00081155"]).done();
    assert_eq!(nested.lines[0]["path"], "(0008,2112)[*].(0008,1155)");
    let told = place.run(&["explain", "SliceThickness"]).done();
    assert!(
        told.stdout.contains("no row in PS3.15 Table E.1-1") && told.stdout.contains("ct-image"),
        "{}",
        told.stdout
    );
    let wrong = place.run(&["explain", "PatientNmae"]).done();
    assert_eq!((wrong.code, wrong.error().as_str()), (2, "tag_unknown"));
    assert!(wrong.stderr.contains("`PatientName`") && !wrong.stderr.contains("Nmae"));
    assert!(!place.store().exists(), "no store is needed");
}

#[test]
fn why_names_cause_place_and_next_command_and_is_recorded_as_a_read_of_the_history() {
    let place = Place::with_demo();
    let run = place.run(&["process", "--json"]).path("in").done();
    let refused: Vec<_> = run.lines.iter().filter(|report| report["outcome"] == "quarantined").collect();
    assert_eq!(refused.len(), 3);
    for report in refused {
        let stream = report["stream"].as_str().expect("a stream");
        let why = place.run(&["why", "--json", stream]).done();
        let said = &why.lines[0];
        assert_eq!((why.code, &said["code"], &said["stream"]), (1, &report["reason"], &report["stream"]));
        assert!(said["next"].as_str().expect("a command").starts_with("medimg "));
        let told = place.run(&["why", "--store", "store", stream]).done();
        for part in ["  why    ", "  where  ", "  do     ", "  next   medimg ", " --store DIR\n"] {
            assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
        }
    }
    let good = place.run(&["why", &place.original_study("in/mr")]).done();
    assert_eq!((good.code, good.stderr.as_str()), (0, ""));
    assert!(good.stdout.starts_with("all 3 objects are delivered"), "{}", good.stdout);
    let unknown = place.run(&["why", "1.2.3.4"]).done();
    assert_eq!((unknown.code, unknown.error().as_str()), (1, "study_unknown"));
    let all = place.run(&["history", "--all", "--json"]).done();
    let asked = all.lines.iter().filter(|line| line["types"][0] == "imaging.history.queried.v1").count();
    assert_eq!(asked, 3 * 2 + 2);
    for identifier in place.identifiers() {
        assert!(!good.stdout.contains(&identifier));
    }
}

#[test]
fn many_objects_of_one_cause_are_counted() {
    let place = Place::with_demo();
    let us = place.demo_files().into_iter().find(|file| file.starts_with("in/us/")).expect("an ultrasound");
    let bytes = fs::read(place.path(&us)).expect("read");
    fs::create_dir(place.path("many")).expect("made");
    for number in 0..20 {
        fs::write(place.path(&format!("many/{number}.dcm")), &bytes).expect("written");
    }
    place.run(&["process"]).path("many").done();
    let why = place.run(&["why", &place.original_study("in/us")]).done();
    assert_eq!(why.code, 1);
    assert!(why.stdout.starts_with("20 quarantined: pixels_not_judged in deidentification\n"), "{}", why.stdout);
    assert!(why.stdout.contains("… and 8 more") && why.stdout.contains("process --accept-pixels PATH"));
    assert_eq!(place.run(&["why", "--json", &place.original_study("in/us")]).done().lines.len(), 21);
}

#[test]
fn follow_waits_for_a_study_shows_it_whole_and_ends_with_its_last_object() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/us").done();
    let study = place.original_study("in/mr");
    let mut follow = Command::new(env!("CARGO_BIN_EXE_medimg"));
    follow.args(["follow", "--json", "--for", "50s", &study]).env_clear().env("MEDIMG_STORE", "store");
    let follow =
        follow.current_dir(place.path("")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    place.run(&["process"]).path("in/mr").done();
    let output = follow.wait_with_output().expect("it ends by itself");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (last, entries) = lines.split_last().expect("a summary");
    assert_eq!((output.status.code(), &last["follow"]["delivered"]), (Some(0), &3.into()));
    let mut of_objects: Vec<_> = entries
        .iter()
        .filter(|line| line["actor"].as_str().is_some_and(|actor| actor.starts_with("system:")))
        .collect();
    assert_eq!(of_objects.len(), 15, "the first entries too, which stood there before the study was known");
    of_objects.sort_by_key(|line| (line["stream"].to_string(), line["seq"].as_u64()));
    assert!(of_objects.iter().enumerate().all(|(at, line)| line["seq"] == at as u64 % 5), "each once");
    let all = place.run(&["history", "--all", "--json"]).done();
    let asked = all.lines.iter().filter(|line| line["types"][0] == "imaging.history.queried.v1").count();
    assert_eq!(asked, 1, "recorded once");
    assert!(!text.contains(&study) && !String::from_utf8_lossy(&output.stderr).contains(&study));
}

#[test]
fn follow_ends_at_its_limit_and_names_a_study_that_never_came() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/us").done();
    let never = place.run(&["follow", "1.2.3.4", "--for", "1s"]).done();
    assert_eq!((never.code, never.error().as_str()), (1, "study_unknown"));
    let refused = place.run(&["follow", &place.original_study("in/us"), "--for", "30s"]).done();
    assert_eq!(refused.code, 1, "its only object was refused: {}", refused.stdout);
    assert!(refused.stdout.contains("quarantined: pixels_not_judged"));
    assert_eq!(place.run(&["follow", "1.2.3.4", "--for", "1d"]).done().code, 2);
}
