#!/usr/bin/env python3
"""Verifies commits and a ticket of Sampan, from the text of its manual alone (core/src/manual/formats.rs).

It shares no code with Sampan. It does not judge rights: it checks that what is there is what its
authors signed, whole and in its place.

Usage: sampan_verify.py DIR

DIR holds:
  org          the organisation's id, 32 bytes
  *.group      groups (manual, section 4): whole commits of one space, packs of form 0 (stored)
  ticket.txt   optional: a ticket, one line

Exit codes: 0 everything holds; 1 something does not, and which; 2 bad usage; 3 a package is missing
(needed: blake3, cryptography).
"""

import base64
import hashlib
import pathlib
import sys

try:
    from blake3 import blake3
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError as e:
    print(f"missing package: {e.name} (python3 -m pip install blake3 cryptography)", file=sys.stderr)
    sys.exit(3)

MAX_TIME = 253402300799999
MAX_PACK = 16777216
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493


class Bad(Exception):
    """What does not hold, in words."""


def need(condition, words):
    if not condition:
        raise Bad(words)


# 1. Conventions ---------------------------------------------------------------------------------


def tag(kind):
    return b"sampan/" + kind.encode() + b"/1\0"


def H(kind, *parts):
    return blake3(tag(kind) + b"".join(parts)).digest()


def H16(kind, *parts):
    return H(kind, *parts)[:16]


def u32le(n):
    return n.to_bytes(4, "little")


def check_signature(kind, key, message, signature):
    need(len(signature) == 64, "a signature that is not 64 bytes")
    # Strict: a canonical scalar, and neither key nor nonce of small order.
    need(int.from_bytes(signature[32:], "little") < ORDER, "a signature with a scalar out of range")
    for point in (key, signature[:32]):
        need(not small_order(point), "a key or nonce of small order")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, tag(kind) + message)
    except (InvalidSignature, ValueError):
        raise Bad(f"a signature of kind {kind} that does not verify") from None


def small_order(point):
    """Whether an encoded point is one of the eight whose order divides 8."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    # y of the points of order 1, 2, 4, and the two of order 8; non-canonical forms count too.
    eighth = 2707385501144840649318225287225658788936804267575313519463743609750303021422
    bad = {0, 1, PRIME - 1, eighth, PRIME - eighth}
    return y % PRIME in bad


class Cbor:
    """The part of CBOR that Sampan uses; every other form is refused."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "CBOR that ends early")
        self.at += n
        return self.data[self.at - n : self.at]

    def item(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            need(info in (20, 21, 22), "a CBOR simple value or float that is not used")
            return {20: False, 21: True, 22: None}[info]
        if info < 24:
            n = info
        else:
            need(info <= 27, "CBOR of indefinite length")
            width = 1 << (info - 24)
            n = int.from_bytes(self.take(width), "big")
            least = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width]
            need(n >= least, "a CBOR number in a longer form than needed")
        if major == 0:
            return n
        if major == 1:
            return -1 - n
        if major == 2:
            return self.take(n)
        if major == 3:
            try:
                return self.take(n).decode("utf-8")
            except UnicodeDecodeError:
                raise Bad("CBOR text that is not UTF-8") from None
        need(major == 4, "a CBOR map or tag")
        return [self.item() for _ in range(n)]


def cbor(data):
    reader = Cbor(data)
    value = reader.item()
    need(reader.at == len(data), "bytes after a CBOR item")
    return value


def to_cbor(value):
    """Encodes what an entry's hidden part is made of."""

    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if n < 1 << (8 * width):
                return bytes([major << 5 | info]) + n.to_bytes(width, "big")
        raise Bad("a number over 64 bits")

    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    return head(4, len(value)) + b"".join(to_cbor(v) for v in value)


def is_uint(v, most=2**64 - 1):
    return isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= most


def is_bytes(v, n):
    return isinstance(v, bytes) and len(v) == n


def is_list(v, test):
    return isinstance(v, list) and all(test(x) for x in v)


def is_record(v, *tests):
    return isinstance(v, list) and len(v) == len(tests) and all(t(x) for t, x in zip(tests, v))


def a_bytes(n):
    return lambda v: is_bytes(v, n)


def is_text(v):
    return isinstance(v, str)


def is_bool(v):
    return isinstance(v, bool)


def is_time(v):
    return is_uint(v, MAX_TIME)


def optional(test):
    return lambda v: v is None or test(v)


def ascending(ids):
    return all(a < b for a, b in zip(ids, ids[1:]))


# 3. Entries and the Merkle root -----------------------------------------------------------------

CHANGE, IDENTITY, BIRTH, CHARTER, ERASE = range(5)


def merkle_root(leaves):
    level = list(leaves)
    while len(level) > 1:
        pairs = [H("node", level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return H("root", u32le(len(leaves)), *level)


def root_of(payload):
    secret, entries = payload
    leaves = []
    for i, e in enumerate(entries):
        salt = H16("salt", secret, u32le(i))
        hidden = [e["kind"], e["collection"], e["payload_hash"], e["time"]]
        if e["kind"] == BIRTH:
            hidden.append(e["birth"])
        inner = H("entry", salt, to_cbor(hidden))
        leaves.append(H("leaf", u32le(i), e["record"], inner))
    return merkle_root(leaves)


# 4. Commits -------------------------------------------------------------------------------------


def read_header(data, org):
    need(len(data) <= 16384, "a header over 16384 bytes")
    h = cbor(data)
    b16, b32 = a_bytes(16), a_bytes(32)
    is_space = lambda v: is_record(v, b16, lambda f: is_uint(f, 5), lambda r: is_uint(r, 255))
    ids = lambda v: is_list(v, b32) and len(v) <= 64 and ascending(v)
    need(
        is_record(h, is_uint, b32, is_space, b32, b16, is_uint, ids, b16, ids, is_time, is_uint, b32),
        "a header whose fields are not those of the manual",
    )
    names = "format org space device incarnation sequence parents nonce charter_heads time entries root".split()
    h = dict(zip(names, h))
    need(h["format"] == 1, "a header of another format")
    need(h["org"] == org, "a commit of another organisation")
    need(1 <= h["entries"] <= 256, "a number of entries that is not 1 to 256")
    need(h["sequence"] >= 1, "sequence 0")
    need((h["parents"] == []) == (h["sequence"] == 1), "a sequence that does not fit the parents")
    return h


def space_key(space):
    unit, flow, reach = space
    return unit + bytes([flow, reach])


def check_group(data, org):
    """A group as CBOR value: its commits as (id, header, payload), each checked but for its parents."""
    need(
        is_record(data, lambda v: is_list(v, lambda s: is_record(s, lambda b: isinstance(b, bytes), a_bytes(64))),
                  lambda v: isinstance(v, bytes)),
        "a group whose fields are not those of the manual",
    )
    signed, pack = data
    need(signed, "a group without commits")
    heads = []
    for header, signature in signed:
        h = read_header(header, org)
        check_signature("commit", h["device"], header, signature)
        heads.append((H("commit-id", header), h))
    space = heads[0][1]["space"]
    need(all(h["space"] == space for _, h in heads), "a group of several spaces")
    payloads = read_pack(pack, space)
    need(len(payloads) == len(heads), "a pack with another number of commits than headers")
    commits = []
    for (cid, h), payload in zip(heads, payloads):
        need(len(payload[1]) == h["entries"], "a commit with another number of entries than it says")
        need(root_of(payload) == h["root"], "a commit whose payload does not have the signed Merkle root")
        commits.append((cid, h, payload))
    return commits


def check_chain(commits):
    """Parents and sequences of all commits, in whatever order they came."""
    known = {cid: h for cid, h, _ in commits}
    for h in known.values():
        greatest = 0
        for p in h["parents"]:
            need(p in known, f"a commit whose parent {p.hex()} is missing")
            parent = known[p]
            need(parent["device"] == h["device"] and parent["space"] == h["space"], "a parent of another device or space")
            greatest = max(greatest, parent["sequence"])
        need(h["sequence"] == greatest + 1, "a sequence that does not follow the parents")
        for c in h["charter_heads"]:
            need(c in known and known[c]["space"][1] == 0, f"a commit whose charter head {c.hex()} is missing")


# 5. Packs ---------------------------------------------------------------------------------------


class Pack:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "a pack that ends early")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self):
        n = shift = 0
        while True:
            b = self.take(1)[0]
            n |= (b & 127) << shift
            if b < 128:
                need(b or not shift, "a LEB128 number in a longer form than needed")
                need(n < 1 << 64, "a LEB128 number over 64 bits")
                return n
            shift += 7
            need(shift < 70, "a LEB128 number over 64 bits")

    def signed(self):
        n = self.number()
        return (n >> 1) ^ -(n & 1)

    def prefixed(self):
        return self.take(self.number())

    def text(self):
        try:
            return self.prefixed().decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("a name in a pack that is not UTF-8") from None


def read_pack(data, space):
    outer = Pack(data)
    form = outer.take(1)[0]
    need(form == 0, f"a pack of form {form}: only stored ones (form 0) are read here")
    length = outer.number()
    need(length <= MAX_PACK and length == len(data) - outer.at, "a pack of another length than it announces")
    r = Pack(data[outer.at :])
    commits = r.number()
    names = [r.text() for _ in range(bounded(r.number()))]
    need(len(set(names)) == len(names), "a name that stands twice in a pack")
    need(all(len(n.encode()) <= 64 for n in names), "a name of more than 64 bytes in a pack")
    mentions, seen, used, time, total = [], set(), 0, 0, 0
    out = []
    for _ in range(bounded(commits)):
        secret = r.take(16)
        count = r.number()
        total += count
        need(1 <= count <= 256 and total <= 65536, "a number of entries out of range in a pack")
        entries = []
        for _ in range(count):
            kind = r.take(1)[0]
            need(kind <= ERASE, "an entry of unknown kind")
            reference = r.number()
            explicit = r.take(16) if reference == 1 else None
            name = r.number()
            need(name <= used and name < len(names), "a name out of order in a pack")
            used = max(used, name + 1)
            time += r.signed()
            need(0 <= time <= MAX_TIME, "a time out of range in a pack")
            birth = None
            if kind == BIRTH:
                birth = [r.text(), r.take(1)[0]]
                need(birth[1] <= 11, "a birth of unknown kind")
            body = r.prefixed()
            if kind in (CHANGE, IDENTITY, BIRTH):
                payload_hash = hashlib.sha256(body).digest()
                payload = b"\x85\x6f\x4a\x83" + payload_hash[:4] + body
            else:
                payload_hash, payload = H("payload", body), body
            computed = None
            if kind == CHANGE:
                computed = H16("record", space_key(space), payload_hash)
            elif kind == CHARTER:
                computed = payload_hash[:16]
            if reference >= 2:
                need(reference - 2 < len(mentions), "a record named before it appears")
                record = mentions[reference - 2]
            else:
                record = computed if reference == 0 else explicit
                need(record is not None, "a record that cannot be computed")
                need(record not in seen, "a record named the long way")
                need(reference == 0 or record != computed, "a record named the long way")
                mentions.append(record)
                seen.add(record)
            entries.append(
                dict(kind=kind, record=record, collection=names[name], payload_hash=payload_hash, time=time,
                     birth=birth, payload=payload)
            )
        out.append((secret, entries))
    need(r.at == len(r.data), "bytes after the last commit of a pack")
    need(used == len(names), "a name that nothing uses in a pack")
    return out


def bounded(n):
    need(n <= 65536, "more names or commits than a pack may have")
    return n


# 7. Charter operations --------------------------------------------------------------------------


def read_grant(payload):
    """The grant in a charter operation, or None if it is another operation."""
    op = cbor(payload)
    need(isinstance(op, list) and len(op) == 2 and is_uint(op[0]), "a charter operation that is no choice")
    if op[0] != 2:
        return None
    b32 = a_bytes(32)
    grant = lambda v: is_record(v, b32, lambda r: is_uint(r, 255), is_bool, is_uint, optional(is_uint), is_bool,
                                optional(is_uint), b32)
    need(is_record(op[1], grant), "a grant whose fields are not those of the manual")
    return dict(zip("key roles subtree from until ticket use_by holder".split(), op[1][0]))


# 8. Tickets -------------------------------------------------------------------------------------


def check_ticket(text, org):
    line = "".join(text.split())
    need(len(line) <= 2048, "a ticket over 2048 characters")
    need(line.startswith("sampan:"), "no ticket: it does not start with sampan:")
    digits = line[len("sampan:") :].upper()
    try:
        data = base64.b32decode(digits + "=" * (-len(digits) % 8))
    except ValueError:
        raise Bad("a ticket that is not base32") from None
    need(base64.b32encode(data).decode().rstrip("=") == digits, "a ticket with bits after its last byte")
    need(len(data) > 4, "a ticket that was cut")
    body, check = data[:-4], data[-4:]
    need(H("ticket", body)[:4] == check, "a ticket whose check sum does not fit")
    t = cbor(body)
    relay = lambda v: is_record(v, a_bytes(32), lambda a: is_list(a, is_text) and len(a) <= 8)
    need(
        is_record(t, a_bytes(32), is_text, a_bytes(16), is_text, a_bytes(32), lambda g: isinstance(g, list),
                  lambda v: is_list(v, relay), optional(is_uint), lambda v: is_uint(v, 255), is_bool),
        "a ticket whose fields are not those of the manual",
    )
    need(t[0] == org, "a ticket of another organisation")
    commits = check_group(t[5], org)
    need(len(commits) == 1, "a ticket whose grant is not one commit")
    _, header, (_, entries) = commits[0]
    need(header["space"] == [t[2], 0, 0], "a ticket whose grant is for another unit")
    key = Ed25519PrivateKey.from_private_bytes(t[4]).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    grants = [read_grant(e["payload"]) for e in entries if e["kind"] == CHARTER]
    need(any(g and g["ticket"] and g["key"] == key for g in grants), "a ticket whose grant is for another key")


# ------------------------------------------------------------------------------------------------


def verify(folder):
    org = (folder / "org").read_bytes()
    need(len(org) == 32, "an organisation's id that is not 32 bytes")
    commits = []
    files = sorted(folder.glob("*.group"))
    need(files, "no *.group files")
    for file in files:
        try:
            commits += check_group(cbor(file.read_bytes()), org)
        except Bad as e:
            raise Bad(f"{file.name}: {e}") from None
    check_chain(commits)
    ticket = folder / "ticket.txt"
    if ticket.exists():
        try:
            check_ticket(ticket.read_text(encoding="utf-8"), org)
        except (Bad, UnicodeDecodeError) as e:
            raise Bad(f"ticket.txt: {e}") from None
    entries = sum(h["entries"] for _, h, _ in commits)
    return f"{len(commits)} commits, {entries} entries, ticket {'sound' if ticket.exists() else 'absent'}"


def main(args):
    if len(args) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print("holds:", verify(pathlib.Path(args[0])))
        return 0
    except (Bad, RecursionError) as e:
        print("does not hold:", e, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
