"""Verdicts at points whose kind is known, and each bound against sampling or longer arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from strategies import SMOOTH, problem

import narrowlib as nl
from narrowlib.landscape.stationary import _derivative_bounds, _rounding
from narrowlib.network.linearization import linearize


def network(seed, d=4, m=3, outputs=None, scale=1.0):
    key_W, key_v = jax.random.split(jax.random.key(seed))
    shape = (m,) if outputs is None else (m, outputs)
    return nl.Params(scale * jax.random.normal(key_W, (m, d)), jax.random.normal(key_v, shape))


def newton(params, X, y, steps):
    """Newton's method on ∇ℓ = 0, which goes to saddles as well as to minima."""
    flat, unravel = ravel_pytree(params)
    gradient = jax.grad(lambda t: nl.loss(unravel(t), X, y))
    step = jax.jit(lambda t: t - jnp.linalg.solve(jax.jacfwd(gradient)(t), gradient(t)))
    for _ in range(steps):
        flat = step(flat)
    return unravel(flat)


@pytest.fixture(scope="module")
def teacher():
    """A problem of noisy labels, and a strict local minimum of it with a positive loss."""
    with jax.enable_x64(True):
        X, noise = problem(0, n=30, d=2)
        truth = nl.Params(jnp.array([[1.5, -0.5], [0.4, 1.2]]), jnp.array([1.0, -1.5]))
        y = nl.forward(truth, X) + 0.05 * noise
        return X, y, newton(truth, X, y, 12)


def test_a_local_minimum_and_its_numbers(teacher):
    X, y, params = teacher
    found = nl.stationary_point(params, X, y)
    assert found.verdict == "local minimum" and found.negative == 0
    assert found.h < 1e-3 and 0 < found.radius < 1e-9
    low, high = found.loss_bounds
    assert 0 < low <= found.loss <= high < low * (1 + 1e-6)
    every = np.linalg.eigvalsh(np.asarray(nl.hessian(params, X, y)))
    np.testing.assert_allclose(found.eigenvalues, every, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1e-8, 1e-7, 1e-5, 1e-3])
def test_what_is_said_at_a_known_distance_from_the_minimum(teacher, size):
    X, y, params = teacher
    flat, unravel = ravel_pytree(params)
    e = jax.random.normal(jax.random.key(0), (20, *flat.shape))
    there = flat[None] + size * e / jnp.linalg.norm(e, axis=1, keepdims=True)
    found = jax.vmap(lambda t: nl.stationary_point(unravel(t), X, y))(there)
    proved, none = found.verdict == "local minimum", found.verdict == "not stationary"
    condition = found.eigenvalues[0, -1] / found.eigenvalues[0, 0]
    assert (size <= found.radius[proved] * (1 + 1e-6)).all()
    assert (found.radius[proved] <= 3 * condition * size).all()
    loss = nl.loss(params, X, y)
    assert (found.loss_bounds[proved, 0] <= loss).all()
    assert (loss <= found.loss_bounds[proved, 1]).all()
    assert (found.radius[none] < size).all()
    assert proved.all() if size < 1e-6 else none.all() if size > 1e-4 else True


def test_zero_weights_of_one_neuron_are_a_saddle():
    X, y = problem(2, n=6, d=1)
    found = nl.stationary_point(nl.Params(jnp.zeros((1, 1)), jnp.zeros(1)), X, y)
    assert found.verdict == "saddle" and found.negative == 1
    cross = abs(float(X[:, 0] @ y)) / 6
    np.testing.assert_allclose(found.eigenvalues, [-cross, cross], rtol=1e-12)
    low, high = found.loss_bounds
    assert low <= found.loss <= high


def test_two_inputs_make_the_same_point_singular():
    X, y = problem(2, n=6, d=2)
    found = nl.stationary_point(nl.Params(jnp.zeros((1, 2)), jnp.zeros(1)), X, y)
    assert found.verdict == "undecided" and np.isnan(found.loss_bounds).all()
    assert found.h == found.radius == np.inf


def test_a_copied_neuron_is_undecided(teacher):
    X, y, params = teacher
    rows = jnp.array([0, 1, 1])
    split = nl.Params(params.W[rows], params.v[rows] * jnp.array([1.0, 0.3, 0.7]))
    assert nl.stationary_point(split, X, y).verdict == "undecided"


@pytest.mark.parametrize("outputs", [None, 3])
def test_an_exact_fit_is_global(outputs):
    X, y = problem(3, n=12, d=6, outputs=outputs)
    start = nl.mirrored_lecun(jax.random.key(4), d=6, m=16, outputs=outputs or 1)
    if outputs is None:
        start = start._replace(v=start.v.reshape(-1))
    params = nl.levenberg_marquardt(start, X, y).params
    found = nl.stationary_point(params, X, y)
    assert found.verdict == "global minimum" and found.h < 1e-6
    np.testing.assert_array_equal(found.loss_bounds, [0, 0])
    assert nl.stationary_point(start, X, y).verdict == "not stationary"


def test_a_fit_with_fewer_weights_than_samples_is_a_local_minimum():
    X, truth = problem(5, n=30, d=2)[0], network(6, d=2, m=2)
    found = nl.stationary_point(truth, X, nl.forward(truth, X))
    assert found.verdict == "local minimum" and found.loss_bounds[0] == 0


def test_nothing_stationary_within_the_distance(teacher):
    X, y, params = teacher
    flat, unravel = ravel_pytree(params)
    moved = unravel(flat + 0.05 * jax.random.normal(jax.random.key(0), flat.shape))
    found = nl.stationary_point(moved, X, y)
    assert found.verdict == "not stationary"
    away = jnp.linalg.norm(ravel_pytree(moved)[0] - flat)
    assert found.radius < away
    far = nl.stationary_point(moved, X, y, within=1.0)
    assert far.verdict == "undecided"  # the minimum is that close


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("outputs", [None, 2])
def test_bounds_on_derivatives_and_the_lipschitz_constant(name, outputs):
    sigma = nl.get_activation(name)
    X, y = problem(7, n=5, d=2, outputs=outputs)

    def measured(params, seed):
        flat, unravel = ravel_pytree(params)

        def outputs_of(t):
            return nl.forward(unravel(t), X, activation=sigma).reshape(-1)

        a, b, c = jax.random.normal(seed, (3, flat.size))
        a, b, c = (e / jnp.linalg.norm(e) for e in (a, b, c))
        second = jax.jacfwd(jax.jacfwd(outputs_of))
        at, along = jax.jvp(second, (flat,), (c,))
        H, there = (nl.hessian(unravel(t), X, y, activation=sigma) for t in (flat, flat + 1e-5 * a))
        size_J = jnp.linalg.norm(jax.jacfwd(outputs_of)(flat), 2)
        size_r = jnp.linalg.norm(outputs_of(flat) - y.reshape(-1))
        B2, B3 = _derivative_bounds(params.v, X, sigma, jnp.zeros(()))
        lipschitz = (3 * size_J * B2 + size_r * B3) / len(X)
        shares = (jnp.linalg.norm(at @ b @ a) / B2, jnp.linalg.norm(along @ b @ a) / B3)
        return *shares, jnp.linalg.norm(there - H, 2) / 1e-5 / lipschitz

    many = [network(seed, d=2, m=2, outputs=outputs, scale=0.5) for seed in range(12)]
    many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    keys = jax.random.split(jax.random.key(100), 12)
    for share in jax.jit(jax.vmap(measured))(many, keys):
        assert 0.01 < share.max() <= 1


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_rounding_is_bounded_but_not_absurdly(scale):
    """Against NumPy's longer floats, 64 bits of mantissa."""
    X, y = problem(8, n=20, d=5)
    sigma, n = nl.get_activation("tanh"), 20
    for seed in range(5):
        params = network(seed, d=5, m=4, scale=scale)
        at = linearize(params, X, sigma)
        r, first = at.residual(y), at.dense_all
        error_r, error_J, error_g, _ = _rounding(params, at, y, sigma)
        W, v, X_, y_ = (np.asarray(a).astype(np.longdouble) for a in (*params, X, y))
        t = np.tanh(X_ @ W.T)
        r_, slope = t @ v - y_, 1 - t**2
        J = np.concatenate([v[j] * slope[:, [j]] * X_ for j in range(4)] + [t], axis=1)
        pairs = (
            (error_r, np.asarray(r) - r_),
            (error_J, np.asarray(first) - J),
            (error_g, np.asarray(first.T @ r) / n - J.T @ r_ / n),
        )
        for bound, error in pairs:
            size = float(np.sqrt(np.sum(error**2)))
            assert size <= bound <= 1e6 * size


def test_a_batch_is_the_points_one_by_one(teacher):
    X, y, params = teacher
    flat, unravel = ravel_pytree(params)
    many = [unravel(flat + t) for t in (0.0, 1e-6, 0.1)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    found = jax.jit(jax.vmap(lambda p: nl.stationary_point(p, X, y)))(batch)
    assert found.verdict.tolist() == ["local minimum", "local minimum", "not stationary"]
    assert found.negative.shape == (3,)
    for k, params in enumerate(many):
        one = nl.stationary_point(params, X, y)
        np.testing.assert_allclose(found.h[k], one.h, rtol=1e-3)
        np.testing.assert_allclose(found.radius[k], one.radius, rtol=1e-3)


@pytest.mark.parametrize("name", ["relu", "square"])
def test_activations_without_bounds_decide_nothing(name):
    X, y = problem(9, n=6, d=1)
    zero = nl.Params(jnp.zeros((1, 1)), jnp.zeros(1))
    assert nl.stationary_point(zero, X, y, activation=name).verdict == "undecided"


def test_single_precision_on_request_only(teacher):
    X, y, params = jax.tree.map(lambda a: a.astype(jnp.float32), teacher)
    with pytest.raises(ValueError, match="Rank and certificates need float64"):
        nl.stationary_point(params, X, y)
    found = nl.stationary_point(params, X, y, allow_float32=True)
    assert found.gradient.dtype == jnp.float32 and found.verdict == "undecided"


def test_a_traced_verdict_says_where_to_look(teacher):
    X, y, params = teacher
    with pytest.raises(ValueError, match=r"verdict: got a traced value\. Read `.code`"):
        jax.jit(lambda p: nl.stationary_point(p, X, y).verdict)(params)
