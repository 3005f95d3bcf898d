r"""One step of projected Gauss–Newton: the ball as trust region, kept by the ray or a multiplier.

Write $\Delta = W - W_0$, r for the residual, $q = F - J\Delta$ for what the network has beside its
linear part at W, and let $\alpha = 1 + a$ scale v. To first order the residual at
$(W_0 + \Delta', \alpha v)$ is

$$r + a\,q + J S, \qquad S = \alpha\Delta' - \Delta,$$

so with damping λ ≥ 0 the best S is $-J^\top (J J^\top + \lambda I)^{-1}(r + a\,q)$. It is linear in
a: one factorisation of the Gram matrix serves every a.

- Where v's set holds rays, a is 0 if $\|\Delta + S\| \le \varepsilon$ then, and else the least a
  with $\|\Delta + S\| \le 0.9\,\varepsilon\alpha$, a root of a quadratic: v makes room.
- Where it does not, a = 0 and a multiplier μ ≥ 0 of the ball is added to the damping of Δ': the
  secular equation $\|\Delta'(\mu)\| = \varepsilon$, solved by Newton's method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from narrowlib.constraints.base import Product
from narrowlib.network.linearization import Linearization
from narrowlib.network.model import Params

FILL = 0.9  # the share of the ball's radius that a step fills where v makes room
CG_TOL, CG_STEPS = 1e-6, 1000  # of the matrix-free solver, in units of the right-hand side
SECULAR_STEPS, SECULAR_TOL = 30, 1e-12

Solve = Callable[[Array, Array], Array]


def gram_solver(at: Linearization, XX: Array | None) -> Solve:
    """(J Jᵀ + shift I)⁻¹ B for the columns of B: by Cholesky, or matrix-free where XX is None."""
    if XX is not None:
        kernel = at.gram(XX)

        def factorised(shift: Array, B: Array) -> Array:
            shifted = kernel.at[jnp.diag_indices(kernel.shape[0])].add(shift)
            factor = jax.scipy.linalg.cho_factor(shifted, lower=True)
            return jax.scipy.linalg.cho_solve(factor, B)

        return factorised

    diagonal, outputs = at.gram_diagonal, at.outputs.shape

    def matrix_free(shift: Array, B: Array) -> Array:
        def product(b: Array) -> Array:
            return at.jvp(at.vjp(b.reshape(outputs))).reshape(-1) + shift * b

        def one(b: Array) -> Array:
            return jax.scipy.sparse.linalg.cg(
                product, b, tol=CG_TOL, maxiter=CG_STEPS, M=lambda z: z / (diagonal + shift)
            )[0]

        return jax.lax.map(one, B.T).T

    return matrix_free


class Attempt(NamedTuple):
    """A step that may be taken.

    Args:
        params: where it leads.
        promised: by how much ‖r‖² falls if the outputs were linear; infinite for no step.
        damping: the λ used.
        ray: α, the factor of v.
    """

    params: Params
    promised: Array
    damping: Array
    ray: Array


def attempt(
    constraint: Product,
    params: Params,
    at: Linearization,
    r: Array,
    XX: Array | None,
    damping: Array,
) -> Attempt:
    """The constrained step at damping λ; r is the residual."""
    solve = gram_solver(at, XX)
    damping = jnp.maximum(damping, jnp.finfo(r.dtype).eps * jnp.sum(at.gram_diagonal))
    ball = constraint.W.as_ball()
    if ball is None:
        move, promised = _free(at, solve, r, damping)
        return Attempt(Params(params.W + move, params.v), promised, damping, jnp.ones_like(damping))
    delta, radius = params.W - ball.center, jnp.asarray(ball.radius, r.dtype)
    if constraint.v.scalable:
        new, ray, promised = _make_room(at, solve, delta, r, radius, damping)
    else:
        new, promised = _secular(at, solve, delta, r, radius, damping)
        ray = jnp.ones_like(damping)
    W = ball.project(ball.center + new)  # moves it by rounding only
    return Attempt(Params(W, ray * params.v), promised, damping, ray)


def _free(at: Linearization, solve: Solve, r: Array, damping: Array) -> tuple[Array, Array]:
    multipliers = solve(damping, -r.reshape(-1, 1))[:, 0]
    left = damping * multipliers  # minus what the linear model leaves of the residual
    return at.vjp(multipliers.reshape(r.shape)), jnp.sum(r**2) - jnp.sum(left**2)


def _make_room(
    at: Linearization, solve: Solve, delta: Array, r: Array, radius: Array, damping: Array
) -> tuple[Array, Array, Array]:
    """Δ′, α and the promise, with the least α that keeps Δ′ in the ball."""
    q = at.outputs - at.jvp(delta)
    sides = jnp.stack([r.reshape(-1), q.reshape(-1)], axis=1)
    multipliers = solve(damping, -sides)
    first, each = (at.vjp(multipliers[:, i].reshape(r.shape)) for i in range(2))
    goal = delta + first
    inside = jnp.sum(goal**2) <= radius**2
    # ‖goal + a·each‖² = c² (1 + a)²: A a² + 2 B a + C = 0 with C > 0 outside the ball
    c = FILL * radius
    A, C = jnp.sum(each**2) - c**2, jnp.sum(goal**2) - c**2
    B = jnp.sum(goal * each) - c**2
    root = jnp.sqrt(jnp.maximum(B**2 - A * C, 0))
    least = jnp.where(B < 0, C / (root - B), -(root + B) / A)
    a = jnp.where(inside, jnp.zeros_like(least), least)
    new = (goal + a * each) / (1 + a)
    possible = (a >= 0) & (jnp.sum(new**2) <= radius**2)  # NaN is not
    left = damping * (multipliers[:, 0] + a * multipliers[:, 1])
    promised = jnp.sum(r**2) - jnp.sum(left**2)
    return new, 1 + a, jnp.where(possible, promised, jnp.inf)


def _secular(
    at: Linearization, solve: Solve, delta: Array, r: Array, radius: Array, damping: Array
) -> tuple[Array, Array]:
    """Δ′ and the promise for fixed v: (JᵀJ + κI) Δ′ = g, with κ = λ, or more so that it fits."""
    g = at.vjp(at.jvp(delta) - r) + damping * delta

    def inverse(kappa: Array, z: Array) -> Array:
        # (JᵀJ + κI)⁻¹ z, by the residual's side of the matrix
        back = solve(kappa, at.jvp(z).reshape(-1, 1))[:, 0]
        return (z - at.vjp(back.reshape(r.shape))) / kappa

    def too_long(carry: tuple[Array, Array, Array]) -> Array:
        i, _, new = carry
        return (jnp.linalg.norm(new) > radius * (1 + SECULAR_TOL)) & (i < SECULAR_STEPS)

    def newton(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        i, kappa, new = carry
        size = jnp.linalg.norm(new)
        slope = jnp.sum(new * inverse(kappa, new))
        kappa = kappa + size**2 / slope * (size - radius) / radius
        return i + 1, kappa, inverse(kappa, g)

    first = (jnp.zeros((), int), damping, inverse(damping, g))
    _, _, new = jax.lax.while_loop(too_long, newton, first)
    size = jnp.linalg.norm(new)
    new = new * jnp.minimum(1, radius / size)
    left = r + at.jvp(new - delta)
    return new, jnp.sum(r**2) - jnp.sum(left**2)
