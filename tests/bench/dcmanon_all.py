"""Runs dcmanon over every file of a folder in one process, its best case, and prints the cpu of the import apart."""

import json
import sys
import time
from pathlib import Path


def main():
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    started = time.process_time()
    from dcmanon import Anonymizer

    anonymizer = Anonymizer()
    imported = time.process_time()
    target.mkdir()
    for path in sorted(source.iterdir()):
        with open(target / path.name, "wb") as file:
            file.write(anonymizer.anonymize(str(path)))
    print(json.dumps({"import_s": imported - started, "work_s": time.process_time() - imported}))


if __name__ == "__main__":
    main()
