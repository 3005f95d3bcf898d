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


def made_to_order(seed=0, length=12**0.5):
    """A direction that the nine different columns of J leave, by projection of a random one."""
    with jax.enable_x64(True):
        X = nl.gaussian(jax.random.key(0), n=12, d=3).X
        U = nl.mirrored_lecun(jax.random.key(60), d=3, m=8).W[:4]
        W = jnp.tile(U.at[1].set(U[0]), (2, 1))
        J = np.asarray(nl.jacobian(nl.Params(W, jnp.repeat(jnp.array([1.0, -1.0]), 4)), X))
    y = np.random.default_rng(seed).normal(size=12)
    y = y - J @ np.linalg.lstsq(J, y, rcond=1e-10)[0]
    return length * y / np.linalg.norm(y)


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
    ("2.3.2", made_to_order),
    ("2.3.2", lambda: jnp.asarray(made_to_order(1))[:, None]),
    ("2.3.3", lambda: collision),
    ("2.3.4", better),
]
W, v = (np.asarray(a) for a in start()[0])
WRONG = [
    ("2.3.1", 3 / math.sqrt(2), "diagonal"),
    ("2.3.1", plane() ** 2, "square"),
    ("2.3.1", 1.0, "keeps full rank"),
    ("2.3.1", 1.9, "nearer"),
    ("2.3.1", -1.0, "above 0"),
    ("2.3.2", 3.0, "you passed 1"),
    ("2.3.2", "labels", "twelve finite numbers"),
    ("2.3.2", np.zeros(12), "loss is 0"),
    ("2.3.2", np.ones(12), "not stationary"),
    ("2.3.2", made_to_order(length=1.0), "not one half"),
    ("2.3.3", 3, "Pass the function"),
    ("2.3.3", lambda U: 1 / 0, "ZeroDivisionError"),
    ("2.3.3", lambda U: None, "one finite number"),
    ("2.3.3", lambda U: min(np.linalg.norm(U[j] - U[k]) for j in range(5) for k in range(j)),
     "even"),
    ("2.3.3", lambda U: collision(U) / math.sqrt(2), "twins"),
    ("2.3.3", lambda U: collision(U) * math.sqrt(2), "half the way"),
    ("2.3.3", np.linalg.norm, "mean"),
    ("2.3.4", nl.Params(W[:4], v[:4]), "10 × 3"),
    ("2.3.4", nl.Params(W * np.nan, v), "finite"),
    ("2.3.4", nl.Params(2 * W, v), "is allowed"),
    ("2.3.4", nl.Params(W * np.linspace(0.5, 1, 10)[:, None], v), "mirrored"),
    ("2.3.4", nl.Params(W, v), "1.00 times"),
    ("2.3.4", nl.Params(0 * W, v), "fell"),
]  # fmt: skip

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_a_larger_output_weight_does_not_help():
    params, _ = start()
    assert "1.00" in repr(nl.check("2.3.4", params._replace(v=100 * params.v)))
