"""The pages as a reader's browser shows them: offline, on a phone, in both themes.

A page is opened once, and the window and the system's colours change around it, seldom: to lay a
page out takes a second. What changes the page itself is taken back, or comes after all else.
"""

import io
import itertools
from urllib.parse import urlsplit

import pytest
from book_build import ROOT, sources
from PIL import Image
from visiting import PHONE

pytestmark = pytest.mark.slow

DOCUMENTS = list(sources.documents(ROOT))
CHAPTERS = list(sources.notebooks(ROOT))
pages = pytest.mark.parametrize("name", [*DOCUMENTS, "genindex", "search"])
chapters = pytest.mark.parametrize("name", CHAPTERS)


def outside(requests):
    """The requests that left this machine."""
    return [
        url
        for url in requests
        if urlsplit(url).scheme not in ("file", "data", "blob")
        and urlsplit(url).hostname != "127.0.0.1"
    ]


TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pages
def test_a_page_asks_no_other_host_and_has_no_error(name, visit):
    seen = visit(name)
    assert len(seen.requests) > 1
    assert outside(seen.requests) == []
    assert seen.complaints == []


@pages
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_does_not_scroll_sideways(name, scheme, visit):
    page = visit(name).seen(PHONE, scheme)
    assert visit(name).complaints == []
    assert page.evaluate(TOO_WIDE) <= 0
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("name", [DOCUMENTS[0]])
def test_a_page_that_is_too_wide_would_be_seen(name, visit):
    """The control of the test above: one wide block, and the measure is not zero."""
    page = visit(name).seen(PHONE)
    page.evaluate(
        "() => document.querySelector('article')"
        ".insertAdjacentHTML('beforeend', '<div id=\"wide\" style=\"width: 900px\">wide</div>')"
    )
    assert page.evaluate(TOO_WIDE) > 0
    page.evaluate("() => document.querySelector('#wide').remove()")
    assert page.evaluate(TOO_WIDE) <= 0


@pages
def test_formulas_have_no_error_and_are_all_set(name, visit):
    page = visit(name).seen()
    assert page.locator("mjx-merror").count() == 0
    left = page.locator(".math").evaluate_all(
        "all => all.filter(e => !e.querySelector('mjx-container')).map(e => e.textContent)"
    )
    assert left == []


@pages
def test_images_have_alternative_text_and_headings_an_order(name, visit):
    page = visit(name).seen()
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    levels = page.locator("article :is(h1, h2, h3, h4, h5, h6)").evaluate_all(
        "all => all.map(e => Number(e.tagName[1]))"
    )
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def luminance(colour):
    """The relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """The contrast ratio of two colours, from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# The text's colour and what lies behind it, blending half-transparent layers from the page up.
COLOURS = """all => {
  const canvas = document.createElement("canvas").getContext("2d"), known = new Map();
  const parse = c => {
    if (!known.has(c)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
      known.set(c, [...canvas.getImageData(0, 0, 1, 1).data].map(x => x / 255));
    }
    return known.get(c);
  };
  const behind = new Map([[null, [1, 1, 1]]]);
  const back = node => {
    if (!behind.has(node)) {
      const under = back(node.parentElement);
      const [r, g, b, a] = parse(getComputedStyle(node).backgroundColor);
      behind.set(node, [r, g, b].map((c, k) => a * c + (1 - a) * under[k]));
    }
    return behind.get(node);
  };
  return all.map(e => [parse(getComputedStyle(e).color).slice(0, 3), back(e), e.textContent]);
}"""


@pages
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_badges_and_links_have_contrast(name, scheme, visit):
    page = visit(name).seen(scheme=scheme)
    found = page.locator(
        "article :is(p, li, dt, td, th, a:not(.headerlink), code, figcaption, summary, span.claim)"
    )
    low = [
        (round(contrast(front, back), 2), text.strip()[:40])
        for front, back, text in found.evaluate_all(COLOURS)
        if contrast(front, back) < 4.5
    ]
    assert low == []


REFERENCE = [name for name in DOCUMENTS if name.startswith("book/api")]


@pytest.mark.parametrize("name", REFERENCE)
def test_a_page_of_the_library_is_not_too_long(name, visit):
    assert visit(name).seen().evaluate("() => document.body.scrollHeight") <= 16000


@chapters
def test_figures_keep_their_light_paper_in_the_dark_theme(name, visit):
    figures = visit(name).seen(scheme="dark").locator("div.cell_output img:visible")
    for figure in figures.all():
        shot = Image.open(io.BytesIO(figure.screenshot())).convert("RGB")
        edge = [shot.getpixel((x, y)) for x in (4, shot.width - 5) for y in (4, shot.height - 5)]
        assert min(min(pixel) for pixel in edge) > 200


@chapters
def test_folded_parts_open_on_a_click(name, visit):
    page = visit(name).seen()
    titles = page.locator(".admonition.toggle > .admonition-title")
    for title in titles.all():
        title.click(position={"x": 40, "y": 12})  # on the words, not on the arrow
    assert page.locator(".admonition.toggle.toggle-hidden").count() == 0
    folded = page.locator("article details:not([open]) > summary")
    closed = folded.count()
    for _ in range(min(closed, 3)):  # the browser's own folds: all are alike
        folded.first.click()
    assert folded.count() == closed - min(closed, 3)


@pytest.mark.parametrize("name", CHAPTERS[:2])  # one script and one kind of fold for all
def test_a_link_to_a_folded_check_opens_it(name, visit):
    page = visit(name).seen()
    for anchor in page.locator("div.cell.check").locator("xpath=descendant-or-self::*[@id]").all():
        fold = anchor.locator("xpath=ancestor-or-self::*[contains(@class, 'check')]/details")
        assert {word.strip() for word in fold.locator("> summary > p").all_text_contents()} == {
            "Check"
        }
        fold.evaluate("e => e.open = false")
        page.evaluate("id => location.hash = id", anchor.get_attribute("id"))
        page.wait_for_function("e => e.open", arg=fold.element_handle())
    page.evaluate("() => history.replaceState(null, '', location.pathname)")


@pytest.mark.parametrize("name", [DOCUMENTS[0], *CHAPTERS])
def test_a_page_reads_from_a_file(name, visit_file):
    seen = visit_file(name)
    assert len(seen.requests) > 1
    assert outside(seen.requests) == []
    assert seen.complaints == []
    assert name == DOCUMENTS[0] or seen.page.locator("mjx-container").count() > 0
