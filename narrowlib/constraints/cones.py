"""Cones of paired output weights: v = (u; −u) with u of one sign pattern and like sizes.

A pair computes a difference, so the start computes zero; a cone may be scaled up, so the ray
through every feasible point stays feasible. The KKT theorem uses both.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_even, check_number, fail, float_array, is_concrete
from narrowlib.constraints.base import Constraint, frozen_pytree, tolerance
from narrowlib.constraints.projections import (
    cone_coordinates,
    cone_threshold,
    paired_part,
    project_circular_cone,
    project_paired_cone,
)


@frozen_pytree()
class PairedCone(Constraint):
    r"""Paired output weights of like size: v = (u; −u), $\zeta \le u_j$, $\max u \le \kappa\min u$.

    Args:
        zeta: $\zeta \ge 0$, the least size. The KKT theorem needs it above 0; 0 is a control.
        kappa: $\kappa \ge 1$, the largest ratio.

    Raises:
        ValueError: if zeta < 0 or kappa < 1.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> cone = nl.PairedCone(zeta=0.5, kappa=2.0)
        >>> print(cone.project(jnp.array([3.0, 0.0, -3.0, 0.0])).round(2))
        [ 2.4  1.2 -2.4 -1.2]

    References:
        The KKT theorem.
    """

    zeta: Any
    kappa: Any
    scalable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number("zeta", self.zeta, minimum=0)
        check_number("kappa", self.kappa, minimum=1)

    def project(self, x: Array) -> Array:
        return project_paired_cone(x, zeta=self.zeta, kappa=self.kappa)

    def tangent(self, x: Array, direction: Array) -> Array:
        check_even("the length of v", x.shape[0])
        u, b, slack = paired_part(x), paired_part(direction), 1 + tolerance(x)
        least, most = jnp.min(u), jnp.max(u)
        on_floor = least <= self.zeta * slack
        on_ratio = most * slack >= self.kappa * least
        is_least, is_most = u <= least * slack, u * slack >= most
        # with the ratio active, the least entries may move by s or more, the largest by κs or less
        low = jnp.sort(jnp.where(is_least, b, jnp.inf))
        high = jnp.sort(jnp.where(is_most, b, -jnp.inf))
        s = cone_threshold(low, high, self.kappa)
        s = jnp.where(on_floor, jnp.maximum(s, 0), s)
        lower = jnp.where(on_ratio, s, jnp.where(on_floor, 0, -jnp.inf))
        upper = jnp.where(on_ratio, self.kappa * s, jnp.inf)
        b = jnp.clip(b, jnp.where(is_least, lower, -jnp.inf), jnp.where(is_most, upper, jnp.inf))
        return jnp.concatenate([b, -b])

    def least_scale(self, x: Array) -> Array:
        return self.zeta / jnp.min(paired_part(x))


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
        if is_concrete(self.axis):
            float_array("axis", self.axis, (1, 2))
            axis = np.asarray(self.axis)
            half = check_even("the number of rows of the axis", axis.shape[0]) // 2
            if not np.array_equal(axis[:half], -axis[half:]) or not np.any(axis):
                fail("axis", "halves that are not (A; −A), A ≠ 0", "Use a mirrored start's v.")

    def project(self, x: Array) -> Array:
        return project_circular_cone(x, axis=self.axis, half_angle=self.half_angle, zeta=self.zeta)

    def tangent(self, x: Array, direction: Array) -> Array:
        A, A0, D = paired_part(x), paired_part(self.axis), paired_part(direction)
        height, side, unit, outward = cone_coordinates(A, A0)
        sine, cosine = jnp.sin(self.half_angle), jnp.cos(self.half_angle)
        size = jnp.hypot(height, side)
        slack = tolerance(x) * size
        on_cut = height <= self.zeta * jnp.linalg.norm(A0) + slack
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
        paired = jnp.concatenate([moved, -moved])
        at_apex = size == 0  # only with ζ = 0, where the tangent cone is the cone itself
        whole_cone = project_circular_cone(direction, axis=self.axis, half_angle=self.half_angle)
        return jnp.where(at_apex, whole_cone, paired)

    def least_scale(self, x: Array) -> Array:
        A0 = paired_part(self.axis)
        height, _, _, _ = cone_coordinates(paired_part(x), A0)
        return self.zeta * jnp.linalg.norm(A0) / height
