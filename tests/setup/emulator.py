"""Runs a command beside the AWS emulator (ministack) and a proxy that makes its answers fail (microburst).

    emulator.py FOLDER -- COMMAND...      FOLDER holds the virtual environment (made when needed), state and logs

The command sees AWS_ENDPOINT_URL (the emulator), MEDIMG_FAULTS_URL (the same through the proxy) and credentials that mean nothing.
Both servers listen on free ports of this machine only, begin without any variable of the caller, and end with the command.
Exit: that of the command; 77 where the emulator cannot be installed; 1 where it does not start or does not end by itself.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from environment import NOT_RUN, install

REQUIREMENTS = Path(__file__).with_name("emulator-requirements.txt")
REGION = "eu-central-1"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20


def free_port():
    """Returns a port that nobody listens on at the moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def wait_until_ready(server, url, log):
    """Waits, bounded, until the server answers; says with its log why it does not."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"no answer from {url} within {START_SECONDS_MAX} s; its log ends:\n{log.read_text()[-2000:]}")


def stop(server):
    """Ends a server with all that it started. Returns whether it ended by itself."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS_MAX)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        # Functions that the emulator started are in its group.
        try:
            os.killpg(server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        server.wait()


class Emulator:
    """The emulator and its proxy, as a context."""

    def __init__(self, folder):
        self.folder, self.servers = folder, []
        self.url, self.faults_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))

    def environment(self):
        """What a client of the emulator needs to know."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "MEDIMG_FAULTS_URL": self.faults_url,
        }

    def start(self, name, command, ready, **variables):
        log = self.folder / f"{name}.log"
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        # Functions inherit what the emulator sees: nothing of the caller's may leak into them.
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), **variables}
        with log.open("w") as out:
            server = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
        self.servers.append((name, server))
        wait_until_ready(server, ready, log)

    def __enter__(self):
        programs = self.folder / "venv" / "bin"
        port = self.url.rpartition(":")[2]
        ours = {key: value for key, value in self.environment().items() if key.startswith("AWS_")}
        listen = {"GATEWAY_PORT": port, "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "MINISTACK_REGION": REGION}
        try:
            self.start("ministack", [programs / "ministack"], f"{self.url}/_ministack/health", **ours, **listen)
            proxy = [programs / "microburst", "--upstream", self.url, "--port", self.faults_url.rpartition(":")[2], "--no-resign"]
            self.start("microburst", proxy, f"{self.faults_url}/_microburst/health")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        stubborn = [name for name, server in reversed(self.servers) if not stop(server)]
        self.servers = []
        if stubborn:
            raise RuntimeError(f"{', '.join(stubborn)} had to be killed after {STOP_SECONDS_MAX} s")


def main():
    folder, separator, command = Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3:]
    assert separator == "--" and command, __doc__
    # Without what its packages need the emulator would not start: a part of them is none.
    if install(folder / "venv", REQUIREMENTS) != 0 or not (folder / "venv" / "installed").is_file():
        print("not run: the AWS emulator cannot be installed (no network, or Python older than 3.11)")
        return NOT_RUN
    with Emulator(folder) as emulator:
        return subprocess.run(command, env={**os.environ, **emulator.environment()}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
