//! Two objects held against each other, level by level: which elements are gone, new, empty or other, and where.

use std::collections::HashMap;

use domain::dicom::scan::is_text;
use domain::dicom::skeleton::{Content, Element, Note, Skeleton};
use domain::dicom::{Tag, VR};

use super::side::{Side, is_big_endian, unit_of};

/// Changes that are named; more are only counted.
const CHANGES_MAX: usize = 200_000;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// Where receipts say that bytes behind the data set went (PS3.10 7.2 pads with this tag).
const TRAILING: Tag = Tag(0xFFFC, 0xFFFC);

/// What differs at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// In RAW only.
    Removed,
    /// In RAW with a value, in OUT without.
    Emptied,
    /// In both, with different values.
    Replaced,
    /// In OUT only.
    Added,
    /// Goes from inside a compressed frame; the segment's name.
    Cut(&'static str),
    /// An earlier one of elements that stand twice in RAW.
    Twice,
    /// The 128 bytes of the preamble.
    Preamble,
    /// Bytes behind the data set.
    Trailing,
    /// The frames of encapsulated pixel data, or where the offset table says they begin.
    Frames,
}

impl Kind {
    /// Returns the word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Emptied => "emptied",
            Self::Replaced => "replaced",
            Self::Added => "added",
            Self::Cut(_) => "cut",
            Self::Twice => "stood twice",
            Self::Preamble => "preamble blanked",
            Self::Trailing => "cut off",
            Self::Frames => "frames differ",
        }
    }
}

/// What an element is like, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The VR.
    pub vr: VR,
    /// Length of the value in bytes; of a sequence the number of its items.
    pub len: u64,
    /// Whether `len` counts items.
    pub is_sequence: bool,
    /// The element's index in its skeleton, for whoever may show values; `None` for one of the file meta.
    pub index: Option<usize>,
}

/// A place without the numbers of items, interned: what a line of a receipt is about. 0 is the top level.
pub(super) type Node = u32;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: `(0008,1115)[0].(0020,000E)`.
    pub place: String,
    /// The attribute.
    pub tag: Tag,
    /// What differs.
    pub kind: Kind,
    /// The element in RAW.
    pub raw: Option<Shape>,
    /// The element in OUT.
    pub out: Option<Shape>,
    pub(super) node: Node,
    /// The sequences around it, outermost first, each with the number of characters of `place` that name this one.
    pub(super) around: Vec<(Node, usize)>,
}

/// How elements that did not change stand at one place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Census {
    /// In both with the same value.
    pub(super) kept: u32,
    /// In both and empty.
    pub(super) empty: u32,
    /// In RAW below something that is gone, empty or other as a whole.
    pub(super) gone_with: u32,
}

/// Places by number.
#[derive(Debug, Default)]
pub(super) struct Places {
    index: HashMap<(Node, Tag), Node>,
}

impl Places {
    /// Returns the place of `tag` below `parent`. Private attributes of one group are one place, as receipts tell them.
    pub(super) fn inside(&mut self, parent: Node, tag: Tag) -> Node {
        let tag = if tag.group() % 2 == 1 { Tag(tag.group(), 0xFFFF) } else { tag };
        let next = self.index.len() as Node + 1;
        *self.index.entry((parent, tag)).or_insert(next)
    }
}

/// What the comparison found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    /// Changes that found no room.
    pub(super) more: u64,
    pub(super) places: Places,
    pub(super) census: HashMap<Node, Census>,
    /// How many elements are the same in both.
    pub(super) same: u64,
}

pub(super) struct Walk<'a> {
    raw: &'a Side,
    out: &'a Side,
    found: Found,
}

/// Where the walk stands.
#[derive(Clone)]
struct Level {
    raw: Option<usize>,
    out: Option<usize>,
    node: Node,
    place: String,
    around: Vec<(Node, usize)>,
}

/// Holds two objects against each other.
pub(super) fn differences(raw: &Side, out: &Side) -> Found {
    let mut walk = Walk { raw, out, found: Found::default() };
    walk.frame();
    walk.meta();
    walk.level(&Level { raw: None, out: None, node: 0, place: String::new(), around: Vec::new() });
    walk.found
}

impl Walk<'_> {
    /// What is no element: the preamble, and what lies behind the data set.
    fn frame(&mut self) {
        let top = Level { raw: None, out: None, node: 0, place: String::new(), around: Vec::new() };
        if self.raw.preamble {
            self.change(&top, Tag(0x0002, 0x0000), Kind::Preamble, None, None);
        }
        let trails = |side: &Side| side.skeleton.notes.contains(&Note::TrailingBytes);
        if trails(self.raw) && !trails(self.out) {
            self.change(&top, TRAILING, Kind::Trailing, None, None);
        }
    }

    fn meta(&mut self) {
        let (raw, out) = (&self.raw.skeleton, &self.out.skeleton);
        let top = Level { raw: None, out: None, node: 0, place: String::new(), around: Vec::new() };
        let mut tags: Vec<Tag> = raw.meta.iter().chain(&out.meta).map(|element| element.tag).collect();
        tags.sort_unstable();
        tags.dedup();
        for tag in tags {
            let find = |skeleton: &Skeleton| skeleton.meta.iter().rev().find(|element| element.tag == tag).copied();
            let (a, b) = (find(raw), find(out));
            let same = match (&a, &b) {
                (Some(a), Some(b)) => trimmed(raw.bytes(a)) == trimmed(out.bytes(b)) && raw.bytes(a).is_some(),
                _ => false,
            };
            if same {
                continue;
            }
            let kind = match (&a, &b) {
                (Some(_), None) => Kind::Removed,
                (None, _) => Kind::Added,
                _ => Kind::Replaced,
            };
            let shape = |element: Element| Shape { vr: element.vr, len: element.len, is_sequence: false, index: None };
            self.change(&top, tag, kind, a.map(shape), b.map(shape));
        }
    }

    /// Compares the elements of one item, or of the top level. Recursion is bounded by the scan's nesting limit.
    fn level(&mut self, level: &Level) {
        let (raw, doubled) = by_tag(&self.raw.skeleton, level.raw);
        let (out, out_doubled) = by_tag(&self.out.skeleton, level.out);
        for index in doubled {
            let tag = self.raw.skeleton.elements[index].tag;
            let shape = Some(shape(&self.raw.skeleton, index));
            self.change(level, tag, Kind::Twice, shape, None);
        }
        for index in out_doubled {
            let tag = self.out.skeleton.elements[index].tag;
            let shape = Some(shape(&self.out.skeleton, index));
            self.change(level, tag, Kind::Added, None, shape);
        }
        let (mut a, mut b) = (raw.iter().peekable(), out.iter().peekable());
        loop {
            let (left, right) = (a.peek().map(|(tag, _)| *tag), b.peek().map(|(tag, _)| *tag));
            match (left, right) {
                (None, None) => break,
                (Some(left), right) if right.is_none_or(|right| left < right) => {
                    let index = a.next().map_or(0, |(_, index)| *index);
                    let shape = Some(shape(&self.raw.skeleton, index));
                    self.change(level, left, Kind::Removed, shape, None);
                    self.count_gone(level, index);
                }
                (left, Some(right)) if left.is_none_or(|left| right < left) => {
                    let index = b.next().map_or(0, |(_, index)| *index);
                    let shape = Some(shape(&self.out.skeleton, index));
                    self.change(level, right, Kind::Added, None, shape);
                }
                _ => {
                    if let (Some((_, raw)), Some((_, out))) = (a.next(), b.next()) {
                        self.both(level, *raw, *out);
                    }
                }
            }
        }
    }

    fn both(&mut self, level: &Level, at_raw: usize, at_out: usize) {
        let (raw, out) = (&self.raw.skeleton, &self.out.skeleton);
        let (a, b) = (raw.elements[at_raw], out.elements[at_out]);
        let shapes = (Some(shape(raw, at_raw)), Some(shape(out, at_out)));
        match (a.content, b.content) {
            (Content::Sequence, Content::Sequence) => return self.items(level, at_raw, at_out),
            (Content::Fragments, Content::Fragments) if a.tag == PIXEL_DATA => return self.frames(level, shapes),
            _ => {}
        }
        let node = self.found.places.inside(level.node, a.tag);
        if self.same_value(at_raw, at_out) {
            self.found.same += 1;
            let census = self.found.census.entry(node).or_default();
            census.kept += 1;
            census.empty += u32::from(a.len == 0);
            return;
        }
        let holds = |content, len| len > 0 || matches!(content, Content::Fragments);
        let emptied = holds(a.content, a.len) && !holds(b.content, b.len);
        let kind = if emptied { Kind::Emptied } else { Kind::Replaced };
        self.change(level, a.tag, kind, shapes.0, shapes.1);
        self.count_gone(level, at_raw);
    }

    fn items(&mut self, level: &Level, at_raw: usize, at_out: usize) {
        let tag = self.raw.skeleton.elements[at_raw].tag;
        let raw: Vec<usize> = self.raw.skeleton.children(Some(at_raw)).collect();
        let out: Vec<usize> = self.out.skeleton.children(Some(at_out)).collect();
        let node = self.found.places.inside(level.node, tag);
        let shapes = (Some(shape(&self.raw.skeleton, at_raw)), Some(shape(&self.out.skeleton, at_out)));
        if raw.is_empty() && out.is_empty() {
            self.found.same += 1;
            let census = self.found.census.entry(node).or_default();
            census.kept += 1;
            census.empty += 1;
            return;
        }
        if out.is_empty() {
            self.change(level, tag, Kind::Emptied, shapes.0, shapes.1);
            return self.count_gone(level, at_raw);
        }
        if raw.len() != out.len() {
            self.change(level, tag, Kind::Replaced, shapes.0, shapes.1);
            return self.count_gone(level, at_raw);
        }
        let before = self.found.changes.len() as u64 + self.found.more;
        let name = format!("{}{}", level.place, told(tag));
        for (at, (raw, out)) in raw.into_iter().zip(out).enumerate() {
            let mut around = level.around.clone();
            around.push((node, name.len()));
            let inner = Level { raw: Some(raw), out: Some(out), node, place: format!("{name}[{at}]."), around };
            self.level(&inner);
        }
        if self.found.changes.len() as u64 + self.found.more == before {
            self.found.same += 1;
            self.found.census.entry(node).or_default().kept += 1;
        }
    }

    /// Encapsulated pixel data: what had to go is gone, nothing else changed, and the offset table points at the frames.
    fn frames(&mut self, level: &Level, shapes: (Option<Shape>, Option<Shape>)) {
        let (raw, out) = (&self.raw.skeleton.encapsulated, &self.out.skeleton.encapsulated);
        let (Some(raw), Some(out)) = (raw, out) else { return };
        let same = self.raw.cleaned == self.out.fragments && follows(raw, out);
        let cuts: Vec<&'static str> = raw.cuts.iter().map(|cut| cut.what).collect();
        if cuts.is_empty() && same {
            self.found.same += 1;
        }
        for what in cuts {
            self.change(level, PIXEL_DATA, Kind::Cut(what), None, None);
        }
        if !same {
            self.change(level, PIXEL_DATA, Kind::Frames, shapes.0, shapes.1);
        }
    }

    fn change(&mut self, level: &Level, tag: Tag, kind: Kind, raw: Option<Shape>, out: Option<Shape>) {
        if self.found.changes.len() >= CHANGES_MAX {
            self.found.more += 1;
            return;
        }
        let node = self.found.places.inside(level.node, tag);
        let place = format!("{}{}", level.place, told(tag));
        self.found.changes.push(Change { place, tag, kind, raw, out, node, around: level.around.clone() });
    }

    /// Counts what stood in RAW below an element that went as a whole.
    fn count_gone(&mut self, level: &Level, index: usize) {
        let skeleton = &self.raw.skeleton;
        let node = self.found.places.inside(level.node, skeleton.elements[index].tag);
        // A stack of (end of the subtree, place), since the elements stand in document order.
        let mut open = vec![(skeleton.elements[index].end as usize, node)];
        for at in index + 1..skeleton.elements[index].end as usize {
            let element = &skeleton.elements[at];
            while open.len() > 1 && open.last().is_some_and(|(end, _)| at >= *end) {
                open.pop();
            }
            let parent = open.last().map_or(node, |(_, node)| *node);
            let here = if element.tag == ITEM {
                parent
            } else {
                let here = self.found.places.inside(parent, element.tag);
                self.found.census.entry(here).or_default().gone_with += 1;
                here
            };
            if element.end as usize > at + 1 {
                open.push((element.end as usize, here));
            }
        }
    }

    fn same_value(&self, at_raw: usize, at_out: usize) -> bool {
        let (raw, out) = (&self.raw.skeleton, &self.out.skeleton);
        let (a, b) = (&raw.elements[at_raw], &out.elements[at_out]);
        if a.vr != b.vr && !a.was_un && !b.was_un {
            return false;
        }
        match (raw.bytes(a), out.bytes(b)) {
            (Some(left), Some(right)) => same_bytes(a, left, b, right),
            (None, None) => {
                let digests = (self.raw.ranges.get(&at_raw), self.out.ranges.get(&at_out));
                a.len.next_multiple_of(2) == b.len.next_multiple_of(2)
                    && matches!(digests, (Some(left), Some(right)) if left == right)
            }
            _ => false,
        }
    }
}

/// Whether the offset table of OUT points at the same fragments as that of RAW, or is empty.
fn follows(raw: &domain::dicom::skeleton::Encapsulated, out: &domain::dicom::skeleton::Encapsulated) -> bool {
    if out.basic_offset_table.is_empty() {
        return true;
    }
    let Some(first) = out.fragments.first().map(|fragment| fragment.value) else { return false };
    let starts = |offset: &u32| out.fragments.iter().position(|f| f.value - first == u64::from(*offset));
    let at: Vec<Option<usize>> = out.basic_offset_table.iter().map(starts).collect();
    let unchanged = raw.basic_offset_table == out.basic_offset_table;
    unchanged
        || at.len() == raw.frames.len() && at.iter().zip(&raw.frames).all(|(at, frame)| *at == Some(*frame as usize))
}

/// Returns the elements of a level by tag, and those that a later one of the same tag replaces.
fn by_tag(skeleton: &Skeleton, parent: Option<usize>) -> (Vec<(Tag, usize)>, Vec<usize>) {
    let mut all: Vec<(Tag, usize)> = skeleton.children(parent).map(|at| (skeleton.elements[at].tag, at)).collect();
    all.sort_unstable();
    let doubled = all.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].1).collect();
    all.reverse();
    all.dedup_by_key(|(tag, _)| *tag);
    all.reverse();
    (all, doubled)
}

fn shape(skeleton: &Skeleton, index: usize) -> Shape {
    let element = &skeleton.elements[index];
    let is_sequence = matches!(element.content, Content::Sequence);
    let len = if is_sequence { skeleton.children(Some(index)).count() as u64 } else { element.len };
    Shape { vr: element.vr, len, is_sequence, index: Some(index) }
}

fn told(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag.group(), tag.element())
}

fn trimmed(bytes: Option<&[u8]>) -> &[u8] {
    let bytes = bytes.unwrap_or_default();
    let end = bytes.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Whether two kept values say the same: padding apart, numbers whatever their byte order.
fn same_bytes(a: &Element, left: &[u8], b: &Element, right: &[u8]) -> bool {
    if a.vr == VR::UI {
        let uids = |bytes: &[u8]| -> Vec<Vec<u8>> {
            bytes.split(|&byte| byte == b'\\').map(|uid| trimmed(Some(uid)).trim_ascii_start().to_vec()).collect()
        };
        return uids(left) == uids(right);
    }
    if is_text(a.vr) {
        return trimmed(Some(left)) == trimmed(Some(right));
    }
    let even = |element: &Element, bytes: &[u8]| -> Vec<u8> {
        let unit = if is_big_endian(element) { unit_of(element.vr) } else { 1 };
        let mut value: Vec<u8> = if unit > 1 && bytes.len().is_multiple_of(unit) {
            bytes.chunks_exact(unit).flat_map(|unit| unit.iter().rev().copied()).collect()
        } else {
            bytes.to_vec()
        };
        if value.len() % 2 == 1 {
            value.push(0);
        }
        value
    };
    even(a, left) == even(b, right)
}
