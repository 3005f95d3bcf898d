r"""Minimum-norm Gauss–Newton steps in the hidden weights, in the n × n Gram matrix.

The step $\Delta = -J^\top (J J^\top + \mu I)^{-1} r$ is the shortest that removes the residual to
first order. The ridge μ is as small as rounding: it keeps the Cholesky factorisation alive where
J is close to losing rank, and it shows where rank is lost: what the ridge leaves of the residual,
$\mu (J J^\top + \mu I)^{-1} r$, is then no longer small.

A step costs n³/3 + n²(m + 1) + 4 n d m operations once $X X^\top$ is there, and three n × n
matrices of memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from narrowlib.network import rounding
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import linearize, output_features, pull_back, tangent_kernel
from narrowlib.network.model import Params, half_mean_square
from narrowlib.solvers.result import RESULTS

HALVINGS = 30
OUT_OF_SIGHT = 0.5  # a step that leaves more than this share of the residual: rank is lost
NEAR_FLOOR = 100.0  # a residual within this factor of rounding's is stopped by rounding


def newton_step(
    params: Params, X: Array, r: Array, sigma: Activation, XX: Array
) -> tuple[Array, Array, Array]:
    """The step Δ for W, how it moves the pre-activations, and the share of r that it leaves."""
    D = sigma.derivative(X @ params.W.T)
    kernel = tangent_kernel(XX, output_features(D, params.v))
    ridge = jnp.finfo(r.dtype).eps * jnp.trace(kernel)
    kernel = kernel.at[jnp.diag_indices(kernel.shape[0])].add(ridge)
    factor = jax.scipy.linalg.cho_factor(kernel, lower=True)
    multipliers = jax.scipy.linalg.cho_solve(factor, r.reshape(-1)).reshape(r.shape)
    back = pull_back(D, params.v, multipliers)
    left = ridge * jnp.linalg.norm(multipliers) / jnp.linalg.norm(r)
    return -back.T @ X, -XX @ back, left


def rounding_floor(params: Params, X: Array, sigma: Activation) -> Array:
    """The residual that rounding in the sum over neurons leaves, however good the weights are."""
    return rounding.rounding_floor(linearize(params, X, sigma))


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def damped_newton(
    start: Params, X: Array, y: Array, sigma: Activation, XX: Array, goal: Array, max_steps: int
) -> tuple[Array, Array, dict[str, Any]]:
    """Gauss–Newton in W until ‖r‖ ≤ goal: halve a step until the residual falls as it should."""
    running, converged, stuck, rounded, deficient, damped = (
        jnp.asarray(r.code)
        for r in (
            RESULTS.max_steps,
            RESULTS.converged,
            RESULTS.step_too_small,
            RESULTS.rounding,
            RESULTS.rank_deficient,
            RESULTS.damped,
        )
    )

    def residual(W: Array) -> Array:
        return sigma.fn(X @ W.T) @ start.v - y

    def damp(W: Array, r: Array, delta: Array) -> tuple[Array, Array, Array]:
        def too_far(carry: tuple[Array, Array]) -> Array:
            t, new = carry
            falls = jnp.linalg.norm(new) <= (1 - t / 4) * jnp.linalg.norm(r)
            return ~falls & (t > 0.5**HALVINGS)

        def halve(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            t = carry[0] / 2
            return t, residual(W + t * delta)

        t, new = jax.lax.while_loop(too_far, halve, (jnp.ones((), X.dtype), residual(W + delta)))
        return t, new, t > 0.5**HALVINGS

    def advance(carry: tuple) -> tuple:
        i, W, r, _, losses, dampings = carry
        delta, _, left = newton_step(Params(W, start.v), X, r, sigma, XX)
        t, new, found = damp(W, r, delta)
        seen = left <= OUT_OF_SIGHT  # NaN is not
        W, r = (jnp.where(found & seen, a, b) for a, b in ((W + t * delta, W), (new, r)))
        size = jnp.linalg.norm(r)
        at_floor = size <= NEAR_FLOOR * rounding_floor(Params(W, start.v), X, sigma)
        code = jnp.where(found, running, jnp.where(at_floor, rounded, stuck))
        code = jnp.where(seen, code, jnp.where(at_floor, rounded, deficient))
        code = jnp.where(size <= goal, converged, code)
        losses = losses.at[i].set(half_mean_square(r))
        return i + 1, W, r, code, losses, dampings.at[i].set(t)

    first = residual(start.W)
    code = jnp.where(jnp.linalg.norm(first) <= goal, converged, running)
    history = jnp.zeros(max_steps, X.dtype)
    steps, W, _, code, losses, dampings = jax.lax.while_loop(
        lambda carry: (carry[3] == running) & (carry[0] < max_steps),
        advance,
        (jnp.zeros((), int), start.W, first, code, history, history),
    )
    shortened = (code == running) & (dampings[jnp.maximum(steps - 1, 0)] < 1)
    code = jnp.where(shortened, damped, code)
    return W, code, {"num_steps": steps, "history": {"loss": losses, "damping": dampings}}
