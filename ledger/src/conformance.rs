//! What every store must pass: plain async functions over the ports. A claim that does not hold panics with its sentence.
//!
//! `streams` asks what every [`Ledger`] promises, `all` also what a store with an order of its own does.
//! Each function uses streams of its own, so all of them run on one store, in any order, whatever it holds already.

use futures::FutureExt as _;
use futures::future::{join_all, poll_immediate};
use uuid::Uuid;

use crate::{
    Actor, Appended, BODY_BYTES_MAX, Decision, Error, EventTypes, Head, IndexHash, InvalidDecision, Ledger, Link, Log,
    LogEntry, Nonce, READ_ENTRIES_MAX, STREAM_ENTRIES_MAX, Stream, StreamKey, Tag, TagKind, Tip, UtcMillis,
    merkle_root,
};

/// How many entries [`streams`] adds in all.
const STREAMS_ENTRIES: u64 = 75 + STREAM_ENTRIES_MAX;

/// Runs every claim about streams: what also a store promises that leaves the order of its log to a sealer.
pub async fn streams<L: Ledger>(ledger: &L) {
    an_empty_stream_loads_as_empty(ledger).await;
    what_was_appended_is_loaded(ledger).await;
    the_longest_body_is_loaded_as_it_was(ledger).await;
    the_same_decision_again_gets_the_first_receipt(ledger).await;
    another_decision_for_a_taken_slot_is_a_conflict(ledger).await;
    a_tip_that_the_store_does_not_hold_is_refused(ledger).await;
    time_never_runs_backwards_in_a_stream(ledger).await;
    a_chain_is_appended_as_its_links_would_be_one_by_one(ledger).await;
    a_chain_ends_at_the_first_link_that_is_not_new(ledger).await;
    a_dropped_append_leaves_all_or_nothing(ledger).await;
    of_many_writers_one_wins_each_slot(ledger).await;
    what_can_be_no_entry_is_refused_and_leaves_nothing(ledger).await;
    a_stream_is_bounded(ledger).await;
}

/// Runs every claim that needs no second opening, on a store that gives each entry its leaf index at once.
pub async fn all<L: Ledger + Log>(ledger: &L) {
    let before = head(ledger).await.size;
    streams(ledger).await;
    let added = head(ledger).await.size - before;
    assert_eq!(added, STREAMS_ENTRIES, "what was refused, lost or recorded before is no entry of the log either");
    appends_become_durable_in_the_order_of_first_polls(ledger).await;
    tags_come_from_the_body_and_find_the_entry(ledger).await;
    reading_is_bounded_and_goes_on(ledger).await;
    the_head_is_the_root_of_all_entries(ledger).await;
}

/// Claims that a store opened again holds what it held; `reopen` closes the store and opens it anew.
pub async fn reopening_keeps_everything<L: Ledger + Log>(ledger: L, reopen: impl AsyncFnOnce(L) -> L) {
    let stream = stream("reopening");
    let mut tip = Tip::empty(stream);
    for n in 0..20 {
        tip = append(&ledger, &tip, &decision(n)).await.receipt().tip();
    }
    let (origin, before, head) = (ledger.origin().clone(), load(&ledger, stream).await, head(&ledger).await);
    let ledger = reopen(ledger).await;
    assert_eq!(*ledger.origin(), origin);
    assert_eq!(load(&ledger, stream).await, before);
    assert_eq!(self::head(&ledger).await, head);
    append(&ledger, &before.tip(), &decision(20)).await;
    the_head_is_the_root_of_all_entries(&ledger).await;
}

/// A stream without entries is not an error.
pub async fn an_empty_stream_loads_as_empty<L: Ledger>(ledger: &L) {
    let found = load(ledger, stream("empty")).await;
    assert!(found.entries.is_empty());
    assert_eq!(found.tip(), Tip::empty(stream("empty")));
}

/// Header, nonce, body and leaf come back as they went in, linked.
pub async fn what_was_appended_is_loaded<L: Ledger>(ledger: &L) {
    let stream = stream("append");
    let mut tip = Tip::empty(stream);
    for n in 0..5u128 {
        let decision = decision(n);
        let (at, nonce) = (UtcMillis::from_unix_ms(1000 + n as u64), Nonce([n as u8; 16]));
        let appended = ledger.append(&tip, &decision, at, nonce).await.expect("a new entry");
        let Appended::New(receipt) = appended else { panic!("the entry is new") };
        let loaded = load(ledger, stream).await;
        let entry = loaded.entries.last().expect("a load after an append sees the entry");
        assert_eq!((&entry.header, entry.leaf), (&receipt.header, receipt.leaf), "the receipt is of the stored entry");
        assert_eq!((&entry.body, entry.nonce), (&decision.body, nonce), "body and nonce are stored as given");
        assert_eq!(entry.header_bytes, receipt.header.render());
        assert_eq!((entry.header.seq, entry.header.recorded_at), (n as u64, at));
        assert_eq!((&entry.header.types, entry.header.decision_id), (&decision.types, decision.decision_id));
        assert_eq!((&entry.header.actor, entry.header.subject), (&decision.actor, decision.subject));
        assert_eq!(receipt.tip(), loaded.tip(), "the tip of a receipt is that of a load");
        tip = receipt.tip();
    }
    let links: Vec<_> =
        load(ledger, stream).await.entries.iter().map(|entry| (entry.header.prev, entry.leaf)).collect();
    assert!(links.windows(2).all(|pair| pair[1].0 == pair[0].1), "each entry links to the one before");
    assert_eq!(links[0].0, crate::first_prev(ledger.origin(), stream));
}

/// A body of as many bytes as one may have, not all of them ASCII.
pub async fn the_longest_body_is_loaded_as_it_was<L: Ledger>(ledger: &L) {
    let stream = stream("long body");
    let mut long = decision(1);
    let (begin, end) = (r#"[{"type":"a.thing.v1","data":{"n":""#, r#""}}]"#);
    let room = BODY_BYTES_MAX - begin.len() - end.len();
    long.body = format!("{begin}{}{}{end}", "\u{3c0}".repeat(room / 2), "x".repeat(room % 2));
    assert_eq!(long.body.len(), BODY_BYTES_MAX);
    append(ledger, &Tip::empty(stream), &long).await;
    assert!(load(ledger, stream).await.entries[0].body == long.body, "the body is stored byte for byte");
}

/// A retry, also one from an old tip, adds nothing and gets the stored header.
pub async fn the_same_decision_again_gets_the_first_receipt<L: Ledger>(ledger: &L) {
    let stream = stream("again");
    let first = append(ledger, &Tip::empty(stream), &decision(1)).await.into_receipt();
    append(ledger, &first.tip(), &decision(2)).await;
    let before = load(ledger, stream).await;
    for nonce in [1, 2] {
        let mut other_body = decision(1);
        other_body.body = body(&["a.other.v1"], &[]);
        other_body.types = types(&["a.other.v1"]);
        let at = UtcMillis::from_unix_ms(9_000_000);
        let again =
            ledger.append(&Tip::empty(stream), &other_body, at, Nonce([nonce; 16])).await.expect("mine already");
        assert_eq!(again, Appended::Already(first.clone()), "the id alone makes the decision the same");
    }
    assert_eq!(load(ledger, stream).await, before, "nothing was added");
}

/// The slot decides; nothing is written.
pub async fn another_decision_for_a_taken_slot_is_a_conflict<L: Ledger>(ledger: &L) {
    let stream = stream("conflict");
    let first = append(ledger, &Tip::empty(stream), &decision(1)).await.into_receipt();
    append(ledger, &first.tip(), &decision(2)).await;
    let before = load(ledger, stream).await;
    for (tip, seq) in [(Tip::empty(stream), 0), (first.tip(), 1)] {
        let lost = ledger.append(&tip, &decision(3), UtcMillis::from_unix_ms(0), Nonce([0; 16])).await;
        assert!(matches!(lost, Err(Error::Conflict { stream: s, seq: n }) if s == stream && n == seq), "{lost:?}");
    }
    assert_eq!(load(ledger, stream).await, before, "a conflict leaves nothing behind");
}

/// A tip beyond the end, or with another leaf, is of another store: going on would fork it.
pub async fn a_tip_that_the_store_does_not_hold_is_refused<L: Ledger>(ledger: &L) {
    let stream = stream("foreign tip");
    let receipt = append(ledger, &Tip::empty(stream), &decision(1)).await.into_receipt();
    let before = load(ledger, stream).await;
    let beyond = Tip { count: receipt.tip().count + 3, ..receipt.tip() };
    let mut other = receipt.tip();
    other.last = other.last.map(|last| crate::entry::Last { leaf: crate::LeafHash([9; 32]), ..last });
    for tip in [beyond, other] {
        let refused = ledger.append(&tip, &decision(2), UtcMillis::from_unix_ms(0), Nonce([0; 16])).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    }
    assert_eq!(load(ledger, stream).await, before);
}

/// `recorded_at` is max(now, that of the entry before), whatever the clock says.
pub async fn time_never_runs_backwards_in_a_stream<L: Ledger>(ledger: &L) {
    let stream = stream("time");
    let mut tip = Tip::empty(stream);
    for (n, (clock, recorded)) in [(500, 500), (400, 500), (500, 500), (501, 501)].into_iter().enumerate() {
        let at = UtcMillis::from_unix_ms(clock);
        let appended = ledger.append(&tip, &decision(n as u128), at, Nonce([0; 16])).await.expect("appended");
        assert_eq!(appended.receipt().header.recorded_at.unix_ms(), recorded);
        tip = appended.receipt().tip();
    }
}

/// A chain leaves what single appends leave: linked entries, times that do not run backwards, receipts in order.
pub async fn a_chain_is_appended_as_its_links_would_be_one_by_one<L: Ledger>(ledger: &L) {
    let stream = stream("chain");
    let first = append(ledger, &Tip::empty(stream), &decision(0)).await;
    let mut links: Vec<Link> = (1..5).map(link).collect();
    links[2].at = UtcMillis::from_unix_ms(1);
    let answers = ledger.append_chain(&first.receipt().tip(), &links).await;
    let receipts: Vec<_> = answers.into_iter().map(|answer| answer.expect("appended").into_receipt()).collect();
    let found = load(ledger, stream).await;
    assert_eq!(found.entries.len(), 5, "every link is an entry");
    for (entry, receipt) in found.entries[1..].iter().zip(&receipts) {
        assert_eq!((&entry.header, entry.leaf), (&receipt.header, receipt.leaf));
    }
    for (entry, link) in found.entries[1..].iter().zip(&links) {
        assert_eq!(entry.header.decision_id, link.decision.decision_id);
        assert_eq!((entry.nonce, &entry.body), (link.nonce, &link.decision.body));
    }
    assert!(found.entries.is_sorted_by_key(|entry| entry.header.recorded_at));
    assert!(ledger.append_chain(&found.tip(), &[]).await.is_empty(), "a chain without links does nothing");
}

/// Nothing stands behind a link that was recorded before, lost its slot, or can be no entry.
pub async fn a_chain_ends_at_the_first_link_that_is_not_new<L: Ledger>(ledger: &L) {
    let already = stream("chain already");
    append(ledger, &Tip::empty(already), &decision(1)).await;
    let answers = ledger.append_chain(&Tip::empty(already), &[link(1), link(2)]).await;
    assert!(matches!(answers[..], [Ok(Appended::Already(_))]), "{answers:?}");
    assert_eq!(load(ledger, already).await.entries.len(), 1);

    let lost = stream("chain lost");
    append(ledger, &Tip::empty(lost), &decision(1)).await;
    let answers = ledger.append_chain(&Tip::empty(lost), &[link(2), link(3)]).await;
    assert!(matches!(answers[..], [Err(Error::Conflict { seq: 0, .. })]), "{answers:?}");
    assert_eq!(load(ledger, lost).await.entries.len(), 1);

    let refused = stream("chain refused");
    let mut links = [link(1), link(2), link(3)];
    links[1].decision.body = "no array".to_owned();
    let answers = ledger.append_chain(&Tip::empty(refused), &links).await;
    assert!(matches!(answers[..], [Ok(Appended::New(_)), Err(Error::Invalid(_))]), "{answers:?}");
    assert_eq!(load(ledger, refused).await.entries.len(), 1);
}

/// Futures polled first in one order and awaited in another are durable in the order of the polls.
pub async fn appends_become_durable_in_the_order_of_first_polls<L: Ledger + Log>(ledger: &L) {
    // More than one commit and one queue can hold.
    const COUNT: u128 = 3000;
    let from = head(ledger).await.size;
    let decisions: Vec<(Tip, Decision)> =
        (0..COUNT).map(|n| (Tip::empty(numbered_stream("order", n)), decision(n))).collect();
    let mut appends = Vec::new();
    for (tip, decision) in &decisions {
        let mut append = ledger.append(tip, decision, UtcMillis::from_unix_ms(1), Nonce([1; 16]));
        // A store may answer at once; otherwise the future is held, polled once.
        match poll_immediate(&mut append).await {
            Some(answer) => drop(answer.expect("appended")),
            None => appends.push(append),
        }
    }
    // Awaited from the last to the first.
    for append in join_all(appends.into_iter().rev()).await {
        append.expect("appended");
    }
    let order = read_from(ledger, from).await;
    let streams: Vec<StreamKey> = order.iter().map(|row| row.entry.header.stream).collect();
    let expected: Vec<StreamKey> = decisions.iter().map(|(tip, _)| tip.stream()).collect();
    assert_eq!(streams, expected, "leaf indices follow the order of the first polls");
}

/// A future dropped after its first poll leaves the whole entry or none, and the decision can be taken again.
pub async fn a_dropped_append_leaves_all_or_nothing<L: Ledger>(ledger: &L) {
    for n in 0..20u128 {
        let tip = Tip::empty(numbered_stream("dropped", n));
        let decision = decision(n);
        let dropped = ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).now_or_never();
        drop(dropped);
        append(ledger, &tip, &decision).await;
        assert_eq!(load(ledger, tip.stream()).await.entries.len(), 1, "the retry finds the entry or writes it");
    }
}

/// Many writers of one stream: each slot has one winner, and everyone who lost can load and go on.
pub async fn of_many_writers_one_wins_each_slot<L: Ledger>(ledger: &L) {
    const WRITERS: u128 = 32;
    let stream = stream("writers");
    let writers = (0..WRITERS).map(|writer| async move {
        let decision = decision(writer);
        // Each round some writer wins a slot, so nobody needs more rounds than there are writers.
        for _ in 0..WRITERS {
            let tip = load(ledger, stream).await.tip();
            match ledger.append(&tip, &decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await {
                Ok(appended) => return appended.receipt().header.seq,
                Err(Error::Conflict { .. }) => {}
                Err(other) => panic!("a writer meets only conflicts: {other:?}"),
            }
        }
        panic!("a writer lost more often than others can win");
    });
    let mut won = join_all(writers).await;
    won.sort_unstable();
    assert_eq!(won, (0..WRITERS as u64).collect::<Vec<_>>(), "each slot was won once");
    assert_eq!(load(ledger, stream).await.entries.len() as u128, WRITERS);
}

/// Tags of every kind find their entries in leaf order; other versions and kinds of the same hash do not.
pub async fn tags_come_from_the_body_and_find_the_entry<L: Ledger + Log>(ledger: &L) {
    let from = head(ledger).await.size;
    let hash = StreamKey::parse("7a61676a61676a61676a61676a61676a").map(|key| key.0).expect("32 hex digits");
    let tags: Vec<Tag> = TagKind::ALL.iter().map(|&kind| Tag { kind, hash: IndexHash { version: 3, hash } }).collect();
    let streams: Vec<StreamKey> = (0..3).map(|n| numbered_stream("tags", n)).collect();
    for (n, &stream) in streams.iter().enumerate() {
        let mut decision = decision(n as u128);
        // The same tag in two events of one entry is one tag.
        decision.types = types(&["a.first.v1", "a.second.v1"]);
        decision.body = body(&["a.first.v1", "a.second.v1"], &tags);
        append(ledger, &Tip::empty(stream), &decision).await;
    }
    for tag in &tags {
        let found = ledger.tagged(tag, 0, 10).await.expect("tagged");
        let expected: Vec<(u64, StreamKey)> = (from..).zip(streams.iter().copied()).collect();
        assert_eq!(found.iter().map(|t| (t.leaf_index, t.stream)).collect::<Vec<_>>(), expected, "{tag}");
        let rest = ledger.tagged(tag, from + 1, 1).await.expect("tagged");
        assert_eq!(rest.iter().map(|t| t.leaf_index).collect::<Vec<_>>(), [from + 1], "from and limit hold");
        let other = Tag { hash: IndexHash { version: 4, ..tag.hash }, ..*tag };
        assert!(ledger.tagged(&other, 0, 10).await.expect("tagged").is_empty(), "another key version is another tag");
        assert!(ledger.tagged(tag, u64::MAX, 10).await.expect("tagged").is_empty());
    }
}

/// Bodies that are no bodies, types that do not fit, a header too long.
pub async fn what_can_be_no_entry_is_refused_and_leaves_nothing<L: Ledger>(ledger: &L) {
    let long = format!("a.{}.v1", "x".repeat(57));
    let long = [long.as_str(); 4];
    let sound = decision(1);
    let with_types = Decision { types: types(&["a.other.v1"]), ..sound.clone() };
    let no_json = Decision { body: "[".to_owned(), ..sound.clone() };
    let too_long = Decision { body: body(&["a.thing.v1"], &[]) + &" ".repeat(BODY_BYTES_MAX), ..sound.clone() };
    let long_header = Decision { types: types(&long), body: body(&long, &[]), ..sound.clone() };
    for (n, decision) in [with_types, no_json, too_long, long_header].iter().enumerate() {
        let tip = Tip::empty(stream("refused"));
        let refused = ledger.append(&tip, decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "case {n}: {refused:?}");
    }
    assert!(load(ledger, stream("refused")).await.entries.is_empty());
}

/// The entry after the last that a stream may have is refused, and the full stream still loads.
pub async fn a_stream_is_bounded<L: Ledger>(ledger: &L) {
    let mut tip = Tip::empty(stream("bounded"));
    for n in 0..STREAM_ENTRIES_MAX {
        tip = append(ledger, &tip, &decision(u128::from(n))).await.receipt().tip();
    }
    let refused = ledger.append(&tip, &decision(1 << 64), UtcMillis::from_unix_ms(1), Nonce([1; 16])).await;
    assert!(matches!(refused, Err(Error::Invalid(InvalidDecision::StreamFull))), "{refused:?}");
    assert_eq!(load(ledger, tip.stream()).await.entries.len() as u64, STREAM_ENTRIES_MAX);
}

/// A call answers at most its limit and [`READ_ENTRIES_MAX`]; reading on from there sees every entry once.
pub async fn reading_is_bounded_and_goes_on<L: Ledger + Log>(ledger: &L) {
    let mut tip = Tip::empty(stream("reading"));
    while head(ledger).await.size <= READ_ENTRIES_MAX as u64 {
        tip = append(ledger, &tip, &decision(u128::from(tip.count()))).await.receipt().tip();
    }
    let size = head(ledger).await.size;
    assert_eq!(ledger.entries(0, usize::MAX).await.expect("entries").len(), READ_ENTRIES_MAX);
    assert_eq!(ledger.entries(3, 2).await.expect("entries").iter().map(|e| e.leaf_index).collect::<Vec<_>>(), [3, 4]);
    assert!(ledger.entries(0, 0).await.expect("entries").is_empty());
    for from in [size, u64::MAX] {
        assert!(ledger.entries(from, 5).await.expect("entries").is_empty());
    }
    assert_eq!(read_from(ledger, 0).await.len() as u64, size);
}

/// Size, root and frontier are those of the entries, recomputed by the definition of RFC 6962.
pub async fn the_head_is_the_root_of_all_entries<L: Ledger + Log>(ledger: &L) {
    let head = head(ledger).await;
    let leaves: Vec<_> = read_from(ledger, 0).await.iter().map(|row| row.entry.leaf).collect();
    assert_eq!(head.size, leaves.len() as u64);
    assert_eq!(head.root, merkle_root(&leaves));
    assert_eq!(head.frontier.root(), head.root);
}

async fn head<L: Log>(ledger: &L) -> Head {
    ledger.head().await.expect("the head is readable")
}

async fn load<L: Ledger>(ledger: &L, stream: StreamKey) -> Stream {
    ledger.load(stream).await.expect("the stream is readable")
}

async fn append<L: Ledger>(ledger: &L, tip: &Tip, decision: &Decision) -> Appended {
    ledger.append(tip, decision, UtcMillis::from_unix_ms(1), Nonce([1; 16])).await.expect("appended")
}

/// Reads page by page to the end, which the dense indices bound.
async fn read_from<L: Log>(ledger: &L, from: u64) -> Vec<LogEntry> {
    let mut rows: Vec<LogEntry> = Vec::new();
    loop {
        let page = ledger.entries(from + rows.len() as u64, 700).await.expect("entries");
        if page.is_empty() {
            return rows;
        }
        for row in page {
            assert_eq!(row.leaf_index, from + rows.len() as u64, "leaf indices are dense");
            rows.push(row);
        }
    }
}

fn stream(name: &str) -> StreamKey {
    numbered_stream(name, 0)
}

/// A stream for a claim: its name's first bytes and a number.
fn numbered_stream(name: &str, n: u128) -> StreamKey {
    let name = name.bytes().chain([0; 8]).take(8).fold(0u128, |key, byte| key << 8 | u128::from(byte));
    StreamKey((name << 64 | n).to_be_bytes())
}

/// A decision; the same number is the same decision.
fn decision(n: u128) -> Decision {
    Decision {
        decision_id: Uuid::from_u128(n),
        types: types(&["a.thing.v1"]),
        subject: None,
        actor: Actor::system("conformance").expect("a step"),
        body: body(&["a.thing.v1"], &[]),
    }
}

fn link(n: u128) -> Link {
    let millis = 2_000 + u64::try_from(n).unwrap_or_default();
    let nonce = Nonce([u8::try_from(n).unwrap_or_default(); 16]);
    Link { decision: decision(n), at: UtcMillis::from_unix_ms(millis), nonce }
}

fn types(types: &[&str]) -> EventTypes {
    EventTypes::new(types).expect("event types")
}

fn body(types: &[&str], tags: &[Tag]) -> String {
    let tags: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
    let tags = tags.join(",");
    let events: Vec<String> =
        types.iter().map(|t| format!(r#"{{"type":"{t}","data":{{"n":1.50e1,"tags":[{tags}]}}}}"#)).collect();
    format!("[{}]", events.join(","))
}
