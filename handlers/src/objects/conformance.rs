//! What any `Objects` must do, as plain functions; every implementation runs them all.

use std::future::Future;

use domain::ids::{KeyedHash, StreamId};
use sha2::{Digest as _, Sha256};

use crate::ports::objects::{Digest, Objects, OutputKey, Published, StageToken};

fn stream(number: u8) -> StreamId {
    StreamId(KeyedHash([number; 16]))
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn key(number: u32) -> OutputKey {
    OutputKey::of_uids("2.25.1", "2.25.2", &format!("2.25.{number}"))
}

async fn stage(objects: &dyn Objects, of: u8, bytes: &[u8]) -> StageToken {
    let mut staging = objects.stage(stream(of)).await.expect("stage");
    for block in bytes.chunks(7) {
        staging.write(block).await.expect("write");
    }
    staging.finish().await.expect("finish")
}

/// Runs every rule; `make` returns an empty `Objects` each time.
pub async fn all<O: Objects, F: Future<Output = O>>(make: impl Fn() -> F) {
    a_staged_object_is_invisible_until_it_is_published(&make().await).await;
    publishing_twice_gives_the_same_answer(&make().await).await;
    the_same_bytes_of_another_object_are_already_there(&make().await).await;
    other_bytes_under_a_taken_key_conflict_and_change_nothing(&make().await).await;
    what_was_published_survives_the_discarding_of_its_stage(&make().await).await;
    a_stage_that_is_gone_asks_for_the_bytes_again(&make().await).await;
    a_stage_that_was_not_finished_leaves_nothing(&make().await).await;
    a_token_never_names_what_was_not_finished(&make().await).await;
    of_many_publishers_of_one_key_exactly_one_wins(&make().await).await;
}

async fn a_staged_object_is_invisible_until_it_is_published(objects: &dyn Objects) {
    let token = stage(objects, 1, b"first").await;
    assert!(token.0.len() <= 1024);
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), None);
    let published = objects.publish(&token, &key(1), digest_of(b"first")).await.expect("publish");
    assert_eq!(published, Some(Published::Now));
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), Some(digest_of(b"first")));
}

async fn publishing_twice_gives_the_same_answer(objects: &dyn Objects) {
    let token = stage(objects, 1, b"bytes").await;
    for _ in 0..2 {
        let published = objects.publish(&token, &key(1), digest_of(b"bytes")).await.expect("publish");
        assert_eq!(published, Some(Published::Now));
    }
}

async fn the_same_bytes_of_another_object_are_already_there(objects: &dyn Objects) {
    let (one, two) = (stage(objects, 1, b"same").await, stage(objects, 2, b"same").await);
    assert_eq!(objects.publish(&one, &key(1), digest_of(b"same")).await.expect("publish"), Some(Published::Now));
    assert_eq!(
        objects.publish(&two, &key(1), digest_of(b"same")).await.expect("publish"),
        Some(Published::AlreadyThere)
    );
}

async fn other_bytes_under_a_taken_key_conflict_and_change_nothing(objects: &dyn Objects) {
    let (one, two) = (stage(objects, 1, b"one").await, stage(objects, 2, b"two").await);
    assert_eq!(objects.publish(&one, &key(1), digest_of(b"one")).await.expect("publish"), Some(Published::Now));
    assert_eq!(objects.publish(&two, &key(1), digest_of(b"two")).await.expect("publish"), Some(Published::Conflict));
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), Some(digest_of(b"one")));
}

async fn what_was_published_survives_the_discarding_of_its_stage(objects: &dyn Objects) {
    let token = stage(objects, 1, b"kept").await;
    objects.publish(&token, &key(1), digest_of(b"kept")).await.expect("publish");
    for _ in 0..2 {
        objects.discard(&token).await.expect("discarding twice is no error");
    }
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), Some(digest_of(b"kept")));
}

async fn a_stage_that_is_gone_asks_for_the_bytes_again(objects: &dyn Objects) {
    let token = stage(objects, 1, b"lost").await;
    objects.discard(&token).await.expect("discard");
    assert_eq!(objects.publish(&token, &key(1), digest_of(b"lost")).await.expect("publish"), None);
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), None);
}

async fn a_stage_that_was_not_finished_leaves_nothing(objects: &dyn Objects) {
    let mut staging = objects.stage(stream(1)).await.expect("stage");
    staging.write(b"half").await.expect("write");
    drop(staging);
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), None);
}

async fn a_token_never_names_what_was_not_finished(objects: &dyn Objects) {
    let token = stage(objects, 1, b"whole").await;
    objects.discard(&token).await.expect("discard");
    let mut again = objects.stage(stream(1)).await.expect("stage");
    again.write(b"who").await.expect("write");
    // A process that is killed here drops nothing.
    std::mem::forget(again);
    assert_eq!(objects.publish(&token, &key(1), digest_of(b"whole")).await.expect("publish"), None);
    assert_eq!(objects.digest(&key(1)).await.expect("digest"), None);
}

async fn of_many_publishers_of_one_key_exactly_one_wins(objects: &dyn Objects) {
    let mut tokens = Vec::new();
    for number in 0..8u8 {
        tokens.push((stage(objects, number, &[number; 32]).await, digest_of(&[number; 32])));
    }
    let calls = tokens.iter().map(|(token, digest)| async { objects.publish(token, &key(1), *digest).await });
    let answers = futures::future::join_all(calls).await;
    let won = answers.iter().filter(|answer| matches!(answer, Ok(Some(Published::Now)))).count();
    let lost = answers.iter().filter(|answer| matches!(answer, Ok(Some(Published::Conflict)))).count();
    assert_eq!((won, lost), (1, 7));
}
