"""Checkers of the chapter "The nice region"."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
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


@numeric_exercise("2.3.2")
def _scale_for_a_fit(value: float) -> Verdict:
    """2‖y‖/(α s₁) = s₁/L₁ with ‖y‖ = 5, s₁ = 0.2, L₁ = 40."""
    size, s1, L1 = 5.0, 0.2, 40.0
    named = {
        2 * L1 * size / s1**2: Verdict(True, "It is the scale that the theorem asks for."),
        L1 * size / s1**2: Verdict(False, "The fit is promised within 2‖y‖/(α s₁)."),
        2 * L1 * size / s1: Verdict(False, "s₁ enters twice: in the distance and in the radius."),
        2 * size / s1**2: Verdict(False, "The radius is s₁/L₁, not s₁."),
        2 * size / s1: Verdict(False, "That makes the distance 1. The ball's radius is s₁/L₁."),
    }
    for right, verdict in named.items():
        if near(value, right, 1e-6):
            return verdict
    return Verdict(False, "Put the distance that is promised equal to the radius, which has no α.")


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
def _relu_radius(answer: Any) -> Verdict:
    """‖max(W x, 0)‖ / ‖x‖ for ReLU and one sample."""
    function = function_of(answer)
    cases = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        W, x = rng.normal(size=(4, 3)), rng.normal(size=3)
        z, size = W @ x, float(np.linalg.norm(x))
        if not (z > 0).any() or (z > 0).all():
            continue
        value = number_of(function(W.copy(), x.copy()))
        awake = z[z > 0]
        norms = {"right": awake, "all": z, "least": awake.min(), "most": awake.max()}
        cases.append({k: value * size / float(np.linalg.norm(a)) for k, a in norms.items()})
        cases[-1]["not divided"] = cases[-1]["right"] / size
    fits = {k: all(abs(c[k] - 1) < 1e-6 for c in cases) for k in cases[0]}
    if fits["right"]:
        return Verdict(True, "Neurons that sleep already need not move.")
    if fits["all"]:
        return Verdict(False, "Neurons with w·x < 0 are asleep already: they stay where they are.")
    if fits["least"]:
        return Verdict(False, "Putting one neuron to sleep is not enough: the others still speak.")
    if fits["most"]:
        return Verdict(False, "All neurons that are awake move; add the squares of their moves.")
    if fits["not divided"]:
        return Verdict(False, "To change w·x by one, w has to move by 1/‖x‖.")
    return Verdict(False, "J is zero once no neuron is awake. How far is the nearest such W?")


@exercise("2.3.5")
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
