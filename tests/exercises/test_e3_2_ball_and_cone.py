"""Checkers of "The ball and the cone": right answers found another way, named mistakes."""

import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused
from scipy.optimize import minimize, minimize_scalar, root_scalar

import narrowlib as nl


def three_sizes():
    v = jnp.array([3.0, 0.5, 1.0, -3.0, -0.5, -1.0])
    return nl.project_paired_cone(v, zeta=0.0, kappa=2.0)[:3].tolist()


def phi(t, u, kappa):
    return sum((t - a) ** 2 * (a < t) + (a - kappa * t) ** 2 * (a > kappa * t) for a in u) / 2


def my_slope(t, u, kappa):
    return sum(t - a for a in u if a < t) - kappa * sum(a - kappa * t for a in u if a > kappa * t)


def by_differences(t, u, kappa):
    """No breakpoint is within reach for the checker's draws: exact, φ being quadratic there."""
    return (phi(t + 1e-5, u, kappa) - phi(t - 1e-5, u, kappa)) / 2e-5


def which_piece():
    u = np.array([6.0, 5.0, -1.0, 2.0])
    root = root_scalar(lambda t: my_slope(t, u, 3.0), bracket=(0.0, 6.0)).root
    points = np.concatenate([u, u / 3])
    return points[points < root].max(), points[points > root].min()


def which_normal():
    """The letters of the vectors that the nearest point takes back, by SLSQP."""
    rows = [[2, 0, -1], [2, -1, 0], [0, 2, -1], [-1, 2, 0], [0, -1, 2], [-1, 0, 2]]
    room = {"type": "ineq", "fun": lambda p: np.append(np.array(rows) @ p, p - 1)}
    vectors = [(-2, 0, 1), (-1, 0, 2), (-2, 1, 0), (0, 0, 0), (-5, 0, 1), (2, 0, -1)]
    words = []
    for at in (np.array([2.0, 3.0, 4.0]), np.array([1.0, 1.5, 2.0])):
        kept = ""
        for name, g in zip("ABCDEF", vectors, strict=True):
            x = at + 0.1 * np.array(g)
            found = minimize(lambda p, x=x: ((p - x) ** 2).sum(), at, constraints=room, tol=1e-14)
            kept += name if abs(found.x - at).max() < 1e-4 else ""
        words.append(kept)
    return tuple(words)


def by_bisection(u, zeta, kappa):
    low, high = 0.0, max(u.max(), zeta)
    for _ in range(60):
        t = (low + high) / 2
        low, high = (low, t) if my_slope(t, u, kappa) > 0 else (t, high)
    return max(zeta, high)


def by_search(u, zeta, kappa):
    """The best t, by SciPy; the squared distance is convex in t."""
    found = minimize_scalar(
        lambda t: ((u - np.clip(u, t, kappa * t)) ** 2).sum(),
        bounds=(zeta, max(u.max(), zeta) + 1e-9), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    return found.x


RIGHT = [
    ("3.2.1", three_sizes),
    ("3.2.1", lambda: np.array([three_sizes()])),
    ("3.2.1", lambda: np.array([three_sizes()]).T),
    ("3.2.2", lambda: my_slope),
    ("3.2.2", lambda: by_differences),
    ("3.2.3", which_piece),
    ("3.2.3", lambda: which_piece()[::-1]),
    ("3.2.4", which_normal),
    ("3.2.4", lambda: ["d a", "a, d, e"]),
    ("3.2.5", lambda: by_bisection),
    ("3.2.5", lambda: by_search),
]
WRONG = [
    ("3.2.1", (3.0, 1.5), "three numbers"),
    ("3.2.1", (1.25, 2.5, 1.25), "order"),
    ("3.2.1", (3.0, 0.5, 1.0), "not in the cone"),
    ("3.2.1", (0.0, 0.0, 0.0), "not in the cone"),
    ("3.2.1", (3.0, 1.5, 1.5), "another t"),
    ("3.2.1", (1.0, 0.5, 1.0), "another t"),
    ("3.2.1", (2.0, 2.0, 2.0), "one interval"),
    ("3.2.2", 3.0, "Pass the function"),
    ("3.2.2", lambda *a: -my_slope(*a), "wrong way round"),
    ("3.2.2", lambda *a: 2 * my_slope(*a), "a half"),
    ("3.2.2", lambda t, u, k: my_slope(t, u, 1.0) + 0 * k, "one at a time"),
    ("3.2.2", lambda t, u, k: np.maximum(t - u, 0).sum() - np.maximum(u - k * t, 0).sum(),
     "factor is missing"),
    ("3.2.2", lambda t, u, k: np.maximum(t - u, 0).sum() + k * np.maximum(u - k * t, 0).sum(),
     "its sign"),
    ("3.2.2", phi, "That is φ"),
    ("3.2.2", lambda t, u, k: t - u, "finite number"),
    ("3.2.2", lambda t: t, "raised TypeError"),
    ("3.2.3", 2.0, "two numbers"),
    ("3.2.3", (3.0, 4.0), "sizes over"),
    ("3.2.3", (1.7, 2.0), "no breakpoint"),
    ("3.2.3", (2 / 3, 2.0), "no neighbours"),
    ("3.2.3", (2.0, 2.0), "no neighbours"),
    ("3.2.3", (2 / 3, 5 / 3), "to the right"),
    ("3.2.3", (2.0, 5.0), "to the left"),
    ("3.2.4", "AD", "two words"),
    ("3.2.4", ("AD", 3), "two words"),
    ("3.2.4", ("AD", "ADX"), "A to F"),
    ("3.2.4", ("ADE", "AD"), "swapped"),
    ("3.2.4", ("ACD", "ADE"), "neither end"),
    ("3.2.4", ("AD", "ADEF"), "signs"),
    ("3.2.4", ("ABD", "ADE"), "first word"),
    ("3.2.4", ("AD", "ABDE"), "second word"),
    ("3.2.4", ("A", "ADE"), "more at the first"),
    ("3.2.4", ("AD", "AD"), "more at the second"),
    ("3.2.5", 1.0, "Pass the function"),
    ("3.2.5", lambda u, zeta, kappa: max(u.min(), zeta), "is possible"),
    ("3.2.5", lambda u, zeta, kappa: max(u.max() / kappa, zeta), "is possible"),
    ("3.2.5", lambda u, zeta, kappa: u.min() - 10, "below zeta"),
    ("3.2.5", lambda u, zeta, kappa: u, "one number t"),
    ("3.2.5", lambda u: 1.0, "raised TypeError"),
]  # fmt: skip


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
