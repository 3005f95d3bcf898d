"""A browser, the built book on a local server, and one visit to each page."""

import functools
import http.server
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from book_build import html  # noqa: F401 (a fixture)
from visiting import PHONE, Tab

# A browser's own traffic, and the sandbox that containers lack.
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


def executable():
    """An installed Chromium: the variable CHROMIUM, the usual names, or none for Playwright's."""
    if named := os.environ.get("CHROMIUM"):
        return named
    usual = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
    return next((found for name in usual if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as started:
        path = executable() or started.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium: install it, or name it in the variable CHROMIUM")
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """The standard library's server, without its log."""

    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture(scope="session")
def site(html):  # noqa: F811
    """The address of the built book on 127.0.0.1."""
    handler = functools.partial(Quiet, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def page_of(item):
    """The page that a test is about, "" for none."""
    cases = getattr(item, "callspec", None)
    return (cases.params.get("name") or cases.params.get("opened") or "") if cases else ""


def pytest_collection_modifyitems(items):
    """The tests of one page after each other: each page is opened once."""
    here = Path(__file__).resolve().parent
    places = [k for k, item in enumerate(items) if item.path.parent == here]
    own = sorted((items[k] for k in places), key=lambda item: (item.path.name, page_of(item)))
    for place, item in zip(places, own, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def tabs(browser):
    """Two tabs, one for the server's pages and one for files: each keeps a process of its own."""
    opened = {scheme: Tab(browser) for scheme in ("http", "file")}
    yield opened
    for one in opened.values():
        one.context.close()


@pytest.fixture
def visit(tabs, site):
    """A function from a page's name to its visit, opened as on a phone in the dark."""
    return lambda name: tabs["http"].visit(f"{site}/{name}.html", PHONE, "dark")


@pytest.fixture
def visit_file(tabs, html):  # noqa: F811
    """The same without a server, on a wide screen in the light."""
    return lambda name: tabs["file"].visit((html / f"{name}.html").as_uri())
