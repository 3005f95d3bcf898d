"""A copy of the project's files as a clone would have them, work in progress included."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def names() -> list[str]:
    """The paths of all files that git has or would take; skips the test where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip(f"not in a git repository: {listed.stderr.strip()}")
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def copy_to(folder: Path) -> Path:
    """Copies the working tree into `folder`, which is made."""
    for name in names():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


def commit(folder: Path) -> None:
    """Makes a git repository of one commit out of `folder`."""
    who = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "copy"]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
