"""The network: one hidden layer, no biases, one output or several."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import (
    check_finite,
    check_inputs,
    check_targets,
    fail,
    float_array,
    shown,
    single_at_least,
)
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, get_activation

ANY_AXES = tuple(range(1, 9))  # samples first; a loss takes what a module gives


class Params(NamedTuple):
    """The parameters of a one-hidden-layer network, as a pytree.

    Args:
        W: hidden weights, shape (m, d): row j is neuron j. In a mirrored network rows j and
            j + m/2 are a pair.
        v: output weights, shape (m,), or (m, K) for K outputs.
    """

    W: Array
    v: Array


def check_pair(params: Any, name: str = "params") -> Params:
    """W (m, d) and v (m,) or (m, K) as float arrays of one precision, each shape for itself.

    Takes any pair (W, v). Raises `ValueError` for everything else.
    """
    if not (isinstance(params, tuple | list) and len(params) == 2):
        fail(name, shown(params), "Pass a narrowlib.Params, or a pair (W, v).")
    W = single_at_least(float_array(f"{name}.W", params[0], (2,)))
    v = single_at_least(float_array(f"{name}.v", params[1], (1, 2)))
    if v.dtype != W.dtype:
        fail(f"{name}.v", f"dtype {v.dtype}", f"{name}.W is {W.dtype}: convert one to the other.")
    return Params(W, v)


def check_params(params: Any, name: str = "params") -> Params:
    """The weights of a network as a pair of float arrays that fit together."""
    W, v = check_pair(params, name)
    if 0 in W.shape or 0 in v.shape:
        part, x = ("W", W) if 0 in W.shape else ("v", v)
        fail(f"{name}.{part}", f"shape {x.shape}", "Pass at least one neuron, input and output.")
    if v.shape[0] != W.shape[0]:
        fail(f"{name}.v", f"shape {v.shape}", f"{name}.W has {W.shape[0]} neurons: pass as many.")
    return Params(W, v)


def check_network(params: Any, X: Any) -> tuple[Params, Array]:
    """Parameters and samples that fit together, as arrays."""
    params = check_params(params)
    return params, check_inputs(X, d=params.W.shape[1], dtype=params.W.dtype)


def check_problem(params: Params, X: ArrayLike, y: ArrayLike) -> tuple[Params, Array, Array]:
    """Parameters, samples and targets that fit together, as arrays."""
    params, X = check_network(params, X)
    return params, X, check_targets(y, X, params.v.shape[1:])


def check_finite_problem(params: Params, X: Array, y: Array | None = None) -> None:
    """Raise `ValueError` where an entry is NaN or infinite, as far as values can be seen."""
    for name, value in {"X": X, "y": y, "params.W": params.W, "params.v": params.v}.items():
        if value is not None:
            check_finite(name, value)


@runs("jit and grad")
def forward(
    params: Params, X: Float[ArrayLike, "n d"], *, activation: str | Activation = "tanh"
) -> Float[Array, "n *K"]:
    r"""The network's outputs on every sample.

    $$F(W, v) = \sigma(X W^\top)\, v$$

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The outputs, shape (n,), or (n, K) for K outputs; NaN where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.array([[1.0, 0.0], [0.0, 1.0]]), v=jnp.array([1.0, -1.0]))
        >>> print(nl.forward(params, jnp.array([[0.5, 0.5], [0.0, 2.0]])).round(3))
        [ 0.    -0.964]

    References:
        Zhang et al. (2021), section 2; chapter "A handful of neurons remembers everything".
    """
    sigma = get_activation(activation)
    params, X = check_network(params, X)
    return outputs_of(params, X, sigma)


def outputs_of(params: Params, X: Array, sigma: Activation) -> Float[Array, "n *K"]:
    """The outputs of checked arguments."""
    return sigma.fn(X @ params.W.T) @ params.v


@runs("jit and grad")
def loss(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
) -> Float[Array, ""]:
    r"""The training loss of this library and of the book: half the mean squared error.

    $$\ell(W, v) = \frac{1}{2n} \|F(W, v) - y\|^2$$

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The loss, a scalar, NaN where an argument is. With K outputs the squares are summed over
        outputs and averaged over samples.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((2, 3)), v=jnp.ones(2))
        >>> float(nl.loss(params, jnp.ones((4, 3)), jnp.array([1.0, -1.0, 1.0, -1.0])))
        0.5
    """
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    return half_mean_square(outputs_of(params, X, sigma) - y)


def half_mean_square(r: Float[Array, "n *K"]) -> Float[Array, ""]:
    """The loss of a residual: the one place that fixes its scale."""
    return jnp.sum(r**2) / (2 * r.shape[0])


@runs("jit and grad")
def half_mean_squared_error(
    outputs: Float[ArrayLike, "n *K"], y: Float[ArrayLike, "n *K"]
) -> Float[Array, ""]:
    """The book's loss, of outputs and targets of the same shape.

    Args:
        outputs: the network's, shape (n,) or (n, K).
        y: targets, the same shape.

    Returns:
        Half the mean squared error, summed over the outputs, a scalar; NaN where an argument is.

    Raises:
        ValueError: if the shapes differ; (n, 1) against (n,) would be broadcast to (n, n).

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> float(nl.half_mean_squared_error(jnp.zeros(4), jnp.ones(4)))
        0.5
    """
    outputs = float_array("outputs", outputs, ANY_AXES)
    y = float_array("y", y, ANY_AXES, whole=outputs.dtype)
    if outputs.shape != y.shape:
        fail("y", f"shape {y.shape}", f"The network gives {outputs.shape}: pass y of that shape.")
    return half_mean_square(outputs - y)


@runs("jit and grad")
class OneHiddenLayer(nnx.Module):
    """The same network as a Flax NNX module, for use with Flax's and Optax's own tools.

    Args:
        params: the weights to start from, for instance `mirrored_lecun(key, d=…, m=…)`.
        activation: a name of `activations()` or an `Activation`.

    Raises:
        ValueError: if the weights do not fit together, or the activation is unknown.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> net = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(0), d=3, m=4))
        >>> bool(abs(net(jax.numpy.ones((5, 3)))).max() < 1e-6)  # a mirrored start computes zero
        True
    """

    neuron_axes: ClassVar[dict[str, int]] = {"W": 0, "v": 0}  # neurons in rows, not as in Flax

    def __init__(self, params: Params, *, activation: str | Activation = "tanh"):
        params = check_params(params)
        self.W = nnx.Param(params.W)
        self.v = nnx.Param(params.v)
        self.activation = get_activation(activation)

    @property
    def params(self) -> Params:
        """The weights as plain `Params`, for every other function of the library."""
        return Params(W=self.W[...], v=self.v[...])

    def __call__(self, X: Float[ArrayLike, "n d"]) -> Float[Array, "n *K"]:
        """The outputs on the samples X (n, d): (n,) or (n, K)."""
        return forward(self.params, X, activation=self.activation)
