"""The checkers of "A proof by computer": right answers found another way, and named mistakes."""

from fractions import Fraction

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def implied(R, s, L, rho):
    return s * s > 2 * L * R and (L * rho >= s or 2 * s * rho - L * rho * rho >= 2 * R)


def by_root(R, s, L, rho):
    """The same by the lemma's formula, in floating point with a hair of room."""
    h = float(L * R / s**2)
    return h < 0.5 and float(rho) >= float(s / L) * (1 - np.sqrt(1 - 2 * h)) * (1 - 1e-12)


def rounded(places, m=4):
    data = nl.digits(n=60, labels="random", key=jax.random.key(0))
    params = nl.interpolate(data.X, data.y, key=jax.random.key(2), width=m).params
    return params._replace(W=jax.numpy.round(params.W * 2.0**places) / 2.0**places)


RIGHT = [
    ("1.5.1", lambda: float((Fraction(31, 10)) * Fraction(41, 20) - 6)),
    ("1.5.2", lambda: 2.5 - np.sqrt(0.25**2 + 2 * 0.125**2 + 0.0625**2)),
    ("1.5.3", lambda: implied),
    ("1.5.4", lambda: rounded(20)),
]

WRONG = [
    ("1.5.1", None, "one number"),
    ("1.5.1", "abc", "one number"),
    ("1.5.1", float("nan"), "one number"),
    ("1.5.1", 0.35, "both radii"),
    ("1.5.1", 0.005, "other ball's centre"),
    ("1.5.1", 0.045, "without its sign"),
    ("1.5.1", 1.0, "(3 + e)"),
    ("1.5.2", None, "one number"),
    ("1.5.2", 3, "λ_min itself"),
    ("1.5.2", 2.8125, "against you"),
    ("1.5.2", 2.25, "largest entry"),
    ("1.5.2", 2.5 - np.linalg.norm([[0.25, 0.125], [0.125, -0.0625]], 2), "Frobenius"),
    ("1.5.2", 1.0, "four entries"),
    ("1.5.2", 2.19, "more digits"),
    ("1.5.2", 2.188, "more digits"),
    ("1.5.2", 2.2, "more digits"),
    ("1.5.2", 2.0, "four entries"),
    ("1.5.3", by_root, "without a root"),
    ("1.5.3", None, "Pass a function"),
    ("1.5.3", 3.0, "Pass a function"),
    ("1.5.3", lambda R: True, "TypeError"),
    ("1.5.3", lambda R, s, L, rho: True, "below the root"),
    ("1.5.3", lambda R, s, L, rho: False, "below 2r/s"),
    ("1.5.3", lambda R, s, L, rho: rho >= 2 * R / s, "below 2r/s"),
    ("1.5.3", lambda R, s, L, rho: s * rho - L * rho**2 / 2 >= R, "Beyond s/L"),
    ("1.5.3", lambda R, s, L, rho: L * rho >= s or s * rho - L * rho**2 / 2 >= R, "h < 1/2"),
    ("1.5.3", lambda R, s, L, rho: s * s >= 2 * L * R and implied(R * 0.99, s, L, rho), "h < 1/2"),
    ("1.5.4", None, "params"),
    ("1.5.4", "abc", "params"),
    ("1.5.4", nl.Params(W="abc", v="abc"), "arrays of numbers"),
    ("1.5.4", nl.Params(W=np.zeros((6, 64)), v=np.zeros(6)), "4 × 64"),
    ("1.5.4", nl.Params(W=np.full((4, 64), np.nan), v=np.zeros(4)), "not finite"),
    ("1.5.4", nl.Params(W=np.full((4, 64), 1 / 3), v=np.zeros(4)), "binary places"),
    ("1.5.4", nl.Params(W=np.zeros((4, 64)), v=np.zeros(4)), "Nothing is proved"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_too_short_weights_prove_nothing():
    assert "Nothing is proved" in repr(nl.check("1.5.4", rounded(10)))
    assert "binary places" in repr(nl.check("1.5.4", rounded(24)))
