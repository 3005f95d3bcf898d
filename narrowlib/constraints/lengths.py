"""Euclidean lengths whose squares neither overflow nor vanish, and whose gradient at 0 is 0."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import single_at_least

Axes = tuple[int, ...] | None


def unit_and_size(x: Array, axis: Axes = None) -> tuple[Array, Array, Array]:
    """X divided by a power of two near its largest entry, that power, and the quotient's length.

    The division is exact, and the length lies between 1/2 and 2√N, or is 0 where x is. Half
    precision is computed with in single.
    """
    x = single_at_least(x)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    exponent = jnp.frexp(largest)[1] - 1
    scale = jnp.maximum(jnp.ldexp(jnp.ones_like(largest), exponent), jnp.finfo(x.dtype).tiny)
    scale = jnp.where(largest > 0, scale, 1)
    unit = x / scale
    square = jnp.sum(unit**2, axis=axis, keepdims=True)
    at_zero = square == 0  # NaN is not
    size = jnp.where(at_zero, 0, jnp.sqrt(jnp.where(at_zero, 1, square)))
    return unit, scale, size


def length(x: Array) -> Array:
    """The Euclidean length of all entries."""
    _, scale, size = unit_and_size(x)
    return (scale * size).reshape(())


def number_in(value: Any, dtype: Any) -> Array:
    """A number in a precision; one beyond its range counts as the largest there is."""
    if isinstance(value, int | float | np.number):
        largest = float(jnp.finfo(dtype).max)
        value = min(max(float(value), -largest), largest)
    return jnp.asarray(value, dtype)
