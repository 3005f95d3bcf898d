"""Runs the book's notebooks in place and stores their outputs, times and versions.

`python scripts/execute.py` runs all of them; `python scripts/execute.py PATH ...` those named.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

import book_status
import nbformat
from book_status import ROOT
from nbclient import NotebookClient

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_SECONDS = 300
# what a browser would fetch by itself from another host; an address to click on may stay
FETCHED = re.compile(
    r"""<(?!a\b)[a-z]+\b[^>]*\b(?:src|href|data|action|poster)\s*=\s*["']?\s*(?:https?:)?//"""
    r"""|@import\s+["']?(?:https?:)?//|\burl\(\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def find_notebooks() -> list[Path]:
    """Every notebook of the book, in reading order."""
    found = (ROOT / "book").rglob("*.ipynb")
    return sorted(p for p in found if ".ipynb_checkpoints" not in p.parts)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leaves what says something about the page, not about the run."""
    notebook.metadata.kernelspec = dict(KERNEL)
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for name in ("execution", "collapsed", "scrolled", "ExecuteTime", "vscode"):
            cell.metadata.pop(name, None)


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """What must not be stored: warnings, paths and addresses of this machine, other hosts."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                found.append(f"cell {number} writes to stderr: {output.text.strip()[:300]}")
            shown = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            if str(ROOT) in shown or str(Path.home()) in shown:
                found.append(f"cell {number} shows a path of this machine")
            if re.search(r" at 0x[0-9a-f]{6,}", shown):
                found.append(f"cell {number} shows an address in memory: give its value a name")
            pages = "".join(map(str, output.get("data", {}).values()))
            if asked := FETCHED.search(pages):
                found.append(f"cell {number} asks another host: {asked[0][-200:]}")
    return found


def forget(path: Path) -> None:
    """Takes out of the status what new outputs make untrue, before they are stored.

    Whenever a run is stopped, no entry speaks of other outputs than those that are there.
    """
    setting, status = book_status.setting(), book_status.read()
    if {k: status[k] for k in setting} != setting:
        status["notebooks"] = {}
    status["notebooks"].pop(path.relative_to(ROOT).as_posix(), None)
    book_status.write(status | setting)


def execute(path: Path) -> dict:
    """Runs one notebook in its own folder and returns its entry for the status file."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
    )
    start = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - start
    clean(notebook)
    if found := complaints(notebook):
        raise SystemExit(f"{path}: not stored.\n  " + "\n  ".join(found))
    nbformat.validate(notebook)
    forget(path)
    book_status.write_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")
    return {
        "seconds": round(seconds, 1),
        "executed": book_status.provenance.today(),
        "cells": sum(cell.cell_type == "code" for cell in notebook.cells),
        "source_sha256": book_status.source_sha256(notebook),
    }


def main() -> None:
    """Executes, then records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every notebook of book/")
    named = [path.resolve() for path in parser.parse_args().notebooks]
    everything = find_notebooks()
    if unknown := [path for path in named if path not in everything]:
        sys.exit(f"No notebook of the book: {', '.join(map(str, unknown))}")

    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["NARROWLIB_STRICT"] = "1"  # outputs with a claim that failed are not stored
    # as in the tests; with two threads XLA's pool has once stood still, on decompositions in vmap
    os.environ.setdefault("NPROC", "1")
    setting = book_status.setting()
    old = book_status.read()
    others = {str(p.relative_to(ROOT)) for p in everything if p not in named}
    if named and others & set(old["notebooks"]) and {k: old[k] for k in setting} != setting:
        sys.exit(
            "The other notebooks were run with other versions or on another machine than these:\n"
            f"  then { ({k: old[k] for k in setting}) }\n  now  {setting}\n"
            "Run 'make execute' without NB, so that one line holds for all."
        )

    for path in named or everything:
        name = path.relative_to(ROOT).as_posix()
        print(f"{name} ... ", end="", flush=True)
        entry = execute(path)
        print(f"{entry['seconds']} s")
        status = book_status.read() | setting
        status["notebooks"][name] = entry
        book_status.write(status)

    status = book_status.read() | setting
    names = {path.relative_to(ROOT).as_posix() for path in everything}
    status["notebooks"] = {k: v for k, v in status["notebooks"].items() if k in names}
    book_status.write(status)


if __name__ == "__main__":
    main()
