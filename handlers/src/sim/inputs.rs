//! The objects of a simulation, small and made by code: one of each kind of end, or a mixture that the seed draws.

use domain::dicom::skeleton::Encoding;
use domain::dicom::testkit::{DataSet, file};
use domain::dicom::{Tag, VR};

use super::objects::Trouble;
use super::world::World;

/// Objects up to so many bytes are worked on in memory here, so that the larger ones walk the way of large ones.
pub(super) const IN_MEMORY_BYTES_MAX: u64 = 1_200;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const ULTRASOUND: &str = "1.2.840.10008.5.1.4.1.1.6.1";
const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A CT slice: the same instance has the same UIDs, another shade other pixels.
    Slice { instance: u32, shade: u16, large: bool },
    /// A letter.
    NotDicom,
    /// A slice without its end.
    Cut { instance: u32 },
    /// An image whose pixels may show a name, and nobody has judged them.
    Ultrasound,
    /// Its SOP Instance UID is missing.
    Nameless,
    /// Its transfer syntax is no known one.
    StrangeSyntax,
}

/// An object, and what its source does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) kind: Kind,
    pub(super) trouble: Trouble,
}

const fn input(kind: Kind) -> Input {
    Input { kind, trouble: Trouble::None }
}

const fn slice(instance: u32, shade: u16, large: bool) -> Kind {
    Kind::Slice { instance, shade, large }
}

/// The twelve objects of the reference run: every kind of end.
pub(super) fn reference() -> Vec<Input> {
    vec![
        input(slice(1, 0, false)),
        input(slice(1, 0, false)),
        input(slice(1, 9, false)),
        input(Kind::NotDicom),
        input(Kind::Cut { instance: 5 }),
        input(Kind::Ultrasound),
        input(Kind::Nameless),
        input(slice(2, 0, true)),
        Input { kind: slice(3, 0, true), trouble: Trouble::Flaky(2) },
        Input { kind: slice(4, 0, true), trouble: Trouble::Gone },
        input(slice(2, 7, true)),
        input(Kind::StrangeSyntax),
    ]
}

/// Three to fourteen objects with few instances, so that many meet.
pub(super) fn drawn(world: &World) -> Vec<Input> {
    let count = 3 + world.below(12);
    (0..count).map(|_| Input { kind: kind(world), trouble: trouble(world) }).collect()
}

fn kind(world: &World) -> Kind {
    let instance = 1 + world.below(3) as u32;
    match world.below(16) {
        0 => Kind::NotDicom,
        1 => Kind::Cut { instance },
        2 => Kind::Ultrasound,
        3 => Kind::Nameless,
        4 => Kind::StrangeSyntax,
        _ => slice(instance, 7 * (world.below(3) / 2) as u16, world.below(2) == 0),
    }
}

fn trouble(world: &World) -> Trouble {
    match world.below(14) {
        0 => Trouble::Flaky(1 + world.below(4) as u32),
        1 => Trouble::Gone,
        2 => Trouble::Changed,
        3 => Trouble::Replaced,
        _ => Trouble::None,
    }
}

impl Kind {
    /// Returns the object as a file.
    pub(super) fn file(self) -> Vec<u8> {
        match self {
            Self::Slice { instance, shade, large } => image(CT, Some(instance), shade, if large { 32 } else { 2 }),
            Self::NotDicom => b"a letter, not an image".to_vec(),
            Self::Cut { instance } => {
                let mut whole = image(CT, Some(instance), 0, 2);
                whole.truncate(whole.len() - 3);
                whole
            }
            Self::Ultrasound => image(ULTRASOUND, Some(77), 0, 2),
            Self::Nameless => image(CT, None, 0, 2),
            Self::StrangeSyntax => file("1.2.826.0.1.3680043.10.99", &data_set(CT, Some(78), 0, 2)),
        }
    }
}

fn image(sop_class: &str, instance: Option<u32>, shade: u16, side: u16) -> Vec<u8> {
    file(EXPLICIT_LE, &data_set(sop_class, instance, shade, side))
}

fn data_set(sop_class: &str, instance: Option<u32>, shade: u16, side: u16) -> Vec<u8> {
    let mut set = DataSet::new(Encoding::EXPLICIT_LE)
        .text(Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL")
        .text(Tag(0x0008, 0x0016), VR::UI, sop_class);
    if let Some(instance) = instance {
        set = set.text(Tag(0x0008, 0x0018), VR::UI, &format!("1.2.3.4.5.{instance}"));
    }
    for (tag, vr, value) in [
        (Tag(0x0008, 0x0060), VR::CS, if sop_class == CT { "CT" } else { "US" }),
        (Tag(0x0010, 0x0010), VR::PN, "Nightingale^Florence"),
        (Tag(0x0010, 0x0020), VR::LO, "PID-77001"),
        (Tag(0x0020, 0x000D), VR::UI, "1.2.3.4"),
        (Tag(0x0020, 0x000E), VR::UI, "1.2.3.4.5"),
    ] {
        set = set.text(tag, vr, value);
    }
    set = set.us(Tag(0x0028, 0x0002), 1).text(Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2");
    for (element, number) in [(0x0010, side), (0x0011, side), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)] {
        set = set.us(Tag(0x0028, element), number);
    }
    let pixels = (0..side * side).flat_map(|n| (n.wrapping_mul(7).wrapping_add(shade)).to_le_bytes());
    set.element(Tag(0x7FE0, 0x0010), VR::OW, &pixels.collect::<Vec<u8>>()).bytes()
}
