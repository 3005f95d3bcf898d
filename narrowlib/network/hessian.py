r"""The Hessian of the training loss in all weights, by products.

The parameters are ordered vec W row by row, then vec v: as in `jax.flatten_util.ravel_pytree`. With
$F'$ the derivative of the outputs in all weights,

$$\nabla^2 \ell = \frac1n \Bigl( F'^\top F' + \sum_i r_i\, \nabla^2 F_i \Bigr).$$

A product with a direction is the derivative of the gradient along it and costs about as much as
four gradients, 24 n m d operations; nothing of the Hessian's size is formed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_int, fail
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import (
    Params,
    check_params,
    check_problem,
    half_mean_square,
    outputs_of,
)
from narrowlib.network.theory import check_theory_problem

RESTARTS = 50  # of Lanczos's method, in multiples of the number of parameters


@runs("jit and grad")
def hvp(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    direction: Params,
    *,
    activation: str | Activation = "tanh",
) -> Params:
    r"""The product $\nabla^2 \ell(W, v)\, [\Delta]$ of the loss's Hessian and a direction Δ.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        direction: a change of both, shaped like `params`.
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The product, shaped like `params`; NaN where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((1, 1)), v=jnp.array([2.0]))
        >>> X, y = jnp.array([[1.0]]), jnp.array([3.0])
        >>> product = nl.hvp(params, X, y, nl.Params(jnp.ones((1, 1)), jnp.zeros(1)))
        >>> float(product.W[0, 0]), float(product.v[0])  # the matrix is [[4, -3], [-3, 0]]
        (4.0, -3.0)

    References:
        Pearlmutter (1994), "Fast exact multiplication by the Hessian". Chapter "What can go wrong
        in a narrow net".
    """
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    direction = check_params(direction, "direction")
    for name, a, b in zip(("W", "v"), direction, params, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            mend = f"params.{name} is {b.dtype} of shape {b.shape}: pass a direction like it."
            fail(f"direction.{name}", f"{a.dtype} of shape {a.shape}", mend)
    return _product(params, X, y, direction, sigma)


@partial(jax.jit, static_argnames="sigma")
def _product(params: Params, X: Array, y: Array, direction: Params, sigma: Activation) -> Params:
    def gradient(params: Params) -> Params:
        return jax.grad(lambda p: half_mean_square(outputs_of(p, X, sigma) - y))(params)

    return jax.jvp(gradient, (params,), (direction,))[1]


@runs("jit and grad")
def hessian(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
) -> Float[Array, "p p"]:
    """The Hessian of the loss as a matrix, for small networks: p = m (d + K) rows.

    One product for each column: 24 n m d p operations and n m p numbers of memory. The result is
    made exactly symmetric.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The Hessian, shape (p, p): vec W row by row, then vec v; NaN where an argument is.

    Raises:
        ValueError: if shapes or precisions do not match, or the activation is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> params = nl.Params(W=jnp.zeros((1, 1)), v=jnp.array([2.0]))
        >>> nl.hessian(params, jnp.array([[1.0]]), jnp.array([3.0])).tolist()
        [[4.0, -3.0], [-3.0, 0.0]]
    """
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    return dense_hessian(params, X, y, sigma)


@partial(jax.jit, static_argnames="sigma")
def dense_hessian(params: Params, X: Array, y: Array, sigma: Activation) -> Float[Array, "p p"]:
    """The Hessian of checked arguments."""
    flat, unravel = ravel_pytree(params)

    def column(e: Array) -> Array:
        return ravel_pytree(_product(params, X, y, unravel(e), sigma))[0]

    H = jax.vmap(column)(jnp.eye(flat.size, dtype=flat.dtype))
    return (H + H.T) / 2


class Extremes(NamedTuple):
    """The two ends of a Hessian's spectrum.

    Args:
        lowest: the k smallest eigenvalues, ascending, in units of the loss.
        highest: the k largest eigenvalues, ascending.
        error: for each of the 2k values, lowest ones first, a bound on the distance to the nearest
            eigenvalue: the norm of its eigenvector's residual.
        directions: the 2k unit eigenvectors, as `Params` with a leading axis.
    """

    lowest: np.ndarray
    highest: np.ndarray
    error: np.ndarray
    directions: Params


@runs("host")
def hessian_extremes(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    k: int = 3,
    activation: str | Activation = "tanh",
) -> Extremes:
    """The k lowest and the k highest eigenvalues of the loss's Hessian, without forming it.

    SciPy's Lanczos method (ARPACK) on `hvp`; where 2k is not small against the number of
    parameters, the matrix is formed instead. Each `error` says how near an eigenvalue is. Lanczos
    does not prove that none was missed: a tight cluster can hide one of its members.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        k: how many at each end.
        activation: a name of `activations()` or an `Activation`.

    Returns:
        The `Extremes`.

    Raises:
        ValueError: if shapes or precisions do not match, an entry is not finite, the activation is
            unknown, or k is not between 1 and half the number of parameters.
        RuntimeError: if Lanczos's method does not settle (SciPy's ArpackNoConvergence).

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     data = nl.gaussian(jax.random.key(0), n=60, d=30)
        ...     start = nl.mirrored_lecun(jax.random.key(1), d=30, m=8)
        ...     ends = nl.hessian_extremes(start, data.X, data.y, k=2)
        >>> bool(ends.lowest[0] < 0 < ends.highest[-1]), bool(ends.error.max() < 1e-6)
        (True, True)

    References:
        Lehoucq, Sorensen, Yang (1998), "ARPACK users' guide". Chapter "What can go wrong in a
        narrow net".
    """
    params, X, y, sigma = check_theory_problem(
        params, X, y, activation=activation, allow_float32=True
    )
    flat, unravel = ravel_pytree(params)
    k = check_int("k", k, 1)
    if 2 * k > flat.size:
        fail("k", k, f"There are {flat.size} parameters: pass at most half as many.")

    def product(e: np.ndarray) -> np.ndarray:
        direction = unravel(jnp.asarray(e, flat.dtype).reshape(-1))
        return _finite(ravel_pytree(_product(params, X, y, direction, sigma))[0])

    if 6 * k + 40 > flat.size:
        values, vectors = np.linalg.eigh(_finite(dense_hessian(params, X, y, sigma)))
    else:
        values, vectors = _lanczos(product, flat.size, k, np.dtype(flat.dtype))
    ends = np.r_[:k, len(values) - k : len(values)]
    values, vectors = values[ends], vectors[:, ends]
    residuals = np.stack([product(e) for e in vectors.T]) - values[:, None] * vectors.T
    directions = jax.vmap(unravel)(jnp.asarray(vectors.T, flat.dtype))
    return Extremes(values[:k], values[k:], np.linalg.norm(residuals, axis=1), directions)


def _finite(x: Array) -> np.ndarray:
    if not bool(jnp.all(jnp.isfinite(x))):
        fail("params, X, y", "a Hessian that overflows, or holds NaN", "Scale the largest down.")
    return np.asarray(x)


def _lanczos(
    product: Callable[[np.ndarray], np.ndarray], size: int, k: int, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs, k at each end, ascending.

    Always from the same start vector, so the same bits on the same number of cores.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    H: Any = LinearOperator((size, size), matvec=product, dtype=dtype)  # pyright: ignore
    first = np.random.default_rng(0).normal(size=size).astype(dtype)
    pairs = [
        eigsh(H, k, which=end, v0=first, ncv=min(size, 4 * k + 40), maxiter=RESTARTS * size)
        for end in ("SA", "LA")
    ]
    values = np.concatenate([pair[0] for pair in pairs])
    order = np.argsort(values, kind="stable")
    return values[order], np.concatenate([pair[1] for pair in pairs], axis=1)[:, order]
