//! The ledger on the emulator's DynamoDB: the suite, the layout, and items that no append wrote.

mod faults;

use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use pipeline_tests::emulator::Emulator;
use uuid::Uuid;

use super::*;
use crate::{Actor, EventTypes, conformance};

/// One table of its own for each test, and who asks it.
struct Table {
    emulator: Emulator,
    client: DynamoClient,
    name: String,
    bodies: MemoryBodies,
}

impl Table {
    async fn made(test: &str) -> Option<Self> {
        let emulator = Emulator::of_this_run(test)?;
        let (client, name) = (client(&emulator.url, &emulator.region), emulator.unique("ledger"));
        let [stream, seq, .., day] = ATTRIBUTES;
        let attribute = |name: &str| {
            let made = AttributeDefinition::builder().attribute_name(name);
            made.attribute_type(ScalarAttributeType::S).build().expect("an attribute")
        };
        let key =
            |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("a key");
        let index = GlobalSecondaryIndex::builder().index_name(DAY_INDEX);
        let index = index.key_schema(key(day, KeyType::Hash)).key_schema(key(stream, KeyType::Range));
        let index = index.projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
        let made = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        let made = made.key_schema(key(stream, KeyType::Hash)).key_schema(key(seq, KeyType::Range));
        let made = made.set_attribute_definitions(Some([stream, seq, day].map(attribute).to_vec()));
        made.global_secondary_indexes(index.build().expect("an index")).send().await.expect("a table");
        Some(Self { emulator, client, name, bodies: MemoryBodies::default() })
    }

    fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(self.client.clone(), &self.name, origin(), Arc::new(self.bodies.clone()))
    }

    /// The same table through the proxy.
    fn behind_faults(&self) -> DynamoLedger {
        let client = client(&self.emulator.faults_url, &self.emulator.region);
        DynamoLedger::new(client, &self.name, origin(), Arc::new(self.bodies.clone()))
    }

    async fn item(&self, stream: StreamKey, seq: u64) -> Item {
        let got = self.client.get_item().table_name(&self.name).key("stream_id", layout::stream_key(stream));
        got.key("seq", layout::seq_key(seq)).send().await.expect("an answer").item.expect("an item")
    }

    /// Writes an item as whoever owns the table could.
    async fn overwrite(&self, item: Item) {
        self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await.expect("written");
    }

    async fn remove(&self, stream: StreamKey, seq: u64) {
        let gone = self.client.delete_item().table_name(&self.name).key("stream_id", layout::stream_key(stream));
        gone.key("seq", layout::seq_key(seq)).send().await.expect("removed");
    }
}

fn client(url: &str, region: &str) -> DynamoClient {
    let credentials = Credentials::new("test", "test", None, None, "emulator");
    let config = Config::builder().behavior_version(BehaviorVersion::latest()).endpoint_url(url);
    let config = config.region(Region::new(region.to_owned())).credentials_provider(credentials);
    DynamoClient::from_conf(config.build())
}

fn origin() -> Origin {
    Origin::new("medimg", "test", [0x5a; 16]).expect("an origin")
}

fn decision(n: u128, body_filler: usize) -> Decision {
    Decision {
        decision_id: Uuid::from_u128(n),
        types: EventTypes::new(&["a.thing.v1"]).expect("types"),
        subject: None,
        actor: Actor::system("ingestion").expect("a step"),
        body: format!(r#"[{{"type":"a.thing.v1","data":{{"x":"{}"}}}}]"#, "y".repeat(body_filler)),
    }
}

async fn append(ledger: &DynamoLedger, tip: &Tip, n: u128) -> Result<Appended, Error> {
    ledger.append(tip, &decision(n, 20), UtcMillis::from_unix_ms(1_790_000_000_000), Nonce([n as u8; 16])).await
}

async fn three_entries(ledger: &DynamoLedger, stream: StreamKey) -> Stream {
    let mut tip = Tip::empty(stream);
    for n in 0..3 {
        tip = append(ledger, &tip, n).await.expect("appended").receipt().tip();
    }
    ledger.load(stream).await.expect("loaded")
}

#[tokio::test]
async fn dynamodb_conforms() {
    let Some(table) = Table::made("dynamodb_conforms").await else { return };
    conformance::streams(&table.ledger()).await;
}

#[tokio::test]
async fn what_one_client_appended_another_one_loads() {
    let Some(table) = Table::made("what_one_client_appended_another_one_loads").await else { return };
    let stream = StreamKey([1; 16]);
    let written = three_entries(&table.ledger(), stream).await;
    assert_eq!(table.behind_faults().load(stream).await.expect("loaded"), written);
}

#[tokio::test]
async fn a_stream_of_several_pages_is_loaded_whole() {
    let Some(table) = Table::made("a_stream_of_several_pages_is_loaded_whole").await else { return };
    let (ledger, stream) = (table.ledger(), StreamKey([2; 16]));
    let mut tip = Tip::empty(stream);
    // A page ends at one megabyte.
    for n in 0..80 {
        let long = decision(n, INLINE_BODY_BYTES_MAX - 100);
        let appended = ledger.append(&tip, &long, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
        tip = appended.expect("appended").receipt().tip();
    }
    assert_eq!(ledger.load(stream).await.expect("loaded").entries.len(), 80);
}

#[tokio::test]
async fn a_stream_is_found_once_by_the_day_it_began() {
    let Some(table) = Table::made("a_stream_is_found_once_by_the_day_it_began").await else { return };
    let ledger = table.ledger();
    let day = UtcMillis::parse("2026-11-23T23:59:59.999Z").expect("a time");
    let next_day = UtcMillis::parse("2026-11-24T00:00:00.000Z").expect("a time");
    let streams: Vec<StreamKey> = (0..40u8).map(|n| StreamKey([n; 16])).collect();
    for &stream in &streams {
        let first = ledger.append(&Tip::empty(stream), &decision(0, 20), day, Nonce([0; 16])).await.expect("appended");
        ledger.append(&first.receipt().tip(), &decision(1, 20), next_day, Nonce([1; 16])).await.expect("appended");
    }
    let (mut found, mut of_next_day) = (Vec::new(), 0);
    for shard in 0..DAY_SHARDS {
        let page = ledger.streams_begun(day, shard, None).await.expect("streams");
        let behind_first = ledger.streams_begun(day, shard, page.first().copied()).await.expect("streams");
        assert_eq!(behind_first, page[1..], "reading goes on behind a stream");
        of_next_day += ledger.streams_begun(next_day, shard, None).await.expect("streams").len();
        found.extend(page);
    }
    found.sort_unstable();
    assert_eq!((found, of_next_day), (streams, 0));
}

#[tokio::test]
async fn an_item_of_a_usual_entry_costs_one_write_unit() {
    let Some(table) = Table::made("an_item_of_a_usual_entry_costs_one_write_unit").await else { return };
    let (ledger, stream) = (table.ledger(), StreamKey([3; 16]));
    let usual = decision(1, 420);
    ledger.append(&Tip::empty(stream), &usual, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await.expect("appended");
    let size: usize = table.item(stream, 0).await.iter().map(|(name, value)| name.len() + bytes_of(value)).sum();
    assert!(size <= 1024, "{size} bytes with a body of {}", usual.body.len());
}

fn bytes_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        other => panic!("an attribute of another type: {other:?}"),
    }
}

#[tokio::test]
async fn a_long_body_lies_outside_the_item_and_is_missed_when_it_goes_or_changes() {
    let Some(table) = Table::made("a_long_body_lies_outside_the_item").await else { return };
    let (ledger, stream) = (table.ledger(), StreamKey([4; 16]));
    let mut tip = Tip::empty(stream);
    for filler in [INLINE_BODY_BYTES_MAX - 45, INLINE_BODY_BYTES_MAX] {
        let long = decision(filler as u128, filler);
        let appended = ledger.append(&tip, &long, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
        tip = appended.expect("appended").receipt().tip();
    }
    let written = ledger.load(stream).await.expect("loaded");
    assert!(table.item(stream, 0).await.contains_key(layout::BODY));
    assert!(!table.item(stream, 1).await.contains_key(layout::BODY));

    let without = DynamoLedger::new(table.client.clone(), &table.name, origin(), Arc::new(MemoryBodies::default()));
    assert!(matches!(without.load(stream).await, Err(Error::Damaged { .. })), "the body is gone");
    let other = MemoryBodies::default();
    other.put(&written.entries[1].header.body, &written.entries[0].body).await.expect("put");
    let changed = DynamoLedger::new(table.client.clone(), &table.name, origin(), Arc::new(other));
    assert!(matches!(changed.load(stream).await, Err(Error::Damaged { .. })), "the body is another");
}

#[tokio::test]
async fn the_bodies_in_memory_conform() {
    bodies_conformance(&MemoryBodies::default()).await;
}

/// Claims that a stream whose items were changed behind the ledger's back is refused.
async fn is_refused(test: &str, change: impl AsyncFnOnce(&Table, StreamKey)) {
    let Some(table) = Table::made(test).await else { return };
    let stream = StreamKey([5; 16]);
    three_entries(&table.ledger(), stream).await;
    change(&table, stream).await;
    let loaded = table.ledger().load(stream).await;
    assert!(matches!(loaded, Err(Error::Damaged { .. })), "{test}: {:?}", loaded.map(|found| found.entries.len()));
}

#[tokio::test]
async fn what_no_append_wrote_is_damage() {
    is_refused("middle removed", async |table, stream| table.remove(stream, 1).await).await;
    is_refused("body", async |table, stream| {
        let mut item = table.item(stream, 1).await;
        item.insert(layout::BODY.to_owned(), AttributeValue::S("[]".to_owned()));
        table.overwrite(item).await;
    })
    .await;
    is_refused("body removed", async |table, stream| {
        let mut item = table.item(stream, 1).await;
        item.remove(layout::BODY);
        table.overwrite(item).await;
    })
    .await;
    is_refused("nonce", async |table, stream| {
        let mut item = table.item(stream, 1).await;
        item.insert("nonce".to_owned(), AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([9; 16])));
        table.overwrite(item).await;
    })
    .await;
    is_refused("an entry of another number", async |table, stream| {
        let mut item = table.item(stream, 1).await;
        item.insert("seq".to_owned(), layout::seq_key(0));
        table.overwrite(item).await;
    })
    .await;
}

/// By itself the changed entry is a sound one; who knows its leaf finds it: the next append, the link after it, the log.
#[tokio::test]
async fn an_append_refuses_to_build_on_a_changed_entry() {
    let Some(table) = Table::made("an_append_refuses_to_build_on_a_changed_entry").await else { return };
    let stream = StreamKey([8; 16]);
    let tip = three_entries(&table.ledger(), stream).await.tip();
    let mut item = table.item(stream, 2).await;
    let header = item["header"].as_s().expect("text").replace("system:ingestion", "system:validation");
    item.insert("header".to_owned(), AttributeValue::S(header));
    table.overwrite(item).await;
    assert!(matches!(append(&table.ledger(), &tip, 3).await, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn a_tip_of_entries_that_were_cut_off_is_refused() {
    let Some(table) = Table::made("a_tip_of_entries_that_were_cut_off_is_refused").await else { return };
    let stream = StreamKey([6; 16]);
    let tip = three_entries(&table.ledger(), stream).await.tip();
    table.remove(stream, 2).await;
    assert!(matches!(append(&table.ledger(), &tip, 3).await, Err(Error::Damaged { .. })));
    assert_eq!(table.ledger().load(stream).await.expect("loaded").entries.len(), 2, "nothing was written behind a gap");
}

#[tokio::test]
async fn entries_of_another_origin_are_refused() {
    let Some(table) = Table::made("entries_of_another_origin_are_refused").await else { return };
    let stream = StreamKey([7; 16]);
    three_entries(&table.ledger(), stream).await;
    let other = Origin::new("medimg", "test", [0x11; 16]).expect("an origin");
    let other = DynamoLedger::new(table.client.clone(), &table.name, other, Arc::new(table.bodies.clone()));
    assert!(matches!(other.load(stream).await, Err(Error::Damaged { .. })));
}
