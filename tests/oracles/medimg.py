"""Runs the `medimg` binary as a user would and reads what it prints: the one place that knows its command line in Python."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OUTCOMES = {"delivered", "quarantined", "failed", "pending", "unreadable"}
REASONS_SOURCE = Path(__file__).parents[2] / "domain" / "src" / "reason.rs"
SECONDS_MAX = 600
NOT_RUN = 77


def closed_reasons():
    """Returns the reason codes, read from the table in `domain` so that they are written once."""
    codes = set(re.findall(r'^\s+\w+ = "([a-z_]+)",$', REASONS_SOURCE.read_text(), re.MULTILINE))
    assert len(codes) >= 17, f"the table of reasons was not found in {REASONS_SOURCE}"
    return codes


@dataclass
class Run:
    """One call: exit code, the two streams as bytes, and for `--json` the items and the summary."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def lines(self):
        return [json.loads(line) for line in self.stdout.decode().splitlines() if line]

    @property
    def items(self):
        return [line for line in self.lines if "item" in line]

    @property
    def summary(self):
        (summary,) = [line["summary"] for line in self.lines if "summary" in line]
        return summary


def call(binary, *arguments, env=None, cwd=None):
    """Runs `medimg` with its output captured through pipes, as a script would."""
    environment = {**os.environ, **(env or {})}
    command = [str(binary), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, env=environment, cwd=cwd, timeout=SECONDS_MAX, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr)


def process(binary, store, *paths, flags=()):
    """Runs `medimg process --json` over the paths into the store."""
    return call(binary, "process", "--store", store, "--json", *flags, *paths)


def delivered_file(store, item):
    return Path(store) / "processed" / item["key"]


def record(name, status, note="", kind="oracle"):
    """Tells ./test what became of an oracle; without ./test it only prints."""
    results = os.environ.get("TEST_RESULTS")
    if results:
        with open(results, "a", encoding="utf-8") as file:
            file.write(f"{kind}\t{name}\t{status}\t\t{note}\n")
    print(f"{kind} {name}: {status} {note}".rstrip())


class Findings:
    """What a script found wrong, by oracle; printed as found, counted at the end."""

    def __init__(self, *oracles):
        self.by_oracle = {oracle: [] for oracle in oracles}

    def add(self, oracle, text):
        self.by_oracle[oracle].append(text)
        print(f"WRONG ({oracle}): {text}", flush=True)

    def check(self, oracle, holds, text):
        if not holds:
            self.add(oracle, text)
        return holds

    def conclude(self, kinds=None):
        """Records every oracle and returns the exit code."""
        for oracle, found in self.by_oracle.items():
            kind = (kinds or {}).get(oracle, "oracle")
            record(oracle, "fail" if found else "pass", f"{len(found)} findings" if found else "", kind)
        return 1 if any(self.by_oracle.values()) else 0
