"""The import: from files to lines, and from the answers of the API back to the records."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from live_classes.importing import command
from live_classes.importing.records import InputError, Record, Source
from live_classes.importing.upload import CHUNK_BYTES, Finding, NoProgressError, Totals, chunks, upload

LISTED = 100
"""The API lists as many rejected lines."""


def records(source: str, kind: str | None, name: str = "file.csv") -> list[Record]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        path.write_bytes(source.encode())
        return list(Source(path, kind).records())


def course(number: int, trainer: str = "trainer-1") -> Record:
    body = {"type": "course", "id": f"c-{number}", "title": "Algebra", "trainer_id": trainer}
    return Record("courses.csv", number, "course", {"id": f"c-{number}"}, json.dumps(body).encode())


class Api:
    """Answers like `POST /v1/directory/import`: rejects courses without a trainer, and stops after some lines."""

    def __init__(self, lines_per_request: int = 10**6) -> None:
        self.lines_per_request = lines_per_request
        self.applied: list[str] = []
        self.sizes: list[int] = []

    def __call__(self, body: bytes) -> dict[str, Any]:
        lines = body.splitlines()
        self.sizes.append(len(lines))
        rejected = []
        for number, line in enumerate(lines[: self.lines_per_request], 1):
            course = json.loads(line)
            if course["trainer_id"]:
                self.applied.append(course["id"])
            else:
                rejected.append(
                    {"line": number, "code": "validation_failed", "field": "trainer_id", "message": "is empty"}
                )
        return {
            "accepted": len(lines) - len(rejected),
            "rejected": rejected[:LISTED],
            "rejected_count": len(rejected),
            "next_line": self.lines_per_request + 1 if len(lines) > self.lines_per_request else None,
        }


class RecordsTest(unittest.TestCase):
    def test_row_becomes_a_line_without_its_empty_cells(self) -> None:
        source = '\ufeffid, email ,name,role,plan,deleted\nu-1,a@example.test,"Ada, Countess",student,,\nu-2,,,,,TRUE\n'
        first, second = records(source, "user")
        self.assertEqual(
            json.loads(first.text),
            {"type": "user", "id": "u-1", "email": "a@example.test", "name": "Ada, Countess", "role": "student"},
        )
        self.assertEqual((first.line, first.ids, first.is_deletion), (2, {"id": "u-1"}, False))
        self.assertEqual((json.loads(second.text)["deleted"], second.is_deletion), (True, True))

    def test_line_is_that_of_the_file_after_a_cell_with_line_breaks(self) -> None:
        source = 'id,title,trainer_id\nc-1,"a\nb",t-1\n\nc-2,c,t-1\n'
        self.assertEqual([record.line for record in records(source, "course")], [2, 5])

    def test_invalid_record_has_a_reason(self) -> None:
        cases = [
            ("course_id,user_id,access_granted\nc-1,u-1,maybe\n", "enrollment", "file.csv", "must be true or false"),
            ("course_id,user_id\nc-1,\n", "enrollment", "file.csv", "is missing"),
            ("id\nu-1,student\n", "user", "file.csv", "has more cells than the header"),
            ("[1]\n", None, "file.ndjson", "is not a JSON object"),
            ('{"id": \n', "user", "file.ndjson", "is not a JSON object"),
            ('{"type":"user","name":"Ada"}\n', None, "file.ndjson", "is missing"),
        ]
        for source, kind, name, problem in cases:
            with self.subTest(source):
                self.assertEqual([record.problem for record in records(source, kind, name)], [problem])

    def test_unusable_file_is_refused_with_its_name(self) -> None:
        for source in ("id,colour\n", "name,role\n", "id,id\n", 'id\n"u-1\n', ""):
            with self.subTest(source), self.assertRaisesRegex(InputError, r"file\.csv"):
                records(source, "user")

    def test_ndjson_of_one_kind_needs_no_type(self) -> None:
        (record,) = records('{"id":"u-1","name":"Ada","role":"student"}\n', "user", "file.ndjson")
        self.assertEqual((record.kind, json.loads(record.text)["type"]), ("user", "user"))


class UploadTest(unittest.TestCase):
    def run_upload(self, sent: list[Record], api: Api, lines: int = 50) -> tuple[list[Finding], Totals]:
        totals = Totals()
        return list(upload(iter(sent), api, totals, lines)), totals

    def test_every_record_is_sent_once_in_its_order(self) -> None:
        api = Api()
        findings, totals = self.run_upload([course(number) for number in range(1, 121)], api)
        self.assertEqual((findings, totals.records, api.sizes), ([], 120, [50, 50, 20]))
        self.assertEqual(api.applied, [f"c-{number}" for number in range(1, 121)])

    def test_stopped_import_continues_at_its_next_line(self) -> None:
        api = Api(lines_per_request=20)
        findings, totals = self.run_upload([course(number) for number in range(1, 51)], api)
        self.assertEqual((findings, api.sizes), ([], [50, 30, 10]))
        self.assertEqual(api.applied, [f"c-{number}" for number in range(1, 51)])

    def test_rejected_line_leads_to_its_record(self) -> None:
        api = Api(lines_per_request=20)
        sent = [course(number, "" if number in (3, 21, 47, 60) else "t") for number in range(1, 81)]
        findings, totals = self.run_upload(sent, api)
        self.assertEqual([finding.details["line"] for finding in findings], [3, 21, 47, 60])
        self.assertEqual(
            findings[1].details,
            {
                "file": "courses.csv",
                "line": 21,
                "kind": "course",
                "id": "c-21",
                "code": "validation_failed",
                "field": "trainer_id",
                "message": "is empty",
            },
        )
        self.assertEqual((totals.records, totals.rejected), (80, 4))

    def test_all_rejected_lines_are_reported_although_the_api_lists_some(self) -> None:
        findings, totals = self.run_upload([course(number, "") for number in range(1, 351)], Api(), lines=300)
        self.assertEqual([finding.details["line"] for finding in findings], list(range(1, 351)))
        self.assertEqual(totals.rejected, 350)

    def test_records_that_cannot_be_sent_are_reported(self) -> None:
        broken = Record("courses.csv", 2, "course", {}, field="id", problem="is missing")
        long = Record("courses.csv", 3, "course", {"id": "c-3"}, b"x" * CHUNK_BYTES)
        api = Api()
        findings, totals = self.run_upload([course(1), broken, long], api)
        self.assertEqual([finding.details["code"] for finding in findings], ["not_sent", "payload_too_large"])
        self.assertEqual((totals.records, totals.rejected, api.applied), (3, 2, ["c-1"]))

    def test_warnings_are_counted_and_name_the_places(self) -> None:
        def api(_: bytes) -> dict[str, Any]:
            warnings = [{"code": "unknown_user", "kind": "course", "count": 3, "lines": [1, 2]}]
            return {"accepted": 3, "rejected": [], "rejected_count": 0, "next_line": None, "warnings": warnings}

        totals = Totals()
        (finding,) = upload([course(7), course(8), course(9)], api, totals)
        self.assertEqual((finding.outcome, finding.details["lines"]), ("warning", ["courses.csv:7", "courses.csv:8"]))
        self.assertEqual(totals.warnings, {"course unknown_user": 3})

    def test_chunk_that_was_not_checked_is_a_warning(self) -> None:
        answer = {"accepted": 1, "rejected": [], "rejected_count": 0, "next_line": None, "warnings": None}
        (finding,) = upload([course(1)], lambda _: answer, Totals())
        self.assertEqual(finding.details, {"code": "not_checked", "count": 1})

    def test_import_without_progress_ends(self) -> None:
        stuck = {"accepted": 0, "rejected": [], "rejected_count": 0, "next_line": 1}
        with self.assertRaises(NoProgressError):
            list(upload([course(1)], lambda _: stuck, Totals()))

    def test_chunks_are_limited_by_size(self) -> None:
        sent = [Record("f", number, "user", {}, b"x" * 400) for number in range(10)]
        self.assertEqual([len(chunk) for chunk in chunks(sent, lines=100, size=1000)], [2, 2, 2, 2, 2])

    def test_records_are_read_as_they_are_sent(self) -> None:
        read = 0

        def endless() -> Any:
            nonlocal read
            while True:
                read += 1
                yield course(read, "")

        next(upload(endless(), Api(), Totals(), lines=10))
        self.assertLessEqual(read, 11)


class CommandTest(unittest.TestCase):
    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = command.main(list(arguments))
        return code, output.getvalue(), errors.getvalue()

    def test_dry_run_counts_records_and_reports_unusable_ones(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            users, courses = Path(directory, "users.csv"), Path(directory, "courses.ndjson")
            users.write_text("id,name,role,deleted\nu-1,Ada,student,\nu-2,,,true\n,Bob,student,\n")
            courses.write_text('{"id":"c-1","title":"Algebra","trainer_id":"t-1"}\n')
            code, output, errors = self.run_command("--users", str(users), "--courses", str(courses), "--dry-run")
        self.assertEqual(code, command.REJECTED)
        self.assertEqual(json.loads(output)["line"], 4)
        self.assertIn("4 records (1 course, 3 user), of which 1 deletions\n3 would be sent, 1 rejected", errors)

    def test_wrong_use_has_its_own_exit_code(self) -> None:
        for arguments in ([], ["--users", "no-such-file.csv"], ["--users", "no-such-file.csv", "--dry-run"]):
            with self.subTest(arguments):
                self.assertEqual(self.run_command(*arguments)[0], command.USAGE)


if __name__ == "__main__":
    unittest.main()
