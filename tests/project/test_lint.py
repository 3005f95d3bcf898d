"""The linters are content: `make lint` says the same, sooner."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "pyright"])
def test_lint(command):
    tool, *arguments = command.split()
    path = Path(sys.executable).with_name(tool)
    done = subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
