"""Makes bundles with `medimg prove` and has their own scripts check them; then changes them in every way.

Usage: prove_run.py MEDIMG. Each bundle must check out as it is, unpacked and zipped, with and without the log; each changed copy
must be refused by check.py or by check_signature.sh. The scripts are those of the bundle: Python's standard library and openssl.
"""

import ast
import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import medimg

SEED = 20261124
# Single bytes that are changed in each bundle.
CHANGES = 60
ORACLE = "openssl"


class Place:
    """A demo store, and the bundles that were made of it."""

    def __init__(self, binary, scratch):
        self.binary, self.scratch, self.store = binary, scratch, scratch / "store"
        self.environment = {"MEDIMG_HEADS": str(scratch / "heads")}
        inputs = scratch / "in"
        self.call("demo", "--write", inputs)
        assert self.call("process", inputs, "--store", self.store).code == 1, "the demo has what is refused"
        self.key = self.call("checkpoint", "--vkey", "--store", self.store).stdout.decode().strip()

    def call(self, *arguments):
        return medimg.call(self.binary, *arguments, env=self.environment)

    def prove(self, what, name, *flags):
        """Makes a bundle; returns its zip, and the folder into which it was unpacked."""
        path = self.scratch / f"{name}.zip"
        done = self.call("prove", what, "-o", path, "--store", self.store, *flags)
        if done.code != 0:
            raise RuntimeError(f"prove {name} exits {done.code}: {done.stderr.decode()}")
        folder = self.scratch / name
        with zipfile.ZipFile(path) as bundle:
            bundle.extractall(folder)
        return path, folder


def run(*command, env=None):
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=600, env=environment)
    return done.returncode, done.stdout + done.stderr


def check(bundle, *options, script=None):
    script = script or (bundle if bundle.is_dir() else bundle.with_suffix("")) / "check.py"
    return run(sys.executable, script, bundle, *options)


def check_signature(folder, *options, shell="sh"):
    return run(shell, folder / "check_signature.sh", *options)


def verdict(folder, key, *options):
    """Returns the worse exit code of both scripts, and what the one that refuses says."""
    code, said = check(folder, "--vkey", key, *options)
    if code in (0, 3):
        signature, told = check_signature(folder, "--vkey", key)
        return (signature, told) if signature else (code, said)
    return code, said


# ---- changes that know what they do ----------------------------------------------------------------------------------------------


def read_lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def write_lines(folder, name, rows):
    (folder / name).write_text("".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows))


def edit_statement(folder, **fields):
    path = folder / "statement.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}) + "\n")


def leaf_hash(header):
    return hashlib.sha256(b"\0" + header.encode()).digest()


def entry_edit(field, change):
    def edit(folder, _):
        rows = read_lines(folder, "entries.ndjson")
        rows[-1][field] = change(rows[-1][field])
        write_lines(folder, "entries.ndjson", rows)

    return edit


def another_time(header):
    fields = header.split("\n")
    fields[9] = "2020" + fields[9][4:]
    return "\n".join(fields)


def rehash_header(folder, _):
    rows = read_lines(folder, "entries.ndjson")
    rows[-1]["header"] = another_time(rows[-1]["header"])
    rows[-1]["leafhash"] = base64.b64encode(leaf_hash(rows[-1]["header"])).decode()
    write_lines(folder, "entries.ndjson", rows)


def rehash_body(folder, _):
    rows = read_lines(folder, "entries.ndjson")
    row = rows[-1]
    row["body"] = row["body"].replace("1", "2")
    hashed = hashlib.sha256(base64.b64decode(row["nonce"]) + row["body"].encode()).digest()
    fields = row["header"].split("\n")
    fields[10] = "sha256:" + base64.b64encode(hashed).decode()
    row["header"] = "\n".join(fields)
    row["leafhash"] = base64.b64encode(leaf_hash(row["header"])).decode()
    write_lines(folder, "entries.ndjson", rows)


def keep_entries(folder, kept):
    """Leaves entries out of everything that names them, as one who knows the form would."""
    rows, proofs = read_lines(folder, "entries.ndjson"), read_lines(folder, "proofs.ndjson")
    statement = json.loads((folder / "statement.json").read_text())
    leaves = [row["leafindex"] for row in rows if kept(row)]
    write_lines(folder, "entries.ndjson", [row for row in rows if row["leafindex"] in leaves])
    write_lines(folder, "proofs.ndjson", [row for row in proofs if row["leafindex"] in leaves])
    edit_statement(folder, leaves=leaves, carrying=[leaf for leaf in statement["carrying"] if leaf in leaves])


def leave_out_a_stream(folder, _):
    first = read_lines(folder, "entries.ndjson")[0]["header"].split("\n")[2]
    keep_entries(folder, lambda row: row["header"].split("\n")[2] != first)


def leave_out_the_end_of_a_stream(folder, _):
    last = read_lines(folder, "entries.ndjson")[-1]["leafindex"]
    keep_entries(folder, lambda row: row["leafindex"] != last)


def leave_out_the_middle_of_a_stream(folder, _):
    keep_entries(folder, lambda row: row["header"].split("\n")[3] != "2")


def add_a_stream(folder, others):
    """Adds a whole stream of another study with its true proofs."""
    rows, proofs = read_lines(folder, "entries.ndjson"), read_lines(folder, "proofs.ndjson")
    known = {row["leafindex"] for row in rows}
    rows += [row for row in read_lines(others, "entries.ndjson") if row["leafindex"] not in known]
    proofs += [row for row in read_lines(others, "proofs.ndjson") if row["leafindex"] not in known]
    rows.sort(key=lambda row: row["leafindex"])
    proofs.sort(key=lambda row: row["leafindex"])
    write_lines(folder, "entries.ndjson", rows)
    write_lines(folder, "proofs.ndjson", proofs)
    edit_statement(folder, leaves=[row["leafindex"] for row in rows])


def add_a_stream_and_its_study(folder, others):
    add_a_stream(folder, others)
    statement, other = (json.loads((where / "statement.json").read_text()) for where in (folder, others))
    carrying = sorted({*statement["carrying"], *other["carrying"]})
    edit_statement(folder, subjects=statement["subjects"], carrying=carrying)


def name_another_study(folder, others):
    edit_statement(folder, subjects=json.loads((others / "statement.json").read_text())["subjects"])


def other_kind(folder, _):
    edit_statement(folder, kind="stream", subjects=[], carrying=[], log=False)


def swap_proofs(folder, _):
    proofs = read_lines(folder, "proofs.ndjson")
    proofs[0]["hashes"], proofs[-1]["hashes"] = proofs[-1]["hashes"], proofs[0]["hashes"]
    write_lines(folder, "proofs.ndjson", proofs)


def drop_proof(folder, _):
    write_lines(folder, "proofs.ndjson", read_lines(folder, "proofs.ndjson")[:-1])


def swap_entries(folder, _):
    rows = read_lines(folder, "entries.ndjson")
    rows[0], rows[1] = rows[1], rows[0]
    write_lines(folder, "entries.ndjson", rows)


def repeat_entry(folder, _):
    for name in ("entries.ndjson", "proofs.ndjson"):
        rows = read_lines(folder, name)
        write_lines(folder, name, [*rows, rows[-1]])


def other_checkpoint(folder, others):
    """A true checkpoint of the same log, of another size."""
    for name in ("checkpoint", "log/checkpoint"):
        if (folder / name).exists():
            shutil.copy(others / "checkpoint", folder / name)


def smaller_log(folder, _):
    bundle = next((folder / "log/tile/entries").rglob("*.p/*"))
    content = bundle.read_bytes()
    bundle.write_bytes(content[: -2 - int.from_bytes(content[:2], "big")])


def lose_log(folder, _):
    shutil.rmtree(folder / "log")


def cut_entries(folder, _):
    path = folder / "entries.ndjson"
    path.write_bytes(path.read_bytes()[:-20])


class Signer:
    """A key of openssl's, under a name (c2sp.org/signed-note)."""

    def __init__(self, scratch, name, kind):
        self.scratch, self.name, self.pem = scratch, name, scratch / f"{name.replace('/', '-')}.pem"
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.pem)
        der = scratch / "public.der"
        run("openssl", "pkey", "-in", self.pem, "-pubout", "-outform", "DER", "-out", der)
        self.public = bytes([kind]) + der.read_bytes()[-32:]
        self.id = hashlib.sha256(name.encode() + b"\n" + self.public).digest()[:4]

    @property
    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.public).decode()}"

    def line(self, message, before=b""):
        text, signature = self.scratch / "message", self.scratch / "signature"
        text.write_text(message)
        run("openssl", "pkeyutl", "-sign", "-inkey", self.pem, "-rawin", "-in", text, "-out", signature)
        return f"\u2014 {self.name} {base64.b64encode(self.id + before + signature.read_bytes()).decode()}\n"


def signed_text(folder):
    return "".join((folder / "checkpoint").read_text().splitlines(keepends=True)[:3])


def resigned(folder, _):
    """Everything fits together, signed by somebody else under the log's name."""
    text = signed_text(folder)
    with tempfile.TemporaryDirectory() as scratch:
        signer = Signer(Path(scratch), text.split("\n", 1)[0], 1)
        note = f"{text}\n{signer.line(text)}"
    for name in ("checkpoint", "log/checkpoint"):
        if (folder / name).exists():
            (folder / name).write_text(note)
    (folder / "vkey").write_text(signer.vkey + "\n")


def cosigned(findings, place, study):
    """A witness signs the checkpoint too (c2sp.org/tlog-cosignature); the bundle carries its line."""
    folder = place.scratch / "cosigned"
    shutil.copytree(study[1], folder)
    witness, stranger = (Signer(place.scratch, name, 4) for name in ("witness.example/w1", "witness.example/w2"))
    time, text = 1_790_812_800, signed_text(folder)
    line = witness.line(f"cosignature/v1\ntime {time}\n{text}", time.to_bytes(8, "big"))
    early = witness.line(f"cosignature/v1\ntime {time}\n{text}", (time - 1).to_bytes(8, "big"))
    plain = (folder / "checkpoint").read_text()
    for added, expected, told in ((line, 0, f"at {time} "), (early, 1, "REFUSED"), ("", 1, "REFUSED")):
        for name in ("checkpoint", "log/checkpoint"):
            (folder / name).write_text(plain + added)
        code, said = check(folder, "--vkey", place.key)
        findings.check(ORACLE, code == 0, f"with a cosignature: exit {code}: {said}")
        code, said = check_signature(folder, "--vkey", place.key, "--witness", witness.vkey)
        findings.check(ORACLE, code == expected and told in said, f"cosignature: exit {code}, not {expected}: {said}")
    (folder / "checkpoint").write_text(plain + line)
    code, said = check_signature(folder, "--vkey", place.key, "--witness", witness.vkey, "--witness", stranger.vkey)
    findings.check(ORACLE, code == 1, f"a witness who did not sign: exit {code}: {said}")


EDITS = {
    "header changed": entry_edit("header", another_time),
    "header changed and re-hashed": rehash_header,
    "body changed": entry_edit("body", lambda text: text.replace("1", "2", 1)),
    "body changed and re-hashed": rehash_body,
    "nonce changed": entry_edit("nonce", lambda text: base64.b64encode(b"\x01" * 16).decode()),
    "leaf hash changed": entry_edit("leafhash", lambda text: base64.b64encode(b"\x01" * 32).decode()),
    "leaf index changed": entry_edit("leafindex", lambda index: index + 1),
    "proofs swapped": swap_proofs,
    "proof dropped": drop_proof,
    "entry told twice": repeat_entry,
    "entries cut": cut_entries,
    "checkpoint of another size": other_checkpoint,
}
STUDY_EDITS = {
    "entries in another order": swap_entries,
    "stream left out": leave_out_a_stream,
    "end of a stream left out": leave_out_the_end_of_a_stream,
    "middle of a stream left out": leave_out_the_middle_of_a_stream,
    "stream of another study added": add_a_stream,
    "stream and leaves of another study added": add_a_stream_and_its_study,
    "another study named": name_another_study,
    "other kind": other_kind,
    "log cut": smaller_log,
    "log lost": lose_log,
}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edited(findings, folder, key, others, edits, *options):
    for what, edit in edits.items():
        copy = folder.with_name("edited")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        edit(copy, others)
        if contents(copy) == contents(folder):
            # One proof has no other to be swapped with.
            findings.check(ORACLE, what == "proofs swapped", f"{folder.name}: {what}: nothing was changed")
            continue
        code, said = verdict(copy, key, *options)
        findings.check(ORACLE, code == 1, f"{folder.name}: {what}: exit {code}: {said[-200:]}")
    return len(edits)


# ---- changes that know nothing ---------------------------------------------------------------------------------------------------


def bytes_changed(findings, folder, key, rng, count):
    """Changes single bytes of what the scripts read."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("README.txt", "check.py", "check_signature.sh")]
    for _ in range(count):
        path = rng.choice(names)
        content = bytearray(path.read_bytes())
        at, before = rng.randrange(len(content)), bytes(content)
        content[at] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        code, said = verdict(folder, key)
        told = f"{folder.name}: byte {at} of {path.relative_to(folder)} changed, seed {SEED}: exit {code}: {said[-200:]}"
        # A changed name of a key may make it another key, which is no verdict either.
        findings.check(ORACLE, code in (1, 2), told)
        path.write_bytes(before)
    return count


def zip_changed(findings, bundle, key, rng, count):
    """Cuts the zip, and changes bytes of what is compressed in it."""
    whole, other = bundle.read_bytes(), bundle.with_name("other.zip")
    script = bundle.with_suffix("") / "check.py"
    for _ in range(count):
        other.write_bytes(whole[: rng.randrange(len(whole))])
        code, said = check(other, "--vkey", key, script=script)
        findings.check(ORACLE, code in (1, 2), f"a zip that is cut: exit {code}: {said[-200:]}")
    with zipfile.ZipFile(bundle) as members:
        infos = [info for info in members.infolist() if info.filename.endswith(".ndjson") or info.filename.startswith("log/tile")]
    for info in infos:
        content = bytearray(whole)
        content[info.header_offset + 40 + len(info.filename) + info.compress_size // 2] ^= 1
        other.write_bytes(content)
        code, said = check(other, "--vkey", key, script=script)
        findings.check(ORACLE, code == 1, f"{info.filename} damaged in the zip: exit {code}: {said[-200:]}")
    return count + len(infos)


# ---- what must hold --------------------------------------------------------------------------------------------------------------


def holds(findings, bundle, folder, key, expected, *options):
    for what, (code, said) in {
        "unpacked": check(folder, "--vkey", key, *options),
        "zipped": check(bundle, "--vkey", key, *options),
        "without a key from outside": check(folder, *options),
    }.items():
        findings.check(ORACLE, code == expected, f"{folder.name}, {what}: exit {code}, not {expected}: {said}")
    for shell in filter(shutil.which, ("sh", "dash", "bash")):
        for keys in ((), ("--vkey", key)):
            code, said = check_signature(folder, *keys, shell=shell)
            findings.check(ORACLE, code == 0, f"{folder.name}, signature in {shell}: exit {code}: {said}")


def outside(findings, place, study, older):
    """Keys and checkpoints from outside."""
    _, folder = study
    stranger = place.scratch / "stranger"
    shutil.copytree(folder, stranger)
    resigned(stranger, None)
    code, said = check(stranger)
    findings.check(ORACLE, code == 0, f"signed by somebody else: it fits together, yet exit {code}: {said}")
    code, said = check_signature(stranger)
    findings.check(ORACLE, code == 0, f"signed by somebody else: the signature is right, yet exit {code}: {said}")
    for code, said in (check(stranger, "--vkey", place.key), check_signature(stranger, "--vkey", place.key)):
        findings.check(ORACLE, code == 1, f"signed by somebody else: exit {code}: {said}")
    code, said = check(folder, "--checkpoint", older[1] / "checkpoint")
    findings.check(ORACLE, code == 0 and "continuation" in said, f"an older checkpoint: exit {code}: {said}")
    forged = place.scratch / "forged-checkpoint"
    lines = (older[1] / "checkpoint").read_text().split("\n")
    forged.write_text("\n".join([*lines[:2], base64.b64encode(b"\x01" * 32).decode(), *lines[3:]]))
    code, said = check(folder, "--checkpoint", forged)
    findings.check(ORACLE, code == 1, f"an older checkpoint of another tree: exit {code}: {said}")
    code, said = check(older[1], "--checkpoint", folder / "checkpoint")
    findings.check(ORACLE, code == 2, f"a checkpoint of a later size: exit {code}: {said}")


def main():
    binary, rng, findings = Path(sys.argv[1]).absolute(), random.Random(SEED), medimg.Findings(ORACLE)
    version = run("openssl", "version")[1] if shutil.which("openssl") else ""
    if not version.startswith("OpenSSL ") or version.split()[1] < "3":
        print(f"not run: no openssl of version 3 ({version.strip() or 'none'})")
        return medimg.NOT_RUN
    with tempfile.TemporaryDirectory(prefix="medimg-prove-") as scratch:
        place = Place(binary, Path(scratch))
        studies = sorted(path.name for path in (place.store / "processed").iterdir())
        older = place.prove(studies[0], "older")
        study, other = place.prove(studies[0], "study"), place.prove(studies[1], "other")
        bare = place.prove(studies[0], "bare", "--without-log")
        entry = place.prove("5", "entry")
        stream = place.prove(read_lines(study[1], "entries.ndjson")[0]["header"].split("\n")[2], "stream")
        ast.parse((study[1] / "check.py").read_text(), feature_version=(3, 8))
        log = ("--log", place.store / "log" / "0")
        for bundle, expected in ((study, 0), (other, 0), (bare, 3), (entry, 0), (stream, 0)):
            holds(findings, *bundle, place.key, expected)
        for bundle in (bare, entry, stream):
            code, said = check(bundle[1], "--vkey", place.key, *log)
            findings.check(ORACLE, code == 0, f"{bundle[1].name} with the log of the store: exit {code}: {said}")
        outside(findings, place, study, older)
        cosigned(findings, place, study)
        changed = edited(findings, study[1], place.key, other[1], {**EDITS, **STUDY_EDITS})
        changed += edited(findings, bare[1], place.key, other[1], {**EDITS, **dict(list(STUDY_EDITS.items())[:-2])}, *log)
        changed += edited(findings, stream[1], place.key, entry[1], EDITS)
        changed += edited(findings, entry[1], place.key, stream[1], EDITS)
        # Only the log tells that a stream goes on.
        end = {"end of a stream left out": leave_out_the_end_of_a_stream}
        changed += edited(findings, stream[1], place.key, entry[1], end, *log)
        for bundle in (study, entry):
            changed += bytes_changed(findings, bundle[1], place.key, rng, CHANGES)
        changed += zip_changed(findings, study[0], place.key, rng, 10)
    print(f"5 bundles check out, {changed} changed copies, {version.strip()}")
    return findings.conclude()


if __name__ == "__main__":
    sys.exit(main())
