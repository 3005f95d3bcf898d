r"""Slices: loss and σ_min(J) side by side on a grid through a point, in one to three directions.

The directions live in the space of the hidden weights, with the Frobenius inner product. If they
are orthonormal, a distance in the picture is a distance in W: a ball around W is a disc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import (
    check_finite,
    check_int,
    check_key,
    fail,
    float_array,
    is_concrete,
    shown,
)
from narrowlib._runs import runs
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import (
    Params,
    check_params,
    half_mean_square,
)
from narrowlib.network.rounding import spectrum
from narrowlib.network.theory import check_theory_problem

BATCH = 1 << 20  # numbers in the Gram matrices that are decomposed together: 8 MiB in float64


class Slice(NamedTuple):
    """Loss and least singular value on a grid W + Σ_k a_k D_k.

    Args:
        coordinates: the values of each a_k, one array for each direction.
        directions: the D_k, shape (k, m, d).
        loss: the training loss, one axis for each direction, in their order.
        sigma_min: the least singular value of J, likewise.
    """

    coordinates: tuple[Array, ...]
    directions: Array
    loss: Array
    sigma_min: Array


@runs("jit and grad")
def slice_directions(
    params: Params, given: Sequence[ArrayLike] = (), *, count: int = 2, key: Key[Array, ""]
) -> Float[Array, "count m d"]:
    """Orthonormal directions in the space of W: those given first, then random ones.

    The first is parallel to the first given, the second lies in the plane of the first two, and
    so on (Gram–Schmidt), each on the side of what was given.

    Args:
        params: weights `W` (m, d) and `v`.
        given: at most `count` arrays like W, linearly independent.
        count: how many directions, 1 to 3.
        key: a JAX random key for those not given.

    Returns:
        The directions, each of Frobenius norm 1, shape (count, m, d).

    Raises:
        ValueError: if count is not 1, 2 or 3, more are given, or those given do not fit or are
            dependent.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> params = nl.lecun(jax.random.key(0), d=3, m=4)
        >>> D = nl.slice_directions(params, [params.W], key=jax.random.key(1))
        >>> print(jax.numpy.einsum("amd,bmd->ab", D, D).round(3) + 0.0)
        [[1. 0.]
         [0. 1.]]

    References:
        Chapter "The nice region".
    """
    W = check_params(params).W
    check_finite("params.W", W)
    given, key = _arrays("given", given, 2, W.dtype), check_key("key", key)
    if check_int("count", count, 1) > 3:
        fail("count", count, "A slice has 1, 2 or 3 directions.")
    if len(given) > count:
        fail("given", f"{len(given)} directions", f"Pass at most count = {count} of them.")
    if count > W.size:
        fail("count", count, f"W has {W.size} entries: no more directions are orthogonal.")
    for D in given:
        if D.shape != W.shape:
            fail("given", f"shape {D.shape}", f"params.W has shape {W.shape}.")
    random = jax.random.normal(key, (count - len(given), *W.shape), W.dtype)
    flat = jnp.concatenate([jnp.stack(given), random] if given else [random]).reshape(count, -1)
    flat = flat / jnp.maximum(jnp.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    Q, R = jnp.linalg.qr(flat.T)
    sides = jnp.diagonal(R)
    if is_concrete(sides) and np.min(np.abs(sides)) < 1e3 * jnp.finfo(W.dtype).eps:
        fail("given", "dependent directions", "Leave out those that others span.")
    return (jnp.sign(sides)[:, None] * Q.T).reshape(count, *W.shape)


@runs("jit and grad")
def slice_grid(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    directions: Sequence[ArrayLike] | Array,
    coordinates: Sequence[ArrayLike],
    *,
    activation: str | Activation = "tanh",
) -> Slice:
    r"""Loss and σ_min(J) at all points of a grid through W.

    $$W(a) = W + \sum_k a_k D_k, \qquad v \text{ fixed}$$

    σ_min is the root of the least eigenvalue of J Jᵀ, or 0 where rounding makes that negative:
    good to about $\sqrt{n\epsilon}$ times the largest singular value, 10⁻⁷ of it in float64. One
    compiled program makes the grid in batches, so memory stays bounded: beside the result, a few
    times 8 MiB.

    Args:
        params: the point, `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        directions: one to three arrays like W; see `slice_directions`.
        coordinates: for each direction the values of a_k, shape (points,).
        activation: a name of `activations()` or an `Activation`.

    Returns:
        A `Slice`, whose `loss` and `sigma_min` have an axis for each direction.

    Raises:
        ValueError: if there are no directions or more than three, not as many coordinates, or
            shapes do not match.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import narrowlib as nl
        >>> data = nl.gaussian(jax.random.key(0), n=6, d=3)
        >>> params = nl.mirrored_lecun(jax.random.key(1), d=3, m=4)
        >>> D = nl.slice_directions(params, key=jax.random.key(2))
        >>> line = jnp.linspace(-1, 1, 5)
        >>> cut = nl.slice_grid(params, *data[:2], D, [line, line])
        >>> cut.loss.shape, round(float(cut.loss[2, 2]), 3)
        ((5, 5), 0.5)

    References:
        Chapter "The nice region".
    """
    params, X, y, sigma = check_theory_problem(
        params, X, y, activation=activation, allow_float32=True
    )
    axes = tuple(_arrays("coordinates", coordinates, 1, X.dtype))
    frame = _arrays("directions", directions, 2, X.dtype)
    if not 1 <= len(frame) <= 3:
        fail("directions", f"{len(frame)} of them", "A slice has 1, 2 or 3 directions.")
    if len(axes) != len(frame):
        mend = f"There are {len(frame)} directions: pass one array for each."
        fail("coordinates", f"{len(axes)} arrays", mend)
    for D in frame:
        if D.shape != params.W.shape:
            fail("directions", f"shape {D.shape}", f"params.W has shape {params.W.shape}.")
    stacked = jnp.stack(frame)
    loss, least = _evaluate(params, X, y, stacked, axes, sigma)
    return Slice(axes, stacked, loss, least)


def _arrays(name: str, arrays: Any, ndim: int, dtype: Any) -> list[Array]:
    """A sequence of finite arrays that each have some entries."""
    try:
        found = [float_array(name, a, (ndim,)).astype(dtype) for a in arrays]
    except TypeError:
        fail(name, shown(arrays), "Pass a list of arrays.")
    for a in found:
        check_finite(name, a)
        if a.size == 0:
            fail(name, f"an array of shape {a.shape}", "Pass at least one entry.")
    return found


@partial(jax.jit, static_argnames="sigma")
def _evaluate(
    params: Params, X: Array, y: Array, frame: Array, axes: tuple[Array, ...], sigma: Activation
) -> tuple[Array, Array]:
    shape = tuple(len(a) for a in axes)
    points = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))

    def at(a: Array) -> tuple[Array, Array]:
        moved = Params(params.W + jnp.tensordot(a, frame, 1), params.v)
        net = linearize(moved, X, sigma)
        least = spectrum(net.gram()).singular_values[0]
        return half_mean_square(net.residual(y)), least

    batch = max(1, min(math.prod(shape), BATCH // y.size**2))
    loss, least = jax.lax.map(at, points, batch_size=batch)
    return loss.reshape(shape), least.reshape(shape)
