"""The lock lies within the ranges, and the ranges' lower ends are true."""

import itertools
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = itertools.chain(PROJECT["dependencies"], *EXTRAS.values())
DIRECT = [Requirement(line) for line in LINES]
LOCKED = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.M)


@pytest.mark.parametrize("wanted", DIRECT, ids=lambda wanted: wanted.name)
def test_the_locked_versions_lie_within_the_ranges(wanted):
    found = [version for name, version in LOCKED if name == wanted.name]
    assert found and all(wanted.specifier.contains(version) for version in found)


def test_every_range_has_a_lower_end():
    assert [str(r) for r in DIRECT if not {">=", "=="} & {s.operator for s in r.specifier}] == []


def test_the_classes_of_orbax_that_are_used_end_with_version_1():
    (orbax,) = (wanted for wanted in DIRECT if wanted.name == "orbax-checkpoint")
    assert not orbax.specifier.contains("1.0.0")


def test_the_ends_are_tried_on_every_python_that_is_allowed():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    assert "end: [floor, newest]" in workflow
    assert PROJECT["requires-python"] == ">=" + re.search(r'python: \["([\d.]+)"', workflow)[1]
