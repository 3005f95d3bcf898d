"""`make experiments` runs what is named and saves rows that `saved_results` reads."""

import json
import subprocess
import sys

import experiment
import pytest

import narrowlib as nl
from narrowlib.study import saved
from narrowlib.study.experiment import load_experiment

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
    monkeypatch.setattr(saved, "FOLDERS", (tmp_path / "results",))
    results = saved.saved_results("toy")
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
    with pytest.raises(ValueError, match=r"scale: got 'hours'\. Choose one of seconds"):
        toy.run("hours")


def test_a_scale_may_not_invent_settings(tmp_path):
    (tmp_path / "toy.py").write_text(SOURCE.replace('{"seeds": 1}', '{"seed": 1}'), "utf-8")
    with pytest.raises(ValueError, match="Only what RECORD has can be smaller"):
        load_experiment(tmp_path / "toy.py")


RUN_BY_A_CHAPTER = {"synthetic_race", "ablations", "random_labels_race", "classification",
                    "deeper_nets"}  # fmt: skip
EXPERIMENTS = sorted(path.stem for path in experiment.EXPERIMENTS.glob("*.py"))


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
