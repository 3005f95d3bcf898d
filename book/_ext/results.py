"""The index of results: every theorem box and named figure with its number, its words and a link.

`:::{results-index}` makes two lists, page by page in reading order, from the pages' own text; the
numbers and links are cross-references, so they are those of the pages.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from . import sources

BOX = re.compile(
    r"^:{3,}\{(?:prf:(?!proof)\w+|figure)\}[ \t]*(.*)\n((?::[\w-]+:.*\n)*)\s*(.*)", re.M
)
LABEL = re.compile(r"^:(?:label|name):[ \t]*(\S+)", re.M)
HEADINGS = {"boxes": "Theorems and definitions", "figures": "Figures"}


def first_sentence(words: str) -> str:
    """A caption's first sentence."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(words.split()))[0]


def results(cells: list[dict]) -> Iterator[tuple[str, str, str]]:
    """What the cells of a page hold, in order: "boxes" or "figures", the label, the words."""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for title, options, body in BOX.findall(sources.text(cell)):
                if label := LABEL.search(options):
                    figure = ":name:" in options
                    words = first_sentence(body) if figure else title.strip()
                    yield "figures" if figure else "boxes", label[1], words
        figure = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
        if figure.get("name"):
            yield "figures", figure["name"], first_sentence(figure.get("caption", ""))


def book(root: Path) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """The title of each page that holds results, and the results."""
    for path in sources.documents(root).values():
        whole = {"cell_type": "markdown", "source": path.read_text("utf8")}
        cells = sources.read(path)["cells"] if path.suffix == ".ipynb" else [whole]
        title = re.search(r"^# (.+)$", sources.text(cells[0]), re.M)
        if found := list(results(cells)):
            yield title[1] if title else path.stem, found


class Index(SphinxDirective):
    """The two lists."""

    def run(self) -> list[nodes.Node]:
        pages = list(book(Path(self.env.srcdir)))
        for path in sources.documents(Path(self.env.srcdir)).values():
            self.env.note_dependency(str(path))
        return [self.part(kind, pages) for kind in HEADINGS]

    def part(self, kind: str, pages: list) -> nodes.section:
        """All results of one kind."""
        part = nodes.section("", nodes.title("", HEADINGS[kind]), ids=[f"all-{kind}"])
        role = "prf:ref" if kind == "boxes" else "numref"
        for k, (title, found) in enumerate(pages):
            lines = [f"- {{{role}}}`{name}` {words}" for what, name, words in found if what == kind]
            if lines:
                page = nodes.section("", nodes.title("", title), ids=[f"{kind}-{k}"])
                self.state.nested_parse(StringList(lines, "the index"), 0, page)
                part += page
        return part


def setup(app: Sphinx) -> dict:
    app.add_directive("results-index", Index)
    return {"parallel_read_safe": True}
