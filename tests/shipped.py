#!/usr/bin/env python3
"""Checks the programs that cargo-lambda built: architecture, required libraries, symbols and size.

  python3 tests/shipped.py [arm64 | x86_64]

Run it after `cargo lambda build --release`, with or without `--arm64`. It only reads the files, so it works on any machine
with `readelf` (binutils). A program for the wrong architecture, or linked to a newer libc than Lambda's, deploys without an
error and fails at its first event.
"""

import os
import pathlib
import re
import subprocess
import sys
import zlib

MACHINES = {"arm64": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}
# provided.al2023 has glibc 2.34 and no other libraries that we need.
LIBC = (2, 34)
AVAILABLE = re.compile(r"lib(c|m|gcc_s|dl|pthread|rt)\.so\.\d+|ld-linux-(aarch64|x86-64)\.so\.\d")
# Compressed, as it is uploaded and loaded by a cold start: 5 % above the largest function on x86-64. The budget is lower,
# see docs/explanation/performance.md.
MAX_BYTES = 4_100_000


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True, text=True).stdout


def problems(bootstrap, architecture):
    """Prints a line about a program, and yields its problems."""
    machine = re.search(r"Machine: +(.*)", readelf("-h", bootstrap))[1]
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", bootstrap))
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", readelf("-V", bootstrap))
    libc = max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))
    packed = len(zlib.compress(bootstrap.read_bytes(), 9))
    print(f"{bootstrap.parent.name:16} {machine:31} glibc {libc[0]}.{libc[1]:<3} {packed / 1e6:.2f} MB  {' '.join(needed)}")
    if machine != MACHINES[architecture]:
        yield f"is built for {machine}"
    if libc > LIBC:
        yield f"requires glibc {libc[0]}.{libc[1]}, but Lambda has {LIBC[0]}.{LIBC[1]}"
    for library in needed:
        if not AVAILABLE.fullmatch(library):
            yield f"requires {library}, which Lambda does not have"
    if ".symtab" in readelf("-S", bootstrap):
        yield "is not stripped"
    if packed > MAX_BYTES:
        yield f"has {packed} compressed bytes, more than {MAX_BYTES}"


def main():
    architecture = (sys.argv[1:] or ["arm64"])[0]
    root = pathlib.Path(__file__).resolve().parent.parent
    target = root / (os.environ.get("CARGO_TARGET_DIR") or "target")
    failed = False
    for function in sorted(path.name for path in (root / "functions").iterdir()):
        bootstrap = target / "lambda" / function / "bootstrap"
        reasons = list(problems(bootstrap, architecture)) if bootstrap.exists() else ["is not built"]
        for reason in reasons:
            print(f"  {function} {reason}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
