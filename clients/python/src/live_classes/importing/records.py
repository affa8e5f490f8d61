"""Reads files record by record, and turns each one into a line of `POST /v1/directory/import`."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = {
    "user": ("id", "email", "name", "role", "plan", "locale", "hosting"),
    "course": ("id", "title", "trainer_id"),
    "enrollment": ("course_id", "user_id", "email", "name", "access_granted"),
}
"""The columns of a CSV file by kind. Each file may also have the column `deleted`."""
KEYS = {"user": ("id",), "course": ("id",), "enrollment": ("course_id", "user_id")}
"""The columns that identify a record."""
BOOLEANS = {"access_granted", "deleted"}
NDJSON_SUFFIXES = {".ndjson", ".jsonl"}


class InputError(Exception):
    """A file or an option that cannot be used."""


@dataclass(frozen=True)
class Record:
    """A record of a file, or the reason why it is none."""

    file: str
    line: int
    kind: str
    """`user`, `course`, `enrollment`, `settings`, or empty if it is unknown."""
    ids: dict[str, Any]
    text: bytes = b""
    """The line of the import."""
    is_deletion: bool = False
    field: str = ""
    problem: str = ""
    """Why the record cannot be sent. Empty if it can."""


@dataclass(frozen=True)
class Source:
    """A file whose records are of one kind. Without a kind, each line has its own `type`."""

    path: Path
    kind: str | None

    def records(self) -> Iterator[Record]:
        try:
            # A byte order mark is that of a spreadsheet program.
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                yield from self._of_lines(file) if self._is_ndjson() else self._of_rows(file)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self.path}: {error}") from error

    def _is_ndjson(self) -> bool:
        return self.kind is None or self.path.suffix in NDJSON_SUFFIXES

    def _of_lines(self, file: Iterable[str]) -> Iterator[Record]:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                body = json.loads(text)
            except ValueError:
                body = None
            if isinstance(body, dict):
                # A file of one kind needs no `type`.
                yield self._record(line, {"type": self.kind, **body} if self.kind else body)
            else:
                yield Record(str(self.path), line, self.kind or "", {}, problem="is not a JSON object")

    def _of_rows(self, file: Iterable[str]) -> Iterator[Record]:
        assert self.kind is not None
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in next(reader, [])]
        self._check_header(header)
        line = reader.line_num + 1
        for row in reader:
            if any(cell.strip() for cell in row):
                yield self._of_row(line, header, row)
            # A quoted cell may contain line breaks.
            line = reader.line_num + 1

    def _check_header(self, header: list[str]) -> None:
        assert self.kind is not None
        known = (*COLUMNS[self.kind], "deleted")
        if unknown := [name for name in header if name not in known]:
            raise InputError(f"{self.path}: unknown columns {', '.join(unknown)}; known are {', '.join(known)}")
        if missing := [name for name in KEYS[self.kind] if name not in header]:
            raise InputError(f"{self.path}: the column {missing[0]} is missing")
        if len(set(header)) < len(header):
            raise InputError(f"{self.path}: a column is there twice")

    def _of_row(self, line: int, header: list[str], row: list[str]) -> Record:
        assert self.kind is not None
        if len(row) > len(header):
            return Record(str(self.path), line, self.kind, {}, problem="has more cells than the header")
        # An empty cell is a missing field.
        body: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, row, strict=False) if cell.strip()}
        for name in BOOLEANS & body.keys():
            value = {"true": True, "false": False}.get(body[name].lower())
            if value is None:
                return Record(str(self.path), line, self.kind, {}, field=name, problem="must be true or false")
            body[name] = value
        return self._record(line, {"type": self.kind, **body})

    def _record(self, line: int, body: dict[str, Any]) -> Record:
        """Checks only what identifies a record. The API checks the rest."""
        kind = body["type"] if isinstance(body.get("type"), str) else ""
        keys = KEYS.get(kind, ())
        ids = {name: body[name] for name in keys if name in body}
        if missing := [name for name in keys if not body.get(name)]:
            return Record(str(self.path), line, kind, ids, field=missing[0], problem="is missing")
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return Record(str(self.path), line, kind, ids, text, is_deletion=body.get("deleted") is True)
