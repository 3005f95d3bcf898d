"""Mend in the finished HTML what the extensions get wrong for screen readers.

sphinx-proof gives every box the id `proof-content` and every proof the id `proof`, and
sphinx-exercise does the like: an id may stand once in a page. Matplotlib's animations come
with an `<img>` without alternative text, a slider and buttons without labels. Their text is
taken from the same place as every other figure's, `mystnb.image.alt` in the cell's metadata.
myst-nb labels every folded cell "Toggle hidden content" over the words that it shows.
"""

import re
from html import escape

from sphinx.application import Sphinx

from . import sources

REPEATED = re.compile(r' id="(proof|(proof|exercise|solution)-content)"')
FRAME = re.compile(r'<img(?=[^>]*\bid="_anim_img)(?![^>]*\balt=)')
SLIDER = re.compile(r'<input(?=[^>]*type="range")(?![^>]*aria-label)')
BUTTON = re.compile(r'<button title="([^"]+)"(?![^>]*aria-label)')


def animation_alts(notebook: dict) -> list[str]:
    """The alternative texts of a notebook's animations, in order; empty where none is given."""
    return [
        cell.get("metadata", {}).get("mystnb", {}).get("image", {}).get("alt", "")
        for cell in sources.code_cells(notebook)
        for output in cell["outputs"]
        if "_anim_img" in "".join(output.get("data", {}).get("text/html", ""))
    ]


def mend(html: str, alts: list[str]) -> str:
    """The page's body with unique ids and with labels on its animations."""
    html = REPEATED.sub("", html)
    html = html.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    given = iter(alts)
    html = FRAME.sub(lambda m: f'{m[0]} alt="{escape(next(given, ""), quote=True)}"', html)
    html = SLIDER.sub(lambda m: f'{m[0]} aria-label="Frame"', html)
    return BUTTON.sub(lambda m: f'{m[0]} aria-label="{m[1]}"', html)


def page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if "body" in context:
        path = app.env.doc2path(pagename) if pagename in app.env.found_docs else ""
        alts = animation_alts(sources.read(path)) if path.endswith(".ipynb") else []
        context["body"] = mend(context["body"], alts)


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", page, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
