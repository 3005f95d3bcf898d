"""Numbers that say where a thing stands: Exercise 1.2.3 is the third one of chapter 1.2.

Sphinx counts exercises, theorem boxes and figures through the whole book, so that a figure more in
the first chapter renumbers all others. Here each page counts its own, after the number in its
title; the exercises' numbers are those that `nl.check` knows. A page without a number counts
1, 2, 3, and so do a workshop page's exercises, while its boxes and figures take the letter W.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node

from .sources import prefix


def renumber(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Replace Sphinx's own counts, which it has just made, page by page."""
    for page, kinds in env.toc_fignumbers.items():
        for kind, ids in kinds.items():
            before = prefix(env.titles[page].astext(), kind)
            kinds[kind] = {name: (*before, k) for k, name in enumerate(ids, start=1)}
    return []


class Titles(SphinxPostTransform):
    """`Exercise 1.2.3: Title` and `Solution to Exercise 1.2.3`, after sphinx-exercise's titles."""

    default_priority = 23

    def run(self, **kwargs) -> None:
        for box in list(self.document.findall(exercise_enumerable_node)):
            numbers = self.env.toc_fignumbers[box["docname"]]["exercise"][box["ids"][0]]
            label = f"Exercise {'.'.join(map(str, numbers))}"
            name = box[0].children[1:-1]  # without sphinx-exercise's brackets
            box[0].children = [nodes.inline("", label, classes=["caption-number"])]
            box[0] += [nodes.Text(": "), *name] if name else []
            # Its number is written: a box that Sphinx counts would get it again, and no colon.
            box.replace_self(exercise_node("", *box.children, **box.attributes))
        for solution in self.document.findall(solution_node):
            for link in solution[0].findall(nodes.reference):
                link.children = [nodes.Text(f" {link.astext().split(' (')[0].strip()}")]


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx_exercise")
    app.connect("env-get-updated", renumber, priority=900)
    app.add_post_transform(Titles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
