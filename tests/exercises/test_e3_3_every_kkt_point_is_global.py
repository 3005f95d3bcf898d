"""Checkers of "Every KKT point is global": right answers found another way, named mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from exercise_checks import accepted, refused

import narrowlib as nl

CENTER = nl.mirrored_lecun(jax.random.key(1), d=8, m=4)


def radius():
    """The ε at which the last line of the proof turns positive."""
    return scipy.optimize.brentq(lambda e: -(0.6 - 20 * e) + 10 * e, 1e-9, 1.0, xtol=1e-15)


def between(s1, L1, inner, outer):
    """The four steps, one after the other, for ‖r‖ = 1 and v = (1; −1)."""
    rank = s1 - L1 * outer
    return bool(inner > 0 and rank > 0 and -inner * rank + L1 * outer**2 / 2 < 0)


def saturated():
    """Neurons so large that tanh is flat on every sample: no gradient is left in W, none in v."""
    X = np.asarray(nl.gaussian(jax.random.key(7), n=12, d=8).X)
    # a direction that no sample is nearly orthogonal to
    tries = np.random.default_rng(0).normal(size=(20_000, 8))
    tries /= np.linalg.norm(tries, axis=1, keepdims=True)
    w = tries[np.argmax(abs(tries @ X.T).min(axis=1))]
    W = np.broadcast_to(35.0 * w, (4, 8))
    return nl.Params(jnp.asarray(W), 0.1 * jnp.array([1.0, 1.0, -1.0, -1.0]))


STEPS = {"A": "mirror", "B": "ray", "C": "rank", "D": "ball"}

RIGHT = [
    ("3.3.1", radius),
    ("3.3.1", lambda: np.array([0.02])),
    ("3.3.2", lambda: STEPS),
    ("3.3.2", lambda: {k.lower(): word.title() + " " for k, word in STEPS.items()}),
    ("3.3.3", lambda: between),
    ("3.3.3", lambda: lambda *a: np.array([between(*a)])),
    ("3.3.3", lambda: lambda *a: jnp.asarray(between(*a))),
    ("3.3.4", saturated),
]

WRONG = [
    ("3.3.1", 2e-8, "does not occur"),
    ("3.3.1", 0.03, "needs room"),
    ("3.3.1", 50.0, "Upside down"),
    ("3.3.1", 7.0, "two constants"),
    ("3.3.2", ["mirror", "ray", "rank", "ball"], "a dictionary"),
    ("3.3.2", {"A": "mirror"}, "The letters"),
    ("3.3.2", STEPS | {"A": "mirrored"}, "no step"),
    ("3.3.2", STEPS | {"A": "ball"}, "At A"),
    ("3.3.2", STEPS | {"B": "rank"}, "At B"),
    ("3.3.2", STEPS | {"C": "ball"}, "At C"),
    ("3.3.2", STEPS | {"D": "mirror"}, "At D"),
    ("3.3.3", 0.1, "Pass the function"),
    ("3.3.3", lambda s, L, a, b: a < 2 * s / (3 * L), "outer ball: rank"),
    ("3.3.3", lambda s, L, a, b: b < 2 * s / (3 * L), "outer ball itself"),
    ("3.3.3", lambda s, L, a, b: a * s > L * b**2 / 2, "less than at W₀"),
    ("3.3.3", lambda s, L, a, b: s > L * b, "keeps the rank"),
    ("3.3.3", lambda s, L, a, b: a * s > L * b * (a + b / 2) or a == 0, "Compare"),
    ("3.3.3", lambda s, L, a, b: True, "Compare"),
    ("3.3.3", lambda s, L, a, b: None, "True or False"),
    ("3.3.3", lambda s: True, "raised TypeError"),
    ("3.3.4", nl.Params(jnp.ones((4, 7)), jnp.ones(4)), "(4, 7)"),
    ("3.3.4", nl.Params(CENTER.W * jnp.nan, CENTER.v), "finite"),
    ("3.3.4", nl.Params(CENTER.W + 100, CENTER.v), "Not feasible"),
    ("3.3.4", nl.Params(CENTER.W, 0.1 * jnp.array([1.0, 1.0, -1.0, -1.0])), "Not stationary"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
