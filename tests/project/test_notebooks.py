"""The notebooks for Colab: plain Markdown, the chapters' code, and nothing lost on the way."""

# ruff: noqa: F811 (the fixture `html` is imported, and then named as an argument)

import functools
import json
import re
from urllib.parse import urldefrag

import book_build
import book_index
import nbformat
import notebooks
import plain_markdown
import pytest
import yaml
from book_build import ROOT, html  # noqa: F401 (a fixture)
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from plain_markdown import NotKnown

BOOK = book_index.Book()
NAMES = list(BOOK.notebooks)
BUILT = {name: notebooks.build(BOOK, name) for name in NAMES}
TITLE_LINE = re.compile(r"\A# @title .*\n")

each = pytest.mark.parametrize("name", NAMES)
math = {"renderer": lambda text, options: '<span class="math"></span>'}
markdown = MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin, **math)


def cells(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


@functools.cache
def chapter(name):
    return nbformat.read(BOOK.documents[name], as_version=4)


@functools.cache
def rendered(name):
    """The text of a notebook as HTML, as plain Markdown has it."""
    return "\n".join(markdown.render(cell.source) for cell in cells(BUILT[name], "markdown"))


def bare(text):
    """A text without the marks of quotes, on one line."""
    return " ".join(re.sub(r"^> ?", "", text, flags=re.M).split())


def boxes(name):
    """Every box of a chapter."""
    texts = (cell.source for cell in cells(chapter(name), "markdown"))
    return [box for text in texts for box in plain_markdown.directives(text)]


def plain_lines(text):
    """The lines of a text in which nothing has to change."""
    changing = re.compile(r"\{[\w:]+\}`|\]\(|^\s*(?:[:`~]{3,}|:[\w-]+:|: )")
    return [bare(line) for line in text.split("\n") if line.strip() and not changing.search(line)]


@each
def test_a_notebook_is_valid_and_holds_no_outputs(name):
    notebook = BUILT[name]
    nbformat.validate(notebook)
    assert all(not c.outputs and c.execution_count is None for c in cells(notebook, "code"))
    own = [cell.id for cell in chapter(name).cells]
    kept = [cell.id for cell in notebook.cells if cell.id in own]
    assert kept == own and len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@each
def test_no_markup_of_the_book_is_left(name):
    text = re.sub(r"<code.*?</code>", "", rendered(name), flags=re.S)
    assert (
        re.findall(r".{0,40}(?::::|\{[\w:.+-]+\}<|\{[\w:.+-]+\}`|```|\(\S+\)=).{0,40}", text) == []
    )
    sources = "\n".join(cell.source for cell in cells(BUILT[name], "markdown"))
    assert "```{" not in sources
    targets = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert [link for link in targets if not link.startswith("https://")] == []


@each
def test_the_code_is_the_chapters(name):
    first, *others = zip(cells(chapter(name), "code"), cells(BUILT[name], "code"), strict=True)
    assert first[1].source.startswith("# @title Set-up\nimport os\n")
    assert first[1].source.endswith(f"\n\n{first[0].source}")
    for own, built in others:
        assert TITLE_LINE.sub("", built.source) == own.source
        hidden = {"hide-cell", "hide-input"} & set(own.metadata.get("tags", []))
        assert bool(hidden) == (built.metadata.get("cellView") == "form")
        assert bool(hidden) == bool(TITLE_LINE.match(built.source))
        if "hide-cell" in hidden:
            assert built.source.startswith("# @title Check\n")


@each
def test_nothing_is_lost(name):
    text = bare("\n\n".join(cell.source for cell in cells(BUILT[name], "markdown")))
    for cell in cells(chapter(name), "markdown"):
        for line in plain_lines(cell.source):
            assert line in text
    for box in boxes(name):
        if box.name != "solution":
            assert all(line in text for line in plain_lines(box.argument))


@each
def test_every_box_arrives_with_its_number(name):
    text = "\n\n".join(cell.source for cell in cells(BUILT[name], "markdown"))
    counted = [words for _, words in BOOK.order[name]]
    found = re.findall(r"^(?:> \*\*|### |\*\*)((?:[A-Z][a-z]+|Fig\.) W?[\d.]*\d)\b", text, re.M)
    assert found == counted
    inside = [box.name for box in boxes(name)]
    folded = re.findall(r"<summary>(Hint|Solution to Exercise [\d.]+|Proof)</summary>", text)
    assert folded.count("Hint") == inside.count("hint")
    assert len([word for word in folded if word[0] == "S"]) == inside.count("solution")
    proofs = folded.count("Proof") + len(re.findall(r"^(?:> )?\*\*Proof\.\*\*", text, re.M))
    assert proofs == inside.count("prf:proof")


@each
def test_hints_and_solutions_are_folded(name):
    parts = re.findall(r"<details>(.*?)</details>", rendered(name), re.S)
    for box in boxes(name):
        if box.name in ("hint", "solution"):
            title = "Hint" if box.name == "hint" else "Solution to"
            first = plain_lines("\n".join(box.body))[:1]
            words = re.findall(
                r"[A-Za-z]{4,}", re.sub(r"\$[^$]*\$", " ", first[0] if first else "")
            )
            held = [p for p in parts if f"<summary>{title}" in p and all(w in p for w in words)]
            assert held, box


@each
def test_captions_stand_under_their_figures(name):
    built = iter(BUILT[name].cells)
    for own in chapter(name).cells:
        assert any(cell.id == own.id for cell in built)
        caption = own.metadata.get("mystnb", {}).get("figure", {}).get("caption")
        if caption:
            under = next(built)
            assert under.cell_type == "markdown" and re.match(
                r"\*\*Fig\. [W\d.]+\*\* ", under.source
            )
            assert all(line in bare(under.source) for line in plain_lines(caption))


@each
def test_the_first_cell_says_where_to_read_and_what_to_run_on(name):
    first = BUILT[name].cells[0].source
    assert f"({BOOK.home}/{name}.html)" in first and "take the CPU runtime" in first
    code = "\n".join(cell.source for cell in cells(chapter(name), "code"))
    for data, size in (("cifar10", "CIFAR-10, 170 MB"), ("mnist", "MNIST, 11 MB")):
        assert (f"nl.{data}" in code) == (size in first)
    set_up = cells(BUILT[name], "code")[0].source
    assert ("download_photographs = False" in set_up) == ("MB" in first)


def test_sources_are_those_under_the_titles_of_the_page():
    wanted = book_build.ledger.sources_of(BOOK.claims)
    labels = {label for order in BOOK.order.values() for label, _ in order}
    assert {x: BOOK.sources.get(x) for x in labels} == {x: wanted.get(x) for x in labels}
    for name, built in BUILT.items():
        boxes = [label for label, words in BOOK.order[name] if not words.startswith("Fig.")]
        shown = sum(cell.source.count("*Source:*") for cell in cells(built, "markdown"))
        assert shown == sum(label in wanted for label in boxes), name


# What the built book says.


@each
def test_numbers_are_those_of_the_page(name, html):
    page = (html / f"{name}.html").read_text("utf-8")
    shown = re.findall(r'caption-number">\s*((?:[A-Z][a-z]+|Fig\.) [\w.]*\d)\s*</span>', page)
    assert [s for s in shown if s[:8] != "Solution"] == [words for _, words in BOOK.order[name]]


@each
def test_links_lead_to_pages_and_anchors_of_the_book(name, html):
    for link in set(re.findall(r'href="([^"]*)"', rendered(name))):
        address, anchor = urldefrag(link)
        if address.startswith(f"{BOOK.home}/"):
            path = html / (address.removeprefix(f"{BOOK.home}/") or "index.html")
            assert path.is_file(), link
            assert not anchor or anchor in book_build.page(path).ids, link


@each
def test_the_launch_button_opens_the_built_notebook(name, html):
    links = [link for link in book_build.page(html / f"{name}.html").links if "colab" in link]
    slug = BOOK.repository.removeprefix("https://github.com/")
    path = name.removeprefix("book/")
    start = "https://colab.research.google.com/github"
    assert links == [f"{start}/{slug}/blob/notebooks/{path}.ipynb"]
    assert links == [notebooks.colab(BOOK, name)]


# A book of two chapters, with values of its own.

CONFIG = """
title: Small
repository: {url: https://github.com/An-Owner/small, branch: trunk}
launch_buttons: {colab_url: https://colab.example.org/}
html: {}
"""
TOC = """
root: book/intro
chapters: [{file: book/1_a/01_x}, {file: book/1_a/01w_y}, {file: book/words}]
"""
LEDGER = """
[thm-one]
status = "proved"
source = "ours; see {cite:t}`two` and $n > 1$"
[other]
status = "checked"
labels = ["lem-two"]
source = "folklore"
"""
BIB = r"""
@misc{one, author={Hun{\"u}m, A.}, year={1999}}
@misc{two, author={Ab, A. and de Cd, B.}, year={2001}}
@misc{more, author={Ab, A. and Cd, B. and Ef, C.}}
"""
BOXES = """\
:::{prf:theorem} All $n$ of *them*
:label: thm-one

$$
a = b
\\\\ c
$$

- one {claim}`thm-one`
- two $x
  y$
:::

:::{prf:lemma}
:label: lem-two

Body.
:::
"""


def write_book(root, *cells, second=()):
    """A book whose chapter 1.1 has these cells of Markdown."""
    texts = {
        "_config.yml": CONFIG,
        "_toc.yml": TOC,
        "book/intro.md": "# Home\n",
        "book/words.md": "# Words\n\n:::{glossary}\nbox\n  A thing.\n:::\n",
        "book/claims.toml": LEDGER,
        "book/references.bib": BIB,
        "book/1_a/picture.png": "",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    for name, title, sources in (
        ("01_x", "# 1.1 First", cells),
        ("01w_y", "# Workshop 1.1: Second", second),
    ):
        made = [nbformat.v4.new_markdown_cell(title), nbformat.v4.new_code_cell("import x")]
        made += [
            nbformat.v4.new_markdown_cell(s) if isinstance(s, str) else nbformat.from_dict(s)
            for s in sources
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=made), root / f"book/1_a/{name}.ipynb")
    return book_index.Book(root)


def converted(root, text):
    """What becomes of one cell."""
    book = write_book(root, text)
    return notebooks.build(book, "book/1_a/01_x").cells[3].source


PAGES = "https://an-owner.github.io/small/book"


def test_two_boxes_in_a_row(tmp_path):
    assert converted(tmp_path, BOXES) == (
        "> **Theorem 1.1.1 (All $n$ of *them*).**\n>\n"
        f"> *Source:* ours; see [Ab and de Cd (2001)]({PAGES}/references.html) and $n > 1$.\n>\n"
        "> $$ a = b \\\\ c $$\n>\n"
        f"> - one ([proved]({PAGES}/claims.html#ledger-thm-one))\n> - two $x y$\n"
        "\n\n<!-- -->\n\n"
        "> **Lemma 1.1.2.**\n>\n> *Source:* folklore.\n>\n> Body.\n"
    )
    html = markdown.render(converted(tmp_path, BOXES))
    assert html.count("<blockquote>") == 2 and html.count("<li>") == 2


def test_boxes_in_boxes(tmp_path):
    text = "::::{exercise} Try\n:label: ex-a\n\nDo.\n\n:::{note}\nMind $x$.\n:::\n::::\n\n"
    text += ":::::{solution} ex-a\n:class: dropdown\n::::{prf:proof}\n1. One\n2. Two\n::::\n"
    text += "::::{admonition} More\n:class: dropdown\n:::{prf:proof}\nIt *is*.\n:::\n::::\n:::::"
    assert converted(tmp_path, text) == (
        "### Exercise 1.1.1: Try\n\nDo.\n\n> **Note.** Mind $x$.\n\n"
        "<details>\n<summary>Solution to Exercise 1.1.1</summary>\n\n"
        "**Proof.**\n\n1. One\n2. Two\n"
        "<details>\n<summary>More</summary>\n\n**Proof.** It *is*.\n\n</details>\n\n</details>"
    )


def test_a_folded_proof_keeps_its_list_and_an_admonition_its_code(tmp_path):
    text = ":::{prf:proof}\n:class: dropdown\n\n1. *a* $|x|$\n   more\n2. b ∎\n:::\n"
    html = markdown.render(converted(tmp_path, text))
    assert re.match(r"<details>\s*<summary>Proof</summary>\s*<ol>\s*<li><em>a</em>", html)
    text = "::::{admonition} Check: it\n:class: check-card\n\n```\n:::{x}\n$a\n```\n::::"
    assert converted(tmp_path, text) == "> **Check: it**\n>\n> ```\n> :::{x}\n> $a\n> ```"


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = {claim}  # :::{note}\n:::\n```",
        "Sets $\\{a\\}$ and `{claim}` and `` {cite}`x` `` and $$\\frac{a}{b}$$.",
        "| a | b |\n| --- | --- |\n| $\\lVert x\\rVert$ | `c` |",
        "Costs 3\\$ and 4\\$, [see](https://example.org/a_b).",
        "> A quote.\n\n- a\n  ```\n  [x](y.md)\n  ```",
    ],
)
def test_what_is_plain_stays(text, tmp_path):
    assert converted(tmp_path, text) == text


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("{cite:p}`one,two`", f"([Hunüm, 1999]({PAGES}/references.html), "
         f"[Ab and de Cd, 2001]({PAGES}/references.html))"),
        ("{cite:t}`more`", f"[Ab et al.]({PAGES}/references.html)"),
        ("{prf:ref}`thm-w`", f"[Theorem W1.1.1]({PAGES}/1_a/01w_y.html#thm-w)"),
        ("{numref}`fig-w`", f"[Fig. W1.1.1]({PAGES}/1_a/01w_y.html#fig-w)"),
        ("{numref}`picture %s <fig-w>`", f"[picture W1.1.1]({PAGES}/1_a/01w_y.html#fig-w)"),
        ("{ref}`this <ex-w>`", f"[this]({PAGES}/1_a/01w_y.html#ex-w)"),
        ("{doc}`01w_y`", f"[Workshop 1.1: Second]({PAGES}/1_a/01w_y.html)"),
        ("[](01w_y.ipynb)", f"[Workshop 1.1: Second]({PAGES}/1_a/01w_y.html)"),
        ("[a `b` $c$](../words.md#box)", f"[a `b` $c$]({PAGES}/words.html#box)"),
        ("[up](#here)", f"[up]({PAGES}/1_a/01_x.html#here)"),
        ("![p](picture.png)", "![p](https://github.com/An-Owner/small/raw/trunk/book/1_a/picture.png)"),
        ("{term}`box`, {term}`boxes <box>`",
         f"[box]({PAGES}/words.html), [boxes]({PAGES}/words.html)"),
        ("{math}`x^2`", "$x^2$"),
        ("word\n: What it\n  means.", "- **word**: What it\n  means."),
        (":::{dropdown} A `b` & *c*\nText\n:::",
         "<details>\n<summary>A <code>b</code> &amp; <em>c</em></summary>\n\nText\n\n</details>"),
        (":::{tip} One\ntwo\n:::", "> **Tip.** One\n> two"),
        ("- a\n  :::{note}\n  b\n  :::", "- a\n  > **Note.** b"),
    ],
)  # fmt: skip
def test_what_becomes_of_it(text, after, tmp_path):
    figure = {"figure": {"name": "fig-w", "caption": "A $c$."}}
    code = nbformat.v4.new_code_cell("plot()", metadata={"mystnb": figure, "tags": ["hide-input"]})
    second = (
        ":::{prf:theorem} W\n:label: thm-w\n\nX.\n:::",
        ":::{exercise}\n:label: ex-w\n\nX.\n:::",
        code,
    )
    book = write_book(tmp_path, text, second=second)
    assert notebooks.build(book, "book/1_a/01_x").cells[3].source == after
    *_, plot, caption = notebooks.build(book, "book/1_a/01w_y").cells
    assert plot.source == "# @title Figure\nplot()" and plot.metadata.cellView == "form"
    assert caption.source == "**Fig. W1.1.1.** A $c$."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (":::{grid} 2\nx\n:::", "the directive {grid} is not known"),
        ("```{note}\nx\n```\n\n```{code-cell}\n1\n```", "the directive {code-cell} is not known"),
        (":::{note}\nx", "':::{note}' is not closed"),
        (":::note\nx\n:::", "':::note' names no directive"),
        (":::{admonition} T\n:color: red\nx\n:::", "{admonition} has the option 'color'"),
        (":::{note}\n---\nclass: tip\n---\nx\n:::", "{note} has the option '---'"),
        ("a {kbd}`x` b", "the role {kbd} is not known"),
        ("a {claim}`x b", "the role {claim} is not closed"),
        ("{claim}`none`", "the ledger has no claim 'none'"),
        ("{prf:ref}`none`", "no box and no figure has the label 'none'"),
        ("{cite:p}`none`", "the references have no work 'none'"),
        ("[x](none.md)", "'none.md' is neither a page of the book nor a file"),
        ("(here)=\n# Title", "the line '(here)=' is not known"),
        ("% a comment", "the line '% a comment' is not known"),
        ("A {{ name }}.", "the substitution '{{ name }}.' is not known"),
        ("A note[^1].\n\n[^1]: Text.", "the line '[^1]: Text.' is not known"),
        ("\n: no word", "the line ': no word' defines nothing"),
    ],
)
def test_what_is_not_known_is_refused_by_name(text, says, tmp_path):
    with pytest.raises(NotKnown, match=re.escape(says)) as refused:
        converted(tmp_path, text)
    assert str(refused.value).startswith("book/1_a/01_x")


def test_the_folder_holds_the_notebooks_and_nothing_else(tmp_path):
    book = write_book(tmp_path, "Text.")
    out = tmp_path / "out"
    (out / "old").mkdir(parents=True)
    assert notebooks.write(out, book) == [out / "1_a" / "01_x.ipynb", out / "1_a" / "01w_y.ipynb"]
    assert sorted(p.name for p in out.rglob("*")) == [
        "01_x.ipynb",
        "01w_y.ipynb",
        "1_a",
        "README.md",
    ]
    readme = (out / "README.md").read_text("utf-8")
    assert (
        "(https://colab.example.org/github/An-Owner/small/blob/notebooks/1_a/01_x.ipynb)" in readme
    )
    first = json.loads((out / "1_a" / "01w_y.ipynb").read_text("utf-8"))["cells"][0]["source"]
    assert "This notebook is workshop 1.1, *Second*, of" in "".join(first)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "https://an-owner.github.io/small"),
        ({"html": {"baseurl": "https://book.example.org/x/"}}, "https://book.example.org/x"),
        ({"repository": {"url": "https://github.com/Me/me.github.io"}}, "https://me.github.io"),
    ],
)
def test_the_address_of_the_pages(given, address):
    assert book_index.address.pages(yaml.safe_dump(yaml.safe_load(CONFIG) | given)) == address
