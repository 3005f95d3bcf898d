"""Checkers of "Constrained optimisation by hand": right answers found another way, mistakes."""

import numpy as np
import pytest
from exercise_checks import accepted, refused
from scipy.optimize import minimize

import narrowlib as nl


def nearest():
    """By SLSQP, rounded: the wedge of ζ = 1 and κ = 2, and the point (6, −2)."""
    rows = np.array([[1, 0], [0, 1], [2, -1], [-1, 2.0]])
    wedge = {"type": "ineq", "fun": lambda u: rows @ u - np.array([1, 1, 0, 0])}
    away = np.array([6.0, -2.0])
    found = minimize(lambda u: (u - away) @ (u - away), [2.0, 2.0], constraints=wedge, tol=1e-14)
    return tuple(found.x.round(4))


def multiplier():
    """From the best of many points of the circle."""
    angle = np.linspace(0, np.pi / 2, 2_000_001)
    x = 13 * np.array([np.cos(angle), np.sin(angle)])
    best = x[:, np.argmin((x[0] - 7.5) ** 2 / 2 + 1.5 * (x[1] - 14) ** 2)]
    return (7.5 - best[0]) / best[0]


def stay_put():
    """The letters of the points that a projected gradient step leaves, by SLSQP."""
    rows = np.array([[1, 0], [0, 1], [2, -1], [-1, 2.0]])
    wedge = {"type": "ineq", "fun": lambda u: rows @ u - np.array([1, 1, 0, 0])}
    points = {"A": (3, 2), "B": (1, 1), "C": (2, 1), "D": (1.4, 2.8), "E": (1, 2)}
    kept = ""
    for name, at in (points | {"F": (4, 2), "G": (1, 1.5)}).items():
        to = np.array(at) + 0.5 * (np.array(at) - [3, 2])
        end = minimize(lambda u, to=to: (u - to) @ (u - to), at, constraints=wedge, tol=1e-14).x
        kept += name if np.abs(end - at).max() < 1e-5 else ""
    return kept


def least_move():
    """The least ‖c‖ on a grid at which some x nearest to a step against u has ⟨u, x⟩ ≥ 0."""
    angle = np.linspace(0, np.pi / 2, 91)
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for size in np.linspace(0, 3, 301):
        c = size * u[:, None]  # all centres of that length, and all u
        if ((c - 1.5 * u) * u).sum(-1).max() >= -1e-12:
            return size
    raise AssertionError("no such length")


def half_disc(x, radius):
    x = np.array([x[0], max(x[1], 0.0)])
    return x * radius / max(radius, np.linalg.norm(x))


def by_search(x, radius):
    """The nearest of four candidates that lies in the set."""
    on_line = np.array([np.clip(x[0], -radius, radius), 0.0])
    on_circle = x * radius / max(np.linalg.norm(x), 1e-300)
    inside = [q for q in (x, on_circle) if q[1] >= 0 and q @ q <= radius**2 * (1 + 1e-12)]
    return min([*inside, on_line], key=lambda q: np.linalg.norm(q - x))


def disc_first(x, radius):
    x = x * radius / max(radius, np.linalg.norm(x))
    return np.array([x[0], max(x[1], 0.0)])


RIGHT = [
    ("3.1.1", lambda: (4, 2)),
    ("3.1.1", lambda: np.array([[4.0, 2.0]])),
    ("3.1.1", lambda: np.array([[4.0], [2.0]])),
    ("3.1.2", multiplier),
    ("3.1.3", stay_put),
    ("3.1.3", lambda: "a, b, d, e"),
    ("3.1.3", lambda: list(stay_put())),
    ("3.1.3", lambda: set(stay_put())),
    ("3.1.4", least_move),
    ("3.1.5", lambda: half_disc),
    ("3.1.5", lambda: by_search),
]
WRONG = [
    ("3.1.1", (4, 2, 0), "two numbers"),
    ("3.1.1", 4, "two numbers"),
    ("3.1.1", np.ones((2, 1, 2)), "two numbers"),
    ("3.1.1", (2, 4), "other order"),
    ("3.1.1", (6, -2), "not in the wedge"),
    ("3.1.1", (2, 1), "corner"),
    ("3.1.1", (6, 3), "perpendicular"),
    ("3.1.1", (4.1, 2.1), "not nearest"),
    ("3.1.2", -0.5, "sign"),
    ("3.1.2", 6.5, "length"),
    ("3.1.2", 0.2217, "not a distance"),
    ("3.1.2", -3, "not negative"),
    ("3.1.2", 0, "vanish"),
    ("3.1.2", 1, "norm 11."),
    ("3.1.3", "", "one word"),
    ("3.1.3", 7, "one word"),
    ("3.1.3", ["A", 2], "one word"),
    ("3.1.3", "ABDEZ", "A to G"),
    ("3.1.3", ["A"], "more"),
    ("3.1.3", "CFG", "the others"),
    ("3.1.3", "BDE", "inside"),
    ("3.1.3", "ABD", "may be zero"),
    ("3.1.3", "ABCDE", "no KKT point"),
    ("3.1.3", "AB", "more"),
    ("3.1.4", -1.5, "not negative"),
    ("3.1.4", 0.75, "Half the radius"),
    ("3.1.4", 1, "radius of 1"),
    ("3.1.4", 2.1213, "not its entries"),
    ("3.1.4", 1.2, "a little beyond"),
    ("3.1.4", 3, "opposite to u"),
    ("3.1.5", "half", "the function"),
    ("3.1.5", disc_first, "nearer"),
    ("3.1.5", lambda x, radius: half_disc(x, 1.0), "not in the half-disc"),
    ("3.1.5", lambda x, radius: np.zeros(2), "nearer"),
    ("3.1.5", lambda x, radius: x, "not in the half-disc"),
    ("3.1.5", lambda x, radius: np.zeros(3), "two finite"),
    ("3.1.5", lambda x, radius: np.full(2, np.nan), "two finite"),
    ("3.1.5", lambda x: x, "raised TypeError"),
]  # fmt: skip


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_the_first_answer_is_the_one_of_an_independent_solver():
    assert nearest() == (4.0, 2.0)


@pytest.mark.parametrize("number, near", [("3.1.1", (4.001, 2.0)), ("3.1.2", 0.501),
                                          ("3.1.4", 1.51)])  # fmt: skip
def test_a_near_miss_is_not_accepted(number, near):
    assert not nl.check(number, near)
