"""Golden vectors of ADR 0002, from Python's standard library alone; shares no code with the pipeline.

Prints the table that stands in 0002-ids-and-keys.md; with --check compares it with that file (exit 1 if it differs).
"""
import base64
import hashlib
import hmac
import pathlib
import sys
import uuid

STREAM, INDEX, MAPPING = bytes(range(0x00, 0x20)), bytes(range(0x20, 0x40)), bytes(range(0x40, 0x60))
STUDY, PATIENT, ISSUER = b"1.2.826.0.1.3680043.8.498.1", "MÜLLER-17".encode(), b"GENERAL"


def labelled(kind, *fields):
    return b"medimg/v1/" + kind.encode() + b"".join(len(f).to_bytes(4, "big") + f for f in fields)


def keyed(key, kind, *fields):
    return hmac.new(key, labelled(kind, *fields), hashlib.sha256).digest()[:16]


def uuid5(namespace, name):
    digest = bytearray(hashlib.sha1(namespace.bytes + name).digest()[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x50, digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def uuid8(sixteen):
    number = bytearray(sixteen)
    number[6], number[8] = number[6] & 0x0F | 0x80, number[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(number))


def vectors():
    content = hashlib.sha256(b"").hexdigest().encode()
    yield "object stream", keyed(STREAM, "object", b"file", b"/in/\xff/a b.dcm", content).hex()
    study_k = b"k1:" + keyed(INDEX, "study_k", STUDY).hex().encode()
    yield "study stream", keyed(STREAM, "study", study_k).hex()
    yield "run stream", keyed(STREAM, "run", b"replay-1").hex()
    yield "study_k", study_k.decode()
    mapped = uuid8(keyed(MAPPING, "uid", STUDY))
    new_study = f"2.25.{mapped.int}"
    yield "new_study_k", "k1:" + keyed(INDEX, "new_study_k", new_study.encode()).hex()
    yield "patient_k", "k1:" + keyed(INDEX, "patient_k", PATIENT, ISSUER).hex()
    yield "patient_k without issuer", "k1:" + keyed(INDEX, "patient_k", PATIENT, b"").hex()
    yield "accession_k", "k1:" + keyed(INDEX, "accession_k", b"A 2026/17").hex()
    yield "actor_k", "k1:" + keyed(INDEX, "actor_k", b"radiology.admin").hex()
    yield "uid as UUIDv8", str(mapped)
    yield "uid", new_study
    yield "uid of DICOM itself", "1.2.840.10008.5.1.4.1.1.2"
    yield "short name", base64.b32encode(mapped.bytes).decode()[:6]
    yield "patient", base64.b32encode(keyed(MAPPING, "patient", PATIENT, ISSUER)[:10]).decode()
    for name, key in (("stream", STREAM), ("index", INDEX), ("mapping", MAPPING)):
        yield f"kcv of the {name} key", keyed(key, "kcv").hex()
    namespace = uuid5(uuid.NAMESPACE_URL, b"medimg/v1")
    assert namespace == uuid.uuid5(uuid.NAMESPACE_URL, "medimg/v1")
    yield "decision namespace", str(namespace)
    stream = keyed(STREAM, "object", b"file", b"/in/\xff/a b.dcm", content).hex().encode()
    fields = (stream, b"deidentify", b"deidentification", b"1", b"ab" * 32, content, b"first")
    decision = uuid5(namespace, labelled("decision", *fields))
    yield "decision", str(decision)
    yield "decision of a replay", str(uuid5(namespace, labelled("decision", *fields[:-1], b"pixels-" + b"ab" * 16)))
    yield "event 0", str(uuid5(decision, labelled("event", b"0")))
    yield "event 1", str(uuid5(decision, labelled("event", b"1")))


def main():
    table = "\n".join(f"| {name} | `{value}` |" for name, value in vectors())
    if "--check" not in sys.argv:
        print(table)
        return 0
    adr = pathlib.Path(__file__).with_name("0002-ids-and-keys.md").read_text("utf-8")
    same = table in adr
    print("the vectors in the ADR are these" if same else f"the ADR's vectors differ; they are\n{table}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
