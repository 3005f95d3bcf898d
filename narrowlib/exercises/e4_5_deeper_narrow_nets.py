"""Checkers of the chapter "Deeper narrow nets"."""

from __future__ import annotations

import math
from typing import Any

from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    choice_of,
    exercise,
    near,
    numeric_exercise,
)


def _even(least: float) -> int:
    """The least even number that is at least so large."""
    return 2 * math.ceil(least / 2)


@numeric_exercise("4.5.1")
def _width_for_features(value: float) -> Verdict:
    """The least even m with (m/2) · p ≥ n."""
    inputs, p, n = 100, 24, 1000
    if value == _even(2 * n / p):
        return Verdict(True, "The layer before decides, not the number of inputs.")
    if value == _even(2 * n / inputs):
        return Verdict(False, "That counts inputs. What does the last hidden layer read?")
    if value == _even(n / p):
        return Verdict(False, "At the start twins add the same directions to the rank.")
    if value == math.ceil(n / p):
        return Verdict(False, "So many pairs of neurons would do. And m counts neurons.")
    if value == _even(2 * n / p) - 1:
        return Verdict(False, "The number of neurons has to be even.")
    return Verdict(False, "Find the least m/2 for which (m/2) times a width reaches n.")


@numeric_exercise("4.5.2")
def _price_of_pairs(value: float) -> Verdict:
    """(K − 1 − m/2)/(2K)."""
    K, m = 10, 6
    if near(value, (K - 1 - m // 2) / (2 * K), 1e-6):
        return Verdict(True, "Three directions for nine that are wanted.")
    if near(value, (K - 1 - m) / (2 * K), 1e-6):
        return Verdict(False, "That is the bound without pairs.")
    if near(value, (K - m // 2) / (2 * K), 1e-6):
        return Verdict(False, "The biases take one direction of the ten.")
    if near(value, (K - 1 - m // 2) / K, 1e-6):
        return Verdict(False, "The loss has a factor of one half.")
    return Verdict(False, "What rank do the outputs have, and how many directions are wanted?")


@exercise("4.5.3")
def _biases(answer: Any) -> Verdict:
    """Ten lines b_k + k t that are each the strictly largest somewhere."""
    K = 10
    b = array_of(answer, "Pass ten numbers, all finite, b_0 to b_9.", (K,))
    # line k wins where t exceeds all slopes to the left and is below all to the right
    hidden = []
    for k in range(K):
        low = max(((b[j] - b[k]) / (k - j) for j in range(k)), default=-math.inf)
        high = min(((b[k] - b[j]) / (j - k) for j in range(k + 1, K)), default=math.inf)
        if not low < high:
            hidden.append(k)
    if not hidden:
        return Verdict(True, "One direction and ten biases order ten classes.")
    if len(hidden) == K - 2 and set(hidden) == set(range(1, K - 1)):
        return Verdict(False, "Only the first and the last class ever win. Bend the other way.")
    return Verdict(False, f"{len(hidden)} of the ten classes never have the largest output.")


@exercise("4.5.4")
def _where_the_mirror_stands(answer: Any) -> Verdict:
    """Numbers 1, 3 and 5: twins are equal when they are read."""
    right = {1, 3, 5}
    said = choice_of(answer, 5, "Pass a set of numbers from 1 to 5.")
    if said == right:
        return Verdict(True, "Whatever comes before; equal treatment in between.")
    if 2 in said:
        return Verdict(False, "One of yours adds different things to twins.")
    if 4 in said:
        return Verdict(False, "One of yours treats twins differently, at random.")
    return Verdict(False, f"These do; {len(right - said)} more to find.")
