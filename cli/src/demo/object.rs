//! `Object`: a DICOM data set that is put together tag by tag.

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

/// Implementation Class UID of the demo's files (2.25 and a UUID that stands for this program).
const IMPLEMENTATION_CLASS_UID: &str = "2.25.284471562838913277340815219934570318672";

/// A coded concept (PS3.3 8.8).
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(pub(super) &'static str, pub(super) &'static str, pub(super) &'static str);

/// A data set that is being put together; also an item of a sequence.
#[derive(Clone, Debug)]
pub(super) struct Object(InMemDicomObject);

impl Object {
    pub(super) fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    /// Returns an item with a coded concept.
    pub(super) fn code(Code(value, scheme, meaning): Code) -> Self {
        Self::new()
            .set(tags::CODE_VALUE, value)
            .set(tags::CODING_SCHEME_DESIGNATOR, scheme)
            .set(tags::CODE_MEANING, meaning)
    }

    /// Returns an item that refers to an instance.
    pub(super) fn reference(sop_class_uid: &str, sop_instance_uid: &str) -> Self {
        Self::new()
            .set(tags::REFERENCED_SOP_CLASS_UID, sop_class_uid)
            .set(tags::REFERENCED_SOP_INSTANCE_UID, sop_instance_uid)
    }

    /// Adds a text or numeric-string value, several of them with `\` between; the VR is the dictionary's.
    pub(super) fn set(self, tag: Tag, value: &str) -> Self {
        self.put(tag, dictionary_vr(tag), PrimitiveValue::from(value))
    }

    /// Adds unsigned 16-bit numbers (US).
    pub(super) fn numbers(self, tag: Tag, values: &[u16]) -> Self {
        self.put(tag, VR::US, PrimitiveValue::U16(values.into()))
    }

    /// Adds a value with the VR named, for private attributes and those of which the dictionary lists several VRs.
    pub(super) fn put(mut self, tag: Tag, vr: VR, value: PrimitiveValue) -> Self {
        self.0.put(DataElement::new(tag, vr, value));
        self
    }

    /// Adds a sequence.
    pub(super) fn sequence(mut self, tag: Tag, items: Vec<Object>) -> Self {
        let items: Vec<_> = items.into_iter().map(|item| item.0).collect();
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        self
    }

    /// Adds a block of private attributes (PS3.5 7.8.1): the creator at (`group`,00`block`) and each element below it.
    pub(super) fn private(
        self,
        (group, block): (u16, u16),
        creator: &str,
        elements: &[(u8, VR, PrimitiveValue)],
    ) -> Self {
        let owned = self.put(Tag(group, block), VR::LO, PrimitiveValue::from(creator));
        elements.iter().fold(owned, |object, (element, vr, value)| {
            object.put(Tag(group, block << 8 | u16::from(*element)), *vr, value.clone())
        })
    }

    /// Applies a step that several kinds of object share.
    pub(super) fn with(self, step: impl FnOnce(Object) -> Object) -> Self {
        step(self)
    }

    /// Returns the object as a Part 10 file.
    pub(super) fn file(self, transfer_syntax_uid: &str) -> Vec<u8> {
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(transfer_syntax_uid)
            .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
            .implementation_version_name("MEDIMG_DEMO")
            .source_application_entity_title("FJORDHEIM_CT1");
        let mut bytes = Vec::new();
        self.0
            .with_meta(meta)
            .expect("every object of the demo names its SOP Class and SOP Instance UID")
            .write_all(&mut bytes)
            .expect("a vector takes all bytes, and the demo's text is in its declared character set");
        bytes
    }
}

fn dictionary_vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).expect("the demo sets attributes of the dictionary only").vr().relaxed()
}
