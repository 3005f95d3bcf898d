"""What a checker answers, and how one is entered under its exercise's number."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from narrowlib.network.model import Params


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A checker's answer: truthy if right; shown as its message in a notebook."""

    right: bool
    message: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return ("Right. " if self.right else "Not yet. ") + self.message


CHECKERS: dict[str, Callable[[Any], Verdict]] = {}


def exercise(number: str) -> Callable[[Callable[[Any], Verdict]], Callable[[Any], Verdict]]:
    """Enter a checker under the number of its exercise, such as "0.1" or "1.3.2"."""

    def register(checker: Callable[[Any], Verdict]) -> Callable[[Any], Verdict]:
        CHECKERS[number] = checker
        return checker

    return register


def numeric_exercise(
    number: str,
) -> Callable[[Callable[[float], Verdict]], Callable[[Any], Verdict]]:
    """Enter a checker of one finite number, which gets it as a float; other answers are refused."""

    def register(checker: Callable[[float], Verdict]) -> Callable[[Any], Verdict]:
        @exercise(number)
        @functools.wraps(checker)
        def check_number(answer: Any) -> Verdict:
            value = as_number(answer)
            return Verdict(False, "Pass one number.") if value is None else checker(value)

        return check_number

    return register


def as_number(answer: Any) -> float | None:
    """The answer as a finite float; `None` where it is no number."""
    try:
        value = float(answer)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def near(value: float, other: float, rel: float = 1e-3) -> bool:
    """Equal up to a relative difference."""
    return math.isclose(value, other, rel_tol=rel)


def as_weights(answer: Any, whose: str) -> tuple[np.ndarray, np.ndarray] | Verdict:
    """W and v of an answer that has to be `Params`, as float arrays, or the verdict why not.

    Shapes, and whether the entries are finite, are left to the checker. `whose` completes
    "Pass the params of your".
    """
    if not isinstance(answer, Params):
        return Verdict(False, f"Pass the params of your {whose}.")
    try:
        return np.asarray(answer.W, float), np.asarray(answer.v, float)
    except (TypeError, ValueError):
        return Verdict(False, "The params W and v should be arrays of numbers.")


def as_weights_of(
    answer: Any, whose: str, m: int, d: int
) -> tuple[np.ndarray, np.ndarray] | Verdict:
    """`as_weights` for m neurons with d inputs and one output, all entries finite."""
    weights = as_weights(answer, whose)
    if isinstance(weights, Verdict):
        return weights
    W, v = weights
    if W.shape != (m, d) or v.shape != (m,):
        return Verdict(
            False, f"W should be {m} × {d} and v of {m}; yours are {W.shape} and {v.shape}."
        )
    if not (np.isfinite(W).all() and np.isfinite(v).all()):
        return Verdict(False, "The weights should be finite.")
    return W, v
