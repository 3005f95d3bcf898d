"""The library installs where a reader is: beside a machine's own JAX, from git, by plain pip."""

import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import nbformat
import notebooks
import pytest
import working_tree
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = working_tree.ROOT
NOTEBOOKS = sorted(
    p for p in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts
)


def run(*command, **keywords):
    """A finished process; its output is shown where it fails."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **keywords
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Skips where pip cannot reach its package index."""
    folder = tmp_path_factory.mktemp("probe")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=0"]
    command += ["--timeout=15", "--no-cache-dir", "--dest", str(folder)]
    command.append(f"jaxtyping=={version('jaxtyping')}")  # small, and one that is needed
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"pip cannot reach a package index: {done.stderr.strip()[-200:]}")


def set_up_cell(path):
    """The first code cell of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_the_set_up_cell_is_the_same_everywhere_and_pins_nothing(path):
    cell = set_up_cell(path)
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    assert cell == set_up_cell(NOTEBOOKS[0])
    assert f'%pip install --quiet "narrowlib[book] @ git+{url}"' in cell
    assert not re.search(r"jax|flax|numpy|==|--upgrade|-U\b", cell)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The names of the files in the wheel built from the working tree."""
    tree = working_tree.copy_to(tmp_path_factory.mktemp("wheel") / "tree")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=tree)
    (path,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    assert {"narrowlib/__init__.py", "narrowlib/py.typed", "narrowlib/book.mplstyle"} <= set(wheel)
    assert all(re.match(r"narrowlib(-[\d.]+\.dist-info)?/", name) for name in wheel)
    assert not [name for name in wheel if re.search("test|__pycache__|LICENSE-book", name)]


def test_the_wheel_holds_the_saved_results(wheel):
    """A notebook on its own, as on Colab, reads them from the installed package."""
    saved = (ROOT / "benchmarks" / "results" / "experiments").glob("*.json")
    here = {f"narrowlib/results/{path.name}" for path in saved}
    assert here and {name for name in wheel if name.startswith("narrowlib/results/")} == here


def test_the_import_costs_no_more_than_jax_and_flax():
    code = "import sys, {}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    base = set(run(sys.executable, "-c", code.format("jax, flax.nnx, optax, jaxtyping")).split())
    ours = set(run(sys.executable, "-c", code.format("narrowlib")).split())
    assert not {"flint", "matplotlib", "pooch", "sklearn"} & ours
    assert ours - base - sys.stdlib_module_names == {"narrowlib"}


@pytest.mark.slow
def test_plain_pip_takes_the_lock(network):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    run(*pip, "--require-hashes", "-r", ROOT / "requirements.txt")


@pytest.fixture(scope="session")
def colab(network, tmp_path_factory):
    """An environment with its own, older JAX and the usual packages, as on a hosted notebook."""
    folder = tmp_path_factory.mktemp("colab")
    python = folder / "env" / "bin" / "python"
    run(sys.executable, "-m", "venv", folder / "env")
    packages = [f"jax<{version('jax')}", "flax", "optax", "matplotlib", "scikit-learn", "ipykernel"]
    packages.append("pip>=24.1")  # older ones refuse git+file:///
    run(sys.executable, "-m", "uv", "pip", "install", "--python", python, *packages)
    spec = folder / "kernels" / "hosted"
    spec.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    text = json.dumps({"argv": argv, "display_name": "hosted", "language": "python"})
    (spec / "kernel.json").write_text(text, encoding="utf-8")
    return folder


def quickest(count):
    """The built notebooks of the chapters that took the least time when they were last run."""
    book = notebooks.Book()
    taken = json.loads((ROOT / "book" / "status.json").read_text("utf-8"))["notebooks"]
    seconds = {name: taken.get(f"{name}.ipynb", {}).get("seconds", 1e9) for name in book.notebooks}
    names = sorted(seconds, key=lambda name: seconds[name])[:count]
    return {name: notebooks.build(book, name) for name in names}


@pytest.mark.slow
def test_lone_notebooks_install_the_library_and_run(colab, tmp_path, monkeypatch):
    """Three notebooks as they are built for Colab, one after the other; the first one installs."""
    monkeypatch.setenv("JUPYTER_PATH", str(colab))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = colab / "env" / "bin" / "python"
    clone = working_tree.copy_to(tmp_path / "clone")
    working_tree.commit(clone)
    bare = tmp_path / "bare"
    bare.mkdir()
    before = run(python, "-m", "pip", "freeze").splitlines()

    for name, notebook in quickest(3).items():
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source = re.sub(r"git\+https://[^\s\"]+", f"git+{clone.as_uri()}", first.source)
        assert clone.as_uri() in first.source
        probe = "import narrowlib; assert narrowlib.saved_results('least_width').rows\n"
        probe += "print('narrowlib is', narrowlib.__file__)"
        notebook.cells.append(nbformat.v4.new_code_cell(probe))
        resources = {"metadata": {"path": str(bare)}}
        client = NotebookClient(notebook, timeout=300, kernel_name="hosted", resources=resources)
        try:
            client.execute()
        except CellExecutionError as error:
            pytest.fail(f"{name}: {error}\nThe set-up cell said: {first.outputs}")

        where = Path(notebook.cells[-1].outputs[0].text.removeprefix("narrowlib is ").strip())
        assert where.is_relative_to(colab / "env") and "site-packages" in where.parts
    after = run(python, "-m", "pip", "freeze").splitlines()
    assert set(before) <= set(after), "the set-up cell changed a package that was there"
