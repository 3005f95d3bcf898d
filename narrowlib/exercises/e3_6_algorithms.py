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


FAILS = {"A": "short", "B": "alike", "C": "large", "D": "none"}
WHY = {
    "A": "At A: can v still move only by gradient steps?",
    "B": "At B: how far apart are twins at the start?",
    "C": "At C: where is F written as a sum of differences?",
    "D": "At D: ReLU has bounded slopes. Does the proof ask for more?",
}


@exercise("3.6.2")
def _which_step(answer: Any) -> Verdict:
    """The step that fails first; with ReLU none does."""
    if not isinstance(answer, dict):
        return Verdict(False, 'Pass a dictionary, such as {"A": "alike", …}.')
    given = {str(k).strip().upper(): str(word).strip().lower() for k, word in answer.items()}
    if set(given) != set(FAILS):
        return Verdict(False, "The letters are A, B, C and D.")
    if unknown := sorted(set(given.values()) - set(FAILS.values())):
        return Verdict(False, f"{unknown[0]!r} is no step: alike, large, short or none.")
    for letter, step in FAILS.items():
        if given[letter] != step:
            return Verdict(False, WHY[letter])
    return Verdict(True, "And momentum? Its steps are up to 1/(1 − q) times as long.")


@numeric_exercise("3.6.3")
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
