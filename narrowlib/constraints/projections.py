r"""Exact Euclidean projections on the sets that keep a narrow network in its nice region.

Pure functions, free of Python branches on values: they work under `jax.jit`, `jax.vmap` and
`jax.grad`. Each is the one point $P(x) = \arg\min_{z \in C} \|z - x\|$ of its closed convex
set C. Functions on paired arrays read rows j and j + m/2 as a pair.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_even, check_number, fail, float_array


def project_ball(
    W: Float[ArrayLike, "m d"],
    *,
    center: Float[ArrayLike, "m d"],
    radius: float | Float[Array, ""],
    per_neuron: bool = False,
) -> Float[Array, "m d"]:
    r"""Project on the ball around the start, as one ball or as one a neuron.

    $$\arg\min_Z \|Z - W\|_F \quad \text{subject to} \quad \|Z - W_0\|_F \le \varepsilon$$

    or, per neuron, $\|z_j - w_j^0\| \le \varepsilon$ for every row j.

    Args:
        W: hidden weights, shape (m, d).
        center: $W_0$, shape (m, d).
        radius: $\varepsilon \ge 0$.
        per_neuron: one ball for each row instead of one for the whole matrix.

    Returns:
        The nearest point, shape (m, d). Points inside come back unchanged, to the bit.

    Raises:
        ValueError: if the shapes differ or the radius is negative.

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
    W = float_array("W", W, (1, 2))
    center = float_array("center", center, (W.ndim,))
    if W.shape != center.shape:
        fail("center", f"shape {center.shape}", f"W has shape {W.shape}: pass a center like it.")
    check_number("radius", radius, minimum=0)
    radius = jnp.asarray(radius, W.dtype)
    delta = W - center
    axis = -1 if per_neuron else None
    square = jnp.sum(delta**2, axis=axis, keepdims=True)
    outside = square > jnp.square(radius)
    norm = jnp.sqrt(jnp.where(outside, square, 1))  # the gradient stays finite at the center
    return jnp.where(outside, center + delta * (radius / norm), W)


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
        The nearest point, shape (m,), exact to rounding.

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
    zeta, kappa = jnp.asarray(zeta, v.dtype), jnp.asarray(kappa, v.dtype)
    u = paired_part(v)
    ordered = jnp.sort(u)
    t = jnp.maximum(cone_threshold(ordered, ordered, kappa), zeta)
    u = jnp.clip(u, t, kappa * t)
    return jnp.concatenate([u, -u])


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
        The nearest point, the shape of V.

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
    A0 = paired_part(axis)
    check_number("the norm of the axis's paired part", jnp.linalg.norm(A0), above=0)
    half_angle, zeta = jnp.asarray(half_angle, V.dtype), jnp.asarray(zeta, V.dtype)
    height, side, unit, direction = cone_coordinates(paired_part(V), A0)
    sine, cosine = jnp.sin(half_angle), jnp.cos(half_angle)
    inside = side * cosine <= height * sine
    along = jnp.maximum(height * cosine + side * sine, 0)  # the nearest point of the cone's edge
    h = jnp.where(inside, height, along * cosine)
    s = jnp.where(inside, side, along * sine)
    floor = zeta * jnp.linalg.norm(A0)
    low = h < floor  # then the nearest point of the set lies on the cut
    s = jnp.where(low, jnp.minimum(side, floor * sine / cosine), s)
    h = jnp.where(low, floor, h)
    A = h * unit + s * direction
    return jnp.concatenate([A, -A])


def paired_part(v: Float[Array, "m *K"]) -> Float[Array, "half *K"]:
    """The average u = (v₊ − v₋)/2 of the pairs: (u; −u) is the paired point nearest to v."""
    half = v.shape[0] // 2
    return (v[:half] - v[half:]) / 2


def cone_coordinates(A: Array, A0: Array) -> tuple[Array, Array, Array, Array]:
    """A as height along A₀'s direction plus a distance from that axis: (a, b, unit, direction)."""
    unit = A0 / jnp.linalg.norm(A0)
    height = jnp.sum(A * unit)
    rest = A - height * unit
    square = jnp.sum(rest**2)
    off = square > 0
    side = jnp.where(off, jnp.sqrt(jnp.where(off, square, 1)), 0)
    return height, side, unit, jnp.where(off, rest / jnp.where(off, side, 1), 0)


@jax.jit  # the searches below would be compiled anew at every call outside of jit
def cone_threshold(
    low: Float[Array, " p"], high: Float[Array, " q"], kappa: float | Float[Array, ""]
) -> Float[Array, ""]:
    r"""The t that minimises $\sum_i (t - low_i)_+^2 + \sum_k (high_k - \kappa t)_+^2$.

    Both arrays are sorted in ascending order; entries that must not count are +∞ in `low` and
    −∞ in `high`. Where a whole interval minimises, its middle is returned. The slope

    $$g(t) = \sum_{low_i < t} (t - low_i) - \kappa \sum_{high_k > \kappa t} (high_k - \kappa t)$$

    never falls, so two binary searches find which `low` lie under the root of g and which
    `high` lie over κ times it; between breakpoints g is linear.
    """
    kappa = jnp.asarray(kappa, low.dtype)  # a whole number's square could overflow
    counts_low, counts_high = jnp.isfinite(low), jnp.isfinite(high)

    def slope(t: Array) -> Array:
        below = jnp.where(counts_low, jnp.maximum(t - low, 0), 0)
        above = jnp.where(counts_high, jnp.maximum(high - kappa * t, 0), 0)
        return jnp.sum(below) - kappa * jnp.sum(above)

    def first_not(points: Array, condition: Callable[[Array], Array]) -> Array:
        """The index of the first point at which a condition that holds at first fails."""
        size = points.shape[0]

        def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            left, right = bounds
            middle = (left + right) // 2
            holds = condition(slope(points[jnp.minimum(middle, size - 1)])) & (left < right)
            return jnp.where(holds, middle + 1, left), jnp.where(holds, right, middle)

        ends = (jnp.zeros((), int), jnp.full((), size, int))
        return jax.lax.fori_loop(0, size.bit_length(), halve, ends)[0]

    at_low, at_high = jax.lax.stop_gradient((low, high / kappa))
    in_low = jnp.arange(low.shape[0]) < first_not(at_low, lambda slope: slope < 0)
    in_high = jnp.arange(high.shape[0]) >= first_not(at_high, lambda slope: slope <= 0)
    low_sum = jnp.sum(jnp.where(in_low, low, 0))
    high_sum = jnp.sum(jnp.where(in_high, high, 0))
    pieces = jnp.sum(in_low, dtype=low.dtype) + kappa**2 * jnp.sum(in_high, dtype=low.dtype)
    root = (low_sum + kappa * high_sum) / jnp.where(pieces > 0, pieces, 1)
    left, right = high[-1] / kappa, low[0]  # ends of the flat interval, where nothing binds
    left, right = jnp.where(counts_high[-1], left, right), jnp.where(counts_low[0], right, left)
    flat = jnp.where(jnp.isfinite(left), (left + right) / 2, 0)
    return jnp.where(pieces > 0, root, flat)
