"""docs/how-to/run-without-rust.md: the files of a release, made of the development build."""

import subprocess
import sys
import urllib.request

from documents import ROOT
from stack import LOCAL, free_port, wait_until

sys.path.append(str(ROOT / "infra/package"))

import archive  # noqa: E402
import build  # noqa: E402

PAGE = "docs/how-to/run-without-rust.md"
NOT_TRIED = {
    "In a container": "tests/image.sh builds and starts the image, in .ci/nightly",
    "Deploy the functions": "infra/package checks each archive that it makes, in .ci/nightly",
}
COVERED_BY_TESTS = {}
TIME = 1_790_000_000


def pack(folder):
    """Writes the files of a release into the shell's directory."""
    name = f"live-classes-{build.version()}"
    # Beside the folder, because every file in it gets a checksum.
    content = folder.parent / "built" / f"{name}-x86_64-unknown-linux-gnu"
    content.mkdir(parents=True)
    (content / "local").hardlink_to(LOCAL)
    archive.tar(folder / f"{content.name}.tar.gz", content, TIME)
    archive.write_sums(folder)
    # The shell's own script changes with each command.
    sums = folder / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in lines if ".tar.gz" in line))


def run(t):
    folder = t.shell.pasted.parent
    pack(folder)
    with t.section("Check the files"):
        output = t.paste()
        t.check("the checksum is right, and the demo plays", ".tar.gz: OK" in output)
    with t.section("Start the stack"):
        command = t.page.commands(t.heading)[0]
        t.tried.add(command.line)
        port = free_port()
        program = t.shell.run(f"echo {command.text}").strip()
        process = subprocess.Popen([folder / program, "--port", str(port)], cwd=folder, stdout=subprocess.DEVNULL)

        def is_ready():
            try:
                return urllib.request.urlopen(f"http://localhost:{port}/local/config", timeout=5).status == 200
            except OSError:
                return False

        wait_until("the unpacked stack is ready", is_ready)
        process.terminate()
        process.wait()
        t.check("the unpacked stack answers", True)
