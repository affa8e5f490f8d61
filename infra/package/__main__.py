"""Builds the files of a release for people without Rust, and checks them.

  python3 infra/package [--native] [--functions NAME,... | --no-functions]

The files are written to target/package, or below CARGO_TARGET_DIR. <name> is live-classes-<version>-<target>:

  <name>.tar.gz             the local stack for this machine's platform, with the API description, events and licences
  <name>-<function>.zip     one function for Lambda
  <name>….cdx.json          the crates of each of these files (CycloneDX)
  live-classes-client-<version>.tgz and .cdx.json, the TypeScript client and its packages
  live-classes-<version>-licences.txt
  SHA256SUMS

The functions are built for arm64. --native builds them for this machine's processor, for the parameter
Architecture=x86_64 of the template. --functions builds only these and no client, to try the script. --no-functions
builds only the local stack, for another platform.

It needs Rust, cargo-lambda, ziglang, cargo-cyclonedx and npm. docs/how-to/release.md describes the whole release.
"""

import argparse
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


def package_stack(name, licences, timestamp):
    """Packs the local stack. Returns the tar file."""
    program = build.stack()
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
        return archive.tar(OUTPUT / f"{name}.tar.gz", content, timestamp)


def package_functions(names, target, timestamp):
    """Packs functions. `names` has the name of each function's file."""
    for function, name in names.items():
        program = TARGET / "lambda" / function / "bootstrap"
        check.function(archive.zip_program(OUTPUT / f"{name}.zip", program, timestamp), target)
    list_materials(target, names)


def list_materials(triple, names):
    """Writes and checks the bills of materials of packages. `names` has the name of each package's file."""
    paths = {package: OUTPUT / f"{name}.cdx.json" for package, name in names.items()}
    bill.write(triple, paths)
    for package, path in paths.items():
        check.bill_of_materials(path, bill.linked(package, triple))


def package_client(version):
    """Packs the TypeScript client with its bill of materials."""
    check.package(client.pack(OUTPUT))
    check.bill_of_materials(client.bill(OUTPUT / f"live-classes-client-{version}.cdx.json"), client.locked())


def parse_arguments():
    parser = argparse.ArgumentParser(description="Builds and checks the files of a release.")
    parser.add_argument("--native", action="store_true", help="build the functions for this machine's processor")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--functions", help="build only these, separated by commas, and no client")
    choice.add_argument("--no-functions", action="store_true", help="build only the local stack")
    arguments = parser.parse_args()
    every = build.functions()
    chosen = arguments.functions.split(",") if arguments.functions else every
    if unknown := sorted(set(chosen) - set(every)):
        parser.error(f"there is no function {', '.join(unknown)}")
    is_complete = not (arguments.functions or arguments.no_functions)
    return arguments.native, [] if arguments.no_functions else chosen, is_complete


def main():
    is_native, functions, is_complete = parse_arguments()
    version, host, timestamp = build.version(), build.host_triple(), build.timestamp()
    target = build.lambda_target(host if is_native else build.ARM64)
    # Everything that can be missing is looked for before the long builds.
    for tool in ["cargo-cyclonedx"] + ["cargo-lambda"] * bool(functions) + ["npm"] * is_complete:
        build.require_tool(tool)
    if functions:
        build.require_library(target)
        build.lambdas(functions, target)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)

    name = f"live-classes-{version}"
    licences = bill.licences(bill.linked("local", host).union(*(bill.linked(one, target) for one in functions)))
    (OUTPUT / f"{name}-licences.txt").write_text(licences)
    check.stack(package_stack(f"{name}-{host}", licences, timestamp))
    list_materials(host, {"local": f"{name}-{host}"})
    if functions:
        package_functions({one: f"{name}-{target}-{one}" for one in functions}, target, timestamp)
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
