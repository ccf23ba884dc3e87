//! What the ledger reads of a body: it is a JSON array of CloudEvents, and of each the type and `data.tags` matter here.
//! Read once at append and once per verification, straight from the stored text; it is never written anew (DESIGN §5).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{EventTypes, Tag};

/// Largest body in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Most events of one body.
pub const EVENTS_MAX: usize = EventTypes::COUNT_MAX;
/// Most tags of one body, repeated ones counted.
pub const TAGS_MAX: usize = 64;

/// Why a text is no body for its header. Says what, never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More than [`BODY_BYTES_MAX`] bytes.
    #[error("the body is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// Not a JSON array of objects, each with one string `type`; or `data.tags` is there and is no array of tags.
    #[error("the body is no JSON array of events with well-formed tags")]
    Malformed,
    /// The types of the events are not those of the header, in order.
    #[error("the body's event types are not those of the header")]
    Types,
}

/// The facts of a body that the ledger uses.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Body {
    /// The tags of all events, sorted, each once.
    pub tags: Vec<Tag>,
}

impl Body {
    /// Reads a body and checks it against the types that its header names.
    pub fn read(text: &str, types: &EventTypes) -> Result<Self, BodyError> {
        if text.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLong);
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut events = Events { types, matched: true, tags: Vec::new() };
        let read = reader.deserialize_seq(&mut events).and_then(|()| reader.end());
        let Events { matched, mut tags, .. } = events;
        read.map_err(|_| BodyError::Malformed)?;
        if !matched {
            return Err(BodyError::Types);
        }
        tags.sort_unstable();
        tags.dedup();
        Ok(Self { tags })
    }
}

/// Walks the array; compares the types on the way, so that no event is held.
struct Events<'a> {
    types: &'a EventTypes,
    matched: bool,
    tags: Vec<Tag>,
}

impl<'de> Visitor<'de> for &mut Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        let mut types = self.types.iter();
        for _ in 0..=EVENTS_MAX {
            let Some(event) = events.next_element::<Event<'_>>()? else {
                self.matched &= types.next().is_none();
                return Ok(());
            };
            self.matched &= types.next().is_some_and(|t| event.event_type.0 == t);
            self.tags.extend(event.data.unwrap_or_default().0);
            if self.tags.len() > TAGS_MAX {
                return Err(A::Error::custom("too many tags"));
            }
        }
        Err(A::Error::custom("too many events"))
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    event_type: TypeText<'a>,
    #[serde(default)]
    data: Option<DataTags>,
}

/// The text of a `type`. Borrowed unless it is written with escapes, which costs one allocation.
#[derive(Deserialize)]
#[serde(transparent)]
struct TypeText<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// The tags of one event's `data`; everything else in it is skipped. `data` that is no object has none.
#[derive(Default)]
struct DataTags(Vec<Tag>);

impl<'de> Deserialize<'de> for DataTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Key {
            Tags,
            #[serde(other)]
            Other,
        }
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = DataTags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DataTags, A::Error> {
                let mut tags = None;
                // Bounded by the length of the body.
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Tags if tags.is_some() => return Err(A::Error::duplicate_field("tags")),
                        Key::Tags => tags = Some(map.next_value::<TagList>()?.0),
                        Key::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(DataTags(tags.unwrap_or_default()))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

struct TagList(Vec<Tag>);

impl<'de> Deserialize<'de> for TagList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = TagList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of tags")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TagList, A::Error> {
                let mut tags = Vec::new();
                while let Some(TagText(tag)) = list.next_element()? {
                    if tags.len() == TAGS_MAX {
                        return Err(A::Error::custom("too many tags"));
                    }
                    tags.push(tag);
                }
                Ok(TagList(tags))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A tag read from its text without keeping the text.
struct TagText(Tag);

impl<'de> Deserialize<'de> for TagText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = TagText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tag")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TagText, E> {
                Tag::parse(text).map(TagText).ok_or_else(|| E::custom("not a tag"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "imaging.object.received.v1";

    fn read(text: &str, types: &[&str]) -> Result<Vec<String>, BodyError> {
        let types = EventTypes::new(types).expect("types");
        Body::read(text, &types).map(|body| body.tags.iter().map(Tag::to_string).collect())
    }

    #[test]
    fn tags_of_all_events_are_collected_once_and_sorted() {
        let study = "study:k1:000102030405060708090a0b0c0d0e0f";
        let actor = "actor:k2:ffeeddccbbaa99887766554433221100";
        let text = format!(
            r#"[{{"type":"{T}","data":{{"x":{{"tags":["no"]}},"tags":["{actor}","{study}"]}}}},{{"data":{{"tags":["{study}"]}},"type":"a.b.v2"}}]"#
        );
        assert_eq!(read(&text, &[T, "a.b.v2"]), Ok(vec![study.to_owned(), actor.to_owned()]));
    }

    #[test]
    fn an_event_without_data_or_tags_has_none() {
        for event in [
            format!(r#"{{"type":"{T}"}}"#),
            format!(r#"{{"type":"{T}","data":null}}"#),
            format!(r#"{{"type":"{T}","data":{{}}}}"#),
        ] {
            assert_eq!(read(&format!("[{event}]"), &[T]), Ok(vec![]));
        }
    }

    #[test]
    fn a_type_written_with_escapes_is_the_type_it_spells() {
        assert_eq!(read(&format!(r#"[{{"type":"\u0069{}"}}]"#, &T[1..]), &[T]), Ok(vec![]));
    }

    #[test]
    fn other_types_or_another_order_or_count_are_refused() {
        let (a, b) = (r#"{"type":"a.b.v1"}"#, r#"{"type":"a.c.v1"}"#);
        assert_eq!(read(&format!("[{a},{b}]"), &["a.b.v1", "a.c.v1"]), Ok(vec![]));
        for text in [format!("[{b},{a}]"), format!("[{a}]"), format!("[{a},{b},{b}]"), "[]".to_owned()] {
            assert_eq!(read(&text, &["a.b.v1", "a.c.v1"]), Err(BodyError::Types), "{text}");
        }
    }

    #[test]
    fn what_is_no_array_of_events_is_refused() {
        for text in [
            "",
            "{}",
            "[1]",
            "null",
            r#"[{"type":1}]"#,
            r#"[{}]"#,
            r#"[{"type":"a.b.v1"}"#,
            r#"[{"type":"a.b.v1"}] x"#,
            r#"[{"type":"a.b.v1","type":"a.b.v1"}]"#,
            r#"[{"type":"a.b.v1","data":{"tags":["study:k1:00"]}}]"#,
            r#"[{"type":"a.b.v1","data":{"tags":"study"}}]"#,
            r#"[{"type":"a.b.v1","data":{"tags":[],"tags":[]}}]"#,
            r#"[{"type":"a.b.v1","data":{"tags":[1]}}]"#,
            r#"[{"type":"a.b.v1","data":[]}]"#,
        ] {
            assert_eq!(read(text, &["a.b.v1"]), Err(BodyError::Malformed), "{text}");
        }
    }

    #[test]
    fn deep_nesting_and_too_many_tags_are_refused_without_a_crash() {
        let deep = format!(r#"[{{"type":"a.b.v1","data":{{"x":{}{}}}}}]"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(read(&deep, &["a.b.v1"]), Ok(_) | Err(BodyError::Malformed)));
        let tag = r#""study:k1:000102030405060708090a0b0c0d0e0f""#;
        let many = |n: usize| format!(r#"[{{"type":"a.b.v1","data":{{"tags":[{}]}}}}]"#, vec![tag; n].join(","));
        assert!(read(&many(TAGS_MAX), &["a.b.v1"]).is_ok());
        assert_eq!(read(&many(TAGS_MAX + 1), &["a.b.v1"]), Err(BodyError::Malformed));
        assert_eq!(read(&" ".repeat(BODY_BYTES_MAX + 1), &["a.b.v1"]), Err(BodyError::TooLong));
    }
}
