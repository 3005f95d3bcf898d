"""The status page: how long each chapter ran, when, and under which versions.

myst-nb's own table is empty when execution is off. `make execute` therefore writes
`book/status.json`, with a hash of each notebook's code; the directive
`notebook-status` shows it and warns where a chapter's code is newer than its outputs.
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from . import sources

logger = logging.getLogger(__name__)


def load(path: Path) -> dict:
    return json.loads(path.read_text("utf8")) if path.is_file() else {}


def problems(status: dict, notebooks: dict[str, dict]) -> list[str]:
    """One sentence for each notebook whose stored outputs are not those of its code."""
    entries, found = status.get("notebooks", {}), []
    for name, notebook in notebooks.items():
        entry = entries.get(f"{name}.ipynb")
        if entry is None:
            found.append(f"{name}.ipynb has no entry in book/status.json: run `make execute`.")
        elif entry.get("source_sha256") != sources.source_sha256(notebook):
            found.append(f"{name}.ipynb has changed since it was run: run `make execute`.")
    return found


def check(app: Sphinx) -> None:
    root = Path(app.srcdir)
    for problem in problems(load(root / "book/status.json"), sources.notebooks(root)):
        logger.warning(problem, type="status")


def table(head: list[str], rows: list[list[nodes.Node]]) -> nodes.table:
    def line(cells):
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", c)) for c in cells))

    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", line([nodes.Text(h) for h in head]))
    group += nodes.tbody("", *(line(row) for row in rows))
    return nodes.table("", group, classes=["status"])


class NotebookStatus(SphinxDirective):
    """Two tables: the chapters' runs, then the versions."""

    def chapter(self, name: str) -> nodes.Node:
        target = f"/{name.removesuffix('.ipynb')}"
        return pending_xref(
            "", nodes.inline("", name), refdomain="std", reftype="doc", reftarget=target,
            refexplicit=False, refwarn=True, refdoc=self.env.docname,
        )  # fmt: skip

    def run(self):
        path = Path(self.env.srcdir) / "book/status.json"
        self.env.note_dependency(str(path))
        status = load(path)
        built = {f"{name}.ipynb" for name in sources.notebooks(Path(self.env.srcdir))}
        runs = [
            [
                self.chapter(name),
                nodes.Text(f"{entry['seconds']:.0f} s"),
                nodes.Text(str(entry["cells"])),
                nodes.Text(entry["executed"]),
            ]
            for name, entry in status.get("notebooks", {}).items()
            if name in built
        ]
        if not runs:
            return [nodes.paragraph("", "No run is recorded yet.")]
        versions = [[nodes.Text(k), nodes.Text(v)] for k, v in status.get("versions", {}).items()]
        machine = nodes.paragraph("", f"Machine: {status.get('machine', 'not recorded')}.")
        return [
            table(["Chapter", "Time", "Code cells", "Run on"], runs),
            machine,
            table(["Package", "Version"], versions),
        ]


def setup(app: Sphinx) -> dict:
    app.add_directive("notebook-status", NotebookStatus)
    app.connect("builder-inited", check)
    return {"parallel_read_safe": True}
