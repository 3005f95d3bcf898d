"""Reads and writes `book/status.json`: when and with what each notebook was last run."""

import hashlib
import json
import os
import platform
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATUS = ROOT / "book" / "status.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "matplotlib")


def source_sha256(notebook: dict) -> str:
    """The hash of a notebook's code: it tells stored outputs whose code has changed since."""
    sources = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    return hashlib.sha256("\n\0".join(sources).encode()).hexdigest()


def versions() -> dict[str, str]:
    """The versions that the outputs depend on."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "narrowlib": narrowlib_version(),
    }


def narrowlib_version() -> str:
    """`narrowlib.__version__`, read from its file: the import takes seconds."""
    spec = find_spec("narrowlib")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)[0]


def machine() -> str:
    """This machine in a few words; the book is always run on the CPU."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, CPU only"


def read() -> dict:
    """The stored status, or an empty one."""
    if STATUS.exists():
        return json.loads(STATUS.read_text(encoding="utf-8"))
    return {"notebooks": {}, "versions": {}, "machine": ""}


def write(status: dict) -> None:
    """Stores `status`; a killed run leaves the old file whole."""
    status["notebooks"] = dict(sorted(status["notebooks"].items()))
    part = STATUS.with_suffix(".part")
    part.write_text(json.dumps(status, indent=1) + "\n", encoding="utf-8")
    part.replace(STATUS)
