r"""The nice region: the ball around W in which J keeps full rank, with v as it is.

There every stationary point has zero loss. Its radius ρ\* is the distance from W to the nearest
weights at which J loses rank. This file bounds it from below, by two formulas, and looks at it
from outside, by the least σ_min on spheres.

With $G_j(w; u) = \sum_i u_i\,\sigma'(w \cdot x_i)\, x_i$ the rows of $J^\top u$ are $v_j\, G_j$: J
loses rank exactly where one $u \ne 0$ makes every neuron's $G_j$ vanish. So ρ\* does not depend on
the sizes of the $v_j$, as long as none is zero, and all may be taken as one.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import (
    check_double,
    check_finite,
    check_inputs,
    check_int,
    fail,
    float_array,
    is_concrete,
)
from narrowlib.activations import Activation, get_activation
from narrowlib.jacobian import gram, vjp
from narrowlib.model import Params, check_params


def guaranteed_radius(
    params: Params,
    X: Float[ArrayLike, "n d"],
    *,
    order: int = 1,
    activation: str | Activation = "tanh",
    allow_float32: bool = False,
) -> Float[Array, ""]:
    r"""A radius within which J provably keeps full rank: a lower bound of ρ\*.

    With `order=1`, the theorem's: $s / L(v)$, where $s = \sigma_{\min}(J)$ and
    $L(v) = L_2 \max\|x_i\| \|X\| \max|v_j|$ is a Lipschitz constant of J in W. With `order=2`, the
    larger of that and the positive root r of

    $$s_1 (1 - q\,r) = \tfrac12 L_3 N r^2, \qquad
      q^2 = \max_j \lambda_{\max}\bigl(K^{-1/2} Q_j K^{-1/2}\bigr), \qquad
      N^2 = \lambda_{\max}\bigl((X X^\top)^{\circ 3}\bigr)$$

    Here $K = J J^\top$ and $s_1 = \sigma_{\min}(J)$ belong to output weights scaled to ±1,
    $Q_j = (h_j h_j^\top) \circ (X X^\top)^{\circ 2}$ with $h_{ji} = \sigma''(w_j \cdot x_i)$, and
    $L_3 = \sup|\sigma'''|$. It uses σ″ where the network is, not where it could be largest.

    J is not formed: n²(d + m) + n³ operations with `order=1`, and m n³ with `order=2`. What
    rounding in J Jᵀ can hide is taken off, so the radius is 0 where $s$ is below
    $\sqrt{n\epsilon}$ times the largest singular value.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K); neurons with a zero row in v are silent.
        X: samples, shape (n, d).
        order: 1 or 2.
        activation: a name of `activations()` or an `Activation`.
        allow_float32: answer in single precision too.

    Returns:
        The radius, in the Frobenius norm of W, a scalar: 0 where rank or a bound on the
        derivatives is missing.

    Raises:
        ValueError: in float32 unless allowed, for another order, or if shapes do not match.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     params = nl.mirrored_lecun(jax.random.key(0), d=5, m=12)
        ...     X = jax.random.normal(jax.random.key(1), (20, 5))
        ...     for order in (1, 2):
        ...         print(f"{nl.guaranteed_radius(params, X, order=order):.4f}")
        0.0176
        0.0550

    References:
        Chapter "The nice region"; with `order=1` the corollary on what a bounded change allows.
    """
    if order not in (1, 2):
        fail("order", repr(order), "Choose 1 or 2.")
    params, X, sigma = region_problem(params, X, activation, allow_float32)
    return _guaranteed_radius(params, X, sigma, order)


@partial(jax.jit, static_argnames=("sigma", "order"))
def _guaranteed_radius(params: Params, X: Array, sigma: Activation, order: int) -> Float[Array, ""]:
    largest = output_sizes(params.v).max()
    longest = jnp.linalg.norm(X, axis=1).max()
    L = sigma.curvature * longest * jnp.sqrt(jnp.linalg.eigvalsh(X @ X.T)[-1]) * largest
    s = jnp.sqrt(_spectrum(params, X, sigma)[0][0])
    first = jnp.where(s > 0, s / L, jnp.zeros_like(s))
    return first if order == 1 else jnp.maximum(first, _second_order(params, X, sigma))


def _spectrum(params: Params, X: Array, sigma: Activation) -> tuple[Array, Array]:
    """The eigenvalues of J Jᵀ, less what rounding can hide, at least 0; its eigenvectors."""
    values, vectors = jnp.linalg.eigh(gram(params, X, activation=sigma))
    slack = len(values) * jnp.finfo(values.dtype).eps * values[-1]
    return jnp.maximum(values - slack, jnp.zeros_like(values)), vectors


def _second_order(params: Params, X: Array, sigma: Activation) -> Float[Array, ""]:
    unit = unit_outputs(params.v)
    values, vectors = _spectrum(Params(params.W, unit), X, sigma)
    full = values[0] > 0
    values = jnp.where(full, values, jnp.ones_like(values))
    root = vectors / jnp.sqrt(values)[None]  # K^{-1/2}, up to a rotation
    root = root.reshape(X.shape[0], -1, len(values))
    XX = X @ X.T

    def largest(neuron: tuple[Array, Array]) -> Array:
        bend, out = neuron  # σ″(w_j·x_i) for all i; the neuron's row of v
        A = bend[:, None] * jnp.einsum("ika,k->ia", root, out)
        return jnp.linalg.eigvalsh(A.T @ (XX**2 @ A))[-1]

    bends = second_derivative(sigma, X @ params.W.T)
    q = jnp.sqrt(jnp.maximum(jax.lax.map(largest, (bends.T, columns(unit))).max(), 0))
    N = jnp.sqrt(jnp.linalg.eigvalsh(XX**3)[-1])
    radius = 2 / (q + jnp.sqrt(q**2 + 2 * sigma.jerk * N / jnp.sqrt(values[0])))
    return jnp.where(full, radius, jnp.zeros_like(radius))


class SphereMinimum(NamedTuple):
    """The least σ_min(J) found on each of several spheres around W.

    Args:
        radii: of the spheres, shape (r,).
        sigma_min: the least value found on each, shape (r,): an upper bound of the least there is.
        delta: where, a displacement of that length for each, shape (r, m, d).
        starts: what each start ended with, shape (r, starts).
    """

    radii: Array
    sigma_min: Array
    delta: Array
    starts: Array


def least_on_sphere(
    params: Params,
    X: Float[ArrayLike, "n d"],
    radii: Float[ArrayLike, " r"],
    *,
    key: Key[Array, ""],
    starts: int = 8,
    steps: int = 100,
    activation: str | Activation = "tanh",
    allow_float32: bool = False,
) -> SphereMinimum:
    r"""Minimise σ_min(J) over spheres around W, by projected gradient from several starts.

    $$\min_{\|\Delta\|_F = r} \sigma_{\min}\bigl(J(W + \Delta, v)\bigr)$$

    The gradient of $\frac12\sigma_{\min}^2$ is that of $\frac12\|J(W)^\top u\|^2$ with u, the last
    left singular vector, held still. A step along its part tangent to the sphere is scaled back to
    the sphere; it is kept if σ_min falls, and then the next is twice as long, else a quarter. The
    first start is the direction in which σ_min falls fastest at W, the others are random, afresh
    for each sphere. The problem is not convex: more starts may find less. Values below
    $\sqrt{n\epsilon}$ times the largest singular value are rounding noise.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        radii: of the spheres, all above 0, shape (r,).
        key: a JAX random key for the starts.
        starts: how many on each sphere.
        steps: gradient steps from each start; every one takes the eigenvalues of an n × n matrix.
        activation: a name of `activations()` or an `Activation`.
        allow_float32: answer in single precision too.

    Returns:
        A `SphereMinimum`.

    Raises:
        ValueError: in float32 unless allowed, if a number is not positive, or if shapes do not
            match.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     params = nl.mirrored_lecun(jax.random.key(0), d=3, m=6)
        ...     X = jax.random.normal(jax.random.key(1), (8, 3))
        ...     found = nl.least_on_sphere(
        ...         params, X, jax.numpy.array([0.02, 0.1]), key=jax.random.key(2)
        ...     )
        ...     print(found.sigma_min.round(4))
        [0.0234 0.0061]

    References:
        Chapter "The nice region".
    """
    params, X, sigma = region_problem(params, X, activation, allow_float32)
    radii = float_array("radii", radii, (1,)).astype(X.dtype)
    if is_concrete(radii) and not np.all(np.asarray(radii) > 0):
        fail("radii", f"a least value of {float(np.min(radii)):g}", "Pass radii above 0.")
    starts, steps = check_int("starts", starts, 1), check_int("steps", steps, 1)
    directions = normal(key, (radii.shape[0], starts, *params.W.shape), X.dtype)
    least, delta, ends = _least_on_spheres(params, X, radii, directions, sigma, steps)
    return SphereMinimum(radii, least, delta, ends)


@partial(jax.jit, static_argnames=("sigma", "steps"))
def _least_on_spheres(
    params: Params, X: Array, radii: Array, directions: Array, sigma: Activation, steps: int
) -> tuple[Array, Array, Array]:
    W, v = params

    def least(delta: Array) -> tuple[Array, Array]:
        values, vectors = jnp.linalg.eigh(gram(Params(W + delta, v), X, activation=sigma))
        return values[0], vectors[:, 0].reshape(X.shape[0], *v.shape[1:])

    def half_square(delta: Array, u: Array) -> Array:
        return jnp.sum(vjp(Params(W + delta, v), X, u, activation=sigma) ** 2) / 2

    slope = jax.grad(half_square)

    def to_sphere(delta: Array, r: Array) -> Array:
        return delta * (r / jnp.linalg.norm(delta))

    def on_sphere(r: Array, delta: Array) -> tuple[Array, Array]:
        def step(carry: tuple, _: None) -> tuple[tuple, None]:
            delta, value, u, size = carry
            g = slope(delta, u)
            g = g - jnp.sum(g * delta) / r**2 * delta
            trial = to_sphere(delta - size * g, r)
            new, new_u = least(trial)
            keep = partial(jnp.where, new < value)
            return (keep(trial, delta), keep(new, value), keep(new_u, u),
                    keep(2 * size, size / 4)), None  # fmt: skip

        delta = to_sphere(delta, r)
        value, u = least(delta)
        first = r / jnp.linalg.norm(slope(delta, u))  # as long as the radius
        first = jnp.where(jnp.isfinite(first), first, jnp.ones_like(first))
        (delta, value, _, _), _ = jax.lax.scan(step, (delta, value, u, first), length=steps)
        return jnp.sqrt(jnp.maximum(value, jnp.zeros_like(value))), delta

    downhill = -slope(jnp.zeros_like(W), least(jnp.zeros_like(W))[1])

    def of_radius(r: Array, directions: Array) -> tuple[Array, Array, Array]:
        flat = jnp.all(downhill == 0)
        directions = directions.at[0].set(jnp.where(flat, directions[0], downhill))
        values, deltas = jax.vmap(partial(on_sphere, r))(directions)
        best = jnp.argmin(values)
        return values[best], deltas[best], values

    return jax.vmap(of_radius)(radii, directions)


def region_problem(
    params: Params, X: ArrayLike, activation: str | Activation, allow_float32: bool
) -> tuple[Params, Array, Activation]:
    """The checked arguments of a question about the nice region."""
    params = check_params(params)
    X = check_inputs(X, d=params.W.shape[1], dtype=params.W.dtype)
    check_double("params.W", X.dtype, allow_float32)
    for name, value in (("X", X), ("params.W", params.W), ("params.v", params.v)):
        check_finite(name, value)
    return params, X, get_activation(activation)


def normal(key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "*shape"]:
    """Standard normal numbers, drawn in one axis: that compiles much faster."""
    return jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def columns(v: Float[Array, "m *K"]) -> Float[Array, "m K"]:
    """The output weights with an axis of outputs, even where there is one."""
    return v.reshape(v.shape[0], -1)


def output_sizes(v: Float[Array, "m *K"]) -> Float[Array, " m"]:
    """|v_j|, or the length of row j where there are several outputs."""
    return jnp.linalg.norm(columns(v), axis=1)


def unit_outputs(v: Float[Array, "m *K"]) -> Float[Array, "m *K"]:
    """The output weights with every row scaled to length 1; rows of zeros stay."""
    sizes = output_sizes(v)
    scaled = columns(v) / jnp.where(sizes > 0, sizes, jnp.ones_like(sizes))[:, None]
    return scaled.reshape(v.shape)


def second_derivative(sigma: Activation, Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """σ″, entry by entry."""
    return jax.jvp(sigma.derivative, (Z,), (jnp.ones_like(Z),))[1]
