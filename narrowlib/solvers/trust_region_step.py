r"""The model problem of a trust region, solved to rounding in the eigenvectors of the Hessian.

$$\min_{\|s\| \le \varrho}\ \langle g, s\rangle + \tfrac12 \langle s, H s\rangle, \qquad
  s = -(H + \lambda I)^{-1} g, \quad \lambda \ge \max(0, -\lambda_1)$$

In the eigenvectors of H the length of s is a sum of fractions in λ, and $\|s(\lambda)\| = \varrho$
is solved by Newton's method on $1/\|s\|$. In the hard case, where g has no part along the lowest
eigenvectors, one of them fills what is left of the radius ϱ.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SECULAR_STEPS = 60  # at most; the least radius solved for is reached in fewer than ten
ROUNDED = 1000.0  # in units of the machine's precision: what of the radius may stay unfilled


def trust_region_step(
    c: Float[Array, " p"], eigenvalues: Float[Array, " p"], radius: Float[Array, ""]
) -> tuple[Float[Array, " p"], Float[Array, ""]]:
    """The model problem's solution in the Hessian's eigenvectors, and the decrease it promises.

    `c` is the gradient there, and the eigenvalues ascend. The unknown is μ = λ + λ₁, counted
    from the lowest eigenvalue, or μ = λ₁ at least where that is positive: so nothing cancels.
    """
    gaps = eigenvalues - eigenvalues[0]
    convex = eigenvalues[0] > 0
    lowest = jnp.maximum(eigenvalues[0], 0.0)

    def parts(mu: Array) -> tuple[Array, Array]:
        pole = jnp.where(c == 0, 1.0, gaps + mu)  # no part, no pole: the hard case
        return -c / pole, pole

    def advance(carry: tuple) -> tuple:
        i, mu, _ = carry
        s, pole = parts(mu)
        size = jnp.linalg.norm(s)
        # Newton on 1/‖s‖, which is concave: from below it never oversteps
        move = (size / radius - 1) * size**2 / jnp.sum(s**2 / pole)
        return i + 1, jnp.where(move > 0, mu + move, mu), move

    def unfinished(carry: tuple) -> Array:
        i, mu, move = carry
        return (i < SECULAR_STEPS) & (move > 4 * jnp.finfo(c.dtype).eps * mu)

    inside = convex & (jnp.linalg.norm(parts(lowest)[0]) <= radius)
    below = jnp.maximum(jnp.max(jnp.abs(c) / radius - gaps), lowest)  # no part exceeds the radius
    first = jnp.where(inside, 0.0, jnp.inf).astype(c.dtype)
    mu = jax.lax.while_loop(unfinished, advance, (jnp.zeros((), int), below, first))[1]
    s = parts(jnp.where(inside, lowest, mu))[0]
    missing = radius**2 - jnp.sum(s**2)
    missing = jnp.where(missing > ROUNDED * jnp.finfo(c.dtype).eps * radius**2, missing, 0.0)
    fill = missing / (jnp.abs(s[0]) + jnp.sqrt(s[0] ** 2 + missing) + jnp.finfo(c.dtype).tiny)
    s = jnp.where(convex, s, s.at[0].add(jnp.where(s[0] < 0, -fill, fill)))
    return s, -jnp.sum(s * (c + eigenvalues * s / 2))
