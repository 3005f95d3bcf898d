r"""Levenberg–Marquardt on all weights: least squares from any start, at any width.

With $J$ the Jacobian of the outputs in W *and* v, a step solves the problem of Gauss–Newton with a
price λ on its length. Written with the residual's side of the matrix it is

$$\Delta = -J^\top (J J^\top + \lambda I)^{-1} r, \qquad
  J J^\top = (X X^\top) \circ (D\, \mathrm{diag}(v)^2 D^\top) + \Phi \Phi^\top,$$

with $\Phi = \sigma(X W^\top)$ and $D = \sigma'(X W^\top)$, so J need not be formed. Where there are
fewer weights than residuals, $J J^\top$ is singular and a small λ would drown the step in rounding:
there J is formed, and $\Delta = -(J^\top J + \lambda I)^{-1} J^\top r$ is used, the same step.
λ follows Nielsen's rule: what the linear model promised is compared with what the step gave.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_int, check_number
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.linearization import output_features, pull_back, tangent_kernel
from narrowlib.network.model import Params, check_finite_problem, check_problem, half_mean_square
from narrowlib.solvers.newton import NEAR_FLOOR, rounding_floor
from narrowlib.solvers.result import RESULTS, Solution, finish, hold_last

FIRST_DAMPING = 1e-3  # λ at the start, in units of the mean eigenvalue of J Jᵀ


def levenberg_marquardt(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    max_steps: int = 200,
    tol: float = 1e-10,
    throw: bool = True,
) -> Solution:
    r"""Minimise the training loss over W and v, from a start of your own and without constraints.

    $$\min_{W, v}\ \|\sigma(X W^\top)\, v - y\|^2$$

    Take `interpolate` where the width allows it: it starts from mirrored weights, moves W alone,
    and a theorem and a certificate stand behind it. Take this where the network is narrower than
    the theorem asks for, or where the start is given. Nothing is promised here: the end may be a
    local minimum with a positive loss, so try several starts. The function works under `jit`, and
    under `vmap` over starts and over data.

    A neuron with w = 0 and v = 0 stays as it is where σ(0) = 0, as for tanh: padding starts of
    several widths with such neurons lets one compiled program serve them all.

    With K outputs a step takes (nK)³/3 + (nK)²m operations and 24 (nK)² bytes in float64; with
    p = m (d + K) < nK weights, p³/3 + p²nK operations and 8 p (nK + 2p) bytes.

    Args:
        params: the start, `W` (m, d) and `v` (m,) or (m, K), such as `lecun(key, d=…, m=…)`.
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`.
        max_steps: the most steps to try; a step that is rejected counts.
        tol: stop once $\|r\| \le$ tol · ‖y‖.
        throw: raise `SolverError` where `tol` was not reached. Pass False under jit and vmap.

    Returns:
        A `Solution`. `stats` hold `loss`, `residual` (‖r‖/‖y‖, or ‖r‖ where y = 0), `floor` (what
        rounding alone leaves of it, in the same units), `num_steps`, and `history` with `loss`
        and `damping` (the λ tried) a step; `state` is the start. `result` is `converged` (the
        loss is zero, to `tol`), `step_too_small` (no step promises a decrease that could be
        seen: a stationary point, whose loss is positive), `rounding` (the same at the limit of
        the arithmetic) or `max_steps`. Inside jit or vmap histories keep the length `max_steps`
        and repeat their last entry once the run has stopped.

    Raises:
        ValueError: if shapes or precisions do not match, or an entry is not finite.
        SolverError: with `throw`, if the residual did not reach `tol`; it carries the solution.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     data = nl.gaussian(jax.random.key(0), n=40, d=9)
        ...     start = nl.lecun(jax.random.key(1), d=9, m=6)  # 60 weights; 2n/d would be 10
        ...     sol = nl.levenberg_marquardt(start, data.X, data.y)
        ...     sol.result.name, bool(sol.stats["loss"] < 1e-19)
        ('converged', True)

    References:
        Levenberg (1944); Marquardt (1963); the rule for λ is that of Nielsen (1999), "Damping
        parameter in Marquardt's method". Chapter "How narrow can it get?".
    """
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    check_finite_problem(params, X, y)
    check_int("max_steps", max_steps, 1)
    check_number("tol", tol, above=0)
    goal = jnp.asarray(tol, X.dtype) * _size(y)
    end, code, stats = _run(params, X, y, sigma, goal, int(max_steps))
    r = sigma.fn(X @ end.W.T) @ end.v - y
    stats |= {
        "loss": half_mean_square(r),
        "residual": jnp.linalg.norm(r) / _size(y),
        "floor": rounding_floor(end, X, sigma) / _size(y),
    }
    return finish(Solution(end, code, stats, params), throw)


def _size(y: Array) -> Float[Array, ""]:
    size = jnp.linalg.norm(y)
    return jnp.where(size > 0, size, jnp.ones((), y.dtype))


def lm_step(
    params: Params, X: Array, r: Array, sigma: Activation, XX: Array, damping: Array
) -> tuple[Params, Array]:
    """The step (ΔW, Δv) at a λ, and by how much ‖r‖² falls if the outputs were linear."""
    W, v = params
    Z = X @ W.T
    phi, D = sigma.fn(Z), sigma.derivative(Z)
    features = output_features(D, v)
    outputs = 1 if r.ndim == 1 else r.shape[1]
    unit = jnp.eye(outputs, dtype=r.dtype)
    if W.size + v.size < r.size:
        J_W = features[:, :, None] * jnp.repeat(X, outputs, axis=0)[:, None, :]
        J = jnp.concatenate([J_W.reshape(r.size, -1), jnp.kron(phi, unit)], axis=1)
        move, damping = _ridge(J.T @ J, -(r.reshape(-1) @ J), damping)
        linear = J @ move
        step = Params(move[: W.size].reshape(W.shape), move[W.size :].reshape(v.shape))
    else:
        kernel = tangent_kernel(XX, features) + jnp.kron(phi @ phi.T, unit)
        multipliers, damping = _ridge(kernel, -r.reshape(-1), damping)
        linear = kernel @ multipliers
        a = multipliers.reshape(r.shape)
        step = Params(pull_back(D, v, a).T @ X, phi.T @ a)
    length = jnp.sum(step.W**2) + jnp.sum(step.v**2)
    return step, jnp.sum(linear**2) + 2 * damping * length


def _ridge(A: Array, b: Array, damping: Array) -> tuple[Array, Array]:
    """(A + λI)⁻¹ b, and λ: never so small that the factorisation breaks down by rounding."""
    damping = jnp.maximum(damping, jnp.finfo(A.dtype).eps * jnp.trace(A))
    shifted = A.at[jnp.diag_indices(A.shape[0])].add(damping)
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(shifted, lower=True), b), damping


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def _run(
    start: Params, X: Array, y: Array, sigma: Activation, goal: Array, max_steps: int
) -> tuple[Params, Array, dict[str, Any]]:
    running, converged, stuck, rounded = (
        jnp.asarray(result.code)
        for result in (
            RESULTS.max_steps, RESULTS.converged, RESULTS.step_too_small, RESULTS.rounding,
        )
    )  # fmt: skip
    XX = X @ X.T
    eps = jnp.finfo(X.dtype).eps

    def residual(params: Params) -> Array:
        return sigma.fn(X @ params.W.T) @ params.v - y

    def advance(carry: tuple) -> tuple:
        i, params, r, damping, growth, _, losses, dampings = carry
        step, promised = lm_step(params, X, r, sigma, XX, damping)
        trial = Params(params.W + step.W, params.v + step.v)
        new = residual(trial)
        before = jnp.sum(r**2)
        gain = (before - jnp.sum(new**2)) / promised
        better = gain > 0  # NaN is not
        factor = jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        dampings = dampings.at[i].set(damping)
        damping = damping * jnp.where(better, factor, growth)
        growth = jnp.where(better, jnp.full_like(growth, 2), 2 * growth)
        keep = partial(jnp.where, better)
        params, r = Params(keep(trial.W, params.W), keep(trial.v, params.v)), keep(new, r)
        size = jnp.linalg.norm(r)
        at_floor = size <= NEAR_FLOOR * rounding_floor(params, X, sigma)
        hopeless = ~better & ~(promised > eps * before)
        code = jnp.where(hopeless, jnp.where(at_floor, rounded, stuck), running)
        code = jnp.where(size <= goal, converged, code)
        losses = losses.at[i].set(half_mean_square(r))
        return i + 1, params, r, damping, growth, code, losses, dampings

    first = residual(start)
    features = output_features(sigma.derivative(X @ start.W.T), start.v)
    outputs = features.shape[0] // X.shape[0]
    trace = jnp.repeat(jnp.diagonal(XX), outputs) @ jnp.sum(features**2, axis=1)
    trace = trace + outputs * jnp.sum(sigma.fn(X @ start.W.T) ** 2)
    code = jnp.where(jnp.linalg.norm(first) <= goal, converged, running)
    history = jnp.zeros(max_steps, X.dtype)
    steps, params, _, _, _, code, losses, dampings = jax.lax.while_loop(
        lambda carry: (carry[5] == running) & (carry[0] < max_steps),
        advance,
        (jnp.zeros((), int), start, first, FIRST_DAMPING * trace / first.size,
         jnp.full((), 2, X.dtype), code, history, history),
    )  # fmt: skip
    ends = {"loss": half_mean_square(residual(params))}
    history = hold_last({"loss": losses, "damping": dampings}, steps, **ends)
    return params, code, {"num_steps": steps, "history": history}
