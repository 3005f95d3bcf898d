"""The home page: its numbers are those of the chapters, its table and its minutes those counted."""

import pytest
from book_build import ROOT, sources

from _ext import chapters, lighter  # isort: skip (found by book_build)

HOME = " ".join((ROOT / "book/intro.md").read_text("utf-8").split())


def printed(name):
    """All that a chapter's stored outputs say, on one line."""
    notebook = sources.notebooks(ROOT)[name]
    outputs = (output for cell in sources.code_cells(notebook) for output in cell["outputs"])
    return " ".join(" ".join("".join(output.get("text", "")) for output in outputs).split())


@pytest.mark.parametrize(
    "said, name, shown",
    [
        ("**66 neurons**", "0_first_look/01_a_handful_of_neurons", "66 neurons"),
        (
            "**four** sets of 200 to 1,797",
            "4_training/07_claims_one_by_one",
            "proved by computer for n = [200, 400, 800, 1797]",
        ),
        (
            "**all 841** runs",
            "4_training/07_claims_one_by_one",
            "all of 841 runs of GD, SGD and Adam from mirrored starts leave its guaranteed ball",
        ),
        (
            "none of **500** starts for each radius is stuck, up to at least **130** times",
            "4_training/07_claims_one_by_one",
            "at least 130 times the guaranteed one, no end of 500 starts each is stuck",
        ),
        (
            "in **9 of 18** synthetic races and behind in none",
            "4_training/07_claims_one_by_one",
            "projected SGD against SGD: 9 ahead, 0 behind, 9 open",
        ),
        (
            "the better of momentum and Adam in **none**, and behind in six",
            "4_training/07_claims_one_by_one",
            "projected SGD against the better of momentum and Adam: 0 ahead, 6 behind",
        ),
        (
            "twelve claims we reproduce four, five in part, contradict one, and did not try two",
            "4_training/07_claims_one_by_one",
            "reproduced 4 partly 5 contradicted 1 not tried 2",
        ),
    ],
)
def test_the_numbers_are_those_of_the_chapters(said, name, shown):
    assert said in HOME
    assert shown in printed(f"book/{name}")


def test_the_table_has_a_line_for_each_chapter():
    known = chapters.chapters(ROOT)
    table = (ROOT / "book/intro.md").read_text("utf-8").split(":::{chapters}\n")[1].split(":::")[0]
    rows, wrong = chapters.rows_of(table.splitlines(), known)
    assert wrong == [] and len(rows) == len(known)
    for number, _, needs in rows:
        before = list(known)[: list(known).index(number)]
        needed = needs.split(";")[0].replace(",", "").split()
        assert needed == ["nothing"] or set(needed) <= set(before)


def test_a_chapter_without_a_line_and_a_broken_line_are_found():
    known = {"0.1": chapters.Chapter("book/a", "A", 1, 1), "1.1": chapters.Chapter("b", "B", 1, 1)}
    assert chapters.rows_of(["0.1 | why | nothing", "1.1 | how | 0.1"], known)[1] == []
    assert "the chapters are 0.1, 1.1" in chapters.rows_of(["0.1 | why | nothing"], known)[1][0]
    assert "three parts" in chapters.rows_of(["0.1 | why", "1.1 | how | 0.1"], known)[1][0]


def test_an_hour_is_an_hour():
    known = chapters.chapters(ROOT)
    assert "{minutes}`0.1 10 4.7`" in HOME
    assert known["0.1"].minutes + 10 + known["4.7"].minutes <= 75


def test_minutes_in_words():
    said = [chapters.in_words(minutes) for minutes in (3, 62, 104, 140, 600)]
    assert said == ["5 minutes", "60 minutes", "1½ hours", "2½ hours", "10 hours"]


@pytest.mark.parametrize(
    "body, left",
    [
        ("<p>words</p>", ["live.js"]),
        ('<span class="math notranslate">', ["live.js", "mathjax/tex-chtml.js"]),
        ('<div class="cell_output docutils">', ["live.js", "mathjax/tex-chtml.js", "mystnb.1.css"]),
    ],
)
def test_a_page_loads_what_it_shows(body, left):
    context = {"body": body, "script_files": ["live.js", "mathjax/tex-chtml.js"]}
    context["css_files"] = ["mystnb.1.css"]
    lighter.page(None, "intro", "page.html", context, None)
    assert context["script_files"] + context["css_files"] == left


def test_rules_of_icons_that_are_used_stay():
    css = '.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}.fa-bath:before{content:"\\f2cd"}a{}'
    assert lighter.without_rules(css, {"fa-navicon"}) == css.replace(
        '.fa-bath:before{content:"\\f2cd"}', ""
    )
    assert lighter.used(['<i class="fa-solid fa-bars">', "fa-sun"]) == {
        "fa-solid",
        "fa-bars",
        "fa-sun",
    }
    page = '<head>\n  <!-- icons -->\n  <script src="../_static/fontawesome.js?a=1"></script>\n<p>'
    assert lighter.SCRIPT.sub("", page) == "<head>\n<p>"
