"""`make address` changes every copy of the book's address, and nothing else."""

import json
import subprocess
import sys

import pytest
import working_tree
import yaml

NEW = "https://github.com/a-reader/their.own-copy"


def slug():
    config = yaml.safe_load((working_tree.ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["repository"]["url"].removeprefix("https://github.com/")


def address(folder, url):
    return subprocess.run(
        [sys.executable, "scripts/address.py", url], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def copy(tmp_path):
    return working_tree.copy_to(tmp_path / "copy")


def contents(folder):
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_every_copy_of_the_address_changes_and_nothing_else(copy):
    old = slug().encode()
    before = contents(copy)
    done = address(copy, NEW)
    assert done.returncode == 0, done.stderr
    after = contents(copy)

    new = NEW.removeprefix("https://github.com/").encode()
    for name, text in before.items():
        if name == "book/status.json":  # hashes of the set-up cells: the test below
            continue
        assert after[name] == text.replace(old, new), name
    for name in ("_config.yml", "README.md", "CITATION.cff", "pyproject.toml"):
        assert new in after[name], name
        assert name in done.stdout.splitlines()


def test_a_second_run_changes_nothing(copy):
    address(copy, NEW)
    before = contents(copy)
    done = address(copy, NEW)
    assert done.stdout == f"The address is {NEW}\n"
    assert contents(copy) == before


@pytest.mark.parametrize("writes", [1, 3, 12])
def test_a_run_that_was_stopped_can_be_finished(copy, tmp_path, writes):
    """Stopped, as by a kill, after some files; then run again."""
    code = f"""
import os, sys
sys.path.insert(0, "scripts")
import address, book_status
write, left = book_status.write_text, [{writes}]
def stopping(path, text):
    write(path, text)
    left[0] -= 1
    if not left[0]:
        os._exit(9)
book_status.write_text = stopping
address.main({NEW!r})
"""
    whole = working_tree.copy_to(tmp_path / "whole")
    assert address(whole, NEW).returncode == 0
    assert subprocess.run([sys.executable, "-c", code], cwd=copy).returncode == 9
    assert slug() in (copy / "_config.yml").read_text()
    assert address(copy, NEW).returncode == 0
    assert contents(copy) == contents(whole)


def test_there_and_back(copy):
    before = contents(copy)
    address(copy, NEW)
    address(copy, f"https://github.com/{slug()}")
    assert contents(copy) == before


def test_the_status_follows_the_set_up_cells_but_a_stale_entry_stays_stale(copy):
    code = """
import json, sys
from pathlib import Path
sys.path.insert(0, "scripts")
from book_status import source_sha256
print(json.dumps({p: source_sha256(json.loads(Path(p).read_text())) for p in sys.argv[1:]}))
"""
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["text"]},
            {"cell_type": "code", "source": [f"%pip install git+https://github.com/{slug()}"]},
            {"cell_type": "code", "source": ["1 + 1\n", "2 + 2"]},
        ]
    }
    names = ["book/right.ipynb", "book/stale.ipynb"]
    for name in names:
        (copy / name).write_text(json.dumps(notebook), encoding="utf-8")

    def hashes():
        run = [sys.executable, "-c", code, *names]
        done = subprocess.run(run, cwd=copy, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    status = copy / "book" / "status.json"
    entries = {
        names[0]: {"source_sha256": hashes()[names[0]]},
        names[1]: {"source_sha256": "0" * 64},
    }
    status.write_text(json.dumps({"notebooks": entries, "versions": {}, "machine": ""}))
    before = hashes()
    assert address(copy, NEW).returncode == 0
    stored = json.loads(status.read_text())["notebooks"]
    assert hashes()[names[0]] != before[names[0]]
    assert stored[names[0]]["source_sha256"] == hashes()[names[0]]
    assert stored[names[1]]["source_sha256"] == "0" * 64


@pytest.mark.parametrize(
    "url",
    [
        "",
        "you/repo",
        "http://github.com/you/repo",
        "https://github.com/you",
        "https://github.com/you/repo/",
        "https://github.com/you/repo.git",
        "https://github.com/you/repo/tree/main",
        "git@github.com:you/repo",
    ],
)
def test_what_is_no_address_is_refused_and_changes_nothing(copy, url):
    before = contents(copy)
    done = address(copy, url)
    assert done.returncode == 1
    assert "must read https://github.com/OWNER/REPOSITORY" in done.stderr
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("see https://github.com/o/r.", "see https://github.com/p/s."),
        ("git clone https://github.com/o/r.git", "git clone https://github.com/p/s.git"),
        (
            "colab.research.google.com/github/o/r/blob/",
            "colab.research.google.com/github/p/s/blob/",
        ),
        ("https://github.com/o/r-2", "https://github.com/o/r-2"),
        ("https://github.com/o/r.js", "https://github.com/o/r.js"),
        ("https://github.com/to/r", "https://github.com/to/r"),
    ],
)
def test_only_the_whole_address_is_replaced(text, after):
    code = "import sys; sys.path.insert(0, 'scripts'); import address; "
    code += "print(address.readdress(sys.argv[1], 'o/r', 'p/s'))"
    run = [sys.executable, "-c", code, text]
    done = subprocess.run(run, cwd=working_tree.ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == after + "\n"
