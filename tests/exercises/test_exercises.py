"""Every exercise of the book has its checker, and every checker its exercise and its test."""

import re

import numpy as np
import pytest

import narrowlib as nl
from narrowlib.exercises._answers import CHECKERS, as_number

nl.check("0.1", None)  # loads all


def test_an_unknown_exercise_is_named():
    with pytest.raises(ValueError, match=r"number: got '9.9'. The exercises are 0.1"):
        nl.check("9.9", 1)


def test_the_book_and_the_checkers_have_the_same_exercises(pytestconfig):
    text = "".join(path.read_text() for path in (pytestconfig.rootpath / "book").rglob("*.ipynb"))
    assert set(re.findall(r'nl\.check\(\\"([\d.]+)\\"', text)) == set(CHECKERS)


@pytest.mark.parametrize("number", sorted(CHECKERS))
@pytest.mark.parametrize(
    "nonsense",
    [None, "abc", float("nan"), [1, "a"], np.zeros((2, 2)), object(), 4 * [np.nan]],
    ids=["None", "word", "nan", "mixed", "zeros", "object", "nans"],
)
def test_nonsense_is_refused_without_an_error(number, nonsense):
    verdict = nl.check(number, nonsense)
    assert not verdict and "Not yet" in repr(verdict)


@pytest.mark.parametrize("nonsense", [None, "many", float("nan"), 10**400, [1, 2], {}])
def test_what_is_no_number(nonsense):
    assert as_number(nonsense) is None


def test_numbers():
    assert as_number("3") == as_number(3) == 3.0
