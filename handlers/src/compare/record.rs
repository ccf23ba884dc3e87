//! The entry of the ledger that says how OUT was made of RAW.

use std::collections::BTreeSet;

use compliance::receipt::Receipt;
use domain::Phi;
use domain::dicom::Tag;
use domain::events::{self, EventData, InstanceDeidentified};
use domain::ids::{IndexHash, StreamId};
use ledger::{Ledger, StreamKey};

use super::side::Side;
use crate::ask;
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::store::Store;

const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
/// Streams of one study that are looked through for the entry.
const STREAMS_MAX: usize = 100_000;

/// What the ledger says about OUT.
#[derive(Clone, Debug)]
pub struct Record {
    /// The stream.
    pub stream: StreamId,
    /// The entry's number in it.
    pub seq: u64,
    /// When it was recorded.
    pub recorded_at: String,
    /// The study, as entries name it.
    pub study: Option<IndexHash>,
    /// Whether RAW is the object that was received.
    pub raw_is_received: bool,
    /// Whether OUT is what was written.
    pub out_is_written: bool,
    /// Whether ingestion noted that elements stand out of order or twice.
    pub order_noted: bool,
    /// What was done.
    pub receipt: Receipt,
}

/// Returns the entry about these two objects: of all that were made of RAW, or are of OUT's study, the one that names OUT's
/// digest, else the one of RAW, else the one of OUT's key. `None` if the ledger has none.
///
/// # Errors
/// What the ledger says; `stream_unreadable`.
pub async fn about(store: &Store, raw: &Side, out: &Side) -> Result<Option<Record>> {
    let direct = store.keys.object_stream(&raw.location);
    let key = key_of(out);
    let mut best = None;
    consider(store, direct, raw, out, key.as_deref(), &mut best).await?;
    if best.as_ref().is_some_and(|(rank, _)| *rank == WHOLE) {
        return Ok(best.map(|(_, record)| record));
    }
    let mut streams = Vec::new();
    for tag in studies(store, raw, out) {
        ask::tagged(store, &tag, &mut streams).await?;
    }
    let mut seen = BTreeSet::from([direct.0.0]);
    streams.retain(|stream| seen.insert(stream.0));
    for stream in streams.into_iter().take(STREAMS_MAX) {
        let stream = StreamId(domain::ids::KeyedHash(stream.0));
        consider(store, stream, raw, out, key.as_deref(), &mut best).await?;
        if best.as_ref().is_some_and(|(rank, _)| *rank == WHOLE) {
            break;
        }
    }
    Ok(best.map(|(_, record)| record))
}

/// Both digests are those of the entry.
const WHOLE: u8 = 7;

async fn consider(
    store: &Store,
    stream: StreamId,
    raw: &Side,
    out: &Side,
    key: Option<&str>,
    best: &mut Option<(u8, Record)>,
) -> Result<()> {
    let loaded = store.ledger.load(StreamKey(stream.0.0)).await;
    let loaded = loaded.map_err(|error| ledger_error("load a stream", error))?;
    let (mut raw_is_received, mut order_noted) = (false, false);
    for entry in &loaded.entries {
        let events = events::read(entry.body.as_bytes())
            .map_err(|_| Error::broken("stream_unreadable", format!("read the events of stream {stream}")))?;
        for event in events {
            match event.data {
                EventData::ObjectReceived(said) => raw_is_received = said.sha256 == raw.digest,
                EventData::InstanceIngested(said) => {
                    order_noted = said.notes.iter().any(|note| note.as_str() == "order");
                }
                EventData::InstanceDeidentified(said) => {
                    let rank = rank(&said, raw_is_received, out, key);
                    // Of equals the later one counts: the object was done again.
                    if rank > 0 && best.as_ref().is_none_or(|(so_far, _)| rank >= *so_far) {
                        let receipt = Receipt::read(said.receipt.as_str()).ok_or_else(|| {
                            Error::broken("stream_unreadable", format!("read the receipt of stream {stream}"))
                        })?;
                        let header = &entry.header;
                        let study = header.subject.map(|subject| IndexHash {
                            version: subject.version,
                            hash: domain::ids::KeyedHash(subject.hash),
                        });
                        let record = Record {
                            stream,
                            seq: header.seq,
                            recorded_at: header.recorded_at.to_string(),
                            study,
                            raw_is_received,
                            out_is_written: said.sha256 == out.digest,
                            order_noted,
                            receipt,
                        };
                        *best = Some((rank, record));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn rank(said: &InstanceDeidentified, raw_is_received: bool, out: &Side, key: Option<&str>) -> u8 {
    let out_is_written = said.sha256 == out.digest;
    let has_key = key.is_some_and(|key| key == said.key.to_string());
    4 * u8::from(out_is_written) + 2 * u8::from(raw_is_received) + u8::from(has_key || out_is_written)
}

fn key_of(out: &Side) -> Option<String> {
    let [study, series, sop] = [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID].map(|tag| out.uid(tag));
    Some(format!("{}/{}/{}.dcm", study?, series?, sop?))
}

/// Every tag under which the entry may stand: OUT's study is a new one, RAW's an original one.
fn studies(store: &Store, raw: &Side, out: &Side) -> Vec<events::Tag> {
    use domain::events::TagKind;
    let new = out.uid(STUDY_INSTANCE_UID).map(|uid| store.keys.new_study_k_all(&uid)).unwrap_or_default();
    let original = raw.uid(STUDY_INSTANCE_UID).map(|uid| store.keys.study_k_all(&Phi::new(uid))).unwrap_or_default();
    let new = new.into_iter().map(|hash| events::Tag { kind: TagKind::NewStudy, hash });
    new.chain(original.into_iter().map(|hash| events::Tag { kind: TagKind::Study, hash })).collect()
}
