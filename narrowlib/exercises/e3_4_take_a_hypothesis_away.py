"""Checkers of the chapter "Take a hypothesis away"."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from scipy.optimize import nnls

from narrowlib.constraints.base import Product
from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import Verdict, exercise, near, numeric_exercise, weights_of
from narrowlib.network.starts import mirrored_lecun

SAMPLES, EXPECTED = 1000, 0.01


@numeric_exercise("3.4.1")
def _enough_for_relu(value: float) -> Verdict:
    """The least even m with n 2^(−m/2) below the number asked for."""
    pairs = next(h for h in range(100) if SAMPLES * 2.0**-h < EXPECTED)
    if value == 2 * pairs:
        return Verdict(True, "The width grows with log n only.")
    if value == pairs:
        return Verdict(False, "That is the number of pairs.")
    if value == 2 * next(h for h in range(100) if 2.0**-h < EXPECTED):
        return Verdict(False, "That is for one sample. There are a thousand.")
    if value == 2 * (pairs - 1):
        return Verdict(False, "At that width the expected number is still above it.")
    return Verdict(False, "n samples, each dead with probability 2^(−m/2).")


def _problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y and the centre of the chapter."""
    data = gaussian(jax.random.key(7), n=12, d=8)
    start = mirrored_lecun(jax.random.key(0), d=8, m=4)
    return np.asarray(data.X), np.asarray(data.y), np.asarray(start.W)


@exercise("3.4.2")
def _off_centre_tip(answer: Any) -> Verdict:
    """At v = 0, ⟨y, F(W, ·)⟩ ≤ 0 on the extreme rays u = (1, 2) and (2, 1)."""
    W, v = weights_of(answer, "Pass the params of your point.", m=4, d=8)
    if np.any(v != 0):
        return Verdict(False, "At the tip v is zero.")
    with jax.enable_x64(True):
        X, y, center = _problem()
    away = float(np.linalg.norm(W - center))
    if away > 0.1 * (1 + 1e-9):
        return Verdict(False, f"‖W − W₀‖ is {away:.3f}: outside the ball.")
    if away < 0.05 * (1 - 1e-9):
        return Verdict(False, f"‖W − W₀‖ is {away:.3f}: too near to the centre.")
    phi = np.tanh(X @ W.T)
    slopes = y @ (phi[:, :2] - phi[:, 2:])
    worst = max(slopes @ [1, 2], slopes @ [2, 1])
    if worst > 1e-9:
        return Verdict(False, f"Some v of the cone has ⟨y, F⟩ > 0, as much as {worst:.2f}.")
    return Verdict(True, "No v of the cone helps, and W has no gradient.")


@exercise("3.4.3")
def _which_hypothesis(answer: Any) -> Verdict:
    """B: the output at the start is not zero."""
    letter = answer.strip().upper() if isinstance(answer, str) else ""
    hints = {
        "A": "σ_min is far above Le/2, so the ball is small enough at this point.",
        "C": "At v = 0 both σ_min and the rate of change would be zero.",
        "D": "A paired cone holds the ray through each of its points.",
        "E": "σ_min is not zero, so J has full rank.",
    }
    if letter == "B":
        return Verdict(True, "The output at the start should vanish, and it does not.")
    return Verdict(False, hints.get(letter, "Hand in one letter from A to E."))


@numeric_exercise("3.4.4")
def _worst_loss(value: float) -> Verdict:
    """The supremum of (1 − t)²/(4 (1 + t²)) over 0 < t < 1."""
    t = np.linspace(1e-7, 1, 1001)[:-1]
    right = float(np.max((1 - t) ** 2 / (4 * (1 + t**2))))
    if near(value, right, 1e-5):
        return Verdict(True, "One sample fitted, the other not at all.")
    if near(value, 2 * right, 1e-5):
        return Verdict(False, "That is the loss of F = 0: one of the samples can be fitted.")
    if near(value, 4 * right, 1e-5):
        return Verdict(False, "The loss is divided by 2n, and here n = 2.")
    return Verdict(False, "Let f₂/f₁ run from 0 to 1. Where is the loss largest?")


@exercise("3.4.5")
def _rays_without_a_mirror(answer: Any) -> Verdict:
    """The bound of the proposition, from NumPy and nnls, at least 0.3."""
    if not isinstance(answer, Product):
        return Verdict(False, "Pass the Product.")
    ball, (kind, cone) = answer.W.as_ball(), answer.v.describe() or ("", {})
    if ball is None or ball.per_neuron or kind != "PairedCone":
        return Verdict(False, "W should be in one Ball, v in a PairedCone.")
    center = np.asarray(ball.center, float)
    if center.shape != (4, 8):
        return Verdict(False, f"The centre should be 4 × 8; yours is {center.shape}.")
    radius, zeta, kappa = (float(a) for a in (ball.radius, cone["zeta"], cone["kappa"]))
    if radius < 1e-3 * (1 - 1e-9) or zeta <= 0 or kappa != 2:
        return Verdict(False, "The radius should be at least 0.001, ζ > 0 and κ = 2.")
    with jax.enable_x64(True):
        X, y, _ = _problem()
    phi = np.tanh(X @ center.T)
    g = phi[:, :2] - phi[:, 2:]
    if np.abs(g).max() < 1e-12:
        return Verdict(False, "Your start is mirrored: the theorem's own set.")
    t = np.linspace(0.5, 1, 2001)[:, None]
    sizes = [np.linalg.norm(a + t * b, axis=1).min() for a, b in (g.T, g.T[::-1])]
    q = np.linalg.norm(X, 2) * 2 * radius / min(sizes)
    away = nnls(g @ np.array([[1.0, 2.0], [2.0, 1.0]]), y)[1] / np.linalg.norm(y)
    if q >= 1:
        return Verdict(False, f"q is {q:.2f}: the ball is too large for the bound.")
    angle = math.asin(min(away, 1.0)) - math.asin(q)
    bound = math.sin(max(angle, 0.0)) ** 2 / 2
    if bound <= 0.3:
        return Verdict(False, f"The bound is {bound:.3f}.")
    return Verdict(True, f"Rays and full rank, and no loss below {bound:.3f}.")
