"""Writing files: whole or not at all.

Nothing but Python's own modules: the project's scripts take this file without the library.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

PART = re.compile(r"\.(.*)\.[0-9a-f]{16}\.part", re.S)
OLD = 24 * 3600.0  # seconds after which an unfinished file counts as left over without locks


@contextlib.contextmanager
def write_whole(path: Path, name: str = "path") -> Iterator[BinaryIO]:
    """A stream to a file that gets its name only once everything is written, and safe on disk.

    Several threads and processes may write one path: the last to finish wins. A link is followed,
    and a file that is replaced keeps its permissions. What a killed process left unfinished, the
    next to write the same file removes; it knows a living writer by the lock on its file.
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of(target, path, name)
    _remove_left_over(target)
    try:
        stream, temporary = _begin(target, mode)
        with contextlib.ExitStack() as stack:
            stack.callback(_remove, temporary)
            stack.enter_context(stream)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if fcntl is None:  # Windows gives no name to an open file
                stream.close()
            os.replace(temporary, target)
    except OSError as error:
        if not of_the_disk(error):
            raise
        mend = f"It could not be written: {os.strerror(error.errno or 0).lower()}."
        if not os.path.isdir(target.parent):
            mend = "There is no such folder: make it first."
        told = type(error)(f"{name}: got {str(path)!r}. {mend}")
        told.errno = error.errno
        raise told from error


def of_the_disk(error: OSError) -> bool:
    """Whether files made the error: those of networks are OSErrors too, and of other kinds."""
    return error.errno is not None and not isinstance(error, ConnectionError | TimeoutError)


def _mode_of(target: Path, path: Path, name: str) -> int | None:
    """The permissions of the file that is there; None where there is none."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return None
    got = f"{name}: got {str(path)!r}."
    if stat.S_ISDIR(mode):
        raise ValueError(f"{got} That is a folder: name a file in it.")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{got} That is a device or a pipe: name a file.")
    if not os.access(target, os.W_OK):
        raise PermissionError(f"{got} That file, or its disk, is write-protected.")
    return stat.S_IMODE(mode)


def _begin(target: Path, mode: int | None) -> tuple[BinaryIO, Path]:
    """A new file beside the target, locked where the system can."""
    while True:
        # half a hundred letters have at most 200 bytes, and a name 255
        temporary = target.with_name(f".{target.name[:50]}.{secrets.token_hex(8)}.part")
        stream = open(temporary, "xb")  # noqa: SIM115
        with contextlib.suppress(OSError):  # some disks know no locks, and some no permissions
            if mode is not None:
                os.chmod(temporary, mode)
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX)
        if os.path.exists(temporary):
            return stream, temporary
        stream.close()  # another process took it for left over, before it was locked


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def _remove_left_over(target: Path) -> None:
    """Remove unfinished files for the same target whose writers are gone."""
    with contextlib.suppress(OSError):
        for file in target.parent.iterdir():
            found = PART.fullmatch(file.name)
            if found and found[1] == target.name[:50]:
                _remove_unused(file)


def _remove_unused(file: Path) -> None:
    with contextlib.suppress(OSError):
        if fcntl is None:
            if time.time() - os.stat(file).st_mtime > OLD:
                file.unlink()
        else:
            with open(file, "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()  # while locked: a writer may be about to lock what it has just made
