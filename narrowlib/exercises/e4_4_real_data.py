"""Checkers of the chapter "Real data"."""

from __future__ import annotations

from typing import Any

import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    near,
    numeric_exercise,
)

COUNTS = (400, 300, 200, 60, 40)


def _floor(rank: int) -> float:
    return sum(COUNTS[rank:]) / (2 * sum(COUNTS))


@numeric_exercise("4.4.1")
def _floor_of_three_pairs(value: float) -> Verdict:
    """The classes beyond the h = 3 largest, over 2n."""
    if near(value, _floor(3)):
        return Verdict(True, "No optimiser and no ball changes that.")
    if abs(value) < 1e-12:
        return Verdict(False, "Without pairing six neurons would do. How many features has a pair?")
    if near(value, 2 * _floor(3)):
        return Verdict(False, "The loss has a half in front.")
    if near(value, sum(COUNTS[:2]) / 2000) or near(value, sum(COUNTS[:3]) / 2000):
        return Verdict(False, "The small classes are the ones to give up.")
    if near(value, _floor(2)) or near(value, _floor(4)):
        return Verdict(False, "Count the pairs again.")
    if near(value, 1000 * _floor(3)):
        return Verdict(False, "The loss is a mean over the samples.")
    return Verdict(False, "What is left of the targets beyond rank three?")


@numeric_exercise("4.4.2")
def _neurons_for_a_hundred_classes(value: float) -> Verdict:
    """The least even m with (100 − m/2)/200 ≤ 0.05."""
    classes, goal = 100, 0.05

    def least(share: float) -> int:
        return next(m for m in range(2, 999, 2) if (classes - m * share) / (2 * classes) <= goal)

    if value == least(0.5):
        return Verdict(True, "Twice as many as without pairs.")
    if value == least(1.0):
        return Verdict(False, "So many pairs. How many neurons is that?")
    if value in (190, 95):
        return Verdict(False, "The loss has a half in front.")
    if value == 2 * classes:
        return Verdict(False, "That would allow the loss zero; 0.05 needs fewer.")
    return Verdict(False, "Write the floor for h pairs, and solve for h.")


@numeric_exercise("4.4.3")
def _two_eigenvalues(value: float) -> Verdict:
    """(1/2n) · (n/2) · 0.99^100: the large eigenvalues are done after one step."""
    steps, slow = 50, 0.99
    if near(value, slow ** (2 * steps) / 4):
        return Verdict(True, "Half of the labels is learnt in one step, the rest hardly at all.")
    if near(value, slow**steps / 4):
        return Verdict(False, "The loss is the square of the residual.")
    if near(value, slow ** (2 * steps) / 2):
        return Verdict(False, "Only half of the eigenvalues are small.")
    if near(value, (slow ** (2 * steps) + 1) / 4):
        return Verdict(False, "With this step size the large eigenvalues are done in one step.")
    if near(value, 0.98 ** (2 * steps) / 4):
        return Verdict(False, "That is twice the step size asked for.")
    return Verdict(False, "Put the two eigenvalues into the formula, each n/2 times.")


def _nearest(V: np.ndarray, V0: np.ndarray, zeta: float) -> np.ndarray:
    h = len(V) // 2
    signs = np.sign(V0[:h])
    A = signs * np.maximum(signs * (V[:h] - V[h:]) / 2, zeta)
    return np.concatenate([A, -A])


@exercise("4.4.4")
def _nearest_signed_pairs(answer: Any) -> Verdict:
    """Average the pairs, then every entry by itself: compared on random arrays."""
    function = function_of(answer)
    rng = np.random.default_rng(44)
    for m, K, zeta in ((4, 3, 0.2), (6, 1, 0.01), (2, 5, 1.0)):
        A0, V = rng.normal(size=(m // 2, K)), rng.normal(size=(m, K))
        V0 = np.concatenate([A0, -A0])
        got = array_of(function(V.copy(), V0.copy(), zeta))
        if got.shape != V.shape:
            return Verdict(False, f"It returns the shape {got.shape} for V of shape {V.shape}.")
        h, slack = m // 2, 1e-6
        if not np.allclose(got[:h], -got[h:], atol=slack):
            return Verdict(False, "The halves have to be A and −A.")
        if (got * np.sign(V0) < -slack).any():
            return Verdict(False, "An entry has the wrong sign.")
        if (got * np.sign(V0) < zeta - slack).any():
            return Verdict(False, "An entry is smaller than zeta.")
        if not np.allclose(got, _nearest(V, V0, zeta), atol=slack):
            return Verdict(False, "It is in the set, but there is a nearer point.")
    return Verdict(True, "It is in the set, and no other point of the set is as near.")
