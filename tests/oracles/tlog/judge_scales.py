"""Judges published logs with PyPI `tlog-scales`, another author's reader of C2SP logs.

Usage: judge_scales.py KEY WITNESS-KEY|- HELD,… FOLDER…; prints a line for each folder: `accepted` or `rejected` and why.
"""

import logging
import random
import sys
from pathlib import Path

from tlog_scales import backend, reader, signing, tiles, tlog

SAMPLES = 100
WIDTH = 256


def opened(text, keys):
    """Every key must have signed: the library tells which did."""
    found = tlog.Checkpoint.from_text(text)
    signed = {key.name for key, _ in signing.VkeySet(*keys).verify(found.signatures, found)}
    if signed != {key.name for key in keys}:
        raise ValueError("a signature is missing or wrong")
    if found.serialize() != text or found.origin != keys[0].name:
        raise ValueError("another text than was signed, or another origin")
    return found


def fold(hashes):
    while len(hashes) > 1:
        hashes = [reader.sha256(b"\1" + hashes[n] + hashes[n + 1]) for n in range(0, len(hashes), 2)]
    return hashes[0]


def judge(folder, keys, held):
    log = reader.TilesReader(backend.LocalBackend(folder))
    now = log.get_checkpoint()
    opened((folder / "checkpoint").read_text(), keys)
    if log.calculate_root_hash() != now.root_hash:
        raise ValueError("another root")
    for path in held:
        then = opened(path.read_text(), keys[:1])
        log.get_consistency_proof(then.size, now.size).check(then.root_hash, now.root_hash)
    for index in range(now.size):
        if tiles.leaf_hash(log.get_entry(index)) != log.mth(index, index + 1):
            raise ValueError(f"entry {index} is not its leaf")
    span = 1
    while span * WIDTH <= now.size:
        for start in range(0, now.size - span * WIDTH + 1, span * WIDTH):
            below = [log.mth(at, at + span) for at in range(start, start + span * WIDTH, span)]
            if fold(below) != log.mth(start, start + span * WIDTH):
                raise ValueError(f"the tile over {start} does not agree with the one above")
        span *= WIDTH
    drawn = random.Random(1)
    for index in {0, now.size - 1, *(drawn.randrange(now.size) for _ in range(SAMPLES))}:
        log.get_inclusion_proof(index, now.size).check(tiles.leaf_hash(log.get_entry(index)), now.root_hash)


def main():
    logging.disable()
    keys = [signing.Vkey.from_string(text) for text in sys.argv[1:3] if text != "-"]
    held = [Path(path) for path in sys.argv[3].split(",")]
    for folder in sys.argv[4:]:
        try:
            judge(Path(folder), keys, held)
            print("accepted", flush=True)
        except Exception as error:  # whatever stops a verifier, it did not accept
            print("rejected", type(error).__name__, str(error).replace("\n", " ")[:80], flush=True)


if __name__ == "__main__":
    main()
