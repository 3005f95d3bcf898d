"""Checkers of the chapter "The Jacobian of one hidden layer"."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
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
from narrowlib.landscape.rank import numerical_rank
from narrowlib.network.model import Params
from narrowlib.network.rounding import MARGIN


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
def _gigabytes(value: float) -> Verdict:
    """The memory of J in float64, in 10⁹ bytes: n = 50,000, m = 34, d = 3,072."""
    n, m, d = 50_000, 34, 3072
    right = 8e-9 * n * m * d
    if near(value, right, 0.01):
        return Verdict(True, "And it is about twice the Gram matrix.")
    if near(value, right / 2, 0.01):
        return Verdict(False, "That is single precision: a float64 has 8 bytes.")
    if near(value, 8e-9 * n * n, 0.01):
        return Verdict(False, "That is the Gram matrix, n × n.")
    if near(value, right / 8, 0.01):
        return Verdict(False, "That is the number of entries. Each has 8 bytes.")
    if near(value, 8e-9 * n * m, 0.01):
        return Verdict(False, "That is D, one number for each sample and neuron.")
    if near(value, right * 1e9 / 2**30, 0.01):
        return Verdict(False, "You divided by 2³⁰; the question has 10⁹ bytes.")
    return Verdict(False, "J has n rows and m d columns, and each entry has 8 bytes.")


@numeric_exercise("1.2.3")
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


@numeric_exercise("1.2.4")
def _floor(value: float) -> Verdict:
    """The least σ_min that the Gram route calls full: MARGIN √(n ε) σ₁, n = 1797, σ₁ = 3000."""
    n, largest = 1797, 3000.0
    eps, single = float(np.finfo(np.float64).eps), float(np.finfo(np.float32).eps)
    threshold = math.sqrt(n * eps) * largest
    if near(value, MARGIN * threshold, 0.05):
        return Verdict(True, "Below it, the verdict is undecided or worse.")
    if near(value, threshold, 0.05):
        return Verdict(False, "That is the threshold; full asks for ten times as much.")
    if near(value, MARGIN * n * eps * largest, 0.05):
        return Verdict(False, "Eigenvalues are squares: take the square root of n ε.")
    if near(value, MARGIN * math.sqrt(n * single) * largest, 0.05):
        return Verdict(False, "That ε is single precision's.")
    if near(value, MARGIN * math.sqrt(eps) * largest, 0.05):
        return Verdict(False, "You left out n under the root.")
    return Verdict(False, "Ten times √(n ε) σ₁.")


@exercise("1.2.5")
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
