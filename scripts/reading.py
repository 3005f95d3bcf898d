"""What a chapter asks of its reader: visible words, cells and code lines, figures, minutes.

`python scripts/reading.py` prints a line for each chapter; `python scripts/reading.py 0 1` those of
Parts 0 and 1. The limits are those of CONTRIBUTING.md; the exit status is 1 where one is passed.
Visible is what stands on the page before anything is unfolded. Workshop pages, which hold what a
first reader leaves out, are counted and have no limits.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import book_status

ROOT = book_status.ROOT
sources = book_status.load("book/_ext/sources.py")
LIMITS = {"words": 1600, "cells": 20, "lines": 180}
WORDS_A_FIGURE = 400
WORDS_A_MINUTE, SECONDS_A_LINE, SECONDS_A_FIGURE = 180, 4, 45
PROOF_WORDS_A_MINUTE, MINUTES_AN_EXERCISE = 45, 6
OFF = 0.2  # of the minutes that a chapter states, or two of them

IMAGES = {"image/png", "image/svg+xml"}
FENCE = re.compile(r"^(:{3,})\{([\w:-]+)\}[^\n]*\n(.*?)^\1[ \t]*$", re.M | re.S)
STATED = re.compile(
    r"Reading takes about (\d+) minutes, and (\d+) more with the proofs and exercises"
)


class Counts(NamedTuple):
    """What stands in one chapter; `minutes` to read, and `more` with proofs and exercises."""

    words: int = 0
    cells: int = 0
    lines: int = 0
    figures: int = 0
    asserts: int = 0
    proof_words: int = 0
    exercises: int = 0

    @property
    def minutes(self) -> float:
        looked_at = self.lines * SECONDS_A_LINE + self.figures * SECONDS_A_FIGURE
        return self.words / WORDS_A_MINUTE + looked_at / 60

    @property
    def more(self) -> float:
        return self.proof_words / PROOF_WORDS_A_MINUTE + self.exercises * MINUTES_AN_EXERCISE


def words(text: str) -> int:
    """Words of two letters or more; a formula is none."""
    return len(re.findall(r"[^\W\d_]{2,}", re.sub(r"\$[^$]*\$", " ", text)))


def of_markdown(text: str) -> Counts:
    """The counts of one Markdown cell: folded boxes apart."""
    proof = exercises = 0
    rest, end = [], 0
    for box in FENCE.finditer(text):
        kind, body = box[2], box[3]
        folded = kind in ("solution", "hint", "dropdown") or ":class: dropdown" in body
        exercises += kind == "exercise"
        if kind == "prf:proof":
            proof += words(body)
        if folded:
            rest.append(text[end : box.start()])
            end = box.end()
    return Counts(words("".join([*rest, text[end:]])), proof_words=proof, exercises=exercises)


def of_code(cell: dict) -> Counts:
    """The counts of one code cell; a folded one has its figures only."""
    shown = [set(output.get("data", {})) for output in cell["outputs"]]
    figures = sum(bool(kinds & IMAGES) for kinds in shown) + len(players(cell))
    if sources.FOLDED & set(cell["metadata"].get("tags", [])):
        return Counts(figures=figures)
    code = [line for line in sources.text(cell).splitlines() if line.strip()]
    asserts = sum(line.strip().startswith("assert ") for line in code)
    return Counts(cells=1, lines=len(code), figures=figures, asserts=asserts)


def players(cell: dict) -> list[str]:
    """The animations and sliders of a cell: HTML that is no table."""
    html = ["".join(output.get("data", {}).get("text/html", "")) for output in cell["outputs"]]
    return [page for page in html if re.search(r"<(img|svg|input|canvas)\b", page)]


def count(notebook: dict) -> Counts:
    """The counts of a chapter."""
    parts = [
        of_markdown(sources.text(cell)) if cell["cell_type"] == "markdown" else of_code(cell)
        for cell in notebook["cells"]
    ]
    return Counts(*(sum(column) for column in zip(*parts, strict=True)))


def stated(notebook: dict) -> tuple[int, int] | None:
    """The minutes that a chapter states, to read and more; None where it states none."""
    prose = "\n".join(sources.text(c) for c in notebook["cells"] if c["cell_type"] == "markdown")
    found = STATED.search(" ".join(prose.split()))
    return (int(found[1]), int(found[2])) if found else None


def complaints(counts: Counts, said: tuple[int, int] | None) -> list[str]:
    """The limits that a chapter passes, in words."""
    found = [
        f"{getattr(counts, name)} {name}, at most {most}"
        for name, most in LIMITS.items()
        if getattr(counts, name) > most
    ]
    if counts.asserts:
        found.append(f"{counts.asserts} asserts in view")
    if counts.figures * WORDS_A_FIGURE < counts.words:
        found.append(f"{counts.figures} figures, fewer than one for {WORDS_A_FIGURE} words")
    if said is None:
        found.append("no reading time stated")
    else:
        for name, one, measured in zip(
            ("", " more"), said, (counts.minutes, counts.more), strict=True
        ):
            if abs(one - measured) > max(2, OFF * measured):
                found.append(f"states {one}{name} minutes, {measured:.0f} counted")
    return found


def is_workshop(name: str) -> bool:
    """True for the pages beside the chapters: `NNw_title`, and the background, without a number."""
    return not re.match(r"\d+_", Path(name).name)


def chapters(*parts: str) -> dict[str, dict]:
    """The notebooks of the parts, of all parts if none is named, by the names of their pages."""
    return {
        name: notebook
        for name, notebook in sources.notebooks(ROOT).items()
        if not parts or name.removeprefix("book/").startswith(parts)
    }


def main() -> None:
    """Prints a line a chapter and a sum."""
    over, every = False, []
    for name, notebook in chapters(*sys.argv[1:]).items():
        counts = count(notebook)
        every.append(counts)
        found = [] if is_workshop(name) else complaints(counts, stated(notebook))
        over |= bool(found)
        print(
            f"{name.removeprefix('book/')}: {counts.words} words, {counts.cells} cells, "
            f"{counts.lines} lines, {counts.figures} figures; {counts.minutes:.0f} minutes, "
            f"{counts.more:.0f} more" + (f"  OVER: {'; '.join(found)}" if found else "")
        )
    print(f"{sum(c.words for c in every)} words, {sum(c.figures for c in every)} figures")
    sys.exit(over)


if __name__ == "__main__":
    main()
