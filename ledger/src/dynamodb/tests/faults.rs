//! Calls that fail on their way: throttled, refused, slow, or done with their answer lost. Each ends as the port promises.

use super::*;

const THROTTLED: &str = r#""error":{"code":"ProvisionedThroughputExceededException"}"#;
const FAILED: &str = r#""error":{"code":"InternalServerError","status":500}"#;
/// The call is done and its answer cut off.
const LOST: &str = r#""response":{"abort_bytes":0}"#;

fn puts(times: Option<u32>, fault: &str) -> String {
    let times = times.map_or_else(String::new, |times| format!(r#""times":{times},"#));
    format!(r#""service":"dynamodb","operation":"PutItem",{times}{fault}"#)
}

fn queries(fault: &str) -> String {
    format!(r#""service":"dynamodb","operation":"Query",{fault}"#)
}

/// Appends one entry while puts fail; returns what the caller was told, how many puts failed, and how many entries stand.
async fn appended_while(test: &str, times: Option<u32>, fault: &str) -> Option<(Result<Appended, Error>, u64, usize)> {
    let table = Table::made(test).await?;
    let (ledger, stream) = (table.behind_faults(), StreamKey([1; 16]));
    let failing = table.emulator.fail(&table.name, &puts(times, fault));
    let told = append(&ledger, &Tip::empty(stream), 1).await;
    let fired = failing.fired();
    drop(failing);
    let standing = table.ledger().load(stream).await.expect("loaded").entries.len();
    // Whatever was told: the same decision again ends with one entry, and its receipt.
    let again = append(&ledger, &Tip::empty(stream), 1).await.expect("the same decision again");
    let loaded = table.ledger().load(stream).await.expect("loaded");
    assert_eq!(loaded.entries.len(), 1, "{test}");
    assert_eq!(loaded.entries[0].header, again.receipt().header, "{test}");
    Some((told, fired, standing))
}

#[tokio::test]
async fn a_put_that_is_throttled_for_a_while_is_made() {
    let Some(outcome) = appended_while("throttled for a while", Some(2), THROTTLED).await else { return };
    assert!(matches!(outcome, (Ok(Appended::New(_)), 2, 1)), "{outcome:?}");
}

#[tokio::test]
async fn a_put_that_stays_throttled_is_unavailable_and_did_not_happen() {
    let Some(outcome) = appended_while("throttled", None, THROTTLED).await else { return };
    assert!(matches!(outcome, (Err(Error::Unavailable { .. }), 4, 0)), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_fails_once_is_asked_again() {
    let Some(outcome) = appended_while("500 once", Some(1), FAILED).await else { return };
    assert!(matches!(outcome, (Ok(Appended::New(_)), 1, 1)), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_always_fails_leaves_the_put_unknown() {
    let Some(outcome) = appended_while("500", None, FAILED).await else { return };
    assert!(matches!(outcome, (Err(Error::Unknown { .. }), 4, 0)), "{outcome:?}");
}

#[tokio::test]
async fn throttled_after_a_failure_is_still_unknown() {
    let Some(table) = Table::made("throttled after a failure").await else { return };
    let first = table.emulator.fail(&table.name, &puts(Some(1), LOST));
    // The rule that comes first is used up first; the put that it let land is ours.
    let _then = table.emulator.fail(&table.name, &puts(None, THROTTLED));
    let told = append(&table.behind_faults(), &Tip::empty(StreamKey([1; 16])), 1).await;
    assert!(matches!(told, Err(Error::Unknown { .. })), "{told:?}");
    drop(first);
    assert_eq!(table.ledger().load(StreamKey([1; 16])).await.expect("loaded").entries.len(), 1);
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_found_to_be_ours() {
    let Some(outcome) = appended_while("lost answer", Some(1), LOST).await else { return };
    assert!(matches!(outcome, (Ok(Appended::New(_)), 1, 1)), "{outcome:?}");
}

#[tokio::test]
async fn a_put_whose_answers_are_all_lost_is_unknown_and_stands() {
    let Some(outcome) = appended_while("lost answers", None, LOST).await else { return };
    assert!(matches!(outcome, (Err(Error::Unknown { .. }), 4, 1)), "{outcome:?}");
}

#[tokio::test]
async fn a_put_without_an_answer_in_time_is_made_again() {
    let Some(outcome) = appended_while("slow", Some(1), r#""timeout_ms":8000"#).await else { return };
    assert!(matches!(outcome, (Ok(Appended::New(_)), 1, 1)), "{outcome:?}");
}

#[tokio::test]
async fn a_chain_goes_on_behind_a_link_whose_answer_was_lost() {
    let Some(table) = Table::made("chain").await else { return };
    let stream = StreamKey([1; 16]);
    let links: Vec<Link> = (0..4)
        .map(|n| Link { decision: decision(n, 20), at: UtcMillis::from_unix_ms(1), nonce: Nonce([n as u8; 16]) })
        .collect();
    // Every second answer is lost.
    let failing = table.emulator.fail(&table.name, &puts(None, &format!(r#""sequence":{{"fail":1,"pass":1}},{LOST}"#)));
    let answers = table.behind_faults().append_chain(&Tip::empty(stream), &links).await;
    assert!(failing.fired() > 0, "answers were lost");
    drop(failing);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Appended::New(_)))), "{answers:?}");
    assert_eq!(table.ledger().load(stream).await.expect("loaded").entries.len(), 4);
}

#[tokio::test]
async fn another_writer_behind_a_lost_answer_is_a_conflict() {
    let Some(table) = Table::made("conflict").await else { return };
    let stream = StreamKey([1; 16]);
    append(&table.ledger(), &Tip::empty(stream), 7).await.expect("appended");
    let _failing = table.emulator.fail(&table.name, &puts(Some(1), LOST));
    let told = append(&table.behind_faults(), &Tip::empty(stream), 1).await;
    assert!(matches!(told, Err(Error::Conflict { seq: 0, .. })), "{told:?}");
}

#[tokio::test]
async fn where_reading_fails_nothing_is_loaded_and_nothing_written() {
    let Some(table) = Table::made("reading").await else { return };
    let stream = StreamKey([1; 16]);
    let tip = three_entries(&table.ledger(), stream).await.tip();
    for fault in [THROTTLED, FAILED] {
        let _failing = table.emulator.fail(&table.name, &queries(fault));
        let loaded = table.behind_faults().load(stream).await;
        assert!(matches!(loaded, Err(Error::Unavailable { .. })), "{loaded:?}");
        let told = append(&table.behind_faults(), &tip, 3).await;
        assert!(matches!(told, Err(Error::Unavailable { .. })), "{told:?}");
    }
    assert_eq!(table.ledger().load(stream).await.expect("loaded").entries.len(), 3);
}

#[tokio::test]
async fn a_refusal_is_told_as_what_it_is() {
    let Some(table) = Table::made("refusal").await else { return };
    let stream = StreamKey([1; 16]);
    let refused = r#""error":{"code":"AccessDeniedException","status":400}"#;
    let failing = table.emulator.fail(&table.name, &puts(None, refused));
    let told = append(&table.behind_faults(), &Tip::empty(stream), 1).await;
    assert!(matches!(told, Err(Error::NoAccess { .. })), "{told:?}");
    assert_eq!(failing.fired(), 1, "what is refused is not tried again");
    let elsewhere = DynamoLedger::new(table.client.clone(), "no-such-table", origin(), Arc::new(table.bodies.clone()));
    assert!(matches!(elsewhere.load(stream).await, Err(Error::Missing)));
    assert!(matches!(append(&elsewhere, &Tip::empty(stream), 1).await, Err(Error::Missing)));
}

#[tokio::test]
async fn an_entry_whose_body_cannot_be_kept_is_not_written() {
    struct NoRoom;
    #[async_trait]
    impl Bodies for NoRoom {
        async fn put(&self, _: &crate::BodyHash, _: &str) -> Result<(), Error> {
            Err(Error::Unavailable { source: None })
        }
        async fn get(&self, _: &crate::BodyHash) -> Result<Option<String>, Error> {
            Err(Error::Unavailable { source: None })
        }
    }
    let Some(table) = Table::made("no room").await else { return };
    let ledger = DynamoLedger::new(table.client.clone(), &table.name, origin(), Arc::new(NoRoom));
    let (tip, long) = (Tip::empty(StreamKey([1; 16])), decision(1, INLINE_BODY_BYTES_MAX));
    let told = ledger.append(&tip, &long, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
    assert!(matches!(told, Err(Error::Unavailable { .. })), "{told:?}");
    assert!(ledger.load(tip.stream()).await.expect("loaded").entries.is_empty());
}
