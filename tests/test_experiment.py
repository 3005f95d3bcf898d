"""`make experiments` runs what is named and saves rows that `saved_results` reads."""

import json

import experiment
import pytest

import narrowlib
from narrowlib import saved

SOURCE = """
RECORD = {"n": [1, 2], "seeds": 3}
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
    assert {"date", "commit", "versions", "machine", "seconds"} == set(results.provenance)
    versions = results.provenance["versions"]
    assert "jax" in versions and versions["narrowlib"] == narrowlib.__version__


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('stopped')", "return [{'loss': float('nan')}]"]
)
def test_a_run_that_fails_leaves_the_old_results_whole(tmp_path, body):
    (tmp_path / "toy.py").write_text(SOURCE, "utf-8")
    file = experiment.save(tmp_path / "toy.py", tmp_path / "results")
    before = file.read_bytes()
    (tmp_path / "toy.py").write_text(f"RECORD = {{}}\ndef run(record):\n    {body}\n", "utf-8")
    with pytest.raises((RuntimeError, ValueError)):
        experiment.save(tmp_path / "toy.py", tmp_path / "results")
    assert file.read_bytes() == before
    assert json.loads(before)["name"] == "toy"
