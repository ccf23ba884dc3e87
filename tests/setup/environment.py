"""Makes a virtual environment under the target folder and installs requirements into it: `environment.py FOLDER [REQUIREMENTS]`,
by default those of the tests, requirements.txt beside this file.

Prints the path of its interpreter. Without a network it says so and exits with 77: what needs a package is then "not run".
A package that alone cannot be had (no wheel for this platform) is named; the others are installed all the same.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
NOT_RUN = 77


def pip_install(python, *arguments):
    """Runs pip; returns whether everything named is installed afterwards."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", *arguments]
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0


def make(folder):
    """Makes the empty environment; on Debian, where `venv` is a package of its own, installs that first if it may."""
    create = [sys.executable, "-m", "venv", "--clear", str(folder)]
    if subprocess.run(create, stdout=sys.stderr, check=False).returncode == 0:
        return True
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print("this Python cannot make virtual environments (on Debian: install python3-venv)", file=sys.stderr)
        return False
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", "python3-venv"]):
        subprocess.run(command, stdout=sys.stderr, check=False)
    return subprocess.run(create, stdout=sys.stderr, check=False).returncode == 0


def install(folder, requirements):
    """Makes the environment of these pins unless it stands, with as many of them as can be had; returns an exit code."""
    if sys.version_info < (3, 11):
        print(f"the oracles need Python 3.11 or newer, this is {sys.version.split()[0]}", file=sys.stderr)
        return NOT_RUN
    python = folder / "bin" / "python"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = folder / "installed"
    if stamp.is_file() and stamp.read_text() == digest:
        return 0
    if not make(folder):
        return NOT_RUN
    if pip_install(python, "-r", str(requirements)):
        # Only a complete environment is kept: an incomplete one is tried again at the next run.
        stamp.write_text(digest)
        return 0
    pins = [line for line in requirements.read_text().splitlines() if line and not line.startswith("#")]
    missing = [pin for pin in pins if not pip_install(python, "--no-deps", pin)]
    print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    return NOT_RUN if len(missing) == len(pins) else 0


def main():
    folder = Path(sys.argv[1]).absolute()
    status = install(folder, Path(sys.argv[2]) if len(sys.argv) > 2 else REQUIREMENTS)
    if status == 0:
        print(folder / "bin" / "python")
    return status


if __name__ == "__main__":
    sys.exit(main())
