"""Checkers of the chapter "The nice region"."""

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
    near,
    number_of,
    numeric_exercise,
    weights_of,
)
from narrowlib.landscape.nice_region import guaranteed_radius
from narrowlib.network.model import Params
from narrowlib.network.starts import mirrored_lecun


@numeric_exercise("2.3.1")
def _plane_radius(value: float) -> Verdict:
    """The distance from (2, −1) to w₁ = w₂ and to σ′(w₁) σ′(w₂) = ½, softplus."""
    slope = np.linspace(0.5, 1, 200_001)[1:-1]  # of w₁ on the curve; that of w₂ is half its inverse
    first, second = (np.log(p / (1 - p)) for p in (slope, 0.5 / slope))
    curve = float(np.hypot(first - 2, second + 1).min())
    diagonal = 3 / math.sqrt(2)
    if near(value, curve, 5e-3):
        return Verdict(True, "The curve is nearer than the diagonal.")
    if near(value, diagonal, 5e-3):
        return Verdict(False, "That is the distance to the diagonal; the curve may be nearer.")
    if near(value, curve**2, 5e-3):
        return Verdict(False, "That is the square of the distance.")
    if 0 < value < curve:
        return Verdict(False, "Within that distance J keeps full rank.")
    if value > curve:
        return Verdict(False, "There is a singular point nearer than that.")
    return Verdict(False, "A distance is above 0.")


@exercise("2.3.2")
def _labels_made_to_order(answer: Any) -> Verdict:
    """Labels y of length √12 with Jᵀy = 0, at a mirrored start with two equal neurons."""
    labels = array_of(answer, "Pass twelve finite numbers.").ravel()
    if labels.size != 12:
        return Verdict(False, f"There are twelve samples; you passed {labels.size} labels.")
    with jax.enable_x64(True):
        X = np.asarray(gaussian(jax.random.key(0), n=12, d=3).X)
        U = np.array(mirrored_lecun(jax.random.key(60), d=3, m=8).W[:4])
    U[1] = U[0]
    slope = (1 - np.tanh(X @ U.T) ** 2) * labels[:, None]  # r = −y, as F = 0
    gradient = math.sqrt(2) * float(np.linalg.norm(slope.T @ X)) / 12
    loss = float(labels @ labels) / 24
    if loss == 0:
        return Verdict(False, "Zero labels are stationary, but the loss is 0 too.")
    if gradient > 1e-6 * math.sqrt(loss):
        return Verdict(False, f"The start is not stationary: its gradient is {gradient:.1g} long.")
    if not near(loss, 0.5, 1e-4):
        return Verdict(False, f"Stationary, but the loss is {loss:.3g}, not one half.")
    return Verdict(True, "J, with two equal neurons, cannot see these labels.")


@exercise("2.3.3")
def _collisions(answer: Any) -> Verdict:
    """The least over pairs and signs of ‖u_j ∓ u_k‖, as a function of U."""
    function = function_of(answer)
    ratios: dict[str, list[float]] = {"right": [], "minus": [], "half": [], "double": []}
    for seed in range(4):
        U = np.random.default_rng(seed).normal(size=(5, 3))
        pairs = [(j, k) for j in range(5) for k in range(j)]
        minus = min(float(np.linalg.norm(U[j] - U[k])) for j, k in pairs)
        plus = min(float(np.linalg.norm(U[j] + U[k])) for j, k in pairs)
        value = number_of(function(U.copy()))
        right = min(minus, plus)
        ratios["right"].append(value / right)
        ratios["minus"].append(value / minus)
        ratios["half"].append(value * math.sqrt(2) / right)
        ratios["double"].append(value / math.sqrt(2) / right)
    fits = {name: np.allclose(r, 1, rtol=1e-6) for name, r in ratios.items()}
    if fits["right"]:
        return Verdict(True, "Four neurons move, two of each kind, each by half the gap.")
    if fits["minus"]:
        return Verdict(False, "The slope of tanh is even: opposite neurons are as good as equal.")
    if fits["half"]:
        return Verdict(False, "That is the distance for U alone; the twins move too.")
    if fits["double"]:
        return Verdict(False, "Each of the two neurons has to go only half the way.")
    return Verdict(False, "Move two neurons to their mean, or to the mean and its opposite.")


@exercise("2.3.4")
def _doubled_radius(answer: Any) -> Verdict:
    """Mirrored weights, no longer than at a given start, with five times its guaranteed radius."""
    W, v = weights_of(answer, "Pass the params of your new start.", 10, 3)
    with jax.enable_x64(True):
        X = jax.random.normal(jax.random.key(30), (12, 3))
        start = mirrored_lecun(jax.random.key(31), d=3, m=10)
        longest = float(np.linalg.norm(start.W))
        if np.linalg.norm(W) > longest * (1 + 1e-9):
            size = np.linalg.norm(W)
            return Verdict(False, f"‖W‖ is {size:.3f}; at most {longest:.3f} is allowed.")
        if abs(W[:5] - W[5:]).max() > 1e-9 or abs(v[:5] + v[5:]).max() > 1e-9 * abs(v).max():
            return Verdict(False, "The start should be mirrored: (U; U) and (u; −u).")
        before = float(guaranteed_radius(start, X))
        after = float(guaranteed_radius(Params(jax.numpy.asarray(W), jax.numpy.asarray(v)), X))
    gain = after / before
    if gain >= 5:
        return Verdict(True, f"The radius grew by a factor of {gain:.2f}.")
    if gain < 1 - 1e-6:
        return Verdict(False, f"The radius fell, to {gain:.2f} of what it was.")
    return Verdict(False, f"The radius is {gain:.2f} times that of the start; 5 is asked for.")
