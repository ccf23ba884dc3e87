//! How an entry lies in the table: names and spelling of the attributes, each written here and nowhere else.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Item;
use super::failure::damaged;
use crate::{Entry, Error, Header, Nonce, Origin, StreamKey, UtcMillis};

/// Partition key: 32 hex digits.
const STREAM: &str = "stream_id";
/// Sort key: ten decimal digits, so that text sorts as numbers do.
const SEQ: &str = "seq";
/// The header as stored, text.
const HEADER: &str = "header";
/// The nonce, binary.
const NONCE: &str = "nonce";
/// The body as stored, text; absent where it is too long and lies among the [`super::Bodies`].
pub(super) const BODY: &str = "body";
/// `<day>#<shard>` of the first entry of a stream; absent in all others, so the index holds each stream once.
pub(super) const DAY: &str = "day";

/// Every attribute of an item: partition key, sort key, then the others.
pub const ATTRIBUTES: [&str; 6] = [STREAM, SEQ, HEADER, NONCE, BODY, DAY];
/// The index that finds streams by the day they began: partition key `day`, sort key `stream_id`, keys only.
pub const DAY_INDEX: &str = "day";
/// How many partitions the streams of a day are spread over.
pub const DAY_SHARDS: u8 = 16;
/// The highest number that ten digits spell.
pub(super) const SEQ_MAX: u64 = 9_999_999_999;

/// An item as read; nothing of it is believed yet but its form.
pub(super) struct Stored {
    stream: StreamKey,
    seq: u64,
    pub(super) header: Vec<u8>,
    pub(super) nonce: Nonce,
    pub(super) body: Option<String>,
}

/// Returns the item of an entry, with or without its body.
pub(super) fn item_of(entry: &Entry, inline: bool) -> Result<Item, Error> {
    let header = &entry.header;
    let text = String::from_utf8(entry.header_bytes.clone()).map_err(|_| damaged("a header is ill-formed"))?;
    let mut item = HashMap::from([
        (STREAM.to_owned(), stream_key(header.stream)),
        (SEQ.to_owned(), seq_key(header.seq)),
        (HEADER.to_owned(), AttributeValue::S(text)),
        (NONCE.to_owned(), AttributeValue::B(Blob::new(entry.nonce.0))),
    ]);
    if inline {
        item.insert(BODY.to_owned(), AttributeValue::S(entry.body.clone()));
    }
    if header.seq == 0 {
        let day = day_shard(header.recorded_at, shard_of(header.stream));
        item.insert(DAY.to_owned(), AttributeValue::S(day));
    }
    Ok(item)
}

/// Returns what an item holds.
pub(super) fn read(item: &Item) -> Result<Stored, Error> {
    let text = |name| item.get(name).and_then(|value| value.as_s().ok());
    let ill_formed = || damaged("an attribute is missing or has another type or length");
    let seq = text(SEQ).filter(|digits| digits.len() == 10).and_then(|digits| digits.parse().ok());
    let nonce = item.get(NONCE).and_then(|value| value.as_b().ok()).and_then(|blob| blob.as_ref().try_into().ok());
    let body = match item.get(BODY) {
        Some(body) => Some(body.as_s().map_err(|_| ill_formed())?.clone()),
        None => None,
    };
    Ok(Stored {
        stream: stream_of(item).ok_or_else(ill_formed)?,
        seq: seq.ok_or_else(ill_formed)?,
        header: text(HEADER).ok_or_else(ill_formed)?.clone().into_bytes(),
        nonce: Nonce(nonce.ok_or_else(ill_formed)?),
        body,
    })
}

/// Returns the header, held against the item's own key, the stream that was asked for and the origin of the ledger.
pub(super) fn header_of(stored: &Stored, stream: StreamKey, origin: &Origin) -> Result<Header, Error> {
    let header = Header::parse(&stored.header).map_err(|_| damaged("a header is ill-formed"))?;
    let same = header.stream == stored.stream && stored.stream == stream && header.seq == stored.seq;
    if same && header.origin == *origin {
        Ok(header)
    } else {
        Err(damaged("an entry's columns are not what its header says"))
    }
}

/// Returns the stream that an item's partition key names.
pub(super) fn stream_of(item: &Item) -> Option<StreamKey> {
    StreamKey::parse(item.get(STREAM)?.as_s().ok()?)
}

pub(super) fn stream_key(stream: StreamKey) -> AttributeValue {
    AttributeValue::S(stream.to_string())
}

pub(super) fn seq_key(seq: u64) -> AttributeValue {
    AttributeValue::S(format!("{seq:010}"))
}

/// Returns the partition of the index for that day (UTC) and shard.
pub(super) fn day_shard(at: UtcMillis, shard: u8) -> String {
    let at = at.to_string();
    let day = at.split('T').next().unwrap_or_default();
    format!("{day}#{shard}")
}

/// Stream keys are keyed hashes, so any four bits of them spread evenly.
fn shard_of(stream: StreamKey) -> u8 {
    stream.0[0] % DAY_SHARDS
}
