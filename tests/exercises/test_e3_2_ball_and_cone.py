"""Checkers of "The ball and the cone": right answers found another way, named mistakes."""

import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused
from scipy.optimize import minimize, root_scalar

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


def two_points():
    def nearest(x):
        found = minimize(
            lambda p: ((p - np.array(x)) ** 2).sum(),
            np.array([2.0, 0.5]),
            method="SLSQP",
            constraints={"type": "ineq", "fun": lambda p: [p[0] - 1, 0.75 * p[0] - p[1]]},
            options={"ftol": 1e-15},
        )
        return tuple(found.x)

    return nearest((1.0, 3.0)), nearest((-1.0, 2.0))


def largest_angle():
    """The largest angle in space of all 2⁵ corners."""
    corners = np.stack(np.meshgrid(*[[1.0, 2.0]] * 5), axis=-1).reshape(-1, 5)
    cosines = corners.sum(1) / np.sqrt(5 * (corners**2).sum(1))
    return float(np.degrees(np.arccos(cosines.min())))


RIGHT = [
    ("3.2.1", three_sizes),
    ("3.2.1", lambda: np.array([three_sizes()])),
    ("3.2.1", lambda: np.array([three_sizes()]).T),
    ("3.2.2", lambda: my_slope),
    ("3.2.2", lambda: by_differences),
    ("3.2.3", which_piece),
    ("3.2.3", lambda: which_piece()[::-1]),
    ("3.2.4", two_points),
    ("3.2.5", largest_angle),
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
    ("3.2.4", (1.0, 2.0), "pair of pairs"),
    ("3.2.4", ((1.0, 0.75), (2.08, 1.56)), "swapped"),
    ("3.2.4", ((2.08, 1.56), (0.32, 0.24)), "below the cut"),
    ("3.2.4", ((1.0, 3.0), (1.0, 0.75)), "first of your points is not in the set"),
    ("3.2.4", ((2.08, 1.56), (1.0, 2.0)), "second of your points is not in the set"),
    ("3.2.4", ((2.08, 1.56), (1.0, 0.5)), "second of your points is in the set"),
    ("3.2.5", "a", "one number"),
    ("3.2.5", 19.47, "all widths"),
    ("3.2.5", 0.3366, "radians"),
    ("3.2.5", 19.42, "half as many"),
    ("3.2.5", 18.43, "larger angle"),
    ("3.2.5", 45.0, "corners"),
]  # fmt: skip


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
