"""The network against loops over neurons in NumPy and against jax.grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.network.model import check_params, check_problem, half_mean_square

outputs = pytest.mark.parametrize("K", [None, 1, 3])


@outputs
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_forward_is_a_sum_over_neurons(K, dtype):
    X, _ = problem(0, n=5, d=3, dtype=dtype)
    params = nl.lecun(jax.random.key(1), d=3, m=4, outputs=K, dtype=dtype)
    expected = np.zeros((5, *params.v.shape[1:]))
    for w, v in zip(params.W, params.v, strict=True):
        for i, x in enumerate(X):
            expected[i] += np.tanh(float(np.dot(w, x))) * np.asarray(v)
    F = nl.forward(params, X)
    assert F.dtype == dtype and F.shape == expected.shape
    np.testing.assert_allclose(F, expected, rtol=20 * jnp.finfo(dtype).eps, atol=1e-6)


@outputs
def test_loss_is_half_the_mean_square(K):
    X, y = problem(2, n=7, d=3, outputs=K)
    params = nl.lecun(jax.random.key(3), d=3, m=4, outputs=K)
    r = np.asarray(nl.forward(params, X) - y)
    assert float(nl.loss(params, X, y)) == pytest.approx(
        0.5 * np.mean((r**2).reshape(7, -1).sum(1))
    )
    assert float(half_mean_square(jnp.asarray(r))) == pytest.approx(float(nl.loss(params, X, y)))


@pytest.mark.parametrize("name", SMOOTH)
def test_forward_is_linear_in_v(name):
    X, _ = problem(4)
    params = nl.lecun(jax.random.key(5), d=8, m=4)
    twice = nl.forward(params._replace(v=2 * params.v), X, activation=name)
    np.testing.assert_allclose(twice, 2 * nl.forward(params, X, activation=name), rtol=1e-14)


def test_forward_works_under_jit_vmap_and_grad():
    X, y = problem(6)
    params = nl.lecun(jax.random.key(7), d=8, m=4)
    eager = nl.forward(params, X)
    np.testing.assert_allclose(jax.jit(nl.forward)(params, X), eager, rtol=1e-13)
    stacked = jax.vmap(lambda a: nl.forward(params._replace(v=a * params.v), X))(jnp.arange(3.0))
    np.testing.assert_allclose(stacked, jnp.arange(3.0)[:, None] * eager[None], atol=1e-14)
    gradient = jax.grad(nl.loss)(params, X, y)
    step = 1e-6
    for name in ("W", "v"):
        direction = jnp.sin(jnp.arange(getattr(params, name).size, dtype=float))
        direction = direction.reshape(getattr(params, name).shape)
        ahead, behind = (
            nl.loss(params._replace(**{name: getattr(params, name) + s * direction}), X, y)
            for s in (step, -step)
        )
        slope = float(jnp.sum(getattr(gradient, name) * direction))
        assert slope == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-7)


@outputs
def test_the_module_is_the_function(K):
    X, _ = problem(8, outputs=K)
    params = nl.mirrored_lecun(jax.random.key(9), d=8, m=4, outputs=K)
    net = nl.OneHiddenLayer(params, activation="gelu")
    np.testing.assert_array_equal(net(X), nl.forward(params, X, activation="gelu"))
    for ours, given in zip(net.params, params, strict=True):
        np.testing.assert_array_equal(ours, given)


def test_the_module_trains_with_nnx():
    X, y = problem(10)
    net = nl.OneHiddenLayer(nl.lecun(jax.random.key(11), d=8, m=4))
    gradient = nnx.grad(lambda net: half_mean_square(net(X) - y))(net)
    expected = jax.grad(nl.loss)(net.params, X, y)
    np.testing.assert_allclose(gradient["W"][...], expected.W, atol=1e-14)
    np.testing.assert_allclose(gradient["v"][...], expected.v, atol=1e-14)


def test_whole_numbers_become_floats():
    whole = nl.Params(jnp.array([[1, 2]]), jnp.array([3]))
    params, X, y = check_problem(whole, np.eye(2, dtype=int), np.array([True, False]))
    assert params.W.dtype == params.v.dtype == X.dtype == y.dtype == jnp.float64
    assert check_params(params).W.shape == (1, 2)
