"""Shows that a log of ours verifies with tools that are not ours, and that no tampered copy of it does.

Usage: log_run.py CHECK STORE [PYTHON]. CHECK is the built program of go/; STORE was made by the example `sealing`; PYTHON has the
packages of requirements.txt beside this file. Prints the verdict of every tool on every copy; exit 1 if one is wrong.
"""

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import forge
import medimg

COPIES_MIN = 70
SECONDS_MAX = 900
ORACLES = {"go": "golang-x-mod", "aics": "aics-tlog", "scales": "tlog-scales"}
# A tile that no proof of the newest size needs is looked at by the program in Go alone, which walks the folder.
MAY_ACCEPT = {"go": set(), "aics": {"of an earlier size: a byte"}, "scales": {"of an earlier size: a byte"}}


def call(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def by_go(check, key, held, jobs):
    """Returns [(accepted, what was told)] of jobs (folder, witness key or none)."""
    verdicts = []
    for folder, witness in jobs:
        asked = ["-witness", witness] if witness else []
        code, told = call([check, "-vkey", key, *[word for path in held for word in ("-held", path)], *asked, folder])
        assert code in (0, 1), told
        verdicts.append((code == 0, told if code == 0 else told.splitlines()[-1]))
    return verdicts


def by_python(script, python, key, held, jobs):
    answers = {}
    for witness in {witness for _, witness in jobs}:
        folders = [folder for folder, asked in jobs if asked == witness]
        code, told = call([python, script, key, witness or "-", ",".join(map(str, held)), *folders])
        lines = told.splitlines()
        assert code == 0 and len(lines) == len(folders), told[-2000:]
        answers.update({folder: (line == "accepted", line) for folder, line in zip(folders, lines)})
    return [answers[folder] for folder, _ in jobs]


def has(python, judge):
    """Whether the interpreter has what the judge needs; it may have none at all, or lack one of the packages."""
    module = ORACLES[judge].replace("-", "_")
    return python is not None and call([python, "-c", f"import {module}"])[0] == 0


def main():
    check, store = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    python = sys.argv[3] if len(sys.argv) > 3 else None
    here, log = Path(__file__).parent, store / "log" / "0"
    key = (store / "log" / "vkeys").read_text().strip()
    held = sorted(store.glob("checkpoint.*"), key=lambda path: int(path.suffix[1:]))
    with tempfile.TemporaryDirectory(prefix="medimg-tlog-", dir=store.parent) as scratch, ThreadPoolExecutor(2) as pool:
        forger = forge.Forger(log, held, store / "keys" / "signing", check, scratch)
        copies = list(forger.copies())
        good = forger.copy("cosigned")
        witness = forger.cosign(good)
        jobs = [(log, None), (good.folder, witness)]
        jobs += [(copy.folder, witness if witnessed else None) for _, copy, _, witnessed in copies]
        # The drawn bits are for the gate alone: a second for each is too much for tools beside it.
        chosen = [job for job in jobs if not job[0].name.startswith("bit-")]
        verdicts = {}
        for judge in filter(lambda judge: has(python, judge), ("aics", "scales")):
            verdicts[judge] = pool.submit(by_python, here / f"judge_{judge}.py", python, key, held, chosen)
        verdicts["go"] = pool.submit(by_go, check, key, held, jobs)
        wrong = sum(tell(judge, verdict.result(), copies) for judge, verdict in verdicts.items())
    for judge, oracle in ORACLES.items():
        if judge not in verdicts:
            medimg.record(oracle, "not run", "no Python 3.12 or newer with its packages")
    return 1 if wrong or len(copies) < COPIES_MIN else 0


def tell(judge, verdicts, copies):
    wrong = sum(not accepted for accepted, _ in verdicts[:2])
    copies = copies[: len(verdicts) - 2]
    print(f"== {ORACLES[judge]}")
    print("the log:", verdicts[0][1].replace("\n", "\n  "))
    print("the log with a cosignature:", verdicts[1][1].splitlines()[0])
    for (name, _, why, _), (accepted, told) in zip(copies, verdicts[2:], strict=True):
        expected = not accepted and (judge != "go" or re.search(why, told))
        allowed = accepted and any(name.endswith(words) for words in MAY_ACCEPT[judge])
        wrong += not (expected or allowed)
        note = "" if expected else " (it does not look there)" if allowed else f"  <-- WRONG, expected: {why or 'rejected'}"
        print(f"  {name:<45} {told.splitlines()[-1][:110]}{note}")
    print(f"{ORACLES[judge]}: 2 logs accepted, {len(copies)} tampered copies, {wrong} wrong verdicts", flush=True)
    medimg.record(ORACLES[judge], "fail" if wrong else "pass", f"{wrong} wrong verdicts" if wrong else "")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
