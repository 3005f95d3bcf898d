"""Checkers of the chapter "Synthetic data"."""

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
)


@numeric_exercise("4.2.1")
def _one_pair_by_hand(value: float) -> Verdict:
    """One sample x = 1, a pair with tanh(w) = 0.6 and v = (1/2, −1/2): the ratio of the limits."""
    phi, size = 0.6, 0.5
    slope = 1 - phi**2
    hidden, outer = 2 * (slope * size) ** 2, 2 * phi**2
    if near(value, (hidden + outer) / hidden):
        return Verdict(True, "Most of the curvature is in v, and the pairing takes it away.")
    if near(value, hidden / (hidden + outer)):
        return Verdict(False, "Upside down: pairing makes the limit larger.")
    if near(value, outer / hidden):
        return Verdict(False, "Without pairing both weights move: K is a sum of two terms.")
    if near(value, 2 / hidden) or near(value, 2 / (hidden + outer)):
        return Verdict(False, "That is one of the two limits. Divide one by the other.")
    if near(value, (hidden + outer / 2) / (hidden / 2)) or near(
        value, (hidden + outer / 2) / hidden
    ):
        return Verdict(False, "Both neurons of the pair count in Φ Φᵀ and in J Jᵀ.")
    if near(value, 1 + outer / (2 * slope * size**2)):
        return Verdict(False, "J has the slope σ′ in it, and J Jᵀ its square.")
    return Verdict(False, "J Jᵀ and Φ Φᵀ are numbers here. The slope of tanh is 1 − tanh².")


@numeric_exercise("4.2.2")
def _price_of_a_step(value: float) -> Verdict:
    """(n³/3 + 2n²m + 12nmd) / (6nmd) for n = 1000, d = 100, m = 20."""
    n, d, m = 1000, 100, 20
    first = 6 * n * m * d
    newton = n**3 / 3 + 2 * n**2 * m + 12 * n * m * d
    if near(value, newton / first, 0.02):
        return Verdict(True, "So our fifteen steps cost as much as about 500 gradients.")
    if near(value, first / newton, 0.02):
        return Verdict(False, "Upside down.")
    if near(value, n**3 / 3 / first, 0.02):
        return Verdict(False, "The factorisation is not all: add the matrix and the products.")
    if near(value, 15 * newton / first, 0.02):
        return Verdict(False, "That is the price of all fifteen steps.")
    return Verdict(False, "Divide n³/3 + 2n²m + 12nmd by 6nmd.")


@numeric_exercise("4.2.3")
def _seeds_for_a_map(value: float) -> Verdict:
    """The least k with 2 · 54 · 2^(−k) ≤ 0.05."""
    count, level = 54, 0.05

    def least(tests: int) -> int:
        return math.ceil(math.log2(tests / level))

    if value == least(2 * count):
        return Verdict(True, "Twice as many as we ran.")
    if value == least(count):
        return Verdict(False, "Either side may win: two directions.")
    if value == least(2) or value == least(1):
        return Verdict(False, "So many suffice for one comparison. The map has 54.")
    return Verdict(False, "A false sweep in one comparison has chance 2 · 2^(−k).")


def _limits(W: np.ndarray, v: np.ndarray, X: np.ndarray) -> tuple[float, float]:
    """2n/λ_max with all weights free, and with v = (u; −u): from the whole Jacobian."""
    n, half = len(X), len(v) // 2
    phi = np.tanh(X @ W.T)
    hidden = (((1 - phi**2) * v)[:, :, None] * X[:, None, :]).reshape(n, -1)
    tied = (phi[:, :half] - phi[:, half:]) / 2**0.5

    def limit(outer: np.ndarray) -> float:
        return float(2 * n / np.linalg.norm(np.concatenate([hidden, outer], axis=1), 2) ** 2)

    return limit(phi), limit(tied)


@exercise("4.2.4")
def _two_limits(answer: Any) -> Verdict:
    """A function of W, v and X: the largest stable steps of free and of paired descent."""
    function = function_of(answer)
    for seed, (n, d, m, mirrored) in enumerate(
        [(9, 3, 4, True), (7, 2, 6, False), (5, 4, 2, True)]
    ):
        rng = np.random.default_rng(seed)
        X, W, v = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=m)
        if mirrored:
            half = m // 2
            W[half:], v[half:] = W[:half], -v[:half]
        right = _limits(W, v, X)
        two = "Your function should return two numbers."
        said = array_of(function(W.copy(), v.copy(), X.copy()), two, (2,))
        if np.allclose(said, right, rtol=1e-6):
            continue
        if np.allclose(said, right[::-1], rtol=1e-6):
            return Verdict(False, "First the limit with all weights free, then the paired one.")
        if np.allclose(said * n, right, rtol=1e-6) or np.allclose(said, 1 / np.array(right)):
            return Verdict(False, "The limit is 2n over the largest eigenvalue.")
        if np.isclose(said[0], right[0]) and mirrored:
            return Verdict(False, "The first number is right, the second is not.")
        if np.isclose(said[0], right[0]):
            return Verdict(
                False,
                "Right at mirrored weights. Elsewhere twins differ, and ½(Φ₊ − Φ₋)(Φ₊ − Φ₋)ᵀ "
                "is left of Φ Φᵀ.",
            )
        return Verdict(False, "The first number is off: K = J Jᵀ + Φ Φᵀ.")
    return Verdict(True, "The same two numbers as from the whole Jacobian.")
