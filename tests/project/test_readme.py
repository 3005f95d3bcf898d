"""The README's lines run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.slow
def test_the_first_python_block_runs_without_a_warning(tmp_path):
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert block is not None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_picture_is_the_one_that_the_chapter_stores():
    import readme_picture

    assert readme_picture.PICTURE.read_bytes() == readme_picture.stored()


def test_the_picture_and_the_linked_files_are_there():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("https://"):
            assert (README.parent / target).exists(), target
