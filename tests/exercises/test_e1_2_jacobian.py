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


def along_the_top():
    """Small steps along the samples' first direction, by the eigenvectors of XᵀX."""
    X = np.asarray(nl.gaussian(jax.random.key(0), n=20, d=4).X)
    top = np.linalg.eigh(X.T @ X)[1][:, -1]
    return 0.2 * top, 1e-3 * top


RIGHT = [
    ("1.2.1", lambda: vjp_by_jax),
    ("1.2.2", lipschitz_by_search),
    ("1.2.3", lambda: 3),
    ("1.2.4", lambda: samples(1e-9)),
    ("1.2.5", along_the_top),
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
    ("1.2.2", 17.678, "Frobenius"),
    ("1.2.2", 13.975, "length of v"),
    ("1.2.2", 6.25, "left out v"),
    ("1.2.2", 38.49, "tanh"),
    ("1.2.2", 50, "left out L₂"),
    ("1.2.2", 1, "Four factors"),
    ("1.2.3", 1, "definition"),
    ("1.2.3", 2, "is true"),
    ("1.2.3", 4, "is true"),
    ("1.2.3", 2.5, "1 to 4"),
    ("1.2.5", (np.ones(4), np.array([1.0, 0, 0, 0])), "Reach 0.7"),
    ("1.2.5", (np.ones(4), np.zeros(4)), "length of Δ"),
    ("1.2.5", (np.ones(4), np.ones(3)), "four numbers"),
    ("1.2.5", np.ones(4), "Pass a pair"),
    ("1.2.4", samples(None), "Both routes"),
    ("1.2.4", samples(0.0), "By the SVD"),
    ("1.2.4", (nl.mirrored_lecun(jax.random.key(0), d=2, m=2), np.ones((101, 2))), "At most 100"),
    ("1.2.4", (nl.mirrored_lecun(jax.random.key(0), d=3, m=2), np.ones((5, 2))), "numerical_rank"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
