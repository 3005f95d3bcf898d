"""Writing files: whole or not at all.

Nothing but Python's own modules: the project's scripts take this file without the library.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def write_whole(path: Path, name: str = "path") -> Iterator[BinaryIO]:
    """A stream to a file that gets its name only once everything is written, and safe on disk.

    Several threads and processes may write one path: the last to finish wins. A link is followed.
    What a killed process left unfinished, the next to write the same file removes.
    """
    target = Path(os.path.realpath(path))
    if os.path.isdir(target):
        raise ValueError(f"{name}: got {str(path)!r}. That is a folder: name a file in it.")
    _remove_left_over(target)
    own = f"{_prefix(target)}{os.getpid()}.{secrets.token_hex(8)}.part"
    temporary = target.with_name(own)
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        mend = f"It could not be written: {(error.strerror or str(error)).lower()}."
        if not os.path.isdir(target.parent):
            mend = "There is no such folder: make it first."
        raise type(error)(f"{name}: got {str(path)!r}. {mend}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _prefix(target: Path) -> str:
    return f".{target.name[:100]}.{re.sub(r'[^A-Za-z0-9-]', '-', platform.node()[:50])}."


def _remove_left_over(target: Path) -> None:
    """Remove unfinished files for the same target whose process, on this machine, is gone."""
    prefix = _prefix(target)
    with contextlib.suppress(OSError):
        for file in target.parent.iterdir():
            found = re.fullmatch(r"(\d{1,9})\.[0-9a-f]{16}\.part", file.name.removeprefix(prefix))
            if found and file.name.startswith(prefix) and not _is_running(int(found[1])):
                file.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere the question itself may end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
