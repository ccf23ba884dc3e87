"""Measures durable appends and how soon a checkpoint covers them, on a file system that syncs.

Usage: ledger.py EXAMPLES FOLDER [--rounds N] [--seconds N] [--growth ENTRIES] [--strict] [--write FILE]. EXAMPLES is the folder
of the built examples `append_rate` and `sealing`. Ratios are of one run, in turns. Prints each gate; --strict fails on every one
that is short, otherwise the run fails where a figure is beyond its gate by more than other programs on the machine explain.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import bench

GATES = {
    # A ledger cannot do without a key over (stream, seq): every append touches a page at random, and so does this plain SQLite.
    "256 appenders against plain SQLite with our key": ("at least", 0.8),
    "256 appenders against plain SQLite without a key": ("at least", 0.8),
    "append to checkpoint, p99 s": ("at most", 2.0),
    "growth to the last entries, time of a step": ("at most", 1.3),
    "growth to the last entries, memory": ("at most", 1.25),
}
# Known to be short, told each time: half of an append's time is the random page of the key, which a table without one does not
# write. Without --strict the run fails below this floor alone.
KNOWN_SHORT = {"256 appenders against plain SQLite without a key": 0.15}
NOISE = 0.25
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
SECONDS_MAX = 6 * 3600
# What an entry of this size takes on the disk, with room for the write-ahead log.
ENTRY_BYTES = 2500
NOT_RUN = 77


def run(*command):
    """Runs a measurement and returns its figures, the last line that it prints."""
    done = subprocess.run([*map(str, command), "--json"], stdout=subprocess.PIPE, text=True, timeout=SECONDS_MAX, check=True)
    lines = done.stdout.splitlines()
    print(*lines[:-1], sep="\n", flush=True)
    return json.loads(lines[-1])


def file_system(folder):
    """The type of the file system under a folder, where the system tells it."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    path = str(folder.resolve())
    under = [mount for mount in mounts if path == mount[1] or path.startswith(mount[1].rstrip("/") + "/")]
    return max(under, key=lambda mount: len(mount[1]))[2] if under else "unknown"


def growth_of(steps):
    """Time of the last quarter's steps by that of the first million's, and memory likewise."""
    seconds = [after["seconds"] - before["seconds"] for before, after in zip([{"seconds": 0}, *steps], steps)]
    first = [n for n, step in enumerate(steps) if step["entries"] <= 1_000_000]
    last = range(len(steps) * 3 // 4, len(steps))
    mean = lambda values: sum(values) / len(values)
    resident = [step["resident_mb"] for step in steps]
    return mean([seconds[n] for n in last]) / mean([seconds[n] for n in first]), max(resident) / max(resident[n] for n in first)


def judge(figures, strict):
    """Prints each gate; returns those told and whether the run is well."""
    told, well = {}, True
    for name, value in figures.items():
        kind, bound = GATES[name]
        holds = value >= bound if kind == "at least" else value <= bound
        floor = KNOWN_SHORT.get(name, bound * (1 - NOISE if kind == "at least" else 1 + NOISE))
        near = value >= floor if kind == "at least" else value <= floor
        well = well and (holds or (near and not strict))
        told[name] = f"gate {name}: {value:.2f}, {kind} {bound}: {'holds' if holds else 'SHORT'}"
        print(told[name])
    return told, well


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--growth", type=int, help="append so many entries to one store")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    kind = file_system(options.folder)
    if kind in MEMORY_FILE_SYSTEMS:
        print(f"not run: {options.folder} lies on {kind}, which syncs nothing")
        return NOT_RUN
    if options.growth and shutil.disk_usage(options.folder).free < options.growth * ENTRY_BYTES:
        print(f"not run: {options.growth} entries need {options.growth * ENTRY_BYTES >> 30} GiB in {options.folder}")
        return NOT_RUN
    load = os.getloadavg()
    rate = run(options.examples / "append_rate", "--rounds", options.rounds, options.folder)
    speed = run(options.examples / "sealing", "speed", "--seconds", options.seconds, options.folder)
    figures = {
        "256 appenders against plain SQLite with our key": rate["to_plain_with_key"],
        "256 appenders against plain SQLite without a key": rate["to_plain"],
        "append to checkpoint, p99 s": speed["p99_s"],
    }
    measured = {"rate": rate, "speed": speed}
    if options.growth:
        measured["growth"] = run(options.examples / "append_rate", "--growth", options.growth, options.folder)
        seconds, memory = growth_of(measured["growth"]["steps"])
        figures |= {"growth to the last entries, time of a step": seconds, "growth to the last entries, memory": memory}
    told, well = judge(figures, options.strict)
    if options.write:
        result = {
            "commit": bench.commit(),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "load": {"before": load, "after": os.getloadavg(), "cores": os.cpu_count()},
            "file_system": {"type": kind, "sync_of_4_kib_ms": rate["sync_ms"]},
            "figures": figures,
            "gates": told,
            "measured": measured,
        }
        options.write.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
