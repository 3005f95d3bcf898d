"""Checkers of the chapter "The ball and the cone"."""

from __future__ import annotations

from typing import Any

import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    number_of,
    vector_of,
)


def _slope(t: float, u: np.ndarray, kappa: float) -> float:
    """The derivative of half the squared distance from u to the box [t, κt]."""
    return float(np.maximum(t - u, 0).sum() - kappa * np.maximum(u - kappa * t, 0).sum())


def _threshold(u: np.ndarray, zeta: float, kappa: float) -> float:
    """The best t ≥ ζ, by bisection."""
    low, high = 0.0, max(float(u.max()), 0.0)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(middle, u, kappa) < 0 else (low, middle)
    return max(high, zeta)


def _sizes(u: np.ndarray, kappa: float) -> np.ndarray:
    """The point of {max u ≤ κ min u} nearest to u."""
    t = _threshold(u, 0.0, kappa)
    return np.clip(u, t, kappa * t)


@exercise("3.2.1")
def _three_sizes(answer: Any) -> Verdict:
    """The nearest sizes to (3, 1/2, 1) with a ratio of at most 2."""
    u, kappa = np.array([3.0, 0.5, 1.0]), 2.0
    values = vector_of(answer, 3, "Pass three numbers.")
    right = _sizes(u, kappa)
    if np.allclose(values, right, atol=1e-4):
        return Verdict(True, "Two small sizes rise, the large one falls.")
    if np.allclose(np.sort(values), np.sort(right), atol=1e-4):
        return Verdict(False, "The right sizes, in another order than in u.")
    if values.min() <= 0 or values.max() > kappa * values.min() * (1 + 1e-9):
        return Verdict(False, "That point is not in the cone: compare the largest and the least.")
    low = values.min()
    if np.allclose(values, np.clip(u, low, kappa * low), atol=1e-4):
        return Verdict(False, "Clipped to [t, κt], but another t gives a nearer point.")
    return Verdict(False, "In the cone, but each size should be clipped to one interval [t, κt].")


@exercise("3.2.2")
def _my_slope(answer: Any) -> Verdict:
    """φ′(t) as a function of t, u and κ."""
    function = function_of(answer)
    found: list[tuple[float, float, float, float, float]] = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        u, kappa, t = rng.normal(size=6), 1.5 + seed, float(rng.uniform(0.1, 0.5))
        u[:2] = -1.0, 2.0 * kappa  # both sums have terms
        below, above = np.maximum(t - u, 0).sum(), np.maximum(u - kappa * t, 0).sum()
        value = number_of(function(t, u.copy(), kappa))
        phi = (np.maximum(t - u, 0) ** 2 + np.maximum(u - kappa * t, 0) ** 2).sum() / 2
        found.append((value, _slope(t, u, kappa), below - above, below + kappa * above, phi))
    values, right, no_kappa, no_sign, phi = np.array(found).T
    if np.allclose(values, right, rtol=1e-6):
        return Verdict(True, "The floor pushes up, the ceiling down, and it moves κ times as fast.")
    if np.allclose(values, -right, rtol=1e-6):
        return Verdict(False, "All signs are the wrong way round.")
    if np.allclose(values, 2 * right, rtol=1e-6):
        return Verdict(False, "Twice too large: φ has a half in front.")
    if np.allclose(values, no_kappa, rtol=1e-6):
        return Verdict(False, "A factor is missing: differentiate u − κt by t.")
    if np.allclose(values, no_sign, rtol=1e-6):
        return Verdict(False, "The ceiling's term falls as t grows: look at its sign.")
    if np.allclose(values, phi, rtol=1e-6):
        return Verdict(False, "That is φ; its derivative is asked for.")
    return Verdict(False, "Differentiate the two squares under the sum by t, one at a time.")


@exercise("3.2.3")
def _which_piece(answer: Any) -> Verdict:
    """The breakpoints on both sides of the root, for u = (6, 5, −1, 2) and κ = 3."""
    u, kappa = np.array([6.0, 5.0, -1.0, 2.0]), 3.0
    values = array_of(answer, "Pass two numbers.", (2,))
    points = np.unique(np.concatenate([u, u / kappa]))
    slopes = np.array([_slope(t, u, kappa) for t in points])
    k = int(np.argmax(slopes > 0))
    low, high = np.sort(values)
    if np.allclose((low, high), points[k - 1 : k + 1], atol=1e-2):
        return Verdict(True, "The slope changes its sign there.")
    if min(abs(points - low).min(), abs(points - high).min()) > 1e-2:
        return Verdict(False, "The breakpoints are the sizes, and the sizes over κ.")
    if max(abs(points - low).min(), abs(points - high).min()) > 1e-2:
        return Verdict(False, "One of the two is no breakpoint.")
    if abs(points - high).argmin() != abs(points - low).argmin() + 1:
        return Verdict(False, "These two are no neighbours: there is a breakpoint between them.")
    if _slope(high, u, kappa) <= 0:
        return Verdict(False, "The slope is still negative at the second: go on to the right.")
    return Verdict(False, "The slope is positive at the first already: go to the left.")


@exercise("3.2.4")
def _which_normal(answer: Any) -> Verdict:
    """The letters of the normal vectors at (2, 3, 4), above ζ = 1, and at half of it; κ = 2."""
    vectors = {"A": (-2, 0, 1), "B": (-1, 0, 2), "C": (-2, 1, 0), "D": (0, 0, 0)}
    vectors |= {"E": (-5, 0, 1), "F": (2, 0, -1)}
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return Verdict(False, 'Pass two words, such as ("AB", "CF").')
    if not all(isinstance(word, str) for word in answer):
        return Verdict(False, 'Pass two words, such as ("AB", "CF").')
    given = [{c for c in word.upper() if c.isalpha()} for word in answer]
    if (given[0] | given[1]) - set(vectors):
        return Verdict(False, "The vectors are A to F.")
    right = [
        {name for name, g in vectors.items() if _is_normal(g, equal)} for equal in (True, False)
    ]
    if given == right:
        return Verdict(True, "At the floor of the set the pushes need not balance.")
    if given == right[::-1]:
        return Verdict(False, "The two words are swapped.")
    for words, truth, where in zip(given, right, ("first", "second"), strict=True):
        if "C" in words:
            return Verdict(False, "The second entry is at neither end and may not be pushed.")
        if "F" in words:
            return Verdict(False, "F pushes the floor up and the ceiling down: signs.")
        if words - truth:
            return Verdict(False, f"One of the {where} word is not normal: compare the two pushes.")
        if truth - words:
            return Verdict(False, f"There are more at the {where} point.")
    return Verdict(False, "Compare the pushes on floor and ceiling.")


def _is_normal(g: tuple[int, int, int], equal: bool) -> bool:
    """Conditions 1 and 2 for κ = 2 where the entries are at floor, between, and ceiling."""
    floor, between, ceiling = g
    balance = -floor - 2 * ceiling
    return bool(
        floor <= 0 == between and ceiling >= 0 and (balance == 0 if equal else balance >= 0)
    )


@exercise("3.2.5")
def _without_sorting(answer: Any) -> Verdict:
    """A t that is nearly the best: distances to [t, κt] against those of the root by bisection."""
    function = function_of(answer)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        zeta, kappa = (0.0, 0.3)[seed % 2], (1.5, 2.0, 5.0)[seed % 3]
        u = 2 * rng.normal(size=2 + seed % 7) + 0.5
        t = number_of(function(u.copy(), zeta, kappa), "Your function has to return one number t.")
        if t < zeta - 1e-9:
            return Verdict(False, f"t = {t:.3f} is below zeta = {zeta}.")
        best = _threshold(u, zeta, kappa)
        far, least = (np.linalg.norm(u - np.clip(u, s, kappa * s)) for s in (t, best))
        if far > 1.01 * least + 1e-9:
            told = f"For u = {np.round(u, 2).tolist()} and kappa = {kappa} your point is "
            return Verdict(False, f"{told}{far:.3f} away; {least:.3f} is possible.")
    return Verdict(True, "Within 1 % at 200 points.")
