"""Where rows come from, against Git and the packages themselves."""

import platform
import subprocess

import jax
import matplotlib
import numpy as np
import pytest

import narrowlib as nl
from narrowlib import _provenance


def test_versions_are_those_in_use():
    found = _provenance.versions("matplotlib")
    assert found["python"] == platform.python_version() and found["jax"] == jax.__version__
    assert found["numpy"] == np.__version__ and found["matplotlib"] == matplotlib.__version__
    assert found["narrowlib"] == nl.__version__


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        run = ["git", *who, *arguments]
        return subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("1\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    return tmp_path, git("rev-parse", "--short", "HEAD").strip()


def test_the_commit_has_a_plus_where_its_sources_have_changed(repository):
    folder, head = repository
    assert _provenance.commit(folder, "a.py") == head
    (folder / "b.py").write_text("2\n")
    assert _provenance.commit(folder, "a.py") == head
    assert _provenance.commit(folder, "a.py", "b.py") == f"{head}+"


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert _provenance.commit(tmp_path, "a.py") == "unknown"
    monkeypatch.setenv("PATH", "")
    assert _provenance.commit(tmp_path, "a.py") == "unknown"
