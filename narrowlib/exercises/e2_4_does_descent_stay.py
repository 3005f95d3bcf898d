"""Checkers of the chapter "Does gradient descent stay?"."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    Verdict,
    exercise,
    function_of,
    near,
    number_of,
    numeric_exercise,
    weights_of,
)
from narrowlib.network.model import Params
from narrowlib.network.starts import lecun, mirrored_lecun
from narrowlib.training.trajectory import trajectory

BEND = 4 / (3 * math.sqrt(3))  # sup |tanh″|


def _jacobian(W: np.ndarray, v: np.ndarray, X: np.ndarray) -> np.ndarray:
    """J for tanh, in NumPy."""
    D = v / np.cosh(X @ W.T) ** 2
    return (D[:, :, None] * X[:, None, :]).reshape(len(X), -1)


def _constants(params: Params, X: np.ndarray) -> tuple[float, float, float]:
    """S, s and L of a start."""
    W, v = np.asarray(params.W, float), np.asarray(params.v, float)
    values = np.linalg.svd(_jacobian(W, v, X), compute_uv=False)
    L = BEND * np.linalg.norm(X, axis=1).max() * np.linalg.norm(X, 2) * abs(v).max()
    return values[0], values[len(X) - 1], L


@numeric_exercise("2.4.1")
def _path_length(value: float) -> Verdict:
    """(s/L)(1 − √(1 − 2h)) for s = 3, L = 2 and ‖r₀‖ = 2."""
    s, L, size = 3.0, 2.0, 2.0
    root = math.sqrt(1 - 2 * L * size / s**2)
    if near(value, s / L * (1 - root)):
        return Verdict(True, "The first root: the path never gets past it.")
    if near(value, 2 * size / s, 0.01):
        return Verdict(False, "That is the simpler bound. A sharper one stands beside it.")
    if near(value, s / L * (1 + root), 0.01):
        return Verdict(False, "That is the other root. The path starts at length 0.")
    if near(value, s / L, 0.01):
        return Verdict(False, "That is the guaranteed radius. The path is shorter.")
    if near(value, size / s, 0.01):
        return Verdict(False, "So far it would go if J did not change on the way.")
    return Verdict(False, "Find the roots of s p − L p²/2 = ‖r₀‖.")


@exercise("2.4.2")
def _safe_step(answer: Any) -> Verdict:
    """1/β = n / ((S + s)² + L ‖r₀‖), for starts with and without mirrors."""
    function = function_of(answer)
    names = ("right", "no n", "labels", "largest", "no curvature", "squares")
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for seed, make in enumerate((mirrored_lecun, lecun, lecun)):
        data = gaussian(jax.random.key(seed), n=9, d=4)
        start = make(jax.random.key(seed + 10), d=4, m=6)
        X, y, n = np.asarray(data.X), np.asarray(data.y), 9
        (S, s, L), F = _constants(start, X), np.tanh(X @ np.asarray(start.W).T)
        size = np.linalg.norm(F @ np.asarray(start.v) - y)
        positive = "Your function has to return one positive number."
        if (value := number_of(function(start, data.X, data.y), positive)) <= 0:
            return Verdict(False, positive)
        bend = L * size
        for name, beta in zip(names, (
            ((S + s) ** 2 + bend) / n, (S + s) ** 2 + bend,
            ((S + s) ** 2 + L * np.linalg.norm(y)) / n, (S**2 + bend) / n, (S + s) ** 2 / n,
            (S**2 + s**2 + bend) / n,
        ), strict=True):  # fmt: skip
            ratios[name].append(float(value * beta))
    fits = {name: np.allclose(r, 1, rtol=1e-3) for name, r in ratios.items()}
    if fits["right"]:
        return Verdict(True, "In the linear limit it is nearly n/S²: half of what still converges.")
    if fits["no n"]:
        return Verdict(False, "The loss is a mean over samples, so its curvature is divided by n.")
    if fits["labels"]:
        return Verdict(False, "Right at mirrored starts. At others the residual is not −y.")
    if fits["largest"] or fits["squares"]:
        return Verdict(False, "Inside the ball the largest singular value can reach S + s.")
    if fits["no curvature"]:
        return Verdict(False, "The Hessian has a second term, which the residual brings.")
    return Verdict(False, "Compare with the bound on the Hessian's eigenvalues in the proof.")


@numeric_exercise("2.4.3")
def _proved_scale(value: float) -> Verdict:
    """4 L₁ ‖y‖/s₁² in LeCun's units, for one given start."""
    data = gaussian(jax.random.key(24), n=30, d=6)
    start = mirrored_lecun(jax.random.key(25), d=6, m=12)
    X, size = np.asarray(data.X), float(np.linalg.norm(data.y))
    _, s, L = _constants(start, X)
    right, root = 4 * L * size / s**2, math.sqrt(len(start.v))
    if near(value, right, 0.01):
        return Verdict(True, "The proof asks for thousands where a handful does.")
    if near(value, right / 2, 0.01):
        return Verdict(False, "That is enough for the flow. Steps of length 1/β cost a factor.")
    if near(value, right / root, 0.01) or near(value, right * root, 0.01):
        return Verdict(False, "α is counted in units of 1/√m here.")
    if near(value, right / 4, 0.01):
        return Verdict(False, "There h is 1. Which h do you need?")
    return Verdict(False, "Compute h at scale 1, and how it changes with the scale.")


@exercise("2.4.4")
def _stuck(answer: Any) -> Verdict:
    """Params of 12 tanh neurons without a zero, from which J stays without full rank."""
    W, v = weights_of(answer, "Pass the params of your start.", m=12, d=5)
    if (W == 0).any() or (v == 0).any():
        return Verdict(False, "A weight is zero: do without.")
    data = gaussian(jax.random.key(26), n=20, d=5)
    start = Params(jnp.asarray(W, data.X.dtype), jnp.asarray(v, data.X.dtype))
    path = trajectory(start, data.X, data.y, optax.sgd(0.3), num_steps=2000, record_every=100)
    if not np.asarray(path.finite).all():
        return Verdict(False, "That run diverges.")
    X = np.asarray(data.X)
    for k, step in enumerate(np.asarray(path.steps)):
        J = _jacobian(np.asarray(path.params.W[k]), np.asarray(path.params.v[k]), X)
        values = np.linalg.svd(J, compute_uv=False)
        if values[-1] > 1e-9 * values[0]:
            ratio = values[-1] / values[0]
            return Verdict(False, f"After {step} steps J has full rank: σ_min/σ_max = {ratio:.0e}.")
    loss = float(path.loss[-1])
    if loss <= 0.01:
        return Verdict(False, f"The rank is never full, but the loss ends at {loss:.0e}.")
    return Verdict(True, f"The loss ends at {loss:.2f}, and no width would help.")
