"""Starting points: variances against their formulas, mirrored halves, outputs of zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import SMOOTH, problem

import narrowlib as nl

starts = pytest.mark.parametrize("start", [nl.lecun, nl.mirrored_lecun])


def test_lecun_variances():
    params = nl.lecun(jax.random.key(0), d=25, m=2000)
    # standard errors of a variance from N samples: sqrt(2/N) of it
    assert float(params.W.var()) == pytest.approx(1 / 25, rel=5 * np.sqrt(2 / 50_000))
    assert float(params.v.var()) == pytest.approx(1 / 2000, rel=5 * np.sqrt(2 / 2000))
    assert abs(float(params.W.mean())) < 5 * 0.2 / np.sqrt(50_000)


def test_mirrored_variances():
    params = nl.mirrored_lecun(jax.random.key(0), d=25, m=2000, outputs=10, scale=3.0)
    assert float(params.W.var()) == pytest.approx(1 / 25, rel=5 * np.sqrt(2 / 25_000))
    assert float(params.v.var()) == pytest.approx(9 / 2000, rel=5 * np.sqrt(2 / 10_000))


@pytest.mark.parametrize("K", [None, 1, 3])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_mirrored_start_computes_zero(K, name):
    X, _ = problem(1)
    params = nl.mirrored_lecun(jax.random.key(2), d=8, m=6, outputs=K, scale=10.0)
    np.testing.assert_array_equal(params.W[:3], params.W[3:])
    np.testing.assert_array_equal(params.v[:3], -params.v[3:])
    assert float(jnp.abs(params.v).min()) > 0
    assert float(jnp.abs(nl.forward(params, X, activation=name)).max()) < 1e-13


def test_one_output_has_equal_sizes():
    params = nl.mirrored_lecun(jax.random.key(3), d=4, m=8, scale=2.0)
    np.testing.assert_allclose(jnp.abs(params.v), 2 / np.sqrt(8), rtol=1e-15)


@starts
@pytest.mark.parametrize("dtype", [None, jnp.float32, jnp.float64])
def test_shapes_types_and_keys(start, dtype):
    params = start(jax.random.key(4), d=5, m=4, outputs=3, dtype=dtype)
    assert params.W.shape == (4, 5) and params.v.shape == (4, 3)
    assert params.W.dtype == params.v.dtype == (dtype or jnp.float64)
    again = start(jax.random.key(4), d=5, m=4, outputs=3, dtype=dtype)
    other = start(jax.random.key(5), d=5, m=4, outputs=3, dtype=dtype)
    assert bool(jnp.all(params.W == again.W)) and bool(jnp.all(params.v == again.v))
    assert not bool(jnp.any(params.W == other.W))


@starts
def test_under_jit_and_vmap(start):
    keys = jax.random.split(jax.random.key(6), 3)
    batch = jax.vmap(lambda key: start(key, d=5, m=4))(keys)
    for i, key in enumerate(keys):
        np.testing.assert_allclose(batch.W[i], start(key, d=5, m=4).W, rtol=1e-14)
