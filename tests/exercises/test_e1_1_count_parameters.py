"""Checkers of "Count parameters, not neurons": right answers found another way, named mistakes."""

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def least_even(fits):
    """The least even m that `fits`, by trying one after the other."""
    m = 2
    while not fits(m):
        m += 2
    return m


def patterns(points):
    angles = np.linspace(0, 2 * np.pi, 100_000)
    signs = np.sign(points @ np.stack([np.cos(angles), np.sin(angles)]))
    return len({tuple(column) for column in signs.T})


def bits_kept():
    """The fewest bits by the exercise's own lines, in JAX."""
    task = nl.gaussian(jax.random.key(0), n=200, d=20)
    fit = nl.interpolate(task.X, task.y, key=jax.random.key(9), width=24)
    W0 = fit.stats["start"].W
    moves = fit.params.W - W0
    for b in range(2, 25):
        unit = abs(moves).max() / (2 ** (b - 1) - 1)
        rounded = nl.Params(W0 + unit * jax.numpy.round(moves / unit), fit.params.v)
        if (nl.forward(rounded, task.X) * task.y > 0).all():
            return b
    return None


POINTS = np.asarray(nl.gaussian(jax.random.key(20), n=10, d=2).X)
TWINS = np.arange(6.0).reshape(2, 3)
RIGHT = [
    ("1.1.1", lambda: least_even(lambda m: m * 10 / 2 >= 1000)),
    ("1.1.2", lambda: least_even(lambda m: m * 3072 / 2 >= 500_000)),
    ("1.1.3", lambda: np.concatenate([TWINS, TWINS])),
    ("1.1.3", lambda: (1e-30 * np.concatenate([TWINS, TWINS])).tolist()),
    ("1.1.4", lambda: patterns(POINTS)),
    ("1.1.5", lambda: bits_kept()),
    ("1.1.5", lambda: [bits_kept()]),
]
WRONG = [
    ("1.1.1", 224, "without biases"),
    ("1.1.1", 182, "output weights"),
    ("1.1.1", 100, "general start"),
    ("1.1.1", 7, "twins"),
    ("1.1.2", 34, "one output"),
    ("1.1.2", 340, "each output by itself"),
    ("1.1.2", 163, "general start"),
    ("1.1.2", 7, "rows of J"),
    ("1.1.3", np.zeros((4, 3)), "Zero"),
    ("1.1.3", np.concatenate([TWINS, -TWINS]), "add up"),
    ("1.1.3", np.arange(12.0).reshape(4, 3), "two halves"),
    ("1.1.3", np.ones((3, 4)), "(3, 4)"),
    ("1.1.3", np.full((4, 3), np.nan), "finite"),
    ("1.1.4", 10, "twice"),
    ("1.1.4", 92, "bias"),
    ("1.1.4", 40, "sign of v"),
    ("1.1.4", 1024, "all labellings"),
    ("1.1.4", 0, "Turn w"),
    ("1.1.5", None, "one number"),
    ("1.1.5", 64, "stored"),
    ("1.1.5", 2, "a sign is lost"),
    ("1.1.5", 20, "fewer"),
    ("1.1.5", 1, "two bits"),
    ("1.1.5", 480 * 5, "together"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
