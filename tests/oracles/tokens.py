"""Finds identifier tokens in bytes, whatever encoding they stand in.

A token of six characters or more is found anywhere; a shorter one only as a whole value: between quotes, NULs, separators.
"""

import base64
import json
import re
import urllib.parse

WHOLE_VALUE_BELOW = 6
ENCODINGS = ["utf-8", "latin-1", "iso2022_jp", "shift_jis", "euc_jp", "gb18030", "utf-16-le", "utf-16-be", "utf-32-le"]
# What may stand on both sides of a whole value, in DICOM text, JSON and plain lines. A length field before it is no separator,
# so a value that begins an element is looked for in the elements themselves (see leak_scan).
EDGE = rb"[\"'\x00\\^=;,\n\r\t<>]"


def base64_cores(raw):
    """Returns the base64 of the bytes at the three alignments, without the digits that the neighbours decide."""
    cores = []
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw)
        first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
        cores.append(text[first:last])
    return cores


def spellings(token):
    """Returns {how it is spelt: (bytes, whether letter case matters)}."""
    found = {}
    for encoding in ENCODINGS:
        try:
            found[encoding] = (token.encode(encoding), False)
        except UnicodeEncodeError:
            continue
    raw = token.encode()
    found["hex"] = (raw.hex().encode(), False)
    found["percent"] = (urllib.parse.quote(token, safe="").encode(), False)
    found["json"] = (json.dumps(token)[1:-1].encode(), False)
    for number, core in enumerate(base64_cores(raw)):
        found[f"base64/{number}"] = (core, True)
    if re.fullmatch(r"(19|20)\d{6}", token):
        found["iso date"] = (f"{token[:4]}-{token[4:6]}-{token[6:]}".encode(), False)
    unique = {}
    for name, spelt in found.items():
        if len(spelt[0]) >= 4 and spelt not in unique.values():
            unique[name] = spelt
    return unique


class Finder:
    """Looks for a set of tokens at once."""

    def __init__(self, tokens):
        self.tokens = sorted(set(tokens))
        self.patterns = []
        for token in self.tokens:
            for name, (raw, exact) in spellings(token).items():
                # Characters, not bytes: two kanji are six bytes of UTF-8 and specific enough.
                whole = len(token) < WHOLE_VALUE_BELOW and len(raw) < WHOLE_VALUE_BELOW
                self.patterns.append((token, name, raw if exact else raw.lower(), exact, whole))

    def find(self, content):
        """Returns {(token, spelling)} found in the bytes."""
        folded, hits = content.lower(), set()
        for token, name, raw, exact, whole in self.patterns:
            haystack = content if exact else folded
            if raw not in haystack:
                continue
            if not whole or re.search(rb"(?:^|" + EDGE + rb")" + re.escape(raw) + rb" ?(?:" + EDGE + rb"|$)", haystack):
                hits.add((token, name))
        return hits

    def find_value(self, value):
        """Returns {(token, "value")} of the short tokens that the text is, or is a component of."""
        parts = {part.strip(" \0").casefold() for part in re.split(r"[\\^=]", value)}
        return {(token, "value") for token in self.tokens if len(token) < WHOLE_VALUE_BELOW and token.casefold() in parts}
