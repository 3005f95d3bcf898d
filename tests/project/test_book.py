"""The book: its ledger, its status, its notebooks' rules, its built pages and their links."""

# ruff: noqa: F811 (the fixture `html` is imported, and then named as an argument)

import collections
import inspect
import itertools
import json
import re
import tomllib
from html import parser as html_parser
from urllib.parse import unquote, urlsplit

import book_build
import execute
import pytest
import yaml
from book_build import (
    ROOT,
    accessibility,
    docmath,
    html,  # noqa: F401 (a fixture)
    ledger,
    offline,
    sources,
    status,
)

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
ADDRESS = CONFIG["repository"]["url"]
NOTEBOOKS = sources.notebooks(ROOT)
PAGES = list(sources.documents(ROOT))

notebooks = pytest.mark.parametrize("name", NOTEBOOKS)


# The table of contents.


def test_every_page_of_the_toc_exists():
    listed = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text("utf-8"))
    assert [name for name in listed if name not in PAGES] == []


def test_every_notebook_of_the_book_is_in_the_toc():
    found = {
        str(path.relative_to(ROOT).with_suffix(""))
        for path in (ROOT / "book").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }
    assert found == set(NOTEBOOKS)


# The claims ledger: a whole one has no problem, and each gap has its own.


def cell(source, *tags, **mystnb):
    metadata = {"tags": list(tags)} | ({"mystnb": mystnb} if mystnb else {})
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": []}


def markdown(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


BOX = ":::{prf:theorem} Rank\n:label: thm-rank\n\nText.\n:::"


def whole():
    row = {
        "statement": "True.",
        "kind": "theorem",
        "status": "proved",
        "tolerance": "1e-12",
        "seeds": "0 to 4",
    }
    claims = {"thm-rank": dict(row), "drop": row | {"kind": "control", "status": "checked"}}
    claims["thm-rank"] |= {"control": "drop", "labels": ["fig-rank"], "source": "ours"}
    checks = [
        markdown(BOX),
        cell('with nl.claim("thm-rank"):\n    assert rank == n'),
        cell('with nl.claim("drop"):\n    assert rank < n'),
        cell("plot()", figure={"name": "fig-rank"}),
    ]
    pages = {"chapter": "It holds {claim}`thm-rank`, and fails {claim}`drop`."}
    return claims, {"chapter": {"cells": checks}}, pages


def test_a_whole_ledger_has_no_problem():
    assert ledger.problems(*whole()) == []


def test_the_ledger_of_the_book_has_no_problem():
    claims = ledger.load(ROOT / "book/claims.toml")
    assert ledger.problems(claims, NOTEBOOKS, sources.prose(ROOT)) == []


def no_cell(claims, cells, pages):
    cells[1]["source"] = "rank == n"


def no_row(claims, cells, pages):
    cells[1]["source"] = 'with nl.claim("thm-rank", "thm-other"):\n    assert rank == n'


def no_assert(claims, cells, pages):
    cells[1]["source"] = 'with nl.claim("thm-rank"):\n    print(rank)  # assert'


def empty_assert(claims, cells, pages):
    cells[1]["source"] = 'with nl.claim("thm-rank"):\n    assert (rank == n, "always true")'


def bare_assert(claims, cells, pages):
    cells[1]["source"] += "\nassert rank > 1"


def no_mention(claims, cells, pages):
    pages["chapter"] = "It holds, and fails {claim}`drop`."


def no_control(claims, cells, pages):
    claims["thm-rank"]["control"] = "drop-it"


def control_missing(claims, cells, pages):
    del claims["thm-rank"]["control"]


def no_source(claims, cells, pages):
    claims["thm-rank"]["source"] = ""
    claims["drop"] |= {"source": "ours", "labels": ["thm-rank"]}


def no_source_of_a_box(claims, cells, pages):
    claims["drop"]["labels"] = ["lem-new"]
    cells[0]["source"] += "\n\n::::{prf:lemma}\n:label: lem-new\nText.\n::::"


def bad_status(claims, cells, pages):
    claims["thm-rank"]["status"] = "true"


def bad_kind(claims, cells, pages):
    claims["thm-rank"]["kind"] = "fact"


def no_seeds(claims, cells, pages):
    del claims["thm-rank"]["seeds"]


def bad_field(claims, cells, pages):
    claims["thm-rank"]["seed"] = "0"


def no_cover_of_a_box(claims, cells, pages):
    cells[0]["source"] += "\n\n::::{prf:lemma}\n:label: lem-new\nText.\n::::"


def no_label(claims, cells, pages):
    cells[0]["source"] += "\n\n:::{prf:corollary} Nameless\nText.\n:::"


def no_cover_of_a_figure(claims, cells, pages):
    claims["thm-rank"]["labels"] = []


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (no_cell, "thm-rank: no cell asserts it"),
        (no_row, "the claim 'thm-other' is no row"),
        (no_assert, "code cell 1: the claim 'thm-rank' has no assert that can fail"),
        (empty_assert, "the claim 'thm-rank' has no assert that can fail"),
        (bare_assert, "code cell 1: 1 asserts outside of a claim"),
        (no_mention, "thm-rank: no page mentions it"),
        (no_control, "its control 'drop-it' is no claim"),
        (control_missing, "a theorem needs a control"),
        (no_source, "a theorem needs a source"),
        (no_source_of_a_box, "lem-new gets no source"),
        (bad_status, "status 'true' is not one of"),
        (bad_kind, "kind 'fact' is not one of"),
        (no_seeds, "the field 'seeds' is missing"),
        (bad_field, "unknown field 'seed'"),
        (no_cover_of_a_box, "no claim covers lem-new"),
        (no_label, "no claim covers unlabelled box"),
        (no_cover_of_a_figure, "no claim covers fig-rank"),
    ],
)
def test_each_gap_in_the_ledger_is_one_problem(broken, problem):
    claims, books, pages = whole()
    broken(claims, books["chapter"]["cells"], pages)
    found = ledger.problems(claims, books, pages)
    assert len(found) == 1
    assert problem in found[0]


def test_claims_stand_by_page_in_reading_order():
    claims, books, pages = whole()
    claims |= {"late": {}, "open": {}, "nowhere": {}}
    books["second"] = {"cells": [cell('with nl.claim("late"):\n    assert x')]}
    pages["chapter"] = "First {claim}`drop`, {claim}`open`, {claim}`late`, then {claim}`thm-rank`."
    pages["second"] = "Here {claim}`open` again, and {claim}`late`."
    assert ledger.by_page(claims, books, pages) == {
        "chapter": ["drop", "open", "thm-rank"], "second": ["late"], "": ["nowhere"],
    }  # fmt: skip


def test_an_open_claim_needs_no_cell_but_a_mention():
    claims, books, pages = whole()
    claims["thm-rank"]["status"] = "open"
    no_cell(claims, books["chapter"]["cells"], pages)
    assert ledger.problems(claims, books, pages) == []
    no_mention(claims, books["chapter"]["cells"], pages)
    assert "no page mentions it" in ledger.problems(claims, books, pages)[0]


def test_magic_lines_do_not_hide_a_claim():
    source = '%matplotlib inline\nif True:\n    !ls\nwith nl.claim("a", "b"):\n    assert x > 0'
    assert ledger.claims_of(cell(source)) == ["a", "b"]
    assert ledger.bare_asserts(cell(source)) == 0
    assert ledger.claims_of(cell("this is no python, nl.claim")) == []
    assert ledger.claims_of(cell('with open("a"):\n    assert x')) == []


def test_an_absent_ledger_is_empty_and_a_present_one_is_read(tmp_path):
    path = tmp_path / "claims.toml"
    assert ledger.load(path) == {}
    path.write_text('[thm-a]\nkind = "theorem"\n', "utf-8")
    assert ledger.load(path) == {"thm-a": {"kind": "theorem"}}


# The status page.


def test_the_stored_outputs_are_those_of_the_code():
    assert status.problems(status.load(ROOT / "book/status.json"), NOTEBOOKS) == []


def test_a_changed_or_a_new_notebook_is_stale():
    notebook = {"cells": [markdown("text"), cell(["a = 1\n", "a"]), cell("b")]}
    entry = {"source_sha256": sources.source_sha256(notebook)}
    stored = {"notebooks": {"book/a.ipynb": entry}}
    assert status.problems(stored, {"book/a": notebook}) == []
    notebook["cells"][0]["source"] = "other text"
    assert status.problems(stored, {"book/a": notebook}) == []
    notebook["cells"][2]["source"] = "b + 1"
    assert "book/a.ipynb has changed" in status.problems(stored, {"book/a": notebook})[0]
    assert "book/b.ipynb has no entry" in status.problems(stored, {"book/b": notebook})[0]


def test_two_cells_and_one_of_both_have_different_hashes():
    two = {"cells": [cell("a"), cell("b")]}
    one = {"cells": [cell("a\nb")]}
    assert sources.source_sha256(two) != sources.source_sha256(one)


# The small extensions.


def test_remote_assets_go_and_links_stay():
    kept = '<a href="https://arxiv.org/abs/2210.12001">x</a><link rel="stylesheet" href="a.css">'
    gone = (
        '<link rel="stylesheet"\nhref="https://maxcdn.bootstrapcdn.com/font-awesome.min.css">'
        '<link href="//cdn.example.org/a.css" rel="stylesheet">'
        '<script src="https://cdn.example.org/a.js"></script>'
    )
    assert offline.without_remote_tags(kept + gone) == kept


def test_an_id_stands_once_and_folds_are_named_by_their_words():
    fold = '<summary aria-label="Toggle hidden content">'
    assert accessibility.mend(f'<div id="proof-content">{fold}') == "<div><summary>"


def test_dollar_math_of_docstrings_becomes_rst():
    assert docmath.inline("the $L_2$ of `a$b$`, 3$") == "the :math:`L_2` of `a$b$`, 3$"
    assert docmath.inline("|x| and $|y|$") == r"\|x\| and :math:`|y|`"
    assert docmath.convert(["$$a", "= b$$", ">>> '$x$'", "'$x$'", "", "$y$"]) == [
        "", ".. math::", "", "   a", "   = b", "", ">>> '$x$'", "'$x$'", "", ":math:`y`"
    ]  # fmt: skip


# The rules of the notebooks.


@notebooks
def test_the_first_code_cell_installs_the_library(name):
    first = sources.code_cells(NOTEBOOKS[name])[0]
    source = sources.text(first)
    assert re.match(r"(#.*\n)*try:\n +import narrowlib", source)
    assert "except ModuleNotFoundError:" in source
    assert re.search(r"^ +%pip install .*narrowlib", source, re.M)
    assert f"git+{ADDRESS}" in source
    assert not re.search(r"(jax|numpy)\s*==", source)
    assert {"hide-input", "hide-cell"} & set(first["metadata"]["tags"])


def test_all_set_up_cells_are_the_same():
    assert len({sources.text(sources.code_cells(nb)[0]) for nb in NOTEBOOKS.values()}) <= 1


@notebooks
def test_double_precision_is_switched_on_before_any_array(name):
    cells = [sources.text(c) for c in sources.code_cells(NOTEBOOKS[name])]
    switched = [k for k, source in enumerate(cells) if "jax_enable_x64" in source]
    assert switched == [1]


@notebooks
def test_code_cells_have_at_most_fifteen_lines(name):
    for number, code in enumerate(sources.code_cells(NOTEBOOKS[name]), start=1):
        lines = [line for line in sources.text(code).splitlines() if line.strip()]
        lines = [line for line in lines if not line.lstrip().startswith("with nl.claim(")]
        assert len(lines) <= 15, f"code cell {number}"


@notebooks
def test_myst_directives_use_colon_fences(name):
    for c in NOTEBOOKS[name]["cells"]:
        if c["cell_type"] == "markdown":
            assert not re.search(r"^\s*`{3,}\{", sources.text(c), re.M), sources.text(c)[:80]


@notebooks
def test_labels_say_what_they_are(name):
    for label in ledger.labels_of(NOTEBOOKS[name]):
        assert label.startswith(("thm-", "lem-", "prp-", "cor-", "fig-")), label


@notebooks
def test_every_image_has_alternative_text(name):
    for number, code in enumerate(sources.code_cells(NOTEBOOKS[name]), start=1):
        shown = {mime for output in code["outputs"] for mime in output.get("data", {})}
        if any(mime.startswith("image/") for mime in shown):
            alt = code["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 15, f"code cell {number}: mystnb.image.alt is missing or says little"


@notebooks
def test_outputs_are_clean(name):
    for number, code in enumerate(sources.code_cells(NOTEBOOKS[name]), start=1):
        assert code["execution_count"] == number, f"code cell {number} was not run in order"
        for output in code["outputs"]:
            assert output["output_type"] != "error", f"code cell {number}"
            assert output.get("name") != "stderr", f"code cell {number}"
            text = json.dumps(output)
            assert "tqdm" not in text and "it/s]" not in text, f"code cell {number}"
            assert "application/vnd.jupyter.widget-view+json" not in text, f"code cell {number}"


class Fetched(html_parser.HTMLParser):
    """What a browser fetches by itself from another host: all but the addresses to click on."""

    def __init__(self, text):
        super().__init__()
        self.found = re.findall(r"(?:@import|url\()[\s\"']*((?:https?:)?//[^\s\"')]+)", text)
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = [value or "" for name, value in attrs if name in ("src", "href", "data")]
        self.found += [v for v in given if tag != "a" and re.match(r"\s*(https?:)?//", v)]


def test_what_is_fetched_is_found():
    kept = '<a href="https://a.org">x</a><img src="data:image/png;base64,//">'
    assert Fetched(kept).found == execute.FETCHED.findall(kept) == []
    for text in (
        '<link rel="stylesheet"\nhref="https://a.org/x.css">', "<script src='//a.org/x.js'>",
        "<IMG alt='' SRC = http://a.org/x.png>", "<iframe src=' https://a.org'></iframe>",
        "<style>@import 'https://a.org/x.css';</style>", '<p style="background: url(//a.org/x)">',
        '<object data="https://a.org/x.svg"></object>',
    ):  # fmt: skip
        assert len(Fetched(text).found) == len(execute.FETCHED.findall(text)) == 1, text


@notebooks
def test_outputs_ask_no_other_host(name):
    for number, code in enumerate(sources.code_cells(NOTEBOOKS[name]), start=1):
        for output in code["outputs"]:
            for mime in ("text/html", "image/svg+xml", "text/markdown"):
                shown = "".join(output.get("data", {}).get(mime, ""))
                assert Fetched(shown).found == [], f"code cell {number}"


# The address: `_config.yml` decides, everything else agrees.

OTHER_OWNERS = {"actions", "astral-sh", "google", "google-deepmind", "jax-ml"}
OTHER_OWNERS |= {"you", "OWNER"}  # placeholders in instructions
MENTION = re.compile(r"github(?:\.com)?[/:]([\w-]+)/([\w.-]*[\w-])")


def mentions(text):
    """The repositories of GitHub that a text names, without those of known others."""
    found = (f"{owner}/{name.removesuffix('.git')}" for owner, name in MENTION.findall(text))
    return {slug for slug in found if slug.split("/")[0] not in OTHER_OWNERS}


def test_every_mention_of_the_address_is_the_one_in_the_config():
    slug = ADDRESS.removeprefix("https://github.com/")
    named = ["*.md", "*.toml", "*.cff", "book/**/*.md", "book/**/*.ipynb", "narrowlib/*.py"]
    files = [path for pattern in named for path in ROOT.glob(pattern)]
    wrong = {
        str(path.relative_to(ROOT)): other
        for path in files
        if ".ipynb_checkpoints" not in path.parts
        if (other := mentions(path.read_text("utf-8")) - {slug})
    }
    assert wrong == {}


def test_pyproject_and_citation_hold_the_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert ADDRESS in project["urls"].values()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["repository-code"] == ADDRESS


def test_a_wrong_address_is_found():
    slug = ADDRESS.removeprefix("https://github.com/")
    for text in (f"{ADDRESS}.git", f"see {ADDRESS}.", f"{ADDRESS}/issues", f"git+{ADDRESS}@main"):
        assert mentions(text) == {slug}
    assert mentions("https://github.com/someone/else") == {"someone/else"}
    assert mentions("https://github.com/jax-ml/jax") == set()


# The built pages.


def html_files(folder):
    """Every page; `_static` holds a template of the theme, which is none."""
    return [path for path in folder.rglob("*.html") if "_static" not in path.parts]


def test_the_book_builds_without_a_warning(html):
    assert (html / "index.html").is_file()
    assert all((html / f"{name}.html").is_file() for name in PAGES)


def test_links_and_assets_of_every_page_lead_somewhere(html):
    broken = []
    for path in html_files(html):
        page = book_build.page(path)
        for target in [*page.links, *page.assets]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not file.exists() or (
                parts.fragment
                and file.suffix == ".html"
                and unquote(parts.fragment) not in book_build.page(file).ids
            ):
                broken.append(f"{path.name}: {target}")
    assert broken == []


def test_no_page_asks_another_host_for_anything(html):
    asked = {
        f"{path.name}: {asset}"
        for path in html_files(html)
        for asset in book_build.page(path).assets
        if urlsplit(asset).netloc
    }
    assert asked == set()
    for path in html.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text("utf-8"))


@pytest.mark.parametrize("name", PAGES)
def test_ids_stand_once_and_images_have_alternative_text(name, html):
    page = book_build.page(html / f"{name}.html")
    assert sorted({i for i in page.ids if page.ids.count(i) > 1}) == []
    assert [image for image in page.images if not image.get("alt")] == []


@pytest.mark.parametrize("name", PAGES)
def test_no_markup_is_left_in_the_text(name, html):
    """Formulas, lists and roles that did not parse show as dollars, backslashes and braces."""
    page = (html / f"{name}.html").read_text("utf-8")
    body = page[page.index("<article") : page.index("</article>")]
    body = re.sub(r"<(pre|script|style|code|dt)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'<(span|div) class="math.*?</\1>', "", body, flags=re.DOTALL)
    body = re.sub(r"<strong>\*\*\w+</strong>", "", body)  # an argument of any keywords
    text = re.sub(r"<[^>]+>", "", body)
    assert re.findall(r".{0,30}(?:\$|\\[a-z]{3,}|\*\*|\{[a-z:]+\}`|:::).{0,30}", text) == []
    assert re.findall(r"<p>\d+\. .{0,30}", body) == []


@pytest.mark.parametrize("name", PAGES)
def test_headings_skip_no_level(name, html):
    levels = book_build.page(html / f"{name}.html").headings
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


@notebooks
def test_buttons_lead_to_the_notebook(name, html):
    links = book_build.page(html / f"{name}.html").links
    path, branch = f"{name}.ipynb", CONFIG["repository"]["branch"]
    assert f"{ADDRESS}/edit/{branch}/{path}" in links
    assert any(link.startswith(f"{ADDRESS}/issues/new") for link in links)
    download = next(link for link in links if "_sources" in link and link.endswith(".ipynb"))
    copy = ((html / f"{name}.html").parent / download).resolve()
    assert copy.read_bytes() == (ROOT / path).read_bytes()


def test_every_claim_has_its_row_and_the_row_leads_back(html):
    page = book_build.page(html / "book/claims.html")
    for claim, row in ledger.load(ROOT / "book/claims.toml").items():
        assert f"ledger-{claim}" in page.ids
        assert any(link.endswith(f"#claim-{claim}") for link in page.links)
        if row["status"] != "open":
            assert any(link.endswith(f"#check-{claim}") for link in page.links)


def test_every_public_name_is_documented_once(html):
    import narrowlib

    found = collections.Counter()
    for path in [html / "book/api.html", *sorted((html / "book/api").glob("*.html"))]:
        found.update(i for i in book_build.page(path).ids if i.startswith("narrowlib."))
    objects = {n: getattr(narrowlib, n) for n in dir(narrowlib) if not n.startswith("__")}
    names = [n for n, thing in objects.items() if not inspect.ismodule(thing)]
    names += [f"{m}.{n}" for m in ("plots", "sliders") for n in own_names(objects[m])]
    assert {n: found[f"narrowlib.{n}"] for n in names if found[f"narrowlib.{n}"] != 1} == {}
    assert [i for i, times in found.items() if times > 1] == []


def own_names(module):
    """The public functions and classes that a module defines."""
    return [n for n, t in vars(module).items() if n[0] != "_" and is_own(t, module)]


def is_own(thing, module):
    return callable(thing) and getattr(thing, "__module__", None) == module.__name__


def test_the_overview_lists_every_name(html):
    links = {link.partition("#")[2] for link in book_build.page(html / "book/api.html").links}
    for path in (html / "book/api").glob("*.html"):
        entries = [
            i for i in book_build.page(path).ids if re.fullmatch(r"narrowlib(\.[a-z]+)?\.\w+", i)
        ]
        assert [i for i in entries if i not in links and i.count(".") == 1] == []
