"""Checkers of the chapter "The paper's claims, one by one"."""

from __future__ import annotations

import math

from narrowlib.exercises._answers import Verdict, near, numeric_exercise
from narrowlib.study.experiments import saved_results
from narrowlib.study.race import compare_runs


def _behind() -> int:
    """At how many widths of MNIST with cross-entropy pairs are behind free training in error."""
    rows = saved_results("classification").where(data="mnist", loss="cross-entropy")
    ends = {(row["entry"], row["m"]): row["results"]["test_error"] for row in rows}
    widths = {m for _, m in ends}
    pairs = [(ends["pairs", m], ends["free, mirrored", m]) for m in widths]
    return sum(compare_runs(*pair, 1.25) == "behind" for pair in pairs)


@numeric_exercise("4.7.1")
def _verdict_of_your_own(value: float) -> Verdict:
    """The count of widths by the rule with the factor 1.25."""
    if value == _behind():
        return Verdict(True, "At the other widths the rule says nothing either way.")
    if value not in (0, 1, 2, 3):
        return Verdict(False, "A count of the three widths is asked for.")
    return Verdict(False, "Both parts of the rule count: the factor, and every seed.")


@numeric_exercise("4.7.2")
def _width_for_images(value: float) -> Verdict:
    """2⌈n/d⌉ for n = 1,000,000 and d = 224 · 224 · 3."""
    n, d = 1_000_000, 224 * 224 * 3
    if value == 2 * math.ceil(n / d):
        return Verdict(True, "Narrow in neurons, and two million weights wide.")
    if value == 2 * math.ceil(n / (d // 3)):
        return Verdict(False, "A pixel has three values, one for each colour.")
    if value == math.ceil(n / d):
        return Verdict(False, "A mirrored start needs two neurons for each block of d samples.")
    if value == 2 * (n // d) or near(value, 2 * n / d, 0.02):
        return Verdict(False, "A part of a block needs a pair of its own: round up.")
    return Verdict(False, "How many samples does a pair of neurons serve, and how many blocks?")
