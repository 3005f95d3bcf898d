"""The built book, made once in a test run, and a reader of its pages for the tests."""

import fcntl
import functools
import json
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
from _ext import (  # noqa: E402, F401
    accessibility,
    cards,
    docmath,
    ledger,
    numbers,
    offline,
    results,
    sources,
    status,
)


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


def build_once(folder: Path) -> dict:
    """One build for all processes of a test run: the first makes it, the others wait for it."""
    result = folder / "result.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            done = build(folder)
            result.write_text(
                json.dumps({"code": done.returncode, "log": done.stdout + done.stderr})
            )
    return json.loads(result.read_text("utf-8"))


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The folder of the built book; fails with the build's warnings if there are any."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "book"
    folder.mkdir(exist_ok=True)
    done = build_once(folder)
    if done["code"] != 0:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", done["log"]).splitlines()
        bad = [line for line in lines if "WARNING" in line or "Error" in line]
        pytest.fail("The book does not build:\n" + "\n".join(bad or lines[-30:]), pytrace=False)
    return folder / "_build" / "html"
