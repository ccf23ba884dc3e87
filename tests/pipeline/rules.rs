//! The rule table drives the work: with a rule off nothing runs, an event put by hand runs it, twice changes nothing.

use pipeline_tests::medimg::Place;
use serde_json::Value;

const RULE_OFF: &str = "[rules]\ndisabled = [\"object-received\"]\n";

/// Processes two slices with the rule off, and returns what the run said.
fn received_with_the_rule_off(place: &Place) -> Vec<Value> {
    place.configure(RULE_OFF);
    place.ct_slices(2);
    place.process(&[]).items()
}

/// Returns the event that began the item's stream, as it would lie on the bus.
fn received_event(place: &Place, item: &Value) -> Value {
    let first = &place.stream(&item["stream"])[0];
    assert_eq!(first.types(), ["object.received"]);
    first.body[0].clone()
}

#[test]
fn with_the_rule_off_an_object_is_received_and_nothing_runs() {
    let place = Place::new();
    let items = received_with_the_rule_off(&place);
    for item in &items {
        assert_eq!(item["outcome"], "pending");
        let types: Vec<_> = place
            .stream(&item["stream"])
            .iter()
            .flat_map(|e| e.types().join(",").split(',').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        assert_eq!(types, ["object.received"]);
    }
    assert!(place.processed().is_empty());
    place.assert_whole();
}

#[test]
fn an_event_put_by_hand_runs_the_work_and_twice_changes_nothing() {
    let place = Place::new();
    let items = received_with_the_rule_off(&place);
    let event = place.root().join("event.json");
    std::fs::write(&event, received_event(&place, &items[0]).to_string()).expect("written");
    // The rule stays off: who puts an event by hand means it.
    place.run("bus", &["put".as_ref(), event.as_os_str()]).ended(0);
    let (stream, files) = (place.stream(&items[0]["stream"]), place.processed());
    assert_eq!(stream.last().expect("entries").types(), ["instance.delivered"]);
    assert_eq!(files.len(), 1, "only the object of the event was worked on");
    assert_eq!(place.stream(&items[1]["stream"]).len(), 1);
    place.run("bus", &["put".as_ref(), event.as_os_str()]).ended(0);
    assert_eq!(place.stream(&items[0]["stream"]).len(), stream.len());
    assert_eq!(place.processed(), files);
    place.assert_whole();
}

#[test]
fn an_event_that_no_stream_knows_changes_nothing() {
    let place = Place::new();
    let items = received_with_the_rule_off(&place);
    let mut event = received_event(&place, &items[0]);
    event["subject"] = Value::from("00112233445566778899aabbccddeeff");
    let file = place.root().join("event.json");
    std::fs::write(&file, event.to_string()).expect("written");
    place.configure("");
    let before = place.entries().len();
    let run = place.run("bus", &["put".as_ref(), file.as_os_str(), "--json".as_ref()]);
    assert!(run.code != Some(0), "an invented event is accepted: {}", run.stdout);
    assert_eq!(place.entries().len(), before);
    assert!(place.processed().is_empty());
}

#[test]
fn with_the_rule_on_again_what_was_left_is_taken_up() {
    let place = Place::new();
    received_with_the_rule_off(&place);
    place.configure("");
    let items = place.process(&[]).ended(0).by_number();
    assert!(items.values().all(|item| item["outcome"] == "delivered"), "{items:?}");
    assert_eq!(place.processed().len(), 2);
    place.assert_whole();
}
