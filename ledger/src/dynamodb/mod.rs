//! The ledger on DynamoDB (docs/adr/0016): one item for each entry, written by a conditional put and never again.
//!
//! Order: there is no sequencer here, so appends are durable in order within a stream only; the sealer gives the log its order.
//! Needs `PutItem` and `Query` on the table, nothing else.

mod bodies;
mod failure;
mod layout;
#[cfg(all(test, feature = "conformance"))]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

pub use aws_sdk_dynamodb::Client as DynamoClient;
pub use bodies::Bodies;
#[cfg(any(test, feature = "conformance"))]
pub use bodies::{MemoryBodies, conformance as bodies_conformance};
pub use layout::{ATTRIBUTES, DAY_INDEX, DAY_SHARDS};

use crate::{
    Appended, Decision, Entry, Error, Ledger, Link, Nonce, Origin, Prepared, READ_ENTRIES_MAX, Receipt,
    STREAM_ENTRIES_MAX, Stream, StreamKey, Tip, UtcMillis, first_prev,
};
use failure::{Failure, damaged, failure};

type Item = HashMap<String, AttributeValue>;

/// Largest body that lies in the item itself; a longer one goes to [`Bodies`], and the item holds its hash alone.
pub const INLINE_BODY_BYTES_MAX: usize = 16 * 1024;
/// How often one put is tried.
const PUTS_MAX: u32 = 4;
/// How long one call may take before its answer counts as lost.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause before the second put; it doubles from then on.
const PAUSE_MS: u64 = 40;

/// The ledger of one origin in one table.
#[derive(Clone)]
pub struct DynamoLedger {
    client: DynamoClient,
    table: String,
    origin: Origin,
    bodies: Arc<dyn Bodies>,
}

/// What became of a put.
enum Put {
    /// The item is new and durable.
    Stands,
    /// The slot was taken; this is what it holds.
    Taken(Item),
}

impl DynamoLedger {
    /// Returns the ledger in `table`, whose entries name `origin`. Nothing is sent yet.
    pub fn new(client: DynamoClient, table: impl Into<String>, origin: Origin, bodies: Arc<dyn Bodies>) -> Self {
        Self { client, table: table.into(), origin, bodies }
    }

    /// Returns streams whose first entry was recorded on that day (UTC), of one shard (below [`DAY_SHARDS`]), behind `after`
    /// in the order of their keys, at most [`READ_ENTRIES_MAX`]; empty at the end. The index may lag behind the table by a
    /// moment: who must miss nothing looks again later.
    pub async fn streams_begun(
        &self,
        day: UtcMillis,
        shard: u8,
        after: Option<StreamKey>,
    ) -> Result<Vec<StreamKey>, Error> {
        let (mut streams, mut next) = (Vec::new(), None);
        loop {
            let room = READ_ENTRIES_MAX - streams.len();
            let query = self.client.query().table_name(&self.table).index_name(DAY_INDEX);
            let query = query.expression_attribute_names("#d", layout::DAY);
            let query = query.expression_attribute_values(":d", AttributeValue::S(layout::day_shard(day, shard)));
            let query = match after {
                None => query.key_condition_expression("#d = :d"),
                Some(after) => query
                    .key_condition_expression("#d = :d AND stream_id > :a")
                    .expression_attribute_values(":a", layout::stream_key(after)),
            };
            let query = query.limit(i32::try_from(room).unwrap_or(i32::MAX)).set_exclusive_start_key(next);
            let page = query.customize().config_override(bounded()).send().await.map_err(|e| failure(e).of_a_read())?;
            for item in page.items() {
                streams.push(layout::stream_of(item).ok_or_else(|| damaged("an item's key is no stream"))?);
            }
            next = page.last_evaluated_key;
            if next.is_none() || streams.len() >= READ_ENTRIES_MAX {
                return Ok(streams);
            }
        }
    }

    /// Returns the items of a stream from one slot to another, strongly consistent, in order.
    async fn slots(&self, stream: StreamKey, from: u64, to: u64) -> Result<Vec<Item>, Error> {
        let (mut items, mut next) = (Vec::new(), None);
        // Each page holds at least one item, and there are `to - from + 1` slots.
        loop {
            let query = self.client.query().table_name(&self.table).consistent_read(true);
            let query = query.key_condition_expression("stream_id = :s AND seq BETWEEN :a AND :b");
            let query = query.expression_attribute_values(":s", layout::stream_key(stream));
            let query = query.expression_attribute_values(":a", layout::seq_key(from));
            let query = query.expression_attribute_values(":b", layout::seq_key(to)).set_exclusive_start_key(next);
            let page = query.customize().config_override(bounded()).send().await.map_err(|e| failure(e).of_a_read())?;
            items.extend(page.items.unwrap_or_default());
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    /// Returns the receipt if the slot of `tip` is taken, by this decision or another; claims that the table holds the tip.
    async fn look_at_slot(&self, tip: &Tip, prepared: &Prepared) -> Result<Option<Appended>, Error> {
        // The first slot has nothing below it: its put finds out whether it is free.
        let (Some(last), Some(below)) = (tip.last, tip.count.checked_sub(1)) else { return Ok(None) };
        let mut at_tip = None;
        let mut leaf_below = None;
        for item in self.slots(tip.stream, below, tip.count).await? {
            let receipt = self.receipt(tip.stream, &item)?;
            match receipt.header.seq {
                seq if seq == tip.count => at_tip = Some(receipt),
                _ => leaf_below = Some(receipt.leaf),
            }
        }
        match at_tip {
            Some(receipt) if receipt.header.decision_id == prepared.entry.header.decision_id => {
                Ok(Some(Appended::Already(receipt)))
            }
            Some(_) => Err(Error::Conflict { stream: tip.stream, seq: tip.count }),
            None if leaf_below == Some(last.leaf) => Ok(None),
            None => Err(damaged("the stream does not end as the tip says")),
        }
    }

    /// Writes an entry into its slot, which nobody was seen to hold.
    async fn write(&self, prepared: Prepared) -> Result<Appended, Error> {
        let entry = &prepared.entry;
        let inline = entry.body.len() <= INLINE_BODY_BYTES_MAX;
        if !inline {
            // Its name is its hash under a fresh nonce: if the entry does not come to stand, nobody else ever uses it.
            self.bodies.put(&entry.header.body, &entry.body).await?;
        }
        match self.put(layout::item_of(entry, inline)?, &entry.nonce).await? {
            Put::Stands => Ok(Appended::New(prepared.into_receipt())),
            Put::Taken(item) => {
                let (stream, seq) = (entry.header.stream, entry.header.seq);
                let receipt = self.receipt(stream, &item)?;
                match receipt.header.decision_id == entry.header.decision_id {
                    // Byte for byte what was sent, under a nonce of this call: an answer was lost, and the write is ours.
                    true if receipt.header == entry.header => Ok(Appended::New(receipt)),
                    true => Ok(Appended::Already(receipt)),
                    false => Err(Error::Conflict { stream, seq }),
                }
            }
        }
    }

    /// Puts an item where none is. Tries again itself, because only here it is known whether an earlier try may have landed.
    async fn put(&self, item: Item, nonce: &Nonce) -> Result<Put, Error> {
        let (mut may_stand, mut cause) = (false, None);
        for tried in 0..PUTS_MAX {
            if tried > 0 {
                tokio::time::sleep(pause(tried, nonce)).await;
            }
            match self.put_once(&item).await {
                Ok(put) => return Ok(put),
                Err(Failure::Lost(source)) => (may_stand, cause) = (true, Some(source)),
                Err(Failure::Busy(source)) => cause = Some(source),
                Err(Failure::Refused(error)) if may_stand => return Err(Error::Unknown { cause: Some(error.into()) }),
                Err(Failure::Refused(error)) => return Err(error),
            }
        }
        Err(if may_stand { Error::Unknown { cause } } else { Error::Unavailable { source: cause } })
    }

    async fn put_once(&self, item: &Item) -> Result<Put, Failure> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
        let put = put.condition_expression("attribute_not_exists(stream_id)");
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.customize().config_override(bounded().retry_config(RetryConfig::disabled())).send().await {
            Ok(_) => Ok(Put::Stands),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                match refused.into_err() {
                    PutItemError::ConditionalCheckFailedException(taken) if taken.item().is_some() => {
                        Ok(Put::Taken(taken.item.unwrap_or_default()))
                    }
                    other => Err(Failure::Lost(Box::new(other))),
                }
            }
            Err(error) => Err(failure(error)),
        }
    }

    /// Returns what an item's header says, held against its key and this ledger's origin.
    fn receipt(&self, stream: StreamKey, item: &Item) -> Result<Receipt, Error> {
        let stored = layout::read(item)?;
        let header = layout::header_of(&stored, stream, &self.origin)?;
        Ok(Receipt { leaf: crate::leaf_hash(&stored.header), header })
    }

    async fn entry(&self, stream: StreamKey, item: &Item) -> Result<Entry, Error> {
        let stored = layout::read(item)?;
        let header = layout::header_of(&stored, stream, &self.origin)?;
        let body = match stored.body {
            Some(body) => body,
            None => {
                let body = self.bodies.get(&header.body).await?;
                body.ok_or_else(|| damaged("a body is not where its entry says"))?
            }
        };
        let leaf = crate::leaf_hash(&stored.header);
        Entry::from_stored(stored.header, stored.nonce, body, leaf)
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        for item in self.slots(stream, 0, layout::SEQ_MAX).await? {
            let entry = self.entry(stream, &item).await?;
            let prev = entries.last().map_or_else(|| first_prev(&self.origin, stream), |last| last.leaf);
            if entry.header.seq != entries.len() as u64 || entries.len() as u64 == STREAM_ENTRIES_MAX {
                return Err(damaged("a stream's numbers are not dense from 0"));
            }
            if entry.header.prev != prev {
                return Err(damaged("an entry does not link to the one before it"));
            }
            entries.push(entry);
        }
        Ok(Stream { stream, entries })
    }

    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error> {
        let prepared = Prepared::new(&self.origin, tip, decision, at, nonce)?;
        match self.look_at_slot(tip, &prepared).await? {
            Some(already) => Ok(already),
            None => self.write(prepared).await,
        }
    }

    async fn append_chain(&self, tip: &Tip, links: &[Link]) -> Vec<Result<Appended, Error>> {
        let (mut tip, mut answers) = (*tip, Vec::with_capacity(links.len()));
        for (n, Link { decision, at, nonce }) in links.iter().enumerate() {
            // Behind the first link the tip is our own write, confirmed a moment ago: there is nothing to look at.
            let answer = match n {
                0 => self.append(&tip, decision, *at, *nonce).await,
                _ => match Prepared::new(&self.origin, &tip, decision, *at, *nonce) {
                    Ok(prepared) => self.write(prepared).await,
                    Err(error) => Err(error),
                },
            };
            let next = if let Ok(Appended::New(receipt)) = &answer { Some(receipt.tip()) } else { None };
            answers.push(answer);
            match next {
                Some(next) => tip = next,
                None => break,
            }
        }
        answers
    }
}

/// Settings of every call: none waits for longer than [`CALL_TIME_MAX`].
fn bounded() -> aws_sdk_dynamodb::config::Builder {
    Config::builder().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(CALL_TIME_MAX).build())
}

/// Pause before the put with that number, so that writers who met once do not meet again; the nonce is the dice.
fn pause(tried: u32, nonce: &Nonce) -> Duration {
    let step = PAUSE_MS << (tried - 1);
    let dice = u64::from(nonce.0[tried as usize % nonce.0.len()]);
    Duration::from_millis(step + step * dice / 255)
}
