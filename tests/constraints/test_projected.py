"""`projected` against projected gradient descent, and feasibility after every update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from strategies import problem

import narrowlib as nl

X, Y = problem(0)
START = nl.mirrored_lecun(jax.random.key(1), d=8, m=4)
SET = nl.Product(W=nl.Ball(START.W, 0.2), v=nl.PairedCone(zeta=0.2, kappa=2.0))


def trained(optimizer, steps):
    params, state = START, optimizer.init(START)

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(jax.grad(nl.loss)(params, X, Y), state, params)
        return optax.apply_updates(params, updates), state

    with jax.numpy_dtype_promotion("standard"):  # Optax counts steps in whole numbers
        for _ in range(steps):
            params, state = step(params, state)
            yield params


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adam(0.3),
        optax.sgd(0.5),
        optax.sgd(0.5, momentum=0.9),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1)),
    ],
    ids=["adam", "sgd", "momentum", "chain"],
)
def test_feasible_after_every_update(optimizer):
    moved = 0.0
    for params in trained(nl.projected(optimizer, SET), 30):
        assert float(SET.violation(params)) <= 1e-14
        moved = max(moved, float(jnp.linalg.norm(params.W - START.W)))
    assert moved > 0.19  # the constraint was felt
    plain = list(trained(optimizer, 30))[-1]
    assert float(SET.violation(plain)) > 0.01  # without it the optimiser leaves


def test_plain_sgd_is_projected_gradient():
    ours = list(trained(nl.projected(optax.sgd(0.3), SET), 20))[-1]
    sol = nl.ProjectedGradient(SET, 0.3).run(START, X, Y, max_steps=20, tol=0.0, throw=False)
    np.testing.assert_allclose(ours.W, sol.params.W, atol=1e-12)
    np.testing.assert_allclose(ours.v, sol.params.v, atol=1e-12)


def test_after_adam_it_need_not_be_a_kkt_point():
    """The warning of the docstring: Adam's resting point on the ball is not stationary."""
    center = jnp.zeros((1, 2))
    ball = nl.Ball(center, 1.0)
    optimizer = nl.projected(optax.adam(0.05), ball)
    gradient = jnp.array([[-1.0, -0.01]])  # a linear loss: the KKT point is along (1, 0.01)
    W, state = center, optimizer.init(center)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(300):
            updates, state = optimizer.update(gradient, state, W)
            W = optax.apply_updates(W, updates)
    assert float(ball.violation(W)) < 1e-14
    np.testing.assert_allclose(W[0, 0], W[0, 1], rtol=1e-3)  # Adam sees only signs
    assert float(ball.normal_cone_residual(W, gradient)) > 0.5


def test_a_single_set_on_a_single_array():
    cone = nl.PairedCone(zeta=0.5, kappa=1.0)
    optimizer = nl.projected(optax.sgd(1.0), cone)
    v = jnp.array([1.0, 1.0, -1.0, -1.0])
    updates, _ = optimizer.update(jnp.array([3.0, 0.0, 0.0, 0.0]), optimizer.init(v), v)
    np.testing.assert_allclose(v + updates, [0.5, 0.5, -0.5, -0.5])
