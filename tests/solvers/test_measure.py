"""The units of the measures: powers of two, extremes, and sets that know no tangent cone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import CASES, feasible_points, normal, problem

import narrowlib as nl
from narrowlib.network.linearization import linearize
from narrowlib.solvers import measure


@pytest.mark.parametrize("c", [1e-250, 1.0, 1e250])
def test_the_size_of_targets_whose_squares_have_no_number(c):
    y = problem(0)[1]
    size = float(measure.target_size(c * y))
    assert size == pytest.approx(c * float(jnp.linalg.norm(y)), rel=1e-14)
    assert float(measure.target_size(0 * y)) == 1.0


@pytest.mark.parametrize("K", [None, 3])
def test_block_units_are_norms_of_the_blocks_of_the_jacobian(K):
    X, y = problem(1, n=9, d=4, outputs=K)
    params = nl.lecun(jax.random.key(0), d=4, m=5, outputs=K)
    blocks = jax.jacobian(lambda p: nl.forward(p, X))(params)
    for c in (1.0, 1e-220, 1e120):  # sizes of v: the norm's squares would vanish or overflow
        at = linearize(nl.Params(params.W, c * params.v), X, nl.get_activation("tanh"))
        units = measure.block_units(at, measure.prepare(X, y))
        scale = np.linalg.norm(y) / 9
        assert float(units.W) == pytest.approx(c * np.linalg.norm(blocks.W) * scale, rel=1e-12)
        assert float(units.v) == pytest.approx(np.linalg.norm(blocks.v) * scale, rel=1e-12)
    asleep = linearize(nl.Params(0 * params.W, 0 * params.v), X, nl.get_activation("tanh"))
    assert measure.block_units(asleep, measure.prepare(X, y)) == nl.Params(1.0, 1.0)


class Plain(nl.Constraint):
    """Another set without its tangent cone."""

    def __init__(self, inner):
        self.inner = inner

    def project(self, x):
        return self.inner.project(x)


@pytest.mark.parametrize("name", ["ball", "balls per neuron", "paired", "circular", "circular, K"])
def test_what_is_left_without_a_tangent_cone(name):
    """Points on faces: like the tangent cone's, to what the projection bends on the way."""
    constraint, like = CASES[name].constraint, CASES[name].like
    for seed, flat in enumerate(feasible_points(name, 6)):
        x = jnp.asarray(flat).reshape(like.shape)
        gradient = normal(jax.random.key(seed), like.shape)
        wanted = float(constraint.normal_cone_residual(x, gradient))
        size = float(jnp.linalg.norm(gradient))
        left = float(measure._left(Plain(constraint), x, gradient))
        assert left == pytest.approx(wanted, abs=1e-3 * size)
        # where a gradient is balanced, nothing is left, to rounding
        normal_part = -gradient - constraint.tangent(x, -gradient)
        left = float(measure._left(Plain(constraint), x, -normal_part))
        assert left <= 1e-10 * max(size, 1)


def test_the_shown_unit_turns_the_measure_into_the_distance():
    free = nl.Product(W=nl.Free(), v=nl.Free())
    params = nl.Params(jnp.ones((2, 3)), jnp.ones(2))
    units = nl.Params(jnp.asarray(3.0), jnp.asarray(0.1))
    for gradient in (nl.Params(4 * jnp.ones((2, 3)), jnp.ones(2)), params):
        relative = measure.stationarity(free, params, gradient, units)
        unit = measure.shown_unit(free, params, gradient, units, relative)
        whole = jnp.hypot(jnp.linalg.norm(gradient.W), jnp.linalg.norm(gradient.v))
        assert float(relative * unit) == pytest.approx(float(whole), rel=1e-14)
        assert 0.1 < float(unit) < 3.0
    nothing = jax.tree.map(jnp.zeros_like, params)
    zero = measure.stationarity(free, params, nothing, units)
    unit = measure.shown_unit(free, params, nothing, units, zero)
    assert float(zero) == 0.0 and float(unit) == pytest.approx(np.sqrt((9 + 0.01) / 2))
