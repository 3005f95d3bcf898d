"""Checkers of "Every KKT point is global": right answers found another way, named mistakes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from exercise_checks import accepted, refused

import narrowlib as nl

CENTER = nl.mirrored_lecun(jax.random.key(1), d=8, m=4)


def largest(excess):
    """The ε at which a bracket of the proof turns positive."""
    return scipy.optimize.brentq(excess, 1e-9, 1.0, xtol=1e-15)


def one_ball():
    return largest(lambda e: -e * 0.6 + 40 * e * e + 20 * e * e)


def balls():
    return largest(lambda e: -e * 0.6 + 40 * e * (6 * e) + 20 * (6 * e) ** 2)


def saturated():
    """Neurons so large that tanh is flat on every sample: no gradient is left in W, none in v."""
    X = np.asarray(nl.gaussian(jax.random.key(7), n=12, d=8).X)
    # a direction that no sample is nearly orthogonal to
    tries = np.random.default_rng(0).normal(size=(20_000, 8))
    tries /= np.linalg.norm(tries, axis=1, keepdims=True)
    w = tries[np.argmax(abs(tries @ X.T).min(axis=1))]
    W = np.broadcast_to(35.0 * w, (4, 8))
    return nl.Params(jnp.asarray(W), 0.1 * jnp.array([1.0, 1.0, -1.0, -1.0]))


RIGHT = [
    ("3.3.1", one_ball),
    ("3.3.2", balls),
    ("3.3.3", lambda: lambda s, A, c: math.atan2(s, math.sqrt(2) * A * c)),
    ("3.3.4", saturated),
]

WRONG = [
    ("3.3.1", 0.02, "cost a factor"),
    ("3.3.1", 0.015, "needs room"),
    ("3.3.1", 0.03, "needs room"),
    ("3.3.1", 100.0, "Upside down"),
    ("3.3.1", 7.0, "Divide"),
    ("3.3.2", 0.01, "one ball"),
    ("3.3.2", 0.00125, "cost a factor"),
    ("3.3.2", 0.01 / 6, "is that enough"),
    ("3.3.2", 1.0, "c = √m + m/2"),
    ("3.3.3", 0.1, "Pass the function"),
    ("3.3.3", lambda s, A, c: math.atan(s / (A * c)), "Both halves"),
    ("3.3.3", lambda s, A, c: s / (math.sqrt(2) * A * c), "in terms of θ"),
    ("3.3.3", lambda s, A, c: math.degrees(math.atan(s / (math.sqrt(2) * A * c))), "radians"),
    ("3.3.3", lambda s, A, c: s, "to zero"),
    ("3.3.3", lambda s: s, "raised TypeError"),
    ("3.3.3", lambda s, A, c: math.nan, "one finite number"),
    ("3.3.4", nl.Params(jnp.ones((4, 7)), jnp.ones(4)), "(4, 7)"),
    ("3.3.4", nl.Params(CENTER.W * jnp.nan, CENTER.v), "finite"),
    ("3.3.4", nl.Params(CENTER.W + 100, CENTER.v), "Not feasible"),
    ("3.3.4", nl.Params(CENTER.W, 0.1 * jnp.array([1.0, 1.0, -1.0, -1.0])), "Not stationary"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
