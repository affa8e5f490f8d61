"""The Logs Insights queries of a page. Their events and fields must be ones that the functions log.

CloudWatch answers a query with a wrong name like one without results: an operator would see no error."""

import re
from functools import cache

from documents import ROOT

LANGUAGE = "logs"
# Fields of CloudWatch, and of the lines that Lambda writes itself.
OTHER_FIELDS = {"@timestamp", "@message", "@logStream", "type", "record.status"}
WORDS = {"fields", "filter", "stats", "sort", "limit", "by", "and", "or", "not", "in", "like", "asc", "desc"}
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}
FUNCTIONS = {"bin", "count", "max", "min"}


@cache
def sources():
    return "\n".join(path.read_text() for path in sorted((ROOT / "shared/src").rglob("*.rs")))


def arguments(text):
    """Returns the arguments of a call, whose text begins after the opening parenthesis."""
    depth, begin, found = 1, 0, []
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 or (depth == 1 and char == ","):
            found.append(text[begin:at].strip())
            begin = at + 1
        if depth == 0:
            break
    return found


@cache
def logged_fields():
    """Returns the fields in all calls of the logging macros, and the one that the subscriber adds."""
    found = {"level"}
    unquoted = re.sub(r'"[^"\n]*"', '""', sources())
    for call in re.finditer(r"\b(?:tracing::)?(?:debug|info|warn|error)(?:_span)?!\(", unquoted):
        for argument in arguments(unquoted[call.end():call.end() + 2000]):
            # `name = value`, `name`, `%name` or `?name`. The last part of `report.sent` is not a field's name.
            if name := re.match(r"[%?]?([a-z_]+)(?: =|$)", argument):
                found.add(name[1])
    return found


def query_problems(page):
    """Returns the problems of all queries of a page."""
    problems = []
    for block in (block for block in page.blocks if block.language == LANGUAGE):
        place = f"{page.path}:{block.line}"
        for number, line in enumerate(block.text.splitlines()):
            # Indented lines continue the one before.
            command = re.match(r"(\w+) " if number == 0 else r"(?:\| (\w+) | +\S)", line)
            if command is None or command[1] not in COMMANDS | {None} or line != line.rstrip(" :"):
                problems.append(f"{place}: a command of Logs Insights was expected: {line}")
        events = re.findall(r'event (?:= |in \[)((?:"[^"]*"(?:, )?)+)', block.text)
        for event in re.findall(r'"([^"]*)"', " ".join(events)):
            if f'"{event}"' not in sources():
                problems.append(f"{place}: no function logs the event {event}")
        unquoted = re.sub(r'"[^"]*"', "", block.text).replace("`", "")
        for match in re.finditer(r"@?[a-zA-Z][\w.]*(\()?", unquoted):
            name, is_call = match[0].rstrip("("), match[1]
            is_known = (name in FUNCTIONS if is_call else
                        name in WORDS | OTHER_FIELDS or name.removeprefix("span.") in logged_fields())
            # Durations such as `5m` begin with a digit.
            if not is_known and not unquoted[match.start() - 1].isdigit():
                problems.append(f"{place}: no function logs the field {name}")
    return problems
