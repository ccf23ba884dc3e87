//! What events promise: schema, struct and corpus agree; every past version reads; no field takes a value of a patient.
#![allow(clippy::unwrap_used)] // A test that panics has failed, which is what it is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::ids::KeyedHash;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The JSON files of a folder of this crate, by name without `.json`.
fn files(name: &str) -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let stem =
                path.file_name().unwrap().to_str().unwrap().strip_suffix(".json").expect("only .json files lie here");
            (stem.to_owned(), serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

fn corpus() -> Vec<(String, Value)> {
    files("corpus")
}

fn read_value(event: &Value) -> Result<Event, ReadError> {
    read(&serde_json::to_vec(&json!([event])).unwrap()).map(|mut events| events.remove(0))
}

/// Paths (JSON pointers) to every string, number and truth value below `value`.
fn leaves(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| leaves(field, &format!("{at}/{name}"), out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| leaves(item, &format!("{at}/{n}"), out)),
        _ => out.push(at.to_owned()),
    }
}

#[test]
fn every_type_in_use_has_a_schema_and_an_example_and_none_is_left_over() {
    let used: BTreeSet<String> = TYPES.iter().filter(|t| !t.reserved).map(|t| t.full.to_owned()).collect();
    let newest_or_past = |names: BTreeSet<String>, what: &str| {
        assert!(used.is_subset(&names), "{what}: missing {:?}", used.difference(&names));
        for name in names.difference(&used) {
            assert!(types::is_past(name), "{what}: {name} is neither in use nor a past version");
        }
    };
    newest_or_past(corpus().into_iter().map(|(name, _)| name).collect(), "corpus");
    newest_or_past(
        files("schemas").into_iter().map(|(name, _)| name).filter(|n| n != "envelope.v1").collect(),
        "schemas",
    );
}

#[test]
fn every_type_of_the_design_is_in_the_table_once() {
    let listed: BTreeSet<&str> = TYPES.iter().map(|t| t.name).collect();
    assert_eq!(listed.len(), TYPES.len());
    let design = "object.received instance.ingested instance.validated instance.quarantined instance.deidentified instance.delivered \
        processing.failed study.completed study.reopened review.decided download.granted link.revoked object.accessed history.queried \
        report.exported activity.examined replay.requested replay.completed ledger.verified ledger.heartbeat ledger.recovered \
        source.forgotten backup.made attestation.made login.accepted login.refused config.changed";
    assert_eq!(
        listed,
        design
            .split_whitespace()
            .map(|t| format!("imaging.{t}"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect()
    );
    for row in TYPES {
        assert_eq!(row.full, format!("{}.v{}", row.name, row.version));
    }
}

#[test]
fn every_example_of_the_corpus_reads_and_loses_nothing() {
    for (name, example) in corpus() {
        let event = read_value(&example).unwrap_or_else(|e| panic!("{name}: {e}"));
        if event.event_type() == name {
            let written: Value = serde_json::from_slice(&body(std::slice::from_ref(&event))).unwrap();
            assert_eq!(written, json!([example]), "{name}");
        }
    }
}

#[test]
fn the_tags_of_an_event_are_those_of_its_data() {
    for (name, example) in corpus() {
        let tags: Vec<Value> =
            read_value(&example).unwrap().data.tags().iter().map(|tag| json!(tag.to_string())).collect();
        assert_eq!(json!(tags), example["data"].get("tags").cloned().unwrap_or(json!([])), "{name}");
    }
}

#[test]
fn every_example_shows_every_field_that_its_schema_knows() {
    let schemas = files("schemas");
    for (name, example) in corpus() {
        let schema = &schemas.iter().find(|(schema, _)| *schema == name).unwrap().1;
        let known: BTreeSet<&String> = schema["properties"]["data"]["properties"].as_object().unwrap().keys().collect();
        let shown: BTreeSet<&String> = example["data"].as_object().unwrap().keys().collect();
        assert_eq!(known, shown, "{name}");
    }
}

#[test]
fn exactly_the_fields_that_the_schema_requires_cannot_be_left_out() {
    let schemas = files("schemas");
    let of = |name: &str| &schemas.iter().find(|(schema, _)| schema == name).unwrap().1;
    let required = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect()
    };
    for (name, example) in corpus() {
        let (in_data, in_envelope) =
            (required(&of(&name)["properties"]["data"]["required"]), required(&of("envelope.v1")["required"]));
        for field in example["data"].as_object().unwrap().keys() {
            let mut without = example.clone();
            without["data"].as_object_mut().unwrap().remove(field);
            assert_eq!(read_value(&without).is_err(), in_data.contains(field), "{name} without data.{field}");
        }
        for field in example.as_object().unwrap().keys() {
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(field);
            assert_eq!(read_value(&without).is_err(), in_envelope.contains(field), "{name} without {field}");
        }
    }
}

#[test]
fn an_unknown_field_is_refused_at_every_level() {
    for (name, example) in corpus() {
        let mut objects = vec![String::new(), "/data".to_owned()];
        objects.extend(
            (0..example["data"]["warnings"].as_array().map_or(0, Vec::len)).map(|n| format!("/data/warnings/{n}")),
        );
        for at in objects {
            let mut with = example.clone();
            with.pointer_mut(&at).unwrap().as_object_mut().unwrap().insert("patientname".into(), json!(1));
            assert_eq!(read_value(&with).map_err(|e| e.code()), Err("event_json"), "{name} at {at:?}");
        }
    }
}

#[test]
fn no_field_of_any_event_takes_what_may_stand_in_a_patients_object() {
    let values =
        ["DOE^JANE", "Доу", "1956-04-12 19560412", "1.2.826.0.1.3680043.8.498.1", "/incoming/doe_jane/ct.dcm?", ""];
    let mut tried = 0;
    for (name, example) in corpus() {
        let mut places = Vec::new();
        leaves(&example, "", &mut places);
        for place in places {
            for value in values {
                // The receipt of an object to which nothing was done is empty.
                if value.is_empty() && place == "/data/receipt" {
                    continue;
                }
                let mut with = example.clone();
                *with.pointer_mut(&place).unwrap() = json!(value);
                // Two fields are bounded, not closed: the constant sentence, and the token that only its adapter reads.
                let bounded = match place.as_str() {
                    "/data/detail" => value.starts_with('/'),
                    "/data/stage" => value == "1.2.826.0.1.3680043.8.498.1",
                    _ => false,
                };
                assert_eq!(bounded, read_value(&with).is_ok(), "{name}: {place} and {value:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000, "only {tried} places tried");
}

#[test]
fn an_error_of_reading_repeats_nothing_of_the_body() {
    for (name, mut example) in corpus() {
        let first = example["data"].as_object().unwrap().keys().next().unwrap().clone();
        example["data"][&first] = json!("DOE^JANE");
        let error = read_value(&example).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("DOE"), "{name}: {error:?}");
    }
}

#[test]
fn a_newer_version_a_reserved_and_an_unknown_type_are_told_apart() {
    let (_, example) = corpus().into_iter().find(|(name, _)| name == "imaging.object.received.v1").unwrap();
    let code_of = |full: &str| {
        let mut event = example.clone();
        event["type"] = json!(full);
        read_value(&event).map_err(|e| e.code())
    };
    assert_eq!(code_of("imaging.object.received.v2"), Err("event_version_newer"));
    assert_eq!(code_of("imaging.object.received.v0"), Err("event_type_unknown"));
    assert_eq!(code_of("imaging.object.received.v01"), Err("event_type_unknown"));
    assert_eq!(code_of("imaging.object.received"), Err("event_type_unknown"));
    assert_eq!(code_of("imaging.object.seen.v1"), Err("event_type_unknown"));
    assert_eq!(code_of("imaging.login.accepted.v1"), Err("event_type_reserved"));
}

#[test]
fn a_body_of_no_events_of_five_or_of_too_many_bytes_is_refused() {
    let (_, example) = corpus().remove(0);
    let of = |n: usize| read(&serde_json::to_vec(&vec![&example; n]).unwrap()).map(|e| e.len()).map_err(|e| e.code());
    assert_eq!((of(0), of(1), of(4), of(5)), (Err("event_size"), Ok(1), Ok(4), Err("event_size")));
    let mut large = vec![b' '; BODY_BYTES_MAX];
    large.extend_from_slice(b"[]");
    assert_eq!(read(&large).map_err(|e| e.code()), Err("event_size"));
    assert_eq!(read(b"[{").map_err(|e| e.code()), Err("event_json"));
}

#[test]
fn an_envelope_of_another_source_or_media_type_is_refused() {
    for (field, other) in
        [("source", "aws.s3"), ("specversion", "2.0"), ("datacontenttype", "text/plain"), ("subject", "F7b44cfa")]
    {
        let (name, mut example) = corpus().remove(0);
        example[field] = json!(other);
        assert_eq!(read_value(&example).map_err(|e| e.code()), Err("event_envelope"), "{name}: {field}");
    }
}

#[test]
fn the_detail_on_the_bus_is_the_stored_envelope_and_its_place_in_the_log() {
    let leaf_hash = "ZkWkREWCdlXrCkErQC15tKoqyOy2jHloXlEnyDxtoS0=";
    for (name, example) in corpus() {
        let stored = serde_json::to_vec(&json!([example])).unwrap();
        let raw = envelopes(&stored).unwrap()[0];
        let detail = detail(raw, leaf_hash, 7);
        assert!(detail.starts_with(&raw.get()[..raw.get().len() - 1]), "{name}: the stored bytes stand unchanged");
        let on_bus = read_detail(detail.as_bytes()).unwrap();
        assert_eq!(on_bus.event, read_value(&example).unwrap());
        assert_eq!((on_bus.leaf_hash.as_deref(), on_bus.leaf_index), (Some(leaf_hash), Some(7)));
        // The same attributes have no place in the ledger, where they would be a claim about themselves.
        assert_eq!(read(format!("[{detail}]").as_bytes()).map_err(|e| e.code()), Err("event_envelope"));
    }
}

#[test]
fn events_of_one_decision_have_ids_of_their_own_and_open_a_run_themselves() {
    let data: Vec<EventData> = corpus().iter().take(2).map(|(_, e)| read_value(e).unwrap().data).collect();
    let decision = Decision {
        id: Uuid::from_u128(7),
        stream: StreamId(KeyedHash([1; 16])),
        time: Time::from_unix_ms(0),
        correlation_id: None,
        causation_id: None,
    };
    let events = Event::of(&decision, data.clone());
    assert_eq!(events[0].id, ids::event_id(decision.id, 0));
    assert_eq!(events[1].id, ids::event_id(decision.id, 1));
    assert!(events.iter().all(|e| e.correlation_id == events[0].id && e.causation_id.is_none()));
    assert_eq!(events, Event::of(&decision, data), "the same decision makes the same bytes");
}

#[test]
fn times_are_those_of_the_gregorian_calendar() {
    // Checked against GNU date.
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
        (1_795_410_000_250, "2026-11-23T05:00:00.250Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(Time::from_unix_ms(ms).as_str(), text);
        assert_eq!(Time::parse(text), Some(Time::from_unix_ms(ms)));
    }
    for day in 0..80_000 {
        let time = Time::from_unix_ms(day * 86_400_000 + day % 1_000);
        assert_eq!(Time::parse(time.as_str()), Some(time));
    }
    for wrong in [
        "2026-02-29T00:00:00.000Z",
        "2026-11-23T24:00:00.000Z",
        "2026-11-23T05:00:00Z",
        "2026-11-23T05:00:00.000+00:00",
        "2026-11-23 05:00:00.000Z",
        "+026-11-23T05:00:00.000Z",
        "2026-11-31T05:00:00.000Z",
    ] {
        assert_eq!(Time::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn words_keep_their_form() {
    assert_eq!(RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2").as_str(), "1.2.840.10008.5.1.4.1.1.2");
    assert_eq!(RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.19560412").as_str(), "private");
    assert_eq!(RegisteredUid::sop_class("1.2.840.113619.4.30"), RegisteredUid::PRIVATE);
    assert_eq!(RegisteredUid::transfer_syntax("1.2.840.10008.1.2.4.100.1").as_str(), "1.2.840.10008.1.2.4.100.1");
    assert_eq!(RegisteredUid::transfer_syntax("1.2.840.10008.1.20").as_str(), "private");
    assert_eq!(RegisteredUid::transfer_syntax("1.2.840.113619.5.2").as_str(), "private");
    assert!(Modality::parse("CT").is_some() && Modality::parse("ct").is_none() && Modality::parse("JANE").is_none());
    assert!(ProcessedKey::of("2.25.1", "2.25.2", "1.2.840.10008.1.2").is_some());
    assert!(ProcessedKey::of("2.25.1", "2.25.2", "1.2.840.10008.1.19560412").is_none());
    assert!(
        ProcessedKey::of("2.25.1", "..", "2.25.3").is_none()
            && ProcessedKey::of("private", "private", "private").is_none()
    );
    let key = ProcessedKey::of("2.25.1", "2.25.2", "2.25.3").unwrap();
    assert_eq!((key.new_study_instance_uid(), key.new_sop_instance_uid()), ("2.25.1", "2.25.3"));
    assert!(Place::parse("@17").is_some() && Place::parse("(0040,A730)[0].(0040,A160)").is_some());
    assert!(Place::parse("0040A730.*.0040A160").is_some() && Place::parse("0040A730.*.JANE").is_none());
    assert!(Place::parse("@").is_none() && Place::parse("(0040,A730)[JANE]").is_none() && Place::parse("").is_none());
    assert_eq!(Tag::parse("study:k0:0123456789abcdef0123456789abcdef"), None);
    assert!(Tag::parse("study:k12:0123456789abcdef0123456789abcdef").is_some());
    assert!(
        PackedReceipt::parse("").is_some()
            && PackedReceipt::parse("00100010 Z r301 *2,00081140.*.00081155 U r7").is_some()
    );
    assert!(PackedReceipt::parse("0019xxxx x r656 *3,7FE00010 x APP1,* * more *12").is_some());
    assert!(PackedReceipt::parse("00100010 Z DOE^JANE").is_none() && PackedReceipt::parse("00100010 Z r1,").is_none());
    assert!(Counts::of(&[('X', 3)]).is_some() && Counts::of(&[('3', 3)]).is_none());
    assert!(
        Code::parse("ct-image").is_some()
            && Code::parse("mrn1234567").is_none()
            && Code::parse("2026c").is_some()
            && Code::parse("-a").is_none()
    );
    assert_eq!(RunId::pixels(Digest([0xab; 32])).as_str(), "pixels-abababababababababababababababab");
    assert!(super::words::MODALITIES.is_sorted());
}
