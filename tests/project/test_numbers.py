"""Numbers of exercises, boxes and figures: what a page shows is what the checkers know."""

# ruff: noqa: F811 (the fixture `html` is imported, and then named as an argument)

import re

import pytest
from book_build import ROOT, html, ledger, numbers, results, sources  # noqa: F401 (a fixture)

NOTEBOOKS = sources.notebooks(ROOT)
EVENT = re.compile(r"^:{3,}\{exercise\}|nl\.check\(\"([\d.]+)\"", re.M)


def title(notebook):
    """The first heading of a notebook, with its number."""
    return re.search(r"^# (.*)$", sources.text(notebook["cells"][0]), re.M)[1]


def asked(notebook):
    """For each exercise, in order, the numbers that the cells and solutions after it check."""
    found = []
    for match in EVENT.finditer("\n".join(map(sources.text, notebook["cells"]))):
        if match[1] is None:
            found.append([])
        elif found:
            found[-1].append(match[1])
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_an_exercise_has_its_checkers_number(name):
    before = numbers.prefix(title(NOTEBOOKS[name]), "exercise")
    if before:
        for k, given in enumerate(asked(NOTEBOOKS[name]), start=1):
            assert set(given) <= {".".join((*before, str(k)))}, f"exercise {k}"


def test_a_wrong_number_would_be_seen():
    box = ":::{exercise} One\n:::"
    cells = [{"source": s} for s in ('nl.check("9.9.9", 0)', box, 'nl.check("1.2.1", 0)', box)]
    cells.append({"source": 'x = 1\nnl.check("1.2.1", x)'})
    assert asked({"cells": cells}) == [["1.2.1"], ["1.2.1"]]


@pytest.mark.parametrize(
    ("title", "kind", "before"),
    [
        ("0.1 A handful", "exercise", ("0", "1")),
        ("1.2 The Jacobian", "theorem", ("1", "2")),
        ("Workshop 1.2: Ranks", "figure", ("W1", "2")),
        ("Workshop 1.2: Ranks", "exercise", ()),
        ("Notation", "figure", ()),
        ("12 neurons", "figure", ()),
    ],
)
def test_the_number_is_the_titles(title, kind, before):
    assert numbers.prefix(title, kind) == before


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_page_shows_the_numbers(name, html):
    page = (html / f"{name}.html").read_text("utf-8")
    shown = re.findall(r'caption-number">(?:Exercise|Fig\.) ([\w.]+)', page)
    before = ".".join((*numbers.prefix(title(NOTEBOOKS[name]), "figure"), ""))
    assert all(number.startswith(before) for number in shown)
    solved = re.findall(r'"#(ex-[\w-]+)"> Exercise ([\w.]+)</a>', page)
    for label, number in solved:
        box = page[page.index(f'id="{label}"') :]
        assert re.search(r'caption-number">Exercise ([\w.]+)</span>', box)[1] == number
    assert len(solved) == page.count('Solution to<a class="reference internal" href="#ex-')


def test_the_index_lists_every_box_and_figure(html):
    listed = {label for _, found in results.book(ROOT) for _, label, _ in found}
    wanted = {label for notebook in NOTEBOOKS.values() for label in ledger.labels_of(notebook)}
    assert wanted <= listed
    page = (html / "book/results.html").read_text("utf-8")
    linked = set(re.findall(r'href="[^"]*#([\w-]+)"', page[page.index("<article") :]))
    assert listed <= linked


def test_results_are_read_in_order():
    text = ":::{prf:theorem} Rank $n$\n:label: thm-a\n\nText.\n:::\n\n:::{prf:proof}\nNo.\n:::\n"
    text += "\n:::{figure} a.png\n:alt: A\n:name: fig-b\nAt $h = 0.5$. More.\n:::"
    drawn = {"figure": {"name": "fig-c", "caption": "Loss\nand rank. Left: $W$."}}
    cells = [
        {"cell_type": "markdown", "source": text},
        {"cell_type": "code", "source": "", "metadata": {"mystnb": drawn}},
    ]
    assert list(results.results(cells)) == [
        ("boxes", "thm-a", "Rank $n$"),
        ("figures", "fig-b", "At $h = 0.5$."),
        ("figures", "fig-c", "Loss and rank."),
    ]
