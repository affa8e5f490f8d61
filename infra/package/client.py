"""Packs the TypeScript client, and lists its packages."""

import json
import subprocess

from build import ROOT

CLIENT = ROOT / "clients/typescript"


def npm(*arguments):
    return subprocess.run(
        ["npm", "--prefix", CLIENT, *arguments], cwd=CLIENT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def locked():
    """Returns name and version of each package in the lock file, which includes those that build the client."""
    packages = json.loads((CLIENT / "package-lock.json").read_text())["packages"]
    return {(path.rpartition("node_modules/")[2], package["version"]) for path, package in packages.items() if path}


def pack(folder):
    """Writes the package, which npm names. Returns its path."""
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    name = npm("pack", "--silent", "--pack-destination", str(folder)).split()[-1]
    return folder / name


def bill(path):
    """Writes the bill of materials. It follows the lock file, so the packages of other platforms are in it, too."""
    path.write_text(npm("sbom", "--sbom-format", "cyclonedx", "--package-lock-only"))
    return path
