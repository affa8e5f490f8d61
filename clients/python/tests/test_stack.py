"""The import script and the errors against a running stack: `cargo local`, or the one at LIVE_CLASSES_URL."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import stack
from live_classes import ProblemError, answer, idempotency_key
from live_classes.importing import command
from live_classes.rest.api.classes import create_session, list_own_sessions
from live_classes.rest.api.students import list_my_sessions
from live_classes.rest.models import AudienceType, CreateSession

BROKEN = range(7, 10**6, 250)
"""The enrollments with an invalid address."""


def manual_class(audience_type: AudienceType, course_id: str | None = None) -> CreateSession:
    """A class in the next hour, which needs no Zoom account."""
    now = datetime.fromisoformat(stack.look("/local/clock")["now"])
    return CreateSession(
        title="Reading circle",
        audience_type=audience_type,
        course_id=course_id,
        starts_at=now + timedelta(hours=1),
        duration_minutes=60,
        trainer_id="trainer-1",
        provider="manual",
        join_url="https://meet.example.com/reading",
    )


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


class ImportTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(stack.clear_faults)
        self.directory = Path(directory.name)

    def files(self, users: int, courses: int, enrollments: int) -> list[str]:
        """Writes a file of each kind, and returns the options that name them."""
        people = [[f"imp-{n}", f"imp{n}@example.test", f"Student {n}", "student"] for n in range(users)]
        titles = [[f"imp-c-{n}", f"Course {n}", "trainer-1"] for n in range(courses)]
        addresses = ["no address" if n in BROKEN else f"imp{n % users}@example.test" for n in range(enrollments)]
        places = [[f"imp-c-{n % courses}", f"imp-{n % users}", address, "S"] for n, address in enumerate(addresses)]
        write_csv(self.directory / "users.csv", ["id", "email", "name", "role"], people)
        write_csv(self.directory / "courses.csv", ["id", "title", "trainer_id"], titles)
        write_csv(self.directory / "enrollments.csv", ["course_id", "user_id", "email", "name"], places)
        return [part for kind in ("users", "courses", "enrollments") for part in (f"--{kind}", f"{kind}.csv")]

    def run_import(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, "-m", "live_classes.importing.command", *arguments]
        variables = {**os.environ, "LIVE_CLASSES_URL": stack.BASE, **environment}
        return subprocess.run(script, cwd=self.directory, env=variables, capture_output=True, text=True)

    def test_rejected_rows_of_4500_records_are_reported_after_faults(self) -> None:
        files = self.files(1500, 500, 2500)
        broken = [n for n in BROKEN if n < 2500]
        # The table fails in the first request, and throttles in a later one.
        for fault in ({"kind": "error", "times": 9}, {"kind": "throttle", "times": 9, "after": 200}):
            stack.local("/local/faults", {"service": "dynamodb", "operation": "any", "function": "directory", **fault})
        run = self.run_import(*files, LIVE_CLASSES_TOKEN=stack.token("platform", "service"))
        self.assertEqual(run.returncode, command.REJECTED, run.stderr)
        report = [json.loads(line) for line in run.stdout.splitlines()]
        rejected: list[dict[str, Any]] = [entry for entry in report if entry["outcome"] == "rejected"]
        # The first line is the header.
        self.assertEqual([(of["file"], of["line"]) for of in rejected], [("enrollments.csv", n + 2) for n in broken])
        self.assertEqual([of["user_id"] for of in rejected], [f"imp-{n % 1500}" for n in broken])
        self.assertEqual({of["field"] for of in rejected}, {"email"})
        self.assertIn(f"{4500 - len(broken)} accepted, {len(broken)} rejected", run.stderr)
        self.assertEqual(stack.look("/local/faults")["items"], [], "the faults have happened")

    def test_records_of_every_chunk_are_stored(self) -> None:
        files = self.files(60, 20, 60)
        token = f"{sys.executable} -c \"print('{stack.token('platform', 'service')}')\""
        run = self.run_import(*files, "--report", "report.ndjson", "--chunk", "25", "--token-command", token)
        self.assertEqual((run.returncode, run.stdout), (command.REJECTED, ""), run.stderr)
        report = (self.directory / "report.ndjson").read_text().splitlines()
        self.assertEqual([json.loads(line)["line"] for line in report], [9])
        # Each student of these courses sees the class of the course.
        platform = stack.caller("platform", "service")
        for number in (0, 19):
            body = manual_class(audience_type="course", course_id=f"imp-c-{number}")
            made = answer(create_session.sync_detailed(client=platform, body=body))
            student = stack.caller(f"imp-{number}", "student", f"imp{number}@example.test")
            listed = answer(list_my_sessions.sync_detailed(client=student))
            self.assertIn(made.id, [session.id for session in listed.items])

    def test_import_without_the_right_stops(self) -> None:
        (self.directory / "courses.csv").write_text("id,title,trainer_id\nimp-c-1,Algebra,trainer-1\n")
        run = self.run_import("--courses", "courses.csv", LIVE_CLASSES_TOKEN=stack.token("student-1", "student"))
        self.assertEqual(run.returncode, command.STOPPED, run.stderr)
        self.assertIn("Your role does not allow this", run.stderr)


class ErrorTest(unittest.TestCase):
    def test_refusal_has_its_code_and_request_id(self) -> None:
        student = stack.caller("student-1", "student", "student1@example.test")
        with self.assertRaises(ProblemError) as caught:
            answer(list_own_sessions.sync_detailed(client=student))
        error = caught.exception
        self.assertEqual((error.status, error.code, error.errors), (403, "forbidden", ()))
        self.assertTrue(error.request_id)

    def test_repeated_create_with_a_key_makes_one_class(self) -> None:
        platform = stack.caller("platform", "service")
        body = manual_class(audience_type="standalone")
        key = idempotency_key()
        made = [answer(create_session.sync_detailed(client=platform, body=body, idempotency_key=key)) for _ in range(2)]
        self.assertEqual(made[0].id, made[1].id)


if __name__ == "__main__":
    unittest.main()
