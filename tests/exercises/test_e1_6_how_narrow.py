"""Checkers of "How narrow can it get?": right answers found another way, named mistakes."""

import functools

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def least(fits):
    """The least m that `fits`, by trying one after the other."""
    m = 1
    while not fits(m):
        m += 1
    return m


def my_delta(X, u, g, B):
    others = [i for i in range(len(X)) if i not in set(B.tolist())]
    gap = min(abs(X[i] @ u - 1) for i in others)
    return gap / 2 / max(abs(x @ g) for x in X)


@functools.cache
def fitted():
    data = nl.gaussian(jax.random.key(11), n=40, d=9)
    for seed in range(30):
        start = nl.lecun(jax.random.key(seed), d=9, m=5)
        sol = nl.levenberg_marquardt(start, data.X, data.y, max_steps=500, throw=False)
        if sol.stats["loss"] < 1e-18:
            return sol.params
    raise AssertionError("no start was fitted")


def covered(m, n=24, d=4):
    """How the total volume changes: each cube becomes 2^p, each image 2^-n of itself."""
    p = m * (d + 1)
    return 2**p * 0.5**n


RIGHT = [
    ("1.6.1", lambda: [covered(4), covered(5)]),
    ("1.6.1", lambda: np.array([1 / 16, 2])),
    ("1.6.2", lambda: least(lambda m: m * 794 >= 600_000)),
    ("1.6.3", lambda: my_delta),
    ("1.6.4", fitted),
]
WRONG = [
    ("1.6.1", (16, 0.5), "doubled"),
    ("1.6.1", (2**-8, 2**-4), "output weights"),
    ("1.6.1", (2**-24, 2**-24), "more cubes"),
    ("1.6.1", (4, -1), "exponents"),
    ("1.6.1", (1 / 16, 0.5), "The first is right"),
    ("1.6.1", (2, 2), "η/2"),
    ("1.6.1", 1 / 16, "a pair"),
    ("1.6.2", 755, "Round up"),
    ("1.6.2", 765, "K output weights"),
    ("1.6.2", 766, "left out"),
    ("1.6.2", 76, "K equations"),
    ("1.6.2", 77, "K equations"),
    ("1.6.2", 1, "dimension"),
    ("1.6.3", lambda *a: 2 * my_delta(*a), "half the gap"),
    ("1.6.3", lambda *a: 0.5 * my_delta(*a), "not the largest"),
    ("1.6.3", lambda X, u, g, B: abs(X @ u - 1).min() / abs(X @ g).max() / 2, "out of the gap"),
    ("1.6.3", lambda X, u, g, B: my_delta(X, u, g, B) * abs(X @ g).max() / abs(X[B] @ g).max(),
     "outside the block"),
    ("1.6.3", lambda *a: 100.0, "no more"),
    ("1.6.3", lambda *a: "abc", "finite number"),
    ("1.6.3", lambda X: 1.0, "raised TypeError"),
    ("1.6.4", nl.Params(np.ones((6, 9)), np.ones(6)), "at most 5 × 9"),
    ("1.6.4", nl.Params(np.ones((5, 8)), np.ones(5)), "(5, 8)"),
    ("1.6.4", nl.Params(np.ones((5, 9)), np.ones((5, 2))), "and v of m"),
    ("1.6.4", nl.Params(np.ones((5, 9)), np.ones(5)), "more starts"),
    ("1.6.4", nl.Params("a", "b"), "arrays of numbers"),
]  # fmt: skip


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_a_near_miss_is_not_accepted():
    verdict = nl.check("1.6.4", fitted()._replace(W=fitted().W * (1 + 1e-6)))
    assert not verdict and "close" in repr(verdict)
