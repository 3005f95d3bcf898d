"""What the book numbers and where its pages are: theorems, exercises, figures, claims, works.

Each page counts its own boxes, figures and exercises after the number in its title, as
`book/_ext/numbers.py` does for the built book; a test compares the two.
"""

import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import NamedTuple

import address
import book_status
import yaml
from plain_markdown import NUMBERED, Directive, NotKnown, directives
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

sys.path.append(str(book_status.ROOT / "book"))
ledger = importlib.import_module("_ext.ledger")
sources = importlib.import_module("_ext.sources")
CLAIMS, WORKS = "book/claims", "book/references"


class Place(NamedTuple):
    """Something with a name, "Theorem 3", and the page and the anchor where it stands."""

    name: str
    page: str
    anchor: str


def label_of(box: Directive) -> str:
    """The label of a box, or nothing."""
    return box.options.get("label") or box.options.get("name") or ""


def boxes(text: str) -> Iterator[Directive]:
    """The boxes that have a number or stand in the order of the exercises."""
    for box in directives(text):
        kind, _, rest = box.name.partition(":")
        if box.name in ("exercise", "figure") or (kind == "prf" and rest in NUMBERED):
            yield box


class Book:
    """The whole book, read as files."""

    def __init__(self, root: Path = book_status.ROOT):
        config = (root / "_config.yml").read_text("utf8")
        self.root, self.config = root, yaml.safe_load(config)
        self.title = self.config["title"]
        self.repository, self.home = self.config["repository"]["url"], address.pages(config)
        self.documents = sources.documents(root)
        self.notebooks = sources.notebooks(root)
        self.claims = ledger.load(root / f"{CLAIMS}.toml")
        self.sources = ledger.sources_of(self.claims)
        self.works = parse_file(str(root / f"{WORKS}.bib")).entries
        self.titles, self.glossary = {}, ""
        self.labels: dict[str, Place] = {}
        self.order: dict[str, list[tuple[str, str]]] = {}  # page: label and name, in order
        for name, path in self.documents.items():
            try:
                self.order[name] = list(self._numbered(name, path))
            except NotKnown as error:
                raise NotKnown(f"{name}: {error}") from None
            for label, words in self.order[name]:
                if label:
                    self.labels[label] = Place(words, name, label)

    def _parts(self, path: Path) -> Iterator[tuple[str, dict]]:
        """The texts and the code cells of a page, in order."""
        if path.suffix != ".ipynb":
            yield path.read_text("utf8"), {}
            return
        for cell in sources.read(path)["cells"]:
            markdown = cell["cell_type"] == "markdown"
            yield sources.text(cell) if markdown else "", {} if markdown else cell

    def _numbered(self, name: str, path: Path) -> Iterator[tuple[str, str]]:
        """The label and the numbered name of each box and figure of a page, in order."""
        counts: Counter[str] = Counter()

        def counted(word: str, kind: str) -> str:
            counts[kind] += 1
            before = sources.prefix(self.titles.get(name, ""), kind)
            return f"{word} {'.'.join((*before, str(counts[kind])))}"

        for text, cell in self._parts(path):
            if name not in self.titles and (title := re.search(r"^# (.+)$", text, re.M)):
                self.titles[name] = title[1].strip()
            if re.search(r"^:{3,}\{glossary\}", text, re.M):
                self.glossary = name
            figure = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
            if figure.get("caption"):
                yield figure.get("name", ""), counted("Fig.", "figure")
            for box in boxes(text):
                label, word = label_of(box), box.name.removeprefix("prf:").title()
                if box.name == "figure":
                    if any(line.strip() for line in box.body):  # its caption
                        yield label, counted("Fig.", "figure")
                elif "nonumber" in box.options:
                    yield label, word
                else:
                    yield label, counted(word, "exercise" if word == "Exercise" else "box")

    def address(self, name: str, anchor: str = "") -> str:
        """The address of a rendered page."""
        return f"{self.home}/{name}.html{f'#{anchor}' if anchor else ''}"


class Page:
    """One page of the book, as `plain_markdown.convert` asks for it: boxes come in their order."""

    def __init__(self, book: Book, name: str):
        self.book, self.name = book, name
        self._left = list(book.order[name])

    def _take(self, label: str) -> str:
        if not self._left:
            raise NotKnown(f"the box {label or 'without a label'} has no number.")
        wanted, words = self._left.pop(0)
        if wanted != label:
            raise NotKnown(f"the box {label!r} stands where {wanted!r} was counted.")
        return words

    def box(self, directive: Directive) -> tuple[str, str | None]:
        """The box's name and where it comes from."""
        label = label_of(directive)
        return self._take(label), self.book.sources.get(label)

    def figure(self, name: str) -> str:
        """The next figure's name, "Fig. 3"."""
        return self._take(name)

    def named(self, label: str) -> tuple[str, str]:
        """What a label stands for, and its address."""
        if label not in self.book.labels:
            raise NotKnown(f"no box and no figure has the label {label!r}.")
        place = self.book.labels[label]
        return place.name, self.book.address(place.page, place.anchor)

    def claim(self, name: str) -> tuple[str, str]:
        """The status of a claim, and the address of its row."""
        if name not in self.book.claims:
            raise NotKnown(f"the ledger has no claim {name!r}.")
        return self.book.claims[name]["status"], self.book.address(CLAIMS, f"ledger-{name}")

    def citation(self, key: str) -> tuple[str, str, str]:
        """Authors, year and address of a work."""
        if key not in self.book.works:
            raise NotKnown(f"the references have no work {key!r}.")
        entry = self.book.works[key]
        return authors(entry), entry.fields.get("year", ""), self.book.address(WORKS)

    def page(self, target: str) -> tuple[str, str]:
        """Title and address of a page of the book, or of a file of the repository."""
        path, _, anchor = target.partition("#")
        if not path:
            return self.book.titles[self.name], self.book.address(self.name, anchor)
        whole = normpath(path[1:] if path[0] == "/" else PurePosixPath(self.name).parent / path)
        page = whole.removesuffix(".html")
        page = page if page in self.book.documents else page.rpartition(".")[0]
        if page in self.book.documents:
            return self.book.titles.get(page, page), self.book.address(page, anchor)
        if (self.book.root / whole).is_file():
            branch = self.book.config["repository"]["branch"]
            kind = "raw" if Path(whole).suffix in (".png", ".svg", ".gif", ".jpg") else "blob"
            return Path(whole).name, f"{self.book.repository}/{kind}/{branch}/{whole}"
        raise NotKnown(f"{target!r} is neither a page of the book nor a file.")

    def term(self, word: str) -> str:
        """The address of the glossary."""
        if not self.book.glossary:
            raise NotKnown(f"the term {word!r}: the book has no glossary.")
        return self.book.address(self.book.glossary)


def authors(entry: Entry) -> str:
    """The authors of a work as the book cites them: all of two, the first of more."""
    roles = dict(entry.persons or {})
    people = roles.get("author") or roles.get("editor") or []
    names = [str(Text.from_latex(" ".join(p.prelast_names + p.last_names))) for p in people]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)
