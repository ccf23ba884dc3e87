"""Collects the real DICOM files of the tests into one folder of numbered files with a manifest.

Every DICOM file of PyPI pydicom (192) and pydicom-data (68), the 11 other files that stand beside them (not DICOM: they must
be refused), and the 12 of the sample where it is there. A count that differs is an error: a file lost here would be missed by every test.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

# What lies in pydicom's data folders and is no DICOM object: descriptions, dumps, an ICC profile, a gzip archive.
NOT_DICOM_SUFFIXES = {".txt", ".md", ".dump", ".json", ".icc", ".gz"}
NOT_DICOM_NAMES = {"README"}
EXPECTED = {"pydicom": 192, "pydicom-data": 68, "not-dicom": 11, "sample": 12}


def is_dicom(path):
    return path.suffix.lower() not in NOT_DICOM_SUFFIXES and path.name not in NOT_DICOM_NAMES


def pydicom_files():
    """Yields (source, path, name relative to the package) of every file of pydicom's three data folders."""
    import pydicom

    root = Path(pydicom.__file__).parent / "data"
    for folder in ("charset_files", "palettes", "test_files"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py":
                yield ("pydicom" if is_dicom(path) else "not-dicom"), path, path.relative_to(root).as_posix()


def pydicom_data_files():
    import data_store

    root = Path(data_store.__file__).parent
    for path in sorted((root / "data").rglob("*")):
        if path.is_file():
            yield "pydicom-data", path, path.relative_to(root).as_posix()


def sample_files(sample):
    if sample is not None and sample.is_dir():
        for path in sorted((sample / "in").iterdir()):
            yield "sample", path, path.name


def collect(target, sample):
    """Fills `target` afresh; returns the manifest."""
    shutil.rmtree(target, ignore_errors=True)
    files = target / "files"
    files.mkdir(parents=True)
    manifest = []
    sources = [*pydicom_files(), *pydicom_data_files(), *sample_files(sample)]
    for number, (source, path, name) in enumerate(sources, start=1):
        content = path.read_bytes()
        stored = f"{number:03d}{path.suffix.lower()}"
        (files / stored).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        manifest.append({"file": stored, "source": source, "name": name, "bytes": len(content), "sha256": digest})
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def main():
    target = Path(sys.argv[1])
    sample = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    manifest = collect(target, sample)
    counts = {source: sum(entry["source"] == source for entry in manifest) for source in EXPECTED}
    print(", ".join(f"{source} {count}" for source, count in counts.items()), f"= {len(manifest)} files")
    wrong = {s: n for s, n in counts.items() if n != EXPECTED[s] and not (s == "sample" and n == 0)}
    for source, count in wrong.items():
        print(f"expected {EXPECTED[source]} files of {source}, found {count}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
