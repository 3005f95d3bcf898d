"""Checkers of the chapter "Algorithms"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from narrowlib.exercises._answers import (
    Verdict,
    exercise,
    function_of,
    near,
    number_of,
    numeric_exercise,
)


@numeric_exercise("3.6.1")
def _crawl(value: float) -> Verdict:
    """n/(ηGρ) · ((1 − θ)‖y‖/G − ‖v₀‖)."""
    n, G, rho, target, first, theta = 50, 0.1, 7.0, 7.0, 1.0, 0.5
    bound = n / (G * rho) * ((1 - theta) * target / G - first)
    if bound - 1 <= value <= math.ceil(bound) + 1e-9:
        return Verdict(True, "With a tenth of the radius it would be about 100 times as many.")
    if near(value, n / (G * rho) * (1 - theta) * target / G):
        return Verdict(False, "v does not start from zero: its first length is part of the way.")
    if near(value, n / (G * rho) * (target / G - first)):
        return Verdict(False, "The residual has to be halved only, not removed.")
    if near(value, bound / n):
        return Verdict(False, "The loss is a mean: where is n?")
    if near(value, n / rho * ((1 - theta) * target / G - first)):
        return Verdict(False, "The step of v is short too: G occurs twice.")
    return Verdict(False, "Find G first, then how long v must be, then how long a step can be.")


@numeric_exercise("3.6.2")
def _ray(value: float) -> Verdict:
    """max(⟨F, y⟩/⟨F, F⟩, ζ/min u)."""
    F, y, least, zeta = np.array([1.0, 2.0, 2.0]), np.array([-3.0, 3.0, 0.0]), 0.2, 0.1
    free, floor = float(F @ y / (F @ F)), zeta / least
    if near(value, max(free, floor)):
        return Verdict(True, "The floor of the cone is met before the best size.")
    if near(value, free):
        return Verdict(False, "That is the minimum of the parabola. Is this v feasible?")
    if near(value, 1 / free) or near(value, 1 / floor):
        return Verdict(False, "Upside down.")
    if near(value, float(F @ y / (y @ y))):
        return Verdict(False, "Divide by ⟨F, F⟩: it is F that α multiplies.")
    return Verdict(False, "Minimise ‖αF − y‖² over the α that keep αu at or above ζ.")


@numeric_exercise("3.6.3")
def _adam(value: float) -> Verdict:
    """The value at r (1, 1)/√2 minus that at r (5, 12)/13, on the disc of radius r = 13 √2."""
    slope, radius = np.array([5.0, 12.0]), 13 * math.sqrt(2)
    lowest = -radius * float(np.linalg.norm(slope))
    stop = -radius / math.sqrt(2) * float(slope.sum())
    if near(value, stop - lowest):
        return Verdict(True, "Its gradient is not small there, and f has stopped falling.")
    if near(value, lowest - stop):
        return Verdict(False, "Above, not below: mind the sign.")
    if near(value, stop) or near(value, lowest):
        return Verdict(False, "That is one of the two values. Pass their difference.")
    if near(value, 0.0) or abs(value) < 1e-9:
        return Verdict(False, "Adam's step has the signs of the gradient, not its direction.")
    return Verdict(False, "Where is −sign(g) a multiple of x, on the circle?")


def _factor(b: np.ndarray, k: np.ndarray, c: float) -> float:
    """The least α ≥ 1 with ‖b + (α − 1) k‖ ≤ c α."""
    A, B, C = k @ k - c**2, b @ k - c**2, b @ b - c**2
    return 1.0 if C <= 0 else float(1 - (B + math.sqrt(B * B - A * C)) / A)


@exercise("3.6.4")
def _least_factor(answer: Any) -> Verdict:
    """The root of a quadratic, or 1."""
    function = function_of(answer)
    draw = np.random.default_rng(4)
    for size, pull in ((0.3, 0.5), (2.5, 0.3), (3.0, 0.6), (20.0, 0.9), (1.5, 0.95)):
        b, k = draw.normal(size=(2, 6))
        b, k = size * b / np.linalg.norm(b), pull * k / np.linalg.norm(k)
        right = _factor(b, k, 1.0)
        value = number_of(function(b.copy(), k.copy(), 1.0))
        if near(value, right, 1e-6):
            continue
        where = f"‖b‖ = {size}, ‖k‖ = {pull}, c = 1: "
        if size <= 1:
            return Verdict(False, where + "b fits already, so no factor above 1 is needed.")
        if near(value, right - 1, 1e-6):
            return Verdict(False, where + "that is a. Pass α = 1 + a.")
        if value < 1:
            return Verdict(False, where + "your α is below 1: the other root.")
        short = np.linalg.norm(b + (value - 1) * k) < value
        return Verdict(False, where + ("a smaller α fits." if short else "your α does not fit."))
    return Verdict(True, "One root, whatever the damping.")


@numeric_exercise("3.6.5")
def _price(value: float) -> Verdict:
    """(n³/3)/(4 n · 2 n) = n/24."""
    right = 6000 / 24
    if near(value, right):
        return Verdict(True, "Gauss–Newton's few steps must save that many gradients each.")
    if near(value, 2 * right):
        return Verdict(False, "m d is 2 n, for the twins count once.")
    if near(value, 3 * right):
        return Verdict(False, "A Cholesky factorisation takes a third of n³.")
    if near(value, 1 / right):
        return Verdict(False, "Upside down.")
    return Verdict(False, "Divide n³/3 by 4 n m d, with m d = 2 n.")
