"""Activations against jax.grad, a fine grid for the curvature, and polynomial fits."""

import math
from fractions import Fraction

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from strategies import SMOOTH

import narrowlib as nl
from narrowlib import proof_verifier, verifier
from narrowlib.certificates import existence_proof
from narrowlib.network.activations import second_derivative

# which activations a table lacks on purpose, and why
LACKING = {
    "verifier": {},
    "existence proof": {"relu": "its slope jumps, so the lemma has no constant"},
    "proof verifier": {"relu": "the same"},
}
Z = jnp.linspace(-6, 6, 4001)
each = pytest.mark.parametrize("name", nl.activations())


@each
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_derivative_is_the_derivative(name, dtype):
    sigma, z = nl.get_activation(name), Z[Z != 0].astype(dtype)
    slope = sigma.derivative(z)
    assert slope.dtype == sigma.fn(z).dtype == dtype
    expected = jax.vmap(jax.grad(sigma.fn))(z)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=50 * jnp.finfo(dtype).eps)


@pytest.mark.parametrize("order, bound", [(1, "slope"), (2, "curvature"), (3, "jerk")])
@pytest.mark.parametrize("name", SMOOTH)
def test_bounds_are_the_least(name, order, bound):
    sigma = nl.get_activation(name)
    of_order = sigma.fn
    for _ in range(order):
        of_order = jax.grad(of_order)
    of_order = jax.jit(jax.vmap(of_order))
    wide = jnp.concatenate([Z, jnp.array([20.0, 30.0])])  # softplus′ tends to its bound
    sizes, limit = np.abs(of_order(wide)), getattr(sigma, bound)
    assert sizes.max() <= limit * (1 + 1e-12)
    around = float(wide[sizes.argmax()])
    peak = minimize_scalar(
        lambda z: -abs(float(of_order(jnp.array([z]))[0])),
        bounds=(around - 0.01, around + 0.01),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert -peak.fun == pytest.approx(limit, rel=1e-9)


def test_bounds_of_the_controls():
    relu, square = nl.get_activation("relu"), nl.get_activation("square")
    assert (relu.slope, relu.curvature, relu.jerk) == (1, np.inf, np.inf)
    assert (square.slope, square.curvature, square.jerk) == (np.inf, 2, 0)


@pytest.mark.parametrize("name", [*SMOOTH, "square"])
def test_generic_means_that_no_polynomial_fits(name):
    sigma, z = nl.get_activation(name), np.linspace(-3, 3, 101)
    values = np.asarray(sigma.fn(jnp.asarray(z)))
    misfit = values - np.polynomial.Polynomial.fit(z, values, 6)(z)
    assert (abs(misfit).max() > 1e-6) == sigma.generic


@each
def test_extreme_arguments_are_finite(name):
    sigma = nl.get_activation(name)
    z = jnp.array([-1e4, -800.0, -50.0, 0.0, 50.0, 800.0, 1e4])
    for value in (sigma.fn(z), sigma.derivative(z), jax.vmap(jax.grad(sigma.fn))(z)):
        assert bool(jnp.all(jnp.isfinite(value)))


def test_flags_of_the_controls():
    relu, square = nl.get_activation("relu"), nl.get_activation("square")
    assert not relu.generic and not relu.smooth
    assert not square.generic and square.smooth
    assert all(nl.get_activation(name).generic for name in SMOOTH)
    assert all(nl.get_activation(name).smooth for name in SMOOTH)


def test_an_activation_of_ones_own_is_used_as_it_is():
    sine = nl.Activation("sine", jnp.sin, jnp.cos, curvature=1.0)
    assert nl.get_activation(sine) is sine
    params = nl.Params(jnp.ones((2, 1)), jnp.ones(2))
    output = nl.forward(params, jnp.array([[0.5]]), activation=sine)
    assert float(output[0]) == pytest.approx(2 * np.sin(0.5))


def test_the_second_derivative():
    sigma, z = nl.get_activation("tanh"), jnp.linspace(-2, 2, 9)
    expected = -2 * np.tanh(z) / np.cosh(z) ** 2
    np.testing.assert_allclose(second_derivative(sigma, z), expected, atol=1e-15)


def by_verifier(name, points):
    """σ, σ′ and sup|σ″| as the table of `verifier.py` has them."""
    fn, derivative, curvature = verifier.ACTIVATIONS[name]
    return fn(points), derivative(points), curvature


def by_balls(name, points):
    """The same as the existence proof encloses them."""
    with existence_proof._precision(128):
        fn, derivative, curvature = existence_proof._balls(nl.get_activation(name))
        z = [flint.arb(x) for x in points.tolist()]
        return [float(fn(x)) for x in z], [float(derivative(x)) for x in z], float(curvature)


def by_whole_numbers(name, points):
    """The same as `proof_verifier.py` counts them."""
    unit = 1 << proof_verifier.Q
    z = [proof_verifier.Ball(int(Fraction(x) * unit)) for x in points.tolist()]
    pairs = [proof_verifier.sigma_and_slope(name, x) for x in z]
    values, slopes = (
        [float(Fraction(b.c, unit)) for b in side] for side in zip(*pairs, strict=True)
    )
    return values, slopes, math.sqrt(proof_verifier.CURVATURE_SQUARED[name])


TABLES = {
    "verifier": (by_verifier, lambda: set(verifier.ACTIVATIONS)),
    "existence proof": (by_balls, None),
    "proof verifier": (by_whole_numbers, lambda: set(proof_verifier.CURVATURE_SQUARED)),
}


@each
@pytest.mark.parametrize("table", TABLES)
def test_each_table_says_what_the_registry_says(table, name):
    """Whoever adds an activation and forgets a table, or mistypes it there, hears of it here."""
    look_up, _ = TABLES[table]
    sigma, points = nl.get_activation(name), np.linspace(-5, 5, 41)
    if name in LACKING[table]:
        with pytest.raises((KeyError, ValueError)):
            look_up(name, points)
        return
    values, slopes, curvature = look_up(name, points)
    z = jnp.asarray(points)
    np.testing.assert_allclose(values, sigma.fn(z), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        slopes, sigma.derivative(jnp.asarray(points)), rtol=1e-13, atol=1e-14
    )
    assert curvature == pytest.approx(sigma.curvature, rel=1e-14)


@pytest.mark.parametrize("table", [name for name, (_, names) in TABLES.items() if names])
def test_no_table_knows_more_than_the_registry(table):
    assert TABLES[table][1]() == set(nl.activations()) - set(LACKING[table])
