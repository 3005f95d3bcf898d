"""Sets on kernels against the same sets on rows, written out by hand."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import narrowlib as nl
from narrowlib.constraints.kernels import (
    axis_of_neurons,
    from_neuron_rows,
    neuron_rows,
    placed,
)

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


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_the_kernel_lacks(axis):
    words = rf"^axis: got {axis}\. The kernel has shape \(4, 2\)"
    kernel = jnp.ones((4, 2))
    for call in (
        lambda: nl.OfNeurons(nl.Pairs(), axis=axis).project(kernel),
        lambda: nl.BallAroundStart(1.0, axis=axis)(kernel),
        lambda: nl.ConeAroundStart(0.5, axis=axis)(kernel),
    ):
        with pytest.raises(ValueError, match=words):
            call()


# Where the layout does nothing the rules make plain sets.


@pytest.mark.parametrize("shape", [(8,), (5, 8), (3, 3, 2, 4)])
def test_one_ball_is_a_plain_ball_whatever_the_layout(shape):
    kernel = jax.random.normal(KEY, shape)
    for axis in (None, 0, -1):
        ball = nl.BallAroundStart(0.5, axis)(kernel)
        assert type(ball) is nl.Ball and not ball.per_neuron
        np.testing.assert_array_equal(ball.center, kernel)


@pytest.mark.parametrize("axis", [0, -2])
def test_rows_of_neurons_make_plain_sets(axis):
    half = jax.random.normal(KEY, (3, 2))
    start = jnp.concatenate([half, -half])
    ball = nl.BallAroundStart(0.5, axis, per_neuron=True)(start)
    cone = nl.ConeAroundStart(0.2, axis=axis)(start)
    assert type(ball) is nl.Ball and ball.per_neuron and type(cone) is nl.CircularCone
    np.testing.assert_array_equal(ball.center, start)
    np.testing.assert_array_equal(cone.axis, start)
    assert type(nl.ConeAroundStart(0.2)(start[:, 0])) is nl.CircularCone  # a vector
    assert type(nl.ConeAroundStart(0.2, positions=3)(jnp.tile(start, (3, 1)))) is nl.OfNeurons


# The module says where its neurons are.


class Body(nnx.Module):
    def __init__(self):
        self.parts = nnx.List(
            [nnx.Linear(5, 6, rngs=nnx.Rngs(0)), nnx.Linear(6, 6, rngs=nnx.Rngs(1))]
        )
        self.head = nl.OneHiddenLayer(nl.mirrored_lecun(KEY, d=6, m=4))

    def __call__(self, x):
        return self.head(self.parts[1](self.parts[0](x)))


class Told(Body):
    neuron_axes: ClassVar = {"parts.0.kernel": 0, "head.W": 1}


@pytest.mark.parametrize(
    ("module", "path", "axis"),
    [
        (Body, "head.W", 0),
        (Body, "head.v", 0),
        (Body, "parts.1.kernel", None),
        (Told, "parts.0.kernel", 0),
        (Told, "parts.1.kernel", None),
        (Told, "head.W", 1),  # the outer module is asked first
        (Told, "head.v", 0),
        (Told, "nothing.here", None),
        (Told, "parts.7.kernel", None),
    ],
)
def test_the_axis_of_neurons_comes_from_the_module(module, path, axis):
    assert axis_of_neurons(module(), path) == axis


def test_a_rule_asks_the_module_unless_it_knows():
    net = nl.OneHiddenLayer(nl.mirrored_lecun(KEY, d=3, m=4))
    ball, cone = nl.BallAroundStart(0.1, per_neuron=True), nl.ConeAroundStart(0.3)
    assert placed(ball, net, "W").axis == 0 and placed(cone, net, "v").axis == 0
    own = nl.BallAroundStart(0.1, axis=-1, per_neuron=True)
    assert placed(own, net, "W") is own
    linear = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    assert placed(ball, linear, "kernel") is ball  # Flax's own axes

    def rule(start):
        return nl.Ball(start, 1.0)

    assert placed(rule, net, "W") is rule


def test_balls_per_neuron_of_the_librarys_own_network():
    """Rows are neurons there; with Flax's axis it would be inputs that are bounded."""
    net = nl.OneHiddenLayer(nl.mirrored_lecun(KEY, d=6, m=4))
    rules = {"W": nl.BallAroundStart(0.1, per_neuron=True), "v": nl.ConeAroundStart(0.3, 0.1)}
    sets = nl.ConstrainedTrainer(optax.sgd(0.1), rules).sets(net)
    far = sets["W"].project(net.W[...] + jax.random.normal(KEY, (4, 6)))
    np.testing.assert_allclose(jnp.linalg.norm(far - net.W[...], axis=1), 0.1, rtol=1e-9)
    v = sets["v"].project(net.v[...])
    np.testing.assert_allclose(v, net.v[...], rtol=1e-12)
