"""Checkers of the chapter "How narrow can it get?"."""

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


@exercise("1.6.1")
def _half_eta(answer: Any) -> Verdict:
    """2^(p - n) with p = m (d + 1), for n = 24, d = 4 and m = 4, 5."""
    n, d = 24, 4
    message = "Pass a pair: the factor with four neurons, and the one with five."
    values = array_of(answer, message, (2,))

    def given(*parameters: int) -> bool:
        return bool(np.allclose(values, [2.0 ** (p - n) for p in parameters], rtol=1e-6))

    if given(4 * (d + 1), 5 * (d + 1)):
        return Verdict(True, "It falls to a sixteenth with four neurons, and doubles with five.")
    if np.allclose(values, [16, 0.5], rtol=1e-6):
        return Verdict(False, "These are the factors for a doubled η: it is halved.")
    if given(4 * d, 5 * d):
        return Verdict(False, "The output weights count too: each neuron has d + 1 parameters.")
    if np.allclose(values, [2.0**-n] * 2, rtol=1e-6):
        return Verdict(False, "Each image shrinks like that; but there are more cubes now.")
    if np.allclose(values, [4, -1], rtol=1e-6):
        return Verdict(False, "These are the exponents n - p. By what is the bound multiplied?")
    if near(float(values[0]), 1 / 16):
        return Verdict(False, "The first is right. With five neurons n - p is negative.")
    return Verdict(False, "Put η/2 for η in η^(n - p), with p = m (d + 1).")


@numeric_exercise("1.6.2")
def _floor_outputs(value: float) -> Verdict:
    """The least m with m (d + K) ≥ n K: n = 60,000, d = 784, K = 10."""
    n, d, K = 60_000, 784, 10
    if value == math.ceil(n * K / (d + K)):
        return Verdict(True, "Each neuron brings d hidden and K output weights.")
    if value == n * K // (d + K):
        return Verdict(False, "Close: that width is still excluded. Round up.")
    if value == math.ceil(n * K / (d + 1)):
        return Verdict(False, "Each neuron has K output weights now, not one.")
    if value == math.ceil(n * K / d):
        return Verdict(False, "You left out the output weights.")
    if value in (math.ceil(n / (d + 1)), math.ceil(n / (d + K))):
        return Verdict(False, "Each sample is K equations.")
    return Verdict(False, "Compare the number of parameters with the dimension of the targets.")


@exercise("1.6.3")
def _largest_delta(answer: Any) -> Verdict:
    """γ / (2 max |g·x_i|), as a function of X, u, g and the block."""
    function = function_of(answer)
    ratios: dict[str, list[float]] = {"right": [], "no half": [], "block": [], "all gaps": []}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, B = rng.normal(size=(12, 3)), rng.choice(12, size=3, replace=False)
        u, g = np.linalg.solve(X[B], np.ones(3)), np.linalg.solve(X[B], rng.normal(size=3))
        miss, values = np.abs(X @ u - 1), np.abs(X @ g)
        gap = np.delete(miss, B).min()
        value = number_of(function(X.copy(), u.copy(), g.copy(), B.copy()))
        ratios["right"].append(value / (gap / (2 * values.max())))
        ratios["no half"].append(value / (gap / values.max()))
        ratios["block"].append(value / (gap / (2 * values[B].max())))
        ratios["all gaps"].append(value / gap)
    fits = {name: np.allclose(r, 1, rtol=1e-6) for name, r in ratios.items()}
    if fits["right"]:
        return Verdict(True, "The gap over twice the largest |g·x|.")
    if fits["no half"]:
        return Verdict(False, "Twice too large: the slab's sides are at half the gap.")
    if fits["block"]:
        return Verdict(False, "g is large at samples outside the block too: take them in.")
    if all(0 <= r < 1e-9 for r in ratios["all gaps"]):
        return Verdict(False, "Nearly zero: leave the block itself out of the gap.")
    if all(0 < r < 1 for r in ratios["right"]):
        return Verdict(False, "That δ is allowed, but it is not the largest.")
    return Verdict(False, "δ times the largest |g·x| may be as large as half the gap, no more.")


@exercise("1.6.4")
def _just_above(answer: Any) -> Verdict:
    """Params of at most five tanh neurons that fit 40 given samples of 9 inputs."""
    W, v = weights_of(answer, "Pass the params of your solution.", d=9)
    if len(W) > 5:
        return Verdict(False, f"W should be at most 5 × 9; yours is {W.shape}.")
    data = gaussian(jax.random.key(11), n=40, d=9)
    r = np.tanh(np.asarray(data.X) @ W.T) @ v - np.asarray(data.y)
    value = float(r @ r) / 80
    if value < 1e-18:
        return Verdict(True, f"Loss {value:.1e} with {len(v)} neurons: half the theorem's width.")
    if value < 1e-6:
        return Verdict(False, f"The loss is {value:.1e}, close; below 1e-18 is asked for.")
    return Verdict(False, f"The loss is {value:.1e}; below 1e-18 is asked for. Try more starts.")
