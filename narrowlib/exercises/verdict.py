"""What a checker answers, and how one is entered under its exercise's number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any


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


def as_number(answer: Any) -> float | None:
    """The answer as a finite float; `None` where it is no number."""
    try:
        value = float(answer)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
