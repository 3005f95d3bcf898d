"""Structured products of the Jacobian against jax.jacrev, jax.jvp and jax.vjp of `forward`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import arrays, normal, problem, settings

import narrowlib as nl
from narrowlib.network.linearization import (
    BLOCK,
    Linearization,
    hadamard_gram,
    linearize,
    tangent_kernel,
)

outputs = pytest.mark.parametrize("K", [None, 1, 3])
names = pytest.mark.parametrize("name", nl.activations())
dtypes = pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])


def setting(K, dtype=float, n=7, d=5, m=4):
    X, y = problem(0, n=n, d=d, outputs=K, dtype=dtype)
    params = nl.lecun(jax.random.key(1), d=d, m=m, outputs=K, dtype=dtype)
    delta = normal(jax.random.key(2), (m, d), dtype)
    return params, X, y, delta


@functools.partial(jax.jit, static_argnames="name")
def by_autodiff(params, X, r, delta, name):
    """J, J vec Δ and Jᵀ r."""

    def outputs_of(W):
        return nl.forward(params._replace(W=W), X, activation=name)

    dense = jax.jacrev(outputs_of)(params.W).reshape(r.size, -1)
    along = jax.jvp(outputs_of, (params.W,), (delta,))[1]
    return dense, along, jax.vjp(outputs_of, params.W)[1](r)[0]


@outputs
@names
@dtypes
def test_products_against_autodiff(K, name, dtype):
    params, X, r, delta = setting(K, dtype)

    dense, along, against = by_autodiff(params, X, r, delta, name)
    close = {"rtol": 200 * float(jnp.finfo(dtype).eps), "atol": 200 * float(jnp.finfo(dtype).eps)}
    rows = r.size
    J = nl.jacobian(params, X, activation=name)
    np.testing.assert_allclose(J, dense, **close)
    np.testing.assert_allclose(nl.gram(params, X, activation=name), dense @ dense.T, **close)
    forward = nl.jvp(params, X, delta, activation=name)
    np.testing.assert_allclose(forward, along, **close)
    back = nl.vjp(params, X, r, activation=name)
    np.testing.assert_allclose(back, against, **close)
    assert J.dtype == forward.dtype == back.dtype == dtype
    assert J.shape == (rows, params.W.size)


@outputs
@settings
@given(data=st.data(), n=st.sampled_from([1, 4]), m=st.sampled_from([1, 6]))
def test_jvp_and_vjp_are_adjoint(K, data, n, m):
    shape = (n,) if K is None else (n, K)
    W, delta = (jnp.asarray(data.draw(arrays((m, 3)))) for _ in range(2))
    v = jnp.asarray(data.draw(arrays((m, *shape[1:]))))
    X, r = jnp.asarray(data.draw(arrays((n, 3)))), jnp.asarray(data.draw(arrays(shape)))
    left, right = _both(nl.Params(W, v), X, delta, r)
    assert float(left) == pytest.approx(float(right), rel=1e-10, abs=1e-9)


@jax.jit
def _both(params, X, delta, r):
    return jnp.sum(nl.jvp(params, X, delta) * r), jnp.sum(nl.vjp(params, X, r) * delta)


@outputs
def test_vjp_is_n_times_the_gradient_of_the_loss(K):
    params, X, y, _ = setting(K)
    gradient = jax.grad(nl.loss)(params, X, y).W
    r = nl.forward(params, X) - y
    np.testing.assert_allclose(nl.vjp(params, X, r) / len(X), gradient, rtol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
@dtypes
def test_blocks_of_the_gram_matrix(rows, dtype):
    """At and around the size of a block every row is filled, once and rightly."""
    rng = np.random.default_rng(rows)
    A, B = (jnp.asarray(rng.normal(size=(rows, k)), dtype) for k in (3, 5))
    expected = (np.asarray(A) @ np.asarray(A).T) * (np.asarray(B) @ np.asarray(B).T)
    result = hadamard_gram(A, B)
    assert result.dtype == dtype
    close = {"rtol": 0, "atol": 200 * float(jnp.finfo(dtype).eps)}
    np.testing.assert_allclose(result, expected, **close)
    np.testing.assert_allclose(tangent_kernel(A @ A.T, B), expected, **close)


@outputs
def test_gram_of_more_rows_than_a_block(K):
    params, X, _, _ = setting(K, n=BLOCK + 20, d=3, m=2)
    J = nl.jacobian(params, X)
    np.testing.assert_allclose(nl.gram(params, X), J @ J.T, atol=1e-11)


@outputs
def test_under_jit_and_vmap(K):
    params, X, r, delta = setting(K)
    calls = {
        "jvp": functools.partial(nl.jvp, X=X, delta=delta),
        "vjp": functools.partial(nl.vjp, X=X, r=r),
        "gram": functools.partial(nl.gram, X=X),
        "jacobian": functools.partial(nl.jacobian, X=X),
    }
    batch = jax.tree.map(lambda a: jnp.stack([a, 2 * a, -a]), params)
    for call in calls.values():
        eager = call(params)
        np.testing.assert_allclose(jax.jit(call)(params), eager, rtol=1e-11, atol=1e-13)
        each = [call(jax.tree.map(lambda a, i=i: a[i], batch)) for i in range(3)]
        np.testing.assert_allclose(jax.vmap(call)(batch), jnp.stack(each), rtol=1e-11, atol=1e-13)


def test_scaling_v_scales_the_jacobian():
    params, X, _, _ = setting(None)
    J = nl.jacobian(params, X)
    np.testing.assert_allclose(nl.jacobian(params._replace(v=3 * params.v), X), 3 * J, rtol=1e-14)
    start = nl.mirrored_lecun(jax.random.key(3), d=5, m=4)
    left, right = np.split(np.asarray(nl.jacobian(start, X)), 2, axis=1)
    np.testing.assert_array_equal(left, -right)


def test_pull_back_by_hand():
    at = Linearization(
        X=jnp.ones((2, 1)), v=jnp.array([10.0, 1.0]), phi=jnp.zeros((2, 2)),
        slope=jnp.array([[1.0, 3.0], [2.0, 4.0]]),
    )  # fmt: skip
    r = jnp.array([1.0, -1.0])
    np.testing.assert_array_equal(at.pull_back(r), [[10.0, -30.0], [2.0, -4.0]])
    several = at._replace(v=at.v[:, None])
    np.testing.assert_array_equal(several.pull_back(r[:, None]), at.pull_back(r))


@functools.partial(jax.jit, static_argnames="name")
def everything(params, X, y, name):
    """All that a linearization answers, and the same by automatic differentiation."""
    at, r = (
        linearize(params, X, nl.get_activation(name)),
        nl.forward(params, X, activation=name) - y,
    )
    full = jax.jacrev(functools.partial(nl.forward, X=X, activation=name))(params)
    full = jnp.concatenate([full.W.reshape(r.size, -1), full.v.reshape(r.size, -1)], axis=1)
    inner = X @ X.T
    ours = {
        "residual": at.residual(y), "gradient": at.gradient(r), "all": at.vjp_all(r),
        "dense": at.dense, "dense_all": at.dense_all, "gram": at.gram(inner),
        "gram_all": at.gram_all(), "gram_all, X Xᵀ at hand": at.gram_all(inner),
        "diagonal": at.gram_diagonal, "frobenius": at.frobenius,
    }  # fmt: skip
    gradient = jax.grad(functools.partial(nl.loss, activation=name))(params, X, y)
    J = full[:, : params.W.size]
    theirs = {
        "residual": r, "gradient": gradient, "all": jax.tree.map(lambda g: len(X) * g, gradient),
        "dense": J, "dense_all": full, "gram": J @ J.T,
        "gram_all": full @ full.T, "gram_all, X Xᵀ at hand": full @ full.T,
        "diagonal": jnp.diagonal(J @ J.T), "frobenius": jnp.linalg.norm(full),
    }  # fmt: skip
    return ours, theirs


@outputs
@pytest.mark.parametrize("name", ["tanh", "square"])
def test_linearization_against_autodiff(K, name):
    params, X, y, _ = setting(K)
    ours, theirs = everything(params, X, y, name)
    for key, value in theirs.items():
        jax.tree.map(
            lambda a, b, key=key: np.testing.assert_allclose(
                a, b, rtol=1e-12, atol=1e-12, err_msg=key
            ),
            ours[key],
            value,
        )


def test_a_linearization_passes_transformations():
    """It is a pytree of arrays: a batch of points is a batch of linearizations."""
    params, X, r, _ = setting(None)
    batch = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    at = jax.vmap(lambda p: linearize(p, X, nl.get_activation("tanh")))(batch)
    assert at.phi.shape == (2, 4, 7)
    second = jax.tree.map(lambda a: a[1], at)
    doubled = jax.tree.map(lambda a: 2 * a, params)
    np.testing.assert_allclose(second.vjp(r), nl.vjp(doubled, X, r), rtol=1e-12)
