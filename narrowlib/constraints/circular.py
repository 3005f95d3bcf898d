"""The circular cone: paired output weights within an angle of the start's."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import (
    check_even,
    check_finite,
    check_number,
    fail,
    float_array,
    is_concrete,
    single_at_least,
)
from narrowlib._runs import runs
from narrowlib.constraints.base import (
    Constraint,
    CrossSection,
    frozen_pytree,
    point_and_direction,
    tolerance,
)
from narrowlib.constraints.lengths import length, number_in
from narrowlib.constraints.paired import from_pairs, paired_part


@frozen_pytree()
class CircularCone(Constraint):
    r"""Paired output weights within an angle of the start's, for one output or several.

    Args:
        axis: $V_0$, shape (m, K) or (m,), m even.
        half_angle: $\theta$ in radians, $0 < \theta < \pi/2$.
        zeta: $\zeta \ge 0$, the least height along the axis, in units of the axis.

    Raises:
        ValueError: if m is odd, the angle is outside (0, π/2), zeta < 0 or the axis is not
            mirrored.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> cone = nl.CircularCone(axis=jnp.array([1.0, 0.0, -1.0, 0.0]), half_angle=jnp.pi / 4)
        >>> cone.project(jnp.array([0.0, 2.0, 0.0, -2.0])).round(3).tolist()
        [1.0, 1.0, -1.0, -1.0]
    """

    axis: Array
    half_angle: Any
    zeta: Any = 0.0
    scalable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number("half_angle", self.half_angle, above=0, below=float(jnp.pi / 2))
        check_number("zeta", self.zeta, minimum=0)
        axis = float_array("axis", self.axis, (1, 2))
        object.__setattr__(self, "axis", axis)
        half = check_even("the number of rows of the axis", axis.shape[0]) // 2
        check_finite("axis", axis)
        if is_concrete(axis):
            axis = np.asarray(axis)
            if not np.array_equal(axis[:half], -axis[half:]) or not np.any(axis):
                fail("axis", "halves that are not (A; −A), A ≠ 0", "Use a mirrored start's v.")

    def project(self, x: Array) -> Array:
        return project_circular_cone(x, axis=self.axis, half_angle=self.half_angle, zeta=self.zeta)

    def tangent(self, x: Array, direction: Array) -> Array:
        x, direction = point_and_direction(x, direction)
        axis = self._axis_like(x)
        A, A0, D = paired_part(x), paired_part(axis), paired_part(direction)
        height, side, unit, outward = cone_coordinates(A, A0)
        sine, cosine = jnp.sin(self.half_angle), jnp.cos(self.half_angle)
        size = jnp.hypot(height, side)
        slack = tolerance(x) * size
        on_cut = height <= self.zeta * length(A0) + slack
        on_edge = side * cosine >= height * sine - slack
        # within the plane of the axis and A; D's other components are free
        a, b = jnp.sum(D * unit), jnp.sum(D * outward)
        in_edge, in_cut = b * cosine <= a * sine, a >= 0
        along = a * cosine + b * sine
        edge = jnp.stack([along * cosine, along * sine])
        cut = jnp.stack([jnp.maximum(a, 0), b])
        one_face = jnp.where(on_edge & ~in_edge, edge, jnp.where(on_cut & ~on_edge, cut, 0))
        one_face = jnp.where(on_edge & in_edge | ~on_edge & ~on_cut, jnp.stack([a, b]), one_face)
        # at the corner the tangent cone is a wedge: the nearest point lies on one of two rays
        ray = jnp.maximum(along, 0)
        edge, cut = jnp.stack([ray * cosine, ray * sine]), jnp.stack([0 * a, jnp.minimum(b, 0)])
        here = jnp.stack([a, b])
        nearer = jnp.linalg.norm(edge - here) <= jnp.linalg.norm(cut - here)
        corner = jnp.where(in_edge & in_cut, here, jnp.where(nearer, edge, cut))
        new_a, new_b = jnp.where(on_edge & on_cut, corner, one_face)
        moved = D + (new_a - a) * unit + (new_b - b) * outward
        at_apex = size == 0  # only with ζ = 0, where the tangent cone is the cone itself
        whole_cone = project_circular_cone(direction, axis=axis, half_angle=self.half_angle)
        return jnp.where(at_apex, whole_cone, from_pairs(moved))

    def least_scale(self, x: Array) -> Array:
        x = float_array("V", x, (1, 2))
        A0 = paired_part(self._axis_like(x))
        height, _, _, _ = cone_coordinates(paired_part(x), A0)
        return self.zeta * length(A0) / height

    def _axis_like(self, x: Array) -> Array:
        if x.shape != self.axis.shape:
            fail(
                "axis", f"shape {self.axis.shape}", f"V has shape {x.shape}: pass an axis like it."
            )
        return self.axis.astype(x.dtype)

    def cross_section(self, m: int) -> CrossSection:
        A0 = paired_part(self.axis)
        spread = float(length(A0)) * math.tan(float(self.half_angle))
        longest = float(jnp.max(jnp.linalg.norm(A0.reshape(A0.shape[0], -1), axis=1)))
        return CrossSection(self.axis, self.zeta, spread, (longest + spread) / longest)

    def describe(self) -> tuple[str, dict[str, Any]]:
        arrays = {"axis": self.axis, "half_angle": self.half_angle, "zeta": self.zeta}
        return "CircularCone", arrays


@runs("jit and grad")
def project_circular_cone(
    V: Float[ArrayLike, "m *K"],
    *,
    axis: Float[ArrayLike, "m *K"],
    half_angle: float | Float[Array, ""],
    zeta: float | Float[Array, ""] = 0.0,
) -> Float[Array, "m *K"]:
    r"""Project on the circular cone of paired output weights around an axis, cut at a height.

    With $V = (A; -A)$ and the axis $V_0 = (A_0; -A_0)$, the set is

    $$\{A = h (A_0 + E) : E \perp A_0,\ \|E\|_F \le \tan\theta\, \|A_0\|_F,\ h \ge \zeta\}.$$

    It is the cone for several outputs: entrywise signs would fix each neuron's sign pattern
    over the outputs, an angle does not. In the plane of the axis and A it is a wedge cut off by a
    line, where the nearest point is found in closed form.

    Args:
        V: output weights, shape (m, K) or (m,), m even.
        axis: $V_0$, the same shape; its paired part must not be zero.
        half_angle: $\theta$ in radians, $0 < \theta < \pi/2$.
        zeta: $\zeta \ge 0$, the least height h, in units of the axis.

    Returns:
        The nearest point, the shape of V; NaN gives NaN.

    Raises:
        ValueError: if the shapes differ, m is odd, the angle is outside (0, π/2), zeta < 0, or
            the axis has no paired part.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> axis = jnp.array([1.0, 0.0, -1.0, 0.0])
        >>> V = jnp.array([0.0, 2.0, 0.0, -2.0])
        >>> nl.project_circular_cone(V, axis=axis, half_angle=jnp.pi / 4).round(3).tolist()
        [1.0, 1.0, -1.0, -1.0]
    """
    V = float_array("V", V, (1, 2))
    axis = float_array("axis", axis, (V.ndim,))
    if V.shape != axis.shape:
        fail("axis", f"shape {axis.shape}", f"V has shape {V.shape}: pass an axis like it.")
    check_even("the number of rows of V", V.shape[0])
    check_number("half_angle", half_angle, above=0, below=float(jnp.pi / 2))
    check_number("zeta", zeta, minimum=0)
    check_finite("axis", axis)
    A, A0 = (paired_part(single_at_least(x.astype(V.dtype))) for x in (V, axis))
    size = length(A0)
    check_number("the norm of the axis's paired part", size, above=0)
    half_angle, zeta = number_in(half_angle, A.dtype), number_in(zeta, A.dtype)
    height, side, unit, direction = cone_coordinates(A, A0)
    sine, cosine = jnp.sin(half_angle), jnp.cos(half_angle)
    inside = side * cosine <= height * sine
    along = jnp.maximum(height * cosine + side * sine, 0)  # the nearest point of the cone's edge
    h = jnp.where(inside, height, along * cosine)
    s = jnp.where(inside, side, along * sine)
    floor = zeta * size
    low = h < floor  # then the nearest point of the set lies on the cut
    s = jnp.where(low, jnp.minimum(side, floor * sine / cosine), s)
    h = jnp.where(low, floor, h)
    return from_pairs(h * unit + s * direction).astype(V.dtype)


def cone_coordinates(A: Array, A0: Array) -> tuple[Array, Array, Array, Array]:
    """A as height along A₀'s direction plus a distance from that axis: (a, b, unit, direction)."""
    unit = A0 / length(A0)
    height = jnp.sum(A * unit)
    rest = A - height * unit
    side = length(rest)
    off = side > 0
    return height, side, unit, jnp.where(off, rest / jnp.where(off, side, 1), 0)
