"""Sets on kernels against the same sets on rows, written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import narrowlib as nl
from narrowlib.constraints.kernels import from_neuron_rows, neuron_rows

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("shape", "axis", "positions", "rows"),
    [
        ((5, 8), -1, 1, (8, 5)),
        ((8, 3), -2, 1, (8, 3)),
        ((8, 1), -2, 1, (8,)),
        ((8,), 0, 1, (8,)),
        ((3, 3, 2, 4), -1, 1, (4, 18)),
        ((3, 3, 4, 2), -2, 1, (4, 18)),
        ((24, 2), -2, 6, (4, 12)),
    ],
)
def test_rows_and_back(shape, axis, positions, rows):
    kernel = jax.random.normal(KEY, shape)
    there = neuron_rows(kernel, axis, positions)
    assert there.shape == rows
    np.testing.assert_array_equal(from_neuron_rows(there, kernel, axis, positions), kernel)


def test_flattened_images_keep_their_channels_together():
    """Flax flattens (height, width, channels): the input at place p of channel c is p C + c."""
    places, channels = 6, 4
    kernel = jnp.arange(places * channels * 2.0).reshape(places * channels, 2)
    rows = neuron_rows(kernel, -2, places)
    for c in range(channels):
        own = np.array([np.asarray(kernel)[p * channels + c] for p in range(places)])
        np.testing.assert_array_equal(rows[c], own.ravel())


def test_projection_and_tangent_are_those_of_the_rows():
    kernel = jax.random.normal(KEY, (5, 8))
    ball = nl.Ball(jnp.zeros((8, 5)), 1.0, per_neuron=True)
    of = nl.OfNeurons(ball)
    np.testing.assert_allclose(of.project(kernel), ball.project(kernel.T).T)
    near, direction = of.project(kernel), jax.random.normal(jax.random.key(1), (5, 8))
    np.testing.assert_allclose(of.tangent(near, direction), ball.tangent(near.T, direction.T).T)
    np.testing.assert_allclose(of.violation(kernel), ball.violation(kernel.T))
    column = jnp.array([[3.0], [0.0], [-3.0], [0.0]])
    cone = nl.OfNeurons(nl.PairedCone(zeta=0.5, kappa=2.0), axis=-2)
    np.testing.assert_allclose(cone.project(column)[:, 0], cone.constraint.project(column[:, 0]))
    assert cone.least_scale(cone.project(column)) <= 1


def test_rules_hold_their_start():
    conv = jax.random.normal(KEY, (3, 3, 2, 4))
    far = conv + jax.random.normal(jax.random.key(1), conv.shape)
    for per_neuron in (False, True):
        ball = nl.BallAroundStart(0.5, per_neuron=per_neuron)(conv)
        assert ball.violation(conv) == 0
        axes = (0, 1, 2) if per_neuron else None
        norms = jnp.sqrt(jnp.sum((ball.project(far) - conv) ** 2, axis=axes))
        np.testing.assert_allclose(norms, 0.5)
    half = jax.random.normal(KEY, (4, 3))
    cone = nl.ConeAroundStart(0.2, zeta=0.1)(jnp.concatenate([half, -half]))
    assert cone.violation(jnp.concatenate([half, -half])) < 1e-12
    with pytest.raises(ValueError, match="axis: got halves that are not"):
        nl.ConeAroundStart(0.2)(jnp.concatenate([half, half]))


def test_positions_that_do_not_divide():
    of = nl.OfNeurons(nl.Ball(jnp.zeros((4, 1)), 1.0), axis=-2, positions=5)
    with pytest.raises(ValueError, match=r"positions: got 5\. Axis -2 of the kernel has 24"):
        of.project(jnp.ones((24, 2)))
