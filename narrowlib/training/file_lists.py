"""The files of a folder and their hashes, in a list within: what changed afterwards is seen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from narrowlib._writing import write_whole

LIST = "files.json"


def write_list(folder: Path) -> None:
    """Note what every file of a folder holds."""
    text = json.dumps(_hashes(folder), indent=1)
    with write_whole(folder / LIST) as stream:
        stream.write(text.encode())


def is_as_listed(folder: Path) -> bool:
    """Whether the files are those of the list; True where there is none."""
    try:
        if not (folder / LIST).exists():
            return True
        return json.loads((folder / LIST).read_bytes()) == _hashes(folder)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, RecursionError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file != folder / LIST:
            with open(file, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256")
            found[file.relative_to(folder).as_posix()] = digest.hexdigest()
    return found
