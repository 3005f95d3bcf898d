"""Checkers of the chapter "A proof by computer"."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from narrowlib.certificates.existence import existence_certificate
from narrowlib.datasets import digits
from narrowlib.exercises._answers import (
    MORE_DIGITS,
    Verdict,
    exercise,
    few_digits,
    function_of,
    near,
    numeric_exercise,
    weights_of,
)
from narrowlib.network.model import Params

PLACES = 20  # binary places that exercise 1.5.4 leaves to a weight


@numeric_exercise("1.5.1")
def _ball_product(value: float) -> Verdict:
    """The radius of the product of the balls 3 ± 0.1 and −2 ± 0.05 around −6."""
    (a, r), (b, q) = (3.0, 0.1), (-2.0, 0.05)
    corners = [(a + i * r) * (b + j * q) for i in (-1, 1) for j in (-1, 1)]
    right = max(abs(corner - a * b) for corner in corners)
    if near(value, right, 1e-9):
        return Verdict(True, "The farthest corner of the two balls decides.")
    if near(value, right - r * q, 1e-9):
        return Verdict(False, "To first order. A proof needs the term with both radii as well.")
    if near(value, r * q, 1e-9):
        return Verdict(False, "Each radius also meets the other ball's centre.")
    if near(value, abs(a * q + b * r + r * q), 1e-9):
        return Verdict(False, "A radius is multiplied by the size of a centre, without its sign.")
    return Verdict(False, "Write the product as (3 + e)(−2 + f) and ask how far from −6 it gets.")


@numeric_exercise("1.5.2")
def _shifted_factor(value: float) -> Verdict:
    """The bound t − ‖K − M Mᵀ − t I‖_F for a matrix K, a factor M and a shift t."""
    t = 2.5
    K, M = np.array([[5.0, 2.0], [2.0, 5.0]]), np.array([[1.5, 0.0], [1.25, 1.0]])
    E = K - M @ M.T - t * np.eye(2)
    size = float(np.linalg.norm(E))
    if near(value, t - size, 1e-9):
        return Verdict(True, f"And λ_min is {np.linalg.eigvalsh(K)[0]:.0f}.")
    if near(value, np.linalg.eigvalsh(K)[0], 1e-9):
        return Verdict(False, "That is λ_min itself. What do M and t prove of it?")
    if near(value, t + size, 1e-9):
        return Verdict(False, "The misfit counts against you.")
    if near(value, t - float(np.linalg.norm(E, 2)), 1e-9):
        return Verdict(False, "True, and sharper: but the proposition takes the Frobenius norm.")
    if near(value, t - float(np.abs(E).max()), 1e-9):
        return Verdict(False, "The largest entry may be less than the norm of E.")
    if few_digits(value, t - size):
        return Verdict(False, MORE_DIGITS)
    return Verdict(False, "Form E = K − M Mᵀ − t I, all four entries, and its Frobenius norm.")


def _cases() -> list[tuple[tuple[Fraction, ...], bool, str]]:
    """Bounds (r, s, L), a radius, whether the lemma proves it, and what a miss means."""
    small = "No radius below the root is proved."
    sharp = "A radius below 2r/s may do."
    wide = "Beyond s/L the fit is still inside."
    half = "Without h < 1/2 nothing follows."
    tiny = Fraction(1, 10**40)
    close = "This radius is within 10⁻⁴⁰ of the root: decide it by whole numbers, without a root."
    cases = []
    for s, L in ((Fraction(1), Fraction(1)), (Fraction(2), Fraction(8))):
        unit, r = s / L, Fraction(3, 8) * s**2 / L  # h = 3/8, and the roots are s/(2L), 3s/(2L)
        cases += [((r, s, L, unit * Fraction(k, 100)), False, small) for k in (1, 30, 49)]
        cases += [((r, s, L, unit * Fraction(k, 100)), True, sharp) for k in (50, 60, 74)]
        cases += [((r, s, L, unit * Fraction(k, 100)), True, wide) for k in (100, 151, 400)]
        for h in (Fraction(1, 2), Fraction(3, 4), Fraction(4)):
            radii = (Fraction(1, 2), Fraction(1), Fraction(3), Fraction(20))
            cases += [((h * s**2 / L, s, L, unit * k), False, half) for k in radii]
    # h = 1/4: the root is 1 - √½, and these two radii are nearer to it than a float can tell
    below = 1 - Fraction(math.isqrt(10**80 // 2) + 1, 10**40)
    quarter = (Fraction(1, 4), Fraction(1), Fraction(1))
    cases += [((*quarter, below), False, close), ((*quarter, below + tiny), True, close)]
    return cases


def _short(number: Fraction) -> str:
    return str(number) if len(str(number)) < 12 else f"{float(number):.9g}…"


@exercise("1.5.3")
def _radius_without_roots(answer: Any) -> Verdict:
    """A function of r, s, L and a radius: whether the lemma proves a fit within it."""
    function = function_of(answer, "Pass a function of r, s, L and radius.")
    for arguments, right, hint in _cases():
        found = bool(function(*arguments))
        if found != right:
            shown = ", ".join(_short(argument) for argument in arguments)
            return Verdict(False, f"At {shown} it says {found}. {hint}")
    return Verdict(True, "It agrees at every radius tried, even within 10⁻⁴⁰ of the root.")


@exercise("1.5.4")
def _short_weights(answer: Any) -> Verdict:
    """Params of 4 neurons with short hidden weights, near which 60 digits are fitted exactly."""
    W, v = weights_of(answer, "Pass the params of your network.", 4, 64)
    if np.any(W * 2.0**PLACES % 1):
        return Verdict(False, f"Some hidden weights have more than {PLACES} binary places.")
    data = digits(n=60, labels="random", key=jax.random.key(0))
    X, y = np.asarray(data.X), np.asarray(data.y)
    short = Params(W.astype(X.dtype), v.astype(X.dtype))  # type: ignore[arg-type]
    proof = existence_certificate(short, X, y, rigorous=True, allow_float32=True)
    if proof.verdict == "proved":
        return Verdict(True, f"Proved, with h ≤ {proof.h:.2g}: an exact fit is near short weights.")
    return Verdict(False, f"Nothing is proved: h ≤ {proof.h:.2g}, and less than 1/2 is needed.")
