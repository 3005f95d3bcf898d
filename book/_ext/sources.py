"""What the book is made of: the table of contents, read as files.

Shared by the ledger, the status page, the scripts and the tests, and free of Sphinx, so that
all see the same chapters and none of them needs a build to look at them.
"""

import hashlib
import json
import re
from pathlib import Path

import yaml

SUFFIXES = (".ipynb", ".md")
FOLDED = {"hide-input", "hide-cell", "remove-cell", "remove-input"}  # tags of cells out of view
BRANCH = "notebooks"  # where the notebooks that are built from the chapters are published
NUMBERED = re.compile(r"(?P<workshop>Workshop )?(?P<part>\d+)\.(?P<chapter>\d+)[ :]")


def documents(root: Path) -> dict[str, Path]:
    """Docname to file for every page of `_toc.yml`, in reading order.

    A page whose file is missing is left out: Sphinx itself reports that one.
    """
    found: dict[str, Path] = {}

    def walk(node: object) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            name = node.get("root") or node.get("file")
            for suffix in SUFFIXES if name else ():
                path = root / f"{str(name).removesuffix(suffix)}{suffix}"
                if path.is_file():
                    found[str(path.relative_to(root).with_suffix(""))] = path
                    break
            for key in ("parts", "chapters", "sections"):
                walk(node.get(key, []))

    walk(yaml.safe_load((root / "_toc.yml").read_text("utf8")))
    return found


def prefix(title: str, kind: str) -> tuple[str, ...]:
    """What stands before the count of a page's things of one kind, from the page's title."""
    match = NUMBERED.match(title)
    if match is None or (match["workshop"] and kind == "exercise"):
        return ()
    return (f"W{match['part']}" if match["workshop"] else match["part"], match["chapter"])


def text(cell: dict) -> str:
    """A cell's source as one string; the format allows a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def read(path: Path | str) -> dict:
    return json.loads(Path(path).read_text("utf8"))


def notebooks(root: Path) -> dict[str, dict]:
    """Docname to notebook for every notebook of `_toc.yml`."""
    return {name: read(path) for name, path in documents(root).items() if path.suffix == ".ipynb"}


def prose(root: Path) -> dict[str, str]:
    """Docname to Markdown text for every page: whole files, or Markdown cells joined."""
    pages = {}
    for name, path in documents(root).items():
        if path.suffix == ".ipynb":
            cells = read(path)["cells"]
            pages[name] = "\n\n".join(text(c) for c in cells if c["cell_type"] == "markdown")
        else:
            pages[name] = path.read_text("utf8")
    return pages


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source_sha256(notebook: dict) -> str:
    """The hash of a notebook's code cells, joined by a NUL line.

    `make execute` stores it, so that outputs whose code has changed since can be told.
    """
    code = "\n\0".join(text(cell) for cell in code_cells(notebook))
    return hashlib.sha256(code.encode()).hexdigest()
