"""`live-classes-import`: sends users, courses and enrollments from files to the directory."""

import argparse
import itertools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from ..client import live_classes
from ..errors import LiveClassesError
from ..transport import ATTEMPTS
from .records import InputError, Record, Source
from .upload import CHUNK_LINES, Finding, NoProgressError, Totals, count, sender, unsendable, upload

TOKEN_SECONDS = 60.0
"""How long a token of `--token-command` is used."""
IMPORT_ATTEMPTS = 2 * ATTEMPTS
"""A long import should survive an interruption of half a minute."""
PROGRESS_RECORDS = 10_000

OK, USAGE, REJECTED, STOPPED = 0, 2, 3, 4

DESCRIPTION = """\
Sends lines, users, courses and enrollments to the directory, in this order. A file is CSV with a header, or NDJSON
(.ndjson, .jsonl). An import can be repeated: an equal record changes nothing.

Columns of CSV, of which an empty cell is a missing field:
  users        id, email, name, role, plan, locale, hosting, deleted
  courses      id, title, trainer_id, deleted
  enrollments  course_id, user_id, email, name, access_granted, deleted

Exit codes: 0 all records were accepted, 2 wrong use or an unreadable file, 3 some records were rejected, 4 the import
stopped.
"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    sources = [
        # They may have the settings, with the plans of the users.
        *(Source(path, None) for path in options.lines),
        *(Source(path, "user") for path in options.users),
        *(Source(path, "course") for path in options.courses),
        *(Source(path, "enrollment") for path in options.enrollments),
    ]
    if not sources:
        print("nothing to import: name at least one file", file=sys.stderr)
        return USAGE
    records = itertools.chain.from_iterable(source.records() for source in sources)
    totals = Totals()
    try:
        findings = _dry_run(records, totals) if options.dry_run else _import(records, totals, options)
        with _open_report(options.report) as report:
            for finding in findings:
                print(finding.as_json(), file=report, flush=True)
    except InputError as error:
        print(error, file=sys.stderr)
        return USAGE
    except (LiveClassesError, NoProgressError, subprocess.CalledProcessError) as error:
        print(f"stopped: {error}\nRun the same command again: what was accepted does no harm.", file=sys.stderr)
        return STOPPED
    _print_totals(totals, options.dry_run)
    return REJECTED if totals.rejected else OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "live-classes-import", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in ("users", "courses", "enrollments"):
        parser.add_argument(f"--{kind}", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument(
        "--lines",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="NDJSON as in the API, with a type per line",
    )
    parser.add_argument("--url", default=os.environ.get("LIVE_CLASSES_URL"), help="the API, or LIVE_CLASSES_URL")
    parser.add_argument(
        "--token-command",
        metavar="COMMAND",
        help="prints a token of the role service, and is run again later. By default, the token is LIVE_CLASSES_TOKEN.",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="rejections and warnings as NDJSON (standard output)"
    )
    parser.add_argument("--dry-run", action="store_true", help="reads the files and sends nothing")
    parser.add_argument(
        "--chunk", type=_positive, default=CHUNK_LINES, metavar="LINES", help=f"per request ({CHUNK_LINES})"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _open_report(path: Path | None) -> AbstractContextManager[TextIO]:
    try:
        return path.open("w", encoding="utf-8") if path else nullcontext(sys.stdout)
    except OSError as error:
        raise InputError(str(error)) from error


def _dry_run(records: Iterator[Record], totals: Totals) -> Iterator[Finding]:
    for record in records:
        count(record, totals)
        if record.problem:
            yield unsendable(record)


def _import(records: Iterator[Record], totals: Totals, options: argparse.Namespace) -> Iterator[Finding]:
    if not options.url:
        raise InputError("--url or LIVE_CLASSES_URL is missing")
    api = live_classes(options.url, _token(options.token_command), attempts=IMPORT_ATTEMPTS)
    with api.get_httpx_client() as client:
        yield from upload(_shown(records, totals), sender(client), totals, options.chunk)


def _token(command: str | None) -> Callable[[], str]:
    if command is None:
        token = os.environ.get("LIVE_CLASSES_TOKEN")
        if not token:
            raise InputError("--token-command or LIVE_CLASSES_TOKEN is missing")
        return lambda: token
    last: tuple[float, str] | None = None

    def current() -> str:
        nonlocal last
        if last is None or time.monotonic() - last[0] > TOKEN_SECONDS:
            output = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, text=True, check=True).stdout
            last = (time.monotonic(), output.strip())
        return last[1]

    return current


def _shown(records: Iterator[Record], totals: Totals) -> Iterator[Record]:
    """Shows the progress while the records are read."""
    started = time.monotonic()
    for record in records:
        if totals.records and totals.records % PROGRESS_RECORDS == 0:
            seconds = time.monotonic() - started
            print(f"{totals.records} records read, {totals.rejected} rejected, {seconds:.0f} s", file=sys.stderr)
        yield record


def _print_totals(totals: Totals, is_dry_run: bool) -> None:
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(totals.kinds.items()))
    sent = "would be sent" if is_dry_run else "accepted"
    print(f"{totals.records} records ({kinds or 'none'}), of which {totals.deletions} deletions", file=sys.stderr)
    print(f"{totals.records - totals.rejected} {sent}, {totals.rejected} rejected", file=sys.stderr)
    for code, number in sorted(totals.warnings.items()):
        print(f"{number} warnings: {code}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
