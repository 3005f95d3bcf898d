"""The form that filters the claims: `ledger.js` shows it and hides the rows that it leaves out.

Without a script the form stays hidden and the tables stay whole.
"""

from docutils import nodes
from sphinx.application import Sphinx


def choice(name: str, label: str, words: list[str]) -> str:
    """A labelled drop-down; its first entry is "all"."""
    options = "".join(f"<option>{word}</option>" for word in ("all", *words))
    return f'<label>{label} <select name="{name}">{options}</select></label>'


def form(claims: dict[str, dict]) -> nodes.raw:
    """The form, with the statuses and the kinds that occur."""
    statuses = list(dict.fromkeys(str(row.get("status")) for row in claims.values()))
    kinds = list(dict.fromkeys(str(row.get("kind")) for row in claims.values()))
    html = (
        '<form class="ledger-filter" role="search" aria-label="Claims" hidden>'
        f"{choice('status', 'Status', statuses)}{choice('kind', 'Kind', kinds)}"
        '<label>Words <input type="search" name="words" autocomplete="off"></label>'
        '<output aria-live="polite"></output></form>'
    )
    return nodes.raw("", html, format="html")


def script(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """The script, on the page of the claims alone."""
    if pagename == getattr(app.env, "ledger_page", None):
        app.add_js_file("ledger.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
