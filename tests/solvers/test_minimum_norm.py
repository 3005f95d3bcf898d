"""One Newton step and the kernel it solves with, against dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import normal, problem

import narrowlib as nl
from narrowlib.network.linearization import linearize, tangent_kernel
from narrowlib.solvers.minimum_norm import newton_step


@pytest.mark.parametrize("K", [1, 2, 5])
@pytest.mark.parametrize("n", [7, 40, 950])
def test_the_kernel_from_blocks_is_the_dense_one(n, K):
    """Row i K + k of the features belongs to sample i; 950 samples take several blocks."""
    X, _ = problem(23, n=n, d=6)
    features = normal(jax.random.key(24), (n * K, 4))
    dense = np.kron(np.asarray(X @ X.T), np.ones((K, K))) * np.asarray(features @ features.T)
    np.testing.assert_allclose(tangent_kernel(X @ X.T, features), dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("K", [None, 3])
def test_a_step_is_the_shortest_that_removes_the_residual(K):
    X, y = problem(25, n=20, d=6, outputs=K)
    params = nl.mirrored_lecun(jax.random.key(26), d=6, m=30, outputs=K)
    delta, moves, left = newton_step(linearize(params, X, nl.get_activation("tanh")), y, X @ X.T)
    J = np.asarray(nl.jacobian(params, X))
    shortest = -np.linalg.lstsq(J, np.asarray(y).ravel(), rcond=None)[0]
    np.testing.assert_allclose(delta.ravel(), shortest, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(moves, np.asarray(delta @ X.T), rtol=1e-9, atol=1e-12)
    assert float(left) < 1e-9


def test_a_step_says_what_it_leaves():
    """A residual outside J's range: nothing of it is removed."""
    X, _ = problem(27, n=20, d=6)
    params = nl.mirrored_lecun(jax.random.key(28), d=6, m=4)  # rank 12 of 20
    hidden = np.linalg.svd(np.asarray(nl.jacobian(params, X)))[0][:, -1]
    left = newton_step(
        linearize(params, X, nl.get_activation("tanh")), jnp.asarray(hidden), X @ X.T
    )[2]
    assert 0.9 < float(left) < 1.1
