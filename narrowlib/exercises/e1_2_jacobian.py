"""Checkers of the chapter "The Jacobian of one hidden layer"."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    near,
    numeric_exercise,
    weights_of,
)
from narrowlib.landscape.rank import numerical_rank
from narrowlib.network.model import Params


@exercise("1.2.1")
def _pulled_back(answer: Any) -> Verdict:
    """A function (X, W, v, r) -> Jᵀ r for tanh: compared with finite differences of r · F."""
    function = function_of(answer, "Pass a function of X, W, v and r.")
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    v, r = rng.normal(size=3), rng.normal(size=4)

    def along(flat: np.ndarray) -> float:
        return float(r @ (np.tanh(X @ flat.reshape(3, 2).T) @ v))

    h = 1e-6
    steps = h * np.eye(6)
    right = np.array([along(W.ravel() + e) - along(W.ravel() - e) for e in steps]) / (2 * h)
    right = right.reshape(3, 2)
    found = array_of(function(X.copy(), W.copy(), v.copy(), r.copy()))
    if found.shape != (3, 2):
        return Verdict(False, f"Jᵀ r is shaped like W, here (3, 2); yours has {found.shape}.")
    if np.allclose(found, right, atol=1e-6):
        return Verdict(True, "It agrees with finite differences.")
    slopes = 1 - np.tanh(X @ W.T) ** 2
    mistakes = {
        "You left out the output weights v.": slopes,
        "You used σ where the derivative σ′ belongs.": np.tanh(X @ W.T) * v,
        "You left out σ′: the network is not linear.": np.ones((4, 3)) * v,
    }
    for message, D in mistakes.items():
        if np.allclose(found, (D * r[:, None]).T @ X, atol=1e-6):
            return Verdict(False, message)
    if np.allclose(found, -right, atol=1e-6):
        return Verdict(False, "The sign is turned round.")
    return Verdict(False, "Row j is the sum over samples of r_i v_j σ′(w_j·x_i) x_i.")


@numeric_exercise("1.2.2")
def _lipschitz(value: float) -> Verdict:
    """L₂ R ‖X‖ max|v_j| for softplus, a 2 × 2 matrix X and v = (2, −1)."""
    X, v = np.array([[3.0, 4.0], [-4.0, 3.0]]), np.array([2.0, -1.0])
    R, spectral = np.linalg.norm(X, axis=1).max(), np.linalg.norm(X, 2)
    largest, softplus, tanh = np.abs(v).max(), 1 / 4, 4 / (3 * math.sqrt(3))
    mistakes = {
        "You took the Frobenius norm of X; the spectral norm is smaller.": (
            softplus * R * np.linalg.norm(X) * largest
        ),
        "You took the length of v; its largest entry is enough.": (
            softplus * R * spectral * np.linalg.norm(v)
        ),
        "You left out v.": softplus * R * spectral,
        "That L₂ is tanh's. For softplus, σ″ is the derivative of the sigmoid.": (
            tanh * R * spectral * largest
        ),
        "You left out L₂.": R * spectral * largest,
    }
    if near(value, softplus * R * spectral * largest, 1e-3):
        return Verdict(True, "R = ‖X‖ here, because the rows are orthogonal and equally long.")
    for message, mistake in mistakes.items():
        if near(value, mistake, 1e-3):
            return Verdict(False, message)
    return Verdict(False, "Four factors: sup |σ″|, the longest row, the spectral norm, max |v_j|.")


@numeric_exercise("1.2.3")
def _false_line(value: float) -> Verdict:
    """The line of a false proof in which a theorem is used without its hypothesis."""
    if value == 3:
        return Verdict(True, "σ′ jumps at 0, and the mean value theorem allows no jump.")
    true: dict[float, str] = {
        1: "Line 1 is the definition of J, twice.",
        2: "Line 2 is true: it speaks only of points that have a second derivative.",
        4: "Line 4 is true: it says no more than that it follows from the others.",
    }
    return Verdict(False, true.get(value, "Pass the number of a line, 1 to 4."))


@exercise("1.2.4")
def _two_routes(answer: Any) -> Verdict:
    """(params, X) that the SVD finds of full rank and the Gram route does not."""
    pair = "Pass a pair: the params and the samples X."
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return Verdict(False, pair)
    W, v = weights_of(answer[0], "Pass the params of your network.")
    X = array_of(answer[1], pair)
    if len(X) > 100 or W.size > 10_000:
        return Verdict(False, "At most 100 samples, and a J of moderate size.")
    n = len(X)
    with jax.enable_x64(True):
        params = Params(jnp.asarray(W), jnp.asarray(v))
        try:
            gram, svd = (numerical_rank(params, X, method=method) for method in ("gram", "svd"))
        except ValueError as error:
            return Verdict(False, f"numerical_rank says: {error}")
    if svd.verdict != "full":
        return Verdict(False, f"By the SVD the rank is {svd.rank} of {n} ({svd.verdict}).")
    if gram.verdict == "full":
        return Verdict(False, "Both routes say full: the least singular value is too large.")
    return Verdict(True, f"Gram: {gram.rank} of {n} ({gram.verdict}); SVD: {svd.rank}.")


@exercise("1.2.5")
def _use_of_the_bound(answer: Any) -> Verdict:
    """(w, Δ) for one tanh neuron and 20 samples: the change of J over L‖Δ‖, at least 0.7."""
    pair = "Pass a pair (w, Δ) of four numbers each."
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return Verdict(False, pair)
    w, move = (array_of(part, pair, (4,)) for part in answer)
    size = float(np.linalg.norm(move))
    if not 1e-7 < size < 1e3:  # below, rounding decides
        return Verdict(False, "Keep the length of Δ between 1e-7 and 1000.")
    with jax.enable_x64(True):
        X = np.asarray(gaussian(jax.random.key(0), n=20, d=4).X)
    change = np.linalg.norm((np.tanh(X @ (w + move)) ** 2 - np.tanh(X @ w) ** 2)[:, None] * X)
    longest = np.linalg.norm(X, axis=1).max()
    bound = 4 / (3 * math.sqrt(3)) * longest * np.linalg.norm(X, 2) * size
    told = f"You use {change / bound:.3f} of the bound."
    right = bool(change >= 0.7 * bound)
    return Verdict(right, told if right else f"{told} Reach 0.7.")
