"""The testable parts of a page: its blocks of commands, and the rows of its tables."""

import itertools
import json
import os
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")


class Block(NamedTuple):
    """A fenced block of a page."""

    heading: str
    line: int
    language: str
    text: str


class Row(NamedTuple):
    """A row of a table: a symptom and its cause."""

    heading: str
    line: int
    cells: list

    @property
    def name(self):
        return self.cells[0]


class Page:
    def __init__(self, path):
        self.path = path
        self.blocks, self.rows, self.parts = [], [], []
        heading, block, begin_line, table = "", None, 0, 0
        for line, text in enumerate((ROOT / path).read_text().splitlines(), 1):
            if fence := re.match(r"\s*```(\w*)", text):
                if block is None:
                    block, begin_line, language = [], line, fence[1]
                else:
                    self.blocks.append(Block(heading, begin_line, language, textwrap.dedent("\n".join(block)) + "\n"))
                    block = None
            elif block is not None:
                block.append(text)
            elif text.startswith("#"):
                heading = text.lstrip("#").strip()
                if text.startswith("###"):
                    self.parts.append((line, heading))
            # The first two lines of a table are its header.
            table = table + 1 if text.startswith("|") and block is None else 0
            if table > 2:
                self.rows.append(Row(heading, line, [cell.strip() for cell in re.split(r"(?<!\\)\|", text)[1:-1]]))

    def commands(self, heading=None):
        return [block for block in self.blocks if block.language == "sh" and heading in (None, block.heading)]

    def shown_after(self, block):
        """Returns the responses in the JSON blocks directly below a block of commands."""
        below = self.blocks[self.blocks.index(block) + 1:]
        return [json.loads(shown.text) for shown in itertools.takewhile(lambda shown: shown.language == "json", below)]

    def row(self, heading, name):
        """Returns the only row under the heading whose first cell begins with `name`."""
        found = [row for row in self.rows if row.heading == heading and row.name.startswith(name)]
        if len(found) != 1:
            raise LookupError(f"{self.path} has {len(found)} rows {name!r} under {heading!r}")
        return found[0]


def matches_example(shown, found):
    """Returns whether a response matches an example: the same names, and the same values unless they vary.

    A string with a digit or an ellipsis (…) is an id, a time or a token. Only its type is compared."""
    if isinstance(shown, dict):
        return isinstance(found, dict) and all(name in found and matches_example(value, found[name])
                                               for name, value in shown.items() if name != "…")
    if isinstance(shown, list):
        return isinstance(found, list) and (shown == ["…"] or len(shown) == len(found)
                                            and all(map(matches_example, shown, found)))
    if isinstance(shown, str) and isinstance(found, str):
        return shown == found or bool(re.search(r"[0-9…]", shown))
    return shown == found
