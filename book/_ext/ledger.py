"""The rules of the claims ledger, free of Sphinx so that tests can break each one.

A claim lives in three places: its row in `book/claims.toml`, the code cell that
asserts it (tag `claim:<id>`), and the prose that makes it (role `claim`). A book in
which one of the three is missing either claims what nothing checks or checks what
nobody claims; `problems` lists every such gap.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from .sources import code_cells, text

PROVED = ("theorem", "lemma", "proposition", "corollary")
KINDS = (*PROVED, "figure", "number", "observation", "control")
STATUSES = ("proved", "checked", "reproduced", "contradicted", "open")
REQUIRED = ("statement", "kind", "status", "tolerance", "seeds")
OPTIONAL = ("labels", "control", "source")

BOX = re.compile(
    r"^:{3,}\{prf:(?:theorem|lemma|proposition|corollary)\}[^\n]*\n(.*?)(?=^:{3,}|\Z)", re.M | re.S
)
LABEL = re.compile(r"^:?label:[ \t]*(\S+)", re.M)
ROLE = re.compile(r"\{claim\}`([^`]+)`")


def load(path: Path) -> dict[str, dict]:
    """The ledger's rows by id; an absent file is an empty ledger."""
    return tomllib.loads(path.read_text("utf8")) if path.is_file() else {}


def claims_of(cell: dict) -> list[str]:
    """The ids that a cell's `claim:` tags name."""
    tags = cell.get("metadata", {}).get("tags", [])
    return [tag.removeprefix("claim:") for tag in tags if tag.startswith("claim:")]


def asserts(source: str) -> bool:
    """True if the code holds an `assert` that can fail: of neither a constant nor a tuple."""
    code = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M)
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return False
    return any(
        isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant | ast.Tuple)
        for node in ast.walk(tree)
    )


def labels_of(notebook: dict) -> Iterator[str]:
    """Everything in a notebook that the ledger has to cover: theorem boxes and named figures.

    A theorem box without a label comes out as its own first words: it cannot be covered.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for box in BOX.finditer(text(cell)):
                label = LABEL.search(box[1])
                yield label[1] if label else f"unlabelled box: {box[0][:50]!r}"
        name = cell.get("metadata", {}).get("mystnb", {}).get("figure", {}).get("name")
        if name:
            yield name


def problems(
    claims: dict[str, dict], notebooks: dict[str, dict], pages: dict[str, str]
) -> list[str]:
    """One sentence for each gap between the rows, the cells and the prose."""
    found = []
    for claim, row in claims.items():
        at = f"claims.toml, {claim}:"
        found += [f"{at} the field {f!r} is missing." for f in REQUIRED if not row.get(f)]
        found += [f"{at} unknown field {f!r}." for f in row if f not in REQUIRED + OPTIONAL]
        if row.get("kind", KINDS[0]) not in KINDS:
            found.append(f"{at} kind {row['kind']!r} is not one of {', '.join(KINDS)}.")
        if row.get("status", STATUSES[0]) not in STATUSES:
            found.append(f"{at} status {row['status']!r} is not one of {', '.join(STATUSES)}.")
        if row.get("kind") in PROVED and "control" not in row:
            found.append(f"{at} a {row['kind']} needs a control, which drops a hypothesis.")
        if "control" in row and row["control"] not in claims:
            found.append(f"{at} its control {row['control']!r} is no claim of the ledger.")

    asserted, covered = set(), set(claims)
    for row in claims.values():
        covered.update(row.get("labels", []))
    for name, notebook in notebooks.items():
        for number, cell in enumerate(code_cells(notebook), start=1):
            for claim in claims_of(cell):
                asserted.add(claim)
                at = f"{name}, code cell {number}: the tag claim:{claim}"
                if claim not in claims:
                    found.append(f"{at} names no row of claims.toml.")
                if not asserts(text(cell)):
                    found.append(f"{at} stands on a cell without an assert that can fail.")
        for label in labels_of(notebook):
            if label not in covered:
                found.append(
                    f"{name}: no claim covers {label}, neither by its id nor in its labels."
                )

    mentioned = {claim for page in pages.values() for claim in ROLE.findall(page)}
    for claim, row in claims.items():
        if claim not in asserted and row.get("status") != "open":
            found.append(f"claims.toml, {claim}: no cell asserts it, and it is not marked open.")
        if claim not in mentioned:
            found.append(f"claims.toml, {claim}: no page mentions it with the role {{claim}}.")
    return found
