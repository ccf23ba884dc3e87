"""Compares the pixel data of a delivered object with that of its input: native bytes, decoded frames, code streams.

Encapsulated frames are decoded by every decoder there is and compared; in addition the code streams must be equal once
the segments that de-identification may touch (APPn, COM) are taken out on both sides.
"""

import io
import warnings

import numpy
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
JPEG_PREFIX = "1.2.840.10008.1.2.4."
JPEG_2000 = {"90", "91", "92", "93", "201", "202", "203"}
# Markers without a length field: TEM, RSTn, SOI, EOI (ITU-T T.81 B.1.1.3).
STANDALONE = {0x01, *range(0xD0, 0xDA)}


def is_jpeg_1(syntax):
    """Whether frames are made of marker segments as ITU-T T.81 and T.87 (JPEG, JPEG-LS) lay them."""
    text = str(syntax)
    return text.startswith(JPEG_PREFIX) and text.removeprefix(JPEG_PREFIX) not in JPEG_2000 and int(text.rsplit(".", 1)[1]) < 90


def without_application_segments(frame):
    """Returns the frame without its APPn and COM segments, cut after EOI; the frame as it is where it is not well-formed."""
    if frame[:2] != b"\xff\xd8":
        return frame
    kept, at = [b"\xff\xd8"], 2
    while at + 2 <= len(frame):
        if frame[at] != 0xFF:
            return frame
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            return b"".join([*kept, b"\xff\xd9"])
        if marker in STANDALONE:
            kept.append(frame[at : at + 2])
            at += 2
            continue
        end = at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(frame[at:end])
        at = end
        if marker == 0xDA:
            at = end_of_scan(frame, end)
            kept.append(frame[end:at])
    return b"".join(kept)


def without_comments(frame):
    """Returns a JPEG 2000 code stream (ITU-T T.800 A) without the comments of its main header, those of its tile-part headers
    blanked, cut after EOC; a JP2 file's code stream; the frame as it is where it is not well-formed."""
    start = frame.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return frame
    kept, at = [b"\xff\x4f"], start + 2
    while at + 2 <= len(frame):
        marker, length = frame[at : at + 2], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == b"\xff\xd9":
            return b"".join([*kept, marker])
        if marker == b"\xff\x90":
            tile_part = int.from_bytes(frame[at + 6 : at + 10], "big")
            end = at + tile_part if tile_part else frame.rfind(b"\xff\xd9")
            kept.append(blanked_tile_part(frame[at:end]))
            at = end
            continue
        if marker != b"\xff\x64":
            kept.append(frame[at : at + 2 + length])
        at += 2 + length
    return b"".join(kept)


def blanked_tile_part(part):
    """Returns a tile-part with the content of its comments zeroed: their length is counted in other segments."""
    part, at = bytearray(part), 12
    while at + 4 <= len(part) and part[at : at + 2] != b"\xff\x93":
        length = int.from_bytes(part[at + 2 : at + 4], "big")
        if part[at : at + 2] == b"\xff\x64":
            part[at + 4 : at + 2 + length] = bytes(length - 2)
        at += 2 + length
    return bytes(part)


def end_of_scan(frame, at):
    """Returns where the entropy-coded data end: at the first marker that is no restart. JPEG-LS stuffs a bit, not a byte."""
    while True:
        at = frame.find(b"\xff", at)
        if at < 0 or at + 1 >= len(frame):
            return len(frame)
        follows = frame[at + 1]
        if follows >= 0x80 and not 0xD0 <= follows <= 0xD7 and follows != 0xFF:
            return at
        at += 1


def frames(dataset):
    """Returns the encapsulated frames as bytes."""
    count = int(dataset.get("NumberOfFrames") or 1)
    return list(generate_frames(dataset.PixelData, number_of_frames=count))


def code_stream(frame, syntax):
    if is_jpeg_1(syntax):
        return without_application_segments(frame)
    if str(syntax).removeprefix(JPEG_PREFIX) in JPEG_2000:
        return without_comments(frame)
    return frame.rstrip(b"\0")


def differences_encapsulated(given, delivered, syntax):
    """Yields what differs; the last word is the decoders', who may all fail on an input that no one can read."""
    before, after = frames(given), frames(delivered)
    if len(before) != len(after):
        yield f"{len(before)} frames went in, {len(after)} came out"
        return
    for number, (old, new) in enumerate(zip(before, after), start=1):
        if code_stream(old, syntax).rstrip(b"\0") != code_stream(new, syntax).rstrip(b"\0"):
            yield f"the code stream of frame {number} differs beyond APPn and COM"
            return


def decoded(dataset, plugin):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pixel_array(dataset, raw=True, decoding_plugin=plugin)


def differences_decoded(given, delivered, syntax, tally):
    for plugin in get_decoder(syntax).available_plugins:
        try:
            before = decoded(given, plugin)
        except BaseException as error:  # noqa: BLE001 - a decoder that cannot read the input (or panics) judges nothing; counted
            if isinstance(error, KeyboardInterrupt):
                raise
            tally["input not decodable by " + plugin] = tally.get("input not decodable by " + plugin, 0) + 1
            continue
        try:
            after = decoded(delivered, plugin)
        except BaseException as error:  # noqa: BLE001 - any failure that the input did not have is a finding
            if isinstance(error, KeyboardInterrupt):
                raise
            yield f"{plugin} decodes the input but not the output: {type(error).__name__}"
            continue
        tally["compared by " + plugin] = tally.get("compared by " + plugin, 0) + 1
        if before.shape != after.shape or before.dtype != after.dtype or not numpy.array_equal(before, after):
            yield f"{plugin} decodes other pixels"


def in_little_endian(raw, dataset, syntax):
    """Returns native bytes as explicit little endian would hold them."""
    if UID(syntax).is_little_endian:
        return raw
    width = {"OW": 2, "OF": 4, "OD": 8}.get(dataset["PixelData"].VR if "PixelData" in dataset else "OF", 1)
    return numpy.frombuffer(raw[: len(raw) // width * width], f">u{width}").astype(f"<u{width}").tobytes()


def pixel_differences(given, delivered, tally):
    """Yields every difference between the pixels of two data sets read by pydicom; `tally` counts how they were compared."""
    before_syntax = given.file_meta.get("TransferSyntaxUID") or delivered.file_meta.TransferSyntaxUID
    after_syntax = delivered.file_meta.TransferSyntaxUID
    for keyword in PIXEL_KEYWORDS:
        if (keyword in given) != (keyword in delivered):
            yield f"{keyword} is in only one of input and output"
            return
    keyword = next((k for k in PIXEL_KEYWORDS if k in given), None)
    if keyword is None:
        return
    if UID(before_syntax).is_encapsulated:
        yield from differences_encapsulated(given, delivered, before_syntax)
        yield from differences_decoded(given, delivered, before_syntax, tally)
        return
    before = in_little_endian(given[keyword].value, given, before_syntax)
    after = in_little_endian(delivered[keyword].value, delivered, after_syntax)
    tally["native bytes compared"] = tally.get("native bytes compared", 0) + 1
    if before != after and before + b"\0" != after:
        yield f"native bytes differ ({len(before)} in, {len(after)} out)"


def read(content):
    """Returns the data set of the bytes, file meta or not."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(io.BytesIO(content), force=True)
