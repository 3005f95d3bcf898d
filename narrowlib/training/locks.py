"""One run at a time in a folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from narrowlib._checks import fail

try:
    import fcntl
except ImportError:  # a system without such locks: nothing is guarded there
    fcntl = None

LOCK = ".lock"


@contextlib.contextmanager
def alone_in(name: str, folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; the system lets go of it however the process ends.

    Where no file can be made, nothing can be spoiled either; some network file systems know no
    locks. There the folder is used without one.

    Args:
        name: of the argument, for messages.
        folder: which is there.

    Raises:
        ValueError: if somebody else, in this process or another, holds it.
    """
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                stream = stack.enter_context(open(folder / LOCK, "a+", encoding="ascii"))
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    stream.seek(0)
                    holder = stream.read(20).strip()
                    who = f"Process {holder}" if holder.isdigit() else "Another process"
                    mend = f"{who} trains in that folder: wait for its end, or pass another folder."
                    fail(name, repr(str(folder)), mend)
                # a process that was forked meanwhile would hold it on
                stack.callback(fcntl.flock, stream, fcntl.LOCK_UN)
                stream.truncate(0)
                stream.write(f"{os.getpid()}\n")
                stream.flush()
        yield
