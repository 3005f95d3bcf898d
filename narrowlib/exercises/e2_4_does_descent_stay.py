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
from narrowlib.network.starts import mirrored_lecun
from narrowlib.training.trajectory import trajectory

BEND = 4 / (3 * math.sqrt(3))  # sup |tanh″|


def _jacobian(W: np.ndarray, v: np.ndarray, X: np.ndarray) -> np.ndarray:
    """J for tanh, in NumPy; 1/cosh² without overflow."""
    e = np.exp(-2 * abs(X @ W.T))
    D = v * 4 * e / (1 + e) ** 2
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
    return Verdict(False, "Find the roots of s a − L a²/2 = ‖r₀‖.")


@exercise("2.4.2")
def _both_layers(answer: Any) -> Verdict:
    """d‖r‖/dt = −(‖Jᵀr‖² + ‖Φᵀr‖²)/(n‖r‖) where both layers flow."""
    function = function_of(answer)
    ratios: dict[str, list[float]] = {}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        n = 5 + seed
        J, Phi, r = rng.normal(size=(n, 12)), rng.normal(size=(n, 4)), rng.normal(size=n)
        value = number_of(function(J.copy(), Phi.copy(), r.copy()))
        a, b, size = (float(np.linalg.norm(x)) for x in (J.T @ r, Phi.T @ r, r))
        right = -(a**2 + b**2) / (n * size)
        for name, other in {
            "right": right, "sign": -right, "hidden": -(a**2) / (n * size), "no n": right * n,
            "square": right * size, "squared norm": 2 * right * size,
            "sum": -((a + b) ** 2) / (n * size),
        }.items():  # fmt: skip
            ratios.setdefault(name, []).append(value / other)
    fits = {name: np.allclose(r, 1, rtol=1e-4) for name, r in ratios.items()}
    if fits["right"]:
        return Verdict(True, "Step 1 goes through. Step 2 does not: L(v) grows with v.")
    if fits["sign"]:
        return Verdict(False, "The residual shrinks: check the sign.")
    if fits["hidden"]:
        return Verdict(False, "That is the rate with W alone. The outputs also change with v.")
    if fits["no n"]:
        return Verdict(False, "The loss is a mean over samples, so the gradients are divided by n.")
    if fits["square"] or fits["squared norm"]:
        return Verdict(False, "That belongs to ‖r‖². The derivative of ‖r‖ is r·ṙ / ‖r‖.")
    if fits["sum"]:
        return Verdict(False, "The two layers push independently: their squares add up.")
    return Verdict(False, "Write ṙ = J Ẇ + Φ v̇ with both gradients, and take r·ṙ / ‖r‖.")


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
    # J of tanh neurons is the same for w and −w, and its rank at most 5 for each one that differs.
    kinds = len(np.unique(W * np.sign(W[:, :1]), axis=0))
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
    if kinds > 3:
        return Verdict(
            False,
            f"{kinds} of your neurons differ, and four are nearly always enough for full rank, "
            "which saturated or nearly equal neurons lose by rounding only.",
        )
    loss = float(path.loss[-1])
    if loss <= 0.01:
        return Verdict(False, f"The rank is never full, but the loss ends at {loss:.0e}.")
    return Verdict(True, f"The loss ends at {loss:.2f}, and no width would help.")
