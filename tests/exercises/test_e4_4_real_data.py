"""Checkers of "Real data": right answers found another way, named mistakes."""

import numpy as np
import scipy.optimize
from exercise_checks import accepted, refused


def floor(counts, rank):
    """The singular values of the one-hot targets that no matrix of this rank reaches."""
    Y = np.repeat(np.eye(len(counts)), counts, axis=0)
    return (np.linalg.svd(Y, compute_uv=False)[rank:] ** 2).sum() / (2 * len(Y))


def neurons(classes, goal):
    return next(m for m in range(2, 999, 2) if floor(np.ones(classes, int), m // 2) <= goal + 1e-9)


def two_eigenvalues(n=200, steps=50):
    """The mean over all directions of labels, step by step."""
    values = np.repeat([1.0, 0.01], n // 2)
    r = np.ones(n)
    for _ in range(steps):
        r = r - values * r
    return (r**2).sum() / (2 * n)


def nearest(V, V0, zeta):
    """Bounded least squares over the entries of A."""
    h = len(V) // 2
    B = np.concatenate([np.eye(h), -np.eye(h)])
    columns = []
    for v, s in zip(V.T, np.sign(V0[:h]).T, strict=True):
        low, high = np.where(s > 0, zeta, -np.inf), np.where(s > 0, np.inf, -zeta)
        columns.append(scipy.optimize.lsq_linear(B, v, (low, high), tol=1e-14).x)
    return B @ np.array(columns).T


def first_half(V, V0, zeta):
    """Takes A from the first half alone."""
    signs = np.sign(V0[: len(V) // 2])
    A = signs * np.maximum(signs * V[: len(V) // 2], zeta)
    return np.concatenate([A, -A])


def unpaired(V, V0, zeta):
    return np.sign(V0) * np.maximum(np.sign(V0) * V, zeta)


def no_signs(V, V0, zeta):
    A = (V[: len(V) // 2] - V[len(V) // 2 :]) / 2
    return np.concatenate([A, -A])


def no_size(V, V0, zeta):
    return nearest(V, V0, 0.0)


RIGHT = [
    ("4.4.1", lambda: floor([400, 300, 200, 60, 40], 3)),
    ("4.4.2", lambda: neurons(100, 0.05)),
    ("4.4.3", two_eigenvalues),
    ("4.4.4", lambda: nearest),
]
WRONG = [
    ("4.4.1", 0, "features has a pair"),
    ("4.4.1", 0.1, "half in front"),
    ("4.4.1", 0.45, "small classes"),
    ("4.4.1", 0.15, "Count the pairs"),
    ("4.4.1", 50, "mean over the samples"),
    ("4.4.1", 0.7, "beyond rank three"),
    ("4.4.2", 90, "So many pairs"),
    ("4.4.2", 190, "half in front"),
    ("4.4.2", 200, "needs fewer"),
    ("4.4.2", 100, "solve for h"),
    ("4.4.3", 0.99**50 / 4, "square"),
    ("4.4.3", 0.99**100 / 2, "Only half"),
    ("4.4.3", (0.99**100 + 1) / 4, "one step"),
    ("4.4.3", 0.98**100 / 4, "twice the step size"),
    ("4.4.3", 0.5, "into the formula"),
    ("4.4.4", np.zeros((4, 3)), "Pass the function"),
    ("4.4.4", lambda V: V, "raised TypeError"),
    ("4.4.4", lambda V, V0, zeta: V[:1], "returns the shape"),
    ("4.4.4", unpaired, "halves"),
    ("4.4.4", no_signs, "wrong sign"),
    ("4.4.4", no_size, "smaller than zeta"),
    ("4.4.4", first_half, "nearer point"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
