"""Checkers of the first chapter, "A handful of neurons remembers everything"."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    MANY,
    Verdict,
    array_of,
    exercise,
    function_of,
    numeric_exercise,
    refuse,
    weights_of,
)


@numeric_exercise("0.1.1")
def _memorising_width(value: float) -> Verdict:
    """The theorem's width for MNIST: the smallest even m ≥ 2⌈n/d⌉ with n = 60,000, d = 784."""
    n, d = 60_000, 784
    right = 2 * math.ceil(n / d)
    if value == right:
        return Verdict(True, "Two neurons for each d samples: a pair counts once.")
    if value == math.ceil(n / d):
        return Verdict(False, "That is n/d. The mirrored halves of J are equal but for the sign.")
    if value in (n, 1797):
        return Verdict(
            False, "That is the number of samples. Each neuron brings d weights, not one."
        )
    if abs(value - 2 * n / d) < 1:
        return Verdict(False, "Close: a number of neurons is whole, and here even. Round up.")
    return Verdict(False, "Count: n equations, and (m/2) d independent directions to move in.")


def _jacobian(X: np.ndarray, W: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The Jacobian of the outputs in W, by central differences, shape (n, m d)."""
    h, columns = 1e-6, []
    for step in h * np.eye(W.size):
        ends = [np.tanh(X @ (W + sign * step.reshape(W.shape)).T) @ v for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * h))
    return np.stack(columns, axis=1)


@exercise("0.1.2")
def _gram(answer: Any) -> Verdict:
    """J Jᵀ as a function of X, W and v: compared with finite differences on three random draws."""
    function = function_of(answer, "Pass the function of X, W and v.")
    rng = np.random.default_rng(0)
    n, m, d = 5, 3, 2
    for _ in range(3):
        X, W, v = rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=m)
        J = _jacobian(X, W, v)
        K = array_of(function(X, W, v), MANY)

        def same(other: np.ndarray, K: np.ndarray = K) -> bool:
            return K.shape == other.shape and np.allclose(K, other, rtol=1e-4, atol=1e-5)

        if same(J @ J.T):
            continue
        if same(J.T @ J):
            refuse("That is JᵀJ, over weights. J Jᵀ runs over samples.")
        if K.shape != (n, n):
            refuse(f"J Jᵀ is n × n, here ({n}, {n}); yours has shape {K.shape}.")
        slopes, values = 1 - np.tanh(X @ W.T) ** 2, np.tanh(X @ W.T)
        if same((X @ X.T) * (slopes @ slopes.T)):
            refuse("You left out v.")
        if any(same((X @ X.T) * (slopes * power @ slopes.T)) for power in (v, abs(v))):
            refuse("v enters squared: once from each of the two rows.")
        if any(same((X @ X.T) * (values * power @ values.T)) for power in (v**2, 1 + 0 * v)):
            refuse("You used σ where the derivative σ′ belongs.")
        refuse("Row i, block j of J is v_j σ′(w_j·x_i) x_i: multiply two rows.")
    return Verdict(True, "It agrees with finite differences on three random networks.")


@numeric_exercise("0.1.3")
def _rank_bound(value: float) -> Verdict:
    """The smallest width that the counting bound allows: 51 m/2 + 116 ≥ 1797."""
    if value == 66:
        return Verdict(True, "And 66 is the first width with full rank in the figure.")
    if value == 64:
        return Verdict(False, "At 64 the bound is 51 · 32 + 116 = 1748, which is below 1797.")
    if 64 < value < 66:
        return Verdict(False, "The bound passes 1797 between 64 and 66; a width is whole and even.")
    if value == 58:
        return Verdict(False, "That is 2⌈n/d⌉, which takes all 64 pixels to be equally useful.")
    if value == 68:
        return Verdict(False, "68 is enough, but not the first: q + 1 is 51 here.")
    return Verdict(False, "The bound is (q + 1) m/2 + |I|; ask when it reaches 1797.")


@exercise("0.1.4")
def _powers_of_scale(answer: Any) -> Verdict:
    """How s, L, ‖r‖ and h at a mirrored start depend on the size α of the output weights."""
    given = array_of(answer, "Pass four numbers: the exponents of s, L, ‖r‖ and h.", shape=(4,))
    s, L, r, h = given
    if s != 1 or L != 1:
        return Verdict(False, "J is linear in v: what does that say of s, and of L?")
    if r != 0:
        return Verdict(False, "The start computes zero whatever α is, so r = −y.")
    if h != L + r - 2 * s:
        return Verdict(False, "Put the three others into h = L ‖r‖ / s².")
    return Verdict(True, "So h < ½ is a lower bound on α, and it is the theorem's.")


@exercise("0.1.5")
def _narrow_fit(answer: Any) -> Verdict:
    """Params of a network of at most 20 neurons that fits 90 given samples of 10 inputs."""
    W, v = weights_of(answer, "Pass the params of your solution.", d=10)
    if len(W) > 20:
        return Verdict(False, f"W should be at most 20 × 10; yours is {W.shape}.")
    data = gaussian(jax.random.key(4), n=90, d=10)
    X, y = np.asarray(data.X, float), np.asarray(data.y, float)
    value = float(np.sum((np.logaddexp(0, X @ W.T) @ v - y) ** 2)) / 180  # of softplus
    if value < 1e-18:
        more = "fewer than the theorem's 18." if len(v) < 18 else "the theorem needs 18."
        return Verdict(True, f"Loss {value:.1e} with {len(v)} neurons; {more}")
    return Verdict(False, f"The loss with softplus is {value:.1e}; below 1e-18 is asked for.")
