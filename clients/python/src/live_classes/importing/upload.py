"""Sends records in chunks, continues where the API stopped, and leads each line of its answers back to a record."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from .records import Record

CHUNK_LINES = 2000
CHUNK_BYTES = 3 * 1024 * 1024
"""The API accepts 4 MiB."""

Send = Callable[[bytes], dict[str, Any]]
"""Sends the lines of a chunk and returns the answer of the API."""


class NoProgressError(Exception):
    """The API stopped before the first line of a chunk."""


@dataclass
class Totals:
    """What has happened so far."""

    records: int = 0
    rejected: int = 0
    deletions: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Finding:
    """A rejected record, or a warning. `details` are the members of the report."""

    outcome: str
    details: dict[str, Any]

    def as_json(self) -> str:
        return json.dumps({"outcome": self.outcome, **self.details}, ensure_ascii=False)


def sender(client: httpx.Client) -> Send:
    """Sends with the client of `live_classes()`, which repeats the request if there is no response."""

    def send(lines: bytes) -> dict[str, Any]:
        headers = {"content-type": "application/x-ndjson"}
        outcome = client.post("/v1/directory/import", content=lines, headers=headers).json()
        assert isinstance(outcome, dict)
        return outcome

    return send


def chunks(records: Iterable[Record], lines: int = CHUNK_LINES, size: int = CHUNK_BYTES) -> Iterator[list[Record]]:
    """Groups the records without reading more of them than a chunk has."""
    chunk: list[Record] = []
    chunk_size = 0
    for record in records:
        if chunk and (len(chunk) == lines or chunk_size + len(record.text) + 1 > size):
            yield chunk
            chunk, chunk_size = [], 0
        chunk.append(record)
        chunk_size += len(record.text) + 1
    if chunk:
        yield chunk


def upload(records: Iterable[Record], send: Send, totals: Totals, lines: int = CHUNK_LINES) -> Iterator[Finding]:
    """Sends the records in their order, and yields what the API has rejected or warned about."""
    rejected: list[Finding] = []
    for chunk in chunks(_sendable(records, totals, rejected), lines):
        yield from _take(rejected)
        rest = chunk
        while rest:
            outcome = send(b"\n".join(record.text for record in rest) + b"\n")
            done = _done(outcome, len(rest))
            yield from _findings(outcome, rest, done, totals)
            rest = rest[done:]
    yield from _take(rejected)


def _sendable(records: Iterable[Record], totals: Totals, rejected: list[Finding]) -> Iterator[Record]:
    for record in records:
        count(record, totals)
        if record.problem:
            rejected.append(unsendable(record))
        elif len(record.text) >= CHUNK_BYTES:
            totals.rejected += 1
            rejected.append(_rejection(record, {"code": "payload_too_large", "message": "is too long"}))
        else:
            yield record


def count(record: Record, totals: Totals) -> None:
    totals.records += 1
    totals.kinds[record.kind or "unknown"] += 1
    totals.deletions += record.is_deletion
    totals.rejected += bool(record.problem)


def unsendable(record: Record) -> Finding:
    return _rejection(record, {"code": "not_sent", "field": record.field, "message": record.problem})


def _take(findings: list[Finding]) -> Iterator[Finding]:
    yield from findings
    findings.clear()


def _done(outcome: dict[str, Any], sent: int) -> int:
    """Returns how many of the lines have a known result. The others are sent again, which does no harm."""
    next_line = outcome["next_line"]
    done = sent if next_line is None else next_line - 1
    rejected = outcome["rejected"]
    if outcome["rejected_count"] > len(rejected):
        # Only the first ones are listed. The answer to the lines after them lists the next ones.
        done = min(done, rejected[-1]["line"])
    if done < 1:
        raise NoProgressError("the API stopped before the first line")
    return min(done, sent)


def _findings(outcome: dict[str, Any], sent: list[Record], done: int, totals: Totals) -> Iterator[Finding]:
    for entry in outcome["rejected"]:
        if entry["line"] <= done:
            totals.rejected += 1
            yield _rejection(sent[entry["line"] - 1], {name: value for name, value in entry.items() if name != "line"})
    yield from _warnings(outcome, sent, totals)


def _warnings(outcome: dict[str, Any], sent: list[Record], totals: Totals) -> Iterator[Finding]:
    found = outcome.get("warnings", [])
    if found is None:
        # The lines are applied, but the API had no time to look for missing courses, users and plans.
        found = [{"code": "not_checked", "count": len(sent)}]
    for warning in found:
        totals.warnings[f"{warning.get('kind', 'any')} {warning['code']}"] += warning["count"]
        yield Finding("warning", {name: _places(name, value, sent) for name, value in warning.items()})


def _rejection(record: Record, entry: dict[str, Any]) -> Finding:
    place = {"file": record.file, "line": record.line, "kind": record.kind, **record.ids}
    return Finding("rejected", {**place, **entry})


def _places(name: str, value: Any, sent: list[Record]) -> Any:
    """Replaces the lines of a chunk by places in the files."""
    if name != "lines":
        return value
    return [f"{record.file}:{record.line}" for record in (sent[line - 1] for line in value)]
