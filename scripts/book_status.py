"""Reads and writes `book/status.json`: when and with what each notebook was last run."""

import importlib.util
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> Any:
    """A file of the project by itself: the import of its package would take seconds."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / name)
    assert spec is not None and spec.loader is not None  # true of every .py file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


source_sha256 = load("book/_ext/sources.py").source_sha256
write_whole = load("narrowlib/_writing.py").write_whole
provenance = load("narrowlib/_provenance.py")
STATUS = ROOT / "book" / "status.json"


def setting() -> dict:
    """The versions and the machine that outputs come from; the book is always run on the CPU."""
    return {"versions": provenance.versions("matplotlib"), "machine": provenance.machine()}


def read() -> dict:
    """The stored status, or an empty one."""
    if STATUS.exists():
        return json.loads(STATUS.read_text(encoding="utf-8"))
    return {"notebooks": {}, "versions": {}, "machine": ""}


def write(status: dict) -> None:
    """Stores `status`; a killed run leaves the old file whole."""
    status["notebooks"] = dict(sorted(status["notebooks"].items()))
    write_text(STATUS, json.dumps(status, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with write_whole(path) as stream:
        stream.write(text.encode())
