"""The plane of a pair against a search over u, in NumPy, and against the network itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem

import narrowlib as nl

FUNCTIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
X, Y = (np.asarray(a) for a in problem(0, n=5, d=2))
CENTER = np.array([[0.4, -1.0], [0.3, 0.2]])
rng = np.random.default_rng(0)
DELTA = rng.normal(size=(4, 3, 2))


def at(delta, u, center, sigma):
    """The loss, neuron by neuron."""
    a, b = center[0] + delta / np.sqrt(2), center[1] - delta / np.sqrt(2)
    return np.mean((u * (sigma(X @ a) - sigma(X @ b)) - Y) ** 2) / 2


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("low, high", [(0.0, None), (0.1, None), (0.1, 0.3)])
@pytest.mark.parametrize("center", [None, CENTER])
def test_no_other_size_is_better(name, low, high, center):
    plane = nl.plane_of_a_pair(DELTA, X, Y, center=center, zeta=low, u_max=high, activation=name)
    assert plane.loss.shape == (4, 3) and plane.params.W.shape == (4, 3, 2, 2)
    middle = np.zeros((2, 2)) if center is None else center
    for k in np.ndindex(4, 3):
        u = float(plane.params.v[k][0])
        assert plane.params.v[k][1] == -u and low <= u <= (high or np.inf)
        here = at(DELTA[k], u, middle, FUNCTIONS[name])
        assert plane.loss[k] == pytest.approx(here, rel=1e-12)
        others = np.linspace(low, high or 30.0, 2001)
        least = min(at(DELTA[k], other, middle, FUNCTIONS[name]) for other in others)
        assert here <= least + 1e-12
        if u < 30:  # a size between two of those tried
            assert least <= here + 0.1
        network = nl.Params(plane.params.W[k], plane.params.v[k])
        assert nl.loss(network, X, Y, activation=name) == pytest.approx(here, rel=1e-12)
        assert np.linalg.norm(network.W - middle) == pytest.approx(np.linalg.norm(DELTA[k]))


def test_the_best_size_is_somewhere_between_and_somewhere_at_its_bound():
    u = nl.plane_of_a_pair(DELTA, X, Y, zeta=0.1, u_max=0.3).params.v[..., 0]
    assert (u == 0.1).any() and (u == 0.3).any() and ((u > 0.1) & (u < 0.3)).any()


def test_where_the_outputs_vanish_the_least_size_is_taken_and_slopes_are_finite():
    plane = nl.plane_of_a_pair(np.zeros(2), X, Y, zeta=0.2)
    assert list(plane.params.v) == [0.2, -0.2]
    assert plane.loss == pytest.approx(np.mean(Y**2) / 2)
    slope = jax.grad(lambda d: nl.plane_of_a_pair(d, X, Y, zeta=0.2).loss)(jnp.zeros(2))
    assert np.isfinite(slope).all()


def test_the_slope_in_the_displacement_is_that_of_the_network():
    """The best u is stationary or at its bound: only W moves the loss."""
    delta = jnp.array([0.6, -0.4])
    slope = jax.grad(lambda d: nl.plane_of_a_pair(d, X, Y, zeta=0.1).loss)(delta)
    full = jax.grad(nl.loss)(nl.plane_of_a_pair(delta, X, Y, zeta=0.1).params, X, Y)
    np.testing.assert_allclose(slope, (full.W[0] - full.W[1]) / np.sqrt(2), rtol=1e-10)
