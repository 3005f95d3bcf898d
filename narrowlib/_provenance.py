"""Where rows and outputs come from: versions, date, machine and commit.

Nothing but Python's own modules: the project's scripts take this file without the library.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def versions(*more: str) -> dict[str, str]:
    """The versions that results depend on, by package; `more` are further packages."""
    named = {name: metadata.version(name) for name in (*PACKAGES, *more)}
    return {"python": platform.python_version(), **named, "narrowlib": _own_version()}


def _own_version() -> str:
    """`narrowlib.__version__`, read from its file: the import takes seconds."""
    spec = find_spec("narrowlib")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)[0]


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def origin(began: float) -> dict[str, Any]:
    """What provenance has in common: today, the versions, the seconds since `began`.

    Args:
        began: `time.perf_counter()` at the start.
    """
    seconds = round(time.perf_counter() - began, 1)
    return {"date": today(), "versions": versions(), "seconds": seconds}


def machine(device: str = "CPU only") -> str:
    """This machine in a few words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, {device}"


def commit(folder: Path, *sources: str) -> str:
    """The commit that is checked out, with a plus where one of the sources has changed since."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.strip()

    try:
        head = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--", *sources)
    except OSError:  # no git
        return "unknown"
    return f"{head}+" if head and changed else head or "unknown"
