//! Which attributes an object's IOD lists, with which Type, at every depth (PS3.3, from `domain/facts/{iods,trees}.txt`).
//!
//! An IOD is put together from its modules on first use and kept; nested trees are searched in the embedded text itself.

use std::sync::OnceLock;

use dicom_core::Tag;

use super::facts::{IODS, TREES};

/// An attribute's Type (PS3.5 7.4). 1C and 2C are kept apart for validation; de-identification counts them as 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// Required, with a value.
    One,
    /// Required under a condition that this program does not evaluate.
    OneC,
    /// Required, may be empty.
    Two,
    /// Required under a condition, may be empty.
    TwoC,
    /// Optional; also where the table states no Type.
    Three,
}

impl Type {
    const fn from_letter(letter: u8) -> Self {
        match letter {
            b'1' => Self::One,
            b'A' => Self::OneC,
            b'2' => Self::Two,
            b'B' => Self::TwoC,
            _ => Self::Three,
        }
    }

    /// Whether an absent value breaks conformance, 1C counted as 1.
    pub const fn needs_value(self) -> bool {
        matches!(self, Self::One | Self::OneC)
    }

    /// Whether an empty element must stay, 2C counted as 2.
    pub const fn may_be_empty(self) -> bool {
        matches!(self, Self::Two | Self::TwoC)
    }
}

/// What an IOD says about one attribute at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its Type; the strictest where several modules list it.
    pub ty: Type,
    /// The tree of its items, if it is a sequence whose items are known.
    pub items: Option<Tree>,
}

/// A tree of attributes: what the items of a sequence may hold. A line number of `trees.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tree(u16);

const ENTRY: usize = 13;

impl Tree {
    fn entries(self) -> &'static [u8] {
        static STARTS: OnceLock<Vec<u32>> = OnceLock::new();
        let starts = STARTS.get_or_init(|| {
            let ends = memchr::memchr_iter(b'\n', TREES.as_bytes()).map(|at| at as u32 + 1);
            std::iter::once(0).chain(ends).collect()
        });
        let line = usize::from(self.0);
        match (starts.get(line), starts.get(line + 1)) {
            (Some(&start), Some(&next)) => &TREES.as_bytes()[start as usize..next as usize - 1],
            _ => &[],
        }
    }

    fn find(self, tag: Tag) -> Option<Listed> {
        let key = u64::from_be_bytes(hex_key(tag));
        let entries = self.entries();
        let (mut low, mut high) = (0, entries.len() / ENTRY);
        while low < high {
            let middle = (low + high) / 2;
            let entry = &entries[middle * ENTRY..middle * ENTRY + ENTRY];
            // As one number they are in the same order as the digits.
            let digits = entry.first_chunk().map_or(0, |digits| u64::from_be_bytes(*digits));
            match digits.cmp(&key) {
                std::cmp::Ordering::Equal => return Some(listed(entry)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Returns the attributes of the tree in ascending order of tags.
    pub fn iter(self) -> impl Iterator<Item = (Tag, Listed)> {
        self.entries().chunks_exact(ENTRY).map(|entry| (tag_of(&entry[..8]), listed(entry)))
    }
}

fn listed(entry: &[u8]) -> Listed {
    let items = (entry[9] != b'.').then(|| Tree(hex(&entry[9..13]) as u16));
    Listed { ty: Type::from_letter(entry[8]), items }
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, &digit| value << 4 | char::from(digit).to_digit(16).unwrap_or(0))
}

fn tag_of(digits: &[u8]) -> Tag {
    let value = hex(digits);
    Tag((value >> 16) as u16, value as u16)
}

fn hex_key(tag: Tag) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let value = u32::from(tag.group()) << 16 | u32::from(tag.element());
    std::array::from_fn(|index| DIGITS[(value >> (28 - 4 * index) & 15) as usize])
}

/// How an IOD takes part in the object's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// No module with pixel data.
    None,
    /// A conditional one (RT Dose) or one of several (Parametric Map).
    Conditional,
    /// A mandatory one: an image.
    Mandatory,
}

/// One attribute of the top level.
#[derive(Clone, Copy, Debug)]
struct Attribute {
    tag: u32,
    listed: Listed,
    /// The strictest Type among mandatory modules; `None` if only conditional and optional modules list it.
    required: Option<Type>,
}

/// One IOD, its modules merged.
#[derive(Debug)]
pub struct Iod {
    /// Its name, as PS3.3 spells it, in lower case with hyphens.
    pub name: &'static str,
    /// Whether the facts lack one of its modules; then what it does not list is judged by the dictionary instead of removed.
    pub partial: bool,
    /// Its part in pixels.
    pub pixels: Pixels,
    attributes: Vec<Attribute>,
}

impl Iod {
    /// Returns the IOD of a SOP Class UID; `None` for private and unknown classes.
    pub fn of_sop_class(uid: &str) -> Option<&'static Self> {
        static CACHE: [OnceLock<Option<Iod>>; 256] = [const { OnceLock::new() }; 256];
        let number = number_of(uid)?;
        CACHE.get(number)?.get_or_init(|| Self::build(number)).as_ref()
    }

    fn build(number: usize) -> Option<Self> {
        let line = lines().iod(number)?;
        let mut words = line.split(' ').skip(1);
        let mut iod = Self { name: words.next()?, partial: false, pixels: Pixels::None, attributes: Vec::new() };
        let mut overrides = Vec::new();
        for word in words {
            if word == "partial" {
                iod.partial = true;
            } else if let Some((tag, tree)) = word.split_once('=') {
                overrides.push((u32::from_str_radix(tag, 16).ok()?, Tree(tree.parse().ok()?)));
            } else {
                iod.add_module(word.as_bytes()[0], word[1..].parse().ok()?)?;
            }
        }
        iod.attributes.sort_by_key(|attribute| (attribute.tag, attribute.listed.ty));
        iod.attributes.dedup_by(|later, first| {
            let same = later.tag == first.tag;
            if same {
                first.listed.items = first.listed.items.or(later.listed.items);
                first.required = match (first.required, later.required) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            same
        });
        for (tag, tree) in overrides {
            if let Ok(at) = iod.attributes.binary_search_by_key(&tag, |attribute| attribute.tag) {
                iod.attributes[at].listed.items = Some(tree);
            }
        }
        Some(iod)
    }

    fn add_module(&mut self, usage: u8, number: usize) -> Option<()> {
        let (name, tree) = lines().module(number)?;
        if name.ends_with("image-pixel") {
            let part = if usage == b'M' { Pixels::Mandatory } else { Pixels::Conditional };
            if self.pixels != Pixels::Mandatory {
                self.pixels = part;
            }
        }
        let single = tree.entries().len() == ENTRY;
        // The SR content module lists every value type's attributes as if all were required; the macros' conditions are not in the facts.
        let content = name == "sr-document-content";
        for (tag, mut listed) in tree.iter() {
            // A module of one attribute that is not mandatory may go as a whole with it.
            if single && usage != b'M' {
                listed.ty = Type::Three;
            }
            let required = (usage == b'M' && !content).then_some(listed.ty);
            let tag = u32::from(tag.group()) << 16 | u32::from(tag.element());
            self.attributes.push(Attribute { tag, listed, required });
        }
        Some(())
    }

    fn find(&self, tag: Tag) -> Option<Listed> {
        let key = u32::from(tag.group()) << 16 | u32::from(tag.element());
        let at = self.attributes.binary_search_by_key(&key, |attribute| attribute.tag).ok()?;
        Some(self.attributes[at].listed)
    }

    /// Returns the Type 1 and 2 attributes of mandatory modules at the top level, in ascending order of tags.
    pub fn required(&self) -> impl Iterator<Item = (Tag, Type)> {
        self.attributes.iter().filter_map(|attribute| match attribute.required {
            Some(ty @ (Type::One | Type::Two)) => Some((Tag((attribute.tag >> 16) as u16, attribute.tag as u16), ty)),
            _ => None,
        })
    }
}

/// A place in an object: what may stand there.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// The top level of an object whose IOD is known.
    Root(&'static Iod),
    /// An item whose attributes are known.
    Items(Tree),
    /// Unknown IOD, or an item of a sequence that the facts do not follow: judged by the dictionary.
    Unknown,
}

impl Node {
    /// Returns what the IOD says about `tag` at this place.
    #[inline]
    pub fn find(self, tag: Tag) -> Option<Listed> {
        match self {
            Self::Root(iod) => iod.find(tag),
            Self::Items(tree) => tree.find(tag),
            Self::Unknown => None,
        }
    }

    /// Whether what is not listed here is judged by the dictionary instead of removed.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Root(iod) => iod.partial,
            Self::Items(_) => false,
            Self::Unknown => true,
        }
    }
}

/// Where the lines of `iods.txt` begin, by kind.
struct Lines {
    iods: Vec<&'static str>,
    modules: Vec<&'static str>,
}

impl Lines {
    fn iod(&self, number: usize) -> Option<&'static str> {
        self.iods.get(number).copied()
    }

    fn module(&self, number: usize) -> Option<(&'static str, Tree)> {
        let (name, tree) = self.modules.get(number)?[2..].split_once(' ')?;
        Some((name, Tree(tree.parse().ok()?)))
    }
}

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| Lines {
        iods: IODS.lines().filter(|line| line.starts_with("I ")).collect(),
        modules: IODS.lines().filter(|line| line.starts_with("M ")).collect(),
    })
}

fn number_of(uid: &str) -> Option<usize> {
    static CLASSES: OnceLock<Vec<(&str, usize)>> = OnceLock::new();
    let classes = CLASSES.get_or_init(|| {
        let lines = IODS.lines().filter_map(|line| line.strip_prefix("S ")?.split_once(' '));
        let mut classes: Vec<_> = lines.filter_map(|(uid, number)| Some((uid, number.parse().ok()?))).collect();
        classes.sort_unstable();
        classes
    });
    let at = classes.binary_search_by_key(&uid, |class| class.0).ok()?;
    classes.get(at).map(|class| class.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

    #[test]
    fn every_sop_class_has_an_iod_whose_attributes_are_found() {
        let uids: Vec<&str> = IODS.lines().filter_map(|line| line.strip_prefix("S ")?.split(' ').next()).collect();
        assert_eq!(uids.len(), 180);
        for uid in uids {
            let iod = Iod::of_sop_class(uid).unwrap();
            assert!(iod.partial || !iod.attributes.is_empty(), "{uid}");
            assert!(iod.attributes.is_sorted_by(|a, b| a.tag < b.tag), "{uid}");
        }
    }

    #[test]
    fn types_are_those_of_the_place() {
        let ct = Iod::of_sop_class(CT).unwrap();
        assert_eq!(ct.pixels, Pixels::Mandatory);
        assert_eq!(ct.find(Tag(0x0028, 0x0010)).unwrap().ty, Type::One);
        assert_eq!(ct.find(Tag(0x0010, 0x0010)).unwrap().ty, Type::Two);
        assert_eq!(ct.find(Tag(0x0018, 0x1000)).unwrap().ty, Type::Three);
        assert!(ct.find(Tag(0x0018, 0x1314)).is_none());
        let items = ct.find(Tag(0x0008, 0x2112)).unwrap().items.unwrap();
        assert_eq!(Node::Items(items).find(Tag(0x0008, 0x1155)).unwrap().ty, Type::One);
    }

    #[test]
    fn private_and_broken_classes_have_no_iod() {
        for uid in ["", "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1", "\nS 1", &"1".repeat(65)] {
            assert!(Iod::of_sop_class(uid).is_none(), "{uid}");
        }
    }
}
