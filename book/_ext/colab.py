"""The launch button opens the notebook that is built for Colab, and not the chapter itself.

A chapter's boxes and references are markup for these pages. `make notebooks` turns the chapters
into plain notebooks, and continuous integration keeps them on a branch of their own.
"""

import re

from sphinx.application import Sphinx

from .sources import BRANCH

CHAPTER = re.compile(r"/blob/[^/]+/book/")


def built(url: str) -> str:
    """The address on Colab of the built notebook, from that of a chapter."""
    return CHAPTER.sub(f"/blob/{BRANCH}/", url)


def point(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                button["url"] = built(button["url"])


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", point, priority=600)  # after the theme's 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}
