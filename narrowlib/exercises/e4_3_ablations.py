"""Checkers of the chapter "Ablations"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    near,
    numeric_exercise,
    weights_of,
)


def _changes(f: np.ndarray, i: int) -> np.ndarray:
    """What element i changes, for every set of others; sets are numbers with a bit an element."""
    without = [s for s in range(len(f)) if not s >> i & 1]
    return np.array([f[s | 1 << i] - f[s] for s in without])


def _shares(f: np.ndarray) -> np.ndarray:
    """What each element changes when it is added, in the mean over all orders."""
    k = len(f).bit_length() - 1
    sizes = [s.bit_count() for s in range(len(f) // 2)]  # of the others, in `_changes`'s order
    weights = [math.factorial(s) * math.factorial(k - 1 - s) / math.factorial(k) for s in sizes]
    return np.array([np.dot(weights, _changes(f, i)) for i in range(k)])


@numeric_exercise("4.3.1")
def _share_of_two(value: float) -> Verdict:
    """The share of the first of two elements, as orders of magnitude won."""
    nothing, first, second, both = -1.0, -1.2, -2.0, -4.0
    alone, last = nothing - first, second - both
    if near(value, (alone + last) / 2):
        return Verdict(True, "The mean of alone and without: for two elements, the share.")
    if near(value, -(alone + last) / 2):
        return Verdict(False, "It lowers the loss: the number asked for is positive.")
    if near(value, alone):
        return Verdict(False, "That is what it does alone.")
    if near(value, last):
        return Verdict(False, "That is what it does last, when the other one is there.")
    if near(value, nothing - both):
        return Verdict(False, "That is what both do together.")
    if near(value, (nothing - both) / 2):
        return Verdict(False, "The elements do not share alike.")
    return Verdict(False, "Take the mean over both orders in which the elements can be added.")


@exercise("4.3.2")
def _hidden_element(answer: Any) -> Verdict:
    """Eight numbers: the first element does nothing alone or last, and −1 in the mean."""
    f = array_of(answer, "Pass eight numbers, one for each set of three elements.", (8,))
    changes = _changes(f, 0)
    if not near(changes[0], 0, least=1e-9):
        return Verdict(False, "The first element changes something alone.")
    if not near(changes[-1], 0, least=1e-9):
        return Verdict(False, "Without the first element the full method changes.")
    if near(changes.mean(), -1):
        return Verdict(True, "No table of one element at a time would show it.")
    if near(changes.mean(), 1):
        return Verdict(False, "The main effect is +1: the other way round.")
    return Verdict(False, "The mean of the four changes that the first element makes is not −1.")


@exercise("4.3.3")
def _main_effects(answer: Any) -> Verdict:
    """A function of 2^k numbers that returns the k main effects."""
    function = function_of(answer)
    rng = np.random.default_rng(43)
    for k in (1, 2, 3, 5):
        f = rng.normal(size=2**k)
        changes = [_changes(f, i) for i in range(k)]
        right = np.array([c.mean() for c in changes])
        text = f"For {2**k} numbers it has to return {k}, one an element."
        said = array_of(function(f.copy()), text, (k,))
        mistakes = {
            "The sign: an element that lowers the number has a negative effect.": -right,
            "The first element is the lowest bit: index 1 is the set of it alone.": right[::-1],
            "That is each element alone. Use all the sets of others.": [c[0] for c in changes],
            "That is each element last. Use all the sets of others.": [c[-1] for c in changes],
            "That is the share over orders. The main effect weighs all sets alike.": _shares(f),
            "That is a sum. Divide by the number of sets of others.": right * 2 ** (k - 1),
            "That is half of it: the mean with it minus the mean without it.": right / 2,
        }
        if np.allclose(said, right):
            continue
        for message, wrong in mistakes.items():
            if np.allclose(said, wrong):
                return Verdict(False, message)
        return Verdict(False, f"It is wrong for a table of {k} elements.")
    return Verdict(True, "Every number of the table counts in every effect.")


@numeric_exercise("4.3.4")
def _seeds_alone(value: float) -> Verdict:
    """Seeds a side at which a comparison of two entrants is as exact as a main effect."""
    k, seeds = 6, 8
    if value == 2 ** (k - 1) * seeds:
        return Verdict(True, "Both sides have as many runs as the two halves of the table.")
    if value == 2**k * seeds:
        return Verdict(False, "That is the number of runs in all. There are two sides.")
    if value == 2 ** (k - 1):
        return Verdict(False, "The table has eight seeds for each set.")
    if value == seeds:
        return Verdict(False, "With so many the variance is 32 times as large.")
    return Verdict(False, "Set the two variances equal: 2/N for N seeds a side, and 4/(64 · 8).")


@exercise("4.3.5")
def _zero_outputs(answer: Any) -> Verdict:
    """Paired weights with outputs zero, whose v still moves at the first step."""
    W, v = weights_of(answer, "Pass the params of your start.", 4, 2)
    if not np.array_equal(v[:2], -v[2:]) or not v.all():
        return Verdict(False, "v has to be (u; −u) without zeros.")
    rng = np.random.default_rng(4)
    phi = np.tanh(rng.normal(size=(200, 2)) @ W.T)
    if np.abs(phi @ v).max() > 1e-9 * np.abs(v).max():
        return Verdict(False, "The outputs are not zero for every input.")
    gradient = phi.T @ rng.normal(size=200)  # of v, for some targets
    if np.abs(gradient[:2] - gradient[2:]).max() < 1e-6:
        return Verdict(False, "With these weights the first step leaves v where it is.")
    return Verdict(True, "Outputs zero are not enough to hold v: it takes twins.")
