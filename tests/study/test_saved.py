"""Saved results: found where they are, complete, and honest about where they come from."""

import json

import pytest

import narrowlib as nl
from narrowlib.study import saved


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "FOLDERS", (tmp_path / "installed", tmp_path / "checkout"))
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
    assert results.where(n=2) == [{"n": 2, "loss": 0.25}]
    assert results.where(n=2, loss=1.0) == results.where(missing=1) == []
    assert len(results.where()) == 2
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
