"""Tests the scripts of a release, infra/tag and infra/package: python3 tests/release.py

The tag is tried in a repository of its own. Of the package, everything is tested except the long builds, which
.ci/nightly runs.
"""

import datetime
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "infra/package"))
sys.dont_write_bytecode = True

import archive  # noqa: E402
import bill  # noqa: E402
import build  # noqa: E402
import check  # noqa: E402

FILES = {
    "Cargo.toml": '[workspace.package]\nversion = "1.2.3"\n',
    "Cargo.lock": '[[package]]\nname = "shared"\nversion = "1.2.3"\n',
    "clients/python/pyproject.toml": '[project]\nversion = "1.2.3"\n',
    "openapi.yaml": "info:\n  version: 1.2.3\n",
    "clients/typescript/package.json": '{"version": "1.2.3"}',
    "clients/typescript/package-lock.json": '{"version": "1.2.3"}',
    "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-01\n\n### Added\n\n- A thing.\n\n"
    "## [1.2.2] - 2026-10-01\n\n- Before.\n",
}
# The change of a file, and the reason for which the tag is refused.
REFUSALS = [
    ("Cargo.toml", "1.2.3", "1.3", "Cargo.toml has no version: 1.3"),
    ("Cargo.lock", "1.2.3", "1.2.2", "Cargo.lock has version 1.2.2, and Cargo.toml 1.2.3"),
    ("clients/python/pyproject.toml", "1.2.3", "1.3.0", "clients/python/pyproject.toml has version 1.3.0"),
    ("openapi.yaml", "1.2.3", "1.2.4", "openapi.yaml has version 1.2.4, and Cargo.toml 1.2.3"),
    ("clients/typescript/package.json", "1.2.3", "2.0.0", "clients/typescript/package.json has version 2.0.0"),
    (
        "clients/typescript/package-lock.json",
        "1.2.3",
        "0.0.1",
        "clients/typescript/package-lock.json has version 0.0.1",
    ),
    ("CHANGELOG.md", "## [Unreleased]\n\n", "", "does not begin with the heading Unreleased"),
    ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- More.\n", "has changes under Unreleased"),
    ("CHANGELOG.md", "[1.2.3]", "[1.2.4]", "the first release of CHANGELOG.md is not 1.2.3"),
    ("CHANGELOG.md", " - 2026-11-01", "", "has no date of 1.2.3"),
    ("CHANGELOG.md", "2026-11-01", "2026-11-31", "has no date of 1.2.3"),
    ("CHANGELOG.md", "2026-11-01", "2999-01-01", "in the future"),
    ("CHANGELOG.md", "### Added\n\n- A thing.\n\n", "", "lists no change of 1.2.3"),
]


class Tag(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, text in FILES.items():
            self.write(name, text)
        (self.folder / "infra").mkdir()
        shutil.copy(ROOT / "infra/tag", self.folder / "infra/tag")
        self.git("init", "--quiet")
        self.commit()

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *arguments):
        identity = {
            f"GIT_{role}_{part}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
        }
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **identity, **settings},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")

    def tag(self, *arguments):
        identity = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}
        return subprocess.run(
            [sys.executable, "infra/tag", *arguments],
            cwd=self.folder,
            env={**os.environ, **identity},
            capture_output=True,
            text=True,
        )

    def assert_refused(self, reason):
        result = self.tag()
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(reason, result.stdout)
        self.assertEqual(self.git("tag"), "", "nothing is tagged")

    def test_release_is_tagged_with_its_changes(self):
        self.assertIn("can be tagged", self.tag("--check").stdout)
        self.assertEqual(self.git("tag"), "", "--check tags nothing")
        result = self.tag()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(self.git("cat-file", "-t", "v1.2.3"), "tag\n", "the tag is annotated")
        self.assertEqual(
            self.git("tag", "--list", "--format=%(contents)", "v1.2.3").strip(),
            "Live Classes 1.2.3\n\n### Added\n\n- A thing.",
        )
        again = self.tag()
        self.assertEqual(again.returncode, 1)
        self.assertIn("the tag v1.2.3 exists", again.stdout)

    def test_wrong_state_of_a_file_is_refused(self):
        for name, old, new, reason in REFUSALS:
            with self.subTest(reason):
                self.assertIn(old, FILES[name])
                self.write(name, FILES[name].replace(old, new, 1))
                self.commit()
                self.assert_refused(reason)
                self.write(name, FILES[name])
                self.commit()

    def test_change_that_is_not_committed_is_refused(self):
        for name in ("openapi.yaml", "new.txt"):
            with self.subTest(name):
                self.write(name, FILES.get(name, "") + "\n")
                self.assert_refused("not committed")
                self.commit()

    def test_version_below_an_existing_tag_is_refused(self):
        self.git("tag", "v1.10.0")
        result = self.tag()
        self.assertEqual(result.returncode, 1)
        self.assertIn("the tag v1.10.0 exists", result.stdout)

    def test_files_of_this_repository_state_one_version(self):
        loader = importlib.machinery.SourceFileLoader("tag", str(ROOT / "infra/tag"))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tag", loader))
        loader.exec_module(module)
        stated = module.versions()
        self.assertEqual(set(stated), set(FILES) - {"CHANGELOG.md"})
        self.assertEqual(set(stated.values()), {build.version()})
        problems = module.changelog_problems(build.version(), datetime.date.max)
        self.assertEqual([problem for problem in problems if "under Unreleased" not in problem], [])


class Package(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def program(self, machine=b"\xb7\x00"):
        path = self.folder / "bootstrap"
        path.write_bytes(b"\x7fELF".ljust(18, b"\0") + machine + b"rest")
        return path

    def assert_fails(self, reason, call, *arguments):
        with self.assertRaisesRegex((check.CheckFailed, build.BuildFailed), reason):
            call(*arguments)

    def test_archives_depend_on_their_content_only(self):
        files = self.folder / "name"
        files.mkdir()
        for name in ("local", "LICENSE-MIT"):
            (files / name).write_text(name)
        made = []
        for attempt, mtime in (("a", 1_700_000_000), ("b", 1_800_000_000)):
            program = self.program()
            for file in (program, *files.iterdir()):
                os.utime(file, (mtime, mtime))
            made.append(
                (
                    archive.zip_program(self.folder / f"{attempt}.zip", program, 1_790_000_000).read_bytes(),
                    archive.tar(self.folder / f"{attempt}.tar.gz", files, 1_790_000_000).read_bytes(),
                )
            )
        self.assertEqual(made[0], made[1])
        subprocess.run(["tar", "-xzf", "a.tar.gz", "-C", self.folder / "name"], cwd=self.folder, check=True)
        self.assertTrue(os.access(files / "name/local", os.X_OK))
        self.assertFalse(os.access(files / "name/LICENSE-MIT", os.X_OK))

    def test_function_needs_an_executable_program_of_its_processor(self):
        path = archive.zip_program(self.folder / "a.zip", self.program(), 1_790_000_000)
        check.function(path, build.ARM64)
        self.assert_fails("not built for x86_64", check.function, path, "x86_64-unknown-linux-gnu")
        for name, mode, content, reason in (
            ("bootstrap", 0o644, self.program().read_bytes(), "not executable"),
            ("bootstrap", 0o755, b"#!/bin/sh", "no program"),
            ("target/bootstrap", 0o755, self.program().read_bytes(), "contains"),
        ):
            with zipfile.ZipFile(path, "w") as packed:
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (0o100000 | mode) << 16
                packed.writestr(entry, content)
            self.assert_fails(reason, check.function, path, build.ARM64)

    def test_checksums_name_every_file(self):
        (self.folder / "a").write_text("a")
        archive.write_sums(self.folder)
        check.sums(self.folder)
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=self.folder, check=True)
        (self.folder / "a").write_text("b")
        self.assert_fails("another checksum", check.sums, self.folder)
        (self.folder / "a").write_text("a")
        (self.folder / "b").write_text("b")
        self.assert_fails("differ.*b", check.sums, self.folder)

    def test_bill_of_materials_lists_every_crate_with_a_licence(self):
        path = self.folder / "a.cdx.json"

        def write(components, **members):
            own = {"name": "join", "version": "1", "licenses": [{}]}
            path.write_text(
                json.dumps(
                    {
                        "bomFormat": "CycloneDX",
                        "specVersion": "1.5",
                        "metadata": {"component": own},
                        "components": components,
                        **members,
                    }
                )
            )

        http = {"name": "http", "version": "1.5.0", "licenses": [{"expression": "MIT"}]}
        crates = {("join", "1"), ("http", "1.5.0")}
        write([http])
        check.bill_of_materials(path, crates)
        write([{**http, "version": "1.4.0"}])
        self.assert_fails("lacks.*1.5.0", check.bill_of_materials, path, crates)
        write([{**http, "licenses": []}])
        self.assert_fails("no licence of.*http", check.bill_of_materials, path, crates)
        write([http], bomFormat="SPDX")
        self.assert_fails("not CycloneDX", check.bill_of_materials, path, crates)

    def test_linked_crates_are_those_of_the_program(self):
        names = {name for name, _ in bill.linked("join", build.ARM64)}
        self.assertLessEqual({"join", "shared", "ring", "tokio", "serde"}, names)
        self.assertFalse(
            {"serde_derive", "axum", "jsonschema", "proptest"} & names, "neither macros nor the tests' crates"
        )

    def test_licences_of_linked_crates_have_texts(self):
        crates = bill.linked("join", build.ARM64)
        text = bill.licences(crates)
        for name, version in crates - {(name, build.version()) for name in ("join", "shared")}:
            self.assertIn(f"{name} {version}: ", text)
        self.assertIn("Permission is hereby granted", text)

    def test_missing_library_of_the_target_is_named_before_a_build(self):
        stub = self.folder / "rustc"
        stub.write_text(f"#!/bin/sh\necho {self.folder}/nothing\n")
        stub.chmod(0o755)
        os.environ["RUSTC"] = str(stub)
        self.addCleanup(os.environ.pop, "RUSTC")
        self.assert_fails(
            "no standard library for aarch64.*rustup target add.*--native", build.require_library, build.ARM64
        )

    def test_only_processors_of_lambda_are_accepted(self):
        for triple, target in (
            ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
            ("aarch64-apple-darwin", build.ARM64),
        ):
            self.assertEqual(build.lambda_target(triple), target)
        self.assert_fails("riscv", build.lambda_target, "riscv64gc-unknown-linux-gnu")


if __name__ == "__main__":
    unittest.main()
