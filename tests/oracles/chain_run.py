"""Exports a ledger and has `ledger/verify_export.py` recompute chain and root; then changes the export in every way.

Usage: chain_run.py MEDIMG. The verifier is thirty lines of standard library and shares no code with the pipeline; it must
accept the export as it is and refuse each changed one.
"""

import base64
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import medimg

VERIFIER = Path(__file__).parents[2] / "ledger" / "verify_export.py"
SEED = 20261123
CHANGES = 200


def accepted(export):
    done = subprocess.run([sys.executable, str(VERIFIER), str(export)], capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout + done.stderr).strip().splitlines()[-1:]


def changed_text(text, rng):
    at = rng.randrange(len(text))
    other = rng.choice([c for c in "0123456789abcdefghij" if c != text[at]])
    return text[:at] + other + text[at + 1 :]


def changed(lines, rng):
    """Returns the lines with one thing changed, and what it was."""
    lines, kind = list(lines), rng.choice(["header", "body", "nonce", "delete", "swap", "cut", "repeat", "root", "size"])
    at = rng.randrange(1, len(lines))
    entry = json.loads(lines[at])
    if kind in ("header", "body"):
        entry[kind] = changed_text(entry[kind], rng)
        lines[at] = json.dumps(entry)
    elif kind == "nonce":
        nonce = bytearray(base64.b64decode(entry["nonce"]))
        nonce[rng.randrange(16)] ^= 1 << rng.randrange(8)
        lines[at] = json.dumps({**entry, "nonce": base64.b64encode(nonce).decode()})
    elif kind == "delete":
        del lines[at]
    elif kind == "swap":
        other = rng.choice([n for n in range(1, len(lines)) if n != at])
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == "cut":
        del lines[at:]
    elif kind == "repeat":
        lines.insert(at, lines[at])
    else:
        head = json.loads(lines[0])
        head[kind] = changed_text(head[kind], rng) if kind == "root" else head[kind] + rng.choice([-1, 1])
        lines[0] = json.dumps(head)
    return lines, f"{kind} at line {at}"


def main():
    binary, rng = Path(sys.argv[1]).absolute(), random.Random(SEED)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="medimg-chain-") as scratch:
        store, export, other = (Path(scratch) / name for name in ("store", "export.ndjson", "changed.ndjson"))
        made = medimg.call(binary, "demo", "--store", store)
        exported = medimg.call(binary, "export", "-o", export, "--store", store)
        if made.code != 0 or exported.code != 0:
            print(f"demo exits {made.code}, export {exported.code}: {made.stderr[-300:]!r} {exported.stderr[-300:]!r}")
            return 1
        good, told = accepted(export)
        print(*told)
        wrong += not good
        lines = export.read_text().splitlines()
        for _ in range(CHANGES):
            altered, what = changed(lines, rng)
            other.write_text("\n".join(altered) + "\n")
            if altered != lines and accepted(other)[0]:
                print(f"WRONG: accepted although changed: {what}, seed {SEED}")
                wrong += 1
    print(f"{len(lines) - 1} entries accepted as exported, {CHANGES} changed exports, {wrong} wrong verdicts")
    return 1 if wrong or len(lines) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
