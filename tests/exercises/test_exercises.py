"""Every exercise of the book has its checker, and every checker its exercise and its test."""

import math
import re
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.exercises._answers import CHECKERS, as_number

nl.check("0.1.1", None)  # loads all


def test_an_unknown_exercise_is_named():
    with pytest.raises(ValueError, match=r"number: got '9.9'. The exercises are 0.1.1"):
        nl.check("9.9", 1)


def test_the_book_and_the_checkers_have_the_same_exercises(pytestconfig):
    text = "".join(path.read_text() for path in (pytestconfig.rootpath / "book").rglob("*.ipynb"))
    assert set(re.findall(r'nl\.check\(\\"([\d.]+)\\"', text)) == set(CHECKERS)


@pytest.mark.parametrize("number", [None, 0.1, "", "0.1 ", ["0.1"], {}])
def test_a_number_is_a_word(number):
    with pytest.raises(ValueError, match=r"^number: got .*\. The exercises are 0.1.1"):
        nl.check(number, 1)


class Odd:
    """Neither a number nor an array, and loud about it."""

    def __float__(self):
        raise ZeroDivisionError

    def __array__(self, *arguments, **options):
        raise RuntimeError("no array")

    def __iter__(self):
        raise OverflowError


def raising(*arguments):
    raise KeyError("of the reader's")


ONE_ENTRY, ROW = np.array([0.123]), np.array([[1.0, 2.0, 3.0]])
NONSENSE = {
    "None": None, "word": "abc", "nan": math.nan, "infinity": -math.inf, "mixed": [1, "a"],
    "zeros": np.zeros((2, 2)), "object": object(), "odd": Odd(), "nans": 4 * [math.nan],
    "huge": 10**400, "large": 1e308, "one entry": ONE_ENTRY, "JAX entry": jnp.array([[0.123]]),
    "row": ROW, "empty": [], "ragged": [[1], [2, 3]], "complex": 1j, "bytes": b"0.123",
    "set": {"a", 1}, "dictionary": {"a": 1, 2: "b"}, "class": dict, "deep": [[[[[0.321]]]]],
    "numbers": [1e300] * 10,
    "integer array": np.array([10**18]), "objects": np.array([None, "a"], object),
    "params of None": nl.Params(None, None), "pair of words": ("a", "b"),
    "params": nl.Params(np.zeros((1, 3)), np.zeros(1)), "pair": (np.ones((4, 3)), np.ones(4)),
    "large params": nl.Params(np.full((2, 2), 1e300), np.ones(2)),
    "two matrices": nl.Params(np.ones((2, 3)), np.ones((2, 3))), "no neuron": (ROW[:0], ROW[:0, 0]),
    "raising": raising, "without arguments": lambda: 0, "of None": lambda *a: None,
    "of a word": lambda *a: "abc", "of a row": lambda *a: ROW, "of nan": lambda *a: math.nan,
    "of an object": lambda *a: Odd(), "of its arguments": lambda *a: a,
    "of huge": lambda *a: 10**400, "of zeros": lambda *a: np.zeros((2, 2)),
    "of a minus": lambda *a: -1e300, "method": "x".join,
}  # fmt: skip


@pytest.mark.parametrize("number", sorted(CHECKERS))
def test_nonsense_is_refused_without_an_error(number):
    for name, nonsense in NONSENSE.items():
        verdict = nl.check(number, nonsense)
        assert not verdict and repr(verdict).startswith("Not yet. "), (name, verdict)
        assert len(verdict.message) < 400, (name, verdict)


def test_a_readers_error_is_told_by_name():
    assert 'raised KeyError: "of the reader\'s"' in repr(nl.check("2.3.3", raising))


@pytest.mark.parametrize("nonsense", [None, "many", float("nan"), 10**400, [1, 2], {}])
def test_what_is_no_number(nonsense):
    assert as_number(nonsense) is None


def test_numbers():
    for three in ("3", 3, np.float32(3), np.array([3]), jnp.array([[3.0]]), Fraction(3)):
        assert as_number(three) == 3.0
