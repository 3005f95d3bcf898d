"""Checkers of the chapter "Constrained optimisation by hand"."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import nnls, root_scalar

from narrowlib.exercises._answers import (
    Verdict,
    array_of,
    exercise,
    function_of,
    numeric_exercise,
    vector_of,
)


@exercise("3.1.1")
def _wedge_by_hand(answer: Any) -> Verdict:
    """The point of {u ≥ 1, max u ≤ 2 min u} nearest to (6, −2)."""
    x, zeta, kappa = np.array([6.0, -2.0]), 1.0, 2.0
    edge = np.array([kappa, 1.0])
    right = max(x @ edge / (edge @ edge), zeta) * edge
    p = vector_of(answer, 2, "Pass a tuple of two numbers.")
    if np.allclose(p, right, rtol=0, atol=1e-9):
        return Verdict(True, "The foot on the edge lies in the wedge, so it is the nearest point.")
    if np.allclose(p, right[::-1], rtol=0, atol=1e-9):
        return Verdict(False, "The coordinates are in the other order.")
    if p.min() < zeta - 1e-6 or p.max() > kappa * p.min() + 1e-6:
        return Verdict(False, "That point is not in the wedge.")
    if np.allclose(p, edge * zeta, rtol=0, atol=1e-6):
        return Verdict(False, "A corner. The wedge comes nearer: it is met along an edge.")
    if np.allclose(p, [x[0], x[0] / kappa], rtol=0, atol=1e-3):
        return Verdict(False, "That moves u₂ alone. The shortest way is perpendicular to the edge.")
    return Verdict(False, "In the wedge, but not nearest: which edge is met, and where?")


@numeric_exercise("3.1.2")
def _disc_multiplier(value: float) -> Verdict:
    """The root λ of the secular equation for h = (1, 3), a = (15/2, 14), radius 13."""
    h, a, radius = np.array([1.0, 3.0]), np.array([7.5, 14.0]), 13.0

    def point(multiplier: float) -> np.ndarray:
        return h * a / (h + multiplier)

    right = root_scalar(lambda t: np.linalg.norm(point(t)) - radius, bracket=(0, 100)).root
    if abs(value - right) < 1e-4:
        return Verdict(True, "One equation for one number, and its left side falls.")
    if abs(value + right) < 1e-4:
        return Verdict(False, "The sign: −∇f, not ∇f, points outwards.")
    if abs(value - right * radius) < 1e-2:
        return Verdict(False, "That is the length of ∇f. The multiplier belongs to x, not to x/ε.")
    if abs(value - (np.linalg.norm(a) / radius - 1)) < 1e-2:
        return Verdict(False, "You projected the free minimiser. f is not a distance: it has a 3.")
    if value < 0:
        return Verdict(False, "A multiplier of an inequality is not negative.")
    if value == 0:
        return Verdict(False, "Then the gradient would vanish, outside the disc.")
    norm = np.linalg.norm(point(value))
    return Verdict(False, f"With this λ the point would have norm {norm:.3f} instead of 13.")


@exercise("3.1.3")
def _which_kkt(answer: Any) -> Verdict:
    """The letters of the points with u − (3, 2) in the normal cone; ζ = 1, κ = 2."""
    points = {"A": (3, 2), "B": (1, 1), "C": (2, 1), "D": (1.4, 2.8), "E": (1, 2), "F": (4, 2)}
    points = {name: np.array(u, float) for name, u in (points | {"G": (1, 1.5)}).items()}
    normals = np.array([[-1.0, 0], [0, -1], [-2, 1], [1, -2]])
    offsets = np.array([-1.0, -1, 0, 0])
    right, met = set(), set()
    for name, u in points.items():
        active = normals[np.isclose(normals @ u, offsets)]
        pull = u - np.array([3.0, 2.0])
        miss = nnls(active.T, pull)[1] if len(active) else np.linalg.norm(pull)
        right |= {name} if miss < 1e-9 else set()
        met |= {name} if len(active) else set()
    letters = _letters(answer)
    if not letters:
        return Verdict(False, 'Pass letters as one word, such as "CF", or as a list.')
    if letters - set(points):
        return Verdict(False, "The points are A to G.")
    if letters == right:
        return Verdict(True, "One inside, one on an edge, two at corners.")
    if letters == set(points) - right:
        return Verdict(False, "These are the others: check the sign of the multipliers.")
    if letters == right & met:
        return Verdict(False, "A point inside may be a KKT point too.")
    if letters == right - {"E"}:
        return Verdict(False, "A multiplier may be zero, even where its edge is met.")
    if letters - right:
        return Verdict(False, f"{len(letters - right)} of yours is no KKT point: signs, edges met.")
    return Verdict(False, "All of yours are, and there are more.")


def _letters(answer: Any) -> set[str]:
    """The letters of a word, or of a list, tuple or set of words."""
    words = answer if isinstance(answer, list | tuple | set | frozenset) else [answer]
    if not all(isinstance(word, str) for word in words):
        return set()
    return {c for c in "".join(words).upper() if c.isalpha()}


@numeric_exercise("3.1.4")
def _move_the_disc(value: float) -> Verdict:
    """The least ‖c‖ at which x = c − 3/2 u/‖u‖, which the disc asks for, has ⟨u, x⟩ ≥ 0."""
    radius = 1.5
    sizes, u = np.linspace(0, 3, 3001), np.array([0.6, 0.8])
    outputs = (np.outer(sizes, u) - radius * u) @ u  # at their most: c along u
    right = sizes[np.argmax(outputs >= -1e-12)]
    if abs(value - right) < 1e-3:
        return Verdict(True, "The origin has to be inside; the centre may be anywhere.")
    if value < 0:
        return Verdict(False, "A length is not negative.")
    if abs(value - right / 2) < 1e-3:
        return Verdict(False, "Half the radius is safe, and there is more: use Cauchy–Schwarz.")
    if abs(value - 1) < 1e-3:
        return Verdict(False, "Right for a radius of 1. Here it is 3/2.")
    if abs(value - radius * 2**0.5) < 1e-2:
        return Verdict(False, "The length of c counts, not its entries.")
    if value < right:
        return Verdict(False, "Your proof works there, and a little beyond.")
    return Verdict(False, "There c = b u/‖u‖ has a point x opposite to u with ⟨u, x⟩ ≥ 0.")


@exercise("3.1.5")
def _half_disc(answer: Any) -> Verdict:
    """⟨x − p, z − p⟩ ≤ 0 for points z of the half-disc, which is where p has to be."""
    function = function_of(answer)
    for seed, radius in enumerate((1.0, 0.5, 3.0)):
        rng = np.random.default_rng(seed)
        angle = np.linspace(0, np.pi, 400)
        rim = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        z = np.concatenate([rim, rim * [1, 0]])  # the set is the convex hull of its rim
        for x in [*(2 * radius * rng.normal(size=(100, 2))), 0.3 * rim[100]]:
            two = "Your function has to return two finite numbers."
            p = array_of(function(x.copy(), radius), two, (2,))
            place = f"Radius {radius}: ({x[0]:.2f}, {x[1]:.2f}) to ({p[0]:.2f}, {p[1]:.2f})"
            if p[1] < -1e-9 or np.linalg.norm(p) > radius + 1e-9:
                return Verdict(False, f"{place}: not in the half-disc.")
            if ((z - p) @ (x - p)).max() > 1e-9 * radius**2:
                return Verdict(False, f"{place}: another is nearer.")
    return Verdict(True, "No angle is acute, at 303 points.")
