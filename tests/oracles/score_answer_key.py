#!/usr/bin/env python3
"""Scores de-identified files against the answer key of deid-sample, by category, for what the Basic Profile promises.

Usage: score_answer_key.py SHARED_DATA_DIR OUT_DIR [--json]
An output belongs to the input with the same (SeriesNumber, InstanceNumber). Burned-in regions are left to the pixels issue.
Exit 1 if a promised action is not met, a token is left in any byte, or an output is missing.
"""

import collections
import json
import pathlib
import sys
import unicodedata

import pydicom
from pydicom.uid import UID

# Promised only with an option that Basic does not have.
OPTIONAL = {"keep_opt", "keep_option_safeprivate", "keep_option_sr"}
ENCODINGS = ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "iso2022_jp", "iso2022_jp_2", "shift_jis", "euc_jp", "gb18030", "euc_kr"]


def outputs(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*.dcm")):
        data = pydicom.dcmread(path)
        found[int(data.SeriesNumber), int(data.InstanceNumber)] = (path, data)
    return found


def find(data, path):
    """Returns the element at a path of tags and item indices, or None if anything on the way is gone."""
    here = data
    for step in path:
        if isinstance(step, int):
            if step >= len(here.value):
                return None
            here = here.value[step]
        else:
            tag = int(step, 16)
            if tag not in here:
                return None
            here = here[tag]
    return here


def plain(element):
    """Returns an element's value as the key writes it: text, or a list of texts."""
    value = element.value
    if value is None:
        return ""
    if isinstance(value, (pydicom.multival.MultiValue, list, tuple)):
        return [str(part) for part in value]
    return str(value)


def folded(text):
    text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in text if not unicodedata.combining(c))


def encoded(token):
    forms = set()
    for variant in {token, token.lower(), token.upper(), token.title()}:
        for name in ENCODINGS:
            try:
                form = variant.encode(name)
            except UnicodeEncodeError:
                continue
            forms.add(form)
            if name.startswith("iso2022"):
                # As it stands between other characters of the same set: without the escapes.
                forms.add(form.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B"))
    return {form for form in forms if len(form) >= 4}


class Score:
    def __init__(self, key):
        self.key, self.uids, self.ids = key, {}, {}
        self.met, self.all, self.failed, self.optional = (collections.Counter() for _ in range(4))
        self.lines = []

    def add(self, name, action, data, raw):
        category = f"{action['cat']}/{action['must']}"
        if action["must"] in OPTIONAL or action["cat"] in OPTIONAL:
            self.optional[category] += 1
            return
        ok = self.judge(action, name, data, raw)
        self.all[category] += 1
        self.met[category] += bool(ok)
        if not ok:
            self.lines.append(f"{name} {action['path']} {category}")

    def judge(self, action, name, data, raw):
        path, must = action["path"], action["must"]
        if path[0] == "PREAMBLE":
            return not any(data.preamble)
        if path[0] == "JPEGCOM":
            return not any(form in raw for token in action["tokens"] for form in encoded(token))
        here, steps = (data.file_meta, path[1:]) if path[0] == "META" else (data, path)
        element = find(here, steps)
        value = "" if element is None else plain(element)
        text = folded(" ".join(value) if isinstance(value, list) else value)
        if must == "remove":
            original = action["orig"] if isinstance(action["orig"], str) else None
            gone = not any(folded(token) in text for token in action["tokens"])
            return element is None or value in ("", []) or gone and (bool(action["tokens"]) or value != original)
        if must == "uid":
            return element is None or self.same(self.uids, action["orig"], value) and UID(value).is_valid \
                and not value.startswith(self.key["uid_root"])
        if must == "replace_patid":
            return bool(value) and self.same(self.ids, action["orig"], value)
        if must == "date":
            return value != action["orig"]
        if must == "time":
            return True
        if must == "age89":
            return value == "" or int(value[:3]) <= 89
        if must == "keep":
            want = action["orig"]
            want = [str(part) for part in want] if isinstance(want, list) else str(want)
            return value == want or (not isinstance(want, list) and text == folded(want))
        raise SystemExit(f"unknown demand {must}")

    def same(self, known, original, value):
        others = {new for old, new in known.items() if old != original}
        return value != original and known.setdefault(original, value) == value and value not in others


def main():
    shared, folder = pathlib.Path(sys.argv[1]), sys.argv[2]
    key = json.loads((shared / "deid-sample" / "key.json").read_text())
    score, found, missing, leaks = Score(key), outputs(folder), [], []
    for name, entry in key["files"].items():
        if (entry["series_number"], entry["instance_number"]) not in found:
            missing.append(name)
            continue
        path, data = found[entry["series_number"], entry["instance_number"]]
        raw = path.read_bytes()
        lower = raw.lower()
        for token in set(entry["tokens"] + entry["uids"]):
            if len(token) < 6 and token.isascii():
                # Short tokens count as whole values only; the actions above look at those.
                continue
            if any(form.lower() in lower for form in encoded(token)):
                leaks.append(f"{name}: token of {len(token)} characters")
        for action in entry["actions"]:
            score.add(name, action, data, raw)
    for category in sorted(score.all):
        print(f"{category:32} {score.met[category]:4} of {score.all[category]}")
    print(f"{'all':32} {sum(score.met.values()):4} of {sum(score.all.values())}")
    print(f"not promised by Basic: {dict(score.optional)}")
    for line in score.lines + [f"missing {name}" for name in missing] + [f"leak {leak}" for leak in leaks]:
        print("FAILED", line)
    sys.exit(bool(score.lines or missing or leaks))


if __name__ == "__main__":
    main()
