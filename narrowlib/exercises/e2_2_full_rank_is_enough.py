"""Checkers of Part 2, Chapter 2, "Full rank makes stationary points global"."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import jax
import numpy as np
import optax

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    Verdict,
    exercise,
    function_of,
    number_of,
    numeric_exercise,
    weights_of,
)
from narrowlib.landscape.nice_region import guaranteed_radius
from narrowlib.network.starts import mirrored_lecun
from narrowlib.training.trajectory import trajectory


@numeric_exercise("2.2.1")
def _promised_steps(value: float) -> Verdict:
    """The least k with (1 - η μ)^k at most 1e-6: n = 40, η = 0.2, σ_min = 0.4."""
    n, eta, s, goal = 40, 0.2, 0.4, 1e-3

    def steps(rate: float, goal: float) -> int:
        return math.ceil(math.log(goal) / math.log1p(-rate))

    right = steps(eta * s**2 / n, goal**2)
    if value == right:
        return Verdict(True, "The square of the residual takes twice as long as the residual.")
    if abs(value - right) <= 1:
        return Verdict(False, "Very close: the least whole number that is enough is asked for.")
    if abs(value - math.log(goal**-2) / (eta * s**2 / n)) <= 2:
        return Verdict(False, "That is the flow's exponential. Use the factor 1 - ημ itself.")
    if abs(value - right / 2) <= 10:
        return Verdict(False, "Half of it: the loss falls by 1000 only, or by twice ημ a step.")
    if abs(value - steps(eta * s / n, goal**2)) <= 2:
        return Verdict(False, "μ has the square of σ_min.")
    if abs(value - steps(eta * s**2, goal**2)) <= 2:
        return Verdict(False, "μ is σ_min² over n: the loss is a mean.")
    return Verdict(False, "μ = σ_min²/n, and the loss falls like the square of the residual.")


@exercise("2.2.2")
def _both_layers(answer: Any) -> Verdict:
    """λ_min(J Jᵀ + Φ Φᵀ)/n, as a function of J and Φ."""
    function = function_of(answer)
    ratios: dict[str, list[float]] = {
        name: [] for name in ("right", "no n", "J alone", "root", "sum", "norm")
    }
    for seed in range(3):
        rng = np.random.default_rng(seed)
        n = 6 + seed
        J, Phi = rng.normal(size=(n, n + 2)), rng.normal(size=(n, n + 1))
        kernels = J @ J.T, Phi @ Phi.T
        value = number_of(function(J.copy(), Phi.copy()))
        right = float(np.linalg.eigvalsh(sum(kernels))[0]) / n
        parts = [float(np.linalg.eigvalsh(kernel)[0]) / n for kernel in kernels]
        ratios["right"].append(value / right)
        ratios["no n"].append(value / (right * n))
        ratios["J alone"].append(value / parts[0])
        ratios["root"].append(value / (math.sqrt(right * n) / n))
        ratios["sum"].append(value / sum(parts))
        ratios["norm"].append(value / (right / n))
    fits = {name: np.allclose(r, 1, rtol=1e-6) for name, r in ratios.items()}
    if fits["right"]:
        return Verdict(True, "The kernels of the two layers add up.")
    if fits["no n"] or fits["norm"]:
        return Verdict(False, "Count the factors of n: the gradient has 1/n, the loss 1/(2n).")
    if fits["J alone"]:
        return Verdict(False, "That holds, but it is not the largest: v moves too.")
    if fits["root"]:
        return Verdict(False, "A singular value has to be squared.")
    if fits["sum"]:
        return Verdict(False, "That holds, but the two minima belong to different vectors.")
    if all(0 <= r < 1 for r in ratios["right"]):
        return Verdict(False, "The inequality holds with that number, but also with a larger one.")
    return Verdict(False, "Write the gradient in all weights as a matrix times r.")


@exercise("2.2.3")
def _bad_point(answer: Any) -> Verdict:
    """Six tanh neurons at rest in W, with a positive loss, on 12 given samples."""
    W, v = weights_of(answer, "Pass the params of your network.", 6, 4)
    if np.abs(v).min() < 0.1:
        return Verdict(False, "Keep every |v_j| at 0.1 or more: a silent neuron is too easy.")
    with jax.enable_x64(True):
        X, y = (np.asarray(a) for a in gaussian(jax.random.key(12), n=12, d=4)[:2])
    phi = np.tanh(X @ W.T)
    r = phi @ v - y
    gradient = np.linalg.norm(((1 - phi**2) * np.outer(r, v)).T @ X) / 12
    loss = float(r @ r) / 24
    if loss < 0.1:
        return Verdict(False, f"The loss is {loss:.1e}: that is no bad point.")
    if gradient > 1e-12:
        return Verdict(False, f"The gradient is {gradient:.1e}. Which W make J small, or zero?")
    return Verdict(
        True, f"Loss {loss:.2f}, gradient {gradient:.0e}: at rest, as far as doubles go."
    )


@cache
def _first_steps_outside() -> tuple[float, int, int]:
    """The guaranteed radius; the first step outside of it, with W and with both layers trained."""
    with jax.enable_x64(True):
        start = mirrored_lecun(jax.random.key(52), d=10, m=12)
        data = gaussian(jax.random.key(2), n=40, d=10)
        radius = float(guaranteed_radius(start, data.X))
        steps = []
        for moves in (("W",), ("W", "v")):
            rule = optax.sgd(1e-4)
            path = trajectory(start, data.X, data.y, rule, num_steps=1000, trainable=moves)
            steps.append(int(np.argmax(np.asarray(path.distance) > radius)))
    return radius, steps[0], steps[1]


@numeric_exercise("2.2.4")
def _leaving(value: float) -> Verdict:
    """The first step at which descent on W with η = 1e-4 is outside the guaranteed ball."""
    radius, right, both = _first_steps_outside()
    if value == right:
        return Verdict(True, f"The radius is {radius:.4f}, and the loss has hardly changed.")
    if value == right - 1:
        return Verdict(False, "One more: that is the last step inside.")
    if value == both:
        return Verdict(False, "That is with v trained too. Only W moves here.")
    if value > right:
        return Verdict(False, "It is outside earlier. Is your radius s/L, with max|v_j| in L?")
    return Verdict(False, "It is still inside there.")
