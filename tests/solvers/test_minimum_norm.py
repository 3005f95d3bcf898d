"""One Newton step and what it solves with, against dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import normal, problem

import narrowlib as nl
from narrowlib.network.linearization import tangent_kernel
from narrowlib.solvers.minimum_norm import Solver, linearized


@pytest.mark.parametrize("K", [1, 2, 5])
@pytest.mark.parametrize("n", [7, 40, 950])
def test_the_kernel_from_blocks_is_the_dense_one(n, K):
    """Row i K + k of the features belongs to sample i; 950 samples take several blocks."""
    X, _ = problem(23, n=n, d=6)
    features = normal(jax.random.key(24), (n * K, 4))
    dense = np.kron(np.asarray(X @ X.T), np.ones((K, K))) * np.asarray(features @ features.T)
    np.testing.assert_allclose(tangent_kernel(X @ X.T, features), dense, rtol=1e-12, atol=1e-12)


def solver_at(params, X):
    solver, at = Solver(X), linearized(params, X, sigma=nl.get_activation("tanh"))
    assert solver.make(at, params.W)
    return solver, at


@pytest.mark.parametrize("K", [None, 3])
def test_a_step_is_the_shortest_that_removes_the_residual(K):
    X, y = problem(25, n=20, d=6, outputs=K)
    params = nl.mirrored_lecun(jax.random.key(26), d=6, m=30, outputs=K)
    solver, at = solver_at(params, X)
    delta, left = solver.step(at, params.W, y, 1e-10)
    J = np.asarray(nl.jacobian(params, X))
    shortest = -np.linalg.lstsq(J, np.asarray(y).ravel(), rcond=None)[0]
    np.testing.assert_allclose(delta.ravel(), shortest, rtol=1e-7, atol=1e-9)
    assert left < 1e-9
    assert solver.factorizations == 1 and 1 <= solver.cg_steps <= 3


def test_rows_of_any_length_do_no_harm():
    """From 1e-8 to 1e8, where J Jᵀ itself has no factor: each equation in its own units."""
    X, y = problem(25, n=20, d=40)
    X = X * 10.0 ** jnp.linspace(-8, 8, 20)[:, None]
    params = nl.Params(jax.random.normal(jax.random.key(1), (12, 40)) * 1e-9, jnp.ones(12))
    solver, at = solver_at(params, X)
    delta, left = solver.step(at, params.W, X[:, 0] * y, 1e-12)
    J = np.asarray(nl.jacobian(params, X)) / np.linalg.norm(X, axis=1)[:, None]
    b = np.asarray(X[:, 0] * y / np.linalg.norm(X, axis=1))
    np.testing.assert_allclose(J @ np.asarray(delta).ravel(), -b, atol=1e-7)
    assert left < 1e-6


def test_a_step_says_what_it_leaves():
    """A residual outside J's range: nothing of it is removed."""
    X, _ = problem(27, n=20, d=6)
    params = nl.mirrored_lecun(jax.random.key(28), d=6, m=4)  # rank 12 of 20
    solver, at = solver_at(params, X)
    lengths = np.linalg.norm(np.asarray(nl.jacobian(params, X)), axis=1)
    U = np.linalg.svd(np.asarray(nl.jacobian(params, X)) / lengths[:, None])[0]
    left = solver.step(at, params.W, jnp.asarray(U[:, -1] * lengths), 1e-2)[1]
    assert 0.9 < left < 1.1


@pytest.mark.parametrize("far, factors", [(1e-4, 1), (1.0, 2)])
def test_an_old_factor_serves_nearby_and_is_renewed_far_away(far, factors):
    X, y = problem(29, n=40, d=6)
    params = nl.mirrored_lecun(jax.random.key(30), d=6, m=20)
    solver, _ = solver_at(params, X)
    shift = far * jax.random.normal(jax.random.key(31), params.W.shape)
    there = nl.Params(params.W + shift, params.v)
    at = linearized(there, X, sigma=nl.get_activation("tanh"))
    delta, _ = solver.step(at, there.W, y, 1e-9)
    J = np.asarray(nl.jacobian(there, X))
    np.testing.assert_allclose(J @ np.asarray(delta).ravel(), -np.asarray(y), atol=1e-6)
    assert solver.factorizations == factors
    assert (solver.factored is there.W) == (factors == 2)


def test_no_factor_no_step():
    X, y = problem(29, n=10, d=6)
    params = nl.Params(jnp.full((8, 6), jnp.nan), jnp.ones(8))
    solver, at = Solver(X), linearized(params, X, sigma=nl.get_activation("tanh"))
    delta, left = solver.step(at, params.W, y, 1e-2)
    assert np.isnan(left) and not np.any(delta)
