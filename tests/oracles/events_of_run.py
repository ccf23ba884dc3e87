"""Validates every event of a real run against the checked-in JSON Schema of its type: in the ledger and as `history` tells it.

Usage: events_of_run.py MEDIMG FOLDER. What a run over the folder wrote is read from `export` and from `history --all --json`.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import medimg

SCHEMAS = Path(__file__).parents[2] / "domain" / "schemas"
# What a run over real files must at least say, or too little was looked at.
INSTANCE = ("ingested", "validated", "deidentified", "delivered", "quarantined")
TYPES_MIN = {"object.received", *(f"instance.{verb}" for verb in INSTANCE)}


def validators():
    schemas = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas.values())
    return {name: Draft202012Validator(schema, registry=registry) for name, schema in schemas.items()}


def judge(events, by_type, findings, where):
    """Counts the events by type and notes each that its schema refuses, by place in it, without its values."""
    seen = Counter()
    for event in events:
        seen[event["type"]] += 1
        validator = by_type.get(event["type"])
        if validator is None:
            findings.append(f"{where}: {event['type']} has no schema")
            continue
        findings.extend(f"{where}: {event['type']}: {e.json_path}: {e.validator}" for e in validator.iter_errors(event))
    return seen


def main():
    binary, folder = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    findings, by_type = [], validators()
    with tempfile.TemporaryDirectory(prefix="medimg-events-") as scratch:
        store, export = Path(scratch) / "store", Path(scratch) / "export.ndjson"
        run = medimg.process(binary, store, folder)
        asked = medimg.call(binary, "history", "--all", "--limit", "1000000", "--json", "--store", store)
        exported = medimg.call(binary, "export", "-o", export, "--store", store)
        if run.code not in (0, 1) or asked.code != 0 or exported.code != 0:
            print(f"process exits {run.code}, history {asked.code}, export {exported.code}")
            return 1
        entries = [json.loads(line) for line in export.read_text().splitlines()[1:]]
        stored = [event for entry in entries for event in json.loads(entry["body"])]
    seen = judge(stored, by_type, findings, "ledger")
    told = [event for line in asked.lines for event in line.get("events", [])]
    judge(told, by_type, findings, "history")
    told_ids, stored_ids = Counter(event["id"] for event in told), Counter(event["id"] for event in stored)
    # What the question itself adds to the ledger comes after its answer.
    questions = Counter(event["id"] for event in stored if event["type"].startswith("imaging.history.queried."))
    if told_ids - stored_ids or stored_ids - told_ids - questions:
        findings.append(f"{len(stored)} events in the ledger, `history --all` tells {len(told)}")
    missing = TYPES_MIN - {name.removeprefix("imaging.").rsplit(".v", 1)[0] for name in seen}
    findings += [f"no {name} in the run" for name in sorted(missing)]
    print("\n".join(sorted(set(findings))[:50]))
    print(f"{len(stored)} events of {len(seen)} types in the ledger, {len(told)} told by history, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
