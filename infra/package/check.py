"""Checks the files of a release: what a recipient would notice too late."""

import json
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import archive

# The two bytes of an ELF header that name the processor.
MACHINES = {"aarch64": b"\xb7\x00", "x86_64": b"\x3e\x00"}
START_SECONDS = 60


class CheckFailed(Exception):
    """A file of the release is wrong."""


def require(condition, text):
    if not condition:
        raise CheckFailed(text)


def sums(folder):
    """Every file is in SHA256SUMS with its checksum."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    present = {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    require(set(listed) == present, f"SHA256SUMS and the folder differ: {sorted(set(listed) ^ present)}")
    for name, digest in listed.items():
        require(archive.digest(folder / name) == digest, f"{name} has another checksum")


def function(path, target):
    """The zip file has only an executable `bootstrap` of the target's processor."""
    with zipfile.ZipFile(path) as packed:
        require(packed.namelist() == ["bootstrap"], f"{path.name} contains {packed.namelist()}")
        require(
            packed.getinfo("bootstrap").external_attr >> 16 & 0o111 == 0o111,
            f"{path.name}: bootstrap is not executable",
        )
        header = packed.read("bootstrap")[:20]
        require(header[:4] == b"\x7fELF", f"{path.name}: bootstrap is no program for Linux")
        require(header[18:] == MACHINES[target.split("-")[0]], f"{path.name}: bootstrap is not built for {target}")


def package(path):
    """The package has the built client, its types and its licences."""
    with tarfile.open(path) as packed:
        names = set(packed.getnames())
    for name in (
        "dist/index.js",
        "dist/index.cjs",
        "dist/index.d.ts",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-openapi-fetch",
    ):
        require(f"package/{name}" in names, f"{path.name} lacks {name}")


def bill_of_materials(path, crates):
    """The bill is CycloneDX, and lists every crate or package with its version and a licence."""
    content = json.loads(path.read_text())
    require(content.get("bomFormat") == "CycloneDX" and content.get("specVersion"), f"{path.name} is not CycloneDX")
    components = [content["metadata"]["component"], *content.get("components", [])]
    listed = {(component["name"], component["version"]) for component in components}
    missing = sorted(crates - listed)
    require(not missing, f"{path.name} lacks {missing}")
    without = sorted(one["name"] for one in components if not one.get("licenses"))
    require(not without, f"{path.name} has no licence of {without}")


def status(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def stack(path):
    """The packed program starts outside of the repository, answers, and stops when it is asked to."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(path) as packed:
        packed.extractall(folder, filter="data")
        home = Path(folder) / path.name.removesuffix(".tar.gz")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        base = f"http://localhost:{port}"
        process = subprocess.Popen(
            [home / "local", "--port", str(port), "--data", Path(folder) / "data"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            end = time.monotonic() + START_SECONDS
            while status(f"{base}/local/config") is None and process.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
            for address, wanted in (("/", 200), ("/local/config", 200), ("/v1/sessions", 401)):
                found = status(base + address)
                require(found == wanted, f"{path.name}: {address} answers {found}, not {wanted}")
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=30)
        require(process.returncode == 0, f"{path.name} ended with {process.returncode}: {errors[-500:]}")
