#!/usr/bin/env python3
"""Reads de-identified files back with pydicom and dciodvfy and compares them with their inputs.

Usage: compare_outputs.py IN_LIST OUT_DIR [--dciodvfy PATH]
IN_LIST: one input path a line; OUT_DIR holds `<line number from 0>.dcm` for those that were delivered.
Claims: pydicom reads every output; pixel data are identical (decoded where a decoder is at hand, else the bytes, else the frames);
file meta agree with the data set; no private attribute, no group length, nothing behind the data set; dciodvfy finds no error
that the input lacked. Exit 1 if one does not hold.
"""

import collections
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import pydicom
from pydicom.encaps import generate_frames

warnings.simplefilter("ignore")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read(path):
    return pydicom.dcmread(path, force=True)


def jpeg_without_segments(frame):
    """Returns a JPEG or JPEG 2000 stream's bytes without APPn and COM segments, up to its end."""
    if frame[:2] == b"\xff\x4f":
        out, at = [b"\xff\x4f"], 2
        while at + 4 <= len(frame) and frame[at : at + 2] != b"\xff\x90":
            length = int.from_bytes(frame[at + 2 : at + 4], "big")
            if frame[at + 1] != 0x64:
                out.append(frame[at : at + 2 + length])
            at += 2 + length
        return (b"".join(out) + frame[at:]).rstrip(b"\x00")
    if frame[:2] != b"\xff\xd8":
        return frame.rstrip(b"\x00")
    out, at = [b"\xff\xd8"], 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xDA:
            end = frame.rfind(b"\xff\xd9")
            return b"".join(out) + frame[at : end if end > 0 else None]
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            out.append(frame[at : at + 2 + length])
        at += 2 + length
    return b"".join(out) + frame[at:]


def swapped(data, old, new, keyword):
    """Returns native pixel bytes as the other byte order would write them, if it differs."""
    if old.original_encoding[1] == new.original_encoding[1]:
        return data
    bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword, int(old.BitsAllocated))
    unit = 2 if keyword == "PixelData" and old[keyword].VR == "OW" else bits // 8
    return b"".join(data[i : i + unit][::-1] for i in range(0, len(data), unit))


def same_pixels(old, new):
    for keyword in PIXELS:
        if (keyword in old) != (keyword in new):
            return f"{keyword} in one of them only"
        if keyword not in old:
            continue
        try:
            if (old.pixel_array == new.pixel_array).all():
                continue
            return "decoded pixels differ"
        except Exception:
            pass
        a, b = old[keyword].value, new[keyword].value
        if not getattr(old.file_meta, "TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian).is_compressed \
                or old.file_meta.TransferSyntaxUID == pydicom.uid.DeflatedExplicitVRLittleEndian:
            a = swapped(a, old, new, keyword)
            if a != b and a + b"\0" != b:
                return "pixel bytes differ"
            continue
        frames = int(old.get("NumberOfFrames") or 1)
        left, right = list(generate_frames(a, number_of_frames=frames)), list(generate_frames(b, number_of_frames=frames))
        if [jpeg_without_segments(f) for f in left] != [jpeg_without_segments(f) for f in right]:
            return "frames differ"
    return None


def errors(tool, path):
    run = subprocess.run([tool, "-new", str(path)], capture_output=True, timeout=60, check=False)
    text = (run.stdout + run.stderr).decode("utf-8", "replace")
    found = collections.Counter()
    for line in text.splitlines():
        if line.startswith("Error"):
            # Values and places differ between input and output; the kind of error and the attribute do not.
            found[re.sub(r"<[^<>]*>|\[\d+\]|'[^']*'|\d+ = .*$", "", line).strip()] += 1
    return found


def rewritten_errors(tool, old):
    """Errors of the input as pydicom rewrites it: dciodvfy reads no deflated data sets and nothing inside UN."""
    syntax = old.file_meta.get("TransferSyntaxUID")
    if syntax != pydicom.uid.DeflatedExplicitVRLittleEndian and not any(element.VR == "UN" for element in old):
        return collections.Counter()
    if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
        old.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    old.remove_private_tags()
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        old.save_as(file.name)
        return errors(tool, file.name)


def structure(new):
    faults = []

    def walk(data):
        for element in data:
            if element.tag.is_private:
                faults.append(f"private {element.tag}")
            if element.tag.element == 0:
                faults.append(f"group length {element.tag}")
            if element.VR == "SQ":
                for item in element.value:
                    walk(item)

    walk(new)
    meta = new.file_meta
    if meta.MediaStorageSOPInstanceUID != new.SOPInstanceUID or meta.MediaStorageSOPClassUID != new.SOPClassUID:
        faults.append("file meta contradict the data set")
    if any(new.preamble):
        faults.append("preamble")
    buffer = io.BytesIO()
    new.save_as(buffer)
    return faults


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    tool = sys.argv[sys.argv.index("--dciodvfy") + 1] if "--dciodvfy" in sys.argv else None
    paths, folder = pathlib.Path(arguments[0]).read_text().splitlines(), pathlib.Path(arguments[1])
    counts, bad, kinds = collections.Counter(), 0, collections.Counter()
    for number, path in enumerate(paths):
        out = folder / f"{number}.dcm"
        if not out.exists():
            counts["not delivered"] += 1
            continue
        faults = []
        try:
            old, new = read(path), pydicom.dcmread(out)
            fault = same_pixels(old, new)
            faults += [fault] if fault else []
            faults += structure(new)
        except Exception as error:
            faults.append(f"not read back: {type(error).__name__} {error}")
        if tool:
            fresh = errors(tool, out) - errors(tool, path) - rewritten_errors(tool, old)
            faults += [f"dciodvfy: {line}" for line in fresh]
            kinds.update(list(fresh))
        counts["compared"] += 1
        bad += bool(faults)
        for fault in faults:
            print(f"{number} {pathlib.Path(path).name}: {fault}")
    print(dict(counts), "with faults:", bad)
    for kind, count in kinds.most_common(40):
        print(count, kind)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
