//! The bytes of the ledger against DESIGN §5's vector, and the strictness of the header on generated inputs.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use ledger::{
    Actor, EventTypes, Frontier, HEADER_BYTES_MAX, Header, HeaderError, IndexHash, LeafHash, Nonce, Origin, StreamKey,
    UtcMillis, body_hash, first_prev, leaf_hash, merkle_root,
};
use uuid::Uuid;

const BODY: &str = r#"[{"specversion":"1.0"}]"#;

fn vector() -> [Header; 2] {
    let origin = Origin::parse("medimg/dev/00112233445566778899aabbccddeeff").unwrap();
    let stream = StreamKey::parse("0123456789abcdef0123456789abcdef").unwrap();
    let nonce = Nonce(std::array::from_fn(|i| i as u8));
    let first = Header {
        prev: first_prev(&origin, stream),
        origin,
        stream,
        seq: 0,
        types: EventTypes::new(&["imaging.object.received.v1"]).unwrap(),
        decision_id: Uuid::parse_str("6ba7b811-9dad-5cd1-80b4-00c04fd430c8").unwrap(),
        subject: None,
        actor: Actor::system("intake").unwrap(),
        recorded_at: UtcMillis::parse("2026-11-23T05:00:00.000Z").unwrap(),
        body: body_hash(&nonce, BODY.as_bytes()),
    };
    let second = Header {
        seq: 1,
        prev: leaf_hash(&first.render()),
        types: EventTypes::new(&["imaging.instance.ingested.v1", "imaging.instance.validated.v1"]).unwrap(),
        decision_id: Uuid::parse_str("6ba7b812-9dad-5cd1-80b4-00c04fd430c8").unwrap(),
        subject: IndexHash::parse("k1:fedcba9876543210fedcba9876543210"),
        actor: Actor::system("ingestion").unwrap(),
        recorded_at: UtcMillis::parse("2026-11-23T05:00:00.250Z").unwrap(),
        ..first.clone()
    };
    [first, second]
}

#[test]
fn the_vector_of_the_design_is_met_byte_for_byte() {
    let [first, second] = vector().map(|header| header.render());
    assert_eq!((first.len(), second.len()), (296, 365));
    let leaves = [leaf_hash(&first), leaf_hash(&second)];
    assert_eq!(leaves[0].to_string(), "6645a4445827655eb0a412b402d79b4aa2aac8ecb68c7968e357123c7d712d92");
    assert_eq!(leaves[1].to_string(), "18e3e67817d39a4b15a69d34816a672e7f077ce8e8ad43e6a4112db18ea7c118");
    let root = "7447414e69c4ef7e6114f266c3820fd8567f88b1d18feb350a0f0a3832706095";
    assert_eq!(merkle_root(&leaves).to_string(), root);
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|&leaf| frontier.push(leaf));
    assert_eq!(frontier.root().to_string(), root);
}

#[test]
fn a_header_parses_to_the_fields_it_was_rendered_from() {
    for header in vector() {
        assert_eq!(Header::parse(&header.render()), Ok(header));
    }
}

#[test]
fn whatever_parses_after_a_change_of_one_byte_still_renders_to_the_same_bytes() {
    let mut parsed = 0u32;
    for header in vector() {
        let bytes = header.render();
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Ok(read) = Header::parse(&changed) {
                    parsed += 1;
                    assert_eq!(read.render(), changed);
                }
            }
        }
    }
    assert!(parsed > 1000, "changes within a field's alphabet are headers of other facts: {parsed}");
}

#[test]
fn other_spellings_of_the_same_facts_are_refused() {
    let text = String::from_utf8(vector()[1].render()).unwrap();
    let field = |name| Err(HeaderError::Field(name));
    let cases = [
        ("imgledger/v1\n", "imgledger/v2\n", field("version")),
        ("\n1\n", "\n01\n", field("seq")),
        ("\n1\n", "\n+1\n", field("seq")),
        ("\n1\n", "\n\n", field("seq")),
        ("\n1\n", "\n18446744073709551616\n", field("seq")),
        ("6ba7b812-9dad-5cd1-80b4-00c04fd430c8", "6BA7B812-9dad-5cd1-80b4-00c04fd430c8", field("decision_id")),
        ("6ba7b812-9dad-5cd1-80b4-00c04fd430c8", "6ba7b8129dad5cd180b400c04fd430c8", field("decision_id")),
        ("k1:fedc", "k01:fedc", field("subject")),
        ("k1:fedc", "k0:fedc", field("subject")),
        ("k1:fedc", "k1:FEDC", field("subject")),
        ("ddeeff\n", "ddeefF\n", field("origin")),
        ("ddeeff\n", "ddeeff#0\n", field("origin")),
        ("ddeeff\n", "ddeeff#01\n", field("origin")),
        ("system:ingestion", "system:", field("actor")),
        ("system:ingestion", "ingestion", field("actor")),
        ("imaging.instance.ingested.v1,", ",", field("types")),
        ("ingested.v1", "ingested.v0", field("types")),
        ("05:00:00.250Z", "05:00:00.25Z", field("recorded_at")),
        ("sha256:", "sha512:", field("body")),
        ("=\n-\n", "=\nk\n", field("key_id")),
        ("=\n-\n", "=\n-", Err(HeaderError::Lines)),
        ("=\n-\n", "=\n-\n\n", Err(HeaderError::Lines)),
        ("=\n-\n", "\n-\n", field("body")),
        ("medimg", "med img", Err(HeaderError::Charset)),
        ("medimg", "m\u{e9}dimg", Err(HeaderError::Charset)),
        ("=\n-\n", "=\r\n-\n", Err(HeaderError::Charset)),
    ];
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        assert_eq!(Header::parse(changed.as_bytes()), expected, "{from:?} -> {to:?}");
    }
    assert_eq!(Header::parse(&vec![b'a'; HEADER_BYTES_MAX + 1]), Err(HeaderError::TooLong));
    assert_eq!(Header::parse(b""), Err(HeaderError::Lines));
    let recovered = text.replacen("ddeeff\n", "ddeeff#12\n", 1);
    assert!(Header::parse(recovered.as_bytes()).is_ok(), "a recovered log has a numbered origin");
}

#[test]
fn base64_with_other_trailing_bits_is_refused() {
    let text = String::from_utf8(vector()[0].render()).unwrap();
    let prev = text.lines().nth(4).unwrap();
    // The last character before the padding carries two bits that must be zero.
    for last in "BCDFGH".chars() {
        let other = format!("{}{last}=", &prev[..42]);
        assert!(
            matches!(Header::parse(text.replace(prev, &other).as_bytes()), Err(HeaderError::Field("prev"))),
            "{last}"
        );
    }
}

#[test]
fn five_types_or_none_are_refused() {
    assert!(EventTypes::new(&["a.b.v1"; 4]).is_some());
    assert!(EventTypes::new(&["a.b.v1"; 5]).is_none());
    assert!(EventTypes::new(&[]).is_none());
    for text in ["a.v1", "a.b.c", "a..v1", "A.b.v1", "a.b.v1,", "a.b.v01", "a.b.v", ".a.b.v1"] {
        assert!(EventTypes::new(&[text]).is_none(), "{text}");
    }
    assert!(EventTypes::new(&["a.b.v1,a.c.v1"]).is_none(), "one item is one type");
}

#[test]
fn frontier_and_definition_agree_for_every_size_and_survive_storage() {
    let leaves: Vec<LeafHash> = (0..700u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    let mut frontier = Frontier::new();
    for (size, &leaf) in leaves.iter().enumerate() {
        assert_eq!(frontier.root(), merkle_root(&leaves[..size]), "size {size}");
        assert_eq!(Frontier::from_bytes(size as u64, &frontier.to_bytes()), Some(frontier.clone()));
        assert_eq!(Frontier::from_bytes(size as u64 ^ 1, &frontier.to_bytes()), None);
        for (first, count, hash) in frontier.subtrees() {
            assert_eq!(merkle_root(&leaves[first as usize..(first + count) as usize]).0, *hash);
        }
        frontier.push(leaf);
    }
}

#[test]
fn a_log_without_entries_has_the_root_of_rfc_6962() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Frontier::new().root().to_string(), empty);
    assert_eq!(merkle_root(&[]).to_string(), empty);
}
