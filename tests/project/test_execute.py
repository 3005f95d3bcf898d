"""`make execute` stores outputs and says when and with what; it stores nothing it should not."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
import working_tree
from nbclient import NotebookClient

pytestmark = pytest.mark.slow
NAME = "book/1_part/01_page.ipynb"
LOADED = (
    "book/_ext/sources.py",
    "book/_ext/offline.py",
    "narrowlib/_writing.py",
    "narrowlib/_provenance.py",
)
PLAYER = """
from IPython.display import HTML
HTML('<link rel="stylesheet"\\nhref="https://maxcdn.bootstrapcdn.com/font-awesome.min.css">')
"""
REMOTE = """
from IPython.display import HTML
HTML('<p>x</p><img width="3" src="https://example.org/logo.png">')
"""


@pytest.fixture
def tree(tmp_path):
    """A project with the scripts and no book."""
    for name in working_tree.names():
        if name.startswith("scripts/") or name in LOADED:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((working_tree.ROOT / name).read_bytes())
    return tmp_path


def add(tree, name, *sources):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def run(tree, *arguments, **variables):
    command = [sys.executable, *arguments]
    env = os.environ | variables
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)


def execute(tree, *names, **variables):
    return run(tree, "scripts/execute.py", *names, **variables)


def status(tree):
    return json.loads((tree / "book" / "status.json").read_text(encoding="utf-8"))


def test_outputs_and_status_are_stored(tree):
    path = add(tree, NAME, "import pathlib; n = 20", "print(n + 1, pathlib.Path().resolve().name)")
    done = execute(tree)
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[1].outputs[0].text == "21 1_part\n"
    assert notebook.metadata.language_info == {"name": "python"}
    assert all(cell.metadata == {} for cell in notebook.cells)
    entry = status(tree)["notebooks"][NAME]
    assert entry["cells"] == 2 and entry["seconds"] >= 0 and len(entry["source_sha256"]) == 64
    wanted = {"python", "jax", "jaxlib", "flax", "optax", "numpy", "matplotlib", "narrowlib"}
    assert set(status(tree)["versions"]) == wanted

    path.unlink()
    add(tree, "book/1_part/02_next.ipynb", "1")
    assert execute(tree).returncode == 0
    assert list(status(tree)["notebooks"]) == ["book/1_part/02_next.ipynb"]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import warnings; warnings.warn('careful')", "writes to stderr"),
        ("import pathlib; print(pathlib.Path().resolve())", "shows a path of this machine"),
        ("object()", "shows an address in memory"),
        ("raise RuntimeError('no')", "RuntimeError"),
        (REMOTE, 'asks another host: <img width="3" src="https://'),
        (PLAYER, "asks another host: <link"),  # as in the players of Matplotlib's animations
    ],
)
def test_a_bad_run_is_not_stored(tree, source, complaint):
    path = add(tree, NAME, source)
    before = path.read_bytes()
    done = execute(tree)
    assert done.returncode != 0 and complaint in done.stderr
    assert path.read_bytes() == before
    assert not (tree / "book" / "status.json").exists()


def test_one_notebook_is_not_run_under_other_versions_than_the_rest(tree):
    add(tree, NAME, "1")
    add(tree, "book/1_part/02_next.ipynb", "2")
    assert execute(tree).returncode == 0
    old = status(tree)
    old["versions"]["jax"] = "0.0.1"
    (tree / "book" / "status.json").write_text(json.dumps(old), encoding="utf-8")
    done = execute(tree, NAME)
    assert done.returncode != 0 and "Run 'make execute' without NB" in done.stderr
    assert status(tree) == old
    assert execute(tree).returncode == 0
    assert status(tree)["versions"] != old["versions"]
    assert execute(tree, NAME).returncode == 0


STOPPED = """
import os, sys
sys.path.insert(0, "scripts")
import book_status, execute
class Client:
    def __init__(self, *arguments, **options): pass
    def execute(self): pass
def stopping(path, text, write=book_status.write_text):
    second = path.name.startswith("02")
    if second and stop == "before": os._exit(9)
    write(path, text)
    if second and stop == "after": os._exit(9)
stop, *sys.argv[1:] = sys.argv[1:]
book_status.write_text, execute.NotebookClient = stopping, Client
execute.main()
"""


@pytest.mark.parametrize("stop", ["before", "after"])
def test_a_run_that_was_stopped_says_nothing_untrue(tree, stop):
    """Stopped, as by a kill, before or after the second notebook is stored, with new versions."""
    names = [f"book/1_part/0{k}_page.ipynb" for k in (1, 2)]
    for name in names:
        add(tree, name, "1")
    entries = {name: {"source_sha256": "of another machine"} for name in names}
    old = {"notebooks": entries, "versions": {}, "machine": "another"}
    (tree / "book" / "status.json").write_text(json.dumps(old), encoding="utf-8")

    assert run(tree, "-c", STOPPED, stop).returncode == 9
    assert list(status(tree)["notebooks"]) == names[:1]
    assert status(tree)["machine"] != "another"
    assert run(tree, "-c", STOPPED, "never", names[1]).returncode == 0
    assert list(status(tree)["notebooks"]) == names


def test_a_name_outside_the_book_is_refused(tree):
    add(tree, NAME, "1")
    done = execute(tree, "book/none.ipynb")
    assert done.returncode != 0 and "No notebook of the book" in done.stderr


# A claim that fails: an error wherever the book is tested or stored, a line for a reader.

CLAIM = 'import narrowlib as nl\nwith nl.claim("too-much"):\n    assert sum([1, 1]) == {}'
LAX = {"NARROWLIB_STRICT": "0"}  # as a reader has it: each has to ask for strictness itself
NBVAL = ("conftest.py", "pyproject.toml", "tests/seconds.json", "tests/nbval_sanitize.cfg")


def test_execute_stores_nothing_with_a_claim_that_failed(tree):
    path = add(tree, NAME, CLAIM.format(3), "print('went on')")
    before = path.read_bytes()
    done = execute(tree, **LAX)
    assert done.returncode != 0 and "AssertionError" in done.stderr and "too-much" in done.stderr
    assert path.read_bytes() == before
    add(tree, NAME, CLAIM.format(2))
    assert execute(tree, **LAX).returncode == 0


def test_nbval_fails_where_a_claim_fails(tree):
    for name in NBVAL:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes((working_tree.ROOT / name).read_bytes())
    (tree / "book" / "status.json").write_text('{"notebooks": {}}', encoding="utf-8")
    add(tree, NAME, CLAIM.format(3), "print('went on')", CLAIM.format(2))
    done = run(tree, "-m", "pytest", "-p", "no:cacheprovider", NAME, **LAX)
    assert done.returncode == 1 and "1 failed, 2 passed" in done.stdout, done.stdout
    assert "AssertionError" in done.stdout and "::Cell 0" in done.stdout


def test_a_reader_is_told_and_goes_on(tree, monkeypatch):
    monkeypatch.setenv("NARROWLIB_STRICT", "0")
    notebook = nbformat.read(add(tree, NAME, CLAIM.format(3), "print('went on')"), as_version=4)
    NotebookClient(notebook, kernel_name="python3").execute()
    first, second = (cell.outputs[0].text for cell in notebook.cells)
    assert first.startswith("✗ too-much") and "expected sum([1, 1]) == 3" in first
    assert second == "went on\n"
