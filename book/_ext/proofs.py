"""Proofs as readers expect them: numbered steps stay a list, and a folded proof has a title.

sphinx-proof writes "Proof. " before the first line of a proof. Where that line begins a list, the
list is lost and all steps run together in one paragraph: here such a proof begins with a line of
its own. A proof folded with `:class: dropdown` has no title to click on; it gets one.

A theorem box says under its title where it is from, as its row in the ledger does.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_proof.directive import ElementDirective, ProofDirective

from . import ledger

LIST_ITEM = re.compile(r"\s*(\d+\.|[-*])\s")


class Proof(ProofDirective):
    """The directive `prf:proof`, for proofs that begin with a list too."""

    def run(self) -> list[nodes.Node]:
        if LIST_ITEM.match(self.content[0]):
            for _ in range(2):
                self.content.insert(0, "", source=self.content.source(0), offset=0)
        return super().run()


class Statement(ElementDirective):
    """A theorem, lemma, proposition or corollary, with its source under the title."""

    def run(self) -> list[nodes.Node]:
        boxes = super().run()
        source = ledger.sources_of(self.env.claims).get(self.options.get("label", ""))
        if source:
            words, messages = self.state.inline_text(f"Source: {source}.", self.lineno)
            boxes[0].insert(1, nodes.paragraph("", "", *words, classes=["source"]))
            boxes += messages
        return boxes


def title_proofs(app: Sphinx, doctree: nodes.document) -> None:
    """Make the "Proof." of a folded proof its title: the toggle script stops where none is."""
    for proof in list(doctree.findall(nodes.admonition)):
        if {"proof", "dropdown"} <= set(proof["classes"]):
            first = next(iter(proof.findall(nodes.Text)))
            rest = first.removeprefix("Proof.").lstrip()
            if rest:
                first.parent.replace(first, nodes.Text(rest))
            else:
                first.parent.parent.remove(first.parent)
            proof.insert(0, nodes.title("", "Proof"))


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx_proof")
    app.add_directive_to_domain("prf", "proof", Proof, override=True)
    for kind in ledger.PROVED:
        app.add_directive_to_domain("prf", kind, Statement, override=True)
    app.connect("doctree-read", title_proofs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
