#!/usr/bin/env python3
"""Checks that every package in the lock file has a licence from the list below, and that no second
TLS provider came in. It does not fetch anything."""
import json
import subprocess
import sys

ALLOWED = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "0BSD",
    "Unicode-3.0", "CC0-1.0", "Unlicense", "BlueOak-1.0.0", "MIT-0", "BSL-1.0", "CDLA-Permissive-2.0",
}
BANNED = {"aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"}


def permitted(expression: str) -> bool:
    """An SPDX expression: every AND part must have an allowed OR part."""
    text = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    tokens = text.split()
    position = 0

    def atom():
        nonlocal position
        if tokens[position] == "(":
            position += 1
            value = either()
            position += 1
            return value
        name = tokens[position]
        position += 1
        if position + 1 < len(tokens) and tokens[position] == "WITH":
            name += " WITH " + tokens[position + 1]
            position += 2
        return name in ALLOWED

    def both():
        nonlocal position
        value = atom()
        while position < len(tokens) and tokens[position] == "AND":
            position += 1
            value = atom() and value
        return value

    def either():
        nonlocal position
        value = both()
        while position < len(tokens) and tokens[position] == "OR":
            position += 1
            value = both() or value
        return value

    return either()


def main() -> int:
    out = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], check=True, capture_output=True)
    packages = json.loads(out.stdout)["packages"]
    bad = [f"{p['name']} {p['version']}: {p['license']}" for p in packages if not p["license"] or not permitted(p["license"])]
    bad += [f"{p['name']}: a second TLS stack" for p in packages if p["name"] in BANNED]
    for line in sorted(bad):
        print(line, file=sys.stderr)
    print(f"{len(packages)} packages looked at, {len(bad)} refused")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
