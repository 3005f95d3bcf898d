"""Checkers of the chapter "A fair race"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
    choice_of,
    exercise,
    function_of,
    near,
    numeric_exercise,
)


@numeric_exercise("4.1.1")
def _who_looks_better(value: float) -> Verdict:
    """b/(a + b) for a = 4 and b = 12 tries of the same method."""
    a, b = 4, 12
    if near(value, b / (a + b)):
        return Verdict(True, "Every one of the 16 tries is the best with the same chance.")
    if near(value, a / (a + b)):
        return Verdict(False, "That is the chance of the other one.")
    if near(value, b / a):
        return Verdict(False, "That is a ratio of numbers of tries. A chance is at most 1.")
    if near(value, 0.5):
        return Verdict(False, "The laws are the same, the numbers of tries are not.")
    if near(value, 1 / (b + 1)) or near(value, b / (b + 1)):
        return Verdict(False, "The other team has 4 tries, not one.")
    return Verdict(False, "Which of all the tries is the best, and whose is it?")


@numeric_exercise("4.1.2")
def _best_of_k(value: float) -> Verdict:
    """1/(4 + 1) over 1/(24 + 1), for draws that are uniform on [0, 1]."""
    few, many = 4, 24
    if near(value, (many + 1) / (few + 1)):
        return Verdict(True, "A factor from nothing but trying more often.")
    if near(value, (few + 1) / (many + 1)):
        return Verdict(False, "Upside down: by what factor does it fall?")
    if near(value, many / few):
        return Verdict(False, "Close. Compute the expected best of k draws exactly.")
    if near(value, 1 / (few + 1) - 1 / (many + 1)):
        return Verdict(False, "That is the difference; the factor is asked for.")
    return Verdict(False, "The level of the best of k draws has expectation 1/(k + 1).")


@numeric_exercise("4.1.3")
def _how_many_seeds(value: float) -> Verdict:
    """The least k with 6 · 2^(−k) ≤ 0.01."""
    count, level = 6, 0.01

    def least(tests: int) -> int:
        return math.ceil(math.log2(tests / level))

    if value == least(count):
        return Verdict(True, "Doubling the number of comparisons costs one seed.")
    if value == least(1):
        return Verdict(False, "So many suffice for one comparison. There are six.")
    if value == least(2 * count):
        return Verdict(False, "The winner is named beforehand: one direction only.")
    if value == least(count) - 1:
        return Verdict(False, "Round up: with so many the chance is still above the level.")
    return Verdict(False, "Six chances of 2^(−k) each add up to at most the level.")


CASES = [  # losses of a and b on the same seeds, and what the rule says
    ([1.0, 2, 3, 4, 5], [10.0, 20, 30, 40, 50], "a"),
    ([10.0, 20, 30, 40, 50], [1.0, 2, 3, 4, 5], "b"),
    ([1.0, 2, 3, 4, 5], [1.5, 3, 4.5, 6, 7.5], "none"),  # ratio 1.5
    ([1.0, 2, 3, 4, 60], [10.0, 20, 30, 40, 50], "none"),  # one seed the other way
    ([1.0, 2, 3, 4, 5], [10.0, 20, math.inf, math.inf, math.inf], "a"),
    ([1.0, 2, 3, 4, math.inf], [10.0, 20, 30, 40, 50], "none"),  # a failed once
    ([1.0, 2, 3, 4, 5], [10.0, 20, math.nan, 40, 50], "a"),  # b failed once
    ([9.0, 1, 1, 1, 9], [30.0, 2.5, 2.5, 2.5, 30], "a"),  # neighbours differ, pairs do not
    ([2.5, 1, 1, 1, 1], [2.0, 9, 9, 9, 9], "none"),
]


@exercise("4.1.4")
def _the_rule(answer: Any) -> Verdict:
    """'a', 'b' or 'none': medians more than 2 apart, and the same order on every seed."""
    function = function_of(answer)
    wrong = []
    for index, (a, b, right) in enumerate(CASES):
        said = function(np.array(a), np.array(b))
        if not (isinstance(said, str) and said in ("a", "b", "none")):
            return Verdict(False, 'Your function has to return "a", "b" or "none".')
        if said != right:
            wrong.append(index)
    if not wrong:
        return Verdict(True, "Both conditions, in both directions, and failures are losses.")
    first = wrong[0]
    if set(wrong) <= {4, 5, 6}:
        return Verdict(False, "A run that failed, infinite or NaN, counts as lost.")
    if first == 1:
        return Verdict(False, "The other one may win too.")
    if first == 2:
        return Verdict(False, "The medians have to be more than a factor of 2 apart.")
    if first in (3, 8) and not {0, 1, 2} & set(wrong):
        return Verdict(False, "The winner has to be ahead on every seed.")
    if wrong == [7]:
        return Verdict(False, "Compare on the same seed: pairs, not the two samples as wholes.")
    return Verdict(False, f"It is wrong for a = {CASES[first][0]}, b = {CASES[first][1]}.")


@exercise("4.1.5")
def _unfair_points(answer: Any) -> Verdict:
    """The sentences 2, 3, 5 and 6 of the description."""
    unfair, whole = {2, 3, 5, 6}, set(range(1, 8))
    said = choice_of(answer, 7, "Pass the numbers of the unfair sentences, from 1 to 7.")
    if said == unfair:
        return Verdict(True, "Tries, step sizes, seeds, failures: each alone can make a winner.")
    if said == whole:
        return Verdict(False, "Not all of it is unfair.")
    if wrongly := said - unfair:
        return Verdict(False, f"{len(wrongly)} of yours is fair, or fair to both alike.")
    return Verdict(False, f"These are unfair; {len(unfair - said)} more to find.")
