"""Checkers of "The nice region": right answers found another way, named mistakes."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from exercise_checks import accepted, refused

import narrowlib as nl


def plane():
    """The nearest point of the curve by a root finder: w₂ from w₁, then the least distance."""

    def second(first):
        def gap(w):
            return (1 + math.exp(-first)) * (1 + math.exp(-w)) - 2

        return scipy.optimize.brentq(gap, -30, 60)

    def distance(first):
        return math.hypot(first - 2, second(first) + 1)

    return min(
        scipy.optimize.minimize_scalar(distance, bounds=b, method="bounded").fun
        for b in ((0.01, 1), (1, 3), (3, 20))
    )


def collision(U):
    return min(
        np.linalg.norm(U[j] + sign * U[k]) for j in range(5) for k in range(j) for sign in (1, -1)
    )


def sleep(W, x):
    """By moving every neuron that is awake to its own line w·x = 0."""
    moved = W - np.outer(np.maximum(W @ x, 0), x) / (x @ x)
    return np.linalg.norm(moved - W)


@functools.cache
def start():
    with jax.enable_x64(True):
        X = jax.random.normal(jax.random.key(30), (12, 3))
        return nl.mirrored_lecun(jax.random.key(31), d=3, m=10), X


@functools.cache
def better():
    """Gradient ascent on the radius, scaled back to the length of the start."""
    with jax.enable_x64(True):
        params, X = start()
        size = jnp.linalg.norm(params.W)

        def radius(U):
            W = jnp.concatenate([U, U])
            return nl.guaranteed_radius(params._replace(W=W * (size / jnp.linalg.norm(W))), X)

        def step(U, _):
            g = jax.grad(radius)(U)
            return U + 0.02 * g / jnp.linalg.norm(g), None

        U, _ = jax.jit(lambda U: jax.lax.scan(step, U, length=300))(params.W[:5])
        W = jnp.concatenate([U, U])
        return params._replace(W=W * (size / jnp.linalg.norm(W)))


def change(**new):
    params, _ = start()
    return params._replace(**new)


RIGHT = [
    ("2.3.1", plane),
    ("2.3.2", lambda: 10_000),
    ("2.3.3", lambda: collision),
    ("2.3.4", lambda: sleep),
    ("2.3.5", better),
]
W, v = (np.asarray(a) for a in start()[0])
WRONG = [
    ("2.3.1", 3 / math.sqrt(2), "diagonal"),
    ("2.3.1", plane() ** 2, "square"),
    ("2.3.1", 1.0, "keeps full rank"),
    ("2.3.1", 1.9, "nearer"),
    ("2.3.1", -1.0, "above 0"),
    ("2.3.2", 5_000, "2‖y‖"),
    ("2.3.2", 2_000, "twice"),
    ("2.3.2", 250, "not s₁"),
    ("2.3.2", 50, "distance 1"),
    ("2.3.2", 7, "no α"),
    ("2.3.3", 3, "Pass the function"),
    ("2.3.3", lambda U: 1 / 0, "ZeroDivisionError"),
    ("2.3.3", lambda U: None, "one finite number"),
    ("2.3.3", lambda U: min(np.linalg.norm(U[j] - U[k]) for j in range(5) for k in range(j)),
     "even"),
    ("2.3.3", lambda U: collision(U) / math.sqrt(2), "twins"),
    ("2.3.3", lambda U: collision(U) * math.sqrt(2), "half the way"),
    ("2.3.3", np.linalg.norm, "mean"),
    ("2.3.4", 3, "Pass the function"),
    ("2.3.4", lambda W, x: 1 / 0, "ZeroDivisionError"),
    ("2.3.4", lambda W, x: None, "one finite number"),
    ("2.3.4", lambda W, x: np.linalg.norm(W @ x) / np.linalg.norm(x), "asleep"),
    ("2.3.4", lambda W, x: min(z for z in W @ x if z > 0) / np.linalg.norm(x), "not enough"),
    ("2.3.4", lambda W, x: max(W @ x) / np.linalg.norm(x), "squares"),
    ("2.3.4", lambda W, x: np.linalg.norm(np.maximum(W @ x, 0)), "1/‖x‖"),
    ("2.3.4", lambda W, x: 7.0, "How far"),
    ("2.3.5", nl.Params(W[:4], v[:4]), "10 × 3"),
    ("2.3.5", nl.Params(W * np.nan, v), "finite"),
    ("2.3.5", nl.Params(2 * W, v), "is allowed"),
    ("2.3.5", nl.Params(W * np.linspace(0.5, 1, 10)[:, None], v), "mirrored"),
    ("2.3.5", nl.Params(W, v), "1.00 times"),
    ("2.3.5", nl.Params(0 * W, v), "fell"),
]  # fmt: skip

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_a_larger_output_weight_does_not_help():
    params, _ = start()
    assert "1.00" in repr(nl.check("2.3.5", params._replace(v=100 * params.v)))
