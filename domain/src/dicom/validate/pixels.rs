//! Whether the pixel data agree with the attributes that size them (PS3.3 C.7.6.3, PS3.5 8 and A.4).

use dicom_core::Tag;

use crate::dicom::iod::{Iod, Pixels};
use crate::dicom::skeleton::{Content, Skeleton};
use crate::{Reason, Rejection};

const FLOAT: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE: Tag = Tag(0x7FE0, 0x0009);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

pub(super) fn check(skeleton: &Skeleton, iod: Option<&Iod>) -> Result<(), Rejection> {
    let found: Vec<(Tag, usize)> =
        [FLOAT, DOUBLE, PIXEL_DATA].into_iter().filter_map(|tag| Some((tag, skeleton.find(None, tag)?))).collect();
    match found.as_slice() {
        [] => check_absent(skeleton, iod),
        [(tag, index)] => check_size(skeleton, *tag, *index),
        _ => Err(refuse("more than one kind of pixel data", PIXEL_DATA)),
    }
}

fn refuse(detail: &'static str, tag: Tag) -> Rejection {
    Rejection::new(Reason::Pixel, detail).at_path(format!("({:04X},{:04X})", tag.group(), tag.element()))
}

/// No pixel data: right for an object that has none, wrong for an image. A file can be cut exactly between two elements, so
/// the attributes that size pixels betray an image where the IOD leaves it open.
fn check_absent(skeleton: &Skeleton, iod: Option<&Iod>) -> Result<(), Rejection> {
    let sized = [Tag(0x0028, 0x0010), Tag(0x0028, 0x0011), Tag(0x0028, 0x0100)]
        .into_iter()
        .all(|tag| skeleton.find(None, tag).is_some());
    let expected = match iod.map(|iod| iod.pixels) {
        Some(Pixels::Mandatory) => true,
        Some(Pixels::None) => false,
        Some(Pixels::Conditional) | None => sized,
    };
    if expected { Err(refuse("an image object without its pixel data", PIXEL_DATA)) } else { Ok(()) }
}

fn check_size(skeleton: &Skeleton, tag: Tag, index: usize) -> Result<(), Rejection> {
    let frames = number_of_frames(skeleton)?;
    let rows = number(skeleton, Tag(0x0028, 0x0010), "Rows is missing, zero or not a number")?;
    let columns = number(skeleton, Tag(0x0028, 0x0011), "Columns is missing, zero or not a number")?;
    let element = &skeleton.elements[index];
    let bits = match tag {
        FLOAT => 32,
        DOUBLE => 64,
        _ => bits_per_pixel(skeleton, matches!(element.content, Content::Fragments))?,
    };
    match element.content {
        Content::Fragments => check_fragments(skeleton, frames),
        Content::Sequence | Content::Item => Err(refuse("pixel data that are a sequence", tag)),
        Content::Kept { .. } | Content::Range => {
            // At most 2^16 * 2^16 * 2^24 * 2^31 bits: no overflow in 128 bits.
            let expected = (rows * columns * bits * frames).div_ceil(8);
            // One byte of padding to an even length (PS3.5 8.1.1); anything more is no part of the image.
            let found = u128::from(element.len);
            if found == expected || found == expected + expected % 2 {
                Ok(())
            } else if found < expected {
                Err(refuse("pixel data are shorter than their attributes say", tag))
            } else {
                Err(refuse("pixel data are longer than their attributes say", tag))
            }
        }
    }
}

/// Samples of all colours of one pixel, in bits as stored.
fn bits_per_pixel(skeleton: &Skeleton, encapsulated: bool) -> Result<u128, Rejection> {
    let allocated = number(skeleton, Tag(0x0028, 0x0100), "Bits Allocated is missing, zero or not a number")?;
    let samples = number(skeleton, Tag(0x0028, 0x0002), "Samples per Pixel is missing, zero or not a number")?;
    if allocated > 64 || allocated != 1 && !allocated.is_multiple_of(4) {
        return Err(refuse("Bits Allocated is not one of the standard's", Tag(0x0028, 0x0100)));
    }
    if samples > 4 {
        return Err(refuse("Samples per Pixel is not one of the standard's", Tag(0x0028, 0x0002)));
    }
    let photometric = skeleton.value(Tag(0x0028, 0x0004)).unwrap_or(&[]).trim_ascii();
    let colours: u128 = match photometric {
        b"" if samples == 1 => 1,
        b"" => return Err(refuse("Photometric Interpretation is missing", Tag(0x0028, 0x0004))),
        b"MONOCHROME1" | b"MONOCHROME2" | b"PALETTE COLOR" => 1,
        b"ARGB" | b"CMYK" => 4,
        _ if photometric.starts_with(b"RGB") || photometric.starts_with(b"YBR") || photometric == b"HSV" => 3,
        _ => samples,
    };
    if colours != samples {
        return Err(refuse("Samples per Pixel contradicts Photometric Interpretation", Tag(0x0028, 0x0002)));
    }
    // PS3.3 C.7.6.3.1.2: two pixels share their colour differences, so two samples a pixel are stored.
    let stored = match photometric {
        b"YBR_FULL_422" | b"YBR_PARTIAL_422" if !encapsulated => 2,
        b"YBR_PARTIAL_420" if !encapsulated => return Ok(allocated * 3 / 2),
        _ => samples,
    };
    Ok(stored * allocated)
}

/// Returns the value of a US attribute (Rows and its like), which must be there and above zero.
fn number(skeleton: &Skeleton, tag: Tag, detail: &'static str) -> Result<u128, Rejection> {
    let index = skeleton.find(None, tag);
    let value = index.map(|index| &skeleton.elements[index]).and_then(|element| {
        let bytes: [u8; 2] = skeleton.bytes(element)?.try_into().ok()?;
        // Behind UN numbers are little endian (PS3.5 6.2.2).
        Some(if element.encoding.big_endian && !element.was_un {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    });
    value.filter(|&value| value > 0).map(u128::from).ok_or_else(|| refuse(detail, tag))
}

fn number_of_frames(skeleton: &Skeleton) -> Result<u128, Rejection> {
    const TAG: Tag = Tag(0x0028, 0x0008);
    let text = skeleton.value(TAG).unwrap_or(&[]);
    let text = std::str::from_utf8(text).unwrap_or("?").trim_matches([' ', '\0']);
    if text.is_empty() {
        return Ok(1);
    }
    let count: u32 = text.strip_prefix('+').unwrap_or(text).parse().unwrap_or(0);
    if count == 0 || count > i32::MAX as u32 {
        return Err(refuse("Number of Frames is not a positive number", TAG));
    }
    Ok(u128::from(count))
}

/// Frames of encapsulated pixel data: every frame begins a fragment of its own, except in video, where one stream holds all.
fn check_fragments(skeleton: &Skeleton, frames: u128) -> Result<(), Rejection> {
    let Some(encapsulated) = &skeleton.encapsulated else {
        return Err(refuse("encapsulated pixel data without fragments", PIXEL_DATA));
    };
    let fragments = encapsulated.fragments.iter().filter(|fragment| fragment.len > 0).count() as u128;
    if fragments == 0 {
        return Err(refuse("encapsulated pixel data without fragments", PIXEL_DATA));
    }
    if is_video(&skeleton.syntax.uid) {
        return Ok(());
    }
    let told_apart = encapsulated.frames.len() as u128;
    if fragments < frames || told_apart > 0 && told_apart != frames {
        return Err(refuse("the fragments do not make the number of frames", PIXEL_DATA));
    }
    Ok(())
}

/// MPEG-2, MPEG-4 and HEVC (PS3.5 A.4.5 to A.4.8 and fragmentable twins): 1.2.840.10008.1.2.4.100 to .108.
pub(in crate::dicom) fn is_video(transfer_syntax_uid: &str) -> bool {
    transfer_syntax_uid.strip_prefix("1.2.840.10008.1.2.4.10").is_some_and(|rest| {
        let number = rest.split('.').next().unwrap_or("");
        number.len() == 1 && matches!(number.as_bytes()[0], b'0'..=b'8')
    })
}
