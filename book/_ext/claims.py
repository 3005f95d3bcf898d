"""The claims ledger in Sphinx: the role `claim`, the directive `claims-ledger`, the warnings.

The role marks the sentence that makes a claim and links to the claim's row; the row
links back to the sentence and to the cell that asserts it. The rules themselves are
in `ledger.py`; here every gap they find becomes a warning, hence an error under -W.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode

from . import ledger, sources
from .filter import form

logger = logging.getLogger(__name__)
TITLE = re.compile(r"^# (.+?)[ \t]*$", re.M)
HEAD = ("Claim", "Status", "Tolerance", "Seeds", "Where")


def read(app: Sphinx) -> None:
    """Read the rows and every chapter before any page, so that each page can link to all."""
    root = Path(app.srcdir)
    notebooks = sources.notebooks(root)
    app.env.claims = ledger.load(root / "book/claims.toml")
    app.env.claim_cells = [
        (claim, name)
        for name, notebook in notebooks.items()
        for cell in sources.code_cells(notebook)
        for claim in ledger.claims_of(cell)
    ]
    pages = sources.prose(root)
    app.env.claim_prose = [(c, name) for name in pages for c in ledger.ROLE.findall(pages[name])]
    app.env.claim_pages = [
        (name, found[1] if (found := TITLE.search(pages.get(name, ""))) else name, ids)
        for name, ids in ledger.by_page(app.env.claims, notebooks, pages).items()
    ]
    for problem in ledger.problems(app.env.claims, notebooks, pages):
        logger.warning(problem, type="claims")


def link(target: str, docname: str, label: str, *, title: str = "") -> nodes.Node:
    """A link to an anchor of another page, resolved by `resolve` when all pages are read."""
    return pending_xref(
        "", nodes.inline("", label), refdomain="", reftype="claim-anchor", reftarget=target,
        refdoc=docname, tip=title,
    )  # fmt: skip


def resolve(app: Sphinx, env, node, inner):
    """Turn a `claim-anchor` into a link: `docname#anchor`, or `#anchor` in the ledger's page."""
    if node.get("reftype") != "claim-anchor":
        return None
    page, anchor = node["reftarget"].split("#")
    page = page or getattr(env, "ledger_page", "book/claims")
    return make_refnode(app.builder, node["refdoc"], page, anchor, inner, node["tip"] or None)


class ClaimRole(SphinxRole):
    """A badge with the claim's status; on its first use in a page also the anchor of the claim."""

    def run(self):
        row = self.env.claims.get(self.text)
        if row is None:
            logger.warning("no claim %r in claims.toml", self.text, location=self.get_location())
            return [nodes.literal("", self.text)], []
        status = row.get("status", "")
        badge = nodes.inline(classes=["claim", f"claim-{status}"])
        seen = self.env.temp_data.setdefault("claims_seen", set())
        if self.text not in seen:
            badge["ids"].append(f"claim-{self.text}")
        seen.add(self.text)
        tip = f"Claim {self.text} in the ledger"
        badge += link(f"#ledger-{self.text}", self.env.docname, status, title=tip)
        return [badge], []


class Ledger(SphinxDirective):
    """All claims: a table for each page, in reading order, and a form that filters the rows."""

    def run(self):
        env = self.env
        env.ledger_page = env.docname
        env.note_dependency(str(Path(env.srcdir) / "book/claims.toml"))
        if not env.claims:
            return [nodes.paragraph("", "No claim is recorded yet.")]
        return [form(env.claims), *(self.page(*page) for page in env.claim_pages)]

    def page(self, name: str, title: str, ids: list[str]) -> nodes.section:
        """The claims of one page under its title."""
        group = nodes.tgroup(cols=len(HEAD))
        group += [nodes.colspec(colwidth=width) for width in (44, 12, 16, 12, 16)]
        head = nodes.row("", *(nodes.entry("", nodes.paragraph("", word)) for word in HEAD))
        rows = [self.row(claim, self.env.claims[claim]) for claim in ids]
        group += [nodes.thead("", head), nodes.tbody("", *rows)]
        section = nodes.section("", ids=[nodes.make_id(f"claims-of-{name}")], names=[])
        section += nodes.title("", title)
        section += nodes.table("", group, classes=["ledger"])
        return section

    def parse(self, markup: str) -> list[nodes.Node]:
        holder = nodes.entry()
        self.state.nested_parse(StringList([markup], "claims.toml"), 0, holder)
        return holder.children

    def row(self, claim: str, row: dict) -> nodes.row:
        env, here = self.env, self.env.docname
        name = nodes.paragraph(
            "", "", nodes.literal("", claim), nodes.Text(f" ({row.get('kind')})")
        )
        what = nodes.entry("", name, *self.parse(row.get("statement", "")))
        if "source" in row:
            what += self.parse(f"Source: {row['source']}")
        status = row.get("status", "")
        badge = nodes.inline("", status, classes=["claim", f"claim-{status}"])
        links = [
            link(f"{page}#claim-{claim}", here, "claim")
            for page in dict.fromkeys(p for c, p in env.claim_prose if c == claim)
        ]
        links += [
            link(f"{page}#check-{claim}", here, "check")
            for page in dict.fromkeys(p for c, p in env.claim_cells if c == claim)
        ]
        if "control" in row:
            links.append(link(f"#ledger-{row['control']}", here, "control"))
        where = nodes.entry("", *(nodes.paragraph("", "", item) for item in links))
        cells = [what, nodes.entry("", nodes.paragraph("", "", badge))]
        cells += [nodes.entry("", *self.parse(row.get(f, ""))) for f in ("tolerance", "seeds")]
        classes = [f"kind-{row.get('kind')}", f"status-{status}"]
        return nodes.row("", *cells, where, ids=[f"ledger-{claim}"], classes=classes)


def mark_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Give the first cell that asserts a claim the anchor that the ledger points at.

    A check that is folded whole is folded under the word "Check"; `folds.js` opens it for a link.
    """
    seen = set()
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code":
            source = next(iter(cell.findall(nodes.literal_block))).astext()
            claims = ledger.claims_of({"source": source})
            if claims and cell.get("hide_mode") == "all":
                cell["classes"].append("check")
                cell["prompt_show"] = cell["prompt_hide"] = "Check"
            for claim in claims:
                if claim not in seen:
                    cell["ids"].append(f"check-{claim}")
                seen.add(claim)


def setup(app: Sphinx) -> dict:
    app.add_role("claim", ClaimRole())
    app.add_directive("claims-ledger", Ledger)
    app.connect("builder-inited", read)
    app.connect("doctree-read", mark_cells)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": False}
