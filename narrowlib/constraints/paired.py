"""Pairs v = (u; −u), and the cone of pairs of one sign pattern and like sizes.

A pair computes a difference, so a start of pairs computes zero; a cone may be scaled up, so the
ray through every feasible point stays feasible. The KKT theorem uses both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_even, check_number, float_array, single_at_least
from narrowlib._runs import runs
from narrowlib.constraints.base import (
    Constraint,
    CrossSection,
    frozen_pytree,
    point_and_direction,
    tolerance,
)
from narrowlib.constraints.lengths import number_in, power_of_two


def paired_part(v: Float[Array, "m *K"]) -> Float[Array, "half *K"]:
    """The average u = (v₊ − v₋)/2 of the pairs: (u; −u) is the paired point nearest to v."""
    half = v.shape[0] // 2
    return (v[:half] - v[half:]) / 2


def from_pairs(u: Float[Array, "half *K"]) -> Float[Array, "m *K"]:
    """(u; −u)."""
    return jnp.concatenate([u, -u])


@frozen_pytree()
class Pairs(Constraint):
    """Output weights in pairs, for one output or several: v = (u; −u), u free.

    The largest of the sets of pairs, and a linear space. Nothing keeps a neuron's output weight
    from vanishing, so the KKT theorem does not speak of it.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> nl.Pairs().project(jnp.array([3.0, 4.0, -1.0, 2.0])).tolist()
        [2.0, 1.0, -2.0, -1.0]
    """

    scalable: ClassVar[bool] = True

    def project(self, x: Array) -> Array:
        x = float_array("v", x, (1, 2))
        check_even("the number of rows of v", x.shape[0])
        return from_pairs(paired_part(x))

    def tangent(self, x: Array, direction: Array) -> Array:
        return self.project(point_and_direction(x, direction)[1])

    def least_scale(self, x: Array) -> Array:
        return jnp.asarray(-jnp.inf, float_array("v", x, (1, 2)).dtype)

    def describe(self) -> tuple[str, dict[str, Any]]:
        return "Pairs", {}


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
        x, direction = point_and_direction(x, direction)
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
        return from_pairs(b)

    def least_scale(self, x: Array) -> Array:
        return self.zeta / jnp.min(paired_part(float_array("v", x, (1,))))

    def cross_section(self, m: int) -> CrossSection:
        ones = jnp.ones(check_even("m", m) // 2)
        kappa = float(self.kappa)
        return CrossSection(from_pairs(ones), self.zeta, 0.0, kappa, pairwise=True)

    def describe(self) -> tuple[str, dict[str, Any]]:
        return "PairedCone", {"zeta": self.zeta, "kappa": self.kappa}


@runs("jit and grad")
def project_paired_cone(
    v: Float[ArrayLike, " m"],
    *,
    zeta: float | Float[Array, ""],
    kappa: float | Float[Array, ""],
) -> Float[Array, " m"]:
    r"""Project on the paired cone $\{(u; -u) : u_j \ge \zeta,\ \max u \le \kappa \min u\}$.

    The average of each pair, $u = \tfrac12 (v_+ - v_-)$, is the nearest paired point. What is
    left is a problem in one number t, the smallest output weight allowed:

    $$\min_{t \ge \zeta}\ \sum_j \operatorname{dist}(u_j, [t, \kappa t])^2 .$$

    It is convex and piecewise quadratic, and its breakpoints are the sorted $u_j$ and
    $u_j/\kappa$: a binary search among them finds the piece that holds the minimum, and t on that
    piece is a quotient of two sums. O(m log m) for the sort.

    Args:
        v: output weights, shape (m,), m even.
        zeta: $\zeta \ge 0$, the least size of an output weight.
        kappa: $\kappa \ge 1$, the largest ratio between two sizes.

    Returns:
        The nearest point, shape (m,), exact to rounding; NaN gives NaN.

    Raises:
        ValueError: if m is odd, zeta < 0 or kappa < 1.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> v = jnp.array([3.0, 0.5, -1.0, 0.5])
        >>> print(nl.project_paired_cone(v, zeta=0.1, kappa=4.0).round(3))
        [ 1.882  0.471 -1.882 -0.471]

    References:
        The v half of the feasible set of the KKT theorem. The sorting argument is ours.
    """
    v = float_array("v", v, (1,))
    check_even("the length of v", v.shape[0])
    check_number("zeta", zeta, minimum=0)
    check_number("kappa", kappa, minimum=1)
    u = paired_part(single_at_least(v))
    zeta, kappa = number_in(zeta, u.dtype), number_in(kappa, u.dtype)
    ordered = jnp.sort(u)
    t, top = cone_bounds(ordered, ordered, kappa)
    least = kappa * zeta  # where t vanishes beside ζ = 0, κt alone may be below it
    u = jnp.clip(u, jnp.maximum(t, zeta), jnp.where(zeta > t, least, jnp.maximum(top, least)))
    return from_pairs(u).astype(v.dtype)


SMALL = 64  # so many breakpoints are tried at once: faster than a search up to here


def cone_threshold(
    low: Float[Array, " p"], high: Float[Array, " q"], kappa: float | Float[Array, ""]
) -> Float[Array, ""]:
    """The first of `cone_bounds`: the least size."""
    return cone_bounds(low, high, kappa)[0]


@jax.jit  # the searches below would be compiled anew at every call outside of jit
def cone_bounds(
    low: Float[Array, " p"], high: Float[Array, " q"], kappa: float | Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""The t that minimises $\sum_i (t - low_i)_+^2 + \sum_k (high_k - \kappa t)_+^2$, and κt.

    Both arrays are sorted in ascending order; entries that must not count are +∞ in `low` and
    −∞ in `high`. Where a whole interval minimises, its middle is returned, with ∞ for κt. The
    slope, over κ²,

    $$g(t) = \kappa^{-2} \sum_{low_i < t} (t - low_i)
             - \sum_{high_k > \kappa t} (high_k/\kappa - t)$$

    never falls, so two binary searches find which `low` lie under the root of g and which
    `high` lie over κ times it; between breakpoints g is linear. κ², and t where κ is large, may
    leave the range of the precision; κ⁻² may vanish, and κt does neither. All is in units of the
    largest entry, so that high/κ keeps its digits.
    """
    # a whole number's square could overflow; and 1/κ is less than rounding long before high/κ,
    # for the entries that count beside the largest, is subnormal
    limits = jnp.finfo(low.dtype)
    kappa = jnp.minimum(number_in(kappa, low.dtype), limits.eps / limits.tiny)
    counts_low, counts_high = jnp.isfinite(low), jnp.isfinite(high)
    sizes = jnp.concatenate([jnp.where(counts_low, low, 0), jnp.where(counts_high, high, 0)])
    unit = power_of_two(jax.lax.stop_gradient(jnp.max(jnp.abs(sizes), initial=0)))
    # else the compiler may divide by unit · κ, which can overflow
    low, high = jax.lax.optimization_barrier((low / unit, high / unit))
    share, reduced = 1 / kappa, high / kappa

    def slope(t: Array) -> Array:  # only its sign counts
        below = jnp.sum(jnp.where(counts_low, jnp.maximum(t - low, 0), 0))
        above = jnp.sum(jnp.where(counts_high, jnp.maximum(reduced - t, 0), 0))
        return jnp.where(above == 0, below, share * below - kappa * above)

    def first_not(points: Array, condition: Callable[[Array], Array]) -> Array:
        """The index of the first point at which a condition that holds at first fails."""
        size = points.shape[0]
        if size <= SMALL:
            return jnp.sum(condition(jax.vmap(slope)(points)), dtype=int)

        def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            left, right = bounds
            middle = (left + right) // 2
            holds = condition(slope(points[jnp.minimum(middle, size - 1)])) & (left < right)
            return jnp.where(holds, middle + 1, left), jnp.where(holds, right, middle)

        ends = (jnp.zeros((), int), jnp.full((), size, int))
        return jax.lax.fori_loop(0, size.bit_length(), halve, ends)[0]

    at_low, at_high = jax.lax.stop_gradient((low, reduced))
    in_low = jnp.arange(low.shape[0]) < first_not(at_low, lambda slope: slope < 0)
    in_high = jnp.arange(high.shape[0]) >= first_not(at_high, lambda slope: slope <= 0)
    low_sum = jnp.sum(jnp.where(in_low, low, 0))
    high_sum = jnp.sum(jnp.where(in_high, high, 0))
    pieces = share**2 * jnp.sum(in_low, dtype=low.dtype) + jnp.sum(in_high, dtype=low.dtype)
    some = jnp.where(pieces > 0, pieces, 1)
    root, top = (share**2 * low_sum + share * high_sum) / some, (share * low_sum + high_sum) / some
    left, right = reduced[-1], low[0]  # ends of the flat interval, where nothing binds
    left, right = jnp.where(counts_high[-1], left, right), jnp.where(counts_low[0], right, left)
    flat = jnp.where(jnp.isfinite(left), (left + right) / 2, 0)
    return jnp.where(pieces > 0, root, flat) * unit, jnp.where(pieces > 0, top * unit, jnp.inf)
