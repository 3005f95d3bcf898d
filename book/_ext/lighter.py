"""Take from the built pages what they load and never show.

The theme brings the 2,000 icons of Font Awesome twice: as a font with a rule for each, which draws
them, and as a script of 1.5 MB on every page, for icons that a site adds. The script goes, and of
the rules those whose icon stands on no page. MathJax, 1.2 MB, and the style of cells go where there
is no formula and no cell.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

SCRIPT = re.compile(r"\s*(<!--[^>]*-->\s*)?<script\b[^>]*/fontawesome\.js[^>]*>\s*</script>")
RULE = re.compile(r'((?:\.fa-[\w-]+::?before,?)+)\{content:"[^"]*"\}')
ICON = re.compile(r"\bfa-[\w-]+")
NEEDS = {  # a part of an asset's name, and the signs of a page that needs it
    "mathjax/": ('class="math', "cell_output"),
    "mystnb": ('class="cell', "cell_"),
}


def used(texts: list[str]) -> set[str]:
    """The icons that are named anywhere."""
    return set().union(*(ICON.findall(text) for text in texts))


def without_rules(css: str, icons: set[str]) -> str:
    """The style sheet without the rules of icons that are not among these."""
    return RULE.sub(lambda rule: rule[0] if icons & set(ICON.findall(rule[1])) else "", css)


def page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    body = context.get("body", "")
    idle = [part for part, signs in NEEDS.items() if not any(sign in body for sign in signs)]
    for key in ("css_files", "script_files"):
        names = [(asset, str(getattr(asset, "filename", asset))) for asset in context.get(key, [])]
        context[key] = [asset for asset, name in names if not any(part in name for part in idle)]


def lighten(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = {path: path.read_text("utf-8") for path in out.rglob("*.html")}
    for path, page in pages.items():
        if "/fontawesome.js" in page:
            pages[path] = SCRIPT.sub("", page)
            path.write_text(pages[path], "utf-8")
    script = out / "_static/scripts/fontawesome.js"
    script.unlink(missing_ok=True)
    scripts = [path.read_text("utf-8") for path in (out / "_static").rglob("*.js")]
    sheet = out / "_static/styles/pydata-sphinx-theme.css"
    if sheet.is_file():
        icons = used([*pages.values(), *scripts])
        sheet.write_text(without_rules(sheet.read_text("utf-8"), icons), "utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", page, priority=950)
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
