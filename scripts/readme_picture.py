"""Writes the README's picture: the first chapter's figure of losses, as its notebook stores it."""

import base64
from pathlib import Path

import nbformat
from book_status import ROOT, write_whole

CHAPTER = ROOT / "book/0_first_look/01_a_handful_of_neurons.ipynb"
FIGURE = "fig-losses"
PICTURE = ROOT / "book/images/first_look.png"


def stored(chapter: Path = CHAPTER) -> bytes:
    """The figure's PNG among the notebook's outputs."""
    for cell in nbformat.read(chapter, as_version=4).cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == FIGURE:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output.data["image/png"])
    raise SystemExit(f"{chapter}: no stored figure {FIGURE}. Run 'make execute'.")


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    with write_whole(PICTURE) as stream:
        stream.write(stored())
