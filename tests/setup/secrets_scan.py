"""Looks for secrets in every file that is, was or is about to be committed: access keys, private keys, tokens, key files.

Exits with 1 and names file and rule, never the secret. `--self-test` plants one of each kind and sees each caught.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Longer files are data; what is secret in text stands in their first megabytes or nowhere.
BYTES_MAX = 4 << 20
RULES = {
    "access key id": rb"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    "secret access key": rb"(?i)aws_?secret_?(?:access_?)?key\W{1,8}[A-Za-z0-9/+]{40}\b",
    "private key": rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "putty private key": rb"PuTTY-User-Key-File-\d",
    "signing key": rb"\bPRIVATE\+KEY\+[^\s+]+\+[0-9a-f]{8}\+",
    "github token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "gitlab token": rb"\bglpat-[A-Za-z0-9_-]{20,}",
    "slack token": rb"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "package registry token": rb"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgEI[A-Za-z0-9_-]{40,}|cio[A-Za-z0-9]{32})\b",
    "api key": rb"\b(?:AIza[A-Za-z0-9_-]{35}|sk-[A-Za-z0-9_-]{32,})",
    "json web token": rb"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "password in a url": rb"\b[a-z][a-z0-9+]{2,9}://[^\s/:@'\"{}$<>]+:[^\s/:@'\"{}$<>]{4,}@[a-z0-9]",
    "assigned secret": rb"(?i)\b(?:password|passwd|secret|api_?key|auth_?token)[\"']?\s*[:=]\s*[\"'][A-Za-z0-9+/=_-]{20,}[\"']",
}
PATTERNS = {name: re.compile(pattern) for name, pattern in RULES.items()}
KEY_FILE = re.compile(
    r"(?:^|/)(?:[^/]*\.(?:pem|key|p12|pfx|jks|keystore|ppk|kdbx|tfstate|sqlite)|id_(?:rsa|dsa|ecdsa|ed25519)|\.env(?:\.[^/]*)?"
    r"|\.netrc|\.pypirc|\.npmrc|credentials|keys/(?:stream|mapping|index\.v\d+))$"
)


def findings(name, content):
    """Returns the rules that the file breaks."""
    broken = [rule for rule, pattern in PATTERNS.items() if pattern.search(content[:BYTES_MAX])]
    if KEY_FILE.search(name):
        broken.append("key file by its name")
    if len(content) in (16, 32, 64) and any(byte >= 0x80 or byte < 9 for byte in content):
        broken.append("key file by its form: 16, 32 or 64 bytes that are no text")
    return broken


def git(*arguments, given=None):
    return subprocess.run(["git", *arguments], input=given, stdout=subprocess.PIPE, check=True).stdout


def working_files(root):
    """Yields (name, content) of every file that git tracks or would add."""
    for raw in git("-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0"):
        path = root / raw.decode(errors="surrogateescape")
        if raw and path.is_file() and not path.is_symlink():
            yield path.relative_to(root).as_posix(), path.read_bytes()


def past_files(root):
    """Yields (name, content) of every file of the history: a secret that was deleted is still committed."""
    objects = git("-C", str(root), "rev-list", "--objects", "HEAD").splitlines()
    named = dict(line.split(b" ", 1) for line in objects if b" " in line)
    answer = git("-C", str(root), "cat-file", "--batch", given=b"\n".join(named) + b"\n")
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        oid, kind, size = answer[at:end].split(b" ")
        content = answer[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)
        if kind == b"blob":
            yield named[oid].decode(errors="replace"), content


def planted():
    """Returns one secret of each kind, put together here so that this file holds none."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" * 2
    lower = letters.lower()
    return {
        "access key id": "AKIA" + letters[:16],
        "secret access key": "aws_secret_access_key = " + letters[:40],
        "private key": "-----BEGIN EC " + "PRIVATE KEY-----",
        "putty private key": "PuTTY-User-Key-" + "File-3: ssh-ed25519",
        "signing key": "PRIVATE+" + "KEY+log+0a1b2c3d+AAAA",
        "github token": "ghp_" + lower[:36],
        "gitlab token": "glpat-" + lower[:20],
        "slack token": "xoxb-" + lower[:20],
        "package registry token": "npm_" + lower[:36],
        "api key": "AIza" + lower[:35],
        "json web token": ".".join(["eyJ" + lower[:20], "eyJ" + lower[:20], lower[:20]]),
        "password in a url": "https://user:" + lower[:8] + "@host",
        "assigned secret": 'api_key = "' + lower[:24] + '"',
    }


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        git("init", "-q", folder)
        for number, (rule, text) in enumerate(planted().items()):
            (root / f"{number}.txt").write_text(f"first line\n{text}\n")
        (root / "keys").mkdir()
        (root / "keys" / "mapping").write_bytes(bytes(range(100, 132)))
        (root / "plain.txt").write_text("The key check value is HMAC(key, `kcv`); AKIA is a prefix.\n")
        caught = {name: findings(name, content) for name, content in working_files(root)}
        missed = [rule for n, rule in enumerate(planted()) if rule not in caught[f"{n}.txt"]]
        missed += ["key file"] if len(caught["keys/mapping"]) != 2 else []
        missed += ["a plain text is no secret"] if caught["plain.txt"] else []
        identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        git("-C", folder, "add", ".")
        git("-C", folder, *identity, "commit", "-qm", "planted")
        git("-C", folder, "rm", "-q", "0.txt")
        git("-C", folder, *identity, "commit", "-qm", "deleted")
        if not any(name == "0.txt" and findings(name, content) for name, content in past_files(root)):
            missed.append("a secret deleted in a later commit")
    for rule in missed:
        print(f"self-test: not caught: {rule}", file=sys.stderr)
    print(f"self-test: {len(PATTERNS)} planted secrets, a key file and a deleted secret: {'MISSED' if missed else 'all caught'}")
    return 1 if missed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root, found, count = Path.cwd(), set(), 0
    for origin, files in (("", working_files(root)), (" (in the history)", past_files(root))):
        for name, content in files:
            count += 1
            found |= {f"{name}{origin}: {rule}" for rule in findings(name, content)}
    for line in sorted(found):
        print(line, file=sys.stderr)
    print(f"{count} files and past versions looked at, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
