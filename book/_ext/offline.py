"""Take every remote asset out of the pages, so that the book reads without a network.

MathJax comes from a locked package, which holds the files of MathJax 3.2.2; what the pages ask for
is copied, a tenth of it. The widgets are settled in `_config.yml`. Left are the style sheets and
scripts that themes and extensions add by address.
Thebe, which would run cells on a remote server, goes too: its script is on every page,
twice, and the second copy is an error.
"""

import importlib.util
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
REMOTE = re.compile(r"^(https?:)?//")
TAG = re.compile(
    r"""<link\b[^>]*\bhref\s*=\s*["'](?:https?:)?//[^>]*\bstylesheet[^>]*>"""
    r"""|<link\b[^>]*\bstylesheet[^>]*\bhref\s*=\s*["'](?:https?:)?//[^>]*>"""
    r"""|<script\b[^>]*\bsrc\s*=\s*["'](?:https?:)?//[^>]*>\s*</script>""",
    re.S,
)


MATHJAX = "sphinx-mathjax-offline"  # a package's name with hyphens: found, not imported
COPIED = ("tex-chtml.js", "input/tex/extensions/*.js", "output/chtml/fonts/woff-v2/*.woff")


def copy_mathjax(app: Sphinx, failed: Exception | None) -> None:
    """Copy MathJax beside the pages, with its licence, which is this project's too."""
    found = importlib.util.find_spec(MATHJAX)
    if failed or app.builder.format != "html":
        return
    if found is None or not found.submodule_search_locations:
        logger.warning("no formula will be shown: the package %s is not installed", MATHJAX)
        return
    source = Path(found.submodule_search_locations[0]) / "static/mathjax"
    target = Path(app.outdir) / "_static/mathjax"
    for path in (path for pattern in COPIED for path in source.glob(pattern)):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    shutil.copyfile(Path(app.srcdir) / "LICENSE", target / "LICENSE")


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
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
