"""A page that is tried: which of its commands were pasted, which of its rows were seen, and what is left, and why."""

import contextlib
import json
import subprocess

from aws import PRELUDE, Aws
from documents import ROOT, Page, fits
from shell import Failed, Shell
from stack import Stack


class Trial:
    def __init__(self, path, directory):
        self.page = Page(path)
        self.said = []
        with contextlib.ExitStack() as opened:
            self.aws = Aws(directory / "aws")
            opened.callback(self.aws.stop)
            self.stack = Stack(directory)
            opened.callback(self.stack.stop)
            self.shell = Shell(directory / "shell", self.aws.variables(self.stack))
            opened.callback(self.shell.close)
            self.shell.run(PRELUDE)
            self.opened = opened.pop_all()
        self.done = set()
        self.heading = None

    def say(self, line):
        self.said.append(line)

    def close(self):
        self.opened.close()

    @contextlib.contextmanager
    def under(self, heading):
        """What is tried of one part of the page."""
        self.heading = heading
        self.say(f"  {heading}")
        self.done.update(line for line, part in self.page.parts if part == heading)
        yield
        self.stack.no_more_faults()

    @contextlib.contextmanager
    def borrowing(self, path, heading):
        """What is pasted stands on another page, to which this one leads."""
        own = self.page, self.heading, self.done
        self.page, self.heading, self.done = Page(path), heading, self.done if path == own[0].path else set()
        yield
        self.page, self.heading, self.done = own

    def paste(self, nth=0):
        """Pastes the part's nth block of commands, and gives back what they wrote."""
        blocks = self.page.commands(self.heading)
        if nth >= len(blocks):
            raise LookupError(f"{self.page.path} has {len(blocks)} blocks of commands under {self.heading!r}")
        self.done.add(blocks[nth].line)
        return self.shell.run(blocks[nth].text.replace("http://localhost:4000", self.stack.base))

    def paste_and_compare(self, nth):
        """The same, where the answers stand below the commands."""
        said = self.paste(nth)
        answers = [json.loads(line) for line in said.splitlines() if line.startswith('{"')]
        block = self.page.commands(self.heading)[nth]
        for shown in self.page.shown_after(block):
            if not any(fits(shown, answer) for answer in answers):
                raise Failed(f"{self.page.path}:{block.line}: no answer is as shown below it:\n{said}")
        return said

    def refused(self, nth=0):
        """Pastes what does not go through, and gives back what is said of it."""
        try:
            self.paste(nth)
        except Failed as failed:
            return str(failed)
        raise Failed(f"{self.page.path}, {self.heading}: block {nth} went through")

    def paste_with(self, variables, nth=0):
        """Pastes it with other addresses of AWS than the page's other commands have."""
        self.shell.run("".join(f"export {name}='{value}'\n" for name, value in variables.items()))
        said = self.paste(nth)
        self.shell.run("".join(f"unset {name}\n" for name in variables))
        return said

    def sets(self, **variables):
        """What the page leaves to its reader: whom, which, with whose token."""
        self.shell.run("".join(f"{name}='{value}'\n" for name, value in variables.items()))

    def same(self, found, wanted):
        if found != wanted:
            raise Failed(f"{self.page.path}, {self.heading}: {found!r} instead of {wanted!r}")

    @contextlib.contextmanager
    def row(self, name):
        """A row of the part's table, while what it tells of is brought about and seen."""
        row = self.page.row(self.heading, name)
        try:
            yield row
        except Failed as failed:
            raise Failed(f"{self.page.path}:{row.line}: {row.name}: {failed}") from failed
        self.done.add(row.line)
        self.say(f"    {row.name}")

    @contextlib.contextmanager
    def secret(self, **fields):
        """The secret with other fields, or without those that are none, as somebody may have put it by mistake."""
        before = self.stack.secrets()
        self.put_secret({name: value for name, value in {**before, **fields}.items() if value is not None})
        yield
        self.put_secret(before)

    def put_secret(self, fields):
        """As the command line puts it; and its time to be seen goes by."""
        (self.shell.pasted.parent / "put.json").write_text(json.dumps(fields))
        secret = self.stack.setting("CONFIG_SECRET_ID")
        self.shell.run(f"aws secretsmanager put-secret-value --secret-id '{secret}' --secret-string file://put.json")
        self.stack.advance("5m")

    def tables(self):
        """Everything that both tables hold, as one text."""
        names = self.stack.setting("TABLE_NAME"), self.stack.setting("TOKENS_TABLE_NAME")
        return "".join(self.shell.run(f"aws dynamodb scan --table-name {name}") for name in names)

    def holds(self, what, holds):
        if not holds:
            raise Failed(f"{self.page.path}, {self.heading}: not so: {what}")
        self.say(f"    {what}")

    def says(self, answer, said):
        """The answer is what the page says: `409 conflict`."""
        if answer.said != said:
            raise Failed(f"{answer.said} instead of {said}: {answer.text}")

    def logged(self, event, since=0):
        found = self.stack.log(event, since)
        if not found:
            raise Failed(f"nothing logged as {event}")
        return found

    def ended(self, left, proven):
        """Everything of the page was tried, is left for a reason, or is held by a test that is there."""
        sources = subprocess.run(["grep", "-rhoE", "fn [a-z_0-9]+", ROOT / "tests/it", ROOT / "shared/src"],
                                 capture_output=True, text=True).stdout.split()
        wrong = [f"no test {test}" for test in proven.values() if test not in sources]
        things = [(block.line, block.heading, block.text.splitlines()[0]) for block in self.page.commands()]
        things += [(line, part, part) for line, part in self.page.parts]
        things += [(row.line, row.heading, row.name) for row in self.page.rows]
        for line, heading, first in things:
            why = left.get(heading) or left.get(first) or proven.get(first)
            if line in self.done and why:
                wrong.append(f"{self.page.path}:{line}: is tried, though it says why not: {first}")
            elif line not in self.done and not why:
                wrong.append(f"{self.page.path}:{line}: nobody tries: {first}")
        for why in [*left, *proven]:
            if why not in {name for _, heading, first in things for name in (heading, first)}:
                wrong.append(f"{self.page.path} has no {why!r} to leave out")
        if wrong:
            raise Failed("\n".join(wrong))
        for first, why in left.items():
            self.say(f"  not tried: {first}: {why}")
        for first, test in proven.items():
            self.say(f"  held by {test}: {first}")
