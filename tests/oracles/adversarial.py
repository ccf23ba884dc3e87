#!/usr/bin/env python3
"""Builds varied objects full of invented identifiers, runs them through `medimg process`, and scores what was delivered.

Usage: adversarial.py --medimg BIN | --deid-file EXAMPLE [--count N] [--seed S] [--work DIR] [--only KIND] [--verbose]
Claims, for each object: it is delivered; no identifier is left in any byte in any encoding; every UID is mapped, the same one
everywhere; dates are gone; what an image needs to be an image, a plan a plan, is unchanged, also valid values at every place that
its IOD lists; pydicom reads it and its pixels are the same; dciodvfy finds no error that the input lacked. Exit 1 if one does not hold.
"""

import argparse
import collections
import json
import random
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

import adversarial_objects as objects
import compare_outputs
import conformance
import medimg
from adversarial_people import SCRIPTS, Person, encodings, folded

warnings.simplefilter("ignore")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
TEXTS = {"LO", "SH", "ST", "LT", "UT", "UC"}
NUMBERS = {"FD": lambda r: r.uniform(-9, 9), "FL": lambda r: r.randrange(-90, 90) / 8, "DS": lambda r: f"{r.uniform(-99, 99):.3f}",
           "IS": lambda r: str(r.randrange(1, 99)), "US": lambda r: r.randrange(1, 60), "SS": lambda r: r.randrange(-60, 60),
           "UL": lambda r: r.randrange(1, 60), "SL": lambda r: r.randrange(-60, 60), "CS": lambda r: r.choice(objects.TERMS)}
# What the builders set with care: filling must not contradict pixels, counts or pointers. (0012,0081) is D in the table, and may
# stand only beside (0012,0082), which is X: no output can obey both. Of encrypted attributes a dummy is left where one must be.
CAREFUL = re.compile(r"0028(00..|01..|11..|12..|3...|99..)|0008(0005|0008|0016|0018|0060|0301|2111)|0010(0010|0020|1010)|0020000[DE]|7FE0|00289|FFF"
                     r"|0002|00500016|00081115|00081200|04000500|00120081|00100021|0012006[234]|00280303|5400|00660|0062001|00221|0020[09]...|0040A|00420011|00080054|006A|00880")


class Run:
    def __init__(self, options):
        self.options, self.places = options, objects.Places()
        self.people, self.cases = [], []
        self.uids, self.back, self.found = {}, {}, collections.Counter()
        self.counts, self.lines = collections.Counter(), []

    def wrong(self, kind, case, text):
        self.found[kind] += 1
        self.lines.append((kind, case.number, case.kind, text))

    def build(self, folder):
        kinds = [self.options.only] if self.options.only else list(objects.KINDS)
        charsets = list(SCRIPTS)
        for number in range(self.options.count):
            rng = random.Random(f"{self.options.seed}/{number}")
            if number % 7 == 0:
                person = Person(rng, charsets[number // 7 % len(charsets)])
                person.study, person.frame_uid, person.shared_uid = person.uid(), person.uid(), person.uid()
                person.series = {modality: person.uid() for modality in objects.MODALITIES}
                self.people.append(person)
            kind = kinds[number % len(kinds)]
            syntaxes = [objects.IMPLICIT, objects.EXPLICIT, objects.EXPLICIT, objects.DEFLATED, objects.BIG]
            if kind in objects.COMPRESSIBLE:
                syntaxes += [objects.RLE, objects.JPEG if kind in ("us", "sc", "wsi") else objects.RLE]
            case = objects.Case(rng, person, kind, rng.choice(syntaxes))
            case.number, case.wild, case.misused = number, number % 3 == 2, False
            objects.KINDS[kind](case)
            objects.identifiers(case)
            objects.private(case)
            objects.hidden(case)
            self.plant(case, 0.02 if not case.wild else 0.25)
            case.path = folder / f"{number:05}.dcm"
            write(case)
            self.cases.append(case)

    def plant(self, case, share):
        """Fills places of the IOD with valid values, which must stay, and with identifiers, which must go."""
        texts = [text for text in case.person.texts() if writable(text, case.person.codec)]
        self.fill(case, case.ds, self.places.top(case.ds.SOPClassUID), share, texts, 0, False)

    def fill(self, case, ds, tree, share, texts, depth, gone):
        rng = case.rng
        for tag, _, items in tree:
            if CAREFUL.match(tag) or rng.random() > share or Tag(int(tag, 16)) in ds:
                continue
            try:
                vr = dictionary_VR(int(tag, 16)).split(" or ")[0]
            except KeyError:
                continue
            if vr == "SQ":
                if items != "...." and depth < 3:
                    inner = Dataset()
                    self.fill(case, inner, self.places.trees[int(items, 16)], min(1.0, share * 2), texts, depth + 1,
                              gone or tag in self.places.rows)
                    if len(inner):
                        ds.add_new(int(tag, 16), "SQ", Sequence([inner]))
                continue
            self.leaf(case, ds, int(tag, 16), vr, texts, gone or tag in self.places.rows)

    def leaf(self, case, ds, tag, vr, texts, listed):
        rng, p = case.rng, case.person
        if vr in TEXTS and (listed or rng.random() < 0.6):
            text = rng.choice(texts)
            ds.add_new(tag, vr, text)
        elif vr in TEXTS:
            ds.add_new(tag, vr, rng.choice(objects.BENIGN))
            if not withheld(tag) and not in_code(tag):
                case.kept.add((id(ds), Tag(tag)))
        elif vr in ("PN", "AE"):
            ds.add_new(tag, vr, p.name if vr == "PN" else p.station[:16])
        elif vr in ("DA", "DT", "TM"):
            day = p.date(rng.choice([p.birth, p.day]))
            ds.add_new(tag, vr, {"DA": day, "DT": f"{day}101112", "TM": "101112"}[vr])
        elif vr == "UI":
            ds.add_new(tag, vr, rng.choice([p.uid(), p.study, p.shared_uid]))
        elif vr in NUMBERS:
            misuse = rng.random()
            if misuse < 0.04 and not in_code(tag) and vr in ("CS", "DS", "IS"):
                value = {"CS": [ascii_of(p.surname), ascii_of(p.surname).upper()[:16], p.station], "DS": [p.surname, p.date(p.birth)],
                         "IS": [p.given, p.date(p.birth)]}[vr]
                ds[tag] = DataElement(tag, "LO", rng.choice(value))
                ds[tag].VR = vr if vr == "CS" else "LO"
                case.misused = True
                return
            ds.add_new(tag, vr, NUMBERS[vr](rng))
            if not listed and not withheld(tag):
                case.kept.add((id(ds), Tag(tag)))
        elif vr in ("OB", "UN", "UR", "OW"):
            raw = f"{ascii_of(p.surname)} {p.id}"
            ds.add_new(tag, vr, raw if vr == "UR" else (raw.encode(p.codec, "replace") + b" " * 9)[:len(raw) // 2 * 2 + 2])

    def score(self, case, item, store):
        case.out = None
        if item["outcome"] != "delivered":
            return self.wrong("not delivered", case, f"{item['outcome']} {item['reason']} {item.get('detail')}")
        path = medimg.delivered_file(store, item)
        raw = path.read_bytes()
        lower = raw.lower()
        given_bytes = case.path.read_bytes().lower()
        for token in case.person.tokens():
            self.counts["tokens in the inputs"] += any(form in given_bytes for form in encodings(token))
            if any(form in lower for form in encodings(token)):
                at = next(lower.find(form) for form in encodings(token) if form in lower)
                self.wrong("leak", case, f"{token!r} at {at}: {raw[max(0, at - 40):at + 30]!r}")
        try:
            given, new = compare_outputs.read(case.path), pydicom.dcmread(path)
            list(new.iterall())
            fault = compare_outputs.same_pixels(given, new)
            faults = [fault] if fault and case.kind != "pdf" else []
            faults += compare_outputs.structure(new)
        except Exception as error:  # noqa: BLE001 - whatever it is, the output was not readable
            return self.wrong("unreadable", case, f"{type(error).__name__} {error}")
        for fault in faults:
            self.wrong("structure", case, fault)
        self.compare(case, case.ds, new, "")
        self.leftover(case, new)
        if case.misused:
            # A name in a CS or DS has to go, and may take with it what others are conditional on.
            return None
        fresh = conformance.new_errors(case.path, path, lambda: compare_outputs.read(case.path))
        self.counts["dciodvfy judged"] += fresh is not None
        for line, times in (fresh or {}).items():
            self.wrong("dciodvfy", case, f"{times} {line}")
        return None

    def compare(self, case, old, new, path):
        for element in old:
            tag, here = element.tag, f"{path}({element.tag.group:04X},{element.tag.element:04X})"
            other = None if new is None else new.get(tag)
            if element.VR == "SQ":
                for index, item in enumerate(element.value):
                    inner = other.value[index] if other is not None and other.VR == "SQ" and index < len(other.value) else None
                    self.compare(case, item, inner, f"{here}[{index}]")
                continue
            if (id(old), tag) in case.kept:
                self.counts["kept checks"] += 1
                if tag.group == 0x7FE0 or case.kind in ("sr", "ko") and path.startswith("(0040,A730)"):
                    continue
                if other is None or not same_value(element, other):
                    value = str(element.value)[:40]
                    self.wrong("removed", case, f"{here} {element.keyword} {value!r} -> {None if other is None else str(other.value)[:30]!r}")
            elif element.VR == "UI" and other is not None:
                self.uid(case, element, other, here)
            elif element.VR in ("DA", "DT") and other is not None and str(other.value) == str(element.value) and element.value:
                self.wrong("date kept", case, here)

    def uid(self, case, element, other, here):
        values = [element.value] if isinstance(element.value, str) else list(element.value or [])
        others = [other.value] if isinstance(other.value, str) else list(other.value or [])
        for old, new in zip(values, others):
            if old.startswith("1.2.840.10008.") or not new:
                continue
            self.counts["uids"] += 1
            if not pydicom.uid.UID(new).is_valid or new == old:
                self.wrong("uid", case, f"{here} {old} -> {new}")
            elif self.uids.setdefault(old, new) != new or self.back.setdefault(new, old) != old:
                self.wrong("uid", case, f"{here} {old} is mapped twice or shared")

    def leftover(self, case, new):
        """Short identifiers and ages, which only whole values can show."""
        age = str(new.get("PatientAge") or "")
        if age.endswith("Y") and int(age[:3] or 0) > 89:
            self.wrong("age", case, age)
        for element in new.iterall():
            if element.VR == "PN" and element.tag != 0x00100010 and str(element.value) not in ("", "ANONYMIZED"):
                self.wrong("name", case, f"{element.tag} {element.value}")

    def ids(self, store, items):
        """Patients are told apart by new ids that are the same in all their objects."""
        new = {}
        for case in self.cases:
            if items[case.number]["outcome"] == "delivered":
                data = pydicom.dcmread(medimg.delivered_file(store, items[case.number]), stop_before_pixels=True)
                if new.setdefault(case.person.id, data.PatientID) != data.PatientID:
                    self.wrong("patient id", case, "not the same in all objects")
        if len(set(new.values())) != len(new):
            self.wrong("patient id", self.cases[0], "shared by two patients")


# Attributes without a row that go by what they are: days in other calendars, numbers of devices and owners, where the time came
# from, who authorised, and what speaks of private attributes and signatures.
WITHHELD = {
    *(0x00100033, 0x00100034, 0x00100035, 0x00102295, 0x00102298),
    *(0x00181003, 0x00181006, 0x00181801, 0x00181803, 0x01000424, 0x01000426),
}


def withheld(tag):
    return tag in WITHHELD or 0x00080300 <= tag <= 0x0008030F or 0x04000005 <= tag <= 0x04000020


def ascii_of(text):
    return folded(text).encode("ascii", "ignore").decode()


def writable(text, codec):
    try:
        return bool(text.encode(codec))
    except UnicodeEncodeError:
        return False


def in_code(tag):
    """Parts of code triples and schemes mean something only together; the builders check those."""
    return 0x00080100 <= tag <= 0x00080124 or tag in (0x00080118, 0x00080109, 0x00080112, 0x00080114, 0x00080115, 0x00080116)


def same_value(old, new):
    if old.VR in ("OB", "OW") or isinstance(old.value, bytes):
        return bytes(old.value) == bytes(new.value) if isinstance(new.value, bytes) else False
    return plain(old.value) == plain(new.value)


def plain(value):
    """Returns the values as texts: of a DS as written, of a float what four bytes hold."""
    if value is None:
        return [""]
    many = list(value) if isinstance(value, (pydicom.multival.MultiValue, list, tuple)) else [value]
    return [f"{float(one):.6g}" if isinstance(one, float) else str(one).strip() for one in many]


def write(case):
    """Writes the object with a named preamble and meta, and sometimes bytes behind the data set."""
    ds, p, rng = case.ds, case.person, case.rng
    ds.file_meta = FileMetaDataset()
    meta = ds.file_meta
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = case.syntax, ds.SOPClassUID, ds.SOPInstanceUID
    meta.ImplementationClassUID, meta.ImplementationVersionName = p.uid_root + ".9", p.house[:16]
    meta.SourceApplicationEntityTitle, meta.SendingApplicationEntityTitle = p.house.upper(), p.station
    if rng.random() < 0.5:
        meta.PrivateInformationCreatorUID, meta.PrivateInformation = p.uid_root + ".8", p.surname.encode(p.codec, "replace")
    ds.preamble = (p.surname.encode(p.codec, "replace") + b" " + p.id.encode()).ljust(128, b"\0")[:128]
    ds.save_as(case.path, enforce_file_format=True)
    if rng.random() < 0.3 and case.syntax not in (objects.DEFLATED, objects.BIG) and 0xFFFCFFFC not in ds:
        trailing = f"{p.surname} {p.id} {p.phone}".encode(p.codec, "replace")
        trailing += b" " * (len(trailing) % 2)
        header = b"\xfc\xff\xfc\xff" + (b"" if case.syntax == objects.IMPLICIT else b"OB\0\0") + len(trailing).to_bytes(4, "little")
        with case.path.open("ab") as file:
            file.write(header + trailing)


def processed(options, folder, store):
    """Returns what became of each object, by its number, from the pipeline as a user runs it."""
    done = medimg.process(options.medimg, store, folder, flags=["--accept-pixels"])
    first = min(item["item"] for item in done.items)
    return {item["item"] - first: item for item in done.items}


def by_example(options, cases, store):
    """Returns the same from the example of `domain`, which is quicker to build while the rules are worked on."""
    out = store / "processed"
    out.mkdir(parents=True)
    paths = store / "list"
    paths.write_text("".join(f"{case.path}\n" for case in cases))
    done = subprocess.run([options.deid_file, "--list", paths, out, "--accept-pixels"], capture_output=True, text=True, check=False)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return {int(line[0]): {"outcome": line[1], "reason": line[2:], "key": f"{line[0]}.dcm"} for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--medimg")
    parser.add_argument("--deid-file")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--work")
    parser.add_argument("--only", choices=list(objects.KINDS))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    print(f"adversarial: seed {options.seed}, {options.count} objects")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        folder, store = work / "in", work / "store"
        folder.mkdir(parents=True, exist_ok=True)
        run = Run(options)
        run.build(folder)
        items = processed(options, folder, store) if options.medimg else by_example(options, run.cases, store)
        if len(items) != options.count:
            print(f"WRONG: {len(items)} items of {options.count}")
            return 1
        for case in run.cases:
            run.score(case, items[case.number], store)
        run.ids(store, items)
    if run.counts["tokens in the inputs"] < 10 * len(run.cases):
        run.wrong("blind", run.cases[0], "the tokens are not found in the inputs either")
    shown = collections.Counter()
    for kind, number, name, text in run.lines:
        shown[kind] += 1
        if options.verbose or shown[kind] <= 20:
            print(f"WRONG ({kind}) {number} {name}: {text}")
    print(f"objects {len(run.cases)}, people {len(run.people)}, {dict(run.counts)}")
    print(f"wrong: {dict(run.found) or 'nothing'}")
    return 1 if run.found else 0


if __name__ == "__main__":
    sys.exit(main())
