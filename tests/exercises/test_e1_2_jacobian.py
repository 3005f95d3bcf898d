"""Checkers of "The Jacobian of one hidden layer": right answers by another way, named mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def vjp_by_jax(X, W, v, r):
    return jax.vjp(lambda W: jnp.tanh(X @ W.T) @ v, jnp.asarray(W))[1](jnp.asarray(r))[0]


def samples(distance):
    X = nl.gaussian(jax.random.key(0), n=10, d=4).X
    if distance is not None:
        X = X.at[1].set(X[0] + distance)
    return nl.mirrored_lecun(jax.random.key(2), d=4, m=10), X


def lipschitz_by_search():
    """The largest second derivative on a grid, with NumPy's norms."""
    z = np.linspace(-3, 3, 60_001)
    slopes = np.gradient(1 / (1 + np.exp(-z)), z)
    X = np.array([[3.0, 4.0], [-4.0, 3.0]])
    return slopes.max() * 5 * np.linalg.svd(X, compute_uv=False)[0] * 2


RIGHT = [
    ("1.2.1", lambda: vjp_by_jax),
    ("1.2.2", lambda: jnp.zeros((1, 34 * 3072)).nbytes * 50_000 / 1e9),
    ("1.2.3", lipschitz_by_search),
    ("1.2.4", lambda: 10 * np.sqrt(1797 * 2.2e-16) * 3000),
    ("1.2.5", lambda: samples(1e-9)),
]
WRONG = [
    (
        "1.2.1",
        lambda X, W, v, r: ((1 - np.tanh(X @ W.T) ** 2) * r[:, None]).T @ X,
        "output weights",
    ),
    ("1.2.1", lambda X, W, v, r: (np.tanh(X @ W.T) * v * r[:, None]).T @ X, "σ where"),
    ("1.2.1", lambda X, W, v, r: np.outer(v, r @ X), "left out σ′"),
    ("1.2.1", lambda X, W, v, r: -vjp_by_jax(X, W, v, r), "sign"),
    ("1.2.1", lambda X, W, v, r: vjp_by_jax(X, W, v, r).T, "(2, 3)"),
    ("1.2.1", lambda X, W, v, r: np.zeros((3, 2)), "Row j"),
    ("1.2.1", lambda X, W, v, r: 1 / 0, "ZeroDivisionError"),
    ("1.2.1", lambda: 0, "TypeError"),
    ("1.2.2", 20.9, "single precision"),
    ("1.2.2", 20.0, "Gram"),
    ("1.2.2", 5.22, "entries"),
    ("1.2.2", 0.0136, "D, one number"),
    ("1.2.2", 38.9, "2³⁰"),
    ("1.2.2", 1.0, "8 bytes"),
    ("1.2.3", 17.678, "Frobenius"),
    ("1.2.3", 13.975, "length of v"),
    ("1.2.3", 6.25, "left out v"),
    ("1.2.3", 38.49, "tanh"),
    ("1.2.3", 50, "left out L₂"),
    ("1.2.3", 1, "Four factors"),
    ("1.2.4", 1.895e-3, "ten times"),
    ("1.2.4", 1.197e-8, "square root"),
    ("1.2.4", 439.1, "single"),
    ("1.2.4", 4.47e-4, "under the root"),
    ("1.2.4", 1.0, "Ten times"),
    ("1.2.5", samples(None), "Both routes"),
    ("1.2.5", samples(0.0), "By the SVD"),
    ("1.2.5", (nl.mirrored_lecun(jax.random.key(0), d=2, m=2), np.ones((101, 2))), "At most 100"),
    ("1.2.5", (nl.mirrored_lecun(jax.random.key(0), d=3, m=2), np.ones((5, 2))), "numerical_rank"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
