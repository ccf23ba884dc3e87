//! The walk against written code streams, whole and in pieces of one byte.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::Reason;

/// What is left of each fragment when the cuts are made, the cuts, and at which fragments a code stream begins.
type Walked = (Vec<Vec<u8>>, Vec<Cut>, Vec<bool>);

/// Walks fragments that lie 8 bytes apart from offset 100 on, pushed in pieces of `size` bytes.
fn walk(fragments: &[Vec<u8>], frames: u32, size: usize) -> Result<Walked, Rejection> {
    let mut walker = Walker::new(Some(frames));
    let (mut cuts, mut budget) = (Vec::new(), Budget::new(1 << 20));
    let mut offset = 100;
    let mut began = Vec::new();
    let mut starts = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        starts.push(offset);
        walker.begin_fragment(index == 0, offset, fragment.len() as u32)?;
        for piece in fragment.chunks(size) {
            walker.push(piece, offset, &mut cuts, &mut budget)?;
            offset += piece.len() as u64;
        }
        began.push(walker.end_fragment(&mut cuts, &mut budget)?);
        offset += 8;
    }
    walker.finish(offset)?;
    assert!(cuts.is_sorted_by(|a, b| a.offset + a.len <= b.offset), "cuts ascend and do not overlap: {cuts:?}");
    let mut left = Vec::new();
    for (fragment, start) in fragments.iter().zip(starts) {
        let mut kept = Vec::new();
        let mut at = 0;
        for cut in cuts.iter().filter(|cut| (start..start + fragment.len() as u64).contains(&cut.offset)) {
            let from = (cut.offset - start) as usize;
            assert!(from + cut.len as usize <= fragment.len(), "no cut spans fragments");
            kept.extend_from_slice(&fragment[at..from]);
            kept.extend_from_slice(&cut.replacement);
            at = from + cut.len as usize;
        }
        kept.extend_from_slice(&fragment[at..]);
        left.push(kept);
    }
    Ok((left, cuts, began))
}

/// Walks one frame in one fragment, and the same split in two at every byte; all must leave the same.
fn cleaned(frame: &[u8]) -> (Vec<u8>, Vec<&'static str>) {
    let (left, cuts, _) = walk(&[frame.to_vec()], 1, usize::MAX).unwrap();
    for size in [1, 3] {
        let (again, same, _) = walk(&[frame.to_vec()], 1, size).unwrap();
        assert_eq!((&again, &same), (&left, &cuts), "pieces of {size}");
    }
    for split in 1..frame.len() {
        let (head, tail) = frame.split_at(split);
        let (halves, ..) =
            walk(&[head.to_vec(), tail.to_vec()], 1, 2).unwrap_or_else(|e| panic!("split at {split}: {e}"));
        // A pad byte is told by its fragment's length, so that it may go or stay where the frame is split.
        let joined = halves.concat();
        let (joined, whole) =
            if frame.ends_with(&[0]) { (unpadded(&joined), unpadded(&left[0])) } else { (&joined[..], &left[0][..]) };
        assert_eq!(joined, whole, "split at {split}");
    }
    (left[0].clone(), cuts.iter().map(|cut| cut.what).collect())
}

fn unpadded(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

fn refused(frame: &[u8]) -> Reason {
    walk(&[frame.to_vec()], 1, usize::MAX).expect_err("cannot be walked").reason
}

fn segment(code: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&[0xFF, code], &length[..], content].concat()
}

const SOI: [u8; 2] = [0xFF, 0xD8];
const EOI: [u8; 2] = [0xFF, 0xD9];

fn tables() -> Vec<u8> {
    [segment(0xDB, &[7; 65]), segment(0xC0, &[8; 15]), segment(0xC4, &[0xFF; 20])].concat()
}

/// A scan whose data hold stuffing, a restart, what looks like a comment, and fill bytes.
fn scan() -> Vec<u8> {
    let data = [1, 2, 0xFF, 0x00, 0xFE, 0xFF, 0xD3, 5, 0xFF, 0x00, 0xFF, 0xFF];
    [segment(0xDA, &[1, 1, 0, 0, 63, 0]), data.to_vec()].concat()
}

fn jpeg(segments: &[Vec<u8>], tail: &[u8]) -> Vec<u8> {
    [&SOI[..], &segments.concat(), &tables(), &scan(), &EOI, tail].concat()
}

#[test]
fn a_clean_jpeg_is_left_alone() {
    let frame = jpeg(&[], &[]);
    assert_eq!(cleaned(&frame), (frame, vec![]));
}

#[test]
fn comments_and_application_segments_go() {
    let marked = jpeg(
        &[
            segment(0xFE, b"Example^Eva"),
            segment(0xE1, b"Exif\0\0 a thumbnail \xFF\xD8\xFF\xD9 and more"),
            segment(0xED, b"Photoshop"),
            segment(0xE2, b"ICC_PROFILE"),
            segment(0xE0, b"JFXX\0 a thumbnail"),
            segment(0xE8, b"something"),
            segment(0xEE, b"something"),
            segment(0xFE, b""),
        ],
        &[],
    );
    let what = vec!["COM", "APP1", "APP13", "APP2", "APP0", "APP8", "APP14", "COM"];
    assert_eq!(cleaned(&marked), (jpeg(&[], &[]), what));
}

#[test]
fn a_comment_between_scans_goes() {
    let frame = [&SOI[..], &tables(), &scan(), &segment(0xFE, b"Eva"), &segment(0xC4, &[3; 9]), &scan(), &EOI].concat();
    let clean = [&SOI[..], &tables(), &scan(), &segment(0xC4, &[3; 9]), &scan(), &EOI].concat();
    assert_eq!(cleaned(&frame), (clean, vec!["COM"]));
}

#[test]
fn jfif_adobe_spiff_and_mrfx_keep_their_fields_and_nothing_else() {
    let jfif = b"JFIF\0\x01\x02\x01\0\x48\0\x48";
    let plain = segment(0xE0, &[&jfif[..], &[0, 0]].concat());
    let adobe = segment(0xEE, b"Adobe\0\x64\x80\0\0\0\x01");
    let spiff = segment(0xE8, &[&b"SPIFF\0"[..], &[1; 24]].concat());
    let spiff_end = segment(0xE8, &[0, 0, 0, 1, 0xFF, 0xD8]);
    let mrfx = segment(0xE8, b"mrfx\x02");
    let good = jpeg(&[plain.clone(), adobe.clone(), spiff.clone(), spiff_end.clone(), mrfx.clone()], &[]);
    assert_eq!(cleaned(&good), (good.clone(), vec![]), "what is made of fields alone stands");
    let more = jpeg(
        &[
            segment(0xE0, &[&jfif[..], &[1, 1, 9, 9, 9]].concat()),
            segment(0xEE, b"Adobe\0\x64\x80\0\0\0\x01Eva"),
            spiff,
            segment(0xE8, b"\0\0\0\x05 a title"),
            spiff_end,
            segment(0xE8, b"mrfx\x02Eva"),
        ],
        &[],
    );
    assert_eq!(cleaned(&more), (good, vec!["APP0", "APP14", "APP8", "APP8"]));
}

#[test]
fn bytes_behind_the_end_go_and_a_pad_byte_stays() {
    let odd = |tail: &[u8]| jpeg(&[segment(0xC4, &[1])], tail);
    assert_eq!(odd(&[]).len() % 2, 1, "so that one zero pads it");
    assert_eq!(cleaned(&odd(&[0])), (odd(&[0]), vec![]));
    assert_eq!(cleaned(&odd(&[7])), (odd(&[]), vec!["TAIL"]));
    assert_eq!(cleaned(&odd(b"Example^Eva")), (odd(&[]), vec!["TAIL"]));
    assert_eq!(cleaned(&jpeg(&[], &[0])).1, ["TAIL"], "an even frame needs no padding");
}

#[test]
fn bytes_between_segments_go_as_decoders_skip_them() {
    let frame = [&SOI[..], b"Eva", &[0xFF, 0xFF], &tables()[1..], &[0xFF, 0], &scan(), &EOI].concat();
    let clean = [&SOI[..], &[0xFF, 0xFF], &tables()[1..], &scan(), &EOI].concat();
    assert_eq!(cleaned(&frame), (clean, vec!["JUNK", "JUNK"]));
}

#[test]
fn jpeg_ls_data_are_walked() {
    let ls = [&[1, 0xFF, 0x7F, 0xFF, 0x01, 9][..]].concat();
    let body = |extra: &[u8]| {
        [&SOI[..], extra, &segment(0xF7, &[8; 9]), &segment(0xF8, &[1; 11]), &segment(0xDA, &[0; 6]), &ls, &EOI]
            .concat()
    };
    assert_eq!(cleaned(&body(&segment(0xFE, b"Eva"))), (body(&[]), vec!["COM"]));
}

#[test]
fn frames_that_cannot_be_walked_are_refused() {
    for frame in [
        b"no image at all.".to_vec(),
        vec![0xFF],
        SOI.to_vec(),
        [&SOI[..], &[0xFF, 0xFE, 0xFF, 0xFF], b"cut"].concat(),
        [&SOI[..], &[0xFF, 0xFE, 0, 1], b"short"].concat(),
        [&SOI[..], &tables()].concat(),
        [&SOI[..], &tables(), &SOI, &scan(), &EOI].concat(),
        jpeg(&[], &[])[1..].to_vec(),
    ] {
        assert_eq!(refused(&frame), Reason::Pixel, "{frame:?}");
    }
    let two = [jpeg(&[], &[]), jpeg(&[], &[])];
    assert_eq!(walk(&[two.concat()], 2, 5).unwrap_err().reason, Reason::Pixel, "two frames in a fragment");
    assert_eq!(walk(&two, 1, 5).unwrap_err().reason, Reason::Pixel, "two frames where one is declared");
    let thumbnail = [two.concat()];
    assert_eq!(walk(&thumbnail, 1, 5).unwrap().0[0], two[0], "of a single frame, what follows the end is no frame");
}

#[test]
fn a_frame_cut_in_its_picture_data_passes_and_the_next_one_is_found() {
    let whole = jpeg(&[], &[]);
    let cut = whole[..whole.len() - 3].to_vec();
    let (left, cuts, began) = walk(&[cut.clone(), whole.clone()], 2, 4).unwrap();
    assert_eq!((left, cuts, began), (vec![cut, whole], vec![], vec![true, true]));
}

#[test]
fn frames_over_several_fragments_are_found_by_their_beginning() {
    let frame = jpeg(&[segment(0xFE, b"Eva")], &[0]);
    let parts: Vec<Vec<u8>> = frame.chunks(11).map(<[u8]>::to_vec).collect();
    let (left, cuts, began) = walk(&[parts.clone(), parts.clone()].concat(), 2, 3).unwrap();
    assert_eq!(began.iter().filter(|began| **began).count(), 2);
    assert!(began[0] && began[parts.len()]);
    assert!(cuts.iter().all(|cut| cut.what == "COM" || cut.what == "TAIL"));
    assert!(!left.concat().windows(3).any(|window| window == b"Eva"));
}

/// A code stream: main header, one tile-part with its header, and the end.
fn j2k(main: &[Vec<u8>], tile: &[Vec<u8>], psot: bool, tail: &[u8]) -> Vec<u8> {
    let header = tile.concat();
    // Neither of the marks here may stand in packet data; with a length they would be skipped all the same.
    let data: &[u8] = if psot { &[1, 0xFF, 0xD9, 0xFF, 0x64, 4] } else { &[1, 0xFF, 0x8F, 0xFF, 0x64, 4] };
    let length = if psot { (12 + header.len() + 2 + data.len()) as u32 } else { 0 };
    let sot = segment(0x90, &[&[0, 0][..], &length.to_be_bytes(), &[0, 1]].concat());
    let siz = [segment(0x51, &[1; 36]), segment(0x52, &[2; 10]), segment(0x5C, &[3; 5])].concat();
    [&[0xFF, 0x4F][..], &siz, &main.concat(), &sot, &header, &[0xFF, 0x93], data, &[0xFF, 0xD9], tail].concat()
}

#[test]
fn j2k_comments_go_from_the_main_header_and_are_blanked_in_tile_parts() {
    for psot in [true, false] {
        let frame = j2k(
            &[segment(0x64, b"\0\x01made by Eva")],
            &[segment(0x64, b"\0\x01 Eva"), segment(0x58, &[1])],
            psot,
            b"",
        );
        let clean = j2k(&[], &[segment(0x64, &[0; 6]), segment(0x58, &[1])], psot, b"");
        assert_eq!(cleaned(&frame), (clean, vec!["COM", "COM"]));
    }
}

#[test]
fn unknown_j2k_segments_go_like_comments() {
    let frame = j2k(&[segment(0xBF, b"Eva")], &[segment(0x62, b"Eva ")], true, b"");
    assert_eq!(cleaned(&frame), (j2k(&[], &[segment(0x64, &[0; 4])], true, b""), vec!["UNKNOWN", "UNKNOWN"]));
}

#[test]
fn j2k_tails_go_and_a_missing_end_passes() {
    let clean = j2k(&[], &[], true, b"");
    assert_eq!(cleaned(&j2k(&[], &[], true, b"Eva")), (clean.clone(), vec!["TAIL"]));
    let open = &clean[..clean.len() - 2];
    assert_eq!(cleaned(open), (open.to_vec(), vec![]));
    let cut = &clean[..clean.len() - 5];
    assert_eq!(cleaned(cut), (cut.to_vec(), vec![]));
}

#[test]
fn j2k_that_contradicts_its_lengths_is_refused() {
    let clean = j2k(&[], &[], true, b"");
    let psot = clean.windows(2).position(|window| window == [0xFF, 0x90]).unwrap() + 6;
    for wrong in [13u32, 14, 16, 19, 21] {
        let mut frame = clean.clone();
        frame[psot..psot + 4].copy_from_slice(&wrong.to_be_bytes());
        assert_eq!(refused(&frame), Reason::Pixel, "Psot {wrong}");
    }
    assert_eq!(refused(&clean[..40]), Reason::Pixel, "ends in its main header");
}

#[test]
fn a_j2k_frame_cut_short_does_not_swallow_the_next() {
    let whole = j2k(&[], &[], true, b"");
    let cut = whole[..whole.len() - 6].to_vec();
    for size in [1, 2, 100] {
        let (left, _, began) = walk(&[cut.clone(), whole.clone()], 2, size).unwrap();
        assert_eq!((left, began), (vec![cut.clone(), whole.clone()], vec![true, true]));
    }
    // What only looks like a beginning at first is data.
    let (head, tail) = whole.split_at(whole.len() - 8);
    let looks = [&[0xFF, 0x4F, 0xFF][..], &tail[3..]].concat();
    let (left, _, began) = walk(&[head.to_vec(), looks.clone()], 2, 1).unwrap();
    assert_eq!((left, began), (vec![head.to_vec(), looks], vec![true, false]));
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
}

#[test]
fn a_jp2_is_unpacked_to_its_code_stream() {
    let stream = j2k(&[], &[], true, b"");
    let container = [
        JP2_SIGNATURE.to_vec(),
        boxed(b"ftyp", b"jp2 \0\0\0\0jp2 "),
        boxed(b"jp2h", &[boxed(b"ihdr", &[1; 14]), boxed(b"colr", &[1, 0, 0, 0, 0, 0, 16])].concat()),
        boxed(b"xml ", b"<name>Eva</name>"),
        boxed(b"jp2c", &stream),
        boxed(b"uuid", b"Eva"),
    ]
    .concat();
    assert_eq!(cleaned(&container), (stream, vec!["BOX", "TAIL"]));
    let palette = [JP2_SIGNATURE.to_vec(), boxed(b"jp2h", &boxed(b"pclr", &[0; 8])), boxed(b"jp2c", b"")].concat();
    assert_eq!(refused(&palette), Reason::Pixel);
    assert_eq!(refused(&[JP2_SIGNATURE.to_vec(), boxed(b"xml ", b"no image")].concat()), Reason::Pixel);
}

#[test]
fn a_jpeg_xl_keeps_what_decodes_it() {
    let keep = |kind, content: &[u8]| boxed(kind, content);
    let frame = [
        JXL_SIGNATURE.to_vec(),
        keep(b"ftyp", b"jxl \0\0\0\0jxl "),
        boxed(b"Exif", b"Eva"),
        keep(b"jxlp", &[1; 9]),
        boxed(b"xml ", b"Eva"),
        boxed(b"jbrd", b"Eva"),
        keep(b"jxlp", &[2; 9]),
    ]
    .concat();
    let clean =
        [JXL_SIGNATURE.to_vec(), keep(b"ftyp", b"jxl \0\0\0\0jxl "), keep(b"jxlp", &[1; 9]), keep(b"jxlp", &[2; 9])]
            .concat();
    assert_eq!(cleaned(&frame), (clean, vec!["BOX", "BOX"]));
    let raw = [&[0xFF, 0x0A][..], &[1, 0xFF, 0xFE, 3]].concat();
    assert_eq!(cleaned(&raw), (raw.clone(), vec![]));
}
