"""The checkers accept a right answer found another way, and name the usual wrong ones."""

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def gram_by_jax(X, W, v):
    J = jax.jacrev(lambda W: jax.numpy.tanh(X @ W.T) @ v)(W).reshape(len(X), -1)
    return J @ J.T


def gram_of_weights(X, W, v):
    J = np.asarray(nl.jacobian(nl.Params(W, v), X))
    return J.T @ J


def fitted():
    data = nl.gaussian(jax.random.key(4), n=90, d=10)
    run = nl.interpolate(
        data.X, data.y, activation="softplus", key=jax.random.key(0), width=20, throw=False
    )
    return run.params


RIGHT = [
    ("0.1", lambda: 154),
    ("0.2", lambda: gram_by_jax),
    ("0.3", lambda: 2 * int(np.ceil((1797 - 116) / 51))),
    ("0.4", fitted),
]

WRONG = [
    ("0.1", None, "one number"),
    ("0.1", "many", "one number"),
    ("0.1", float("nan"), "one number"),
    ("0.1", 77, "n/d"),
    ("0.1", 60_000, "number of samples"),
    ("0.1", 153.06, "Round up"),
    ("0.1", 12, "Count"),
    ("0.2", np.zeros((2, 3)), "shape (2, 3)"),
    ("0.2", lambda X, W, v: X @ X.T, "multiply two rows"),
    ("0.2", lambda X, W, v: (X @ X.T) * (np.tanh(X @ W.T) @ np.tanh(X @ W.T).T), "σ where"),
    ("0.2", gram_of_weights, "JᵀJ"),
    ("0.2", lambda X, W, v: 1 / 0, "ZeroDivisionError"),
    ("0.3", None, "one number"),
    ("0.3", 65, "even"),
    ("0.3", 58, "equally useful"),
    ("0.3", 80, "51 h + 116"),
    ("0.4", None, "params"),
    ("0.4", nl.Params("a", "b"), "arrays of numbers"),
    ("0.4", nl.Params(np.ones((20, 10)), np.ones(3)), "v of m; yours are (20, 10) and (3,)"),
    ("0.4", nl.mirrored_lecun(jax.random.key(0), d=10, m=22), "at most 20"),
    ("0.4", nl.mirrored_lecun(jax.random.key(0), d=10, m=20), "1e-18"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
