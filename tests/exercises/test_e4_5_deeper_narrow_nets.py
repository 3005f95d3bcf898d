"""Checkers of "Deeper narrow nets": right answers found another way, named mistakes."""

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def least_width(p, n):
    """From the rank of the Jacobian at random mirrored weights, by bisection."""
    with jax.enable_x64(True):
        features = jax.random.normal(jax.random.key(0), (n, p))
        few, enough = 1, 2 * n // p  # pairs
        while enough - few > 1:
            pairs = (few + enough) // 2
            start = nl.mirrored_lecun(jax.random.key(1), d=p, m=2 * pairs)
            full = np.linalg.matrix_rank(nl.jacobian(start, features)) == n
            few, enough = (few, pairs) if full else (pairs, enough)
        return 2 * enough


def least_loss(K, rank, copies=3):
    """From the singular values of centred one-hot targets."""
    Y = np.eye(K)[np.arange(copies * K) % K]
    left = np.linalg.svd(Y - Y.mean(axis=0), compute_uv=False)[rank:]
    return (left**2).sum() / (2 * len(Y))


def tangents(f, slope):
    """Tangents of a convex function at the points where its slope is 0, …, 9."""
    return [f(slope(k)) - k * slope(k) for k in range(10)]


RIGHT = [
    ("4.5.1", lambda: least_width(24, 1000)),
    ("4.5.2", lambda: least_loss(10, 3)),
    ("4.5.3", lambda: tangents(lambda t: t**2 / 2, lambda k: k)),
    ("4.5.3", lambda: tangents(np.exp, lambda k: np.log(k + 0.5)) - np.arange(10) / 2),
    ("4.5.4", lambda: {5, 3, 1}),
    ("4.5.4", lambda: [1, 3, 5]),
]
WRONG = [
    ("4.5.1", 20, "counts inputs"),
    ("4.5.1", 42, "twins"),
    ("4.5.1", 83, "even"),
    ("4.5.1", 100, "m/2"),
    ("4.5.1", "many", "one number"),
    ("4.5.2", 0.15, "without pairs"),
    ("4.5.2", 0.35, "biases"),
    ("4.5.2", 0.6, "one half"),
    ("4.5.2", 0.45, "rank"),
    ("4.5.3", [0.0] * 10, "first and the last"),
    ("4.5.3", [k**2 for k in range(10)], "first and the last"),
    ("4.5.3", [-k * k / 2 - (k == 5) for k in range(10)], "1 of the ten"),
    ("4.5.3", [1, 2, 3], "b_0 to b_9"),
    ("4.5.3", [np.nan] * 10, "b_0 to b_9"),
    ("4.5.3", "lines", "ten numbers"),
    ("4.5.4", {1, 2, 3}, "adds different"),
    ("4.5.4", {1, 3, 4, 5}, "at random"),
    ("4.5.4", {1, 3}, "1 more to find"),
    ("4.5.4", {0, 1}, "from 1 to 5"),
    ("4.5.4", {1.5}, "from 1 to 5"),
    ("4.5.4", 3, "set of numbers from 1 to 5"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
