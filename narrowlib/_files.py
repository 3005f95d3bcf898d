"""Reading and writing data files: no pickles, no half-written files."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from narrowlib._checks import fail


@contextlib.contextmanager
def open_archive(name: str, path: str | os.PathLike[str]) -> Iterator[np.lib.npyio.NpzFile]:
    """A NumPy archive, never a pickle."""
    with open(path, "rb") as stream:
        try:
            archive = np.load(stream, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile):
            archive = None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            fail(name, repr(str(path)), "That file is no NumPy archive (.npz), or a damaged one.")
        with archive:
            yield archive


def find_named(name: str, folders: Sequence[Path], suffix: str, what: str) -> Path:
    """The file of this name in the first folder that has one; the error says which there are."""
    for folder in folders:
        file = folder / f"{name}{suffix}"
        if file.is_file():
            return file
    there = sorted({file.stem for folder in folders for file in folder.glob(f"*{suffix}")})
    fail("name", repr(name), f"There are {what} {', '.join(there) or 'nothing'}.")


@contextlib.contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """A stream to a file that gets its name only once everything is written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as stream:
            yield stream
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
