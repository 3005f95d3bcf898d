"""Nearest singular points against closed forms, grids, SciPy, and points that are none.

Shapes are shared among the tests: each new one is compiled anew.
"""

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
    assert float(found.radius) == pytest.approx(exact, rel=1e-4)
    assert found.error < 1e-10 and found.sigma_min <= found.threshold


def test_tanh_on_a_line_meets_its_twin_or_its_mirror():
    for seed in range(8):
        w = 2 * jax.random.normal(jax.random.key(seed), (2, 1))
        exact = min(abs(w[0, 0] - w[1, 0]), abs(w[0, 0] + w[1, 0])) / math.sqrt(2)
        found = nearest(w, [[0.8], [1.7]])
        # neurons that saturate, one moved by two: the search may fail, but never be too near
        assert float(found.radius) >= float(exact) * (1 - 1e-9)
        if float(abs(w).max()) < 2:
            assert float(found.radius) == pytest.approx(float(exact), rel=1e-4)


@pytest.mark.parametrize("name", ["tanh", "softplus", "gelu"])
def test_brute_force_in_the_plane(name):
    """Two weights: the sign of det J on a fine grid shows the whole singular set."""
    sigma = nl.get_activation(name)
    compared = 0
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
            assert abs(float(found.radius) - grid) < 0.003 + 0.02 * grid
            compared += 1
        else:
            assert found.radius >= 1.5 - 0.003
    assert compared >= 3


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
    left = nl.vjp(there, X, found.left, activation=name)
    assert jnp.linalg.norm(left) < 1e-13 and jnp.linalg.norm(found.left) == pytest.approx(1)
    assert jnp.linalg.norm(found.delta) == pytest.approx(float(found.radius))
    assert found.error < 1e-9
    rank = nl.numerical_rank(there, X, activation=name, method="svd")
    assert rank.verdict == "deficient" and rank.rank == 6 * (K or 1) - 1


def test_the_proof_holds_in_extended_precision():
    """Newton steps with longer numbers move the point by no more than `error`."""
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("no longer numbers on this machine")
    W, X, found = common()
    x = np.asarray(X, np.longdouble)

    def constraint(z):
        D = 1 - np.tanh(x @ z[:8].reshape(4, 2).T) ** 2
        return ((D * z[8:, None]).T @ x).ravel()

    first = np.concatenate([np.ravel(W + found.delta), found.left]).astype(np.longdouble)
    steps = 1e-6 * np.eye(14)
    A = np.stack([(constraint(first + h) - constraint(first - h)) / 2e-6 for h in steps], axis=1)
    A = np.vstack([A, np.append(np.zeros(8), found.left)]).astype(float)  # and u keeps its length
    inverse, z = np.linalg.pinv(A), first
    for _ in range(4):
        z = z - inverse @ np.append(constraint(z), 0).astype(np.longdouble)
    assert np.linalg.norm(constraint(z)) < 2e-18 < 1e-17 < np.linalg.norm(constraint(first))
    assert 0 < np.linalg.norm((z - first)[:8]) <= float(found.error) < 1e-10


def test_the_output_weights_matter_only_if_they_are_zero():
    W, X, plain = common()
    other = nearest(W, X, v=jnp.array([1e-3, -2.0, 30.0, 5.0]))
    np.testing.assert_allclose(other.radius, plain.radius, rtol=1e-9)
    X = X[:4]
    loud = nearest(W, X)
    silent = nearest(W, X, v=jnp.array([1.0, 1.0, 0.0, 1.0]))
    elsewhere = nearest(W.at[2].set(9.0), X, v=jnp.array([1.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(silent.radius, elsewhere.radius, rtol=1e-9)
    assert not silent.delta[2].any() and silent.error < 1e-9
    assert loud.radius > 1.01 * silent.radius


def test_inputs_that_no_sample_has_make_no_difference():
    """The problem on a line again, in the plane: the closed form holds, and it is proved."""
    W, X = jnp.array([[0.9, 3.0], [-0.4, -5.0]]), jnp.array([[0.8, 0.0], [1.7, 0.0]])
    found = nearest(W, X)
    assert float(found.radius) == pytest.approx(0.5 / math.sqrt(2), rel=1e-4)
    assert found.error < 1e-9 and not found.delta[:, 1].any()


def test_where_the_rank_is_never_lost_nothing_is_proved():
    """As many samples as inputs and σ′ > 0: only saturation looks singular."""
    X, _ = problem(11, n=2, d=2)
    found = nearest(jax.random.normal(KEY, (2, 2)), X)
    assert found.error == np.inf
    assert found.radius > 5  # far out, if at all


def test_several_outputs_with_one_hot_weights_are_separate_problems():
    """The nearest point is that of one output's network; as a solution it is degenerate."""
    W, X, first = common()
    W2, _, _ = common(1)
    alone = min(float(first.radius), float(nearest(W2, X).radius))
    both = jnp.concatenate([W, W2])
    V = jnp.array([[1.0, 0.0]] * 4 + [[0.0, -2.0]] * 4)
    found = nearest(both, X, v=V, activation="tanh")
    assert float(found.radius) == pytest.approx(alone, rel=1e-5)
    assert found.error == np.inf
    assert nearest(both, X, v=jax.random.normal(KEY, V.shape)).error < 1e-9


def test_a_zero_of_the_slope_makes_the_distance_exact():
    """One sample, GELU: J = 0 where every w_j·x is the one zero of σ′."""
    gelu = nl.get_activation("gelu")
    zero = scipy.optimize.brentq(lambda z: float(gelu.derivative(jnp.asarray(z))), -2, 0)
    x, W = jnp.array([[0.7, -1.1]]), jnp.array([[0.3, 0.4], [-0.5, 0.2]])
    exact = np.linalg.norm(np.asarray(W @ x[0]) - zero) / np.linalg.norm(x)
    found = nearest(W, x, activation="gelu")
    assert float(found.radius) == pytest.approx(exact, rel=1e-6)
    assert found.error < 1e-9


def test_a_singular_start_has_radius_zero():
    W, X, _ = common()
    found = nearest(W, X.at[3].set(X[5]))
    assert found.radius == 0 and not found.delta.any() and not found.found.any()
    assert found.error == np.inf  # to rounding, not by proof


def test_without_a_bound_on_the_third_derivative_nothing_is_proved():
    """cos vanishes: one sample and one neuron meet it at the next odd multiple of π/2."""
    sine = nl.Activation("sine", jnp.sin, jnp.cos, 1.0)
    found = nearest([[1.1]], [[2.0]], activation=sine)
    assert float(found.radius) == pytest.approx(abs(2.2 - math.pi / 2) / 2, rel=1e-6)
    assert found.error == np.inf


def test_batches_repetition_and_single_precision():
    W, X, first = common()
    again = nearest(W, X)
    np.testing.assert_array_equal(again.delta, first.delta)
    batch = jnp.stack([W, common(1)[0]])
    together = jax.jit(jax.vmap(lambda W: nearest(W, X)))(batch)
    alone = [first.radius, nearest(batch[1], X).radius]
    np.testing.assert_allclose(together.radius, alone, rtol=1e-6)
    single = nl.nearest_singular(
        nl.Params(W.astype(jnp.float32), jnp.ones(4, jnp.float32)), X.astype(jnp.float32),
        key=KEY, allow_float32=True,
    )  # fmt: skip
    assert single.delta.dtype == single.radius.dtype == single.error.dtype == jnp.float32
    np.testing.assert_allclose(single.radius, first.radius, rtol=1e-3)


def test_more_rounds_are_never_worse():
    W, X, four = common()
    one = nearest(W, X, rounds=1)
    assert four.radius <= one.radius * (1 + 1e-9)
    assert one.found.shape == four.found.shape == (16,)
    assert float(one.radius) == float(jnp.min(one.found))
