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


def narrower():
    """Fewer neurons than the theorem needs, all weights moved."""
    data = nl.gaussian(jax.random.key(4), n=90, d=10)
    start = nl.lecun(jax.random.key(14), d=10, m=14)
    return nl.levenberg_marquardt(start, data.X, data.y, activation="softplus").params


def powers():
    """The exponents, measured at α = 1 and α = 2."""
    data = nl.gaussian(jax.random.key(0), n=12, d=8)
    seen = []
    for scale in (1.0, 2.0):
        start = nl.mirrored_lecun(jax.random.key(1), d=8, m=4, scale=scale)
        report = nl.existence_certificate(start, data.X, data.y)
        missed = np.linalg.norm(nl.forward(start, data.X) - data.y)
        seen.append((report.sigma_min, report.lipschitz, missed, report.h))
    return np.round(np.log2(np.array(seen[1]) / np.array(seen[0])), 6)


def gram_with(power, factor):
    """A Gram matrix with |v| to another power, or with another factor than the derivative."""

    def function(X, W, v):
        A = factor(np.tanh(X @ W.T))
        return (X @ X.T) * (A * np.abs(v) ** power @ A.T)

    return function


def slope(value):
    return 1 - value**2


RIGHT = [
    ("0.1.1", lambda: 154),
    ("0.1.1", lambda: [154]),
    ("0.1.2", lambda: gram_by_jax),
    ("0.1.2", lambda: gram_with(2, slope)),
    ("0.1.3", lambda: 2 * int(np.ceil((1797 - 116) / 51))),
    ("0.1.3", lambda: np.array([66])),
    ("0.1.4", lambda: (1, 1, 0, -1)),
    ("0.1.4", lambda: powers()),
    ("0.1.5", fitted),
    ("0.1.5", narrower),
]

WRONG = [
    ("0.1.1", None, "one number"),
    ("0.1.1", "many", "one number"),
    ("0.1.1", float("nan"), "one number"),
    ("0.1.1", 77, "n/d"),
    ("0.1.1", 60_000, "number of samples"),
    ("0.1.1", 153.06, "Round up"),
    ("0.1.1", 12, "Count"),
    ("0.1.2", np.zeros((2, 3)), "Pass the function"),
    ("0.1.2", lambda X, W, v: X @ W.T, "shape (5, 3)"),
    ("0.1.2", lambda X, W, v: X @ X.T, "multiply two rows"),
    ("0.1.2", gram_with(0, slope), "left out v"),
    ("0.1.2", gram_with(1, slope), "squared"),
    ("0.1.2", gram_with(0.5, slope), "multiply two rows"),
    ("0.1.2", gram_with(0, lambda value: value), "σ where"),
    ("0.1.2", gram_with(2, lambda value: value), "σ where"),
    ("0.1.2", gram_of_weights, "JᵀJ"),
    ("0.1.2", lambda X, W, v: 1 / 0, "ZeroDivisionError"),
    ("0.1.2", lambda X, W, v: None, "finite numbers"),
    ("0.1.3", None, "one number"),
    ("0.1.3", 64, "1748"),
    ("0.1.3", 65, "even"),
    ("0.1.3", 65.92, "even"),
    ("0.1.3", 58, "equally useful"),
    ("0.1.3", 68, "not the first"),
    ("0.1.3", 80, "(q + 1) m/2 + |I|"),
    ("0.1.4", 1, "four numbers"),
    ("0.1.4", (2, 1, 0, -3), "linear in v"),
    ("0.1.4", (1, 0, 0, -2), "linear in v"),
    ("0.1.4", (1, 1, 1, 0), "computes zero"),
    ("0.1.4", (1, 1, 0, 1), "h = L"),
    ("0.1.5", None, "params"),
    ("0.1.5", nl.Params("a", "b"), "arrays of numbers"),
    ("0.1.5", nl.Params(np.ones((20, 10)), np.ones(3)), "v of m; yours are (20, 10) and (3,)"),
    ("0.1.5", nl.mirrored_lecun(jax.random.key(0), d=10, m=22), "at most 20"),
    ("0.1.5", nl.mirrored_lecun(jax.random.key(0), d=10, m=20), "1e-18"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
