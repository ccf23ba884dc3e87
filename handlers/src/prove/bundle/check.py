#!/usr/bin/env python3
"""Checks a proof bundle of `medimg prove` with nothing but the standard library of Python 3.8 or newer.

Usage: check.py [BUNDLE] [--vkey KEY]... [--checkpoint FILE]... [--log DIR] [--list]
  BUNDLE             folder or zip of the bundle; without it the folder in which this script lies
  --vkey KEY         a verifier key that you got from outside, or a file that holds one on each line
  --checkpoint FILE  a checkpoint of this log that you got from outside: the bundle must agree with it
  --log DIR          a copy of the log (`tile/entries/...`), if the bundle was made without one
  --list             print the entries
Exit: 0 everything that is claimed holds; 1 something does not hold; 2 it could not be checked;
      3 what was checked holds, but no log was at hand and completeness was not checked.
The signature is checked by check_signature.sh beside this script: Python's standard library has no Ed25519.
Nothing is written and no network is used.
"""

import argparse
import base64
import binascii
import hashlib
import io
import json
import os
import re
import sys
import zipfile

LINE_MAX = 8 << 20  # a body has at most 1 MiB, and JSON spells a byte with at most six
STATEMENT_MAX = 1 << 30
NOTE_MAX = 1 << 20
TILE = 256
FORMAT = "medimg-proof/v1"

B64_32 = rb"[A-Za-z0-9+/]{43}="
HEX32 = rb"[0-9a-f]{32}"
NUMBER = rb"(?:0|[1-9][0-9]*)"
TYPE = rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+\.v[1-9][0-9]*"
HEADER = re.compile(
    rb"imgledger/v1\n"
    rb"(?P<origin>[A-Za-z0-9._-]{1,32}/[A-Za-z0-9._-]{1,32}/" + HEX32 + rb"(?:\#[1-9][0-9]*)?)\n"
    rb"(?P<stream>" + HEX32 + rb")\n"
    rb"(?P<seq>" + NUMBER + rb")\n"
    rb"(?P<prev>" + B64_32 + rb")\n"
    rb"(?P<types>" + TYPE + rb"(?:," + TYPE + rb"){0,3})\n"
    rb"(?P<decision>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\n"
    rb"(?P<subject>-|k[1-9][0-9]*:" + HEX32 + rb")\n"
    rb"(?P<actor>system:[a-z0-9-]{1,32}|u:k[1-9][0-9]*:" + HEX32 + rb")\n"
    rb"(?P<recorded_at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)\n"
    rb"sha256:(?P<body>" + B64_32 + rb")\n"
    rb"-\n"
)


class Refused(Exception):
    """Something does not hold."""


class Unable(Exception):
    """It could not be checked."""


def require(holds, what):
    if not holds:
        raise Refused(what)


def told(what):
    print("ok    " + what)


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(header):
    return sha256(b"\x00" + header)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def b64(data):
    return base64.b64encode(data).decode("ascii")


def unb64(text, length, what):
    """Decodes base64 of one spelling only: standard alphabet, padded, no bits left over."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Refused(what + " is not base64") from None
    require(b64(data) == text and length in (None, len(data)), what + " does not have its form")
    return data


# ---- the bundle and the log as files -------------------------------------------------------------------------------------------


class Folder:
    def __init__(self, root):
        self.root = root

    def open(self, name):
        try:
            return open(os.path.join(self.root, *name.split("/")), "rb")
        except (FileNotFoundError, NotADirectoryError):
            return None


class Zip:
    def __init__(self, path, below=""):
        self.zip, self.below = zipfile.ZipFile(path), below
        names = self.zip.namelist()
        require(len(set(names)) == len(names), "the zip holds two files of one name")
        self.names = set(names)

    def open(self, name):
        return self.zip.open(self.below + name) if self.below + name in self.names else None


class Below:
    """A folder of another source."""

    def __init__(self, source, folder):
        self.source, self.folder = source, folder

    def open(self, name):
        return self.source.open(self.folder + "/" + name)


def read(source, name, size_max, may_miss=False):
    found = source.open(name)
    if found is None:
        require(may_miss, name + " is missing")
        return None
    with found:
        data = found.read(size_max + 1)
    require(len(data) <= size_max, name + " is larger than it may be")
    return data


def lines(source, name):
    """Yields the objects of a file with one JSON object on each line."""
    found = source.open(name)
    require(found is not None, name + " is missing")
    with io.BufferedReader(found, 1 << 16) as stream:
        for number in range(1, 1 << 62):
            line = stream.readline(LINE_MAX)
            if not line:
                return
            require(line.endswith(b"\n"), "%s, line %d: it is cut or too long" % (name, number))
            yield as_json(line, "%s, line %d" % (name, number))


def as_json(text, what):
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused(what + " is not JSON") from None
    require(isinstance(value, dict), what + " is no JSON object")
    return value


def take(value, key, kind, what):
    found = value.get(key)
    require(isinstance(found, kind) and not (kind is int and isinstance(found, bool)), "%s: no %s" % (what, key))
    return found


# ---- checkpoint and key (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) ---------------------------------------------------------


class Checkpoint:
    def __init__(self, note, what):
        require(len(note) <= NOTE_MAX, what + " is larger than it may be")
        try:
            text = note.decode("utf-8")
        except ValueError:
            raise Refused(what + " is not UTF-8") from None
        require(not re.search("[\x00-\x09\x0b-\x1f]", text), what + " holds a control character")
        self.text, blank, signatures = text.rpartition("\n\n")
        require(blank and signatures.endswith("\n"), what + " is no signed note")
        fields = self.text.split("\n")
        # Extension lines would be signed and checked by nobody; this log writes none.
        require(len(fields) == 3 and re.fullmatch("0|[1-9][0-9]{0,18}", fields[1]), what + " is no checkpoint of this kind of log")
        self.origin, self.size, self.root = fields[0], int(fields[1]), unb64(fields[2], 32, what + ": the root")
        self.signatures = []
        for line in signatures[:-1].split("\n"):
            found = re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/]+={0,2})", line)
            require(found, what + ": a signature line is ill-formed")
            self.signatures.append((found[1], unb64(found[2], None, what + ": a signature")))

    def carries(self, key):
        name, key_id, _ = key
        return any(signer == name and blob[:4] == key_id and len(blob) == 68 for signer, blob in self.signatures)


def verifier_key(text, what):
    """Returns name, key id and public key of `<name>+<key id>+<base64 of type and key>`, if the key id is right."""
    found = re.fullmatch(r"([^ +]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text)
    require(found, what + " is no verifier key")
    blob = unb64(found[3], 33, what)
    require(blob[0] == 1, what + " is no Ed25519 key of a log")
    key_id = sha256(found[1].encode("utf-8") + b"\n" + blob)[:4]
    require(key_id.hex() == found[2], what + " does not have its key id")
    return found[1], key_id, blob[1:]


def keys_from_outside(given):
    keys = []
    for word in given:
        texts = [word]
        if os.path.isfile(word):
            with open(word, encoding="utf-8") as file:
                texts = [line.strip() for line in file.read(NOTE_MAX).split("\n") if line.strip()]
        try:
            keys += [verifier_key(text, "the key given with --vkey") for text in texts]
        except Refused as error:
            raise Unable(str(error)) from None
    return keys


def check_keys(checkpoint, bundle, given):
    text = read(bundle, "vkey", NOTE_MAX).decode("utf-8", "replace")
    require(text.endswith("\n") and text.count("\n") == 1, "vkey is not one line")
    own = verifier_key(text[:-1], "vkey")
    require(own[0] == checkpoint.origin, "vkey is the key of another log")
    require(checkpoint.carries(own), "the checkpoint carries no signature of the key in vkey")
    outside = keys_from_outside(given)
    if not outside:
        told("key: the checkpoint carries a signature line of %s" % text[:-1])
        print("note  this key came with the bundle: compare it with one from outside, or give that one with --vkey")
        return
    require(any(checkpoint.carries(key) for key in outside), "the checkpoint carries no signature of a key given with --vkey")
    told("key: the checkpoint carries a signature line of the key from outside")


# ---- the tree (RFC 6962, c2sp.org/tlog-tiles) ------------------------------------------------------------------------------------


def root_of(hashes):
    """Returns the Merkle tree hash of a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def follow_proof(leaf, index, size, path):
    """Returns the root to which an inclusion proof leads (RFC 9162, 2.1.3.2); none if it has not the right length."""
    if index >= size:
        return None
    node, last = leaf, size - 1
    for other in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(other, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, other)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None


def tile_path(index):
    parts = ["%03d" % (index % 1000)]
    while index >= 1000:
        index //= 1000
        parts.insert(0, "x%03d" % (index % 1000))
    return "/".join(parts)


class Log:
    """All leaves of the log up to the checkpoint, read from its entry bundles."""

    def __init__(self, source, checkpoint):
        self.source, self.size, self.checkpoint = source, checkpoint.size, checkpoint

    def file(self, kind, index, width, size_max):
        path = "tile/%s/%s" % (kind, tile_path(index))
        data = None
        if width < TILE:
            data = read(self.source, "%s.p/%d" % (path, width), size_max, may_miss=True)
        # A log that has grown may have dropped the partial one: the full one begins with it.
        return data if data is not None else read(self.source, path, size_max, may_miss=True)

    def headers(self):
        """Yields every header by leaf index."""
        for index in range((self.size + TILE - 1) // TILE):
            width = min(TILE, self.size - index * TILE)
            data = self.file("entries", index, width, TILE * (2 + 0xFFFF))
            require(data is not None, "the log lacks its entry bundle %d" % index)
            at = 0
            for number in range(width):
                length = int.from_bytes(data[at : at + 2], "big")
                header = data[at + 2 : at + 2 + length]
                require(len(data) >= at + 2 + length and length, "entry bundle %d is cut at entry %d" % (index, number))
                yield index * TILE + number, header
                at += 2 + length

    def check_tile(self, level, index, hashes):
        data = self.file(level, index, len(hashes), 32 * TILE)
        require(data is None or data[: 32 * len(hashes)] == b"".join(hashes), "tile %d of level %d is not that of its leaves" % (index, level))

    def check(self, older):
        """Recomputes the root from every leaf, and those of checkpoints of smaller sizes on the way."""
        levels, tiles = [[]], [0]
        for checkpoint in older:
            require(checkpoint.size or checkpoint.root == sha256(b""), "an empty log does not have that root")
        held = {}
        for checkpoint in older:
            held.setdefault(checkpoint.size, set()).add(checkpoint.root)
        for index, header in self.headers():
            levels[0].append(leaf_hash(header))
            level = 0
            while len(levels[level]) == TILE:
                self.check_tile(level, tiles[level], levels[level])
                full, levels[level], tiles[level] = levels[level], [], tiles[level] + 1
                level += 1
                if level == len(levels):
                    levels.append([])
                    tiles.append(0)
                levels[level].append(root_of(full))
            if index + 1 in held:
                what = "the log is no continuation of the checkpoint of size %d" % (index + 1)
                require(held[index + 1] == {self.root(levels)}, what)
        for level, hashes in enumerate(levels):
            if hashes:
                self.check_tile(level, tiles[level], hashes)
        require(self.root(levels) == self.checkpoint.root, "the leaves of the log do not have the root of the checkpoint")

    @staticmethod
    def root(levels):
        trees = []
        for hashes in reversed(levels):
            at = 0
            while at < len(hashes):
                width = 1 << ((len(hashes) - at).bit_length() - 1)
                trees.append(root_of(hashes[at : at + width]))
                at += width
        node = trees.pop() if trees else sha256(b"")
        while trees:
            node = node_hash(trees.pop(), node)
        return node

    def leaves_of(self, subjects, streams):
        """Returns the leaves that carry one of the subjects, and the leaf hashes of all entries of their streams and of these streams."""
        carrying, streams = [], set(streams)
        for index, header in self.headers():
            fields = parse_header(header, self.checkpoint.origin, "leaf %d of the log" % index)
            if fields["subject"] in subjects:
                carrying.append(index)
                streams.add(fields["stream"])
        # The first entries of a stream do not know the study yet: they are found in a second reading.
        leaves = {}
        for index, header in self.headers():
            if header.split(b"\n", 3)[2].decode("ascii") in streams:
                leaves[index] = leaf_hash(header)
        return carrying, leaves


# ---- the entries -----------------------------------------------------------------------------------------------------------------


def parse_header(header, origin, what):
    found = HEADER.fullmatch(header) if len(header) <= 512 else None
    require(found, what + ": the header is ill-formed")
    fields = {name: value.decode("ascii") for name, value in found.groupdict().items()}
    require(fields["origin"] == origin, what + ": the header is of another log")
    return fields


class Entries:
    """The entries of the bundle: each by itself, within its stream, and in the tree."""

    def __init__(self, bundle, checkpoint, statement, shown):
        self.bundle, self.checkpoint, self.statement, self.shown = bundle, checkpoint, statement, shown
        self.leaves, self.tips, self.single = {}, {}, statement["kind"] == "entry"
        self.carrying, self.carriers = [], set()

    def check(self):
        proofs, last = lines(self.bundle, "proofs.ndjson"), -1
        for number, entry in enumerate(lines(self.bundle, "entries.ndjson"), 1):
            index = take(entry, "leafindex", int, "entries.ndjson, line %d" % number)
            require(index > last, "entry %d: the entries are not in the order of the log" % index)
            self.leaves[index], last = self.one(entry, "entry %d" % index), index
            proof = next(proofs, None)
            require(proof is not None, "entry %d has no inclusion proof" % index)
            self.included(index, proof)
        require(next(proofs, None) is None, "proofs.ndjson holds a proof of no entry")
        require(self.leaves, "the bundle holds no entry")
        require(self.statement["leaves"] == list(self.leaves), "statement.json: `leaves` are not the entries of the bundle")
        require(self.statement["carrying"] == self.carrying, "statement.json: `carrying` are not the entries that carry a subject")
        strays = set(self.tips) - self.carriers if self.statement["kind"] == "study" else ()
        require(not strays, "the bundle holds a stream in which no entry carries a subject of the study")
        told("entries (%d): every header hashes to its leaf hash, every body to what its header names" % len(self.leaves))
        if not self.single:
            told("streams (%d): numbered from 0 without a gap, each entry linked to the one before it" % len(self.tips))
        told("inclusion proofs (%d): each leads to the root of the checkpoint" % len(self.leaves))

    def one(self, entry, what):
        header, body = take(entry, "header", str, what), take(entry, "body", str, what)
        fields = parse_header(header.encode("utf-8", "replace"), self.checkpoint.origin, what)
        leaf = leaf_hash(header.encode("ascii"))
        require(take(entry, "leafhash", str, what) == b64(leaf), what + ": the header does not have this leaf hash")
        nonce = unb64(take(entry, "nonce", str, what), 16, what + ": the nonce")
        hashed = sha256(nonce + body.encode("utf-8", "surrogatepass"))
        require(fields["body"] == b64(hashed), what + ": nonce and body do not have the hash that the header names")
        self.linked(fields, leaf, what)
        if fields["subject"] in self.statement["subjects"]:
            self.carrying.append(entry["leafindex"])
            self.carriers.add(fields["stream"])
        types = self.types(body, what)
        require(types == fields["types"].split(","), what + ": the body holds other events than the header names")
        if self.shown:
            told_of = (entry["leafindex"], fields["recorded_at"], fields["stream"], fields["seq"], fields["actor"], fields["types"])
            print("%8d  %s  %s/%s  %s  %s" % told_of)
        return leaf

    @staticmethod
    def types(body, what):
        try:
            return [event["type"] for event in json.loads(body)]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refused(what + ": the body is no list of events") from None

    def linked(self, fields, leaf, what):
        stream, seq = fields["stream"], int(fields["seq"])
        begin = sha256(("%s\n%s\n" % (fields["origin"], stream)).encode("ascii"))
        before, prev = self.tips.get(stream, (-1, begin))
        self.tips[stream] = (seq, leaf)
        if self.single:
            require(len(self.tips) == 1 and before == -1, what + ": the bundle is to prove one entry only")
            require(seq > 0 or fields["prev"] == b64(begin), what + ": the first entry of a stream links to something else")
            return
        require(seq == before + 1, "%s: it is number %d of its stream, and number %d is due" % (what, seq, before + 1))
        require(fields["prev"] == b64(prev), what + ": it does not link to the entry before it in its stream")

    def included(self, index, proof):
        what = "the inclusion proof of entry %d" % index
        require(take(proof, "leafindex", int, what) == index, what + " is not there")
        path = take(proof, "hashes", list, what)
        require(len(path) <= 64, what + " is too long")
        hashes = [unb64(text, 32, what) for text in path]
        root = follow_proof(self.leaves[index], index, self.checkpoint.size, hashes)
        require(root == self.checkpoint.root, what + " does not lead to the root of the checkpoint")
        if self.statement["kind"] == "study":
            return
        # c2sp.org/tlog-proof: the same proof and the checkpoint in one file, for tools that know this form.
        name = "%d.tlog-proof" % index
        expected = "c2sp.org/tlog-proof@v1\nindex %d\n%s\n" % (index, "".join(text + "\n" for text in path))
        expected = expected.encode("ascii") + read(self.bundle, "checkpoint", NOTE_MAX)
        require(read(self.bundle, name, NOTE_MAX) == expected, name + " is not this proof")


# ---- the statement ---------------------------------------------------------------------------------------------------------------


def read_statement(bundle, checkpoint):
    what = "statement.json"
    text = read(bundle, what, STATEMENT_MAX)
    require(text.endswith(b"}\n"), what + " is cut")
    statement = as_json(text, what)
    require(take(statement, "format", str, what) == FORMAT, what + " is of another format")
    require(take(statement, "kind", str, what) in ("study", "stream", "entry"), what + " is of another kind")
    for key, value in (("origin", checkpoint.origin), ("size", checkpoint.size), ("root", b64(checkpoint.root))):
        require(take(statement, key, type(value), what) == value, "%s: another %s than the checkpoint's" % (what, key))
    for key in ("subjects", "elsewhere", "carrying", "leaves"):
        take(statement, key, list, what)
    if statement["elsewhere"]:
        print("note  other logs of this operator hold more of it: %s" % ", ".join(map(str, statement["elsewhere"])))
    require(statement["kind"] != "study" or statement["subjects"], what + ": no subject")
    return statement


def check_complete(log, statement, entries, older):
    """Compares the bundle with what all leaves of the log say."""
    log.check(older)
    told("the root was recomputed from all %d leaves of the log" % log.size)
    for checkpoint in older:
        told("the log is a continuation of the checkpoint of size %d" % checkpoint.size)
    streams = set() if statement["kind"] == "study" else set(entries.tips)
    carrying, leaves = log.leaves_of(set(statement["subjects"]), streams)
    if statement["kind"] == "entry":
        require(all(leaves.get(index) == leaf for index, leaf in entries.leaves.items()), "the entry is not that of the log")
        return
    for index in leaves:
        require(index in entries.leaves, "entry %d of the log is not in the bundle" % index)
    for index, leaf in entries.leaves.items():
        require(leaves.get(index) == leaf, "entry %d of the bundle does not belong to what is proved" % index)
    require(carrying == statement["carrying"], "statement.json: `carrying` is not what the log says")
    if statement["kind"] == "study":
        said = (len(carrying), ", ".join(statement["subjects"]), len(leaves))
        told("complete: %d leaves carry %s; with their streams they are %d, and the bundle holds exactly these" % said)
    else:
        told("complete: the bundle holds all %d entries that the log has of this stream" % len(leaves))


def check(bundle, arguments):
    checkpoint = Checkpoint(read(bundle, "checkpoint", NOTE_MAX), "the checkpoint")
    told("checkpoint: log %s, %d entries, root %s" % (checkpoint.origin, checkpoint.size, b64(checkpoint.root)))
    check_keys(checkpoint, bundle, arguments.vkey)
    older = []
    for name in arguments.checkpoint:
        with open(name, "rb") as file:
            other = Checkpoint(file.read(NOTE_MAX + 1), "the checkpoint given with --checkpoint")
        if other.origin != checkpoint.origin:
            raise Unable("the checkpoint given with --checkpoint is of another log")
        if other.size > checkpoint.size:
            raise Unable("the checkpoint given with --checkpoint is of a later size: ask for a bundle of that size or a later one")
        same = other.size == checkpoint.size
        require(not same or other.root == checkpoint.root, "the checkpoint given with --checkpoint has another root: two trees of one log")
        older += [] if same else [other]
        if same:
            told("the checkpoint is the one from outside")
    statement = read_statement(bundle, checkpoint)
    entries = Entries(bundle, checkpoint, statement, arguments.list)
    entries.check()
    if arguments.log:
        log = Folder(arguments.log)
    elif statement.get("log") is True:
        log = Below(bundle, "log")
        require(read(log, "checkpoint", NOTE_MAX) == read(bundle, "checkpoint", NOTE_MAX), "log/checkpoint is another checkpoint")
    else:
        if older:
            raise Unable("a checkpoint of another size can be held against the bundle only with the log: --log DIR")
        return statement["kind"] != "study"
    check_complete(Log(log, checkpoint), statement, entries, older)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS)
    parser.add_argument("bundle", nargs="?", default=os.path.dirname(os.path.abspath(__file__)), help=argparse.SUPPRESS)
    for option in ("--vkey", "--checkpoint"):
        parser.add_argument(option, action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        bundle = Folder(arguments.bundle) if os.path.isdir(arguments.bundle) else Zip(arguments.bundle)
        complete = check(bundle, arguments)
    except Refused as error:
        print("FAIL  %s\nREFUSED: this bundle does not prove what it claims." % error)
        return 1
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        print("FAIL  the zip is damaged: %s\nREFUSED: this bundle does not prove what it claims." % type(error).__name__)
        return 1
    except (Unable, OSError) as error:
        print("note  %s\nNOT CHECKED: no verdict." % error)
        return 2
    print("note  the signature of the checkpoint is not checked here: run `sh check_signature.sh`")
    if not complete:
        print("HOLDS, COMPLETENESS NOT CHECKED: give a copy of the log with --log DIR to know whether the study has further entries.")
        return 3
    print("HOLDS, if check_signature.sh says so of the signature too.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
