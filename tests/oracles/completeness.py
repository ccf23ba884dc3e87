"""Judges with pydicom alone whether an object is complete and identifiable, so that it must be delivered.

Deliberately narrow: what is doubtful is not called complete. It shares no code and no table with the pipeline.
"""

import re
import warnings
from io import BytesIO

from pydicom import dcmread
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID

VALID_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Objects that describe a medium or a palette, not an instance of a study.
NOT_INSTANCES = {"1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.39.1"}
ENCAPSULATED_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."
# Ultrasound, secondary capture, radiofluoroscopy, angiography, visible light and slides (PS3.4 B.5), by prefix of the SOP class.
BURNED_IN = tuple(
    f"1.2.840.10008.5.1.4.1.1.{part}"
    for part in ("3", "6", "7", "12", "77")
)
WITHOUT_PIXELS = {"1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.481.5", "1.2.840.10008.5.1.4.1.1.9.1.1"}


def pixels_need_judgement(dataset):
    """Whether burned-in identifiers are possible, as widely as any reading of the rule goes."""
    sop_class = str(dataset.SOPClassUID)
    words = " ".join(str(value) for value in dataset.get("ImageType") or []).upper()
    return (
        any(f"{sop_class}.".startswith(f"{prefix}.") for prefix in BURNED_IN)
        or sop_class.startswith(ENCAPSULATED_DOCUMENTS)
        or "SECONDARY" in words
        or "SCREEN" in words
        or dataset.get("BurnedInAnnotation", "") == "YES"
        or dataset.get("Modality") in {"US", "SC", "OT", "XA", "RF", "ES", "XC", "GM", "SM", "DOC", "IVUS", "OP"}
    )


def read_strictly(content):
    """Returns the data set, or None where pydicom warns or fails while reading all of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = dcmread(BytesIO(content))
            for element in dataset.iterall():
                str(element.value)[:1]
            return dataset
    except Exception:  # noqa: BLE001 - whatever pydicom stumbles over makes the object doubtful
        return None


def pixels_fit(dataset):
    """Whether the pixel data are exactly as long as the attributes say, or encapsulated, or not called for."""
    if "PixelData" not in dataset:
        return str(dataset.SOPClassUID) in WITHOUT_PIXELS or ".88." in str(dataset.SOPClassUID)
    if UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated:
        return True
    expected = get_expected_length(dataset)
    return len(dataset.PixelData) == expected + expected % 2


def is_complete(content, needs_judgement):
    dataset = read_strictly(content)
    if dataset is None or any(not isinstance(dataset.get(keyword), str) for keyword in IDENTITY):
        return False
    uids = [str(dataset[keyword].value) for keyword in IDENTITY]
    if any(len(uid) > 64 or not VALID_UID.fullmatch(uid) for uid in uids) or uids[0] in NOT_INSTANCES:
        return False
    try:
        return not needs_judgement(dataset) and pixels_fit(dataset)
    except Exception:  # noqa: BLE001 - missing or odd attributes make the object doubtful
        return False
