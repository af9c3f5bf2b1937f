#!/usr/bin/env python3
"""Verifies commits, tickets and audit files of Sampan, from the text of its manual alone
(core/src/manual/formats.rs and audit.rs).

It shares no code with Sampan. Of commits and tickets it does not judge rights: it checks that what is
there is what its authors signed, whole and in its place. Of an audit file it also follows every author's
right to the root key. It does not read what a change did to its fields: the column `fields` is checked
against the maker's signature alone (`sampan verify --audit` computes it again).

Usage: sampan_verify.py DIR
       sampan_verify.py --audit FILE [--root KEY]

DIR holds:
  org          the organisation's id, 32 bytes
  *.group      groups (manual, section 4): whole commits of one space, packs of form 0 (stored)
  ticket.txt   optional: a ticket, one line

Exit codes: 0 everything holds; 1 something does not, and which; 2 bad usage; 3 a package is missing
(needed: blake3, cryptography).
"""

import base64
import datetime
import hashlib
import json
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


def root_from_proof(count, index, leaf, proof):
    """The root that a leaf with its siblings leads to, or None."""
    if index >= count:
        return None
    width, at, node, rest = count, index, leaf, list(proof)
    while width > 1:
        if at ^ 1 < width:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = H("node", sibling, node) if at % 2 else H("node", node, sibling)
        width, at = (width + 1) // 2, at // 2
    return None if rest else H("root", u32le(count), node)


def leaf_of(index, salt, kind, record, collection, payload_hash, time, birth):
    hidden = [kind, collection, payload_hash, time]
    if kind == BIRTH:
        hidden.append(birth)
    return H("leaf", u32le(index), record, H("entry", salt, to_cbor(hidden)))


def root_of(payload):
    secret, entries = payload
    leaves = []
    for i, e in enumerate(entries):
        salt = H16("salt", secret, u32le(i))
        leaves.append(
            leaf_of(i, salt, e["kind"], e["record"], e["collection"], e["payload_hash"], e["time"], e["birth"])
        )
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


# Audit files (audit.rs) ---------------------------------------------------------------------------

OPERATIONS = dict(enumerate("found|create unit|grant|enrol|endpoint|schema|revoke|cut|release|reject".split("|")))
OPERATIONS[16] = "succeed"
CUTS = "revoke lost retire narrow close".split()
FINAL = ("revoke", "lost", "retire")
CHARTER_FLOW, LOCAL_FLOW = 0, 4
RELAY, ADMIN, EDITOR, INSPECTOR = 4 | 1, 8 | 4 | 2 | 1, 2 | 1, 16 | 1
INSPECTIONS = "inspections"
COLUMNS = {
    "audit": "line form organisation name made_by made_at of",
    "charter": "line commit unit author at first_seen_at operations group cut",
    "commit": "line commit unit author at header signature cut",
    "entry": "line commit index record collection kind author unit at first_seen_at status change fields birth"
    " salt proof payload",
    "end": "line lines digest signature",
}


class Rights:
    """Who ever had which right, by chains of grants that begin at the root key, and up to where it holds."""

    def __init__(self, org, commits):
        self.org, self.name, self.root, self.succession = org, None, None, None
        self.log = {cid: h for cid, h, _ in commits}
        self.ops = [(cid, h, cbor(e["payload"])) for cid, h, (_, es) in commits for e in es if e["kind"] == CHARTER]
        self.named, self.cuts, self.words, self.pasts, self.outside = {}, {}, [], {}, set()
        self.learn()
        self.successions()
        self.learn()
        # Cuts, releases and rejections stand by what was given when they were written, then take effect.
        self.narrow()
        self.rule()
        self.learn()

    def past(self, cid):
        """Everything that a commit had seen."""
        if cid not in self.pasts:
            seen, todo = set(), [cid]
            while todo:
                h = self.log.get(todo.pop())
                new = [c for c in (h["parents"] + h["charter_heads"] if h else []) if c not in seen]
                seen.update(new)
                todo += new
            self.pasts[cid] = seen
        return self.pasts[cid]

    def below(self, unit, above):
        seen = set()
        while unit in self.parents and unit not in seen:
            seen.add(unit)
            unit = self.parents[unit]
            if unit == above:
                return True
        return False

    def covered(self, right, unit):
        """What a right gives on a unit."""
        at, given, subtree = right[:3]
        if at == unit:
            return given
        # Admin and relay hold below without being said.
        low = ADMIN if given & ADMIN == ADMIN else RELAY if given & RELAY == RELAY else 0
        return (given if subtree else low) if self.below(unit, at) else 0

    def may(self, key, unit, roles):
        have = 0
        for right in self.grants.get(key, []):
            have |= self.covered(right, unit)
        return have & roles == roles

    def rooted(self, author, cid):
        """Whether a commit spoke with the root key's right as far as it had seen."""
        seen = {n: v for n, v in self.named.items() if n in self.past(cid)}
        if author == self.org:
            return not seen
        later = set().union(*(follows for _, _, follows in seen.values()))
        return any(root == author and n not in later for n, (root, _, _) in seen.items())

    def learn(self):
        """Takes operations by authors who had the right, until no more of them do."""
        self.name, self.root, self.parents, self.grants, self.tickets = None, None, {}, {}, {}
        todo = [op for op in self.ops if op[0] not in self.outside]
        while True:
            left = [op for op in todo if not self.apply(*op)]
            if len(left) == len(todo):
                return
            todo = left

    def apply(self, cid, h, op):
        unit, author = h["space"][0], h["device"]
        number, fields = op[0], op[1]
        rooted = self.rooted(author, cid)
        if number == 0:
            if author != self.org or fields[1] != unit or self.root is not None:
                return False
            self.name, self.root, self.founding = fields[0], unit, cid
            self.succession = fields[2] if len(fields) > 2 else None
        elif number == 1:
            if not (rooted or self.may(author, unit, ADMIN)) or fields[0] in self.parents or fields[0] == self.root:
                return False
            self.parents[fields[0]] = unit
        elif number == 2:
            key, roles, subtree, _, until, ticket = fields[0][:6]
            if not (rooted or self.may(author, unit, ADMIN)):
                return False
            named = fields[0][8] if len(fields[0]) > 8 else None
            right = (unit, roles, subtree, until, cid, None if named is None else frozenset(named))
            (self.tickets if ticket else self.grants).setdefault(key, []).append(right)
        elif number == 3:
            device, _, proof = fields
            rights = [r for r in self.tickets.get(author, []) if r[0] == unit]
            if not rights:
                return False
            check_signature("enrol", device, author, proof)
            self.grants.setdefault(device, []).extend(r[:4] + (cid, r[5]) for r in rights)
        return True

    def successions(self):
        """New root keys, in the root's charter: named by the succession key of the founding after that, or by the one
        that a naming names after that naming, and after no other by the same right."""
        own = {}
        for cid, h, op in self.ops:
            if op[0] == 16 and self.root is not None and h["space"][0] == self.root and op[1][0] != self.org:
                own.setdefault(cid, (h["device"], op[1][0], op[1][1] if len(op[1]) > 1 else None))
        todo, done = [(self.founding, self.succession)] if self.root is not None else [], set()
        while todo:
            after, key = todo.pop()
            if after in done or key is None:
                continue
            done.add(after)
            ids = {cid for cid, (signer, _, _) in own.items() if signer == key and after in self.past(cid)}
            for cid in ids:
                if not self.past(cid) & ids:
                    self.named.setdefault(cid, (own[cid][1], own[cid][2], set()))[2].add(after)
                    todo.append((cid, own[cid][2]))

    def roots(self):
        """The root keys that stand, one after the other: of several that follow one the lowest commit."""
        line, at = [], self.founding
        while next_ := sorted(cid for cid, (_, _, follows) in self.named.items() if at in follows):
            at = next_[0]
            line.append(self.named[at][0])
        return line

    def narrow(self):
        for cid, h, op in self.ops:
            unit, author = h["space"][0], h["device"]
            rooted = self.rooted(author, cid)
            if op[0] == 7:
                key, kind, reason, logs, remaining = op[1][0][:5]
                kind = CUTS[kind]
                if not (rooted or self.may(author, unit, RELAY if kind == "close" else ADMIN)):
                    continue
                tips = {}
                for space, _, named in logs:
                    tips.setdefault(tuple(space), set()).update(named)
                above = [r[0] for r in self.grants.get(author, []) if r[1] & ADMIN == ADMIN]
                given = [r[4] for r in self.grants.get(key, []) if r[0] == unit and r[4] in self.past(cid)]
                final = kind in FINAL
                if not final and not given:
                    continue
                at = len(self.cuts.get(key, []))
                cut = dict(by=cid, at=at, kind=kind, reason=reason, tips=tips, issuer=author, final=final,
                           realm=None if final and rooted else above if final else [unit],
                           targets=set() if final else set(given), remaining=remaining if kind == "narrow" else 0)
                self.cuts.setdefault(key, []).append(cut)
            elif op[0] in (8, 9) and (rooted or self.may(author, unit, ADMIN)):
                self.words += [(op[0] == 8, c, unit, cid, op[1][1]) for c in op[1][0]]

    def rule(self):
        """The charter commits whose operations lie outside a final cut of their author."""
        for key, cuts in self.cuts.items():
            for cut in cuts:
                inside, todo = set(), [t for s, ts in cut["tips"].items() if s[1] == CHARTER_FLOW for t in ts]
                while todo:
                    cid = todo.pop()
                    if cid in self.log and cid not in inside:
                        inside.add(cid)
                        todo += self.log[cid]["parents"]
                for cid, h in self.log.items():
                    if cut["final"] and h["device"] == key and cid not in inside and self.reaches(cut, h["space"][0]):
                        self.outside.add(cid)
        self.words = [w for w in self.words if w[3] not in self.outside]
        self.outside = {c for c in self.outside if not self.word(True, c, self.log[c]["space"][0])}

    def word(self, released, cid, unit):
        return any(w[0] == released and w[1] == cid and (w[2] == unit or self.below(unit, w[2])) for w in self.words)

    def reaches(self, cut, unit):
        return cut["realm"] is None or any(unit == at or self.below(unit, at) for at in cut["realm"])

    def cuts_of(self, key, space):
        """The cuts that bear on what a device wrote in a space of records."""
        if space[1] in (CHARTER_FLOW, LOCAL_FLOW):
            return []
        unit, cuts = space[0], self.cuts.get(key, [])
        everything = {(c["by"], c["at"]) for c in cuts}
        gaps = [name for name in self.collections(key) if not self.lets_carry(key, unit, [], name, everything)]
        taken = lambda c: any(self.takes(c, r, unit, name) for r in self.grants.get(key, []) for name in gaps)
        return [c for c in cuts if self.reaches(c, unit) and (c["final"] or taken(c))]

    def collections(self, key):
        """Names that stand for every collection, as far as a device's rights tell them apart."""
        return set().union({INSPECTIONS, ""}, *(r[5] or () for r in self.grants.get(key, [])))

    def writes(self, right, unit, collection, left=0xFF):
        """Whether a right, or what a cut leaves of it, lets a collection of a unit be written."""
        roles = self.covered((right[0], right[1] & left) + right[2:], unit)
        role = roles & EDITOR == EDITOR or (collection == INSPECTIONS and roles & INSPECTOR == INSPECTOR)
        return role and (right[5] is None or collection in right[5])

    def takes(self, cut, right, unit, collection):
        """Whether a cut that is not final takes a collection from a right."""
        mine = not cut["final"] and right[4] in cut["targets"] and self.reaches(cut, unit)
        was = mine and self.writes(right, unit, collection)
        return was and not self.writes(right, unit, collection, cut["remaining"])

    def came_after(self, key, right, unit, collection):
        """Whether a right was given after a narrowing that took a collection and left nothing of it."""
        seen = lambda c: c["kind"] == "narrow" and c["by"] != right[4] and c["by"] in self.past(right[4])
        cuts = [c for c in self.cuts.get(key, []) if seen(c) and not self.leaves(key, c, unit, collection)]
        return any(self.takes(c, r, unit, collection) for c in cuts for r in self.grants.get(key, []))

    def leaves(self, key, cut, unit, collection):
        """Whether the commit of a cut gives its device a right to a collection."""
        return any(r[4] == cut["by"] and self.writes(r, unit, collection) for r in self.grants.get(key, []))

    def lets_carry(self, key, unit, heads, collection, out_of):
        """Whether a commit outside these cuts, which names these charter heads, may carry a collection."""
        rights, cuts = self.grants.get(key, []), self.cuts.get(key, [])
        out = [c for c in cuts if (c["by"], c["at"]) in out_of]

        def continues(new, old):
            taken = [c for c in cuts if self.takes(c, old, unit, collection)]
            gap = any(c in out and not self.leaves(key, c, unit, collection) for c in taken)
            here = any(c["by"] == new[4] for c in taken)
            return here and not gap and not self.came_after(key, old, unit, collection)

        for r in rights:
            if self.writes(r, unit, collection) and not any(self.takes(c, r, unit, collection) for c in out):
                saw = any(r[4] == head or r[4] in self.past(head) for head in heads)
                after = not saw and self.came_after(key, r, unit, collection)
                if not after or any(continues(r, old) for old in rights):
                    return True
        return False

    def counts(self, key, space):
        unit, flow, _ = space
        if flow == CHARTER_FLOW:
            ticket = any(r[0] == unit for r in self.tickets.get(key, []))
            namers = {self.succession, *(v[1] for v in self.named.values())}
            royal = key in (self.org, *(v[0] for v in self.named.values())) or (key in namers and unit == self.root)
            return royal or ticket or self.may(key, unit, RELAY)
        return self.may(key, unit, EDITOR) or self.may(key, unit, INSPECTOR)


def utc(ms):
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{ms % 1000:03}Z"


def from_utc(text):
    try:
        at = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        raise Bad("a time that is none") from None
    ms = (at - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)
    need(0 <= ms <= MAX_TIME and utc(ms) == text, "a time that is not in its one form")
    return ms


def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Bad("a part that is not base64") from None
    need(base64.b64encode(data).decode() == text, "base64 that is not in its one form")
    return data


def change_facts(chunk):
    """Hash, actor and dependencies of an Automerge change, from its bytes."""
    need(chunk[:4] == b"\x85\x6f\x4a\x83", "a payload that is no change")
    digest = hashlib.sha256(chunk[8:]).digest()
    need(chunk[4:8] == digest[:4], "a change whose check sum does not fit")
    r = Pack(chunk[8:])
    need(r.take(1) == b"\x01", "a change that is compressed")
    need(r.number() == len(r.data) - r.at, "a change of another length than it says")
    deps = [r.take(32) for _ in range(bounded(r.number()))]
    return digest, r.prefixed(), deps


def check_audit(file, root):
    """Every line of an audit file; a summary in words."""
    data = pathlib.Path(file).read_bytes()
    need(data.endswith(b"\n"), "the file is cut: its last line is missing")
    raw = data[:-1].split(b"\n")
    state = {"charter": [], "cut": {}, "rights": None, "commits": {}, "places": {}, "reached": {}, "entries": {}}
    state["changes"], state["out_of"] = {}, {}
    hasher = blake3(tag("audit"))
    for number, text in enumerate(raw, 1):
        try:
            line = read_line(text)
            need((line["line"] == "audit") == (number == 1), "a first line where none belongs, or none")
            need((line["line"] == "end") == (number == len(raw)), "the file is cut, or goes on after its last line")
            if number == 1:
                need(line["form"] == 1, "an audit file of another form")
                state["org"] = bytes.fromhex(line["organisation"])
                need(len(state["org"]) == 32, "an organisation's id that is not 32 bytes")
                need(root is None or state["org"] == root, "the evidence is of another organisation")
                state["head"] = line
            elif line["line"] == "charter":
                need(state["rights"] is None, "a charter line after the records began")
                audit_charter(line, state)
            else:
                if state["rights"] is None:
                    audit_rights(state)
                {"commit": audit_commit, "entry": audit_entry, "end": audit_end}[line["line"]](line, state, hasher)
            hasher.update(text + b"\n")
        except (KeyError, TypeError, IndexError):
            raise Bad(f"line {number}: its columns are not those of the manual") from None
        except Bad as e:
            raise Bad(f"line {number}: {e}") from None
    records = len({e["record"] for e in state["entries"].values()})
    named = "" if root else f"; the file itself names the root key {state['org'].hex()}: compare it"
    rights = state["rights"]
    outside = sum(e["status"] == "outside" for e in state["entries"].values())
    told = f"; {outside} entries lie outside a cut" if outside else ""
    for key, cuts in sorted(rights.cuts.items()):
        told += "".join(f"; {key.hex()} is cut ({c['kind']}: {c['reason']})" for c in cuts)
    for released, cid, _, _, reason in rights.words:
        if cid in state["commits"]:
            told += f"; commit {cid.hex()} was {'released' if released else 'rejected'} ({reason})"
    for key in sorted({e["author"] for e in state["entries"].values()} & set(rights.grants)):
        ends = [r[3] for r in rights.grants[key]]
        told += f"; the rights of {key.hex()} last until {utc(max(ends))}" if None not in ends else ""
    told += "".join(f"; the succession key named the root key {r.hex()}" for r in rights.roots())
    return (
        f"{len(state['charter'])} charter commits, {len(state['entries'])} entries of {records} records,"
        f" every author's right leads to the root key{told}{named}"
    )


def read_line(text):
    try:
        line = json.loads(text.decode("utf-8"))
        same = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise Bad("it is not JSON") from None
    need(same == text, "JSON that is not in its one form")
    columns = COLUMNS.get(line.get("line")) if isinstance(line, dict) else None
    need(columns is not None, "a line of an unknown kind")
    need([c for c in columns.split() if c in line] == list(line), "columns out of their order, or unknown ones")
    return line


def audit_charter(line, state):
    commits = check_group(cbor(unbase64(line["group"])), state["org"])
    need(len(commits) == 1, "a charter line with more than one commit")
    cid, h, (_, entries) = commits[0]
    need(h["space"][1] == 0, "a charter line with a commit of records")
    numbers = [cbor(e["payload"])[0] for e in entries]
    names = [OPERATIONS.get(n, f"operation {n}") for n in numbers]
    said = [line[c] for c in ("commit", "unit", "author", "at", "operations")]
    signed = [cid.hex(), h["space"][0].hex(), h["device"].hex(), utc(h["time"]), names]
    need(said == signed, "a column that says something else than the signed bytes")
    if "first_seen_at" in line:
        from_utc(line["first_seen_at"])
    state["charter"] += commits
    state["cut"][cid] = line.get("cut")


def audit_rights(state):
    check_chain(state["charter"])
    known = {cid for cid, _, _ in state["charter"]}
    need(len(known) == len(state["charter"]), "a charter commit that stands twice")
    rights = Rights(state["org"], state["charter"])
    need(rights.root is not None, "a charter that does not begin with a founding by the root key")
    for cid, h, _ in state["charter"]:
        outside = "outside" if cid in rights.outside else None
        need(state["cut"][cid] == outside, f"charter commit {cid.hex()}: the column 'cut' is not what the cuts say")
        need(rights.counts(h["device"], h["space"]), f"a charter commit by {h['device'].hex()}, who has no right")
    need(rights.name == state["head"]["name"], "a name that is not the charter's")
    state["rights"], state["known"] = rights, known


def audit_commit(line, state, _):
    header, signature = unbase64(line["header"]), unbase64(line["signature"])
    h = read_header(header, state["org"])
    check_signature("commit", h["device"], header, signature)
    cid = H("commit-id", header)
    said = [line[c] for c in ("commit", "unit", "author", "at")]
    signed = [cid.hex(), h["space"][0].hex(), h["device"].hex(), utc(h["time"])]
    need(said == signed, "a column that says something else than the signed bytes")
    for c in h["charter_heads"]:
        need(c in state["known"], f"the charter commit {c.hex()} is missing")
    rights, unit = state["rights"], h["space"][0]
    counts = rights.counts(h["device"], h["space"]) or rights.word(True, cid, unit)
    need(h["space"][1] != 0 and counts, f"{h['device'].hex()} has no right")
    need(cid not in state["commits"], "a commit that stands twice")
    state["commits"][cid] = h
    place, state["out_of"][cid] = place_of(cid, h, state)
    if place == "allowed" and line.get("cut") != place:
        # It may be left out for an entry, or for a commit before it, that the file does not show.
        place = "rejected" if rights.word(False, cid, unit) else "outside"
    state["places"][cid] = place
    need(line.get("cut") == place, "the column 'cut' says something else than the cuts in the charter")


def place_of(cid, h, state):
    """Where a commit lies to the cuts of its author, and those that it lies outside of; what is inside comes newest
    first, and leads to its parents."""
    rights, space = state["rights"], tuple(h["space"])
    log = h["device"], space
    if log not in state["reached"]:
        state["reached"][log] = [(c, set(c["tips"].get(space, ()))) for c in rights.cuts_of(h["device"], h["space"])]
    reached = state["reached"][log]
    out = [c for c, r in reached if cid not in r]
    out_of = {(c["by"], c["at"]) for c in out}
    for _, r in reached:
        if cid in r:
            r.update(h["parents"])
    if rights.word(True, cid, space[0]):
        return "released", out_of
    if not out:
        return ("inside" if reached else None), out_of
    key, unit, heads = h["device"], space[0], h["charter_heads"]
    left = any(rights.lets_carry(key, unit, heads, name, out_of) for name in rights.collections(key))
    if left and not any(c["final"] for c in out):
        return "allowed", out_of
    return ("rejected" if rights.word(False, cid, space[0]) else "outside"), out_of


def audit_entry(line, state, _):
    cid, record = bytes.fromhex(line["commit"]), bytes.fromhex(line["record"])
    need(cid in state["commits"], f"the commit {line['commit']} is missing")
    h = state["commits"][cid]
    kinds = {"change": CHANGE, "identity": IDENTITY, "birth": BIRTH}
    need(line["kind"] in kinds, "an entry of unknown kind")
    kind, index, payload, salt = kinds[line["kind"]], line["index"], unbase64(line["payload"]), unbase64(line["salt"])
    need(is_uint(index, 255) and len(salt) == 16 and len(record) == 16, "an index, salt or record of a wrong width")
    digest, actor, deps = change_facts(payload)
    proof = unbase64(line["proof"])
    need(len(proof) % 32 == 0, "a proof of a wrong width")
    siblings = [proof[i : i + 32] for i in range(0, len(proof), 32)]
    birth = line.get("birth")
    need((birth is not None) == (kind == BIRTH), "a birth where none belongs, or none")
    leaf = leaf_of(index, salt, kind, record, line["collection"], digest, from_utc(line["at"]), birth)
    need(root_from_proof(h["entries"], index, leaf, siblings) == h["root"], "an entry that its author did not sign there")
    author = h["device"].hex() if kind == CHANGE else None
    said, signed = [line["unit"], line["author"], line["change"]], [h["space"][0].hex(), author, digest.hex()]
    need(said == signed, "a column that says something else than the signed bytes")
    from_utc(line["first_seen_at"])
    need((cid, index) not in state["entries"], "an entry that stands twice")
    state["entries"][cid, index] = {"author": h["device"], "record": record, "status": line["status"], "change": digest, "deps": deps}
    stands = state["places"][cid] in (None, "inside", "allowed", "released")
    lets = lambda: state["rights"].lets_carry(
        h["device"], h["space"][0], h["charter_heads"], line["collection"], state["out_of"][cid]
    )
    need(not stands or state["places"][cid] == "released" or lets(), "an entry of a collection that was taken, or never given, told as if it stood")
    need((line["status"] == "outside") != stands, "the column 'status' says something else than the cuts")
    need(stands or line["fields"] == {}, "an entry outside a cut that is told as if it stood")
    if line["status"] == "accepted":
        need(kind != CHANGE or actor == H16("actor", h["device"], h["nonce"]), "a change under another's name")
        born = kind != CHANGE or deps or record == H16("record", space_key(h["space"]), digest)
        need(born, "a creation of another record")
        state["changes"].setdefault(record, set()).add(digest)


def audit_end(line, state, hasher):
    for e in state["entries"].values():
        missing = [d for d in e["deps"] if d not in state["changes"].get(e["record"], ())]
        need(e["status"] != "accepted" or not missing, f"a change of record {e['record'].hex()} whose ancestor is missing")
    maker, digest = bytes.fromhex(state["head"]["made_by"]), hasher.digest()
    need(line["digest"] == digest.hex(), "the file is not what its maker signed")
    check_signature("audit", maker, digest, unbase64(line["signature"]))
    need(maker in state["rights"].grants, "a maker without any right")


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
    audit = len(args) in (2, 4) and args[0] == "--audit" and args[2:3] in ([], ["--root"])
    if not audit and len(args) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if audit:
            print("holds:", check_audit(args[1], bytes.fromhex(args[3]) if len(args) == 4 else None))
        else:
            print("holds:", verify(pathlib.Path(args[0])))
        return 0
    except (Bad, RecursionError) as e:
        print("does not hold:", e, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
