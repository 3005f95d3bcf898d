"""The live figure's scripts and style, on the pages that show one and on no other.

A page asks for it by a block with the class `live-figure`; what stands in the block is for readers
without JavaScript. `static/narrow.js` computes, `static/live_parts.js` draws, `static/live.js`
listens.
"""

from sphinx.application import Sphinx

SCRIPTS = ("narrow.js", "live_parts.js", "live.js")


def page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if "live-figure" in context.get("body", ""):
        for k, name in enumerate(SCRIPTS):
            app.add_js_file(name, priority=910 + k)
        app.add_css_file("live.css", priority=910)


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
