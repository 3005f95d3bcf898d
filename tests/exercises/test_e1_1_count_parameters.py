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


POINTS = np.asarray(nl.gaussian(jax.random.key(20), n=10, d=2).X)
TWINS = np.arange(6.0).reshape(2, 3)
RIGHT = [
    ("1.1.1", lambda: least_even(lambda m: m * 3 * 224**2 / 2 >= 1_281_167)),
    ("1.1.2", lambda: least_even(lambda m: m * 10 / 2 >= 1000)),
    ("1.1.3", lambda: least_even(lambda m: m * 3072 / 2 >= 500_000)),
    ("1.1.4", lambda: np.concatenate([TWINS, TWINS])),
    ("1.1.4", lambda: (1e-30 * np.concatenate([TWINS, TWINS])).tolist()),
    ("1.1.5", lambda: patterns(POINTS)),
]
WRONG = [
    ("1.1.1", 52, "three colours"),
    ("1.1.1", 9, "mirrored"),
    ("1.1.1", 17.02, "round"),
    ("1.1.1", 1_281_167, "n is given"),
    ("1.1.2", 224, "without biases"),
    ("1.1.2", 182, "output weights"),
    ("1.1.2", 100, "general start"),
    ("1.1.2", 7, "twins"),
    ("1.1.3", 34, "one output"),
    ("1.1.3", 340, "each output by itself"),
    ("1.1.3", 163, "general start"),
    ("1.1.3", 7, "rows of J"),
    ("1.1.4", np.zeros((4, 3)), "Zero"),
    ("1.1.4", np.concatenate([TWINS, -TWINS]), "add up"),
    ("1.1.4", np.arange(12.0).reshape(4, 3), "two halves"),
    ("1.1.4", np.ones((3, 4)), "(3, 4)"),
    ("1.1.4", np.full((4, 3), np.nan), "finite"),
    ("1.1.5", 10, "twice"),
    ("1.1.5", 92, "bias"),
    ("1.1.5", 40, "sign of v"),
    ("1.1.5", 1024, "all labellings"),
    ("1.1.5", 0, "Turn w"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
