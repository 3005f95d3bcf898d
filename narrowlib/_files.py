"""Reading data files: no pickles, and an error in words for what is damaged or not there."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from narrowlib._checks import check_path, fail, shown
from narrowlib._writing import of_the_disk as of_the_disk
from narrowlib._writing import write_whole as write_whole

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
MEMORY = 2**30  # bytes that any machine has
NO_ARCHIVE = "That file is no NumPy archive (.npz), or a damaged one."


class Archive:
    """The arrays of a NumPy archive; one that cannot be read is an error in words.

    Args:
        archive: as NumPy opened it, with pickles refused.
        refuse: what to call for a damaged member.
    """

    def __init__(self, archive: np.lib.npyio.NpzFile, refuse: Callable[[], NoReturn]):
        assert archive.zip is not None  # true of one that is open
        self._zip, self._refuse = archive.zip, refuse
        self.files = list(archive.files)
        if len(set(self.files)) < len(self.files):  # which one is meant?
            refuse()

    @property
    def unpacked(self) -> int:
        """The bytes that the members would take, as the archive says."""
        return sum(member.file_size for member in self._zip.infolist())

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._read(name)
        except MemoryError:
            if self.unpacked < MEMORY:  # a damaged member asks for more than the file can hold
                self._refuse()
            raise
        except Exception:  # whatever NumPy, zipfile and zlib say of bytes that make no sense
            self._refuse()

    def _read(self, name: str) -> np.ndarray:
        """One array; before it is unpacked, its header must speak of as many bytes as there are.

        With fewer than there are, the checksum would not be looked at.
        """
        (member,) = {name, f"{name}.npy"} & set(self._zip.namelist())
        with self._zip.open(member) as stream:
            header = HEADERS[np.lib.format.read_magic(stream)]
            shape, _, dtype = header(stream)
            there = self._zip.getinfo(member).file_size - stream.tell()
            if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != there:
                self._refuse()
            stream.seek(0)
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read()
        return array


@contextlib.contextmanager
def open_archive(name: str, path: str | os.PathLike[str]) -> Iterator[Archive]:
    """A NumPy archive, never a pickle."""
    path = check_path(name, path)

    def refuse() -> NoReturn:
        fail(name, repr(str(path)), NO_ARCHIVE)

    with open_whole(name, path) as stream:
        try:
            archive = np.load(stream, allow_pickle=False)
        except MemoryError:
            raise
        except Exception:  # of a file of any kind
            refuse()
        if not isinstance(archive, np.lib.npyio.NpzFile):
            refuse()
        with archive:
            yield Archive(archive, refuse)


@contextlib.contextmanager
def open_whole(name: str, path: Path) -> Iterator[BinaryIO]:
    """A stream from a file that has to be there."""
    try:
        stream = open(path, "rb")  # noqa: SIM115
    except IsADirectoryError:
        fail(name, repr(str(path)), "That is a folder: pass a file.")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        mend = "There is no such file." if missing else f"It cannot be read: {error.strerror}."
        raise type(error)(f"{name}: got {str(path)!r}. {mend}") from None
    with stream:
        yield stream


def find_named(name: Any, folders: Sequence[Path], suffix: str, what: str) -> Path:
    """The file of this name in the first folder that has one; the error says which there are."""
    there: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.glob(f"*{suffix}")):
            there.setdefault(file.stem, file)
    if isinstance(name, str) and name in there:  # a name of the list, so no path
        return there[name]
    fail("name", shown(name), f"There are {what} {', '.join(sorted(there)) or 'nothing'}.")
