"""Nearest singular points against closed forms, grids, other decompositions, and 1,000 cases."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from strategies import problem

import narrowlib as nl

KEY = jax.random.key(0)


def nearest(W, X, v=None, **kwargs):
    W = jnp.asarray(W)
    params = nl.Params(W, jnp.ones(len(W)) if v is None else v)
    return nl.nearest_singular(params, jnp.asarray(X), key=KEY, **kwargs)


@functools.cache
def common(seed=0):
    """Six samples, two inputs, four neurons, tanh: the shape that most tests share."""
    X, _ = problem(seed, n=6, d=2)
    W = jax.random.normal(jax.random.key(seed + 7), (4, 2))
    return W, X, nearest(W, X)


@pytest.mark.parametrize("start", [(2.0, -1.0), (0.3, 1.4), (1.0, 0.9), (-0.2, 3.0), (-2.0, -1.1)])
def test_softplus_in_the_plane(start):
    """Samples 1 and 2: singular where w₁ = w₂ or σ′(w₁) σ′(w₂) = ½, and nowhere else."""
    first = 1 / (1 + np.exp(-np.linspace(1e-6, 30, 2_000_001)))  # σ′(w₁), from ½ to 1
    first, second = (np.log(p / (1 - p)) for p in (first, 0.5 / first))
    w = np.array(start)
    curve = min(np.hypot(first - w[i], second - w[1 - i]).min() for i in (0, 1))
    exact = min(curve, abs(w[0] - w[1]) / math.sqrt(2))
    found = nearest(w[:, None], [[1.0], [2.0]], activation="softplus")
    assert float(found.radius) == pytest.approx(exact, rel=1e-6)


def test_tanh_on_a_line_meets_its_twin_or_its_mirror():
    for seed in range(8):
        w = jax.random.normal(jax.random.key(seed), (2, 1))
        exact = min(abs(w[0, 0] - w[1, 0]), abs(w[0, 0] + w[1, 0])) / math.sqrt(2)
        found = nearest(w, [[0.8], [1.7]])
        assert float(found.radius) == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize("name", ["tanh", "softplus", "gelu"])
def test_brute_force_in_the_plane(name):
    """Two weights: the sign of det J on a fine grid shows the whole singular set."""
    sigma = nl.get_activation(name)
    compared = 0  # a search may miss the nearest, but never be nearer
    for seed in range(6):
        X, _ = problem(seed, n=2, d=1)
        W = jax.random.normal(jax.random.key(seed + 50), (2, 1))
        found = nearest(W, X, activation=name)
        line = jnp.linspace(-1.5, 1.5, 2001)
        D1, D2 = (sigma.derivative(jnp.outer(X[:, 0], w + line)) for w in W)
        signs = np.sign(np.asarray(jnp.outer(D1[0], D2[1]) - jnp.outer(D1[1], D2[0])))
        change = np.zeros(signs.shape, bool)
        change[:-1] |= signs[:-1] != signs[1:]
        change[:, :-1] |= signs[:, :-1] != signs[:, 1:]
        distance = np.hypot(*np.meshgrid(line, line))[change]
        grid = distance.min() if distance.size else np.inf
        if grid < 1.5:  # the inscribed circle
            assert found.radius >= grid - 0.003
            compared += float(found.radius) <= grid + 0.003
        else:
            assert found.radius >= 1.5 - 0.003
    assert compared >= 3


def test_one_neuron_in_the_plane():
    """GELU, two samples: J loses rank where σ′ is zero at one of them, on two lines."""
    gelu = nl.get_activation("gelu")
    zero = scipy.optimize.brentq(lambda z: float(gelu.derivative(jnp.asarray(z))), -2, 0)
    for seed in range(5):
        X, _ = problem(seed, n=2, d=2)
        w = jax.random.normal(jax.random.key(seed), (1, 2))
        exact = float((abs(w[0] @ X.T - zero) / jnp.linalg.norm(X, axis=1)).min())
        found = nearest(w, X, activation="gelu")
        assert found.radius >= exact * (1 - 1e-9)
        if exact < 1:  # farther out σ′ flattens, and the search may miss the nearest
            assert float(found.radius) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("K, name", [(None, "tanh"), (2, "gelu")])
def test_the_point_is_singular_by_an_independent_decomposition(K, name):
    W, X, found = common()
    params = nl.Params(W, jnp.ones(4))
    if K:
        params = nl.lecun(jax.random.key(2), d=2, m=8, outputs=K)
        found = nl.nearest_singular(params, X, key=KEY, activation=name)
    assert found.left.shape == ((6,) if K is None else (6, K))
    there = params._replace(W=params.W + found.delta)
    before, after = (
        np.linalg.svd(np.asarray(nl.jacobian(p, X, activation=name)), compute_uv=False)
        for p in (params, there)
    )
    assert after[-1] < 1e-14 * after[0] and before[-1] > 1e-4 * before[0]
    np.testing.assert_allclose(found.sigma_min, after[-1], atol=1e-14)
    left = nl.vjp(there, X, found.left, activation=name)
    assert jnp.linalg.norm(left) < 1e-13 and jnp.linalg.norm(found.left) == pytest.approx(1)
    assert jnp.linalg.norm(found.delta) == pytest.approx(float(found.radius))
    rank = nl.numerical_rank(there, X, activation=name, method="svd")
    assert rank.verdict == "deficient" and rank.rank == 6 * (K or 1) - 1


def test_it_is_where_the_least_value_on_spheres_becomes_zero():
    W, X, found = common(1)
    params, rho = nl.Params(W, jnp.ones(4)), float(found.radius)
    radii = rho * jnp.array([0.5, 0.9, 0.99, 1.0])
    on = nl.least_on_sphere(params, X, radii, key=KEY, starts=8, steps=400)
    values = np.asarray(on.sigma_min)
    start = np.linalg.svd(nl.jacobian(params, X), compute_uv=False)[-1]
    assert (values[:3] > 1e-4 * start).all() and (np.diff(values) < 0).all() and values[0] < start
    assert values[3] < 0.01 * values[0]  # gradient steps come slowly near it


def test_a_mirrored_start_is_as_good_as_its_half():
    W, X, half = common()
    v = jnp.array([1.0, -2.0, 0.3, 4.0])
    whole = nearest(jnp.concatenate([W, W]), X, v=jnp.concatenate([v, -v]))
    assert float(whole.radius) == pytest.approx(math.sqrt(2) * float(half.radius), rel=1e-6)
    np.testing.assert_array_equal(whole.delta[:4], whole.delta[4:])
    assert jnp.linalg.norm(whole.delta) == pytest.approx(float(whole.radius))


def test_the_output_weights_matter_only_if_they_are_zero():
    W, X, plain = common()
    other = nearest(W, X, v=jnp.array([1e-3, -2.0, 30.0, 5.0]))
    np.testing.assert_allclose(other.radius, plain.radius, rtol=1e-9)
    X = X[:4]
    loud = nearest(W, X)
    silent = nearest(W, X, v=jnp.array([1.0, 1.0, 0.0, 1.0]))
    elsewhere = nearest(W.at[2].set(9.0), X, v=jnp.array([1.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(silent.radius, elsewhere.radius, rtol=1e-9)
    assert not silent.delta[2].any()
    assert loud.radius > 1.01 * silent.radius


def test_inputs_that_no_sample_has_make_no_difference():
    """The problem on a line again, in the plane."""
    W, X = jnp.array([[0.9, 3.0], [-0.4, -5.0]]), jnp.array([[0.8, 0.0], [1.7, 0.0]])
    found = nearest(W, X)
    assert float(found.radius) == pytest.approx(0.5 / math.sqrt(2), rel=1e-6)
    assert not found.delta[:, 1].any()


def test_where_the_rank_is_never_lost_nothing_is_found():
    """As many samples as inputs and σ′ > 0: saturation is no loss of rank."""
    X, _ = problem(11, n=2, d=2)
    found = nearest(jax.random.normal(KEY, (2, 2)), X)
    assert found.radius == np.inf and not found.delta.any()


def test_several_outputs_with_one_hot_weights_are_separate_problems():
    W, X, first = common()
    W2, _, _ = common(1)
    alone = min(float(first.radius), float(nearest(W2, X).radius))
    V = jnp.array([[1.0, 0.0]] * 4 + [[0.0, -2.0]] * 4)
    found = nearest(jnp.concatenate([W, W2]), X, v=V)
    assert alone * (1 - 1e-9) <= float(found.radius) <= alone * 1.02  # there the search is slow


def test_cosine_vanishes():
    """One sample and one neuron meet the next odd multiple of π/2."""
    sine = nl.Activation("sine", jnp.sin, jnp.cos, 1.0)
    found = nearest([[1.1]], [[2.0]], activation=sine)
    assert float(found.radius) == pytest.approx(abs(2.2 - math.pi / 2) / 2, rel=1e-9)


def test_without_rank_the_radius_is_zero():
    W, X, _ = common()
    for weights, samples, v in (
        (W, X.at[3].set(X[5]), jnp.ones(4)),
        (W[:2], X, jnp.ones(2)),
        (W, X, jnp.zeros(4)),
    ):
        found = nearest(weights, samples, v=v)
        assert found.radius == 0 and not found.delta.any() and not found.found.any()
        params = nl.Params(jnp.asarray(weights), v)
        assert jnp.linalg.norm(nl.vjp(params, samples, found.left)) < 1e-14
        assert jnp.linalg.norm(found.left) == pytest.approx(1)


def test_repetition_and_more_starts():
    W, X, first = common()
    again = nearest(W, X)
    np.testing.assert_array_equal(again.delta, first.delta)
    few = nearest(W, X, starts=3)
    np.testing.assert_array_equal(few.found, first.found[:3])
    assert first.radius <= few.radius and first.found.shape == (24,)
    assert float(first.radius) == float(first.found.min())


@pytest.mark.parametrize(
    "name, shape", [("tanh", (4, 2, 3)), ("softplus", (6, 3, 4)), ("gelu", (8, 4, 3))]
)
def test_no_guaranteed_radius_is_above_an_empirical_one(name, shape):
    """340 cases of each activation: rank stays on the spheres, and singular points lie outside."""
    n, d, m = shape

    def one(key):
        a, b, c, e = jax.random.split(key, 4)
        X = jax.random.normal(a, (n, d))
        params = nl.Params(jax.random.normal(b, (m, d)), jax.random.normal(c, (m,)))
        radius = nl.guaranteed_radius(params, X, order=2, activation=name)  # at least order 1's
        on = nl.least_on_sphere(
            params, X, 0.99 * radius[None], key=e, starts=1, steps=30, activation=name
        )
        s = jnp.linalg.svd(nl.jacobian(params, X, activation=name), compute_uv=False)
        return params, X, radius, on.sigma_min[0], s[0], s[-1]

    cases = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(n), 340))
    params, X, radius, on_sphere, largest, least = cases
    assert (radius > 0).all()
    noise = 1e-7 * largest  # of σ_min as the root of an eigenvalue
    clear = least > 100 * noise
    assert clear.mean() > 0.5 and (on_sphere[clear] > noise[clear]).all()
    assert (on_sphere[clear] < least[clear]).mean() > 0.9  # the search goes down
    for k in range(34):
        case = nl.Params(params.W[k], params.v[k])
        found = nl.nearest_singular(case, X[k], key=KEY, starts=3, activation=name)
        assert radius[k] <= found.radius
