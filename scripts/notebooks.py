"""Builds notebooks for Colab and for any Jupyter from the chapters: `make notebooks`.

A chapter is written for the rendered page: elsewhere its boxes, references and folded parts would
show as markup. Here they become plain Markdown, and the code stays as it is. No outputs are stored:
the page shows them, and a reader's own run makes them.
"""

import argparse
import re
import shutil
from pathlib import Path

import nbformat
from book_index import Book, Page, sources
from book_status import ROOT
from nbformat import NotebookNode
from plain_markdown import NotKnown, convert, inline

OUT = ROOT / "_build" / "notebooks"
DATA = {"cifar10": "CIFAR-10, 170 MB", "mnist": "MNIST, 11 MB"}  # what a download takes
ON_THE_CPU = """\
import os

os.environ["JAX_PLATFORMS"] = "cpu"  # double precision: slow on a GPU, and a TPU has none
"""
ON_REQUEST = """\
download_photographs = False  # @param {type: "boolean"}
if not download_photographs:
    os.environ.setdefault("NARROWLIB_DATA", "not downloaded")
elif os.environ.get("NARROWLIB_DATA") == "not downloaded":
    del os.environ["NARROWLIB_DATA"]
"""


def target(name: str) -> str:
    """Where a chapter's notebook lies below the folder of all: `part/chapter.ipynb`."""
    return f"{name.removeprefix('book/')}.ipynb"


def colab(book: Book, name: str) -> str:
    """The address that opens a chapter's notebook on Colab."""
    owner = book.repository.removeprefix("https://github.com/")
    host = book.config["launch_buttons"]["colab_url"].rstrip("/")
    return f"{host}/github/{owner}/blob/{sources.BRANCH}/{target(name)}"


def needed(notebook: NotebookNode) -> list[str]:
    """The data sets that some cell would download, with their sizes."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return [size for name, size in DATA.items() if re.search(rf"\bnl\.{name}\b", code)]


def about(book: Book, name: str, data: list[str]) -> str:
    """The first cell: what this is, where to read it, and what to run it on."""
    number, _, title = book.titles[name].partition(" ")
    if number == "Workshop":
        number, _, title = title.partition(" ")
        what = f"workshop {number.rstrip(':')}, *{title}*, of"
    elif re.fullmatch(r"\d+\.\d+", number):
        what = f"chapter {number}, *{title}*, of"
    else:
        what = f"the page *{book.titles[name]}* of"
    lines = [
        f"This notebook is {what} [{book.title}]({book.home}/).",
        f"[Read it rendered]({book.address(name)}), with its outputs and figures; links lead there."
        " Here, run the cells from the top.",
        "On Colab take the CPU runtime, which is the usual one: the problems are small, and they"
        " are solved in double precision.",
    ]
    if data:
        lines.append(
            f"Some cells want photographs ({'; '.join(data)}) and say so where they are missing:"
            " they are downloaded only if you tick the box in the set-up cell."
        )
    return "\n".join(lines)


def set_up(source: str, data: list[str]) -> str:
    """The set-up cell, which also chooses the processor and asks before a download."""
    return f"{ON_THE_CPU}{ON_REQUEST if data else ''}\n{source}"


def heading(cell: NotebookNode, first: bool) -> str:
    """The word that stands for a cell whose code is folded; none for the others."""
    tags = set(cell.metadata.get("tags", []))
    if first:
        return "Set-up"
    if "hide-cell" in tags:
        return "Check"
    if not sources.FOLDED & tags:
        return ""
    return "Figure" if cell.metadata.get("mystnb", {}).get("figure") else "Code"


def code_cells(cell: NotebookNode, page: Page, data: list[str], first: bool) -> list[NotebookNode]:
    """A cell of code, folded under its word, and its caption."""
    source, metadata = set_up(cell.source, data) if first else cell.source, {}
    if word := heading(cell, first):
        metadata = {"cellView": "form", "jupyter": {"source_hidden": True}}
        if not source.startswith("%%"):  # such a line has to be the first
            source = f"# @title {word}\n{source}"
    made = [nbformat.v4.new_code_cell(source, id=cell.id, metadata=metadata)]
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if figure.get("caption"):
        name = page.figure(figure.get("name", ""))
        text = f"**{name}.** {inline(figure['caption'], page)}"
        made.append(nbformat.v4.new_markdown_cell(text, id=f"{cell.id[:56]}-caption"))
    return made


def build(book: Book, name: str) -> NotebookNode:
    """The notebook of one chapter."""
    chapter = nbformat.read(book.documents[name], as_version=4)
    page, data = Page(book, name), needed(chapter)
    cells = [nbformat.v4.new_markdown_cell(about(book, name, data), id="about-this-notebook")]
    first = next(cell.id for cell in chapter.cells if cell.cell_type == "code")
    for cell in chapter.cells:
        try:
            if cell.cell_type == "markdown":
                text = convert(cell.source, page)
                cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
            elif cell.cell_type == "code":
                cells += code_cells(cell, page, data, cell.id == first)
            else:
                raise NotKnown(f"it is of the type {cell.cell_type!r}.")
        except NotKnown as error:
            raise NotKnown(f"{name}, cell {cell.id!r}: {error}") from None
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "colab": {"provenance": [], "toc_visible": True},
        }
    )
    nbformat.validate(notebook)
    return notebook


def readme(book: Book) -> str:
    """The page that a visitor of the branch sees."""
    lines = [
        f"# Notebooks of [{book.title}]({book.home}/)",
        "",
        f"Built from the chapters of [the project]({book.repository}) by `make notebooks`:"
        " changes belong there.",
        "Code: Apache-2.0. Prose and figures: CC BY 4.0.",
        "",
        *(f"- [{book.titles[name]}]({colab(book, name)})" for name in book.notebooks),
    ]
    return "\n".join(lines) + "\n"


def write(out: Path, book: Book | None = None) -> list[Path]:
    """Writes all notebooks into a folder that then holds nothing else."""
    book = book or Book()
    made = {target(name): build(book, name) for name in book.notebooks}
    shutil.rmtree(out, ignore_errors=True)
    for name, notebook in made.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(nbformat.writes(notebook).rstrip("\n") + "\n", "utf8")
    (out / "README.md").write_text(readme(book), "utf8")
    return [out / name for name in made]


def main() -> None:
    """Writes the notebooks and says where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder, which is emptied first")
    out = parser.parse_args().out.resolve()
    print(f"{len(write(out))} notebooks in {out}")


if __name__ == "__main__":
    main()
