"""Builds the files of a release for people without Rust, and checks them.

  python3 infra/package [--native] [--functions NAME,... | --no-functions]

The files are written to target/package, or below CARGO_TARGET_DIR. Their names begin with live-classes-<version>-<target>:

  <name>.tar.gz             the local stack for this machine's platform, with the API description, events and licences
  <name>-<function>.zip     one function for Lambda
  <name>….cdx.json          the crates of each of these files (CycloneDX)
  live-classes-client-<version>.tgz and .cdx.json, the TypeScript client and its packages
  live-classes-<version>-licences.txt
  SHA256SUMS

The functions are built for arm64. --native builds them for this machine's processor, for the parameter
Architecture=x86_64 of the template. --functions builds only these and no client, to try the script. --no-functions builds
only the local stack, for another platform.

It needs Rust, cargo-lambda, ziglang, cargo-cyclonedx and npm. docs/how-to/release.md describes the whole release.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import archive
import bill
import build
import check
import client
from build import OUTPUT, ROOT, TARGET

# What the tar file has beside the program: the licences, the API description, and the events for `local sign`.
ADDITIONS = ("LICENSE-APACHE", "LICENSE-MIT", "openapi.yaml", "events")


def package_stack(version, triple, licences, timestamp):
    """Packs the local stack. Returns the tar file and its bill of materials."""
    program = build.stack()
    name = f"live-classes-{version}-{triple}"
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / name
        content.mkdir()
        shutil.copy(program, content / "local")
        for addition in ADDITIONS:
            copy = shutil.copytree if (ROOT / addition).is_dir() else shutil.copy
            copy(ROOT / addition, content / addition)
        for licence in (ROOT / "local/console/vendor").glob("LICENSE-*"):
            shutil.copy(licence, content / licence.name)
        (content / "LICENCES.txt").write_text(licences)
        packed = archive.tar(OUTPUT / f"{name}.tar.gz", content, timestamp)
    materials = bill.write("local", triple, OUTPUT / f"{name}.cdx.json")
    return packed, materials


def package_function(function, version, triple, timestamp):
    """Packs a function. Returns the zip file and its bill of materials."""
    name = f"live-classes-{version}-{triple}-{function}"
    packed = archive.zip_program(OUTPUT / f"{name}.zip", TARGET / "lambda" / function / "bootstrap", timestamp)
    materials = bill.write(function, triple, OUTPUT / f"{name}.cdx.json")
    return packed, materials


def package_client(version):
    """Packs the TypeScript client with its bill of materials."""
    packed = client.pack(OUTPUT)
    check.package(packed)
    check.bill_of_materials(client.bill(OUTPUT / f"live-classes-client-{version}.cdx.json"), client.locked())


def main():
    parser = argparse.ArgumentParser(description="Builds and checks the files of a release.")
    parser.add_argument("--native", action="store_true", help="build the functions for this machine's processor")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--functions", help="build only these, separated by commas")
    choice.add_argument("--no-functions", action="store_true", help="build only the local stack")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    every = build.functions()
    chosen = arguments.functions.split(",") if arguments.functions else every
    if unknown := sorted(set(chosen) - set(every)):
        sys.exit(f"there is no function {', '.join(unknown)}")

    version, host = build.version(), build.host_triple()
    target = build.lambda_target(host if arguments.native else build.ARM64)
    is_complete = not (arguments.functions or arguments.no_functions)
    build.require_tool("cargo-cyclonedx")
    if is_complete:
        build.require_tool("npm")
    if arguments.no_functions:
        chosen = []
    else:
        build.require_tool("cargo-lambda")
        build.require_library(target)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    timestamp = build.timestamp()

    if chosen:
        build.lambdas(chosen, target)
    crates = {"local": bill.linked("local", host)} | {name: bill.linked(name, target) for name in chosen}
    licences = bill.licences(set().union(*crates.values()))
    (OUTPUT / f"live-classes-{version}-licences.txt").write_text(licences)
    stack, materials = package_stack(version, host, licences, timestamp)
    check.bill_of_materials(materials, crates["local"])
    for function in chosen:
        packed, materials = package_function(function, version, target, timestamp)
        check.function(packed, target)
        check.bill_of_materials(materials, crates[function])
    check.stack(stack)
    if is_complete:
        package_client(version)
    archive.write_sums(OUTPUT)
    check.sums(OUTPUT)
    for path in sorted(OUTPUT.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    print(f"OK: the files are in {OUTPUT}")


if __name__ == "__main__":
    try:
        main()
    except (build.BuildFailed, check.CheckFailed, bill.BillFailed) as error:
        sys.exit(f"FAILED: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"FAILED: {' '.join(map(str, error.cmd))}")
