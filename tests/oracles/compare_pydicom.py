#!/usr/bin/env python3
"""Compares the scanner with pydicom, element by element, on real files.

usage: compare_pydicom.py SKELETON_DUMP [FOLDER_OR_FILE...]

SKELETON_DUMP is the built example of crate domain. Without folders: every file of PyPI pydicom and pydicom-data.
Compared: each element's tag path, VR, length and value bytes, the number of items, and the transfer syntax; and for files
that the scanner refuses, that the reason is the one this script states. Prints every difference, then one count line.
Exit 1 on a difference, 2 if nothing was compared.
"""
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import warnings

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence

# Refused by the scanner, read (as far as it goes) by pydicom. Each with the reason and why it is right.
REFUSED = {
    "emri_small_jpeg_2k_lossless_too_short.dcm": ("truncated", "ends before the delimiter of its fragments"),
    "MR_truncated.dcm": ("truncated", "ends inside its pixel data"),
    "rtplan_truncated.dcm": ("truncated", "ends inside a sequence"),
    "DICOMDIR-nooffset": ("truncated", "its last record is longer than the file"),
    "SC_rgb_jpeg.dcm": ("bad_meta", "the meta says explicit VR, the data set is implicit"),
    "no_meta.dcm": ("not_dicom", "begins with a stray byte; pydicom finds one element that swallows the file"),
}
# Elements where pydicom differs and the scanner is right: (file, path) -> why.
JUSTIFIED = {}
AMBIGUOUS = {
    "US or SS": {"US", "SS"},
    "OB or OW": {"OB", "OW"},
    "US or OW": {"US", "OW"},
    "US or SS or OW": {"US", "SS", "OW"},
}


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:32]


def dictionary(tag):
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def vrs(tag, raw_vr, explicit):
    """The VRs that the scanner may give an element, None if any."""
    if explicit and raw_vr not in (None, "UN"):
        return {raw_vr}
    if tag.element == 0:
        return {"UL"}
    if tag.is_private:
        return None
    known = dictionary(tag)
    return AMBIGUOUS.get(known, {known}) if known else {"UN"}


def walk(dataset, prefix, found):
    # All raw elements first: reading one may decode others.
    for tag, raw in [(tag, dataset.get_item(tag)) for tag in dataset.keys()]:
        path = f"{prefix}{tag:08X}"
        explicit = raw.VR is not None and not getattr(raw, "is_implicit_VR", False)
        if isinstance(raw, RawDataElement):
            known = raw.VR if raw.VR not in (None, "UN") else dictionary(tag) if not tag.is_private else raw.VR
            is_sequence = known == "SQ"
        else:
            is_sequence = raw.VR == "SQ"
        value = dataset[tag].value if is_sequence else raw.value
        if isinstance(value, Sequence):
            found[path] = ("items", len(value), None)
            for number, item in enumerate(value):
                walk(item, f"{path}.{number}.", found)
        else:
            if not isinstance(raw, RawDataElement) and not isinstance(value, bytes):
                # Specific Character Set and Pixel Representation are decoded at once: only their meaning can be compared.
                if isinstance(value, int):
                    packed = struct.pack("<H" if dataset.original_encoding[1] else ">H", value)
                    found[path] = ("value", 2, (digest(packed), vrs(tag, raw.VR, explicit)))
                    continue
                value = "" if value is None else value
                text = value if isinstance(value, str) else "\\".join(value)
                found[path] = ("text", text.encode(), None)
                continue
            value = b"" if value is None else value
            found[path] = ("value", len(value), (digest(value), vrs(tag, raw.VR, explicit)))


def by_pydicom(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(name, force=True)
        found = {}
        walk(dataset, "", found)
        for element in dataset.file_meta:
            found.setdefault(f"{element.tag:08X}", ("meta", None, None))
        declared = dataset.file_meta.get("TransferSyntaxUID")
    return found, declared


def same(ours, theirs):
    kind, count, detail = theirs
    if kind == "meta":
        return True
    if kind == "text":
        return ours.get("len", -1) >= len(count) and ours["sha256"] == digest(count.ljust(ours["len"]))
    if kind == "items":
        return ours.get("items") == count
    expected, allowed = detail
    return ours.get("len") == count and ours["sha256"] == expected and (allowed is None or ours["vr"] in allowed)


def compare(name, verdict, elements):
    short = pathlib.Path(name).name
    if verdict["verdict"] == "refused":
        if short in REFUSED:
            if REFUSED[short][0] == verdict["reason"]:
                return []
            return [f"{short}: refused with {verdict['reason']}, not {REFUSED[short][0]}"]
        try:
            found, _ = by_pydicom(name)
            readable = len(found) > 2
        except Exception:  # pydicom cannot read it either
            readable = False
        return [f"{short}: refused ({verdict['reason']} {verdict['at']}), read by pydicom"] if readable else []
    found, declared = by_pydicom(name)
    different = []
    if declared and declared != verdict["syntax"]:
        different.append(f"{short}: transfer syntax {verdict['syntax']}, pydicom {declared}")
    for path in sorted(found.keys() | elements.keys()):
        if (short, path) in JUSTIFIED:
            continue
        if path not in elements:
            different.append(f"{short}: {path} only pydicom: {found[path]}")
        elif path not in found:
            different.append(f"{short}: {path} only the scanner: {elements[path]}")
        elif not same(elements[path], found[path]):
            different.append(f"{short}: {path} differs: {elements[path]} pydicom: {found[path]}")
    return different


def test_files():
    import data_store

    roots = [pathlib.Path(pydicom.__file__).parent / "data" / part for part in ("test_files", "charset_files", "palettes")]
    roots.append(pathlib.Path(data_store.__file__).parent / "data")
    return roots


def main():
    config.replace_un_with_known_vr = True
    # pydicom's own guess about sequences in private UN is no reading of the standard.
    config.infer_sq_for_un_vr = False
    roots = [pathlib.Path(argument) for argument in sys.argv[2:]] or test_files()
    names = sorted(str(p) for root in roots for p in ([root] if root.is_file() else root.rglob("*")) if p.is_file())
    names = [name for name in names if not name.endswith((".py", ".pyc"))]
    dumped = subprocess.run([sys.argv[1], "-"], input="\n".join(names), capture_output=True, text=True, check=True)
    verdicts, elements = {}, {}
    for line in dumped.stdout.splitlines():
        record = json.loads(line)
        if "file" in record:
            current = record["file"]
            verdicts[current], elements[current] = record, {}
        else:
            elements[current][record["path"]] = record
    different, reasons, compared = [], {}, 0
    for name in names:
        verdict = verdicts[name]
        reasons[verdict.get("reason", "scanned")] = reasons.get(verdict.get("reason", "scanned"), 0) + 1
        different += compare(name, verdict, elements[name])
        compared += len(elements[name])
    for line in different:
        print(line)
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    print(f"pydicom {pydicom.__version__}: {len(names)} files ({counts}), {compared} elements, {len(different)} differences")
    sys.exit(1 if different else 0 if compared else 2)


if __name__ == "__main__":
    main()
