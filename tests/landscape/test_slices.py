"""Slices against the point-by-point functions, and directions against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl
from narrowlib.landscape import slices

KEY = jax.random.key(0)


@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_point_of_the_grid(count, K):
    X, y = problem(0, n=5, d=3, outputs=K)
    params = nl.lecun(jax.random.key(1), d=3, m=7, outputs=K)
    D = nl.slice_directions(params, count=count, key=KEY)
    axes = [jnp.linspace(-1, 1, k) for k in (4, 3, 2)[:count]]
    cut = nl.slice_grid(params, X, y, D, axes, activation="softplus")
    assert cut.loss.shape == cut.sigma_min.shape == (4, 3, 2)[:count]
    for index in np.ndindex(*cut.loss.shape):
        move = sum(axes[k][i] * D[k] for k, i in enumerate(index))
        moved = params._replace(W=params.W + move)
        loss = nl.loss(moved, X, y, activation="softplus")
        J = np.asarray(nl.jacobian(moved, X, activation="softplus"))
        values = np.linalg.svd(J, compute_uv=False)
        np.testing.assert_allclose(cut.loss[index], loss, rtol=1e-12)
        assert abs(cut.sigma_min[index] - values[-1]) < 3e-8 * values[0]


def test_a_grid_larger_than_a_batch(monkeypatch):
    X, y = problem(1, n=6, d=2)
    params = nl.lecun(KEY, d=2, m=4)
    D = nl.slice_directions(params, key=KEY)
    line = jnp.linspace(-1, 1, 11)
    whole = nl.slice_grid(params, X, y, D, [line, line])
    monkeypatch.setattr(slices, "BATCH", 36 * 7)  # 121 points, 7 at a time
    slices._evaluate.clear_cache()
    parts = nl.slice_grid(params, X, y, D, [line, line])
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-12)
    np.testing.assert_allclose(parts.sigma_min, whole.sigma_min, atol=1e-9)


def test_a_deficient_jacobian_is_zero_to_rounding():
    X, y = problem(2, n=6, d=2)
    params = nl.lecun(KEY, d=2, m=2)
    cut = nl.slice_grid(params, X, y, [params.W], [jnp.zeros(1)])
    assert 0 <= cut.sigma_min[0] < 1e-7


def test_directions_are_orthonormal_and_on_the_side_of_the_given():
    params = nl.lecun(KEY, d=3, m=4)
    a, b = jax.random.normal(KEY, (2, 4, 3))
    D = nl.slice_directions(params, [1e-5 * a, -3 * b], count=3, key=jax.random.key(5))
    flat = np.asarray(D).reshape(3, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(D[0], a / jnp.linalg.norm(a), atol=1e-14)
    assert jnp.sum(D[1] * -b) > 0
    rest = -b - jnp.sum(-b * D[0]) * D[0] - jnp.sum(-b * D[1]) * D[1]
    assert jnp.linalg.norm(rest) < 1e-13
    assert nl.slice_directions(params, count=1, key=KEY).shape == (1, 4, 3)


def test_single_precision_and_jit():
    X, y = problem(3, n=4, d=2, dtype=jnp.float32)
    params = nl.lecun(KEY, d=2, m=4, dtype=jnp.float32)
    line = jnp.linspace(-1, 1, 3)

    def cut(params):
        D = nl.slice_directions(params, key=KEY)
        return nl.slice_grid(params, X, y, D, [line, line])

    once, compiled = cut(params), jax.jit(cut)(params)
    assert once.loss.dtype == once.sigma_min.dtype == jnp.float32
    np.testing.assert_allclose(once.loss, compiled.loss, rtol=1e-5)
