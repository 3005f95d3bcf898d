"""Euclidean lengths whose squares neither overflow nor vanish, and whose gradient at 0 is 0."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import single_at_least

Axes = tuple[int, ...] | None


@partial(jax.jit, static_argnames="axis")  # one compilation where it is called outside of jit
def scale_and_size(x: Array, axis: Axes = None) -> tuple[Array, Array]:
    """A power of two, and the length of x over it, which is exact to rounding.

    The power is 1 unless squares over- or underflow: then it lies near the largest entry, and
    another pass over x is needed. Half precision is computed with in single.
    """
    x = single_at_least(x)
    square = jnp.sum(x**2, axis=axis, keepdims=True)
    limits = jnp.finfo(x.dtype)
    least = limits.tiny / limits.eps**2  # what vanishes under it counts for nothing beside it
    within = jnp.all((square > least) & (square <= limits.max))  # NaN is not
    return jax.lax.cond(within, _plain, partial(_scaled, axis=axis), x, square)


def _plain(x: Array, square: Array) -> tuple[Array, Array]:
    return jnp.ones_like(square), _root(square)


def _scaled(x: Array, square: Array, *, axis: Axes) -> tuple[Array, Array]:
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    scale = power_of_two(largest)
    return scale, _root(jnp.sum((x / scale) ** 2, axis=axis, keepdims=True))


def power_of_two(x: Array) -> Array:
    """The power of two next to each entry x ≥ 0; 1 for 0. To multiply or divide by it is exact."""
    limits = jnp.finfo(x.dtype)
    power = jax.lax.reduce_precision(x, limits.nexp, 0)  # no digit but the first
    # a compiler may multiply by the inverse instead: neither may be subnormal
    return jnp.where(x > 0, jnp.clip(power, limits.tiny, 0.5 / limits.tiny), 1)


def _root(square: Array) -> Array:
    """With a finite gradient at 0: with none."""
    at_zero = square == 0  # NaN is not
    return jnp.where(at_zero, 0, jnp.sqrt(jnp.where(at_zero, 1, square)))


def length(x: Array) -> Array:
    """The Euclidean length of all entries."""
    scale, size = scale_and_size(x)
    return (scale * size).reshape(())


def number_in(value: Any, dtype: Any) -> Array:
    """A number in a precision; one beyond its range counts as the largest there is."""
    if isinstance(value, int | float | np.number):
        largest = float(jnp.finfo(dtype).max)
        value = min(max(float(value), -largest), largest)
    return jnp.asarray(value, dtype)
