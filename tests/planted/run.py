#!/usr/bin/env python3
"""Plants one bug after another and claims that the test which its patch names turns red.

Each `NN-name.patch` beside this file begins with the lines `Bug:` (what goes wrong), `Package:` and `Test:` (a filter of
`cargo test`). The bugs are planted in a copy of the tree under the target folder, never in the tree itself.

    run.py --check          every patch can be applied, and its test exists
    run.py [NAME…]          plant all, or those whose file name holds NAME; prints a table, exit 1 if a bug survives
    run.py --write [NAME…]  the same, and writes docs/planted-bugs.md
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = sorted(Path(__file__).parent.glob("*.patch"))
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "planted"
TREE = TARGET / "tree"
DOCUMENT = ROOT / "docs" / "planted-bugs.md"
BUGS_MIN = 15
# One build and one test; a bug that makes a run stand still is caught too, but not as a red test.
SECONDS_MAX = 1_800
FEATURES = {"ledger": ["--features", "sqlite,faulty,conformance"]}


def header(patch):
    fields = dict(re.findall(r"^(Bug|Package|Test): (.+)$", patch.read_text(), re.MULTILINE))
    if set(fields) != {"Bug", "Package", "Test"}:
        sys.exit(f"{patch.name}: the lines Bug, Package and Test are not all there")
    return fields


def apply(patch, tree, *flags):
    # The copy may lie below the tree, and is no part of its repository: else git would look for the files above it.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ["git", "apply", *flags, str(patch)]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else None


def check():
    """Says which patches no longer fit, and which tests are gone."""
    wrong = [] if len(PATCHES) >= BUGS_MIN else [f"only {len(PATCHES)} bugs are planted"]
    for patch in PATCHES:
        test = header(patch)["Test"].rsplit("::", 1)[-1]
        error = apply(patch, ROOT, "--check")
        if error:
            wrong.append(f"{patch.name}: {error}")
        found = subprocess.run(["git", "grep", "-qE", f"(fn|mod) {test}", "--", "*.rs"], cwd=ROOT, check=False)
        if found.returncode:
            wrong.append(f"{patch.name}: there is no test {test}")
    return wrong


def copy_tree():
    """Brings the copy up to date; files that are the same keep their time, so that cargo builds little."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wanted = {name for name in names.split("\0") if name and (ROOT / name).is_file()}
    for name in wanted:
        source, copy = ROOT / name, TREE / name
        if not copy.is_file() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            os.chmod(copy, source.stat().st_mode)
    for path in TREE.rglob("*"):
        if path.is_file() and str(path.relative_to(TREE)) not in wanted:
            path.unlink()


def run_test(package, test):
    """Returns `green`, `red`, or what else came of it, and the first words of the failure."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "build"), "RUST_BACKTRACE": "0", "MEDIMG_SIM_RUNS": "400"}
    for name in ("MEDIMG_BIN", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "MEDIMG_SIM_SEED"):
        environment.pop(name, None)
    kind = ["--test", "pipeline"] if package == "pipeline-tests" else ["--lib"]
    commands = [["cargo", "test", "--quiet", "--package", package, *FEATURES.get(package, []), *kind, test]]
    if package == "pipeline-tests":
        commands.insert(0, ["cargo", "build", "--quiet", "--bin", "medimg"])
    for command in commands:
        try:
            done = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return "stands still", ""
        told = done.stdout + done.stderr
        if "error: could not compile" in told or (done.returncode and command[1] == "build"):
            return "does not compile", told[-2_000:]
    ran = sum(int(number) for number in re.findall(r"^test result: .*?(\d+) passed", told, re.MULTILINE))
    if done.returncode == 0:
        return ("green", "") if ran else ("no test ran", "")
    named = re.findall(r"^    ([\w:]+)$", told.split("failures:\n")[-1], re.MULTILINE)
    return "red", ", ".join(sorted(set(named)))


def main(arguments):
    if "--check" in arguments:
        wrong = check()
        print("\n".join(wrong) or f"{len(PATCHES)} bugs can be planted")
        return 1 if wrong else 0
    names = [argument for argument in arguments if not argument.startswith("--")]
    chosen = [patch for patch in PATCHES if not names or any(name in patch.name for name in names)]
    copy_tree()
    # Those of one test stand together: what it builds is built once.
    chosen.sort(key=lambda patch: (header(patch)["Package"] != "handlers", header(patch)["Package"], header(patch)["Test"]))
    rows, survived, green = [], 0, set()
    for patch in chosen:
        began, fields = time.monotonic(), header(patch)
        package, test = fields["Package"], fields["Test"]
        copy_tree()
        if (package, test) not in green:
            verdict, told = run_test(package, test)
            if verdict != "green":
                sys.exit(f"without a bug, {package} {test} is {verdict}: {told}")
            green.add((package, test))
        error = apply(patch, TREE)
        verdict, told = ("cannot be planted", error) if error else run_test(package, test)
        survived += verdict != "red"
        rows.append((patch.stem, fields["Bug"], fields["Package"], told if verdict == "red" else fields["Test"], verdict))
        print(f"{patch.stem}\t{verdict}\t{time.monotonic() - began:.0f} s\t{told}", flush=True)
    copy_tree()
    if "--write" in arguments:
        write(sorted(rows))
    print(f"{len(rows) - survived} of {len(rows)} planted bugs were caught")
    return 1 if survived else 0


def write(rows):
    head = [
        "# Planted bugs",
        "",
        "Each bug is planted alone in a copy of the code, and the test beside it must turn red: `./test section planted-long`",
        "(about ten minutes; part of `./test full`), or `tests/planted/run.py NAME` for one. `./test` checks that each can still be",
        "planted. The table is written by `tests/planted/run.py --write`.",
        "",
        "| patch in `tests/planted` | what goes wrong | caught by | result |",
        "| --- | --- | --- | --- |",
    ]
    table = [f"| `{name}` | {bug} | {package}: {test} | {verdict} |" for name, bug, package, test, verdict in rows]
    DOCUMENT.write_text("\n".join(head + table) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
