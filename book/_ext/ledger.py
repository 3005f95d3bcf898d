"""The rules of the claims ledger, free of Sphinx so that tests can break each one.

A claim lives in three places: its row in `book/claims.toml`, the code cell that checks
it (`with nl.claim("<id>"): assert …`), and the prose that makes it (role `claim`). A book in
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


def parsed(cell: dict) -> ast.Module:
    """The code of a cell without its magic lines; nothing where it is no Python."""
    code = re.sub(r"^(\s*)[%!].*$", r"\1pass", text(cell), flags=re.M)
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.Module([], [])


def named(call: ast.expr) -> list[str]:
    """The ids in `nl.claim("an-id", …)`; none if the expression is something else."""
    if isinstance(call, ast.Call) and ast.unparse(call.func) == "nl.claim":
        return [str(a.value) if isinstance(a, ast.Constant) else "" for a in call.args]
    return []


def blocks(tree: ast.AST) -> Iterator[tuple[list[str], ast.With]]:
    """The claims that code checks, each with its block."""
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            for item in node.items:
                if ids := named(item.context_expr):
                    yield ids, node


def claims_of(cell: dict) -> list[str]:
    """The ids that a cell checks, each once, in their order."""
    return list(dict.fromkeys(claim for ids, _ in blocks(parsed(cell)) for claim in ids))


def can_fail(block: ast.AST) -> bool:
    """True if the code holds an `assert` that can fail: of neither a constant nor a tuple."""
    return any(
        isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant | ast.Tuple)
        for node in ast.walk(block)
    )


def bare_asserts(cell: dict) -> int:
    """How many asserts stand outside every claim: they would stop a reader's notebook."""
    tree = parsed(cell)
    inside = {id(node) for _, block in blocks(tree) for node in ast.walk(block)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return sum(id(node) not in inside for node in found)


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


def sources_of(claims: dict[str, dict]) -> dict[str, str]:
    """What stands under the title of a theorem box, by its label; a row of its own comes first."""
    rows = {claim: row for claim, row in claims.items() if row.get("source")}
    found = {label: row["source"] for row in rows.values() for label in row.get("labels", [])}
    return found | {claim: row["source"] for claim, row in rows.items()}


def by_page(
    claims: dict[str, dict], notebooks: dict[str, dict], pages: dict[str, str]
) -> dict[str, list[str]]:
    """The claims of each page in reading order: where a cell checks them, else where they stand."""
    checked, read = {}, {}
    for name, notebook in notebooks.items():
        for cell in code_cells(notebook):
            for claim in claims_of(cell):
                checked.setdefault(claim, name)
    for name, text_of_page in pages.items():
        read[name] = list(dict.fromkeys(ROLE.findall(text_of_page)))
    found: dict[str, list[str]] = {name: [] for name in pages}
    for claim in claims:
        home = checked.get(claim) or next((n for n, ids in read.items() if claim in ids), "")
        found.setdefault(home, []).append(claim)
    for name, ids in found.items():
        order = {claim: k for k, claim in enumerate(read.get(name, []))}
        ids.sort(key=lambda claim: order.get(claim, len(order)))
    return {name: ids for name, ids in found.items() if ids}


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
        if row.get("kind") in PROVED and not row.get("source"):
            found.append(f"{at} a {row['kind']} needs a source: who claims it, whose the proof is.")
        if "control" in row and row["control"] not in claims:
            found.append(f"{at} its control {row['control']!r} is no claim of the ledger.")

    asserted, covered, sourced = set(), set(claims), sources_of(claims)
    for row in claims.values():
        covered.update(row.get("labels", []))
    for name, notebook in notebooks.items():
        for number, cell in enumerate(code_cells(notebook), start=1):
            at = f"{name}, code cell {number}:"
            for ids, block in blocks(parsed(cell)):
                asserted.update(ids)
                for claim in ids:
                    if claim not in claims:
                        found.append(f"{at} the claim {claim!r} is no row of claims.toml.")
                    if not can_fail(block):
                        found.append(f"{at} the claim {claim!r} has no assert that can fail.")
            if bare := bare_asserts(cell):
                found.append(f"{at} {bare} asserts outside of a claim would stop a reader.")
        for label in labels_of(notebook):
            if label not in covered:
                found.append(
                    f"{name}: no claim covers {label}, neither by its id nor in its labels."
                )
            elif not label.startswith("fig-") and label not in sourced:
                found.append(f"{name}: {label} gets no source: the rows that cover it have none.")

    mentioned = {claim for page in pages.values() for claim in ROLE.findall(page)}
    for claim, row in claims.items():
        if claim not in asserted and row.get("status") != "open":
            found.append(f"claims.toml, {claim}: no cell asserts it, and it is not marked open.")
        if claim not in mentioned:
            found.append(f"claims.toml, {claim}: no page mentions it with the role {{claim}}.")
    return found
