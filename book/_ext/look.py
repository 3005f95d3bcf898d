"""The book's own style sheet, on every page and after the theme's."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict:
    app.add_css_file("book.css", priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
