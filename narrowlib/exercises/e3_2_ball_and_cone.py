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
    numeric_exercise,
    vector_of,
)


def _slope(t: float, u: np.ndarray, kappa: float) -> float:
    """The derivative of half the squared distance from u to the box [t, κt]."""
    return float(np.maximum(t - u, 0).sum() - kappa * np.maximum(u - kappa * t, 0).sum())


def _sizes(u: np.ndarray, kappa: float) -> np.ndarray:
    """The point of {max u ≤ κ min u} nearest to a u outside: t by bisection."""
    low, high = 0.0, float(u.max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(middle, u, kappa) < 0 else (low, middle)
    return np.clip(u, high, kappa * high)


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
def _two_points(answer: Any) -> Verdict:
    """(1, 3) and (−1, 2) projected on the cut wedge with cos θ = 0.8 and z = 1."""
    cosine, sine, z = 0.8, 0.6, 1.0
    values = array_of(answer, "Pass a pair of pairs of numbers.", (2, 2))
    right, foot = [], []
    for a, b in ((1.0, 3.0), (-1.0, 2.0)):
        along = a * cosine + b * sine
        foot.append((along * cosine, along * sine))
        right.append(foot[-1] if along * cosine >= z else (z, z * sine / cosine))
    good = [bool(np.allclose(v, r, atol=1e-4)) for v, r in zip(values, right, strict=True)]
    if all(good):
        return Verdict(True, "One on the edge, one at the corner.")
    if np.allclose(values[::-1], right, atol=1e-4):
        return Verdict(False, "The right points, but swapped.")
    if np.allclose(values, foot, atol=1e-4):
        return Verdict(False, "The second foot lies below the cut.")
    outside = [b > a * sine / cosine + 1e-4 or a < z - 1e-4 for a, b in values]
    where = "first" if not good[0] else "second"
    if outside[good.index(False)]:
        return Verdict(False, f"The {where} of your points is not in the set.")
    return Verdict(False, f"The {where} of your points is in the set, but not the nearest.")


@numeric_exercise("3.2.5")
def _largest_angle(value: float) -> Verdict:
    """The largest angle in degrees from (1; −1) for m = 10 and κ = 2."""
    m, kappa = 10, 2.0
    corners = {h: [_angle(a, h, kappa) for a in range(h + 1)] for h in (m // 2, m)}

    def close(other: float) -> bool:
        return abs(value - other) < 0.006

    right = max(corners[m // 2])
    if close(right):
        return Verdict(True, "Just below the bound that holds for all widths.")
    if close(np.degrees(np.arccos(2 * kappa**0.5 / (1 + kappa)))):
        return Verdict(
            False, "That is the bound for all widths; the number of large ones is whole."
        )
    if close(np.radians(right)):
        return Verdict(False, "That is in radians.")
    if close(max(corners[m])):
        return Verdict(False, "The entries of u are half as many as those of v.")
    if any(close(angle) for angle in corners[m // 2]):
        return Verdict(False, "Another number of large entries gives a larger angle.")
    return Verdict(False, "Try all corners: some entries 1, the others κ.")


def _angle(a: int, h: int, kappa: float) -> float:
    """Degrees between (1, …, 1) and h entries of which a are κ and the others 1."""
    corner = np.where(np.arange(h) < a, kappa, 1.0)
    cosine = corner.sum() / (h**0.5 * np.linalg.norm(corner))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))
