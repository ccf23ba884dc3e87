//! The walk: one decision for each element of the data set, written at once.

mod leaf;

use std::collections::HashMap;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::identifiers::{Identifiers, Scratch, declared};
use super::pixels::Layout;
use super::receipt::{Book, Done, Path, Rule};
use super::text::Strictness;
use super::value::{Verdict, cut, judge};
use super::write::Writer;
use super::{METHOD, Profile, dummies, output_syntax, write_meta};
use crate::dicom::charset::Charset;
use crate::dicom::facts::{Action, Row};
use crate::dicom::identity::{Identity, cut_padding, is_well_formed_uid, uid_text};
use crate::dicom::iod::{Iod, Listed, Node, Type};
use crate::dicom::plan::{Emit, Plan};
use crate::dicom::scan::is_text;
use crate::dicom::skeleton::{Content, Element, Note, Skeleton};
use crate::ids::{Keys, PatientIdentity, is_dicom_uid};
use crate::{Phi, Reason, Rejection};

/// Room that the output's own bytes get at first; most of a report goes.
const WRITER_BYTES: usize = 8 << 10;
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const PERFORMED_STEP: Tag = Tag(0x0008, 0x1111);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// What the profile itself puts in at the top level, ascending.
const OURS: [Tag; 4] = [Tag(0x0012, 0x0062), Tag(0x0012, 0x0063), Tag(0x0012, 0x0064), Tag(0x0028, 0x0303)];

/// What a row means at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolved {
    Remove,
    Empty,
    Dummy,
    Uid,
    Items,
}

/// Resolves a row by the attribute's Type. An IOD that is not known counts as Type 1 where a dummy may stand, else as Type 2:
/// the object must stay usable whatever it is.
fn resolve(action: Action, ty: Option<Type>) -> Resolved {
    let (one, two) = ty.map_or((true, true), |ty| (ty.needs_value(), ty.may_be_empty()));
    match action {
        // Where the IOD demands the attribute in every case, removing it would make the object invalid: its value goes all the same.
        Action::Remove => match ty {
            Some(Type::One) => Resolved::Dummy,
            // Empty says no more than absent, and never breaks the condition of a Type 2C.
            Some(Type::Two | Type::TwoC) => Resolved::Empty,
            _ => Resolved::Remove,
        },
        Action::Dummy => Resolved::Dummy,
        Action::Uid => Resolved::Uid,
        Action::Empty | Action::EmptyOrDummy | Action::RemoveOrEmpty if ty.is_none() => {
            if action == Action::EmptyOrDummy { Resolved::Dummy } else { Resolved::Empty }
        }
        Action::Empty | Action::EmptyOrDummy => {
            if one {
                Resolved::Dummy
            } else {
                Resolved::Empty
            }
        }
        Action::RemoveOrEmpty => {
            if one {
                Resolved::Dummy
            } else if two {
                Resolved::Empty
            } else {
                Resolved::Remove
            }
        }
        Action::RemoveOrDummy => {
            if one || two {
                Resolved::Dummy
            } else {
                Resolved::Remove
            }
        }
        Action::RemoveOrEmptyOrDummy => {
            if one {
                Resolved::Dummy
            } else if two {
                Resolved::Empty
            } else {
                Resolved::Remove
            }
        }
        // Type 2 could be emptied as well; the references are kept, mapped, since they are what the object is about.
        Action::RemoveOrEmptyOrUids => {
            if one || two {
                Resolved::Items
            } else {
                Resolved::Remove
            }
        }
    }
}

/// What holds for all elements of one item, or of the top level.
#[derive(Clone, Copy)]
struct Level {
    /// Index of the item; `None` at the top.
    parent: Option<usize>,
    node: Node,
    path: Path,
    charset: Charset,
}

pub(super) struct Walk<'a> {
    skeleton: &'a Skeleton,
    profile: &'a Profile,
    keys: &'a Keys,
    identity: &'a Identity,
    identifiers: &'a Identifiers,
    pub(super) writer: Writer,
    scratch: Scratch,
    book: Book,
    uids: HashMap<Box<[u8]>, String>,
    new_patient_id: String,
    /// Levels are sorted by tag if the scan noted that some are not.
    sort: bool,
    layout: Option<Layout<'a>>,
    /// Whether the object has the Common Instance Reference Module (PS3.3 C.12.2).
    lists_references: bool,
    /// Set where the object turns out to be one that cannot be de-identified.
    refused: Option<Rejection>,
}

/// Walks the object and returns its plan.
pub(super) fn run(
    skeleton: &Skeleton,
    profile: &Profile,
    keys: &Keys,
    identity: &Identity,
    identifiers: &Identifiers,
    sort: bool,
) -> Result<Plan, Rejection> {
    let mut encoding = skeleton.syntax.encoding;
    if skeleton.syntax.deflated {
        encoding = crate::dicom::skeleton::Encoding::EXPLICIT_LE;
    }
    let layout = skeleton.encapsulated.as_ref().map(Layout::new);
    if layout.as_ref().is_some_and(Layout::empties_a_frame) {
        let detail = "a frame holds no image, only segments that must go";
        return Err(Rejection::new(Reason::Pixel, detail).at_path("(7FE0,0010)".to_owned()));
    }
    let mut walk = Walk {
        skeleton,
        profile,
        keys,
        identity,
        identifiers,
        writer: Writer::new(encoding, (skeleton.kept.len() + 1024).min(WRITER_BYTES)),
        scratch: Scratch::default(),
        book: Book::new(),
        uids: HashMap::new(),
        new_patient_id: keys.new_patient_id(&identity.patient),
        sort,
        layout,
        lists_references: [0x1115, 0x1200].into_iter().any(|at| skeleton.find(None, Tag(0x0008, at)).is_some()),
        refused: None,
    };
    let new_sop_instance_uid = walk.map_text(identity.sop_instance_uid.expose());
    write_meta(&mut walk.writer, &identity.sop_class_uid, &new_sop_instance_uid, output_syntax(skeleton));
    walk.book.note(Path::ROOT, Tag(0x0002, 0xFFFF), Done::Added, Rule::General("meta"));
    if skeleton.syntax.deflated {
        walk.book.note(Path::ROOT, Tag(0x0002, 0x0010), Done::Mapped, Rule::General("inflated"));
    }
    if skeleton.notes.contains(&Note::TrailingBytes) {
        walk.book.note(Path::ROOT, Tag(0xFFFC, 0xFFFC), Done::Removed, Rule::General("trailing"));
    }
    let node = Iod::of_sop_class(&identity.sop_class_uid).map_or(Node::Unknown, Node::Root);
    let charset = declared(skeleton, None).unwrap_or(Charset::DEFAULT);
    walk.level(Level { parent: None, node, path: Path::ROOT, charset });
    walk.finish(new_sop_instance_uid)
}

impl<'a> Walk<'a> {
    fn finish(mut self, new_sop_instance_uid: String) -> Result<Plan, Rejection> {
        if let Some(rejection) = self.refused.take() {
            return Err(rejection);
        }
        let new_study_instance_uid = self.map_text(self.identity.study_instance_uid.expose());
        let new_series_instance_uid = self.map_text(self.identity.series_instance_uid.expose());
        let (emit, kept) = self.writer.finish();
        for (piece, start, end) in kept {
            if let Some(Emit::Bytes(bytes)) = emit.get(piece)
                && self.identifiers.strong_in(&bytes[start..end], &mut self.scratch)
            {
                let detail = "one of the object's own identifiers is still in what would be delivered";
                return Err(Rejection::new(Reason::ResidualIdentifier, detail));
            }
        }
        Ok(Plan {
            emit,
            numbers: self.identifiers.numbers(),
            receipt: self.book.finish(),
            new_study_instance_uid,
            new_series_instance_uid,
            new_sop_instance_uid,
            transfer_syntax_uid: output_syntax(self.skeleton).to_owned(),
        })
    }

    /// Writes one level. Recursion is bounded by the scan's nesting limit.
    fn level(&mut self, level: Level) {
        let mut ours = if level.parent.is_none() { OURS.as_slice() } else { &[] };
        let skeleton = self.skeleton;
        if skeleton.notes.contains(&Note::Order) {
            for index in self.ordered(level.parent) {
                self.put_ours(&mut ours, skeleton.elements[index].tag);
                self.element(index, level);
            }
        } else {
            for index in skeleton.children(level.parent) {
                self.put_ours(&mut ours, skeleton.elements[index].tag);
                self.element(index, level);
            }
        }
        self.put_ours(&mut ours, Tag(0xFFFF, 0xFFFF));
    }

    /// Returns the elements of a level that count, in the order in which they are written.
    fn ordered(&self, parent: Option<usize>) -> Vec<usize> {
        let mut last = HashMap::new();
        for index in self.skeleton.children(parent) {
            last.insert(self.skeleton.elements[index].tag, index);
        }
        let mut indices: Vec<usize> = last.into_values().collect();
        indices.sort_unstable();
        if self.sort {
            indices.sort_by_key(|&index| self.skeleton.elements[index].tag);
        }
        indices
    }

    /// Writes what the profile puts in before `next`.
    fn put_ours(&mut self, ours: &mut &[Tag], next: Tag) {
        while let Some((&tag, rest)) = ours.split_first().filter(|(tag, _)| **tag <= next) {
            *ours = rest;
            match tag.element() {
                0x0062 => self.writer.element(tag, VR::CS, b"YES"),
                0x0063 => self.writer.element(tag, VR::LO, METHOD),
                0x0064 => {
                    self.writer.sequence(tag);
                    self.writer.item();
                    let triple = ["113100", "DCM", "Basic Application Confidentiality Profile"];
                    dummies::code(&mut self.writer, triple);
                    self.writer.item_end();
                    self.writer.sequence_end();
                }
                _ => self.writer.element(tag, VR::CS, b"REMOVED"),
            }
            self.book.note(Path::ROOT, tag, Done::Added, Rule::General("profile"));
        }
    }

    fn element(&mut self, index: usize, level: Level) {
        let element = self.skeleton.elements[index];
        let tag = element.tag;
        if level.parent.is_none() && OURS.contains(&tag) {
            return;
        }
        let rows = &self.profile.facts().rows;
        if tag.element() == 0 || tag.group() < 0x0008 {
            self.remove(level, tag, Rule::General("length"));
        } else if let Some(row) = rows.find(tag) {
            self.by_row(index, &element, row, level);
        } else if tag.group() & 0xFF00 == 0x6000 {
            self.remove(level, tag, Rule::General("overlay"));
        } else if speaks_of_what_is_gone(tag) {
            self.remove(level, tag, Rule::General("withheld"));
        } else if is_withheld(tag) {
            match level.node.find(tag) {
                Some(listed) => self.fall_back(&element, listed, level, "withheld"),
                None => self.remove(level, tag, Rule::General("withheld")),
            }
        } else {
            self.by_iod(index, &element, level);
        }
    }

    fn remove(&mut self, level: Level, tag: Tag, rule: Rule) {
        self.book.note(level.path, tag, Done::Removed, rule);
    }

    fn by_row(&mut self, index: usize, element: &Element, row: &Row, level: Level) {
        let tag = element.tag;
        let rule = Rule::Row(row.number);
        let listed = level.node.find(tag);
        let ty = match listed {
            Some(listed) => Some(listed.ty),
            None if level.node.is_open() => None,
            None => Some(Type::Three),
        };
        if tag == PATIENT_NAME && level.parent.is_none() {
            let name = self.new_patient_id.clone();
            self.writer.element(tag, VR::PN, name.as_bytes());
            return self.book.note(level.path, tag, Done::Mapped, rule);
        }
        if tag == PATIENT_ID && self.patient_id(element, level) {
            return self.book.note(level.path, tag, Done::Mapped, rule);
        }
        let mut resolved = resolve(row.action, ty);
        // The items of a performed step hold nothing but a class and an instance: mapped they are the dummy, and stay the same in
        // every object. Where the object lists what it refers to by series, the references belong to its conformance.
        let mapped = tag == PERFORMED_STEP && resolved == Resolved::Dummy
            || row.action == Action::RemoveOrEmptyOrUids && self.lists_references;
        if mapped && matches!(element.content, Content::Sequence) {
            resolved = Resolved::Items;
        }
        let empty = element.len == 0 && !matches!(element.content, Content::Fragments);
        match resolved {
            Resolved::Remove => self.remove(level, tag, rule),
            Resolved::Uid if !empty => self.uids(element, level, rule),
            Resolved::Items if matches!(element.content, Content::Sequence) => {
                let listed = listed.unwrap_or(Listed { ty: Type::Three, items: None });
                self.sequence(index, element, listed, level);
            }
            Resolved::Dummy if !empty || ty.is_some_and(Type::needs_value) => {
                let vr = dummy_vr(element);
                if vr == VR::UI {
                    self.uids(element, level, rule);
                } else {
                    self.dummy(tag, vr, listed, level, rule);
                }
            }
            Resolved::Empty | Resolved::Uid | Resolved::Items | Resolved::Dummy => {
                self.empty(tag, element, level, rule);
            }
        }
    }

    fn empty(&mut self, tag: Tag, element: &Element, level: Level, rule: Rule) {
        self.writer.element(tag, dummy_vr(element), &[]);
        self.book.note(level.path, tag, Done::Emptied, rule);
    }

    fn dummy(&mut self, tag: Tag, vr: VR, listed: Option<Listed>, level: Level, rule: Rule) {
        let layer = if tag == Tag(0x0070, 0x0001) { self.first_graphic_layer() } else { None };
        let source = dummies::Source { skeleton: self.skeleton, parent: level.parent, layer: layer.as_deref() };
        dummies::element(&mut self.writer, tag, vr, listed.and_then(|listed| listed.items), &source);
        self.book.note(level.path, tag, Done::Dummy, rule);
    }

    /// The name of the first graphic layer, if it is a plain word: a dummy annotation must lie on a layer there is.
    fn first_graphic_layer(&self) -> Option<String> {
        let sequence = self.skeleton.find(None, Tag(0x0070, 0x0060))?;
        let item = self.skeleton.children(Some(sequence)).next()?;
        let layer = self.skeleton.find(Some(item), Tag(0x0070, 0x0002))?;
        let bytes = cut(self.skeleton.bytes(&self.skeleton.elements[layer])?);
        let mut scratch = Scratch::default();
        let verdict = judge(VR::CS, bytes, Charset::DEFAULT, Strictness::Free, self.identifiers, &mut scratch);
        (!matches!(verdict, Verdict::Goes(_))).then(|| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Writes the pseudonym of a Patient ID; returns whether there was one.
    fn patient_id(&mut self, element: &Element, level: Level) -> bool {
        let new = if level.parent.is_none() {
            self.new_patient_id.clone()
        } else {
            let Some(bytes) = self.skeleton.bytes(element).map(cut).filter(|bytes| !bytes.is_empty()) else {
                return false;
            };
            let text = |bytes: &[u8]| level.charset.decode(bytes, false).map(|text| cut_padding(&text).to_owned());
            let Some(patient_id) = text(bytes) else { return false };
            let issuer = self.skeleton.find(level.parent, Tag(0x0010, 0x0021));
            let issuer = issuer.and_then(|at| text(self.skeleton.bytes(&self.skeleton.elements[at])?));
            let patient =
                PatientIdentity { patient_id: Phi::new(patient_id), issuer: Phi::new(issuer.unwrap_or_default()) };
            self.keys.new_patient_id(&patient)
        };
        self.writer.element(PATIENT_ID, VR::LO, new.as_bytes());
        true
    }

    fn map_text(&mut self, uid: &str) -> String {
        self.map(uid.as_bytes())
    }

    /// Returns the new UID for one value; the hash is computed once an object.
    fn map(&mut self, uid: &[u8]) -> String {
        if let Some(new) = self.uids.get(uid) {
            return new.clone();
        }
        let text = uid_text(uid);
        let new = if is_dicom_uid(&text) && is_well_formed_uid(&text) {
            text
        } else if is_dicom_uid(&text) {
            // DICOM's root with something else behind it: a name can hide there.
            self.keys.new_uid(&format!("ill-formed {text}"))
        } else {
            self.keys.new_uid(&text)
        };
        self.uids.insert(uid.into(), new.clone());
        new
    }

    fn is_own(&self, uid: &str) -> bool {
        let identity = self.identity;
        [&identity.sop_instance_uid, &identity.study_instance_uid, &identity.series_instance_uid]
            .into_iter()
            .any(|own| own.expose() == uid)
    }

    /// Writes the new UIDs of a UI element, each value by itself.
    fn uids(&mut self, element: &Element, level: Level, rule: Rule) {
        let skeleton = self.skeleton;
        let Some(bytes) = skeleton.bytes(element) else {
            return self.empty(element.tag, element, level, rule);
        };
        let mut value = Vec::with_capacity(bytes.len().max(48));
        let mut mapped = false;
        for (index, uid) in bytes.split(|&byte| byte == b'\\').enumerate() {
            if index > 0 {
                value.push(b'\\');
            }
            let uid = cut(uid).trim_ascii_start();
            if uid.is_empty() {
                continue;
            }
            let class = std::str::from_utf8(uid).is_ok_and(|uid| is_well_formed_uid(uid) && !self.is_own(uid));
            if class && names_a_class(element.tag) && !tells_of_an_instance(uid) {
                value.extend_from_slice(uid);
                continue;
            }
            let new = self.map(uid);
            mapped |= new.as_bytes() != uid;
            value.extend_from_slice(new.as_bytes());
        }
        self.writer.element(element.tag, VR::UI, &value);
        if mapped {
            self.book.note(level.path, element.tag, Done::Mapped, rule);
        } else {
            self.book.kept();
        }
    }

    /// An attribute without a row: what the IOD lists at this place stays if its value may.
    fn by_iod(&mut self, index: usize, element: &Element, level: Level) {
        let tag = element.tag;
        let listed = match level.node.find(tag) {
            Some(listed) => listed,
            None if level.node.is_open() && in_dictionary(tag) => Listed { ty: Type::Three, items: None },
            None if level.parent.is_none() && sizes_pixels(tag) => Listed { ty: Type::OneC, items: None },
            None => return self.remove(level, tag, Rule::General("iod")),
        };
        match element.content {
            Content::Fragments if tag == PIXEL_DATA && level.parent.is_none() => self.pixel_data(level),
            Content::Fragments | Content::Item => self.remove(level, tag, Rule::General("iod")),
            Content::Sequence => self.sequence(index, element, listed, level),
            Content::Range | Content::Kept { .. } => match tag {
                Tag(0x7FE0, 0x0001 | 0x0002) if level.parent.is_none() => self.offset_table(level, tag),
                _ => self.value(element, listed, level),
            },
        }
    }

    fn pixel_data(&mut self, level: Level) {
        let Some(layout) = self.layout.take() else {
            return self.remove(level, PIXEL_DATA, Rule::General("iod"));
        };
        layout.write(&mut self.writer);
        for cut in layout.cuts() {
            self.book.note(level.path, PIXEL_DATA, Done::Removed, Rule::General(cut.what));
        }
        self.book.kept();
    }

    /// The Extended Offset Table and its lengths are written together, made new.
    fn offset_table(&mut self, level: Level, tag: Tag) {
        if tag.element() == 2 {
            return;
        }
        let written = self.layout.as_ref().is_some_and(|layout| layout.write_extended_offset_table(&mut self.writer));
        let done = if written { Done::Dummy } else { Done::Removed };
        self.book.note(level.path, tag, done, Rule::General("offsets"));
    }

    fn sequence(&mut self, index: usize, element: &Element, listed: Listed, level: Level) {
        let tag = element.tag;
        let before = self.writer.mark();
        let path = self.book.inside(level.path, tag);
        let node = listed.items.map_or(Node::Unknown, Node::Items);
        self.writer.sequence(tag);
        let (mut items, mut filled) = (0u32, false);
        for item in self.skeleton.children(Some(index)) {
            self.writer.item();
            let inside = self.writer.mark();
            let charset = declared(self.skeleton, Some(item)).unwrap_or(level.charset);
            self.level(Level { parent: Some(item), node, path, charset });
            filled |= self.writer.mark() != inside || self.skeleton.elements[item].len == 0;
            self.writer.item_end();
            items += 1;
        }
        self.writer.sequence_end();
        if filled {
            return self.book.kept();
        }
        // Nothing stayed in any item: then the sequence says nothing either.
        self.writer.undo(before);
        if items == 0 {
            self.writer.empty_sequence(tag);
            return self.book.kept();
        }
        self.fall_back(element, listed, level, "emptied");
    }

    /// What becomes of an attribute whose value had to go: dummy, empty or gone, by its Type.
    fn fall_back(&mut self, element: &Element, listed: Listed, level: Level, rule: &'static str) {
        let rule = Rule::General(rule);
        if listed.ty.needs_value() {
            self.dummy(element.tag, dummy_vr(element), Some(listed), level, rule);
        } else if listed.ty.may_be_empty() {
            self.empty(element.tag, element, level, rule);
        } else {
            self.remove(level, element.tag, rule);
        }
    }
}

/// The VR that stands for an element whose value goes.
fn dummy_vr(element: &Element) -> VR {
    match (element.content, element.vr) {
        (Content::Sequence, _) => VR::SQ,
        (_, VR::UN) => dictionary_vr(element.tag).unwrap_or(VR::UN),
        (_, vr) => vr,
    }
}

fn dictionary_vr(tag: Tag) -> Option<VR> {
    StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed())
}

fn dictionary_says_text(tag: Tag) -> bool {
    dictionary_vr(tag).is_some_and(is_text)
}

fn in_dictionary(tag: Tag) -> bool {
    dictionary_vr(tag).is_some()
}

/// Attributes without which the pixel data cannot be read. They stay even where an object has more than its IOD lists: a
/// Secondary Capture with Number of Frames is common.
fn sizes_pixels(tag: Tag) -> bool {
    match tag.group() {
        0x0028 => matches!(
            tag.element(),
            0x0002..=0x0004 | 0x0006 | 0x0008 | 0x0010 | 0x0011 | 0x0014 | 0x0034 | 0x0100..=0x0103 | 0x0120 | 0x0121
                | 0x1052..=0x1054 | 0x1101..=0x1104 | 0x1201..=0x1204 | 0x1221..=0x1223 | 0x2110 | 0x2112 | 0x2114
        ),
        0x7FE0 => matches!(tag.element(), 0x0001 | 0x0002 | 0x0008 | 0x0009 | 0x0010),
        _ => false,
    }
}

/// Attributes without a row that tell of a person, a house or a device by what they are, or that speak of attributes which
/// are gone: dates of birth and death in another calendar, numbers of devices and owners, document titles, addresses,
/// private element characteristics, encrypted attributes and what is left of signatures.
fn is_withheld(tag: Tag) -> bool {
    const WITHHELD: &[u32] = &[
        0x0008_0300,
        0x0008_0418,
        0x0010_0033,
        0x0010_0034,
        0x0010_2295,
        0x0018_1003,
        0x0018_1006,
        0x0018_1801,
        0x0018_1803,
        0x0040_0400,
        0x0042_0010,
        0x0044_0012,
        0x0072_0008,
        0x0072_0010,
        0x0072_006F,
        0x0074_100C,
        0x0088_0130,
        0x0100_0424,
        0x0100_0426,
        0x0400_0120,
        0x0400_0500,
        0x0400_0520,
        0x2100_0160,
        0x2110_0030,
        0x3002_0020,
        0x3004_0006,
        0x4FFE_0001,
    ];
    WITHHELD.binary_search(&(u32::from(tag.group()) << 16 | u32::from(tag.element()))).is_ok()
}

/// Attributes that may stand only beside one that always goes: the calendar of a date of birth, what somebody responsible is.
const fn speaks_of_what_is_gone(tag: Tag) -> bool {
    matches!(tag, Tag(0x0010, 0x0035 | 0x2298))
}

/// Whether a UID where a class belongs holds a number long enough for a day, a serial or an instance: no scheme's or class's
/// UID does, not even a maker's own.
fn tells_of_an_instance(uid: &[u8]) -> bool {
    uid.split(|&byte| byte == b'.').any(|component| component.len() >= 8)
}

/// UIDs that name a class, a syntax or a coding scheme: they say what a thing is, not whose.
fn names_a_class(tag: Tag) -> bool {
    matches!(
        (tag.group(), tag.element()),
        (0x0008, 0x0016 | 0x001A | 0x001B | 0x0062 | 0x010C | 0x0118 | 0x1150 | 0x115A | 0x3002) | (0x0400, 0x0010)
    )
}
