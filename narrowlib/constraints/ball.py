"""The ball around the start: one for a whole matrix, or one a neuron."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import (
    check_bool,
    check_number,
    fail,
    float_array,
    is_concrete,
    single_at_least,
)
from narrowlib._runs import runs
from narrowlib.constraints.base import Constraint, frozen_pytree, point_and_direction, tolerance
from narrowlib.constraints.lengths import number_in, scale_and_size


@frozen_pytree("per_neuron")
class Ball(Constraint):
    r"""Hidden weights within ε of the start: $\|W - W_0\|_F \le \varepsilon$, or row by row.

    Args:
        center: $W_0$, shape (m, d), or any other whose first axis counts the neurons.
        radius: $\varepsilon \ge 0$.
        per_neuron: one ball for each row instead of one for the whole matrix.

    Raises:
        ValueError: if the radius is negative or the center is not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> ball = nl.Ball(center=jnp.zeros((2, 2)), radius=1.0)
        >>> W = jnp.array([[0.6, 0.0], [0.0, 0.8]])
        >>> pull = -3.0 * W  # a gradient that points straight inwards is balanced by the sphere
        >>> round(float(ball.normal_cone_residual(W, pull)), 6)
        0.0
        >>> round(float(ball.multiplier(W, pull)), 6)
        3.0

    References:
        The KKT theorem.
    """

    center: Array
    radius: Any
    per_neuron: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", _center(self.center))
        object.__setattr__(self, "per_neuron", check_bool("per_neuron", self.per_neuron))
        check_number("radius", self.radius, minimum=0)

    def project(self, x: Array) -> Array:
        return project_ball(x, center=self.center, radius=self.radius, per_neuron=self.per_neuron)

    def multiplier(self, x: Array, gradient: Array) -> Array:
        """λ ≥ 0 with −gradient ≈ λ (x − center), 0 inside: a scalar, or (m,) per neuron."""
        x, gradient = point_and_direction(x, gradient)
        share, _, scale = self._balanced(x, -gradient)
        multiplier = share / scale
        return multiplier.reshape(-1) if self.per_neuron else multiplier.reshape(())

    def tangent(self, x: Array, direction: Array) -> Array:
        x, direction = point_and_direction(x, direction)
        share, unit, _ = self._balanced(x, direction)
        rest = (direction - share * unit).astype(x.dtype)
        return jnp.where(jnp.asarray(self.radius) == 0, 0, rest)

    def _balanced(self, x: Array, direction: Array) -> tuple[Array, Array, Array]:
        """How much of a direction the sphere holds: a factor of x − center over a power of two."""
        unit, scale, size = _from_center(x, self.center, self.per_neuron)
        push = jnp.sum(direction * unit, axis=_axes(x.ndim, self.per_neuron), keepdims=True)
        at_center = size == 0  # a ball of radius 0: every gradient is balanced, see tangent
        share = jnp.where(at_center, 0, jnp.maximum(push, 0) / jnp.where(at_center, 1, size) ** 2)
        radius = number_in(self.radius, unit.dtype)
        inside = scale * size < radius * (1 - tolerance(unit))
        return jnp.where(inside, 0, share), unit, scale

    def as_ball(self) -> Ball:
        return self

    def describe(self) -> tuple[str, dict[str, Any]]:
        arrays = {"center": self.center, "radius": self.radius, "per_neuron": self.per_neuron}
        return "Ball", arrays


@runs("jit and grad")
def project_ball(
    W: Float[ArrayLike, "m *d"],
    *,
    center: Float[ArrayLike, "m *d"],
    radius: float | Float[Array, ""],
    per_neuron: bool = False,
) -> Float[Array, "m *d"]:
    r"""Project on the ball around the start, as one ball or as one a neuron.

    $$\arg\min_Z \|Z - W\|_F \quad \text{subject to} \quad \|Z - W_0\|_F \le \varepsilon$$

    or, per neuron, $\|z_j - w_j^0\| \le \varepsilon$ for every row j. No square overflows or
    vanishes on the way; NaN gives NaN.

    Args:
        W: hidden weights, shape (m, d), or any other whose first axis counts the neurons.
        center: $W_0$, the same shape.
        radius: $\varepsilon \ge 0$.
        per_neuron: one ball for each row instead of one for the whole matrix.

    Returns:
        The nearest point, in the shape of W. Points inside come back unchanged, to the bit.

    Raises:
        ValueError: if the shapes differ, the center is not finite or the radius is negative.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> W = jnp.array([[3.0, 4.0], [0.0, 1.0]])
        >>> print(nl.project_ball(W, center=0 * W, radius=1.0, per_neuron=True).round(3))
        [[0.6 0.8]
         [0.  1. ]]

    References:
        The W half of the feasible set of the KKT theorem.
    """
    W, center = float_array("W", W, None), _center(center)
    check_number("radius", radius, minimum=0)
    unit, scale, size = _from_center(W, center, check_bool("per_neuron", per_neuron))
    radius = number_in(radius, unit.dtype)
    inside = scale * size <= radius  # NaN is not
    factor = jnp.where(inside, 1, radius / jnp.where(inside, 1, size))
    moved = single_at_least(center.astype(W.dtype)) + unit * factor
    return jnp.where(inside, W, moved.astype(W.dtype))


def _center(center: Any) -> Array:
    center = float_array("center", center, None)
    if center.ndim == 0:
        fail("center", "a number", "Pass an array with a row for each neuron.")
    if center.size == 0:
        fail("center", f"shape {center.shape}", "Pass at least one neuron and one weight.")
    if is_concrete(center) and not np.all(np.isfinite(np.asarray(center))):
        fail("center", "entries that are NaN or infinite", "Pass a finite center.")
    return center


def _axes(ndim: int, per_neuron: bool) -> tuple[int, ...] | None:
    return tuple(range(1, ndim)) if per_neuron else None


def _from_center(x: Array, center: Array, per_neuron: bool) -> tuple[Array, Array, Array]:
    """X − center over a power of two, that power, and the length, of each ball."""
    if x.shape != center.shape:
        fail("center", f"shape {center.shape}", f"W has shape {x.shape}: pass a center like it.")
    delta = single_at_least(x) - single_at_least(center.astype(x.dtype))
    scale, size = scale_and_size(delta, _axes(x.ndim, per_neuron))
    return delta / scale, scale, size
