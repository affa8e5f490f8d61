"""Generates `live_classes.rest` from openapi.yaml before a build, and copies the licences.

`python hatch_build.py` does the same for work on the package. A source distribution contains the generated code and the
licences, so a build of it generates nothing.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
GENERATED = HERE / "src/live_classes/rest"
# The generator skips bodies in NDJSON and generates the same operations with `application/octet-stream`.
EXPECTED_WARNING = "Unsupported content type application/x-ndjson"


def generate() -> None:
    """Generates the package. A warning about a left-out operation or schema is an error."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    run = subprocess.run(
        [
            # The module is also found in the isolated environment of a build, unlike the command.
            *(sys.executable, "-m", "openapi_python_client"),
            "generate",
            *("--path", REPOSITORY / "openapi.yaml"),
            *("--meta", "none"),
            *("--output-path", GENERATED),
            *("--config", HERE / "generator.yaml"),
            *("--custom-template-path", HERE / "templates"),
        ],
        capture_output=True,
        text=True,
    )
    problems = run.stdout.replace(EXPECTED_WARNING, "")
    if run.returncode != 0 or "not be generated" in problems or "Unable" in problems or "Unsupported" in problems:
        raise RuntimeError(f"openapi-python-client failed:\n{run.stdout}{run.stderr}")


def copy_licences() -> None:
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        shutil.copy(REPOSITORY / name, HERE / name)


class CustomBuildHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if (REPOSITORY / "openapi.yaml").exists():
            generate()
            copy_licences()


if __name__ == "__main__":
    generate()
    copy_licences()
