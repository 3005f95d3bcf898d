"""What other sites show of a page, and the map of all pages."""

# ruff: noqa: F811 (the fixture `html` is imported, and then named as an argument)

import re

import address
import pytest
from book_build import ROOT, cards, html, sources  # noqa: F401 (a fixture)

HOME = address.pages((ROOT / "_config.yml").read_text("utf-8"))
PAGES = list(sources.documents(ROOT))


def properties(text):
    """The page's Open Graph properties."""
    return dict(re.findall(r'<meta property="(og:[\w:]+)" content="([^"]*)"', text))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_card(name, html):
    text = (html / f"{name}.html").read_text("utf-8")
    found = properties(text)
    assert found["og:url"] == f"{HOME}/{name}.html"
    assert len(found["og:title"]) > 0 and 20 < len(found["og:description"]) < 400
    if image := found.get("og:image"):
        assert (html / image.removeprefix(f"{HOME}/")).is_file()
        assert len(found["og:image:alt"]) > 15


def test_a_chapter_shows_its_picture(html):
    chapters = [name for name in sources.notebooks(ROOT) if "07_claims" not in name]
    pictured = [n for n in chapters if "og:image" in properties((html / f"{n}.html").read_text())]
    assert len(pictured) > 0.8 * len(chapters)


def test_a_card_is_escaped_and_has_the_first_picture():
    body = '<img alt="A &quot;b&quot;" src="../../_images/a.png"><img src="../_images/b.png">'
    found = properties(cards.tags('"T"', "x < y", "u", "https://h", "s", body))
    assert found["og:title"] == "&quot;T&quot;" and found["og:description"] == "x &lt; y"
    assert found["og:image"] == "https://h/_images/a.png"
    assert "og:image" not in properties(cards.tags("T", "", "u", "h", "s", ""))


def test_the_map_has_every_page(html):
    found = re.findall("<loc>(.*?)</loc>", (html / "sitemap.xml").read_text("utf-8"))
    assert set(found) == {f"{HOME}/{name}.html" for name in PAGES}
