"""Builds the programs of a release with cargo and cargo-lambda."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")
OUTPUT = TARGET / "package"
ARM64 = "aarch64-unknown-linux-gnu"
# The targets of Lambda, with cargo-lambda's option.
LAMBDA_TARGETS = {ARM64: "--arm64", "x86_64-unknown-linux-gnu": "--x86-64"}
# The ways to get a missing command.
TOOLS = {
    "cargo-lambda": "pip install cargo-lambda ziglang",
    "cargo-cyclonedx": "cargo install --locked cargo-cyclonedx",
    "npm": "Node 20",
}


class BuildFailed(Exception):
    """A reason for which nothing can be built."""


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def rustc(*arguments):
    return output(os.environ.get("RUSTC", "rustc"), *arguments)


def version():
    return re.search(r'^\[workspace\.package\]\nversion = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def functions():
    return sorted(path.name for path in (ROOT / "functions").iterdir())


def host_triple():
    return re.search(r"^host: (.*)$", rustc("-vV"), re.MULTILINE)[1]


def timestamp():
    """Returns the time of every packed file, so that the same commit gives the same files: the time of the commit."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct"))


def lambda_target(triple):
    """Returns the target on Lambda with the processor of a platform."""
    processor = {"arm64": "aarch64"}.get(triple.split("-")[0], triple.split("-")[0])
    target = f"{processor}-unknown-linux-gnu"
    if target not in LAMBDA_TARGETS:
        raise BuildFailed(f"Lambda has no {processor}")
    return target


def require_tool(command):
    if not shutil.which(command):
        raise BuildFailed(f"{command} is missing: {TOOLS[command]}")


def require_library(target):
    """Fails before a long build if the standard library of a target is missing."""
    library = Path(rustc("--print", "target-libdir", "--target", target).strip())
    if not any(library.glob("libstd-*.rlib")):
        raise BuildFailed(
            f"Rust has no standard library for {target}: run `rustup target add {target}`, or build for this "
            "machine's processor with --native"
        )


def lambdas(names, target):
    """Builds functions to target/lambda."""
    packages = [part for name in names for part in ("--package", name)]
    subprocess.run(
        ["cargo", "lambda", "build", "--release", "--locked", LAMBDA_TARGETS[target], *packages], cwd=ROOT, check=True
    )


# Optimizing across crates takes longer than all other steps, and a developer does not notice the difference.
WITHOUT_LTO = ("--config", "profile.release.lto=false", "--config", "profile.release.codegen-units=16")


def stack():
    """Builds the local stack for this machine. Returns the program."""
    command = ["cargo", "build", "--release", "--locked", *WITHOUT_LTO, "--package", "local", "--bin", "local"]
    subprocess.run(command, cwd=ROOT, check=True)
    return TARGET / "release/local"
