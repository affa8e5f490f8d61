"""Lists the crates of a program: its bill of materials, and the licences that a copy of the program must contain."""

import json
import re
import subprocess
from pathlib import Path

from build import ROOT, output

# The texts in a crate's folder that belong to its licence.
LICENCE_FILES = re.compile(r"(licen[cs]e|copying|notice|copyright)([-_.].*)?", re.IGNORECASE)
# The texts of the two licences that some crates only name. MIT's is the part that is the same for every author.
COMMON_LICENCES = {
    "MIT": "Permission is" + (ROOT / "LICENSE-MIT").read_text().partition("Permission is")[2],
    "Apache-2.0": (ROOT / "LICENSE-APACHE").read_text(),
}


HEADER = """Crates that are linked into the programs, with their licences. Rust's standard library is linked, too. Its
licence is MIT OR Apache-2.0.

"""


class BillFailed(Exception):
    """A crate whose licence is unknown."""


def linked(package, triple):
    """Returns name and version of each crate that is linked into a program."""
    lines = output(
        "cargo",
        "tree",
        "--locked",
        "--package",
        package,
        "--target",
        triple,
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ).splitlines()
    words = [line.split() for line in lines if line]
    return {(name, version.removeprefix("v")) for name, version, *_ in words}


def write(triple, paths):
    """Writes the bills of materials of packages for a target, to the path of each."""
    manifest = json.loads(output("cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"))
    subprocess.run(
        ["cargo", "cyclonedx", "--quiet", "--format", "json", "--target", triple, "--spec-version", "1.5"],
        cwd=ROOT,
        check=True,
    )
    # cargo-cyclonedx writes a bill beside the manifest of every package of the workspace.
    for package in manifest["packages"]:
        written = Path(package["manifest_path"]).parent / f"{package['name']}.cdx.json"
        if path := paths.get(package["name"]):
            written.replace(path)
        else:
            written.unlink(missing_ok=True)


def texts_of(package, expression):
    """Returns the licence texts in a crate's folder, or the text of the licence that it names."""
    # Also below the top, where the crates with C code have the licences of that code.
    files = sorted(Path(package["manifest_path"]).parent.rglob("*"))
    if found := [file for file in files if file.is_file() and LICENCE_FILES.fullmatch(file.name)]:
        return [file.read_text(errors="replace") for file in found]
    for licence, text in COMMON_LICENCES.items():
        if re.search(rf"\b{re.escape(licence)}(?![\w-])", expression):
            return [text]
    raise BillFailed(f"{package['name']} {package['version']} ({expression}) has no licence text")


def licences(crates):
    """Returns the licence texts of crates, each text once, with the crates it belongs to."""
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1"))
    texts, owners = {}, []
    for package in sorted(metadata["packages"], key=lambda one: (one["name"], one["version"])):
        key = package["name"], package["version"]
        if key not in crates or package["source"] is None:
            continue
        name = f"{key[0]} {key[1]}"
        expression = package["license"] or "see its text"
        owners.append(f"{name}: {expression}, by {', '.join(package['authors']) or 'its contributors'}")
        for text in texts_of(package, expression):
            texts.setdefault(text.strip(), []).append(name)
    sections = [f"{', '.join(names)}\n\n{text}" for text, names in texts.items()]
    rule = "\n\n" + "-" * 80 + "\n\n"
    return rule.join([HEADER + "\n".join(owners), *sections]) + "\n"
