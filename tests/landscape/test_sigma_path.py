"""The least singular value along a path, against a decomposition of J at every point."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SMOOTH, settings

import narrowlib as nl
from narrowlib.landscape.sigma_path import factor_below, jacobian_distance, ritz, settle
from narrowlib.network.linearization import lipschitz_in_W

TIMES = 60


def dense(path, X, activation="tanh"):
    """Least and largest singular value of J at every point, by NumPy."""
    J = jax.vmap(lambda p: nl.jacobian(p, X, activation=activation))(path)
    values = np.linalg.svd(J, compute_uv=False)
    rows = X.shape[0] * (path.v.shape[2] if path.v.ndim == 3 else 1)
    least = values[:, -1] if values.shape[1] == rows else np.zeros(len(values))
    return least, values[:, 0]


def wander(seed, *, n=30, d=6, m=12, outputs=None, speed=0.5, both=True, times=TIMES):
    """A smooth random path of weights: a start and two waves of other frequencies."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, times)

    def waves(*shape):
        start, a, b = rng.normal(size=(3, *shape))
        s = t.reshape(-1, *[1] * len(shape))
        return start + speed * (np.sin(3 * s) * a + (np.cos(7 * s) - 1) * b)

    W = waves(m, d) / d**0.5
    v = waves(m) if outputs is None else waves(m, outputs)
    v = v if both else np.broadcast_to(v[0], v.shape)
    return nl.Params(jnp.asarray(W), jnp.asarray(v)), jnp.asarray(rng.normal(size=(n, d)))


def check(path, X, tolerance=1e-6, activation="tanh", **kwargs):
    found = nl.sigma_min_path(path, X, activation=activation, **kwargs)
    least, largest = dense(path, X, activation)
    floor = np.sqrt(len(X) * np.finfo(X.dtype).eps) * largest  # of the Gram matrix
    rounding = 1e-13 * largest
    assert np.all(found.sigma_min >= least - rounding)
    assert np.all(found.sigma_min <= least * (1 + tolerance) + floor)
    assert np.all(found.lower <= least + rounding) and np.all(found.lower >= 0)
    norms = np.linalg.norm(found.vector.reshape(len(found.lower), -1), axis=1)
    assert np.allclose(norms, 1, rtol=1e-12)
    return found, least


@settings
@given(st.integers(0, 10**6), st.sampled_from(SMOOTH[:2]), st.sampled_from([1, 7, 100]))
def test_random_paths(seed, activation, refresh):
    path, X = wander(seed)
    found, _ = check(path, X, activation=activation, refresh=refresh)
    assert int(found.factorizations) == int(found.factored.sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_factor_at_every_point_proves_every_value(seed):
    path, X = wander(seed)
    found, least = check(path, X, refresh=1, rtol=1e-2)
    assert np.all(found.lower >= 0.98 * least)
    assert int(found.factorizations) == TIMES and int(found.decompositions) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_path_needs_few_factors(seed):
    path, X = wander(seed, speed=0.001)
    found, least = check(path, X, refresh=20)
    assert int(found.factorizations) == 3 and int(found.decompositions) == 1
    assert np.all(found.lower > 0)
    resting = jax.tree.map(lambda a: jnp.broadcast_to(a[0], a.shape), path)
    still, least = check(resting, X, refresh=20)
    assert np.all(still.lower >= 0.998 * least)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outputs", [1, 3])
def test_several_outputs(seed, outputs):
    path, X = wander(seed, n=12, d=5, m=20, outputs=outputs)
    found, least = check(path, X)
    assert found.vector.shape == (TIMES, 12, outputs) and least.min() > 1e-3
    for k in (0, TIMES - 1):  # the vector is the left singular one
        here = nl.Params(path.W[k], path.v[k])
        size = np.linalg.norm(nl.vjp(here, X, found.vector[k]))
        assert np.isclose(size, found.sigma_min[k], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_through_the_loss_of_rank(seed):
    """Half-way a pair of twins falls silent, which costs d of n = (m/2) d ranks."""
    rng = np.random.default_rng(seed)
    start = nl.mirrored_lecun(jax.random.key(seed), d=5, m=12)
    t = jnp.linspace(-1, 1, 201)
    path = nl.Params(
        jnp.broadcast_to(start.W, (201, *start.W.shape)),
        jnp.broadcast_to(start.v, (201, 12)).at[:, 0].set(t).at[:, 6].set(-t),
    )
    found, least = check(path, jnp.asarray(rng.normal(size=(30, 5))), tolerance=1e-4)
    assert least[100] < 1e-12 < 1e-4 < least[0]
    assert found.sigma_min[100] < 1e-6 and found.lower[100] == 0


@pytest.mark.parametrize("refresh, least_size", [(5, 0.05), (1000, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_singular_values_that_cross(seed, refresh, least_size):
    """Two networks side by side that share nothing: one grows while the other shrinks.

    Where they differ most, the whole block lies in one of them at first.
    """
    n, d, m, T = 15, 4, 10, 120
    rng = np.random.default_rng(seed)
    X, W = np.zeros((2 * n, 2 * d)), np.zeros((2 * m, 2 * d))
    X[:n, :d], X[n:, d:] = rng.normal(size=(2, n, d))
    W[:m, :d], W[m:, d:] = rng.normal(size=(2, m, d))
    t = np.linspace(0, 1, T)[:, None]
    grows, shrinks = least_size + t, least_size + 1 - t
    v = np.concatenate([grows * rng.normal(size=m), shrinks * rng.normal(size=m)], axis=1)
    path = nl.Params(jnp.broadcast_to(jnp.asarray(W), (T, *W.shape)), jnp.asarray(v))
    found, _ = check(path, jnp.asarray(X), refresh=refresh)
    first = jnp.linalg.norm(found.vector[:, :n], axis=1) > 0.5
    assert first[0] and not first[-1]


@pytest.mark.parametrize("activation", ["relu", "square"])
def test_the_bounds_need_no_smoothness(activation):
    path, X = wander(0, n=20, d=6, m=30)
    check(path, X, activation=activation, tolerance=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_samples(n):
    path, X = wander(1, n=n, d=3, m=4)
    check(path, X)


def test_a_jump_is_survived():
    path, X = wander(2)
    other, _ = wander(3)
    jump = jax.tree.map(lambda a, b: jnp.concatenate([a[:30], b[30:]]), path, other)
    found, _ = check(jump, X, refresh=1000)
    assert bool(found.factored[30])


def test_an_error_bound_holds_some_singular_value():
    path, X = wander(4)
    found = nl.sigma_min_path(path, X, rtol=0.5)
    for k in range(TIMES):
        J = nl.jacobian(nl.Params(path.W[k], path.v[k]), X)
        gaps = abs(np.linalg.svd(J, compute_uv=False) - float(found.sigma_min[k]))
        assert gaps.min() <= float(found.error[k]) + 1e-8


def test_the_distance_bounds_the_change_of_the_jacobian():
    for seed in range(20):
        outputs = None if seed % 2 else 2
        path, X = wander(seed, outputs=outputs, both=outputs is None or seed % 4 == 0)
        a, b = (nl.Params(path.W[k], path.v[k]) for k in (3, 50))
        change = np.linalg.norm(nl.jacobian(a, X) - nl.jacobian(b, X), 2)
        sigma = nl.get_activation("tanh")
        D = [sigma.derivative(X @ p.W.T) for p in (a, b)]
        E = [
            (D_[:, None, :] * p.v.reshape(len(p.v), -1).T[None]).reshape(-1, len(p.v))
            for D_, p in zip(D, (a, b), strict=True)
        ]
        bound = float(jacobian_distance(E[0] - E[1], X @ X.T))
        assert change <= bound <= 2 * change
        if not (a.v - b.v).any():  # then it is sharper than the Lipschitz constant
            assert bound <= lipschitz_in_W(a, X, sigma) * np.linalg.norm(a.W - b.W)


def test_single_precision_on_request():
    path, X = jax.tree.map(lambda a: a.astype(jnp.float32), wander(5, n=10, d=6, m=12))
    found = nl.sigma_min_path(path, X, allow_float32=True)
    assert found.sigma_min.dtype == found.lower.dtype == jnp.float32
    least, largest = dense(path, X)
    assert np.allclose(found.sigma_min, least, atol=2e-3 * largest.max())
    assert np.all(found.lower <= least + 1e-5)


def test_under_jit_and_vmap():
    a, X = wander(6, times=8)
    b, _ = wander(7, times=8)
    both = jax.tree.map(lambda *x: jnp.stack(x), a, b)
    batch = jax.jit(jax.vmap(lambda p: nl.sigma_min_path(p, X)))(both)
    for k, path in enumerate((a, b)):
        alone = nl.sigma_min_path(path, X)
        assert np.allclose(batch.sigma_min[k], alone.sigma_min, rtol=1e-6)
        assert batch.factorizations[k] == alone.factorizations


def symmetric(values, seed=0):
    """A matrix with these eigenvalues, and its eigenvectors."""
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return jnp.asarray((Q * np.asarray(values)) @ Q.T), Q


def test_ritz_finds_what_its_span_holds():
    K, Q = symmetric([0.5, 1.0, 2.0, 7.0])
    found = ritz(K, jnp.asarray(Q[:, [3, 0, 1]]) @ jnp.asarray(np.diag([1.0, 2.0, -3.0])), 2)
    np.testing.assert_allclose(found.values, [0.5, 1.0], rtol=1e-14)
    np.testing.assert_allclose(np.abs(Q[:, :2].T @ found.vectors), np.eye(2), atol=1e-14)
    assert float(found.error) < 1e-14
    # between two eigenvectors: Rayleigh's quotient, and eigenvalues as far as the residual says
    mixed = ritz(K, jnp.asarray(Q[:, [0]] + Q[:, [2]]) / np.sqrt(2), 1)
    assert float(mixed.values[0]) == pytest.approx(1.25)
    assert float(mixed.error) == pytest.approx(0.75)  # 0.5 and 2 are that far from 1.25


@pytest.mark.parametrize("rtol", [1e-3, 1e-10])
def test_settling_reaches_the_least_eigenvalue(rtol):
    """From a block that is nearly blind to it, by a factor of a nearby matrix."""
    values = [0.3, 0.4, 0.9, *np.linspace(2, 9, 27)]
    K, Q = symmetric(values)
    old, _ = symmetric(values, seed=1)
    factor = jnp.linalg.cholesky(K + 0.01 * old - 0.29 * jnp.eye(30))
    start = jnp.asarray(Q[:, 5:9])
    found = settle(K, factor, start, jnp.asarray(0.0), jnp.asarray(rtol))
    assert float(found.error) <= rtol * 0.3
    assert float(found.values[0]) == pytest.approx(0.3, rel=rtol)


def test_a_factor_proves_what_lies_below_the_least_eigenvalue():
    K, _ = symmetric([0.25, 1.0, 4.0])
    rtol, slack = jnp.asarray(0.1), jnp.asarray(1e-12)
    factor, proved, exists = factor_below(K, jnp.asarray(0.25), slack, rtol)
    assert bool(exists) and float(proved) == pytest.approx(0.9 * 0.5, rel=1e-9)
    shifted = factor @ factor.T + 0.81 * 0.25 * jnp.eye(3)
    np.testing.assert_allclose(shifted, K, atol=1e-14)
    # a value too large is found out; one that rounding may have made proves nothing
    assert not bool(factor_below(K, jnp.asarray(0.5), slack, rtol)[2])
    _, none, exists = factor_below(K, jnp.asarray(1e-13), slack, rtol)
    assert bool(exists) and float(none) == 0
