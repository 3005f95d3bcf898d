"""Dollar math in the library's docstrings, for the API page.

The docstrings write `$…$` and `$$…$$`, as the chapters do and as editors show them;
autodoc reads them as reStructuredText, which has a role and a directive instead.
Doctests and literals keep their dollars.
"""

import re

from sphinx.application import Sphinx

INLINE = re.compile(r"(``?[^`]*``?)|(?<![\\$\w])\$(?!\$|\s)([^$\n]+?)(?<!\s)\$(?!\w)|(\|)")


def inline(line: str) -> str:
    """The line with its math in roles; a bar outside of them, as in |x|, is a plain bar."""
    return INLINE.sub(lambda m: m[1] or (r"\|" if m[3] else f":math:`{m[2]}`"), line)


def convert(lines: list[str]) -> list[str]:
    """The docstring's lines with `$…$` as the role and `$$…$$` as the directive `math`."""
    out: list[str] = []
    block: list[str] | None = None
    doctest = False
    for line in lines:
        text, pad = line.strip(), line[: len(line) - len(line.lstrip())]
        if block is None and not text.startswith("$$"):
            doctest = bool(text) and (doctest or text.startswith(">>>"))  # to its blank line
            out.append(line if doctest else inline(line))
            continue
        opens, block = block is None, block or []
        body = text.removeprefix("$$") if opens else text
        closes = body.endswith("$$")
        block.append(body.removesuffix("$$"))
        if closes:
            out += ["", f"{pad}.. math::", "", *(f"{pad}   {b}" for b in block if b.strip()), ""]
            block = None
    return out


def process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = convert(lines)
    if what in ("attribute", "data", "property") and lines:
        # Napoleon would read "Whether it holds: ..." as a type and a text; the type is empty.
        lines[0] = f": {lines[0]}"


def setup(app: Sphinx) -> dict:
    # Before napoleon (500), so that it indents the directive with the section it stands in.
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True}
