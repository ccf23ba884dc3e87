//! Killed at any moment, the pipeline loses nothing, delivers nothing twice, and goes on where it stood.

use std::thread;
use std::time::{Duration, Instant};

use pipeline_tests::medimg::Place;
use pipeline_tests::objects::Object;
use pipeline_tests::random::{Random, count_from};

const SEED: u64 = 0x6d65_6469_6d67_0001;
const OBJECTS: u32 = 40;
const KILLS_MAX: u64 = 30;

fn place_with_objects() -> Place {
    let place = Place::new();
    place.ct_slices(OBJECTS);
    place.input("zz-cut.dcm", &Object::ct(99, 99).file()[..800]);
    place
}

/// Starts `process`, kills it after `delay`, and returns whether it had not ended by itself.
fn killed_after(place: &Place, delay: Duration) -> bool {
    let mut child = place
        .command("process", &["--json"])
        .arg(place.inputs())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
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

#[test]
fn killed_again_and_again_every_object_still_ends_once() {
    let mut random = Random::new(SEED);
    let rounds = count_from("MEDIMG_KILLS", 3);
    let mut killed = 0;
    for round in 0..rounds {
        let place = place_with_objects();
        // Ever later kills, so that start-up, the middle and the end are all met; each run goes on with what is left.
        for kill in 0..KILLS_MAX {
            let delay = Duration::from_micros(2_000 * kill + random.below(4_000));
            if !killed_after(&place, delay) {
                break;
            }
            killed += 1;
        }
        let items = place.process(&[]).ended(1).by_number();
        let delivered = items.values().filter(|item| item["outcome"] == "delivered").count();
        assert_eq!((items.len(), delivered), (OBJECTS as usize + 1, OBJECTS as usize), "round {round}, seed {SEED:#x}");
        assert_eq!(place.processed().len(), OBJECTS as usize);
        for item in items.values().filter(|item| item["outcome"] == "delivered") {
            assert_eq!(place.stream(&item["stream"]).len(), 5, "round {round}, seed {SEED:#x}: a step stands twice");
        }
        place.assert_whole();
    }
    assert!(killed >= rounds, "nothing was killed in the middle, so nothing was shown");
}
