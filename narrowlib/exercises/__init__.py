"""Checkers for the book's exercises: `check("0.1.1", answer)` says right, or what is off.

A checker computes the right answer from first principles and compares; where an answer misses
in a way that has a name, it names it. It gives no answer away, and whatever it is given, it never
raises. One file holds a chapter's.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from narrowlib._checks import fail, shown
from narrowlib._runs import runs
from narrowlib.exercises._answers import CHECKERS, Verdict


@runs("host")
def check(number: str, answer: Any) -> Verdict:
    """Check an answer to an exercise of the book.

    Args:
        number: the exercise: part, chapter and number, such as "1.3.2".
        answer: what the exercise asks for; weights as `Params` or as a pair (W, v).

    Returns:
        A `Verdict`, truthy if the answer is right, which prints its message.

    Raises:
        ValueError: if there is no such exercise.

    Example:
        >>> import narrowlib as nl
        >>> nl.check("0.1.1", 1797)
        Not yet. That is the number of samples. Each neuron brings d weights, not one.
    """
    for module in pkgutil.iter_modules(__path__):  # only now: they import what they check
        importlib.import_module(f"{__name__}.{module.name}")
    if not isinstance(number, str) or number not in CHECKERS:
        fail("number", shown(number), f"The exercises are {', '.join(sorted(CHECKERS))}.")
    return CHECKERS[number](answer)
