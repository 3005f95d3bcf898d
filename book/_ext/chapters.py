"""The chapters as the home page shows them: a table, and the minutes that a way through takes.

The directive `chapters` takes a line a chapter, `number | question | needs`, and adds its title
and its minutes; a chapter without a line is a warning. The role `minutes` adds up chapters by
number, `` {minutes}`0.1 4.7` ``, and with the word "exercises" counts proofs and exercises too.
The minutes are the ones that a chapter states, or those of `scripts/reading.py`.
"""

import re
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from . import sources

logger = logging.getLogger(__name__)
HEAD = ("Chapter", "The question", "Minutes", "Needs")
NAME = re.compile(r"book/(\d)_[^/]+/(\d\d)_[^/]+$")
TITLE = re.compile(r"^# (?:\d\.\d )?(.+)$", re.M)


class Chapter(NamedTuple):
    """A chapter's page, title, and minutes: to read, and more with proofs and exercises."""

    page: str
    title: str
    minutes: int
    more: int


@cache
def chapters(root: Path) -> dict[str, Chapter]:
    """Number to chapter, in reading order; workshop and background pages are none."""
    scripts = str(root / "scripts")
    if scripts not in sys.path:
        sys.path.append(scripts)
    import reading

    found = {}
    for page, notebook in sources.notebooks(root).items():
        if at := NAME.match(page):
            counts = reading.count(notebook)
            counted = round(counts.minutes), round(counts.more)
            minutes, more = reading.stated(notebook) or counted
            title = TITLE.search(sources.text(notebook["cells"][0]))
            assert title is not None, page
            found[f"{at[1]}.{int(at[2])}"] = Chapter(page, title[1], minutes, more)
    return found


def rows_of(lines: list[str], known: dict[str, Chapter]) -> tuple[list[list[str]], list[str]]:
    """The table's rows, and what is wrong with them."""
    rows = [[part.strip() for part in line.split("|")] for line in lines if line.strip()]
    wrong = [f"a row has three parts: {' | '.join(row)}" for row in rows if len(row) != 3]
    rows = [row for row in rows if len(row) == 3]
    numbers = [row[0] for row in rows]
    if numbers != list(known):
        wrong.append(f"rows for {', '.join(numbers)}, but the chapters are {', '.join(known)}")
    return [row for row in rows if row[0] in known], wrong


class Chapters(SphinxDirective):
    """The table; its content has a line for each chapter."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        known = chapters(Path(self.env.srcdir))
        rows, wrong = rows_of(list(self.content), known)
        for problem in wrong:
            logger.warning(problem, location=self.get_location(), type="chapters")
        group = nodes.tgroup(cols=len(HEAD))
        group += [nodes.colspec(colwidth=width) for width in (30, 45, 12, 13)]
        group += nodes.thead("", line([nodes.Text(head) for head in HEAD]))
        group += nodes.tbody("", *(line(self.cells(known[row[0]], row)) for row in rows))
        return [nodes.table("", group, classes=["chapters"])]

    def cells(self, chapter: Chapter, row: list[str]) -> list[nodes.Node]:
        number, question, needs = row
        link = pending_xref(
            "", nodes.inline("", f"{number} {chapter.title}"), refdomain="std", reftype="doc",
            reftarget=f"/{chapter.page}", refexplicit=True, refwarn=True, refdoc=self.env.docname,
        )  # fmt: skip
        minutes = f"{chapter.minutes} + {chapter.more}"
        return [link, nodes.Text(question), nodes.Text(minutes), nodes.Text(needs)]


def line(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def in_words(minutes: float) -> str:
    """Minutes rounded to five; from a hundred on, hours rounded to a half."""
    if minutes < 100:
        return f"{5 * max(1, round(minutes / 5))} minutes"
    halves = round(minutes / 30)
    return f"{halves // 2}{'½' if halves % 2 else ''} hours"


class Minutes(SphinxRole):
    """What reading some chapters takes, in words; a plain number adds minutes for another page."""

    def run(self) -> tuple[list[nodes.Node], list]:
        known, total = chapters(Path(self.env.srcdir)), 0
        words = self.text.split()
        for word in words:
            if word in known:
                total += known[word].minutes + known[word].more * ("exercises" in words)
            elif word.isdecimal():
                total += int(word)
            elif word != "exercises":
                logger.warning("no chapter %s", word, location=self.get_location(), type="chapters")
        return [nodes.Text(in_words(total))], []


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", lambda app: chapters.cache_clear())
    app.add_directive("chapters", Chapters)
    app.add_role("minutes", Minutes())
    return {"parallel_read_safe": True}
