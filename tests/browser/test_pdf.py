"""`make pdf`, on two pages: contents, page numbers, proofs in view, links within the document."""

import io

import pdf
import pytest
import yaml
from book_build import ROOT, html, sources  # noqa: F401 (a fixture)
from pypdf import PdfReader

pytestmark = pytest.mark.slow

PAGES = [("", ["book/intro"]), ("Part 1: Expressivity", ["book/1_expressivity/02_jacobian"])]


@pytest.fixture(scope="module")
def document(browser, html):  # noqa: F811
    written = io.BytesIO()
    pdf.build(browser, html.resolve(), PAGES, solutions=False).write(written)
    return PdfReader(written)


def test_all_pages_are_printed():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    assert [n for _, names in pdf.parts(toc) for n in names] == list(sources.documents(ROOT))


def words(page):
    """The text of a page in one line."""
    return " ".join(page.extract_text().split())


def test_the_contents_name_the_pages_on_which_chapters_begin(document):
    front, title = words(document.pages[0]), "1.2 The Jacobian of one hidden layer"
    assert "Contents" in front and "Part 1: Expressivity" in front
    number = front.partition(title)[2].split()[0]
    begins = words(document.pages[int(number) - 1])
    assert begins.startswith(title) and begins.endswith(f" {number}")


def test_proofs_are_in_view_and_solutions_are_not(document):
    text = "\n".join(page.extract_text() for page in document.pages)
    assert "Proof" in text and "Click to show" not in text
    assert "Solution to" not in text


def test_links_and_outline_stay_within(document):
    parts = [item["/Title"] for item in document.outline if not isinstance(item, list)]
    assert parts[-1] == PAGES[1][0]
    links = [a.get_object() for page in document.pages for a in page.get("/Annots", ())]
    inside = [link for link in links if "/Dest" in link]
    assert len(inside) >= 2
