//! A store of entries as the pipeline writes them: five an object, bodies and headers of the length that a CT leaves.

use std::path::Path;

use ledger::{
    Actor, Decision, EventTypes, IndexHash, Ledger, Link, Nonce, Open, Origin, SqliteLedger, StreamKey, Tip, UtcMillis,
};
use uuid::Uuid;

/// Objects of one study.
const STUDY_OBJECTS: u64 = 100;
/// Objects whose entries are under way to the ledger at once.
const BATCH: u64 = 250;
/// What a receipt of the demo's CT object holds again and again.
const RECEIPT: &str = "00080018 u r10,00080020 z r12,00080021 x r13,00080022 x r14,00080023 z r15,00080030 z r19,00080031 x r20,";

/// Event, step, tags of the study, and what `data` holds beside them; bodies then are as long as those of `medimg demo`.
const STEPS: [(&str, &str, &[&str], usize); 5] = [
    ("imaging.object.received.v1", "intake", &[], 60),
    ("imaging.instance.ingested.v1", "ingestion", &["study", "patient", "accession"], 90),
    ("imaging.instance.validated.v1", "validation", &[], 20),
    ("imaging.instance.deidentified.v1", "deidentification", &["new_study"], 1150),
    ("imaging.instance.delivered.v1", "delivery", &[], 80),
];

/// Makes the store at `path` with at least `entries` entries, through the ledger's own appends.
pub(crate) async fn store(path: &Path, entries: u64) {
    let origin = Origin::new("medimg", "bench", [7; 16]).unwrap();
    let ledger = SqliteLedger::open(path, Open::CreateWith(origin)).unwrap();
    let objects = entries.div_ceil(STEPS.len() as u64);
    let mut begun = 0;
    while begun < objects {
        let batch = begun..objects.min(begun + BATCH);
        begun = batch.end;
        let chains = batch.map(|object| {
            let ledger = &ledger;
            async move { ledger.append_chain(&Tip::empty(stream(object)), &links(object)).await }
        });
        for answer in futures::future::join_all(chains).await.into_iter().flatten() {
            answer.unwrap();
        }
    }
}

fn stream(object: u64) -> StreamKey {
    StreamKey(spread(object).to_be_bytes())
}

/// Numbers that look as hashes do, so that no index is filled in order.
fn spread(number: u64) -> u128 {
    let mixed = |salt: u64| {
        let z = (number ^ salt).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 31).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 29
    };
    u128::from(mixed(1)) << 64 | u128::from(mixed(2))
}

fn links(object: u64) -> Vec<Link> {
    let at = UtcMillis::from_unix_ms(1_790_000_000_000 + object * 7);
    let link = |step: usize| Link {
        decision: decision(object, step),
        at,
        nonce: Nonce(spread(object * 5 + step as u64).to_le_bytes()),
    };
    (0..STEPS.len()).map(link).collect()
}

fn decision(object: u64, step: usize) -> Decision {
    let (event, actor, kinds, bytes) = STEPS[step];
    let study = IndexHash { version: 1, hash: spread(object / STUDY_OBJECTS).to_be_bytes() };
    let id = Uuid::from_u128(spread(object << 3 | step as u64));
    let tags: Vec<String> = kinds.iter().map(|kind| format!("\"{kind}:{study}\"")).collect();
    let said: String = RECEIPT.chars().cycle().take(bytes).collect();
    let (stream, digest, size) = (stream(object), format!("{:064x}", spread(object)), 132_570 + object % 97);
    let body = format!(
        r#"[{{"specversion":"1.0","id":"{id}","source":"medimg.pipeline","type":"{event}","subject":"{stream}","time":"2026-11-24T00:43:05.578Z","datacontenttype":"application/json","correlationid":"{id}","causationid":"{id}","data":{{"sha256":"{digest}","size_bytes":{size},"receipt":"{said}","counts":{{"a":5,"k":40}},"tags":[{}]}}}}]"#,
        tags.join(",")
    );
    let types = EventTypes::new(&[event]).unwrap();
    Decision { decision_id: id, types, subject: (step > 0).then_some(study), actor: Actor::system(actor).unwrap(), body }
}
