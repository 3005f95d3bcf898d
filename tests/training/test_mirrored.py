"""Mirrored layers inside Flax modules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from modules import ConvNet, Net

import narrowlib as nl
from narrowlib.training.epochs import parameters_by_path


def test_a_dense_layer():
    plain = Net(nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.state(plain, nnx.Param))
    net = nl.mirrored(plain, hidden="hidden", output="output")
    there = parameters_by_path(net)
    np.testing.assert_array_equal(there["hidden.kernel"][:, :4], there["hidden.kernel"][:, 4:])
    np.testing.assert_array_equal(there["output.kernel"][:4], -there["output.kernel"][4:])
    x = jax.random.normal(jax.random.key(0), (7, 5), jnp.float32)
    np.testing.assert_allclose(net(x), 0, atol=1e-6)
    assert float(abs(plain(x)).max()) > 0.1
    jax.tree.map(
        np.testing.assert_array_equal, nnx.state(plain, nnx.Param), before
    )  # left as it was
    unpaired = {**there, "output.kernel": abs(there["output.kernel"])}
    assert abs(unpaired["output.kernel"].sum()) > 0  # the control: signs are what cancels


def test_convolutions_and_flattened_images():
    plain = ConvNet(nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (3, 6, 6, 1), jnp.float32)
    last = nl.mirrored(plain, hidden="layers.1", output="output", positions=36)
    np.testing.assert_allclose(last(x), 0, atol=1e-5)
    first = nl.mirrored(plain, hidden="layers.0", output="layers.1")
    inside = first.layers[1](jnp.tanh(first.layers[0](x)))
    np.testing.assert_allclose(inside, 0, atol=1e-6)
    assert abs(plain(x)).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"hidden": "hiden", "output": "output"}, "hidden: got 'hiden.kernel'. The module's"),
        ({"hidden": "hidden", "output": "out"}, "output: got 'out.kernel'. The module's"),
        ({"hidden": "hidden", "output": "hidden"}, "output: got a kernel of shape"),
        ({"hidden": "hidden", "output": "output", "positions": 2}, "output: got a kernel of"),
    ],
)
def test_layers_that_are_not_there_or_do_not_fit(arguments, says):
    with pytest.raises(ValueError, match=says):
        nl.mirrored(Net(nnx.Rngs(0)), **arguments)


def test_an_odd_number_of_neurons():
    with pytest.raises(ValueError, match=r"hidden: got 'hidden' with 7 neurons\. Mirrored halves"):
        nl.mirrored(Net(nnx.Rngs(0), m=7), hidden="hidden", output="output")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"module": Net}, "module: got the class Net"),
        ({"module": None}, "module: got NoneType"),
        ({"hidden": None}, "hidden: got None. Pass a path as text"),
        ({"output": 3}, "output: got 3. Pass a path as text"),
        ({"positions": "2"}, "positions: got '2'"),
    ],
)
def test_what_is_no_module_or_path(arguments, says):
    good = {"module": Net(nnx.Rngs(0)), "hidden": "hidden", "output": "output"}
    with pytest.raises(ValueError, match=says):
        nl.mirrored(**(good | arguments))


def test_layers_without_two_axes():
    net = nnx.Dict(flat=nnx.Dict(kernel=nnx.Param(jnp.ones(4))), output=nnx.Dict(
        kernel=nnx.Param(jnp.ones((4, 2)))))  # fmt: skip
    with pytest.raises(ValueError, match=r"hidden: got 'flat'\. Kernels need two axes"):
        nl.mirrored(net, hidden="flat", output="output")
