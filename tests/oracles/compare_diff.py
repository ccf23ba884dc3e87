"""Judges `medimg diff` on one delivered object: nothing is unexplained, and pydicom sees the same attributes changed."""

import medimg
from pydicom.dataset import Dataset

PIXEL_DATA = "(7FE0,0010)"
# Told by `diff` beside the elements themselves, or compared by pixels.py.
NO_ELEMENTS = {"stood twice", "preamble blanked", "cut off", "cut", "frames differ"}


def changed_by_pydicom(given: Dataset, delivered: Dataset):
    """Returns the top-level places whose element is in one data set only, or has another value; pixel data apart."""
    places = set()
    for tag in set(given.keys()) | set(delivered.keys()):
        place = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        if place == PIXEL_DATA:
            continue
        if tag not in given or tag not in delivered:
            places.add(place)
            continue
        try:
            same = meaning(given, tag) == meaning(delivered, tag)
        except Exception:  # noqa: BLE001 - a value that pydicom cannot convert is compared as it stands
            same = given.get_item(tag).value == delivered.get_item(tag).value
        if not same:
            places.add(place)
    return places


def meaning(data_set, tag):
    """Returns what an element says: padding apart, sequences as what their items say."""
    element = data_set[tag]
    if element.VR == "SQ":
        return [{int(inner): meaning(item, inner) for inner in item.keys()} for item in element.value]
    value = element.value
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ")
    return str(value).rstrip("\0 ") if value is not None else ""


def check(binary, store, given_path, delivered_path, read, findings, name, tally):
    """Claims that every change is explained by the receipt and that pydicom finds the same attributes changed."""
    run = medimg.call(binary, "diff", "--store", store, "--json", given_path, delivered_path)
    lines = run.lines
    findings.check("pydicom", run.code == 0 and lines, f"{name}: diff exits {run.code}: {run.stderr[-300:]!r}")
    if not lines:
        return
    *changes, last = lines
    summary = last["diff"]
    unexplained = [change["path"] for change in changes if not change["explained"]][:5]
    findings.check("pydicom", summary["unexplained"] == 0, f"{name}: diff finds changes that no line explains: {unexplained}")
    findings.check("pydicom", summary["identical_pixel_data"] is not False, f"{name}: diff says that the pixel data differ")
    ours = {
        change["path"].split("[")[0].split(".")[0]
        for change in changes
        if change["change"] not in NO_ELEMENTS and not change["path"].startswith("(0002,")
    } - {PIXEL_DATA}
    theirs = changed_by_pydicom(read(given_path.read_bytes()), read(delivered_path.read_bytes()))
    # pydicom neither reads nor shows group lengths of a data set that it was told to drop.
    differ = {place for place in ours ^ theirs if not place.endswith(",0000)")}
    findings.check("pydicom", not differ, f"{name}: diff and pydicom differ on what changed: {sorted(differ)[:5]}")
    tally["differences confirmed by pydicom"] = tally.get("differences confirmed by pydicom", 0) + len(ours & theirs)
