"""Checkers of the chapter "From full rank to zero loss"."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import (
    MORE_DIGITS,
    Verdict,
    array_of,
    choice_of,
    exercise,
    few_digits,
    near,
    numeric_exercise,
    weights_of,
)
from narrowlib.network.model import Params
from narrowlib.solvers.result import Solution


@exercise("1.4.1")
def _half_the_singular_value(answer: Any) -> Verdict:
    """The factors by which 2 L₁‖y‖/s₁² and the mirrored bound grow when s₁ is halved."""
    if isinstance(answer, set | frozenset):
        return Verdict(False, "A set has no order. Pass a pair of numbers, such as (2, 2).")
    pair = array_of(answer, "Pass a pair of numbers, such as (2, 2).", (2,))
    right = (0.5**-2, 0.5**-1.5)
    if np.allclose(pair, right, rtol=5e-3):
        return Verdict(True, "The worse the conditioning, the more the mirrors help.")
    if np.allclose(pair[::-1], right, rtol=5e-3):
        return Verdict(False, "The other way round: the theorem's comes first.")
    if np.allclose(pair, np.divide(1, right), rtol=5e-3):
        return Verdict(False, "A smaller s₁ asks for a larger α: your factors are below 1.")
    if np.allclose(pair, 2.0, rtol=5e-3):
        return Verdict(False, "Those are the factors of the distances. How does s₁ enter the α?")
    if pair[0] == right[0]:
        if few_digits(pair[1], right[1]):
            return Verdict(False, MORE_DIGITS)
        return Verdict(False, "The first is right. Which power of s₁ is in the second?")
    return Verdict(False, "Write both bounds as a constant times a power of s₁.")


@numeric_exercise("1.4.2")
def _single_precision(value: float) -> Verdict:
    """The largest α with 4e-16 · (2⁻²³/2⁻⁵²) · α ≤ 1e-3."""
    floor, goal = 4e-16, 1e-3
    right = goal / (floor * 2.0 ** (52 - 23))
    if near(value, right, 0.1):
        return Verdict(True, "Which is why the library asks for float64.")
    if near(value, goal / floor, 0.1):
        return Verdict(False, "That is the α of double precision.")
    if near(value, goal * 2.0 ** (52 - 23) / floor, 0.1):
        return Verdict(False, "Single precision is the coarser one: its floor is higher.")
    if near(value, 1 / right, 0.1):
        return Verdict(False, "Upside down: solve floor · α = 1e-3 for α.")
    return Verdict(False, "Put the ratio of the two units in front of the floor, then solve for α.")


@exercise("1.4.3")
def _small_ball(answer: Any) -> Verdict:
    """At most 28 tanh neurons that fit 60 samples within 1e-4 of a mirrored start."""
    if not isinstance(answer, Solution) or answer.params is None:
        return Verdict(False, "Pass the Solution that nl.interpolate returns.")
    W, v = weights_of(answer.params, "Pass the params of your solution.", d=6)
    if len(W) > 28:
        return Verdict(False, f"At most 28 neurons of 6 inputs; yours are {W.shape}.")
    # the start is the reader's to name, but it has to be mirrored, with these output weights
    start = answer.stats.get("start", answer.state)
    if not isinstance(start, Params) or np.shape(start.W) != W.shape:
        return Verdict(False, "The Solution should name its start, as nl.interpolate's does.")
    begin, half = np.asarray(start.W, float), len(W) // 2
    mirrored = np.array_equal(begin[:half], begin[half:]) and np.array_equal(v[:half], -v[half:])
    if not mirrored:
        return Verdict(False, "The start is not mirrored: halves of W₀ equal, of v opposite.")
    moved = float(np.linalg.norm(W - begin))
    data = gaussian(jax.random.key(8), n=60, d=6)
    r = np.tanh(np.asarray(data.X) @ W.T) @ v - np.asarray(data.y)
    value = float(r @ r) / 120
    if moved <= 1e-4 and value < 1e-14:
        return Verdict(True, f"Moved {moved:.1e}, loss {value:.1e}.")
    if moved > 1e-4 and value < 1e-14:
        return Verdict(False, f"The fit is good, but the neurons moved {moved:.1e}.")
    if moved <= 1e-4:
        return Verdict(False, f"Inside the ball, but the loss is {value:.1e}: not below 1e-14.")
    return Verdict(False, f"The neurons moved {moved:.1e}, and the loss is {value:.1e}.")


@exercise("1.4.4")
def _without_h(answer: Any) -> Verdict:
    """Which sentences about the lemma's path hold where s > 0 but h is not below 1/2."""
    chosen = choice_of(answer, 5, "Pass the numbers of the true sentences, such as {1, 2}.")
    if chosen == {1, 2, 5}:
        return Verdict(True, "Without h < ½ the race may be lost; it need not be.")
    if not chosen >= {1, 2}:
        return Verdict(False, "Steps 1 and 2 ask for rank n where the path is, and not for h.")
    if chosen & {3, 4}:
        return Verdict(False, "A bound that fails says nothing: the path may still arrive.")
    return Verdict(False, "Compare ‖r₀‖ with the top of the curve, s²/2L, where h ≥ ½.")
