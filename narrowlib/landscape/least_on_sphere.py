r"""The nice region from outside: the least σ_min(J) on spheres around W.

A sphere on which it is zero lies outside of the region in which J keeps full rank, or touches it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import check_finite, check_int, check_key, fail, float_array, is_concrete
from narrowlib._runs import runs
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params
from narrowlib.network.rounding import spectrum
from narrowlib.network.theory import check_theory


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


@runs("jit")
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

    The gradient of $\frac12\sigma_{\min}^2$ is that of $\frac12\|J(W)^\top c\|^2$ with c, the last
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
        ValueError: in float32 unless allowed, if a number is not positive, the key is none, or
            shapes do not match.

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
    params, X, sigma = check_theory(params, X, activation=activation, allow_float32=allow_float32)
    radii, key = float_array("radii", radii, (1,)).astype(X.dtype), check_key("key", key)
    check_finite("radii", radii)
    if radii.size == 0:
        fail("radii", "none", "Pass at least one.")
    if is_concrete(radii) and not np.all(np.asarray(radii) > 0):
        fail("radii", f"a least value of {float(np.min(radii)):g}", "Pass radii above 0.")
    starts, steps = check_int("starts", starts, 1), check_int("steps", steps, 1)
    shape = (radii.shape[0], starts, *params.W.shape)
    # drawn in one axis: that compiles much faster
    directions = jax.random.normal(key, (math.prod(shape),), X.dtype).reshape(shape)
    least, delta, ends = _least_on_spheres(params, X, radii, directions, sigma, steps)
    return SphereMinimum(radii, least, delta, ends)


@partial(jax.jit, static_argnames=("sigma", "steps"))
def _least_on_spheres(
    params: Params, X: Array, radii: Array, directions: Array, sigma: Activation, steps: int
) -> tuple[Array, Array, Array]:
    W, v = params

    def at(delta: Array) -> Linearization:
        return linearize(Params(W + delta, v), X, sigma)

    def least(delta: Array) -> tuple[Array, Array]:
        found = spectrum(at(delta).gram(), vectors=True)
        return found.eigenvalues[0], found.vectors[:, 0].reshape(X.shape[0], *v.shape[1:])

    def half_square(delta: Array, u: Array) -> Array:
        return jnp.sum(at(delta).vjp(u) ** 2) / 2

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
