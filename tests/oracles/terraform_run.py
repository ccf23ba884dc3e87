"""Judges the Terraform module offline: format, validity, plans of dev and prod, its tests, its scripts, and checkov.

`terraform_run.py work FOLDER` installs the offline providers of $MEDIMG_SHARED/tools/terraform-offline into FOLDER and runs all but
checkov; `terraform_run.py checkov FOLDER` runs checkov (PyPI) from an environment of its own. Exit 77: what it needs is not there.
Nothing here can reach an AWS account: the providers are stand-ins, the credentials none, and the scripts' `aws` is a stub.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "terraform"
CHECKOV = "checkov==3.3.30"
NOT_RUN = 77
COMMAND_SECONDS_MAX = 600
SKIP = re.compile(r"#\s*checkov:skip=(\w+):?\s*(.*)")
REASON_CHARACTERS_MIN = 5
# What is left behind by the module's own use and is no part of it.
WORKING_FILES = (".terraform", ".terraform.lock.hcl", "terraform.tfstate*", "plans", "outputs.*.json", "backend.tf")


def not_run(why):
    print(f"not run: {why}")
    sys.exit(NOT_RUN)


def run(command, folder, environment, expected=0):
    """Runs a command; returns what it printed. Another exit code than the one expected ends the test with that print."""
    quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, cwd=folder, env=environment, timeout=COMMAND_SECONDS_MAX, **quiet)
    text = done.stdout + done.stderr
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}, {expected} is right\n{text[-6000:]}")
    return text


def install(folder):
    """Installs the offline providers; returns the environment in which terraform finds them."""
    tool = Path(os.environ.get("MEDIMG_SHARED", "../shared")) / "tools/terraform-offline"
    if shutil.which("terraform") is None:
        not_run("terraform is not on PATH")
    if not (tool / "install").is_file():
        not_run(f"the offline providers are not there ({tool})")
    offline = folder / "offline"
    done = subprocess.run(
        [tool / "install", offline], env={**os.environ, "SKIP_EMULATOR": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        not_run("the offline providers could not be installed (no network?)")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    return kept | {
        "TF_CLI_CONFIG_FILE": str(offline / "terraformrc"),
        "TF_IN_AUTOMATION": "1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "CHECKPOINT_DISABLE": "1",
    }


def copy(parent, name):
    """Copies the module, with a program that does nothing in its package, so that no run sees another's state."""
    place = parent / name / "terraform"
    shutil.copytree(MODULE, place, ignore=shutil.ignore_patterns(*WORKING_FILES))
    package = parent / name / "target/lambda/bootstrap.zip"
    package.parent.mkdir(parents=True)
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("bootstrap", "#!/bin/sh\nexit 0\n")
    return place


def judge_module(parent, environment):
    """Format, validity without a warning, and the plans of both environments."""
    place = copy(parent, "plans")
    run(["terraform", "fmt", "-check", "-recursive", "-diff"], place, environment)
    run(["terraform", "init", "-no-color", "-backend=false", "-input=false"], place, environment)
    valid = json.loads(run(["terraform", "validate", "-json"], place, environment))
    assert valid["valid"] and valid["warning_count"] == 0, valid["diagnostics"]
    said = ["format and validity as they should be"]
    for name in sorted(path.name for path in (place / "environments").iterdir()):
        variables = f"-var-file=environments/{name}/terraform.tfvars"
        text = run(["terraform", "plan", "-no-color", "-input=false", variables, "-out=it.plan"], place, environment)
        said.append(f"{name}: {re.search('^Plan: .*$', text, re.MULTILINE)[0]}")
        plan = json.loads(run(["terraform", "show", "-json", "it.plan"], place, environment))
        everything_is_described(plan)
    return said


def everything_is_described(plan):
    """Claims that every variable and output says what it is, in every module."""

    def modules(module, path):
        yield path, module
        for name, call in module.get("module_calls", {}).items():
            yield from modules(call["module"], f"{path}.{name}")

    for path, module in modules(plan["configuration"]["root_module"], "root"):
        for kind in ("variables", "outputs"):
            mute = [name for name, value in module.get(kind, {}).items() if not value.get("description")]
            assert not mute, f"{path}: {kind} without a description: {mute}"


def judge_tests(parent, environment):
    """`terraform test`."""
    place = copy(parent, "tests")
    run(["terraform", "init", "-no-color", "-backend=false", "-input=false"], place, environment)
    text = run(["terraform", "test", "-no-color"], place, environment)
    said = re.search(r"^Success! (\d+) passed, 0 failed\.$", text, re.MULTILINE)
    assert said and int(said[1]) > 0, text[-3000:]
    return [said[0]]


AWS_STUB = """#!/bin/sh
# Stands in for the AWS CLI: a secret has a value after one was put; every bucket is empty.
echo "$*" >>"$STUB_CALLS"
case "$*" in
  *list-secret-version-ids*) grep "put-secret-value.*$(echo "$*" | sed 's/.*--secret-id \\([^ ]*\\).*/\\1/')" "$STUB_CALLS" || true ;;
  *list-object-versions*)
    [ ! -e "$STUB_CALLS.gone" ] || { echo "An error occurred (NoSuchBucket)" >&2; exit 254; }
    echo '{}'
    ;;
esac
"""


def judge_scripts(parent, environment):
    """deploy.sh twice, then destroy.sh, first without and then with the audit store."""
    place = copy(parent, "scripts")
    stub = parent / "stub"
    stub.mkdir()
    (stub / "aws").write_text(AWS_STUB)
    (stub / "aws").chmod(0o755)
    calls = parent / "calls"
    calls.touch()
    environment = environment | {"PATH": f"{stub}:{environment['PATH']}", "STUB_CALLS": str(calls)}
    # Nothing but these runs changes what the stand-ins hold: looking at it again would take most of the time.
    environment |= {"TF_CLI_ARGS_plan": "-refresh=false", "TF_CLI_ARGS_destroy": "-refresh=false"}
    deploy = ["scripts/deploy.sh", "dev", "--skip-build"]
    first = run([*deploy, "--yes"], place, environment)
    steps = re.findall(r"^\[INFO\] Step (\d): ", first, re.MULTILINE)
    assert steps == list("123456789"), steps
    filled = [line for line in calls.read_text().splitlines() if "put-secret-value" in line]
    assert len(filled) == 3 and all("fileb://" in line for line in filled), filled
    # Nobody answers: it stops before anything is changed. With nothing to change there is nothing to ask.
    again = run(deploy, place, environment)
    assert "nothing to change" in again and len(re.findall("key .* stands", again)) == 3, again[-2000:]
    run([*deploy, "--", "-var", "lambda_memory_size=1024"], place, environment, expected=1)
    run(["scripts/destroy.sh", "dev"], place, environment, expected=1)
    run(["scripts/destroy.sh", "dev", "--yes", "--audit-store", "another"], place, environment, expected=1)
    run(["scripts/destroy.sh", "dev", "--yes"], place, environment)
    kept = run(["terraform", "state", "list"], place, environment).split()
    left = {name for name in kept if not name.startswith(("module.ledger.", "data."))}
    assert not left and "module.ledger.aws_dynamodb_table.ledger" in kept, left
    emptied = set(re.findall(r"list-object-versions --bucket (\S+)", calls.read_text()))
    assert {name.split("-")[4] for name in emptied} == {"raw", "processed", "logs"}, emptied
    # Raw, processed and logs are gone by now.
    Path(f"{calls}.gone").touch()
    run(["scripts/destroy.sh", "dev", "--yes", "--audit-store", "medical-imaging-pipeline-dev"], place, environment)
    kept = [name for name in run(["terraform", "state", "list"], place, environment).split() if ".data." not in name]
    assert not [name for name in kept if not name.startswith("data.")], kept
    return ["deploy.sh and destroy.sh do what they say, and do nothing twice"]


def work(folder):
    environment = install(folder)
    with tempfile.TemporaryDirectory(prefix="medimg-terraform-") as parent, ThreadPoolExecutor(2) as pool:
        parts = [pool.submit(part, Path(parent), environment) for part in (judge_tests, judge_scripts, judge_module)]
        for part in parts:
            print("\n".join(part.result()))


def skips(place):
    """Returns every skip that stands in the module: (check, file) and its reason."""
    found = {}
    for path in sorted(place.rglob("*.tf")):
        for line in path.read_text().splitlines():
            if match := SKIP.search(line):
                found[match[1], f"/{path.relative_to(place)}"] = match[2]
    return found


def checkov(folder):
    """What checkov finds with all skips taken out is exactly what is skipped, each with its reason: none is missing, none is needless."""
    python = folder / "checkov/bin/python"
    if not (folder / "checkov/bin/checkov").is_file():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder / "checkov")], check=False).returncode == 0
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", CHECKOV]
        if not made or subprocess.run(pip, check=False).returncode != 0:
            shutil.rmtree(folder / "checkov", ignore_errors=True)
            not_run("no network to fetch checkov, or no wheel for this platform")
    with tempfile.TemporaryDirectory(prefix="medimg-checkov-") as parent:
        place = copy(Path(parent), "bare")
        # Written in a language of their own, which it cannot read.
        shutil.rmtree(place / "tests")
        skipped = skips(place)
        for path in place.rglob("*.tf"):
            path.write_text("".join(line for line in path.read_text().splitlines(True) if not SKIP.search(line)))
        command = [folder / "checkov/bin/checkov", "-d", place, "--framework", "terraform", "--skip-download", "-o", "json", "--compact"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False)
        report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["summary"]["parsing_errors"] == 0 and report["summary"]["passed"] > 100, report["summary"]
    found = {(check["check_id"], check["file_path"]) for check in report["results"]["failed_checks"]}
    mute = [skip for skip, reason in skipped.items() if len(reason) < REASON_CHARACTERS_MIN]
    problems = [f"failed: {check} in {file}" for check, file in sorted(found - set(skipped))]
    problems += [f"a skip that nothing needs: {check} in {file}" for check, file in sorted(set(skipped) - found)]
    problems += [f"a skip without a reason: {check} in {file}" for check, file in mute]
    print("\n".join(problems) or f"{report['summary']['passed']} passed, {len(skipped)} skips, each needed and explained")
    sys.exit(bool(problems))


def main():
    folder = Path(sys.argv[2]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    {"work": work, "checkov": checkov}[sys.argv[1]](folder)


if __name__ == "__main__":
    main()
