"""Checkers of "Full rank makes stationary points global": right answers found another way."""

import jax
import numpy as np
import optax
from exercise_checks import accepted, refused

import narrowlib as nl


def counted():
    left, k = 1.0, 0
    while left > 1e-6:
        left *= 1 - 0.2 * 0.4**2 / 40
        k += 1
    return k


def my_mu(J, Phi):
    both = np.concatenate([J, Phi], axis=1)
    return np.linalg.svd(both, compute_uv=False)[-1] ** 2 / len(J)


def saturated(size=1e4):
    net = nl.lecun(jax.random.key(0), d=4, m=6)
    v = np.where(np.asarray(net.v) < 0, -0.2, 0.2)
    return nl.Params(size * np.asarray(net.W), v)


def left_after(moves=("W",)):
    with jax.enable_x64(True):
        net = nl.mirrored_lecun(jax.random.key(52), d=10, m=12)
        data = nl.gaussian(jax.random.key(2), n=40, d=10)
        s = np.linalg.svd(nl.jacobian(net, data.X), compute_uv=False)[-1]
        X, v = np.asarray(data.X), np.asarray(net.v)
        L = 4 / 27**0.5 * np.linalg.norm(X, axis=1).max() * np.linalg.norm(X, 2) * abs(v).max()
        optimizer, params = optax.sgd(1e-4), net._asdict()
        state, k = optimizer.init(params), 0
        gradient = jax.jit(jax.grad(lambda p: nl.loss(nl.Params(**p), data.X, data.y)))
        while np.linalg.norm(params["W"] - net.W) <= s / L:
            g = {n: a if n in moves else 0 * a for n, a in gradient(params).items()}
            updates, state = optimizer.update(g, state)
            params, k = optax.apply_updates(params, updates), k + 1
        return k


RIGHT = [
    ("2.2.1", counted),
    ("2.2.2", lambda: my_mu),
    ("2.2.3", saturated),
    ("2.2.4", left_after),
]
WRONG = [
    ("2.2.1", counted() - 1, "least whole number"),
    ("2.2.1", np.log(1e6) / 0.0008, "exponential"),
    ("2.2.1", counted() // 2, "by 1000 only"),
    ("2.2.1", np.ceil(np.log(1e6) / 0.0016), "twice"),
    ("2.2.1", 6902, "square of σ_min"),
    ("2.2.1", 425, "over n"),
    ("2.2.1", 3, "σ_min²/n"),
    ("2.2.2", lambda J, Phi: len(J) * my_mu(J, Phi), "factors of n"),
    ("2.2.2", lambda J, Phi: my_mu(J, Phi) / len(J), "factors of n"),
    ("2.2.2", lambda J, Phi: my_mu(J, 0 * Phi), "not the largest"),
    ("2.2.2", lambda J, Phi: (my_mu(J, Phi) / len(J)) ** 0.5, "squared"),
    ("2.2.2", lambda J, Phi: my_mu(J, 0 * Phi) + my_mu(Phi, 0 * J), "different vectors"),
    ("2.2.2", lambda J, Phi: my_mu(J, Phi) / 2, "larger one"),
    ("2.2.2", lambda J, Phi: 1e6, "matrix times r"),
    ("2.2.2", lambda J, Phi: "abc", "finite number"),
    ("2.2.2", lambda J: 1.0, "raised TypeError"),
    ("2.2.2", 3.0, "Pass the function"),
    ("2.2.3", saturated(1.0), "make J small"),
    ("2.2.3", nl.Params(np.ones((6, 4)), np.zeros(6)), "silent"),
    ("2.2.3", nl.Params(np.ones((5, 4)), np.ones(5)), "(5, 4)"),
    ("2.2.3", nl.Params(np.full((6, 4), np.inf), np.ones(6)), "finite"),
    ("2.2.3", nl.Params("a", "b"), "params"),
    ("2.2.4", lambda: None, "one number"),
    ("2.2.4", 1, "still inside"),
    ("2.2.4", 10**6, "outside earlier"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)


def test_a_fit_is_no_bad_point_and_near_misses_of_the_ball_are_named():
    with jax.enable_x64(True):
        data = nl.gaussian(jax.random.key(12), n=12, d=4)
        sol = nl.interpolate(data.X, data.y, key=jax.random.key(0), width=6)
        assert "no bad point" in repr(nl.check("2.2.3", sol.params))
    k, both = left_after(), left_after(("W", "v"))
    assert "last step inside" in repr(nl.check("2.2.4", k - 1))
    assert both > k and "trained too" in repr(nl.check("2.2.4", both))
