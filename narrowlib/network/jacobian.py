"""The Jacobian of the outputs in the hidden weights, as functions that check their arguments.

What they compute stands in `Linearization`.
"""

from __future__ import annotations

from functools import partial

import jax
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import fail, float_array
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params, check_network


def _prepare(
    params: Params, X: ArrayLike, activation: str | Activation
) -> tuple[Params, Array, Activation]:
    params, X = check_network(params, X)
    return params, X, get_activation(activation)


@runs("jit and grad")
def jvp(
    params: Params,
    X: Float[ArrayLike, "n d"],
    delta: Float[ArrayLike, "m d"],
    *,
    activation: str | Activation = "tanh",
) -> Float[Array, "n *K"]:
    r"""$J \operatorname{vec}\Delta$: how the outputs change, to first order, when W moves by Δ.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        delta: Δ, shape (m, d), taken in the precision of `params`.
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The change of the outputs, shape (n,) or (n, K); NaN where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((1, 2)), v=jnp.array([3.0]))
        >>> nl.jvp(params, jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 1.0]])).tolist()
        [9.0]
    """
    params, X, sigma = _prepare(params, X, activation)
    delta = float_array("delta", delta, (2,), whole=X.dtype)
    if delta.shape != params.W.shape:
        fail("delta", f"shape {delta.shape}", f"params.W has shape {params.W.shape}.")
    return _jvp(params, X, delta.astype(X.dtype), sigma)


@partial(jax.jit, static_argnames="sigma")
def _jvp(params: Params, X: Array, delta: Array, sigma: Activation) -> Array:
    return linearize(params, X, sigma).jvp(delta)


@runs("jit and grad")
def vjp(
    params: Params,
    X: Float[ArrayLike, "n d"],
    r: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
) -> Float[Array, "m d"]:
    r"""$J^\top r$, shaped like W: n times the gradient of the loss where r is the residual.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        r: a vector over samples (and outputs), shape (n,) or (n, K), taken likewise.
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The product, shape (m, d); NaN where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((1, 2)), v=jnp.array([3.0]))
        >>> nl.vjp(params, jnp.array([[1.0, 2.0]]), jnp.array([1.0])).tolist()
        [[3.0, 6.0]]
    """
    params, X, sigma = _prepare(params, X, activation)
    r = float_array("r", r, (params.v.ndim,), whole=X.dtype)
    if r.shape != (X.shape[0], *params.v.shape[1:]):
        fail("r", f"shape {r.shape}", f"The outputs are {(X.shape[0], *params.v.shape[1:])}.")
    return _vjp(params, X, r.astype(X.dtype), sigma)


@partial(jax.jit, static_argnames="sigma")
def _vjp(params: Params, X: Array, r: Array, sigma: Activation) -> Array:
    return linearize(params, X, sigma).vjp(r)


@runs("jit and grad")
def jacobian(
    params: Params, X: Float[ArrayLike, "n d"], *, activation: str | Activation = "tanh"
) -> Float[Array, "rows columns"]:
    """J itself, for small cases and for singular vectors.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The Jacobian, shape (n, m d), or (n K, m d) with row i K + k for sample i, output k; NaN
        where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((2, 2)), v=jnp.array([3.0, -3.0]))
        >>> nl.jacobian(params, jnp.array([[1.0, 2.0]])).tolist()
        [[3.0, 6.0, -3.0, -6.0]]
    """
    params, X, sigma = _prepare(params, X, activation)
    return _jacobian(params, X, sigma)


@partial(jax.jit, static_argnames="sigma")
def _jacobian(params: Params, X: Array, sigma: Activation) -> Array:
    return linearize(params, X, sigma).dense


@runs("jit and grad")
def gram(
    params: Params, X: Float[ArrayLike, "n d"], *, activation: str | Activation = "tanh"
) -> Float[Array, "rows rows"]:
    r"""$J J^\top$, the empirical tangent kernel in the hidden weights; J is never formed.

    $$J J^\top = (X X^\top) \circ (D\, \mathrm{diag}(v)^2 D^\top), \quad
      D_{ij} = \sigma'(w_j \cdot x_i)$$

    made a block of rows at a time, so that nothing larger than the result is ever stored.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The Gram matrix, shape (n, n), or (n K, n K) with row i K + k for sample i, output k; NaN
        where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((2, 2)), v=jnp.array([3.0, -3.0]))
        >>> nl.gram(params, jnp.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
        [[90.0, 36.0], [36.0, 18.0]]

    References:
        Jacot, Gabriel, Hongler (2018) for the name; the product form is proved in
        "The Jacobian of one hidden layer", Part 1, Chapter 2.
    """
    params, X, sigma = _prepare(params, X, activation)
    return _gram(params, X, sigma)


@partial(jax.jit, static_argnames="sigma")
def _gram(params: Params, X: Array, sigma: Activation) -> Array:
    return linearize(params, X, sigma).gram()
