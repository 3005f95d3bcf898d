"""Hessians against finite differences of gradients, a formula in NumPy, and dense eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from strategies import SMOOTH, normal, problem

import narrowlib as nl


def network(seed, d=4, m=3, outputs=None):
    key_W, key_v = jax.random.split(jax.random.key(seed))
    shape = (m,) if outputs is None else (m, outputs)
    return nl.Params(normal(key_W, (m, d)), normal(key_v, shape))


def by_hand(params, X, y, sigma):
    """(F'ᵀF' + Σ rᵢ ∇²Fᵢ)/n from loops over neurons, for one output."""
    W, v, X = (np.asarray(a) for a in (*params, X))
    (n, d), m = X.shape, len(v)
    Z = X @ W.T
    second = np.asarray(jax.vmap(jax.vmap(jax.grad(sigma.derivative)))(jnp.asarray(Z)))
    D, phi = np.asarray(sigma.derivative(jnp.asarray(Z))), np.asarray(sigma.fn(jnp.asarray(Z)))
    r = phi @ v - np.asarray(y)
    J = np.concatenate([v[j] * D[:, j, None] * X for j in range(m)] + [phi], axis=1)
    H = J.T @ J
    for j in range(m):
        block = slice(j * d, (j + 1) * d)
        H[block, block] += X.T @ ((r * v[j] * second[:, j])[:, None] * X)
        cross = X.T @ (r * D[:, j])
        H[block, m * d + j] += cross
        H[m * d + j, block] += cross
    return H / n


@pytest.mark.parametrize("name", SMOOTH)
def test_dense_against_the_formula(name):
    params, (X, y) = network(0), problem(1, n=9, d=4)
    H = nl.hessian(params, X, y, activation=name)
    expected = by_hand(params, X, y, nl.get_activation(name))
    np.testing.assert_allclose(H, expected, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(H, H.T)


@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_products_against_differences_of_gradients(outputs):
    params, (X, y) = network(2, outputs=outputs), problem(3, n=7, d=4, outputs=outputs)
    direction = network(4, outputs=outputs)
    gradient = jax.grad(lambda p: nl.loss(p, X, y))

    def at(t):
        return gradient(jax.tree.map(lambda a, b: a + t * b, params, direction))

    expected = jax.tree.map(lambda a, b: (a - b) / 2e-5, at(1e-5), at(-1e-5))
    product = nl.hvp(params, X, y, direction)
    for a, b in zip(product, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    flat = ravel_pytree(direction)[0]
    np.testing.assert_allclose(
        nl.hessian(params, X, y) @ flat, ravel_pytree(product)[0], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("outputs, k", [(None, 1), (None, 4), (3, 2)])
def test_ends_of_the_spectrum(outputs, k):
    params = network(5, d=20, m=6, outputs=outputs)
    X, y = problem(6, n=50, d=20, outputs=outputs)
    ends = nl.hessian_extremes(params, X, y, k=k)
    H = np.asarray(nl.hessian(params, X, y))
    every = np.linalg.eigvalsh(H)
    scale = abs(every).max()
    np.testing.assert_allclose(ends.lowest, every[:k], rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(ends.highest, every[-k:], rtol=0, atol=1e-10 * scale)
    flat = np.stack([ravel_pytree(nl.Params(*e))[0] for e in zip(*ends.directions, strict=True)])
    np.testing.assert_allclose(flat @ flat.T, np.eye(2 * k), rtol=0, atol=1e-8)
    values = np.concatenate([ends.lowest, ends.highest])
    away = np.linalg.norm(flat @ H - values[:, None] * flat, axis=1)
    np.testing.assert_allclose(away, ends.error, rtol=0, atol=1e-12 * scale)


def test_few_parameters_are_decomposed_whole():
    params, (X, y) = network(7, d=1, m=1), problem(8, n=5, d=1)
    ends = nl.hessian_extremes(params, X, y, k=1)
    every = np.linalg.eigvalsh(np.asarray(nl.hessian(params, X, y)))
    np.testing.assert_allclose([*ends.lowest, *ends.highest], every, rtol=1e-12)


def test_the_same_call_gives_the_same_bits():
    params, (X, y) = network(9, d=20, m=6), problem(10, n=50, d=20)
    one, two = (nl.hessian_extremes(params, X, y, k=2) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_single_precision_stays_single():
    params = jax.tree.map(lambda a: a.astype(jnp.float32), network(11, d=20, m=6))
    X, y = problem(12, n=50, d=20, dtype=jnp.float32)
    assert nl.hessian(params, X, y).dtype == nl.hvp(params, X, y, params).W.dtype == jnp.float32
    ends = nl.hessian_extremes(params, X, y, k=1)
    every = np.linalg.eigvalsh(np.asarray(nl.hessian(params, X, y), float))
    np.testing.assert_allclose(ends.lowest, every[:1], atol=1e-4)


def test_products_work_under_vmap_and_grad():
    params, (X, y) = network(13), problem(14, n=6, d=4)
    batch = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    products = jax.vmap(lambda e: nl.hvp(params, X, y, e))(batch)
    np.testing.assert_allclose(products.W[1], 2 * products.W[0], rtol=1e-12)
    slope = jax.grad(lambda p: jnp.sum(nl.hvp(p, X, y, params).W))(params)
    assert bool(jnp.all(jnp.isfinite(slope.W)))
