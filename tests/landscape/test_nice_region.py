"""Bounds of the nice region against dense algebra and against what spheres show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from strategies import SMOOTH, problem

import narrowlib as nl

KEY = jax.random.key(0)


def sigma_min(W, v, X, activation="tanh"):
    """The n-th singular value of J, formed and decomposed by NumPy."""
    J = np.asarray(nl.jacobian(nl.Params(jnp.asarray(W), v), X, activation=activation))
    values = np.linalg.svd(J, compute_uv=False)
    return values[-1] if J.shape[0] <= J.shape[1] else 0.0


def case(seed, n=9, d=3, m=8, K=None):
    X, _ = problem(seed, n=n, d=d)
    return nl.lecun(jax.random.key(seed + 100), d=d, m=m, outputs=K), X


def by_hand(params, X, name):
    """Both radii, from the derivative of J as a dense array; one output only."""
    W, v, X = map(np.asarray, (params.W, params.v, X))
    act = nl.get_activation(name)
    R = max(np.linalg.norm(x) for x in X)
    L = act.curvature * R * np.linalg.norm(X, 2) * abs(v).max()
    first = sigma_min(W, jnp.asarray(v), X, name) / L
    unit = np.sign(v)
    J = np.asarray(nl.jacobian(nl.Params(W, unit), X, activation=name))
    s, q = np.linalg.svd(J, compute_uv=False)[-1], 0.0
    for w in W:
        bend = np.array([float(jax.grad(act.derivative)(z)) for z in X @ w])
        # ‖Σ_i u_i bend_i x_i x_iᵀ‖_F² = ‖T u‖², and the largest ‖T u‖ / ‖Jᵀu‖
        T = np.stack([b * np.outer(x, x).ravel() for b, x in zip(bend, X, strict=True)], axis=1)
        q = max(q, np.sqrt(scipy.linalg.eigh(T.T @ T, J @ J.T, eigvals_only=True)[-1]))
    cubes = np.stack([np.einsum("a,b,c->abc", x, x, x).ravel() for x in X])
    N = np.linalg.norm(cubes, 2)
    roots = np.roots([act.jerk * N / 2, s * q, -s])
    return first, roots[roots > 0].min()


@pytest.mark.parametrize("name", SMOOTH)
def test_both_radii_by_hand(name):
    for seed in range(3):
        params, X = case(seed)
        first, second = by_hand(params, X, name)
        np.testing.assert_allclose(
            nl.guaranteed_radius(params, X, activation=name), first, rtol=1e-6
        )
        found = nl.guaranteed_radius(params, X, activation=name, order=2)
        np.testing.assert_allclose(found, max(first, second), rtol=1e-6)
        assert second > first  # in these cases


@pytest.mark.parametrize("K", [None, 2])
@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_sigma_min_stays_above_what_the_radii_promise(K, name):
    """On spheres within the radius the least value found is above the bounds' own curves."""
    params, X = case(3, n=6, d=3, m=10, K=K)
    sizes = np.linalg.norm(np.asarray(params.v).reshape(10, -1), axis=1)
    unit = nl.Params(params.W, params.v / sizes.reshape(-1, *[1] * (params.v.ndim - 1)))
    s = sigma_min(unit.W, unit.v, X, name)
    first = float(nl.guaranteed_radius(unit, X, activation=name))
    second = float(nl.guaranteed_radius(params, X, activation=name, order=2))
    assert 2 * first < second
    radii = jnp.array([0.5 * first, first, 0.5 * second, 0.99 * second])
    on = nl.least_on_sphere(unit, X, radii, key=KEY, starts=4, steps=50, activation=name)
    assert (np.asarray(on.sigma_min) >= s * (1 - np.asarray(radii) / first) * (1 - 1e-9)).all()
    assert on.sigma_min[-1] > 0.01 * s


def test_what_changes_the_radius_and_what_does_not():
    params, X = case(5)
    first, second = (float(nl.guaranteed_radius(params, X, order=k)) for k in (1, 2))
    for scale in (1e-6, 1e6):
        scaled = params._replace(v=scale * params.v)
        assert float(nl.guaranteed_radius(scaled, X)) == pytest.approx(first, rel=1e-9)
    sizes = jnp.array([1, -2, 3, -4, 5, 6, 7, 8.0])
    assert float(nl.guaranteed_radius(params._replace(v=sizes), X)) != pytest.approx(first)
    ones = params._replace(v=jnp.sign(sizes))
    assert float(nl.guaranteed_radius(ones, X)) > first  # equal sizes are best
    assert float(nl.guaranteed_radius(ones, X, order=2)) == pytest.approx(second, rel=1e-9)
    silent = nl.Params(jnp.vstack([params.W, jnp.ones(3)]), jnp.append(params.v, 0.0))
    for order, radius in ((1, first), (2, second)):
        found = nl.guaranteed_radius(silent, X, order=order)
        assert float(found) == pytest.approx(radius, rel=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_no_rank_or_no_bound_no_radius(order):
    params, X = case(6)
    assert nl.guaranteed_radius(params, X, order=order, activation="relu") == 0
    assert nl.guaranteed_radius(params, X, order=order, activation="square") == 0  # 9 > 3·4/2
    assert nl.guaranteed_radius(params, X.at[1].set(X[0]), order=order) == 0
    assert nl.guaranteed_radius(params._replace(v=0 * params.v), X, order=order) == 0
    assert nl.guaranteed_radius(nl.Params(params.W[:2], params.v[:2]), X, order=order) == 0
    straight = nl.Activation("id", lambda z: z, jnp.ones_like, 1e-12, polynomial=True, jerk=0.0)
    rows = nl.guaranteed_radius(params, X[:3], order=order, activation=straight)
    assert rows > 1e9  # J does not depend on W


def test_order_two_without_a_bound_on_the_third_derivative():
    params, X = case(7)
    sine = nl.Activation("sine", jnp.sin, jnp.cos, 1.0)
    both = [nl.guaranteed_radius(params, X, order=k, activation=sine) for k in (1, 2)]
    assert both[0] == both[1] > 0
    known = nl.Activation("sine", jnp.sin, jnp.cos, 1.0, jerk=1.0)
    assert nl.guaranteed_radius(params, X, order=2, activation=known) > both[0]


def test_transformations_and_single_precision():
    params, X = case(8)
    radius = jax.jit(lambda p, X: nl.guaranteed_radius(p, X, order=2))
    eager = nl.guaranteed_radius(params, X, order=2)
    np.testing.assert_allclose(radius(params, X), eager, rtol=1e-12)
    pair = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    batch = jax.vmap(lambda p: nl.guaranteed_radius(p, X, order=2))(pair)
    np.testing.assert_allclose(batch[0], eager, rtol=1e-9)
    grad = jax.grad(lambda W: nl.guaranteed_radius(params._replace(W=W), X))(params.W)
    move = jax.random.normal(KEY, params.W.shape)
    ahead, behind = (
        nl.guaranteed_radius(params._replace(W=params.W + t * move), X) for t in (1e-6, -1e-6)
    )
    np.testing.assert_allclose(jnp.sum(grad * move), (ahead - behind) / 2e-6, rtol=1e-4)
    small = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    X32 = X.astype(jnp.float32)
    for order in (1, 2):
        found = nl.guaranteed_radius(small, X32, order=order, allow_float32=True)
        assert found.dtype == jnp.float32
        exact = float(nl.guaranteed_radius(params, X, order=order))
        assert 0 <= float(found) <= exact * (1 + 1e-3)
