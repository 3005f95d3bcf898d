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
from visiting import Visit

OPEN = 6  # visits at a time: a long page with its formulas takes hundreds of megabytes

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


def pytest_collection_modifyitems(items):
    """The tests of one page after each other: few pages have to be open at a time."""
    here = Path(__file__).resolve().parent
    places = [k for k, item in enumerate(items) if item.path.parent == here]
    own = [items[k] for k in places]
    page = [
        getattr(item, "callspec", None) and item.callspec.params.get("name", "") for item in own
    ]
    order = sorted(range(len(own)), key=lambda k: (own[k].path.name, page[k] or ""))
    for place, k in zip(places, order, strict=True):
        items[place] = own[k]


@pytest.fixture(scope="session")
def visit(browser, site):
    """A function from a page's name, a width and a colour scheme to its visit."""
    made = {}

    def open_page(name, width=1280, scheme="light"):
        key = (name, width, scheme)
        if key not in made:
            while len(made) >= OPEN:  # the one that was opened first goes
                made.pop(next(iter(made))).context.close()
            made[key] = Visit(browser, f"{site}/{name}.html", width, scheme)
        return made[key]

    yield open_page
    for one in made.values():
        one.context.close()
