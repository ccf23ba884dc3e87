"""Counts what a run of ./test recorded and prints the table of sections, the oracles that did not run, and the closing line.

Records are lines of `kind TAB name TAB status TAB seconds TAB note`; kind is section, oracle, check or test (a test that did not
run), status is pass, fail or "not run". The tests of cargo are read from the logs of their sections.
"""

import calendar
import json
import os
import re
import sys
import time
import tomllib
from pathlib import Path

TIERS = ["quick", "default", "full"]
NEXTEST = re.compile(r"(\d+) tests? run: (\d+) passed(?: \([^)]*\))?(?:, (\d+) failed)?(?:, (\d+) timed out)?")
CARGO_TEST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def cargo_counts(log):
    """Returns (passed, failed) of every run of cargo's tests that the log shows."""
    text = COLOUR.sub("", log)
    passed = failed = 0
    for run, passing, failing, timed_out in NEXTEST.findall(text):
        passed += int(passing)
        failed += max(int(run) - int(passing), int(failing or 0) + int(timed_out or 0))
    for passing, failing in CARGO_TEST.findall(text):
        passed, failed = passed + int(passing), failed + int(failing)
    return passed, failed


def read_records(folder):
    rows = [line.split("\t") for line in (folder / "results.tsv").read_text().splitlines()]
    return [dict(zip(("kind", "name", "status", "seconds", "note"), row + [""] * 5)) for row in rows]


def missing_oracles(records, tier, oracles):
    """Returns the oracles of this tier that no section reported on."""
    seen = {record["name"] for record in records if record["kind"] == "oracle"}
    wanted = [o["name"] for o in oracles if TIERS.index(o["tier"]) <= TIERS.index(tier)]
    return [name for name in wanted if name not in seen]


def tally(folder, tier, oracles, strict):
    """Returns (lines to print, whether the run is green)."""
    records = read_records(folder)
    for name in missing_oracles(records, tier, oracles):
        note = "no section reported on it"
        records.append({"kind": "oracle", "name": name, "status": "not run", "seconds": "", "note": note})
    lines = ["", f"{'section':<16} minutes  result"]
    passed = failed = not_run = 0
    for record in records:
        if record["kind"] == "section":
            lines.append(f"{record['name']:<16} {float(record['seconds']) / 60:>7.1f}  {record['status']} {record['note']}".rstrip())
            cargo_passed, cargo_failed = cargo_counts((folder / f"{record['name']}.log").read_text(errors="replace"))
            passed, failed = passed + cargo_passed, failed + cargo_failed
    for record in records:
        passed += record["status"] == "pass"
        failed += record["status"] == "fail"
        not_run += record["status"] == "not run"
        # The test runner counted a test that could not run among the passed.
        passed -= record["kind"] == "test" and record["status"] == "not run"
        if record["status"] != "pass" and record["kind"] != "section":
            lines.append(f"{record['status']}: {record['kind']} {record['name']}: {record['note']}")
    lines += ["", f"{passed} passed, {failed} failed, {not_run} skipped"]
    if strict and not_run:
        lines.insert(-1, f"{not_run} not run: with CI=true this fails the run")
    return lines, failed == 0 and passed > 0 and not (strict and not_run)


def ages(folder):
    """Says how old the long measurements are; they are no part of this run and never count as passed."""
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        days = (time.time() - calendar.timegm(time.strptime(result["at"], "%Y-%m-%dT%H:%M:%SZ"))) / 86400
        yield f"{path}: measured {days:.1f} days ago at commit {result['commit'][:12]}, not part of this run"


def main():
    folder, tier = Path(sys.argv[1]), sys.argv[2]
    oracles = tomllib.loads(Path("tests/oracles.toml").read_text())["oracle"]
    lines, green = tally(folder, tier, oracles, os.environ.get("CI") == "true")
    print("\n".join([*lines[:-1], *ages(Path("bench/results")), lines[-1]]))
    return 0 if green else 1


if __name__ == "__main__":
    sys.exit(main())
