"""Makes the demo store and its reports, and has outside judges look at them.

Usage: report_run.py make MEDIMG FOLDER | schema FOLDER | sql FOLDER | html FOLDER | picture FOLDER [OUT.png].
`sql` counts in the ledger's own tables with Python's sqlite3 and draws the sample anew; it shares no code with the program.
Exit 77: the judge is not to be had here.
"""

import csv
import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

SCHEMA = Path(__file__).parents[2] / "compliance" / "schemas" / "report.v1.json"
HTML_VALIDATE = "html-validate@9.7.1"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
SECONDS_MAX = 120
NOT_RUN = 77


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=SECONDS_MAX, check=False, **more)


def make(binary, folder):
    """One store; a history is read, a study is reported, then each form is made of one and the same seal, twice."""
    store = folder / "store"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIMG_")}

    def medimg(*words):
        done = run(binary, *words, "--store", store, env=environment)
        assert done.returncode == 0, f"{words[0]}: {done.stderr}"
        return done.stdout

    medimg("demo", "--quiet")
    medimg("history", "--all")
    first = json.loads(medimg("report", "--json", "--format", "json", "-o", folder / "all.json"))
    study = json.loads((folder / "all.json").read_text())["studies"][0]["short_name"]
    medimg("report", "--format", "html", "--study", study, "-o", folder / "study.html")
    seal = json.loads(medimg("report", "--json", "--format", "json", "-o", folder / "report.json"))["as_of_size"]
    assert seal > first["as_of_size"], "a report is recorded"
    for form in ("html", "csv", "json"):
        for name in (f"report.{form}", f"again.{form}"):
            medimg("report", "--format", form, "--as-of", seal, "-o", folder / name)
        assert (folder / f"report.{form}").read_bytes() == (folder / f"again.{form}").read_bytes(), form
    print(f"three forms of {seal} entries, each made twice with the same bytes")


def schema(folder):
    try:
        import jsonschema
    except ImportError:
        return NOT_RUN
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    report = json.loads((folder / "report.json").read_text())
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(report)]
    assert not wrong, wrong[:5]
    for path, value in ((("entries",), -1), (("seal", "root"), "x"), (("added",), 1), (("accesses", 0, "actor"), "jdoe")):
        bad = json.loads(json.dumps(report))
        at = bad
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        assert not validator.is_valid(bad), f"the schema takes {path}"
    print("the JSON form obeys its schema, and four that do not are refused")
    return 0


def sql(folder):
    report = json.loads((folder / "report.json").read_text())
    size = report["seal"]["size"]
    with sqlite3.connect(f"file:{folder / 'store' / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
        rows = ledger.execute("SELECT gseq, hex(stream), header, body FROM entries WHERE gseq < ? ORDER BY gseq", (size,)).fetchall()
    assert len(rows) == size == report["entries"]
    events, streams, ended = Counter(), {}, {}
    for _, stream, _, body in rows:
        for event in json.loads(body):
            events[event["type"]] += 1
            streams.setdefault(event["type"], set()).add(stream)
            for end in ("delivered", "quarantined"):
                if event["type"] == f"imaging.instance.{end}.v1":
                    ended[stream] = end
    assert report["events"] == dict(events), (report["events"], events)
    of = lambda name: len(streams.get(f"imaging.{name}.v1", ()))
    expected = {step: of(f"instance.{step}") for step in ("ingested", "validated", "deidentified", "delivered")}
    expected |= {"received": of("object.received"), "quarantined": Counter(ended.values())["quarantined"]}
    told = {step: report["funnel"][step] for step in expected}
    assert told == expected, (told, expected)
    reasons = Counter(
        event["data"]["reason"] for row in rows for event in json.loads(row[3]) if event["type"] == "imaging.instance.quarantined.v1"
    )
    assert report["quarantine"]["by_code"] == dict(reasons)
    told = report["deidentification"]
    if told["unlisted"] == 0:
        summed = sum((Counter(one["actions"]) for one in told["classes"]), Counter())
        counted = Counter()
        for row in rows:
            for event in json.loads(row[3]):
                counted.update({} if event["type"] != "imaging.instance.deidentified.v1" else event["data"]["counts"])
        letters = {"added": "a", "replaced": "d", "mapped": "u", "removed": "x", "emptied": "z"}
        assert {word: summed[word] for word in letters} == {word: counted[letter] for word, letter in letters.items()}
    acts = sum(header.split("\n")[8].startswith("u:") for _, _, header, _ in rows)
    assert sum(access["count"] for access in report["accesses"]) == acts
    with open(folder / "report.csv", newline="", encoding="utf-8") as table:
        lines = list(csv.DictReader(table, strict=True))
    assert Counter(line["event_type"] for line in lines) == events
    assert not any(cell[:1] in "=+-@\t\r" for line in lines for cell in line.values() if cell)
    sample(report, rows)
    print(f"{sum(events.values())} events of {len(events)} types, funnel, reasons, acts, table and sample: as SQL has them")


def sample(report, rows):
    """Draws the sample as the report says that anyone can."""
    drawn, k = set(), 0
    while len(drawn) < min(12, len(rows)):
        number = struct.unpack(">Q", hashlib.sha256(f"{report['seal']['root']}:{k}".encode()).digest()[:8])[0]
        drawn.add(number % len(rows))
        k += 1
    assert [one["leaf_index"] for one in report["sample"]["entries"]] == sorted(drawn)
    for one in report["sample"]["entries"]:
        assert one["header"] == rows[one["leaf_index"]][2]


def html(folder):
    tools = folder / "npm"
    tools.mkdir(exist_ok=True)
    if shutil.which("npm") is None or shutil.which("node") is None:
        return NOT_RUN
    if run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", tools, HTML_VALIDATE).returncode != 0:
        return NOT_RUN
    (tools / "config.json").write_text(json.dumps({"root": True, "extends": ["html-validate:recommended", "html-validate:a11y"]}))
    validate = tools / "node_modules" / ".bin" / "html-validate"
    good = run(validate, "--config", tools / "config.json", folder / "report.html", folder / "study.html")
    assert good.returncode == 0, good.stdout[-2000:]
    page = (folder / "report.html").read_text()
    for name, change in (("nesting", ("<main>", "<main><table><div>")), ("language", (' lang="en"', "")), ("ids", ('id="sample"', 'id="check"'))):
        (folder / "bad.html").write_text(page.replace(*change))
        assert run(validate, "--config", tools / "config.json", folder / "bad.html").returncode != 0, f"{name} was not found"
    print("the page is valid HTML and accessible by the rules of html-validate; three broken ones are refused")
    return 0


def browser_of_this_machine():
    """Returns a headless browser; on Debian installs one first if it may, as the tests' environment does for Python's venv."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(command, capture_output=True, timeout=SECONDS_MAX * 2, check=False)
        found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    return found


def picture(folder, out):
    browser = browser_of_this_machine()
    if browser is None:
        return NOT_RUN
    profile = folder / "profile"
    done = run(
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
        "--window-size=1120,1480", f"--screenshot={out}", (folder / "report.html").as_uri(),
    )
    header = out.read_bytes()[:24] if out.is_file() else b""
    assert header[:8] == b"\x89PNG\r\n\x1a\n", done.stderr[-500:]
    assert struct.unpack(">II", header[16:24]) == (1120, 1480)
    assert out.stat().st_size > 30_000, "the picture is all but empty"
    print(f"the first page as a picture: {out.stat().st_size} bytes")
    return 0


def main():
    verb, *words = sys.argv[1:]
    folder = Path(words[1] if verb == "make" else words[0])
    if verb == "make":
        return make(words[0], folder)
    if verb == "picture":
        return picture(folder, Path(words[1]) if len(words) > 1 else folder / "report.png")
    return {"schema": schema, "sql": sql, "html": html}[verb](folder)


if __name__ == "__main__":
    sys.exit(main() or 0)
