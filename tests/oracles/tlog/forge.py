"""Copies of a published log, each tampered with in one way, as somebody would who wants it to be believed.

A copy shares its untouched files with the original by hard links; what is changed is written anew. Those who hold the log's own
key (`signed`) can be caught by what others hold alone: an earlier or a later checkpoint.
"""

import base64
import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

WIDTH = 256
HASH = 32
FLIPS = 16


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def name_of(level, index, width=WIDTH):
    """The path of a tile, of `entries` or of a level (C2SP tlog-tiles)."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return f"tile/{level}/{text}" + ("" if width == WIDTH else f".p/{width}")


def split(bundle):
    entries = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        entries.append(bundle[2:end])
        bundle = bundle[end:]
    return entries


def join(entries):
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


class Log:
    """A published log in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def read(self, path):
        return (self.folder / path).read_bytes()

    def write(self, path, content):
        """Never into the file that stands: it may be the original's."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)

    def change(self, path, how):
        before = self.read(path)
        after = how(before)
        assert after != before, f"{path} is as it was"
        self.write(path, after)

    @property
    def text(self):
        """What the checkpoint's signatures are of."""
        return self.read("checkpoint").decode().partition("\n\n")[0] + "\n"

    @property
    def size(self):
        return int(self.text.split("\n")[1])

    def edge(self, level):
        """The last, partial tile of a level."""
        count = self.size // WIDTH ** (0 if level == "entries" else level)
        assert count % WIDTH, f"level {level} has no partial tile at this size"
        return name_of(level, count // WIDTH, count % WIDTH)

    def entries(self):
        full, rest = divmod(self.size, WIDTH)
        names = [name_of("entries", n) for n in range(full)] + ([self.edge("entries")] if rest else [])
        return [entry for name in names for entry in split(self.read(name))]

    def rebuild(self, entries):
        """Publishes these entries instead; returns the text of the checkpoint that belongs to them."""
        shutil.rmtree(self.folder / "tile")
        for first in range(0, len(entries), WIDTH):
            some = entries[first : first + WIDTH]
            self.write(name_of("entries", first // WIDTH, len(some)), join(some))
        level, hashes = 0, [sha256(b"\0", entry) for entry in entries]
        root = tree(hashes)
        while hashes:
            tiles = [hashes[first : first + WIDTH] for first in range(0, len(hashes), WIDTH)]
            for index, tile in enumerate(tiles):
                self.write(name_of(level, index, len(tile)), b"".join(tile))
            hashes, level = [tree(tile) for tile in tiles if len(tile) == WIDTH], level + 1
        return "\n".join([self.text.split("\n")[0], str(len(entries)), base64.b64encode(root).decode(), ""])


def tree(hashes):
    """The root over hashes, which are leaves or the roots of whole subtrees (RFC 6962, 2.1)."""
    while len(hashes) > 1:
        odd = [hashes[-1]] if len(hashes) % 2 else []
        hashes = [sha256(b"\1", hashes[n], hashes[n + 1]) for n in range(0, len(hashes) - 1, 2)] + odd
    return hashes[0]


def flip(content, at=None):
    at = len(content) // 2 if at is None else at
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


class Forger:
    """Makes the copies. `seed` is the log's own signing key; `tool` signs with it or another."""

    def __init__(self, original, held, seed, tool, scratch):
        self.original, self.held, self.seed, self.tool, self.scratch = Log(original), held, seed, tool, Path(scratch)
        self.other_seed = self.scratch / "other-seed"
        self.other_seed.write_bytes(bytes(range(32)))
        self.witness_seed = self.scratch / "witness-seed"
        self.witness_seed.write_bytes(bytes(range(32, 64)))
        self.origin = self.original.text.split("\n")[0]

    def copy(self, name):
        folder = self.scratch / name.replace(" ", "-").replace("/", "-")
        folder.mkdir()
        shutil.copytree(self.original.folder / "tile", folder / "tile", copy_function=os.link)
        shutil.copy(self.original.folder / "checkpoint", folder / "checkpoint")
        return Log(folder)

    def signed(self, text, seed=None, name=None, kind=1):
        """Returns the note of a text signed with a seed, and the verifier key."""
        file = self.scratch / "text"
        file.write_text(text, newline="")
        command = [self.tool, "-sign", seed or self.seed, "-name", name or self.origin, "-kind", str(kind), file]
        done = subprocess.run(list(map(str, command)), capture_output=True, check=True, text=True)
        return done.stdout, done.stderr.strip()

    def copies(self):
        """Yields (name, log, a word of why it must be rejected, whether a witness is asked for)."""
        for group in (self.tiles, self.bundles, self.checkpoints, self.with_the_key, self.cosigned, self.flipped):
            for name, forge, why in group():
                log = self.copy(name)
                forge(log)
                yield name, log, why, group == self.cosigned

    def tiles(self):
        bad = "is not of this tree"
        size = self.original.size
        middle, edge, upper, top = name_of(0, 100), self.original.edge(0), name_of(1, 0), self.original.edge(2)
        yield "level 0: a byte", lambda log: log.change(middle, flip), bad
        yield "level 1: a byte", lambda log: log.change(upper, flip), bad
        yield "level 2: a byte", lambda log: log.change(top, flip), bad
        yield "level 0, partial: a byte", lambda log: log.change(edge, flip), bad
        yield "level 1, partial: a byte", lambda log: log.change(log.edge(1), flip), bad
        yield "level 0: two tiles swapped", lambda log: swap(log, name_of(0, 7), name_of(0, 8)), bad
        yield "levels 0 and 1 swapped", lambda log: swap(log, name_of(0, 0), name_of(1, 0)), bad
        yield "level 0: two hashes swapped", lambda log: log.change(middle, lambda t: t[HASH : 2 * HASH] + t[:HASH] + t[2 * HASH :]), bad
        yield "level 0: zeros", lambda log: log.change(middle, lambda t: bytes(len(t))), bad
        yield "level 0: a hash cut off", lambda log: log.change(middle, lambda t: t[:-HASH]), "bytes, not"
        yield "level 0: a byte cut off", lambda log: log.change(middle, lambda t: t[:-1]), "bytes, not"
        yield "level 0: a hash more", lambda log: log.change(middle, lambda t: t + t[:HASH]), "bytes"
        yield "level 0: empty", lambda log: log.change(middle, lambda _: b""), "bytes, not"
        yield "level 0: missing", lambda log: (log.folder / middle).unlink(), "no such file"
        yield "level 1: missing", lambda log: (log.folder / upper).unlink(), "no such file"
        yield "level 0, of an earlier size: a byte", lambda log: log.change(stale(log, self.held[0], 1), flip), "is not of this tree"
        yield "a tile from another log", lambda log: log.write(middle, sha256(b"other") * WIDTH), bad
        assert size > WIDTH**2, "the log has three levels"

    def bundles(self):
        middle, bad = name_of("entries", 100), "make another root"
        odd = "cut short|entries, not|" + bad
        yield "entries: a byte", lambda log: log.change(middle, flip), odd
        yield "entries, partial: a byte", lambda log: log.change(log.edge("entries"), flip), odd
        yield "entries: a length", lambda log: log.change(middle, lambda b: flip(b, 1)), odd
        yield "entries: two bundles swapped", lambda log: swap(log, name_of("entries", 7), name_of("entries", 8)), bad
        yield "entries: two swapped", lambda log: entry_change(log, middle, lambda e: [e[1], e[0], *e[2:]]), bad
        yield "entries: one emptied", lambda log: entry_change(log, middle, lambda e: [b"", *e[1:]]), bad
        yield "entries: one deleted", lambda log: entry_change(log, middle, lambda e: e[1:]), "entries, not"
        yield "entries: one inserted", lambda log: entry_change(log, middle, lambda e: [e[0], *e]), "entries, not"
        yield "entries: one twice", lambda log: entry_change(log, middle, lambda e: [e[0], e[0], *e[2:]]), bad
        yield "entries: the last one cut", lambda log: log.change(middle, lambda b: b[:-1]), "cut short"
        yield "entries: bytes behind", lambda log: log.change(middle, lambda b: b + b"\0"), "cut short"
        yield "entries: missing", lambda log: (log.folder / middle).unlink(), "no such file"
        yield "entries: one altered and its leaf", self.alter_with_leaf, bad

    def checkpoints(self):
        unsigned, invalid = "no verifiable signatures", "invalid signature"
        yield "signature: a byte", lambda log: log.change("checkpoint", lambda n: signature(n, lambda s: flip(s, 20))), invalid
        yield "signature: its key's id", lambda log: log.change("checkpoint", lambda n: signature(n, lambda s: flip(s, 0))), unsigned
        yield "signature: none", lambda log: log.write("checkpoint", log.text.encode()), "malformed note"
        yield "signature: by another key", lambda log: self.sign(log, log.text, self.other_seed), unsigned
        yield "signature: by another key under the log's id", self.borrowed_id, invalid
        yield "signature: of an earlier checkpoint", self.borrowed_signature, invalid
        yield "text: another origin", lambda log: self.text(log, 0, lambda line: line + "x"), invalid
        yield "text: size + 1", lambda log: self.text(log, 1, lambda line: str(int(line) + 1)), invalid
        yield "text: size - 1", lambda log: self.text(log, 1, lambda line: str(int(line) - 1)), invalid
        yield "text: another root", lambda log: self.text(log, 2, lambda line: base64.b64encode(sha256(b"x")).decode()), invalid
        yield "text: a line more", lambda log: self.text(log, 2, lambda line: line + "\nextension"), invalid
        yield "an older checkpoint", lambda log: log.write("checkpoint", self.held[0].read_bytes()), "was 70000 long|long and is"
        yield "another origin with a key of its own", self.other_origin, unsigned

    def with_the_key(self):
        """By somebody who holds the log's signing key, or its operator."""
        cut, start, last = self.original.size - 100, 40_000, self.original.size - 1
        on = "does not go on|two roots|long and is"

        def signed(change):
            return lambda log: self.sign(log, log.rebuild(change(log.entries())))

        lines = lambda log, number, how: self.sign(log, edited(log.text, number, how))
        yield "signed: size + 1", lambda log: lines(log, 1, lambda n: str(int(n) + 1)), "no such file|entries, not|root"
        yield "signed: size - 1", lambda log: lines(log, 1, lambda n: str(int(n) - 1)), "entries, not|no such file|root"
        yield "signed: size with a zero before", lambda log: lines(log, 1, lambda n: "0" + n), "is no size"
        yield "signed: another root", lambda log: lines(log, 2, lambda _: base64.b64encode(sha256(b"x")).decode()), "make another root"
        yield "signed: another origin", lambda log: lines(log, 0, lambda line: line + "x"), "cannot speak for|no verifiable"
        yield "signed: one altered", signed(lambda e: [*e[:start], e[start] + b"x", *e[start + 1 :]]), on
        yield "signed: one deleted", signed(lambda e: e[:start] + e[start + 1 :]), on
        yield "signed: one inserted", signed(lambda e: [*e[:start], e[0], *e[start:]]), on
        yield "signed: two reordered", signed(lambda e: [*e[:start], e[start + 1], e[start], *e[start + 2 :]]), on
        yield "signed: forked from 40,000", signed(lambda e: e[:start] + [b"fork %d" % n for n in range(len(e) - start)]), on
        yield "signed: forked behind both", signed(lambda e: [*e[:last], b"another end", b"and more"]), on
        yield "signed: cut before both", signed(lambda e: e[:start]), on
        yield "signed: cut between both", signed(lambda e: e[:cut]), on
        yield "signed: another log", signed(lambda e: [b"another %d" % n for n in range(70_100)]), on
        yield "older tiles under the newer checkpoint", self.older_tiles, "no such file"

    def cosigned(self):
        yield "cosignature: none", lambda log: None, "did not cosign"
        yield "cosignature: a byte", lambda log: self.cosign(log, lambda s: flip(s, 40)), "invalid signature"
        yield "cosignature: its time", lambda log: self.cosign(log, lambda s: flip(s, 11)), "invalid signature"
        yield "cosignature: of another text", lambda log: self.cosign(log, of=self.held[0]), "invalid signature"

    def flipped(self):
        """Single bits anywhere, drawn."""
        drawn = random.Random(20261124)
        edges = {self.original.edge(level) for level in ("entries", 0, 1, 2)}
        files = [str(p.relative_to(self.original.folder)) for p in (self.original.folder / "tile").rglob("*") if p.is_file()]
        # Those of earlier sizes have a copy of their own above.
        files = sorted(path for path in files if ".p/" not in path or path in edges)
        for number in range(FLIPS):
            path = drawn.choice(files)
            at, bit = drawn.random(), 1 << drawn.randrange(8)

            def forge(log, path=path, at=at, bit=bit):
                def one(content):
                    place = int(at * len(content))
                    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]

                log.change(path, one)

            yield f"bit {number} of {path}", forge, ""

    def sign(self, log, text, seed=None):
        log.write("checkpoint", self.signed(text, seed)[0].encode())

    def text(self, log, number, how):
        log.change("checkpoint", lambda note: edited(log.text, number, how).encode() + note[len(log.text.encode()) :])

    def alter_with_leaf(self, log):
        name, tile = name_of("entries", 100), name_of(0, 100)
        entries = split(log.read(name))
        entries[0] = entries[0][:-2] + b"x\n"
        log.write(name, join(entries))
        log.change(tile, lambda t: sha256(b"\0", entries[0]) + t[HASH:])

    def borrowed_id(self, log):
        true = base64.b64decode(log.read("checkpoint").split()[-1])
        other, _ = self.signed(log.text, self.other_seed)
        log.write("checkpoint", signature(other.encode(), lambda s: true[:4] + s[4:]))

    def borrowed_signature(self, log):
        older = base64.b64decode(self.held[0].read_bytes().split()[-1])
        log.change("checkpoint", lambda note: signature(note, lambda _: older))

    def other_origin(self, log):
        text = edited(log.text, 0, lambda line: line[:-1] + ("0" if line[-1] != "0" else "1"))
        log.write("checkpoint", self.signed(text, self.other_seed, text.split("\n")[0])[0].encode())

    def older_tiles(self, log):
        newer = log.read("checkpoint")
        log.rebuild(log.entries()[: int(self.held[0].read_text().split("\n")[1])])
        log.write("checkpoint", newer)

    def cosign(self, log, how=lambda s: s, of=None):
        text = log.text if of is None else of.read_text().partition("\n\n")[0] + "\n"
        note, key = self.signed(text, self.witness_seed, "witness.example/w", 4)
        line = signature(note.encode(), how).splitlines()[-1]
        log.write("checkpoint", log.read("checkpoint") + line + b"\n")
        return key


def edited(text, number, how):
    lines = text.split("\n")
    lines[number] = how(lines[number])
    return "\n".join(lines)


def signature(note, how):
    """Changes the bytes of a note's last signature, its key's id first."""
    before, _, last = note.rstrip(b"\n").rpartition(b" ")
    return before + b" " + base64.b64encode(how(base64.b64decode(last))) + b"\n"


def swap(log, one, other):
    first, second = log.read(one), log.read(other)
    log.write(one, second)
    log.write(other, first)


def entry_change(log, name, how):
    log.write(name, join(how(split(log.read(name)))))


def stale(log, held, level):
    """A partial tile of an earlier size that still lies there."""
    size = int(held.read_text().split("\n")[1]) // WIDTH**level
    name = name_of(level, size // WIDTH, size % WIDTH)
    assert (log.folder / name).is_file(), f"{name} was taken away"
    return name
