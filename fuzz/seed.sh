#!/bin/sh
# Fills fuzz/corpus/{scan,deidentify} with the made seeds and, where PyPI pydicom is installed for the python3 in PATH,
# with its small test files. Then: cargo +nightly fuzz run scan
set -eu
cd "$(dirname "$0")"
cargo run --quiet -p domain --manifest-path ../Cargo.toml --example fuzz_seeds -- "$PWD/seeds"
for target in scan deidentify; do
    mkdir -p "corpus/$target"
    cp seeds/* "corpus/$target/"
    python3 - "corpus/$target" <<'PYTHON' || echo "without real files: pydicom is not installed"
import hashlib, pathlib, shutil, sys
import pydicom
root = pathlib.Path(pydicom.__file__).parent / "data"
for path in sorted(root.rglob("*")):
    if path.is_file() and path.suffix not in (".py", ".pyc") and path.stat().st_size <= 20_000:
        shutil.copy(path, pathlib.Path(sys.argv[1], hashlib.sha256(path.read_bytes()).hexdigest()[:16]))
PYTHON
done
