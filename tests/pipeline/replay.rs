//! A replay that is killed again and again goes on when it is called in the same words: nothing is done twice, no file is
//! touched, and its end is recorded once with the counts of the whole.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pipeline_tests::medimg::Place;
use pipeline_tests::random::{Random, count_from};
use serde_json::Value;

const SEED: u64 = 0x6d65_6469_6d67_0002;
const OBJECTS: u32 = 40;
const KILLS_MAX: u64 = 30;
const WORDS: [&str; 7] = ["--json", "--from", "1d", "--step", "ingestion", "--reason", "killed"];

/// Starts the replay, kills it after `delay`, and returns whether it had not ended by itself.
fn killed_after(place: &Place, delay: Duration) -> bool {
    let mut command = place.command("replay", &WORDS);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let began = Instant::now();
    while began.elapsed() < delay {
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().expect("it is killed");
    child.wait().expect("a child").code().is_none()
}

/// Returns the data of every event of a type, with its stream.
fn said(place: &Place, event_type: &str) -> Vec<(String, Value)> {
    let entries = place.entries();
    let of_type = entries.iter().filter(|entry| entry.types() == [event_type]);
    of_type.map(|entry| (entry.stream().to_owned(), entry.body[0]["data"].clone())).collect()
}

#[test]
fn a_replay_killed_again_and_again_goes_on_and_does_nothing_twice() {
    let mut random = Random::new(SEED);
    let mut killed = 0;
    for round in 0..count_from("MEDIMG_KILLS", 2) {
        let place = Place::new();
        place.ct_slices(OBJECTS);
        place.process(&[]).ended(0);
        let before = place.processed();
        for kill in 0..KILLS_MAX {
            if !killed_after(&place, Duration::from_micros(3_000 * kill + random.below(6_000))) {
                break;
            }
            killed += 1;
        }
        place.run("replay", &WORDS).ended(0);
        let told = format!("round {round}, seed {SEED:#x}");
        assert!(place.processed() == before, "{told}: a file was touched");
        let mut requests: BTreeMap<(String, String), u32> = BTreeMap::new();
        let (whole, of_objects): (Vec<_>, Vec<_>) =
            said(&place, "replay.requested").into_iter().partition(|(_, data)| data["streams"].is_u64());
        for (stream, data) in of_objects {
            *requests.entry((stream, data["run"].to_string())).or_default() += 1;
        }
        assert!(requests.values().all(|count| *count == 1), "{told}: a stream was reopened twice by one run");
        let ended = said(&place, "replay.completed");
        assert_eq!(ended.len(), whole.len(), "{told}: each replay ends once");
        for (_, data) in ended {
            let counts = ["streams", "delivered", "already_done", "steps"].map(|field| data[field].as_u64());
            let objects = Some(u64::from(OBJECTS));
            assert_eq!(counts, [objects, objects, objects, objects.map(|count| 4 * count)], "{told}: {data}");
        }
        place.assert_whole();
    }
    assert!(killed > 0, "nothing was killed in the middle, so nothing was shown");
}
