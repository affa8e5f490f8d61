#!/usr/bin/env python3
"""What cargo-lambda built, as Lambda will see it: of one architecture, with nothing to load but what is there, and small.

  python3 tests/shipped.py [arm64 | x86_64]

After `cargo lambda build --release --arm64`, or without `--arm64`. It reads the files and runs none, so it tells on any
machine; it needs `readelf`, of binutils. What is built for one architecture and deployed for another, or linked to a newer
libc than Lambda's, deploys without a word and fails at its first event.
"""

import pathlib
import re
import subprocess
import sys
import zlib

MACHINES = {"arm64": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}
# provided.al2023 has glibc 2.34, and no library of ours.
LIBC = (2, 34)
THERE = re.compile(r"lib(c|m|gcc_s|dl|pthread|rt)\.so\.\d+|ld-linux-(aarch64|x86-64)\.so\.\d")
# Deflated, as it is uploaded and as a cold start fetches it; see docs/performance.md.
LARGEST = 3_500_000


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True, text=True).stdout


def wrong(bootstrap, architecture):
    """What is wrong with a program, and a line about it."""
    machine = re.search(r"Machine: +(.*)", readelf("-h", bootstrap))[1]
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", bootstrap))
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", readelf("-V", bootstrap))
    libc = max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))
    packed = len(zlib.compress(bootstrap.read_bytes(), 9))
    print(f"{bootstrap.parent.name:16} {machine:31} glibc {libc[0]}.{libc[1]:<3} {packed / 1e6:.2f} MB  {' '.join(needed)}")
    if machine != MACHINES[architecture]:
        yield f"is built for {machine}"
    if libc > LIBC:
        yield f"wants glibc {libc[0]}.{libc[1]}, and Lambda has {LIBC[0]}.{LIBC[1]}"
    for library in needed:
        if not THERE.fullmatch(library):
            yield f"wants {library}, which Lambda does not have"
    if ".symtab" in readelf("-S", bootstrap):
        yield "has its symbols still"
    if packed > LARGEST:
        yield f"is {packed} bytes, and {LARGEST} is what it may be"


def main():
    architecture = (sys.argv[1:] or ["arm64"])[0]
    root = pathlib.Path(__file__).resolve().parent.parent
    failed = False
    for function in sorted(path.name for path in (root / "functions").iterdir()):
        bootstrap = root / "target" / "lambda" / function / "bootstrap"
        reasons = list(wrong(bootstrap, architecture)) if bootstrap.exists() else ["is not built"]
        for reason in reasons:
            print(f"  {function} {reason}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
