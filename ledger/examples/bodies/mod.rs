//! Decisions as the pipeline makes them: five entries an object, bodies of the size of a CT's receipt.
#![allow(clippy::unwrap_used, reason = "a benchmark stops where it fails")]

use ledger::{Actor, Decision, EventTypes, IndexHash, StreamKey};
use uuid::Uuid;

/// Verb, bytes of the body and tags of each entry.
pub(crate) const STEPS: [(&str, usize, usize); 5] = [
    ("received", 500, 0),
    ("ingested", 700, 4),
    ("validated", 500, 1),
    ("deidentified", 2000, 3),
    ("delivered", 500, 2),
];
const KINDS: [&str; 4] = ["study", "patient", "accession", "new_study"];

fn decision(object: u64, step: usize) -> Decision {
    let (verb, bytes, tags) = STEPS[step];
    let study = object / 100;
    let tags: Vec<String> = KINDS[..tags]
        .iter()
        .map(|kind| format!("\"{kind}:k1:{:032x}\"", u128::from(study) * 0x9e37_79b9_7f4a_7c15))
        .collect();
    let filler = "x,".repeat(bytes / 2);
    let event = format!("imaging.instance.{verb}.v1");
    let body = format!(
        r#"[{{"specversion":"1.0","id":"{}","source":"medimg","type":"{event}","subject":"{object:032x}","time":"2026-11-23T05:00:00.000Z","data":{{"tags":[{}],"receipt":"{filler}"}}}}]"#,
        Uuid::from_u128(u128::from(object)),
        tags.join(",")
    );
    Decision {
        decision_id: Uuid::from_u128(u128::from(object) << 8 | step as u128),
        types: EventTypes::new(&[&event]).unwrap(),
        subject: Some(IndexHash { version: 1, hash: u128::from(study).to_be_bytes() }),
        actor: Actor::system("deidentification").unwrap(),
        body,
    }
}

/// All decisions of these objects, object by object.
pub(crate) fn decisions(objects: std::ops::Range<u64>) -> Vec<Decision> {
    objects.flat_map(|object| (0..STEPS.len()).map(move |step| decision(object, step))).collect()
}

/// The stream of an object: as unrelated to its neighbours as an HMAC.
pub(crate) fn stream(object: u64) -> StreamKey {
    StreamKey((u128::from(object).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes())
}
