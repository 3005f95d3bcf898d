"""Checkers of "Ablations": right answers found another way, named mistakes."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl

TABLE = np.array([-1.0, -1.2, -2.0, -4.0])


def by_orders(f):
    """Shares: every order of adding the elements, one after the other."""
    k = round(math.log2(len(f)))
    found = np.zeros(k)
    for order in itertools.permutations(range(k)):
        there = 0
        for i in order:
            found[i] += f[there + 2**i] - f[there]
            there += 2**i
    return found / math.factorial(k)


def by_halves(f):
    """Main effects: one half of the table against the other, along each axis of a cube."""
    cube = np.reshape(f, (2,) * round(math.log2(len(f))))
    return np.array([np.diff(cube.mean(axis=tuple(set(range(cube.ndim)) - {axis})))[0]
                     for axis in reversed(range(cube.ndim))])  # fmt: skip


def alone(f):
    return [f[2**i] - f[0] for i in range(round(math.log2(len(f))))]


def last(f):
    return [f[-1] - f[len(f) - 1 - 2**i] for i in range(round(math.log2(len(f))))]


def crossed(scale=1.0, twins=False):
    """Neurons a, b against b, a; or against a, b."""
    W = jnp.array([[1.0, 2.0], [0.5, -1.0]])
    return nl.Params(jnp.concatenate([W, W if twins else W[::-1]]),
                     scale * jnp.array([1.0, 1.0, -1.0, -1.0]))  # fmt: skip


def unlike():
    return crossed()._replace(v=jnp.array([1.0, 2.0, -1.0, -2.0]))


RIGHT = [
    ("4.3.1", lambda: -by_orders(TABLE)[0]),
    ("4.3.2", lambda: [0, 0, 0, -4, 0, 0, 0, 0]),
    ("4.3.2", lambda: np.array([3.0, 3, 5, 3, 9, 7, 1, 1])),
    ("4.3.3", lambda: by_halves),
    ("4.3.4", lambda: next(N for N in range(1, 999) if 2 / N <= 4 / (64 * 8))),
    ("4.3.5", crossed),
    ("4.3.5", lambda: crossed(1e-3)),
]
WRONG = [
    ("4.3.1", -1.1, "positive"),
    ("4.3.1", 0.2, "alone"),
    ("4.3.1", 2.0, "last"),
    ("4.3.1", 3.0, "together"),
    ("4.3.1", 1.5, "alike"),
    ("4.3.1", 7.0, "both orders"),
    ("4.3.2", [0, 0, 0, 4, 0, 0, 0, 0], "+1"),
    ("4.3.2", [0, -1, 0, -1, 0, -1, 0, -1], "alone"),
    ("4.3.2", [0, 0, 0, -1, 0, -1, 0, -2], "full method"),
    ("4.3.2", [0] * 8, "not −1"),
    ("4.3.2", [0] * 4, "eight"),
    ("4.3.2", 3.0, "eight"),
    ("4.3.3", 3.0, "the function"),
    ("4.3.3", lambda: 0, "raised TypeError"),
    ("4.3.3", lambda f: f, "has to return"),
    ("4.3.3", lambda f: -by_halves(f), "sign"),
    ("4.3.3", lambda f: by_halves(f)[::-1], "lowest bit"),
    ("4.3.3", alone, "alone"),
    ("4.3.3", last, "last"),
    ("4.3.3", by_orders, "share over orders"),
    ("4.3.3", lambda f: by_halves(f) * len(f) / 2, "sum"),
    ("4.3.3", lambda f: by_halves(f) / 2, "half of it"),
    ("4.3.3", lambda f: 0 * by_halves(f), "wrong for a table"),
    ("4.3.4", 512, "two sides"),
    ("4.3.4", 32, "eight seeds"),
    ("4.3.4", 8, "32 times"),
    ("4.3.4", 100, "variances equal"),
    ("4.3.5", crossed(twins=True), "leaves v"),
    ("4.3.5", unlike(), "not zero"),
    ("4.3.5", crossed()._replace(v=jnp.ones(4)), "(u; −u)"),
    ("4.3.5", crossed(0.0), "without zeros"),
    ("4.3.5", nl.Params(jnp.ones((2, 2)), jnp.ones(2)), "should be 4 × 2"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
