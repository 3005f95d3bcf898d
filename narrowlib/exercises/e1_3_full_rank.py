"""Checkers of Part 1, Chapter 3, "Almost every start has full rank"."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import jax
import numpy as np

from narrowlib.exercises._answers import Verdict, array_of, exercise, numeric_exercise
from narrowlib.landscape.rank_sweep import rank_sweep


@numeric_exercise("1.3.1")
def _square_rank(value: float) -> Verdict:
    """The dimension of span{sym(w_j e_k)} for 3 neurons and 10 inputs, by linear algebra."""
    h, d = 3, 10
    neurons = np.random.default_rng(0).normal(size=(h, d))
    forms = [np.outer(w, e) + np.outer(e, w) for w in neurons for e in np.eye(d)]
    right = int(np.linalg.matrix_rank(np.stack([form.ravel() for form in forms])))
    if value == right:
        return Verdict(True, "Forms that vanish on the neurons are the ones missing.")
    if value == d * (d + 1) // 2:
        return Verdict(False, "That is all quadratic forms. Three neurons do not make them all.")
    if value in (h * d, 2 * h * d):
        return Verdict(False, "That counts columns. Some of them are combinations of others.")
    return Verdict(False, "Count the symmetric matrices B with B w_j = 0 for all j.")


@exercise("1.3.2")
def _null_point(answer: Any) -> Verdict:
    """Different samples and neurons in the plane whose J_U is singular all the same."""
    pair = "Pass (X, U) with shapes (6, 2) and (3, 2), all numbers finite."
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return Verdict(False, pair)
    X, U = array_of(answer[0], pair, (6, 2)), array_of(answer[1], pair, (3, 2))
    lengths = np.linalg.norm(np.concatenate([X, U]), axis=1)
    if lengths.min() < 1e-2 or lengths.max() > 10:
        return Verdict(False, "Keep samples and neurons between 0.01 and 10 in length.")
    if min(np.linalg.norm(X[i] - X[k]) for i in range(6) for k in range(i)) < 1e-2:
        return Verdict(False, "Two samples are (nearly) equal.")
    signed = product(((0, 1), (0, 2), (1, 2)), (1, -1))
    if min(np.linalg.norm(U[j] - sign * U[k]) for (j, k), sign in signed) < 1e-2:
        return Verdict(False, "Two neurons are (nearly) equal or opposite. Find another way.")
    J = ((1 - np.tanh(X @ U.T) ** 2)[:, :, None] * X[:, None, :]).reshape(6, 6)
    s = np.linalg.svd(J, compute_uv=False)
    if s[-1] < 1e-9 * s[0]:
        return Verdict(True, f"σ_min/σ_max = {s[-1] / s[0]:.0e}: a point of the null set.")
    return Verdict(False, f"J_U is invertible: σ_min/σ_max = {s[-1] / s[0]:.0e}.")


@numeric_exercise("1.3.3")
def _blind_start(value: float) -> Verdict:
    """P(rank J = 2) for ReLU with two samples, one input and four neurons in U: over all signs."""
    h = 4
    full = 0
    for x in product((1, -1), repeat=2):
        for w in product((1, -1), repeat=h):
            seen = np.array([[xi * (xi * wj > 0) for wj in w] for xi in x])
            full += int(np.linalg.matrix_rank(seen) == 2)
    right = full / 2 ** (h + 2)
    if abs(value - right) < 1e-6:
        return Verdict(True, "Opposite samples, and a neuron for each.")
    if abs(value - 2 * right) < 1e-6:
        return Verdict(False, "That takes the samples to have opposite signs. How likely is that?")
    if abs(value - (1 - 0.5**h)) < 1e-6:
        return Verdict(False, "That is one sample's chance of being seen. There are two.")
    if abs(value - (1 - right)) < 1e-6:
        return Verdict(False, "That is the probability that the rank is below 2.")
    if abs(value - 0.5 * (1 - 2 * 0.5 ** (2 * h))) < 1e-6:
        return Verdict(False, "Twins share their w: only m/2 neurons are drawn.")
    return Verdict(False, "Neither two samples of one sign nor neurons of one sign give rank 2.")


@cache
def _first_good_width() -> int:
    """By the sweep that is asked for."""
    widths = np.arange(8, 25, 2)
    with jax.enable_x64(True):
        sweep = rank_sweep(jax.random.key(5), n=40, d=10, m=widths, draws=500)
    reached = np.median(sweep.sigma_min, axis=1) >= 0.7
    return int(widths[reached.argmax()])


@numeric_exercise("1.3.4")
def _good_width(value: float) -> Verdict:
    """The first even m whose median s₁ reaches 0.7."""
    right = _first_good_width()
    if value == right:
        return Verdict(True, "Full rank takes 8 neurons; a good s₁ takes more.")
    if value == 8:
        return Verdict(False, "There the rank is full, but s₁ is far smaller.")
    if value % 2:
        return Verdict(False, "A mirrored start has an even number of neurons.")
    if value > right:
        return Verdict(False, "The median is above 0.7 there, but with fewer neurons too.")
    return Verdict(False, "The median is below 0.7 there.")
