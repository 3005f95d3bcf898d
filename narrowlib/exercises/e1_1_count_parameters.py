"""Checkers of the chapter "Count parameters, not neurons"."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import jax
import numpy as np

from narrowlib.datasets import gaussian
from narrowlib.exercises._answers import Verdict, array_of, exercise, numeric_exercise
from narrowlib.solvers.interpolate import interpolate


def _even_width(directions: int, equations: int) -> int:
    """The least even m whose m/2 pairs bring at least as many directions as equations."""
    return 2 * math.ceil(equations / directions)


@numeric_exercise("1.1.1")
def _bias(value: float) -> Verdict:
    """The least even width with (m/2)(d + 1) ≥ n, for n = 1000 and d = 9."""
    n, d = 1000, 9
    if value == _even_width(d + 1, n):
        return Verdict(True, "A bias is one more input, always 1: d + 1 directions a pair.")
    if value == _even_width(d, n):
        return Verdict(False, "That is the width without biases.")
    if value == _even_width(d + 2, n):
        return Verdict(False, "You counted the output weights too; they are not trained here.")
    if value == _even_width(d + 1, n) / 2:
        return Verdict(False, "That is the count at a general start. Mirrored, a pair counts once.")
    return Verdict(False, "How many trained numbers does a pair of twins bring? Twins count once.")


@numeric_exercise("1.1.2")
def _outputs(value: float) -> Verdict:
    """The least even width with (m/2) d ≥ n K: n = 50,000, d = 3,072, K = 10."""
    n, d, K = 50_000, 3072, 10
    if value == _even_width(d, n * K):
        return Verdict(True, "n K equations, and d directions from each pair.")
    if value == _even_width(d, n):
        return Verdict(False, "That is the width for one output. Each sample is K equations.")
    if value == K * _even_width(d, n):
        return Verdict(
            False,
            "That rounds up for each output by itself: it is enough, but the count allows less.",
        )
    if value == math.ceil(n * K / d):
        return Verdict(False, "That is the count at a general start. Mirrored, a pair counts once.")
    return Verdict(False, "Count the rows of J, and its columns without those that twins repeat.")


@exercise("1.1.3")
def _null_move(answer: Any) -> Verdict:
    """A displacement (4, 3) that J maps to zero at every mirrored start with four neurons."""
    move = array_of(answer, "Pass an array of shape (4, 3) of finite numbers.")
    if move.shape != (4, 3):
        return Verdict(False, f"W has shape (4, 3), so Δ has too; yours has {move.shape}.")
    size = float(np.abs(move).max())
    if size == 0:
        return Verdict(False, "Zero moves nothing, but Δ ≠ 0 is asked for.")
    move = move / size
    rng = np.random.default_rng(0)
    felt = 0.0
    for _ in range(5):
        X, U, u = rng.normal(size=(7, 3)), rng.normal(size=(2, 3)), rng.uniform(0.5, 2, size=2)
        W, v = np.concatenate([U, U]), np.concatenate([u, -u])
        change = ((1 - np.tanh(X @ W.T) ** 2) * (X @ move.T)) @ v
        felt = max(felt, float(np.abs(change).max()))
    if felt < 1e-10:
        return Verdict(True, "Twins that move alike go on cancelling.")
    if np.allclose(move[:2], -move[2:]):
        return Verdict(False, "Twins that move oppositely do not cancel: their changes add up.")
    return Verdict(False, "The outputs change. Write J vec Δ with the two halves of J and of Δ.")


@numeric_exercise("1.1.4")
def _sign_patterns(value: float) -> Verdict:
    """Sign patterns of one neuron without bias on n = 10 points in general position, d = 2."""
    n, d = 10, 2

    def dichotomies(inputs: int) -> int:
        return 2 * sum(math.comb(n - 1, k) for k in range(inputs))

    if value == dichotomies(d):
        return Verdict(True, "Two for each point, of 1,024.")
    if value == n:
        return Verdict(False, "Each point changes its sign twice as w turns once around.")
    if value == dichotomies(d + 1):
        return Verdict(False, "That is right for a neuron with a bias; this one has none.")
    if value == 2 * dichotomies(d):
        return Verdict(False, "The sign of v adds nothing: −w is among the w already.")
    if value == 2**n:
        return Verdict(False, "Those are all labellings; one neuron makes only a few of them.")
    return Verdict(False, "Turn w slowly, and list the patterns that appear; none comes twice.")


@cache
def _fewest_bits() -> int:
    """The least b at which moves rounded to b bits keep all 200 signs, at 24 neurons."""
    with jax.enable_x64(True):
        X, y, *_ = gaussian(jax.random.key(0), n=200, d=20)
        fit = interpolate(X, y, key=jax.random.key(9), width=24)
        start, v = (np.asarray(part) for part in (fit.stats["start"].W, fit.params.v))
        moves, X, y = np.asarray(fit.params.W) - start, np.asarray(X), np.asarray(y)
    for b in range(2, 25):
        unit = np.abs(moves).max() / (2 ** (b - 1) - 1)
        outputs = np.tanh(X @ (start + unit * np.round(moves / unit)).T) @ v
        if (outputs * y > 0).all():
            return b
    return 25


@numeric_exercise("1.1.5")
def _bits(value: float) -> Verdict:
    """The fewest bits a weight that keep 200 random signs, by rounding to an even grid."""
    right = _fewest_bits()
    if value == right:
        a_label = right * 24 * 20 / 200
        return Verdict(True, f"That is {a_label:.0f} bits a label, of which it carries one.")
    if value in (32, 64):
        return Verdict(False, "That is how weights are stored; round their moves to fewer bits.")
    if value >= 480:
        return Verdict(False, "That counts several weights together; how many bits has each?")
    if 1 < value < right:
        return Verdict(False, f"With {value:g} bits a sign is lost: compare F and y one by one.")
    if value > right:
        return Verdict(False, "That is enough, but fewer bits are, too.")
    return Verdict(False, "A grid needs two bits or more: one value for each sign, and zero.")
