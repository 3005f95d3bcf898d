"""Mend in the finished HTML what the extensions get wrong for screen readers.

sphinx-proof gives every box the id `proof-content` and every proof the id `proof`, and
sphinx-exercise does the like: an id may stand once in a page. myst-nb labels every folded cell
"Toggle hidden content" over the words that it shows.
"""

import re

from sphinx.application import Sphinx

REPEATED = re.compile(r' id="(proof|(proof|exercise|solution)-content)"')


def mend(html: str) -> str:
    """The page's body with unique ids, and with folds that are named by their words."""
    return REPEATED.sub("", html).replace(
        '<summary aria-label="Toggle hidden content">', "<summary>"
    )


def page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if "body" in context:
        context["body"] = mend(context["body"])


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", page, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
