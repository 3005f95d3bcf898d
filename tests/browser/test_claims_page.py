"""The filter of the claims page, by keyboard, and the page without a script."""

import pytest
from book_build import ROOT, html, ledger  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

CLAIMS = ledger.load(ROOT / "book/claims.toml")
SHOWN = """() => [...document.querySelectorAll("tr[id^='ledger-']")]
  .filter(e => e.offsetHeight > 0).map(e => e.id)"""


def ids(wanted):
    """The rows' anchors of the claims that are wanted."""
    return {f"ledger-{claim}" for claim, row in CLAIMS.items() if wanted(claim, row)}


def test_the_filter_works_by_keyboard_and_a_link_clears_it(visit):
    page = visit("book/claims").seen()
    form = page.locator("form.ledger-filter")
    form.locator("select[name=status]").focus()
    page.keyboard.type("pro")
    assert set(page.evaluate(SHOWN)) == ids(lambda _, row: row["status"] == "proved")
    page.wait_for_timeout(1500)  # a new word begins
    page.keyboard.type("al")
    page.keyboard.press("Tab")
    page.keyboard.type("le")
    assert set(page.evaluate(SHOWN)) == ids(lambda _, row: row["kind"] == "lemma")
    page.keyboard.press("Tab")
    page.keyboard.type("lem-new")
    found = ids(lambda claim, row: row["kind"] == "lemma" and "lem-new" in claim)
    assert set(page.evaluate(SHOWN)) == found
    assert form.locator("output").text_content() == f"{len(found)} of {len(CLAIMS)} claims"
    hidden = next(iter(ids(lambda _, row: row["kind"] == "figure")))
    page.evaluate("id => location.hash = id", hidden)
    page.wait_for_function("id => document.getElementById(id).offsetHeight > 0", arg=hidden)
    assert set(page.evaluate(SHOWN)) == ids(lambda *_: True)


def test_without_a_script_all_rows_stand(browser, html):  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book/claims.html").as_uri())
    assert page.locator("tr[id^=ledger-]").count() == len(CLAIMS)
    assert not page.locator("form.ledger-filter").is_visible()
    context.close()
