"""Counts the instructions of the hottest paths and compares them with what was recorded.

    python3 .ci/guard.py            compares; fails when a path grew by more than a tenth
    python3 .ci/guard.py --record   writes tests/benches/counts.tsv anew

The paths are those of tests/src/guard; valgrind's callgrind counts what runs inside each of their functions. Counts do
not change with the machine's load; they do with the compiler, valgrind and, a little, with the kind of processor
(libraries choose their code by it). It does not measure time. Without valgrind, or with another compiler than was
recorded, nothing is compared: in CI (where `CI` is set) that is a failure, elsewhere a warning.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "tests/benches/counts.tsv"
RECORD = "python3 .ci/guard.py --record"
GROWTH_MAX = 0.10
PREFIX = "counted_"


def said(*words: str) -> str:
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout.strip()


def unable(reason: str) -> None:
    """Ends the run: red in CI, where nothing may go unguarded; loud elsewhere."""
    if os.environ.get("CI"):
        sys.exit(f"guard: {reason}")
    line = "!" * 100
    print(f"{line}\n!! guard: NOTHING WAS COMPARED: {reason}\n{line}", file=sys.stderr)
    sys.exit(0)


def install() -> None:
    if shutil.which("valgrind"):
        return
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    for words in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "valgrind"]):
        try:
            subprocess.run([*sudo, *words], check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as e:
            unable(f"valgrind is missing and could not be installed ({e})")


def build() -> Path:
    """The program as the step `tests` builds it: another choice of packages or targets means other features, and with
    them another build of nearly everything."""
    words = ["cargo", "test", "--workspace", "--test", "sim", "--no-run", "--message-format", "json-render-diagnostics"]
    out = said(*words)
    found = [m for m in map(json.loads, out.splitlines()) if m.get("target", {}).get("name") == "sampan-bench"]
    return Path(found[-1]["executable"])


def count(program: Path) -> dict[str, int]:
    """Instructions of each path, all that it calls included."""
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        words = ["valgrind", "--tool=callgrind", f"--toggle-collect=*::{PREFIX}*", f"--callgrind-out-file={out}"]
        words += ["--compress-strings=no", "--compress-pos=no", str(program), "paths"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"guard: the paths failed under valgrind\n{done.stdout}{done.stderr}")
        names = done.stdout.split()
        path, total = None, 0
        for line in out.read_text(errors="replace").splitlines():
            if line.startswith("fn="):
                name = line.rsplit("::", 1)[-1]
                path = name if name.startswith(PREFIX) else None
            elif line.startswith("totals:"):
                total = int(line.split()[1])
            elif path and line[:1].isdigit():
                counts[path] = counts.get(path, 0) + int(line.split()[1])
    if sorted(counts) != sorted(names) or sum(counts.values()) != total:
        sys.exit(f"guard: what was counted does not add up: {counts}, {total} in all; the paths are {names}")
    return {name.removeprefix(PREFIX): counts[name] for name in names}


def environment() -> dict[str, str]:
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {
        "rustc": said("rustc", "--version"),
        "target": next(x for x in said("rustc", "-vV").splitlines() if x.startswith("host:")).split()[1],
        "valgrind": said("valgrind", "--version"),
        "avx2": "yes" if " avx2 " in cpu else "no",
        # Decides into how many units code is cut, and so what is inlined.
        "incremental": os.environ.get("CARGO_INCREMENTAL", "as the profile says"),
    }


def recorded() -> tuple[dict[str, str], dict[str, int]]:
    env, counts = {}, {}
    for line in RECORDED.read_text().splitlines():
        if line.startswith("# ") and ": " in line:
            name, value = line[2:].split(": ", 1)
            env[name] = value
        elif line and not line.startswith("#"):
            name, value = line.split("\t")
            counts[name] = int(value)
    return env, counts


def main() -> None:
    install()
    here = environment()
    record = sys.argv[1:] == ["--record"]
    if not record and sys.argv[1:]:
        sys.exit(f"guard: {__doc__}")
    env, before = recorded() if RECORDED.exists() else ({}, {})
    if not record:
        for name in ("rustc", "target"):
            if env.get(name) != here[name]:
                unable(f"counted with {env.get(name)}, and this is {here[name]}. Record anew: {RECORD}")
    counts = count(build())
    if record:
        head = ["# Instructions of the hottest paths (tests/src/guard), profile dev. Written by:", f"# {RECORD}"]
        lines = head + [f"# {k}: {v}" for k, v in here.items()] + [f"{k}\t{v}" for k, v in counts.items()]
        RECORDED.write_text("\n".join(lines) + "\n")
    grown, shrunk = [], []
    for name in counts | before:
        now, then = counts.get(name, 0), before.get(name, 0)
        change = f"{now / then - 1:+8.2%}" if then and now else "     new" if now else "    gone"
        print(f"{name:28} {now:>15,} {then:>15,} {change}")
        if not record and (not now or not then or now > then * (1 + GROWTH_MAX)):
            grown.append(name)
        elif then and now < then * (1 - GROWTH_MAX):
            shrunk.append(name)
    if shrunk and not record:
        print(f"guard: {', '.join(shrunk)} became cheaper by more than a tenth; record it, or the gain may go unseen: {RECORD}")
    if grown:
        differs = [f"{k} was {env.get(k)}, is {v}" for k, v in here.items() if env.get(k) != v]
        note = f" (the machine differs: {'; '.join(differs)})" if differs else ""
        sys.exit(
            f"guard: more than {GROWTH_MAX:.0%} above what was recorded, or not recorded: {', '.join(grown)}{note}.\n"
            f"Find the cause (valgrind --tool=callgrind, see tests/benches/README.md). Where the growth is meant, say "
            f"why in the commit and record it there: {RECORD}"
        )


main()
