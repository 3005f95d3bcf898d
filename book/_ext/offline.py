"""Take every remote asset out of the pages, so that the book reads without a network.

MathJax and the widgets are settled in `_config.yml`. Left are the style sheets and
scripts that themes and extensions add by address, and the icon font that Matplotlib's
`to_jshtml` asks a CDN for in each animation; the theme's own icons serve as well.
Thebe, which would run cells on a remote server, goes too: its script is on every page,
twice, and the second copy is an error.
"""

import re

from sphinx.application import Sphinx

REMOTE = re.compile(r"^(https?:)?//")
TAG = re.compile(
    r"""<link\b[^>]*\bhref\s*=\s*["'](?:https?:)?//[^>]*\bstylesheet[^>]*>"""
    r"""|<link\b[^>]*\bstylesheet[^>]*\bhref\s*=\s*["'](?:https?:)?//[^>]*>"""
    r"""|<script\b[^>]*\bsrc\s*=\s*["'](?:https?:)?//[^>]*>\s*</script>""",
    re.S,
)


def unwanted(asset: object) -> bool:
    """True for a style sheet or script of another host, and for all of Thebe's."""
    name = str(getattr(asset, "filename", asset) or "")
    body = str(getattr(asset, "attributes", {}).get("body", ""))
    return bool(REMOTE.match(name)) or "thebe" in f"{name}{body}".lower()


def without_remote_tags(html: str) -> str:
    """The HTML without style sheets and scripts of other hosts; links for people stay."""
    return TAG.sub("", html)


def clean(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    for key in ("css_files", "script_files"):
        context[key] = [asset for asset in context.get(key, []) if not unwanted(asset)]
    for key in ("body", "metatags"):
        if context.get(key):
            context[key] = without_remote_tags(context[key])


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", clean, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
