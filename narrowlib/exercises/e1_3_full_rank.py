"""Checkers of Part 1, Chapter 3, "Almost every start has full rank"."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    near,
    number_of,
    numeric_exercise,
    refuse,
)


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


def _chance(answer: Any) -> float:
    """A probability, as a number or as a word such as "7/16"."""
    if isinstance(answer, str):
        try:
            answer = Fraction(answer)
        except (ValueError, ZeroDivisionError):  # no fraction
            refuse("Pass one number.")
    return number_of(answer, "Pass one number.")


@exercise("1.3.3")
def _blind_start(answer: Any) -> Verdict:
    """P(rank J = 2) for ReLU with two samples, one input and four neurons in U: over all signs."""
    value, h = _chance(answer), 4
    full = 0
    for x in product((1, -1), repeat=2):
        for w in product((1, -1), repeat=h):
            seen = np.array([[xi * (xi * wj > 0) for wj in w] for xi in x])
            full += int(np.linalg.matrix_rank(seen) == 2)
    right = full / 2 ** (h + 2)
    if abs(value - right) < 1e-4:
        return Verdict(True, "Opposite samples, and a neuron for each.")
    if abs(value - right) < 1e-2:
        return Verdict(False, "Very near. Hand in the fraction, or four digits.")
    if near(value, 2 * right):
        return Verdict(False, "That takes the samples to have opposite signs. How likely is that?")
    if near(value, 1 - 0.5**h):
        return Verdict(False, "That is one sample's chance of being seen. There are two.")
    if near(value, 1 - right):
        return Verdict(False, "That is the probability that the rank is below 2.")
    if near(value, 0.5 * (1 - 2 * 0.5 ** (2 * h))):
        return Verdict(False, "Twins share their w: only m/2 neurons are drawn.")
    return Verdict(False, "Neither two samples of one sign nor neurons of one sign give rank 2.")


@exercise("1.3.4")
def _not_longest(answer: Any) -> Verdict:
    """Two neurons of the plane, not equal up to sign, with |w₂·w₁| at least |w₁·w₁|."""
    w = array_of(answer, "Pass a 2 × 2 array: a neuron in each row.", (2, 2))
    lengths = np.linalg.norm(w, axis=1)
    if lengths.min() < 1e-2 or lengths.max() > 100:
        return Verdict(False, "Keep the neurons between 0.01 and 100 in length.")
    if min(np.linalg.norm(w[0] - w[1]), np.linalg.norm(w[0] + w[1])) < 1e-2:
        return Verdict(False, "The lemma leaves out neurons that are equal or opposite.")
    first, second = abs(w[0] @ w[0]), abs(w[1] @ w[0])
    told = f"At x = w₁, |w₁·x| = {first:.3g} and |w₂·x| = {second:.3g}"
    if second >= first:
        return Verdict(True, f"{told}. Now look at the next sentence of the proof.")
    return Verdict(False, f"{told}: the sentence is true.")


def _least(X: np.ndarray, U: np.ndarray) -> np.ndarray:
    """s₁ for tanh: √2 times the least singular value of J_U."""
    slopes = 1 - np.tanh(X @ np.swapaxes(U, -1, -2)) ** 2
    J = (slopes[..., None] * X[..., None, :]).reshape(*slopes.shape[:-1], -1)
    return np.sqrt(2) * np.linalg.svd(J, compute_uv=False)[..., -1]


@exercise("1.3.5")
def _beat_the_dice(answer: Any) -> Verdict:
    """A function of X that finds neurons of a larger s₁ than Gaussian ones, in ten data sets."""
    function = function_of(answer, "Pass a function of X that returns U.")
    rng = np.random.default_rng(35)
    found, thrown = [], []
    for X in rng.normal(size=(10, 40, 10)):
        shape = "Your function has to return U, an array of finite numbers of shape (4, 10)."
        U = array_of(function(X.copy()), shape, (4, 10))
        if np.linalg.norm(U) > 2 + 1e-9:
            norm = np.linalg.norm(U)
            return Verdict(False, f"The Frobenius norm of U is at most 2; yours is {norm:.3g}.")
        found.append(_least(X, U))
        thrown += list(_least(X, rng.normal(size=(20, 4, 10)) / np.sqrt(10)))
    ratio = np.median(found) / np.median(thrown)
    told = f"Your median s₁ is {ratio:.2f} times that of Gaussian neurons."
    return Verdict(bool(ratio >= 2), told if ratio >= 2 else f"{told} Reach 2.")
