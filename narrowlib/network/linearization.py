r"""The Jacobian of the outputs in the hidden weights, used without being formed.

$J = \partial F/\partial \operatorname{vec} W$ has a row for each sample (and output) and a column
for each hidden weight: (n K, m d). Row (i, k), block j is $v_{jk}\,\sigma'(w_j \cdot x_i)\, x_i$.
So with $D_{ij} = \sigma'(w_j \cdot x_i)$, one output, everything is made of n × d × m products:

- $J \operatorname{vec}\Delta$ = row sums of $(D \circ v^\top) \circ (X\Delta^\top)$,
- $J^\top r = ((D \circ v^\top) \circ r)^\top X$,
- $J J^\top = (X X^\top) \circ (D\, \mathrm{diag}(v)^2 D^\top)$: n²(d + m) multiplications
  instead of n² m d.

Rows of several outputs are numbered sample by sample: row i K + k.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_inputs, fail, float_array
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_params

BLOCK = 400  # rows of the Gram matrix made at a time: the fastest measured, from 256 to 2000


def _prepare(
    params: Params, X: ArrayLike, activation: str | Activation
) -> tuple[Params, Array, Activation]:
    params = check_params(params)
    return (
        params,
        check_inputs(X, d=params.W.shape[1], dtype=params.W.dtype),
        get_activation(activation),
    )


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
        delta: Δ, shape (m, d).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The change of the outputs, shape (n,) or (n, K).

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
    delta = float_array("delta", delta, (2,))
    if delta.shape != params.W.shape:
        fail("delta", f"shape {delta.shape}", f"params.W has shape {params.W.shape}.")
    return (sigma.derivative(X @ params.W.T) * (X @ delta.T)) @ params.v


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
        r: a vector over samples (and outputs), shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The product, shape (m, d).

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
    r = float_array("r", r, (params.v.ndim,))
    if r.shape != (X.shape[0], *params.v.shape[1:]):
        fail("r", f"shape {r.shape}", f"The outputs are {(X.shape[0], *params.v.shape[1:])}.")
    return pull_back(sigma.derivative(X @ params.W.T), params.v, r).T @ X


def pull_back(D: Array, v: Array, r: Array) -> Float[Array, "n m"]:
    """The residual, sent back through v and σ′ = D to the pre-activations: (n, m)."""
    return D * (jnp.outer(r, v) if v.ndim == 1 else r @ v.T)


def jacobian(
    params: Params, X: Float[ArrayLike, "n d"], *, activation: str | Activation = "tanh"
) -> Float[Array, "rows columns"]:
    """J itself, for small cases and for singular vectors.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The Jacobian, shape (n, m d), or (n K, m d) with row i K + k for sample i, output k.

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
    D = sigma.derivative(X @ params.W.T)
    v = params.v.reshape(params.v.shape[0], -1)
    J = jnp.einsum("ij,jk,il->ikjl", D, v, X)
    return J.reshape(X.shape[0] * v.shape[1], params.W.size)


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
        The Gram matrix, shape (n, n), or (n K, n K) with row i K + k for sample i, output k.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((2, 2)), v=jnp.array([3.0, -3.0]))
        >>> nl.gram(params, jnp.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
        [[90.0, 36.0], [36.0, 18.0]]

    References:
        Jacot, Gabriel, Hongler (2018) for the name; the product form is spelled out in
        "The mathematics" of the first chapter.
    """
    params, X, sigma = _prepare(params, X, activation)
    return _gram(params, X, sigma)


@partial(jax.jit, static_argnames="sigma")
def _gram(params: Params, X: Array, sigma: Activation) -> Array:
    features = output_features(sigma.derivative(X @ params.W.T), params.v)
    K = features.shape[0] // X.shape[0]
    return hadamard_gram(jnp.repeat(X, K, axis=0) if K > 1 else X, features)


def output_features(D: Float[Array, "n m"], v: Float[Array, "m *K"]) -> Float[Array, "rows m"]:
    """The factor σ′(w_j·x_i) v_jk that J's row i K + k has in block j."""
    columns = v.reshape(v.shape[0], -1)
    return (D[:, None, :] * columns.T[None]).reshape(-1, v.shape[0])


def hadamard_gram(
    A: Float[Array, "rows p"], B: Float[Array, "rows q"]
) -> Float[Array, "rows rows"]:
    """(A Aᵀ) ∘ (B Bᵀ), a block of rows at a time."""

    def rows_of(first: Array, count: int) -> Array:
        a = jax.lax.dynamic_slice_in_dim(A, first, count)
        b = jax.lax.dynamic_slice_in_dim(B, first, count)
        return (a @ A.T) * (b @ B.T)

    return _by_blocks(rows_of, A.shape[0], 1, A.dtype)


def tangent_kernel(
    XX: Float[Array, "n n"], features: Float[Array, "rows m"]
) -> Float[Array, "rows rows"]:
    """(X Xᵀ) ∘ (B Bᵀ) where X Xᵀ is at hand already; B has K rows a sample."""
    n = XX.shape[0]
    K = features.shape[0] // n

    def rows_of(first: Array, count: int) -> Array:
        b = jax.lax.dynamic_slice_in_dim(features, first * K, count * K)
        inner = jax.lax.dynamic_slice_in_dim(XX, first, count)
        inner = jnp.repeat(jnp.repeat(inner, K, axis=0), K, axis=1) if K > 1 else inner
        return (b @ features.T) * inner

    return _by_blocks(rows_of, n, K, features.dtype)


def _by_blocks(
    rows_of: Callable[[Array, int], Array], n: int, K: int, dtype: DTypeLike
) -> Float[Array, "rows rows"]:
    """A matrix of n K rows made in place: `rows_of(first, count)` are those of `count` samples."""
    block = min(max(BLOCK // K, 1), n)

    def fill(i: Array, matrix: Array) -> Array:
        first = jnp.minimum(i * block, n - block)  # the last block overlaps the one before
        return jax.lax.dynamic_update_slice_in_dim(matrix, rows_of(first, block), first * K, 0)

    return jax.lax.fori_loop(0, -(-n // block), fill, jnp.zeros((n * K, n * K), dtype))


def output_sizes(v: Float[Array, "m *K"]) -> Float[Array, " m"]:
    """|v_j|, or the length of row j where there are several outputs."""
    return jnp.linalg.norm(v.reshape(v.shape[0], -1), axis=1)


def lipschitz_in_W(params: Params, X: Array, sigma: Activation) -> Float[Array, ""]:
    """L(v) = L₂ max‖xᵢ‖ ‖X‖ max|v_j|, the Lipschitz constant of J in W (see Notation)."""
    longest = jnp.max(jnp.linalg.norm(X, axis=1))
    return sigma.curvature * longest * jnp.linalg.norm(X, 2) * jnp.max(output_sizes(params.v))
