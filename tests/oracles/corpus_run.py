"""Runs every real DICOM file through the pipeline and judges what came out with pydicom and dciodvfy.

Usage: corpus_run.py MEDIMG CORPUS [--write-expected]. Each file runs alone in a store of its own and together with all others,
with and without `--accept-pixels`. Every file ends delivered or quarantined with a reason of the closed list, none twice, none
lost; verdicts are those of expected_verdicts.json; the quarantined are printed, so that a person can read the list.
"""

import argparse
import json
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import compare_diff
import completeness
import conformance
import medimg
import pixels
from compare_outputs import structure

EXPECTED = Path(__file__).with_name("expected_verdicts.json")
MODES = {"default": (), "accept-pixels": ("--accept-pixels",)}


def verdict(item):
    return item["outcome"] if item["outcome"] != "quarantined" else item["reason"]


def check_items(run, entries, findings, what):
    """Claims that each input has exactly one verdict with a reason of the list; returns the items by number."""
    findings.check("pydicom", run.code in (0, 1), f"{what}: exit code {run.code}: {run.stderr[-500:]!r}")
    items = {}
    for item in run.items:
        findings.check("pydicom", item["item"] not in items, f"{what}: item {item['item']} has two verdicts")
        items[item["item"]] = item
    wanted = set(range(1, len(entries) + 1))
    differ = sorted(set(items) ^ wanted)[:9]
    findings.check("pydicom", not differ, f"{what}: {len(wanted)} files went in, verdicts are missing or too many: {differ}")
    streams = Counter(item["stream"] for item in items.values())
    findings.check("pydicom", all(n == 1 for n in streams.values()), f"{what}: two items share a stream")
    for number, item in items.items():
        ended = item["outcome"] == "delivered" or (item["outcome"] == "quarantined" and item["reason"] in medimg.closed_reasons())
        findings.check("pydicom", ended, f"{what}: item {number} ended {item['outcome']} {item['reason']}")
    return items


def check_store(binary, store, items, findings, what):
    """Claims that exactly the delivered objects lie in `processed/` and that the ledger verifies."""
    processed = Path(store) / "processed"
    on_disk = {p.relative_to(processed).as_posix() for p in processed.rglob("*") if p.is_file()} if processed.is_dir() else set()
    delivered = [item["key"] for item in items.values() if item["outcome"] == "delivered"]
    differ = sorted(on_disk ^ set(delivered))[:5]
    findings.check("pydicom", not differ, f"{what}: processed/ and the verdicts differ: {differ}")
    published = [i["key"] for i in items.values() if i["outcome"] == "delivered" and not i["already_present"]]
    findings.check("pydicom", len(published) == len(set(published)), f"{what}: a key was published twice")
    staging = Path(store) / "staging"
    left = [p for p in staging.rglob("*") if p.is_file()] if staging.is_dir() else []
    findings.check("pydicom", not left, f"{what}: {len(left)} files left in staging/")
    verified = medimg.call(binary, "verify", "--store", store)
    findings.check("pydicom", verified.code == 0, f"{what}: verify exits {verified.code}: {verified.stderr[-300:]!r}")


def judge_delivered(given_path, delivered_path, findings, name, tally):
    """Reads the delivered object back and compares it with its input."""
    given, delivered = pixels.read(given_path.read_bytes()), pixels.read(delivered_path.read_bytes())
    try:
        for fault in structure(delivered):
            findings.add("pydicom", f"{name}: {fault}")
        for difference in pixels.pixel_differences(given, delivered, tally):
            findings.add("pydicom", f"{name}: {difference}")
    except Exception as error:  # noqa: BLE001 - an object that cannot be compared is a finding, not the end of the run
        findings.add("pydicom", f"{name}: pixels cannot be compared: {type(error).__name__}: {error}")
    errors = conformance.new_errors(given_path, delivered_path, lambda: pixels.read(given_path.read_bytes()))
    key = "not judged by dciodvfy (input unreadable for it)" if errors is None else "judged by dciodvfy"
    tally[key] = tally.get(key, 0) + 1
    for message, count in (errors or {}).items():
        findings.add("dciodvfy", f"{name}: new ({count}): {message}")


def run_alone(binary, path, entry, flags, scratch, findings, tally):
    """Runs one file in a fresh store; returns its verdict."""
    store = Path(tempfile.mkdtemp(dir=scratch))
    run = medimg.process(binary, store, path, flags=flags)
    name = f"{entry['source']}/{entry['name']}"
    items = check_items(run, [entry], findings, name)
    if 1 not in items:
        return "lost"
    item = items[1]
    if item["outcome"] == "delivered":
        delivered = medimg.delivered_file(store, item)
        judge_delivered(path, delivered, findings, name, tally)
        compare_diff.check(binary, store, path, delivered, pixels.read, findings, name, tally)
    shutil.rmtree(store)
    return verdict(item)


def run_together(binary, corpus, manifest, flags, scratch, findings, what):
    """Runs all files into one store, then again: the second run only repeats its verdicts."""
    store = Path(tempfile.mkdtemp(dir=scratch))
    items = check_items(medimg.process(binary, store, corpus / "files", flags=flags), manifest, findings, what)
    check_store(binary, store, items, findings, what)
    again = check_items(medimg.process(binary, store, corpus / "files", flags=flags), manifest, findings, what + ", again")
    for number, item in items.items():
        repeated = again.get(number, {})
        same = verdict(repeated) == verdict(item) and repeated["key"] == item["key"] and repeated["repeated"] if repeated else False
        findings.check("pydicom", same, f"{what}: item {number} did not only repeat its verdict in the second run")
    check_store(binary, store, again, findings, what + ", again")
    shutil.rmtree(store)
    return [verdict(items[number]) if number in items else "lost" for number in range(1, len(manifest) + 1)]


def print_quarantined(manifest, verdicts):
    print("\nQuarantined (alone in a store; * also with --accept-pixels; together: when it differs)")
    for entry, found in zip(manifest, verdicts):
        if found["alone"] != "delivered":
            star = "*" if found["alone, accept-pixels"] != "delivered" else " "
            other = f"  together: {found['together']}" if found["together"] != found["alone"] else ""
            print(f"  {star} {found['alone']:<20} {entry['source']}/{entry['name']}{other}")
    for column in verdicts[0]:
        counts = Counter(found[column] for found in verdicts)
        print(f"{column}: " + ", ".join(f"{reason} {count}" for reason, count in counts.most_common()))


def check_complete(corpus, manifest, verdicts, expected, findings):
    """Claims that what pydicom finds complete and identifiable is delivered, or that the list of verdicts says why not."""
    judged = 0
    for entry, found in zip(manifest, verdicts):
        content = (corpus / "files" / entry["file"]).read_bytes()
        for column, needs_judgement in (("alone", completeness.pixels_need_judgement), ("alone, accept-pixels", lambda _: False)):
            if completeness.is_complete(content, needs_judgement):
                judged += 1
                why = expected.get(f"{entry['source']}/{entry['name']}", {}).get("why")
                findings.check("pydicom", found[column] == "delivered" or why, f"{entry['name']} is complete, {column}: {found[column]}")
    print(f"{judged} verdicts on objects that pydicom finds complete and identifiable")


def check_expected(manifest, verdicts, expected, findings):
    for entry, found in zip(manifest, verdicts):
        name = f"{entry['source']}/{entry['name']}"
        wanted = {column: value for column, value in expected.get(name, {}).items() if column != "why"}
        findings.check("verdicts", found == wanted, f"{name}: {found}, expected {wanted}")


def write_expected(manifest, verdicts, expected):
    rows = []
    for entry, found in zip(manifest, verdicts):
        name = f"{entry['source']}/{entry['name']}"
        why = {"why": expected[name]["why"]} if "why" in expected.get(name, {}) else {}
        rows.append(f" {json.dumps(name, ensure_ascii=False)}: {json.dumps({**found, **why}, ensure_ascii=False)}")
    EXPECTED.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def run_all(binary, corpus, manifest, findings, scratch):
    tally, columns = {}, {}
    for mode, flags in MODES.items():
        suffix = "" if mode == "default" else f", {mode}"

        def alone(entry, flags=flags):
            return run_alone(binary, corpus / "files" / entry["file"], entry, flags, scratch, findings, tally)

        with ThreadPoolExecutor(max_workers=2) as pool:
            columns["alone" + suffix] = list(pool.map(alone, manifest))
        columns["together" + suffix] = run_together(binary, corpus, manifest, flags, scratch, findings, f"together ({mode})")
    print("\n".join(f"{count:>5} {what}" for what, count in sorted(tally.items())))
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("medimg", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--write-expected", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    manifest = json.loads((options.corpus / "manifest.json").read_text())
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    findings = medimg.Findings("pydicom", "dciodvfy", "verdicts")
    with tempfile.TemporaryDirectory(prefix="medimg-corpus-") as scratch:
        verdicts = run_all(options.medimg.absolute(), options.corpus, manifest, findings, scratch)
    print_quarantined(manifest, verdicts)
    if options.write_expected:
        write_expected(manifest, verdicts, expected)
        expected = json.loads(EXPECTED.read_text())
    check_complete(options.corpus, manifest, verdicts, expected, findings)
    check_expected(manifest, verdicts, expected, findings)
    if not any(entry["source"] == "sample" for entry in manifest):
        medimg.record("sample files", "not run", "../shared is not there", kind="check")
    return findings.conclude({"verdicts": "check"})


if __name__ == "__main__":
    sys.exit(main())
