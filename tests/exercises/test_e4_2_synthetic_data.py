"""Checkers of "Synthetic data": right answers found another way, named mistakes."""

import itertools

import jax
import numpy as np
from exercise_checks import accepted, refused

import narrowlib as nl


def one_pair():
    """Eigenvalues of the Jacobian that JAX finds, at x = 1 and tanh(w) = 0.6."""
    w = np.arctanh(0.6)
    start = nl.Params(np.array([[w], [w]]), np.array([0.5, -0.5]))
    g = jax.grad(lambda p: nl.forward(p, np.ones((1, 1)))[0])(start)
    hidden = float((g.W**2).sum())
    free, tied = float((g.v**2).sum()), float((g.v[0] - g.v[1]) ** 2 / 2)
    return (hidden + free) / (hidden + tied)


def price():
    cost = {"factor": 1e9 / 3, "matrix": 2e6 * 20, "products": 12 * 2e6}
    return sum(cost.values()) / (6 * 2e6)


def seeds():
    return next(k for k in itertools.count(1) if 54 * 2 / 2**k <= 0.05)


def kernel(W, v, X, tied):
    """J Jᵀ over a basis of the directions that v may take, by JAX."""
    half = len(v) // 2
    basis = np.eye(half) / 2**0.5
    basis = np.concatenate([basis, -basis]) if tied else np.eye(len(v))
    J_W = np.asarray(nl.jacobian(nl.Params(W, v), X))
    J_v = np.tanh(X @ W.T) @ basis
    return J_W @ J_W.T + J_v @ J_v.T


def limits(W, v, X):
    return [2 * len(X) / np.linalg.eigvalsh(kernel(W, v, X, t))[-1] for t in (False, True)]


def only_mirrored(W, v, X):
    J = np.asarray(nl.jacobian(nl.Params(W, v), X))
    return limits(W, v, X)[0], 2 * len(X) / np.linalg.eigvalsh(J @ J.T)[-1]


RIGHT = [
    ("4.2.1", one_pair),
    ("4.2.2", price),
    ("4.2.3", seeds),
    ("4.2.4", lambda: limits),
]
WRONG = [
    ("4.2.1", 0.2048 / 0.9248, "Upside down"),
    ("4.2.1", 0.72 / 0.2048, "sum of two"),
    ("4.2.1", 2 / 0.2048, "one of the two"),
    ("4.2.1", 1 + 0.36 / 0.2048, "Both neurons"),
    ("4.2.1", 1 + 0.72 / 0.32, "its square"),
    ("4.2.1", 2, "1 − tanh²"),
    ("4.2.2", 1 / 33.1, "Upside down"),
    ("4.2.2", 27.8, "not all"),
    ("4.2.2", 496, "all fifteen"),
    ("4.2.2", 3, "Divide"),
    ("4.2.3", 11, "two directions"),
    ("4.2.3", 6, "for one comparison"),
    ("4.2.3", 20, "false sweep"),
    ("4.2.4", 3, "Pass the function"),
    ("4.2.4", lambda W: 1, "raised TypeError"),
    ("4.2.4", lambda W, v, X: 1.0, "two numbers"),
    ("4.2.4", lambda W, v, X: limits(W, v, X)[::-1], "First the limit"),
    ("4.2.4", lambda W, v, X: np.array(limits(W, v, X)) / len(X), "over the largest"),
    ("4.2.4", lambda W, v, X: 2 * [limits(W, v, X)[0]], "the second is not"),
    ("4.2.4", only_mirrored, "Elsewhere twins differ"),
    ("4.2.4", lambda W, v, X: (1.0, 1.0), "first number is off"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
