"""The least singular value on spheres against a grid, a descent, and problems that fall apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import problem
from test_nice_region import case, sigma_min

import narrowlib as nl

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ["softplus", "tanh"])
def test_the_least_value_on_a_circle(name):
    """Two weights: the sphere is a circle, and a grid of angles sees all of it."""
    X, _ = problem(9, n=2, d=1)
    params = nl.Params(jnp.array([[0.9], [-0.4]]), jnp.array([0.7, -1.3]))
    radii = jnp.array([0.05, 0.2, 0.35])
    on = nl.least_on_sphere(params, X, radii, key=KEY, starts=6, steps=200, activation=name)
    angles = np.linspace(0, 2 * np.pi, 4001)
    for r, found, delta in zip(radii, on.sigma_min, on.delta, strict=True):
        grid = min(
            sigma_min(params.W + r * np.array([[np.cos(a)], [np.sin(a)]]), params.v, X, name)
            for a in angles[:: 1 if r > 0.3 else 4]
        )
        assert found <= grid + 1e-7 and found >= grid - 2e-3 * float(r)
        np.testing.assert_allclose(jnp.linalg.norm(delta), r, rtol=1e-12)
        np.testing.assert_allclose(found, sigma_min(params.W + delta, params.v, X, name), atol=1e-7)


def test_the_sphere_search_is_a_descent_and_starts_downhill():
    params, X = case(10, n=12, d=3, m=8)
    radii = jnp.array([0.01, 0.1])
    few = nl.least_on_sphere(params, X, radii, key=KEY, starts=3, steps=1)
    many = nl.least_on_sphere(params, X, radii, key=KEY, starts=3, steps=80)
    assert few.starts.shape == many.starts.shape == (2, 3)
    assert (many.starts <= few.starts).all() and (many.sigma_min < few.sigma_min).all()
    assert few.starts[0, 0] == few.starts[0].min()  # on a small sphere the gradient knows best
    np.testing.assert_array_equal(many.sigma_min, many.starts.min(axis=1))
    flat = nl.Params(jnp.zeros((2, 1)), jnp.ones(2))  # σ″(0) = 0: no way is downhill
    on = nl.least_on_sphere(flat, jnp.ones((1, 1)), radii, key=KEY)
    assert np.isfinite(on.sigma_min).all() and on.sigma_min[1] < np.sqrt(2)


def test_several_outputs_are_several_problems():
    """With one-hot rows of v, σ_min on the sphere is the least over the outputs' own networks."""
    X, _ = problem(11, n=4, d=2)
    W = jax.random.normal(KEY, (6, 2))
    V = jnp.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    radii = jnp.array([0.05])
    both = nl.least_on_sphere(nl.Params(W, V), X, radii, key=KEY, steps=300)
    alone = min(
        float(nl.least_on_sphere(
            nl.Params(half, jnp.ones(3)), X, radii, key=KEY, steps=300
        ).sigma_min[0])
        for half in (W[:3], W[3:])
    )  # fmt: skip
    np.testing.assert_allclose(both.sigma_min[0], alone, rtol=1e-4)


def test_single_precision_stays_single():
    params, X = jax.tree.map(lambda a: a.astype(jnp.float32), case(8))
    on = nl.least_on_sphere(
        params, X, jnp.array([0.1], jnp.float32), key=KEY, steps=3, allow_float32=True
    )
    assert on.sigma_min.dtype == on.delta.dtype == jnp.float32
