"""Judges published logs with PyPI `aics-tlog`, another author's verifier of C2SP logs.

Usage: judge_aics.py KEY WITNESS-KEY|- HELD,… FOLDER…; prints a line for each folder: `accepted` or `rejected` and why.
"""

import random
import sys
from pathlib import Path

from aics_tlog import checkpoint, note, tiles, tree, verified

SAMPLES = 100


def opened(message, key, witnesses):
    parsed = note.parse_note(message)
    verdict = checkpoint.verify_checkpoint(parsed, key, witnesses, quorum=len(witnesses), expected_origin=key.name)
    if not verdict.ok:
        raise ValueError(verdict.error)
    return verdict


def judge(folder, key, witnesses, held):
    now = opened((folder / "checkpoint").read_bytes(), key, witnesses)
    reader = tiles.FileSystemTileReader(folder)
    authentic = verified.VerifiedTileReader(reader, now.size, now.root)
    for path in held:
        then = opened(path.read_bytes(), key, [])
        if then.size > now.size:
            raise ValueError(f"the log was {then.size} long and is {now.size}")
        proof = tiles.consistency_proof_from_tiles(authentic, then.size, now.size)
        if not tree.verify_consistency(then.size, now.size, then.root, now.root, proof):
            raise ValueError(f"not consistent with {then.size}")
    drawn = random.Random(1)
    for index in {0, now.size - 1, *(drawn.randrange(now.size) for _ in range(SAMPLES))}:
        proof = tiles.inclusion_proof_from_tiles(authentic, index, now.size)
        if not tree.verify_leaf_inclusion(authentic.entry(index), index, now.size, proof, now.root):
            raise ValueError(f"leaf {index} is not included")
    verified.audit_tiles(reader, now.size, now.root)


def main():
    key = note.parse_vkey(sys.argv[1])
    witnesses = [] if sys.argv[2] == "-" else [note.parse_vkey(sys.argv[2])]
    held = [Path(path) for path in sys.argv[3].split(",")]
    for folder in sys.argv[4:]:
        try:
            judge(Path(folder), key, witnesses, held)
            print("accepted", flush=True)
        except Exception as error:  # whatever stops a verifier, it did not accept
            print("rejected", type(error).__name__, str(error).replace("\n", " ")[:80], flush=True)


if __name__ == "__main__":
    main()
