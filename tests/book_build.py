"""The built book, made once in a test run, and a reader of its pages for the tests."""

import functools
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

# The book's own Sphinx extensions, for the tests to import from here.
from _ext import accessibility, docmath, ledger, offline, sources, status  # noqa: E402, F401


def build(out: Path) -> subprocess.CompletedProcess:
    """Builds the book into `out`, as `make book` does."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    command += ["--path-output", out, "-W", "-n", "--keep-going", "--all"]
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )


class Page(HTMLParser):
    """What the tests ask of a page: ids, links, assets, images and headings."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.assets: list[str] = []
        self.images: list[dict] = []
        self.headings: list[int] = []
        self.inside = False  # the article: a print copy of the title stands before it
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        """Collects; called for each start tag."""
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "modulepreload"):
            self.assets.append(given["href"])
        if given.get("src"):
            self.assets.append(given["src"])
        if tag == "img":
            self.images.append(given)
        if tag == "article":
            self.inside = True
        if self.inside and tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        """Called for each end tag."""
        if tag == "article":
            self.inside = False


@functools.cache
def page(path: Path) -> Page:
    """One page, read once."""
    return Page(path)


built: list[tuple[Path, subprocess.CompletedProcess]] = []


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The folder of the built book; fails with the build's warnings if there are any.

    Each module that imports this fixture has its own; `built` lets them share one build.
    """
    if not built:
        out = tmp_path_factory.mktemp("book")
        built.append((out, build(out)))
    out, done = built[0]
    if done.returncode != 0:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).splitlines()
        bad = [line for line in lines if "WARNING" in line or "Error" in line]
        pytest.fail("The book does not build:\n" + "\n".join(bad or lines[-30:]), pytrace=False)
    return out / "_build" / "html"
