"""A site and a witness as two processes, judged from outside: the cosignature by `openssl pkeyutl`, HTTPS through a proxy of Python's
`ssl` with a certificate that `openssl req` made.

Usage: witness_run.py MEDIMG. Shares no code with the program: note, key id and signed message are made here from the C2SP texts.
Exit 77: there is no openssl that knows Ed25519.
"""

import base64
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SECONDS_MAX = 60
NOT_RUN = 77
# DER of a SubjectPublicKeyInfo for Ed25519 (RFC 8410) up to the 32 bytes of the key.
SPKI = bytes.fromhex("302a300506032b6570032100")


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=SECONDS_MAX, check=False, **more)


def verifies(folder, public, message, signature):
    """What openssl says of an Ed25519 signature."""
    der = SPKI + public
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"
    for name, content in (("key.pem", pem), ("message", message), ("signature", signature)):
        (folder / name).write_bytes(content)
    keys = ("-pubin", "-inkey", folder / "key.pem")
    done = run("openssl", "pkeyutl", "-verify", *keys, "-rawin", "-in", folder / "message", "-sigfile", folder / "signature")
    return done.returncode == 0


def lines_of(note):
    """The text of a note and, by key name, the id and the bytes of each signature line (c2sp.org/signed-note)."""
    text, _, signatures = note.rpartition("\n\n")
    found = {}
    for line in signatures.strip("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        assert dash == "\u2014", line
        raw = base64.b64decode(encoded, validate=True)
        found[name] = (raw[:4], raw[4:])
    return text + "\n", found


def key_of(vkey):
    name, identity, encoded = vkey.split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    assert expected.hex() == identity and len(raw) == 33, vkey
    return name, expected, raw[0], raw[1:]


def judge_note(folder, note, log_vkey, witness_vkey):
    """The log's signature is of type 1, the witness' of type 4 over its own time; neither is good for anything else."""
    text, lines = lines_of(note)
    name, identity, kind, public = key_of(log_vkey)
    assert kind == 1 and name == text.split("\n", 1)[0] and lines[name][0] == identity
    assert verifies(folder, public, text.encode(), lines[name][1]), "the log's signature"
    name, identity, kind, public = key_of(witness_vkey)
    assert kind == 4 and lines[name][0] == identity and len(lines[name][1]) == 72
    time = int.from_bytes(lines[name][1][:8], "big")
    message = f"cosignature/v1\ntime {time}\n{text}".encode()
    assert verifies(folder, public, message, lines[name][1][8:]), "the cosignature"
    later = f"cosignature/v1\ntime {time + 1}\n{text}".encode()
    assert not verifies(folder, public, later, lines[name][1][8:]), "openssl refuses another time"
    assert not verifies(folder, public, text.encode(), lines[name][1][8:]), "and the bare text"
    return time


class Proxy:
    """Speaks HTTPS and hands every connection on to the witness; the witness itself speaks plain HTTP."""

    def __init__(self, certificate, key, target):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.listener, self.target, self.context = socket.create_server(("127.0.0.1", 0)), target, context
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            raw, _ = self.listener.accept()
            threading.Thread(target=self.one, args=(raw,), daemon=True).start()

    def one(self, raw):
        try:
            client = self.context.wrap_socket(raw, server_side=True)
            with client, socket.create_connection(self.target, SECONDS_MAX) as witness:
                back = threading.Thread(target=self.copy, args=(witness, client), daemon=True)
                back.start()
                self.copy(client, witness)
                back.join(SECONDS_MAX)
        except (OSError, ssl.SSLError):
            pass

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except (OSError, ssl.SSLError):
            pass


def main(binary):
    if not shutil.which("openssl"):
        print("there is no openssl")
        return NOT_RUN
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if run("openssl", "genpkey", "-algorithm", "ED25519", "-out", folder / "probe.pem").returncode != 0:
            print("openssl knows no Ed25519")
            return NOT_RUN
        return judge(binary, folder)


def judge(binary, folder):
    environment = {word: value for word, value in os.environ.items() if not word.upper().startswith(("MEDIMG_", "SSL_CERT_"))}
    environment = {word: value for word, value in environment.items() if not word.lower().endswith("_proxy")}
    environment["MEDIMG_HEADS"] = str(folder / "heads")

    def medimg(*words, **more):
        return run(binary, *words, env={**environment, **more})

    store = folder / "store"
    assert medimg("demo", "--quiet", "--store", store).returncode == 0
    log_vkey = medimg("checkpoint", "--vkey", "--store", store).stdout.strip()
    command = [binary, "witness", "--json", "--listen", "127.0.0.1:0", "--name", "w.example/1", "--store", folder / "w"]
    witness = subprocess.Popen([*map(str, command), "--log", log_vkey], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        told = json.loads(witness.stdout.readline())
        host, port = told["listening"].split(":")
        certificate, key = folder / "certificate.pem", folder / "private.pem"
        made = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key,
                   "-out", certificate, "-subj", "/CN=w.example", "-addext", "subjectAltName=IP:127.0.0.1",
                   "-addext", "basicConstraints=critical,CA:FALSE")
        assert made.returncode == 0, made.stderr
        proxy = Proxy(certificate, key, (host, int(port)))
        ask = ("checkpoint", "--json", "--store", store, "--witness-key", told["vkey"], "--witness")
        secure = f"https://127.0.0.1:{proxy.port}"
        # A certificate that nobody vouches for: nothing is sent, the checkpoint is published without a cosignature.
        distrusted = medimg(*ask, secure, SSL_CERT_FILE="/dev/null", SSL_CERT_DIR="/nonexistent")
        assert distrusted.returncode == 0 and "witness_away" in distrusted.stderr, distrusted.stderr
        assert "certificate" in distrusted.stderr, distrusted.stderr
        assert "w.example/1 " not in json.loads(distrusted.stdout)["checkpoint"]["note"]
        # The site's own authority, named as OpenSSL's tools name it.
        trusted = medimg(*ask, secure, SSL_CERT_FILE=str(certificate))
        assert trusted.returncode == 0 and "warning" not in trusted.stderr, trusted.stderr
        time = judge_note(folder, json.loads(trusted.stdout)["checkpoint"]["note"], log_vkey, told["vkey"])
        published = (store / "log" / "0" / "checkpoint").read_text()
        judge_note(folder, published, log_vkey, told["vkey"])
        print(f"openssl accepts the cosignature made at {time} and refuses it for another time; HTTPS with a trusted certificate only")
    finally:
        witness.terminate()
        assert witness.wait(SECONDS_MAX) == 0, "SIGTERM ends a witness well"
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
