"""The test of one page. It records the tested commands and rows, and reports the remaining ones."""

import contextlib
import json
import subprocess

from aws import PRELUDE, Aws
from documents import ROOT, Page, matches_example
from queries import query_problems
from shell import CheckFailed, Shell
from stack import Stack


class Trial:
    def __init__(self, path, directory):
        self.page = Page(path)
        self.lines = []
        with contextlib.ExitStack() as resources:
            self.aws = Aws(directory / "aws")
            resources.callback(self.aws.stop)
            self.stack = Stack(directory)
            resources.callback(self.stack.stop)
            self.shell = Shell(directory / "shell", self.aws.variables(self.stack))
            resources.callback(self.shell.close)
            self.shell.run(PRELUDE)
            self.resources = resources.pop_all()
        self.tried = set()
        self.heading = None

    def report(self, line):
        self.lines.append(line)

    def close(self):
        self.resources.close()

    @contextlib.contextmanager
    def section(self, heading):
        """Tests one section of the page."""
        self.heading = heading
        self.report(f"  {heading}")
        self.tried.update(line for line, part in self.page.parts if part == heading)
        yield
        self.stack.clear_faults()

    @contextlib.contextmanager
    def section_of(self, path, heading):
        """Pastes commands from a section of another page, to which this page links."""
        previous = self.page, self.heading, self.tried
        self.page, self.heading, self.tried = Page(path), heading, self.tried if path == previous[0].path else set()
        yield
        self.page, self.heading, self.tried = previous

    def paste(self, nth=0):
        """Pastes the section's nth block of commands, and returns their output."""
        blocks = self.page.commands(self.heading)
        if nth >= len(blocks):
            raise LookupError(f"{self.page.path} has {len(blocks)} blocks of commands under {self.heading!r}")
        self.tried.add(blocks[nth].line)
        return self.shell.run(blocks[nth].text.replace("http://localhost:4000", self.stack.base))

    def paste_and_compare(self, nth):
        """Pastes a block, and compares the responses with the JSON examples below it."""
        output = self.paste(nth)
        responses = [json.loads(line) for line in output.splitlines() if line.startswith('{"')]
        block = self.page.commands(self.heading)[nth]
        for shown in self.page.shown_after(block):
            if not any(matches_example(shown, response) for response in responses):
                raise CheckFailed(f"{self.page.path}:{block.line}: no response matches the example below it:\n{output}")
        return output

    def paste_failing(self, nth=0):
        """Pastes a block that must fail, and returns its error."""
        try:
            self.paste(nth)
        except CheckFailed as failed:
            return str(failed)
        raise CheckFailed(f"{self.page.path}, {self.heading}: block {nth} did not fail")

    def paste_with(self, variables, nth=0):
        """Pastes a block with additional variables, such as other endpoints of AWS."""
        self.shell.run("".join(f"export {name}='{value}'\n" for name, value in variables.items()))
        output = self.paste(nth)
        self.shell.run("".join(f"unset {name}\n" for name in variables))
        return output

    def set_variables(self, **variables):
        """Sets shell variables that the reader of the page has to set."""
        self.shell.run("".join(f"{name}='{value}'\n" for name, value in variables.items()))

    def check_equal(self, actual, expected):
        if actual != expected:
            raise CheckFailed(f"{self.page.path}, {self.heading}: {actual!r} instead of {expected!r}")

    @contextlib.contextmanager
    def row(self, name):
        """Tests a row of the section's table."""
        row = self.page.row(self.heading, name)
        try:
            yield row
        except CheckFailed as failed:
            raise CheckFailed(f"{self.page.path}:{row.line}: {row.name}: {failed}") from failed
        self.tried.add(row.line)
        self.report(f"    {row.name}")

    @contextlib.contextmanager
    def secret(self, **fields):
        """Replaces fields of the secret for a while. A field with the value None is removed."""
        before = self.stack.secrets()
        self.put_secret({name: value for name, value in {**before, **fields}.items() if value is not None})
        yield
        self.put_secret(before)

    def put_secret(self, fields):
        """Writes the secret with the command line, and advances the clock until the functions read it again."""
        (self.shell.pasted.parent / "put.json").write_text(json.dumps(fields))
        secret = self.stack.setting("CONFIG_SECRET_ID")
        self.shell.run(f"aws secretsmanager put-secret-value --secret-id '{secret}' --secret-string file://put.json")
        self.stack.advance("5m")

    def tables(self):
        """Returns the content of both tables as one text."""
        names = self.stack.setting("TABLE_NAME"), self.stack.setting("TOKENS_TABLE_NAME")
        return "".join(self.shell.run(f"aws dynamodb scan --table-name {name}") for name in names)

    def check(self, description, passed):
        if not passed:
            raise CheckFailed(f"{self.page.path}, {self.heading}: failed: {description}")
        self.report(f"    {description}")

    def check_response(self, response, expected):
        """Checks status and code, in the format of the pages: `409 conflict`."""
        if response.summary != expected:
            raise CheckFailed(f"{response.summary} instead of {expected}: {response.text}")

    def find_log_lines(self, event, since=0):
        found = self.stack.log(event, since)
        if not found:
            raise CheckFailed(f"no log line with the event {event}")
        return found

    def check_coverage(self, not_tried, covered_by_tests):
        """Checks that everything on the page was tested, has a reason why not, or is covered by an existing Rust test.

        The queries cannot run here, so only their names are checked."""
        tests = subprocess.run(["grep", "-rhoE", "fn [a-z_0-9]+", ROOT / "tests/it", ROOT / "shared/src"],
                               capture_output=True, text=True).stdout.split()
        problems = [f"there is no test {test}" for test in covered_by_tests.values() if test not in tests]
        problems += query_problems(self.page)
        parts = [(block.line, block.heading, block.text.splitlines()[0]) for block in self.page.commands()]
        parts += [(line, part, part) for line, part in self.page.parts]
        parts += [(row.line, row.heading, row.name) for row in self.page.rows]
        for line, heading, first in parts:
            reason = not_tried.get(heading) or not_tried.get(first) or covered_by_tests.get(first)
            if line in self.tried and reason:
                problems.append(f"{self.page.path}:{line}: is tested and also listed as not tested: {first}")
            elif line not in self.tried and not reason:
                problems.append(f"{self.page.path}:{line}: is not tested: {first}")
        for reason in [*not_tried, *covered_by_tests]:
            if reason not in {name for _, heading, first in parts for name in (heading, first)}:
                problems.append(f"{self.page.path} has no {reason!r}, which is listed as not tested")
        if problems:
            raise CheckFailed("\n".join(problems))
        for first, reason in not_tried.items():
            self.report(f"  not tested: {first}: {reason}")
        for first, test in covered_by_tests.items():
            self.report(f"  covered by {test}: {first}")
