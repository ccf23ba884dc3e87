//! Same input, key and profile: same output bytes, however many workers there are and however often it runs.

use std::fs;

use pipeline_tests::medimg::{Place, files_below};
use pipeline_tests::objects::Object;

/// Fills a place with objects that meet each other: one study over many files, copies, contradictions, refusals.
fn mixed_inputs(place: &Place) {
    place.ct_slices(24);
    for number in 0..6 {
        place.input(&format!("{number:05}-copy.dcm"), &Object::ct(number / 4, number).file());
        place.input(&format!("{number:05}-other.dcm"), &Object { shade: 9, ..Object::ct(number / 4, number) }.file());
        place.input(&format!("{number:05}-us.dcm"), &Object::ultrasound(50 + number, number).file());
        place.input(
            &format!("{number:05}-large.dcm"),
            &Object { ballast: 3 << 20, ..Object::ct(70, 700 + number) }.file(),
        );
        place.input(&format!("{number:05}-cut.dcm"), &Object::ct(90, number).file()[..600 + number as usize]);
    }
}

/// Gives `place` the keys of `other`, before its store is made.
fn with_keys_of(place: &Place, other: &Place) {
    let keys = place.store().join("keys");
    fs::create_dir_all(&keys).expect("a folder");
    for name in files_below(&other.store().join("keys")).into_keys() {
        fs::copy(other.store().join("keys").join(&name), keys.join(&name)).expect("a key is copied with its mode");
    }
}

#[test]
fn output_bytes_and_verdicts_are_the_same_with_one_and_with_eight_workers_in_two_runs() {
    let first = Place::new();
    mixed_inputs(&first);
    let verdicts = |run: pipeline_tests::medimg::Ran| -> Vec<_> {
        let told = run.ended(1).by_number();
        told.into_values().map(|item| (item["outcome"].clone(), item["reason"].clone(), item["key"].clone())).collect()
    };
    let expected = verdicts(first.process(&["-j", "1"]));
    assert!(first.processed().len() >= 30);
    for workers in ["1", "8", "8"] {
        let again = Place::new();
        with_keys_of(&again, &first);
        mixed_inputs(&again);
        assert_eq!(verdicts(again.process(&["-j", workers])), expected, "with {workers} workers");
        assert!(again.processed() == first.processed(), "with {workers} workers processed/ holds other bytes");
        again.assert_whole();
    }
}

#[test]
fn another_mapping_key_gives_other_names_to_the_same_object() {
    let (one, other) = (Place::new(), Place::new());
    for place in [&one, &other] {
        place.ct_slices(1);
        place.process(&[]).ended(0);
    }
    let (one, other) = (one.processed(), other.processed());
    assert_ne!(one.keys().next(), other.keys().next());
}
