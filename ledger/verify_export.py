"""Recomputes chain and root of a `medimg export` from nothing but SHA-256. Usage: verify_export.py FILE; exit 0 or 1."""
import base64, hashlib, json, sys

def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def b64(data): return base64.b64encode(data).decode()

def check(condition, index, what):
    if not condition:
        sys.exit(print(f"entry {index}: {what}") or 1)

with open(sys.argv[1], encoding="utf-8", newline="\n") as lines:
    head, tips, nodes, count = json.loads(next(lines)), {}, [], 0
    for index, line in enumerate(lines):
        entry = json.loads(line)
        header, body = entry["header"].encode(), entry["body"].encode()
        fields = entry["header"].split("\n")
        check(len(fields) == 13 and fields[0] == "imgledger/v1" and fields[12] == "", index, "not a header")
        origin, stream, seq, prev, types, hashed = fields[1], fields[2], int(fields[3]), fields[4], fields[5], fields[10]
        check(entry["leafindex"] == index and origin == head["origin"], index, "not this entry of this log")
        tip = tips.get(stream, (-1, sha(f"{origin}\n{stream}\n".encode())))
        check(seq == tip[0] + 1 and prev == b64(tip[1]), index, "does not link to the entry before it in its stream")
        check(hashed == "sha256:" + b64(sha(base64.b64decode(entry["nonce"]), body)), index, "another body")
        check([event["type"] for event in json.loads(body)] == types.split(","), index, "other events than the header names")
        node, tips[stream], count = sha(b"\0", header), (seq, sha(b"\0", header)), index + 1
        for _ in range((index ^ (index + 1)).bit_length() - 1): node = sha(b"\1", nodes.pop(), node)
        nodes.append(node)
root = nodes.pop() if nodes else sha()
while nodes: root = sha(b"\1", nodes.pop(), root)
check(count == head["size"] and b64(root) == head["root"], count, "size and root are not those of the head")
print(f"{count} entries in {len(tips)} streams, root {b64(root)}: all as the head says")
