"""Experiments as declared, in three sizes, and their saved rows: found, complete, honest."""

import json
import subprocess
import sys

import experiment
import pytest

import narrowlib as nl
from narrowlib.study import experiments
from narrowlib.study.experiments import load_experiment, saved_results

SOURCE = """\"\"\"How does 1/n fall?

With n.
\"\"\"
RECORD = {"n": [1, 2], "seeds": 3}
SMALLER = {"seconds": {"n": [1]}, "minute": {"seeds": 1}}
def run(record):
    return [{"n": n, "loss": 1 / n} for n in record["n"]]
"""


def test_rows_are_saved_with_their_provenance(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(SOURCE, "utf-8")
    file = experiment.save(tmp_path / "toy.py", tmp_path / "results")
    monkeypatch.setattr(experiments, "RESULTS", (tmp_path / "results",))
    results = saved_results("toy")
    assert file.name == "toy.json"
    assert results.rows == [{"n": 1, "loss": 1.0}, {"n": 2, "loss": 0.5}]
    assert results.record == {"n": [1, 2], "seeds": 3}
    assert {"date", "commit", "versions", "machine", "seconds", "scale"} == set(results.provenance)
    versions = results.provenance["versions"]
    assert "jax" in versions and versions["narrowlib"] == nl.__version__


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('stopped')", "return [{'loss': float('nan')}]"]
)
def test_a_run_that_fails_leaves_the_old_results_whole(tmp_path, body):
    (tmp_path / "toy.py").write_text(SOURCE, "utf-8")
    file = experiment.save(tmp_path / "toy.py", tmp_path / "results")
    before = file.read_bytes()
    smaller = "SMALLER = {'seconds': {}, 'minute': {}}"
    source = f"RECORD = {{}}\n{smaller}\ndef run(record):\n    {body}\n"
    (tmp_path / "toy.py").write_text(source, "utf-8")
    with pytest.raises((RuntimeError, ValueError)):
        experiment.save(tmp_path / "toy.py", tmp_path / "results")
    assert file.read_bytes() == before
    assert json.loads(before)["name"] == "toy"


def test_a_scale_changes_what_it_names_and_nothing_else(tmp_path):
    (tmp_path / "toy.py").write_text(SOURCE, "utf-8")
    toy = load_experiment(tmp_path / "toy.py")
    assert (toy.name, toy.question) == ("toy", "How does 1/n fall?")
    assert toy.records == {
        "seconds": {"n": [1], "seeds": 3},
        "minute": {"n": [1, 2], "seeds": 1},
        "paper": {"n": [1, 2], "seeds": 3},
    }
    small = toy.run("seconds")
    assert small.rows == [{"n": 1, "loss": 1.0}] and small.record == toy.records["seconds"]
    assert "SCALE=seconds" in str(small) and "commit" not in str(small)
    with pytest.raises(ValueError, match=r"scale: got 'hours'\. Choose one of 'seconds'"):
        toy.run("hours")


def test_a_scale_may_not_invent_settings(tmp_path):
    (tmp_path / "toy.py").write_text(SOURCE.replace('{"seeds": 1}', '{"seed": 1}'), "utf-8")
    with pytest.raises(ValueError, match="Only what RECORD has can be smaller"):
        load_experiment(tmp_path / "toy.py")


RUN_BY_A_CHAPTER = {"synthetic_race", "ablations", "random_labels_race", "classification",
                    "deeper_nets"}  # fmt: skip
EXPERIMENTS = sorted(path.stem for path in experiment.EXPERIMENTS.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in EXPERIMENTS if n not in RUN_BY_A_CHAPTER])
def test_every_experiment_still_runs_and_gives_such_rows(name):
    """In a process of its own, with JAX's usual settings: these runs are what users start."""
    code = (
        "import json, sys; import narrowlib as nl; "
        f"print(json.dumps(nl.experiment({name!r}).run('seconds').rows))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    kept = nl.saved_results(name).rows
    assert rows and {frozenset(row) for row in rows} <= {frozenset(row) for row in kept}


def test_an_experiment_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"name: got 'rave'\. There are .*kkt_points"):
        nl.experiment("rave")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", (tmp_path / "installed", tmp_path / "checkout"))
    for name in ("installed", "checkout"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(folder, name, rows):
    provenance = {
        "date": "2026-01-02",
        "commit": "abc1234",
        "versions": {"jax": "0.9"},
        "machine": "2 cores",
        "seconds": 61.2,
    }
    whole = {"name": name, "record": {"n": [1]}, "rows": rows, "provenance": provenance}
    (folder / f"{name}.json").write_text(json.dumps(whole), "utf-8")


def test_rows_and_provenance_come_back(folder):
    write(folder / "checkout", "race", [{"n": 1, "loss": 0.5}, {"n": 2, "loss": 0.25}])
    results = nl.saved_results("race")
    assert results.where(n=2).rows == [{"n": 2, "loss": 0.25}]
    assert results.where(n=2, loss=1.0).rows == []
    assert len(results.where()) == 2 and results["loss"].tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match=r"where: got \['missing'\]\. The columns are n, loss\."):
        results.where(missing=1)
    said = str(results)
    assert max(map(len, said.splitlines())) <= 76  # what a page shows
    said = said.replace("\n", " ")
    for part in ("2026-01-02", "abc1234", "jax 0.9", "2 cores", "61 s", "NAME=race", "2 rows"):
        assert part in said


def test_an_installed_package_reads_its_own(folder):
    write(folder / "checkout", "race", [])
    write(folder / "installed", "race", [{"n": 1}])
    assert nl.saved_results("race").rows == [{"n": 1}]


def test_what_is_not_there_is_named(folder):
    write(folder / "checkout", "race", [])
    with pytest.raises(ValueError, match=r"name: got 'rave'\. There are saved results of race\."):
        nl.saved_results("rave")


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"rows": []}', b"\xff\xfe", b"[" * 10**5])
def test_a_damaged_file_is_named(folder, text):
    (folder / "checkout" / "race.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"^name: got 'race', whose file .* is damaged\. Get it"):
        nl.saved_results("race")


def test_every_experiment_has_saved_results_of_its_present_settings(pytestconfig):
    """A changed record without a new run would show rows under settings that made others."""
    files = sorted((pytestconfig.rootpath / "experiments").glob("*.py"))
    assert files
    for path in files:
        results, declared = nl.saved_results(path.stem), nl.experiment(path.stem)
        assert results.record == json.loads(json.dumps(declared.records["paper"])), path.stem
        assert results.rows and results.provenance["seconds"] > 0
    stored = (pytestconfig.rootpath / "benchmarks/results/experiments").glob("*.json")
    assert {path.stem for path in stored} == {path.stem for path in files}
