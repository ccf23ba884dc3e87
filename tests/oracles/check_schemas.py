"""Holds the corpus against the JSON Schemas with PyPI `jsonschema`, an oracle that shares no code with the pipeline.

Every example must validate; every example with a field dropped, added or replaced by a patient's value must not, exactly as
the Rust structs decide it (domain/src/events/tests.rs). Run: python tests/oracles/check_schemas.py
"""
import copy
import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

DOMAIN = pathlib.Path(__file__).resolve().parents[2] / "domain"
PATIENT_VALUES = ["DOE^JANE", "Доу", "1956-04-12 19560412", "/incoming/doe_jane/ct.dcm?", ""]
# Bounded, not closed: a sentence of the code may look like a path; nothing was done to an object whose receipt is empty.
MAY_TAKE = {("/data/detail", "/incoming/doe_jane/ct.dcm?"), ("/data/receipt", "")}


def load(folder):
    return {p.stem: json.loads(p.read_text("utf-8")) for p in sorted((DOMAIN / folder).glob("*.json"))}


def leaves(value, at=""):
    if isinstance(value, dict):
        for name, field in value.items():
            yield from leaves(field, f"{at}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, f"{at}/{number}")
    else:
        yield at


def replaced(example, pointer, value):
    changed = copy.deepcopy(example)
    *way, last = pointer.strip("/").split("/")
    place = changed
    for part in way:
        place = place[int(part) if isinstance(place, list) else part]
    place[int(last) if isinstance(place, list) else last] = value
    return changed


def without(example, part, field):
    changed = copy.deepcopy(example)
    del (changed[part] if part else changed)[field]
    return changed


def main():
    schemas, corpus = load("schemas"), load("corpus")
    registry = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas.values())
    envelope, findings, checks = schemas["envelope.v1"], [], 0
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for name, example in corpus.items():
        validator = Draft202012Validator(schemas[name], registry=registry)

        def expect(valid, event, what):
            nonlocal checks
            checks += 1
            if validator.is_valid(event) != valid:
                findings.append(f"{name}: {what}: expected {'valid' if valid else 'invalid'}")

        expect(True, example, "the example")
        required = {"": envelope["required"], "data": schemas[name]["properties"]["data"]["required"]}
        for part, fields in required.items():
            for field in example[part] if part else example:
                expect(field not in fields, without(example, part, field), f"without {part}.{field}")
        expect(False, {**example, "patientname": 1}, "an unknown attribute")
        expect(False, {**example, "data": {**example["data"], "patientname": 1}}, "an unknown field")
        for place in leaves(example):
            for value in PATIENT_VALUES:
                expect((place, value) in MAY_TAKE, replaced(example, place, value), f"{place} = {value!r}")
    if not corpus or corpus.keys() - schemas.keys() or schemas.keys() - corpus.keys() - {"envelope.v1"}:
        findings.append("corpus and schemas are not of the same types")
    print("\n".join(findings + [f"{len(corpus)} examples, {checks} checks, {len(findings)} findings"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
