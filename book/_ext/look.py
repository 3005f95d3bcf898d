"""The book's own style sheet, on every page and after the theme's, and its few lines of script."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict:
    app.add_css_file("book.css", priority=900)
    app.add_js_file("folds.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
