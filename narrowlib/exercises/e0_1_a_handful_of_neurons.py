"""Checkers of the first chapter, "A handful of neurons remembers everything"."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    numeric_exercise,
    weights_of,
)


@numeric_exercise("0.1")
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


@exercise("0.2")
def _gram_entry(answer: Any) -> Verdict:
    """The Gram matrix of J for given data, by hand: compared with J Jᵀ from finite differences."""
    X, W, v = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[0.3, -0.1], [0.2, 0.4]]), (1.0, -1.0)

    def outputs(flat: np.ndarray) -> np.ndarray:
        return np.tanh(X @ flat.reshape(2, 2).T) @ np.array(v)

    h = 1e-6
    J = np.stack(
        [(outputs(W.ravel() + h * e) - outputs(W.ravel() - h * e)) / (2 * h) for e in np.eye(4)],
        axis=1,
    )
    given = function_of(answer)(X, W, np.array(v)) if callable(answer) else answer
    K = array_of(given, "Pass the matrix, or a function of X, W and v that returns it.")
    if K.shape == (4, 4) and np.allclose(K, J.T @ J, atol=1e-6):
        return Verdict(False, "That is JᵀJ, over weights. J Jᵀ runs over samples.")
    if K.shape != (2, 2):
        return Verdict(False, f"J Jᵀ is n × n, here (2, 2); yours has shape {K.shape}.")
    if np.allclose(K, J @ J.T, atol=1e-6):
        return Verdict(True, "It agrees with finite differences.")
    if np.allclose(K, (X @ X.T) * (np.tanh(X @ W.T) @ np.tanh(X @ W.T).T), atol=1e-6):
        return Verdict(False, "You used σ where the derivative σ′ belongs.")
    return Verdict(False, "Row i, block j of J is v_j σ′(w_j·x_i) x_i: multiply two rows.")


@numeric_exercise("0.3")
def _rank_bound(value: float) -> Verdict:
    """The smallest width that the counting bound allows: 51 m/2 + 116 ≥ 1797."""
    if value == 66:
        return Verdict(True, "And 66 is the first width with full rank in the figure.")
    if value == 65:
        return Verdict(False, "The bound passes 1797 between 64 and 66, but widths are even.")
    if value == 58:
        return Verdict(False, "That is 2⌈n/d⌉, which takes all 64 pixels to be equally useful.")
    return Verdict(False, "Put m/2 = h into 51 h + 116 and ask when it reaches 1797.")


@exercise("0.4")
def _narrow_fit(answer: Any) -> Verdict:
    """Params of a network of at most 20 neurons that fits 90 given samples of 10 inputs."""
    W, v = weights_of(answer, "Pass the params of your solution.", d=10)
    if len(W) > 20:
        return Verdict(False, f"W should be at most 20 × 10; yours is {W.shape}.")
    data = gaussian(jax.random.key(4), n=90, d=10)
    X, y = np.asarray(data.X, float), np.asarray(data.y, float)
    value = float(np.sum((np.logaddexp(0, X @ W.T) @ v - y) ** 2)) / 180  # of softplus
    if value < 1e-18:
        return Verdict(True, f"Loss {value:.1e} with {len(v)} neurons.")
    return Verdict(False, f"The loss with softplus is {value:.1e}; below 1e-18 is asked for.")
