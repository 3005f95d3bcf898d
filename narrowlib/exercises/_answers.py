"""What a checker answers, how one is entered under its exercise's number, and how it reads answers.

A checker returns a `Verdict`, or raises `Refused`, which becomes one. It never raises anything
else: an answer that it did not expect is refused with the error's name.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A checker's answer: truthy if right; shown as its message in a notebook."""

    right: bool
    message: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return ("Right. " if self.right else "Not yet. ") + self.message


class Refused(Exception):
    """An answer that is not right; the message says what is off."""


def refuse(message: str) -> NoReturn:
    """End a checker: its verdict is "Not yet", with this message."""
    raise Refused(message)


CHECKERS: dict[str, Callable[[Any], Verdict]] = {}
ONE = "Your function has to return one finite number."
MANY = "Your function has to return finite numbers."


def exercise(number: str) -> Callable[[Callable[[Any], Verdict]], Callable[[Any], Verdict]]:
    """Enter a checker under the number of its exercise, such as "1.3.2"."""

    def register(checker: Callable[[Any], Verdict]) -> Callable[[Any], Verdict]:
        @functools.wraps(checker)
        def verdict(answer: Any) -> Verdict:
            try:
                return checker(answer)
            except Refused as refused:
                return Verdict(False, str(refused))
            except Exception as error:  # of an answer that nobody thought of
                return Verdict(False, f"That answer cannot be checked. {_told(error)}")

        CHECKERS[number] = verdict
        return verdict

    return register


def numeric_exercise(
    number: str,
) -> Callable[[Callable[[float], Verdict]], Callable[[Any], Verdict]]:
    """Enter a checker of one finite number, which gets it as a float; other answers are refused."""

    def register(checker: Callable[[float], Verdict]) -> Callable[[Any], Verdict]:
        @exercise(number)
        @functools.wraps(checker)
        def check_number(answer: Any) -> Verdict:
            return checker(number_of(answer, "Pass one number."))

        return check_number

    return register


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"


def as_number(answer: Any) -> float | None:
    """The answer as a finite float; `None` where it is no number."""
    try:
        array = np.asarray(answer)
        value = float(array.reshape(()) if array.dtype.kind in "biuf" else answer)
    except Exception:  # arrays of several numbers, words, objects whose conversion fails
        return None
    return value if math.isfinite(value) else None


def number_of(
    answer: Any, message: str = "Your function has to return one finite number."
) -> float:
    """The answer as a finite float; another one is refused with the message."""
    value = as_number(answer)
    return refuse(message) if value is None else value


def array_of(answer: Any, message: str = MANY, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The answer as an array of finite floats, of this shape if one is given."""
    try:
        array = np.asarray(answer, float)
    except Exception:  # what is no array, and what fails to become one
        refuse(message)
    if not np.isfinite(array).all() or (shape is not None and array.shape != shape):
        refuse(message)
    return array


def vector_of(answer: Any, size: int, message: str) -> np.ndarray:
    """The answer as so many finite floats, (size,); a row or a column of them is taken too."""
    array = array_of(answer, message)
    if array.size != size or max(array.shape, default=0) != size:
        refuse(message)
    return array.reshape(size)


def function_of(answer: Any, message: str = "Pass the function.") -> Callable[..., Any]:
    """The reader's function; what it raises is refused by name."""
    if not callable(answer):
        refuse(message)

    def function(*arguments: Any) -> Any:
        try:
            return answer(*arguments)
        except Exception as error:
            refuse(f"Your function raised {_told(error)}")

    return function


def weights_of(
    answer: Any, message: str, m: int | None = None, d: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """W (m, d) and v (m,) of `Params` or of a plain pair, as arrays of finite floats.

    What is no pair is refused with the message. Without m or d any number is taken.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        refuse(message)
    try:
        W, v = (np.asarray(part, float) for part in answer)
    except Exception:  # no arrays
        refuse("The params W and v should be arrays of numbers.")
    if W.ndim != 2 or v.shape != W.shape[:1] or W.shape != (m or len(W), d or W.shape[1]):
        sizes = f"{m or 'm'} × {d or 'd'} and v of {m or 'm'}"
        refuse(f"W should be {sizes}; yours are {W.shape} and {v.shape}.")
    if not (np.isfinite(W).all() and np.isfinite(v).all()):
        refuse("Some weights are not finite.")
    return W, v


def choice_of(answer: Any, most: int, message: str) -> set[int]:
    """The answer as a set of whole numbers from 1 to `most`, at least one of them."""
    try:
        given = set(answer)
        chosen = {number for number in range(1, most + 1) if number in given}
    except Exception:  # no collection, or of what cannot be compared
        refuse(message)
    return chosen if 0 < len(chosen) == len(given) else refuse(message)


def near(value: float, other: float, rel: float = 1e-3, least: float = 0.0) -> bool:
    """Equal up to a relative difference, or to an absolute one of `least`."""
    return math.isclose(value, other, rel_tol=rel, abs_tol=least)


MORE_DIGITS = "Right idea; give more digits."


def few_digits(value: float, right: float) -> bool:
    """Whether a value is the right one rounded to the two or more digits that it shows."""
    mantissa = f"{value:.15e}".split("e")[0]
    digits = len(mantissa.strip("-").rstrip("0").replace(".", ""))
    return digits >= 2 and math.isclose(value, float(f"{right:.{digits - 1}e}"), rel_tol=1e-14)
