"""Checkers of the chapter "From full rank to zero loss"."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import Verdict, as_number, as_weights, exercise, numeric_exercise
from narrowlib.network.model import Params, loss
from narrowlib.solvers.result import Solution


@exercise("1.4.1")
def _half_the_singular_value(answer: Any) -> Verdict:
    """The factors by which 2 L₁‖y‖/s₁² and the mirrored bound grow when s₁ is halved."""
    try:
        pair = [as_number(value) for value in answer]
    except TypeError:
        return Verdict(False, "Pass a pair of numbers, such as (2, 2).")
    if len(pair) != 2 or None in pair:
        return Verdict(False, "Pass a pair of numbers, such as (2, 2).")

    def close(values: list[Any], right: tuple[float, float]) -> bool:
        return bool(np.allclose(np.array(values, float), right, rtol=5e-3))

    right = (0.5**-2, 0.5**-1.5)
    if close(pair, right):
        return Verdict(True, "The worse the conditioning, the more the mirrors help.")
    if close(pair[::-1], right):
        return Verdict(False, "The other way round: the theorem's comes first.")
    if close(pair, (1 / right[0], 1 / right[1])):
        return Verdict(False, "A smaller s₁ asks for a larger α: your factors are below 1.")
    if close(pair, (2.0, 2.0)):
        return Verdict(False, "Those are the factors of the distances. How does s₁ enter the α?")
    return Verdict(False, "Write both bounds as a constant times a power of s₁.")


@numeric_exercise("1.4.2")
def _single_precision(value: float) -> Verdict:
    """The largest α with 4e-16 · (2⁻²³/2⁻⁵²) · α ≤ 1e-3."""
    floor, goal = 4e-16, 1e-3
    right = goal / (floor * 2.0 ** (52 - 23))

    def close(guess: float) -> bool:
        return value > 0 and abs(math.log(value / guess)) < 0.1

    if close(right):
        return Verdict(True, "Which is why the library asks for float64.")
    if close(goal / floor):
        return Verdict(False, "That is the α of double precision.")
    if close(goal * 2.0 ** (52 - 23) / floor):
        return Verdict(False, "Single precision is the coarser one: its floor is higher.")
    if close(1 / right):
        return Verdict(False, "Upside down: solve floor · α = 1e-3 for α.")
    return Verdict(False, "Put the ratio of the two units in front of the floor, then solve for α.")


@exercise("1.4.3")
def _small_ball(answer: Any) -> Verdict:
    """At most 28 tanh neurons that fit 60 samples within 1e-4 of a mirrored start."""
    if not isinstance(answer, Solution) or not isinstance(answer.params, Params):
        return Verdict(False, "Pass the Solution that nl.interpolate returns.")
    weights = as_weights(answer.params, "solution")
    if isinstance(weights, Verdict):
        return weights
    W, v = weights
    if W.ndim != 2 or W.shape[1] != 6 or W.shape[0] > 28 or v.shape != W.shape[:1]:
        return Verdict(False, f"At most 28 neurons of 6 inputs; yours are {np.shape(W)}.")
    if not (np.isfinite(W).all() and np.isfinite(v).all()):
        return Verdict(False, "Some weights are not finite.")
    # the start is the reader's to name, but it has to be mirrored, with these output weights
    start = answer.state
    if not isinstance(start, Params) or np.shape(start.W) != W.shape:
        return Verdict(False, "The Solution's state should be the start.")
    begin, half = np.asarray(start.W, float), W.shape[0] // 2
    mirrored = np.array_equal(begin[:half], begin[half:]) and np.array_equal(v[:half], -v[half:])
    if not mirrored:
        return Verdict(False, "The start is not mirrored: halves of W₀ equal, of v opposite.")
    moved = float(np.linalg.norm(W - begin))
    data = gaussian(jax.random.key(8), n=60, d=6)
    value = float(loss(Params(*answer.params), data.X, data.y))
    if moved <= 1e-4 and value < 1e-14:
        return Verdict(True, f"Moved {moved:.1e}, loss {value:.1e}.")
    if moved > 1e-4 and value < 1e-14:
        return Verdict(False, f"The fit is good, but the neurons moved {moved:.1e}.")
    if moved <= 1e-4:
        return Verdict(False, f"Inside the ball, but the loss is {value:.1e}: not below 1e-14.")
    return Verdict(False, f"The neurons moved {moved:.1e}, and the loss is {value:.1e}.")
