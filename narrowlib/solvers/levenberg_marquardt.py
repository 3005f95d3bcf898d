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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._runs import runs
from narrowlib.constraints.lengths import length
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params, half_mean_square
from narrowlib.network.rounding import rounding_floor
from narrowlib.solvers.loop import NEAR_FLOOR, RUNNING, Row, iterate, judge, running
from narrowlib.solvers.measure import Data, prepare
from narrowlib.solvers.result import RESULTS, Solution, finish
from narrowlib.solvers.start import read_run

FIRST_DAMPING = 1e-3  # λ at the start, in units of the mean eigenvalue of J Jᵀ


class LevenbergMarquardtState(NamedTuple):
    """Where a run stands: all that the next step needs.

    Args:
        params: the weights.
        residual: F − y there.
        damping: λ of the next step.
        growth: by how much λ grows if that step is rejected.
        num_steps: steps tried.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    residual: Array
    damping: Array
    growth: Array
    num_steps: Array
    code: Array


@runs("jit")
def levenberg_marquardt(
    params: Params | LevenbergMarquardtState,
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
        params: the start, `W` (m, d) and `v` (m,) or (m, K), such as `lecun(key, d=…, m=…)`; or
            the `state` of an earlier run on the same data, to go on from.
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`.
        max_steps: the most steps to try; a step that is rejected counts.
        tol: stop once $\|r\| \le$ tol · ‖y‖ (tol where y = 0); 0 to take all steps that help.
        throw: raise `SolverError` where `tol` was not reached. Pass False under jit and vmap.

    Returns:
        A `Solution`. `stats` hold `loss`, `residual` (‖r‖/‖y‖, or ‖r‖ where y = 0), its `unit`,
        `floor` (what rounding alone leaves of it, in the same units), `num_steps`, and `history`
        with `loss`, `residual` and `damping` (the λ tried) a step. `result` is `converged` (the
        loss is zero, to `tol`), `step_too_small` (no step promises a decrease that could be
        seen: a stationary point, whose loss is positive), `rounding` (the same at the limit of
        the arithmetic), `non_finite` (the loss at the start is no number), `max_steps`, or
        `completed` in its place where `tol` is 0. Inside jit or vmap histories keep the length
        `max_steps` and repeat their last row once the run has stopped.

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
    given = read_run(params, X, y, LevenbergMarquardtState, activation, tol, max_steps)
    state, stats = _run(*given)
    return finish(Solution(state.params, state.code, stats, state), tol, throw)


def first_state(params: Params, data: Data, sigma: Activation) -> LevenbergMarquardtState:
    """The state before the first step."""
    at = data.linearize(params, sigma)
    trace = jnp.sum(at.gram_diagonal) + at.num_outputs * jnp.sum(at.phi**2)
    return LevenbergMarquardtState(
        params=params,
        residual=at.residual(data.y),
        damping=FIRST_DAMPING * trace / data.y.size,
        growth=jnp.asarray(2, data.X.dtype),
        num_steps=jnp.zeros((), int),
        code=running(),
    )


def lm_step(at: Linearization, r: Array, XX: Array, damping: Array) -> tuple[Params, Array]:
    """The step (ΔW, Δv) at a λ, and by how much ‖r‖² falls if the outputs were linear."""
    m, d = at.slope.shape[0], at.X.shape[1]
    if m * d + at.v.size < r.size:
        J = at.dense_all
        move, damping = _ridge(J.T @ J, -(r.reshape(-1) @ J), damping)
        linear = J @ move
        step = Params(move[: m * d].reshape(m, d), move[m * d :].reshape(at.v.shape))
    else:
        kernel = at.gram_all(XX)
        multipliers, damping = _ridge(kernel, -r.reshape(-1), damping)
        linear = kernel @ multipliers
        step = at.vjp_all(multipliers.reshape(r.shape))
    length = jnp.sum(step.W**2) + jnp.sum(step.v**2)
    return step, jnp.sum(linear**2) + 2 * damping * length


def _ridge(A: Array, b: Array, damping: Array) -> tuple[Array, Array]:
    """(A + λI)⁻¹ b, and λ: never so small that the factorisation breaks down by rounding."""
    damping = jnp.maximum(damping, jnp.finfo(A.dtype).eps * jnp.trace(A))
    shifted = A.at[jnp.diag_indices(A.shape[0])].add(damping)
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(shifted, lower=True), b), damping


def advance(
    state: LevenbergMarquardtState, data: Data, XX: Array, sigma: Activation
) -> LevenbergMarquardtState:
    """Try one step; where none can help, the code says why."""
    params, r = state.params, state.residual
    at = data.linearize(params, sigma)
    step, promised = lm_step(at, r, XX, state.damping)
    trial = Params(params.W + step.W, params.v + step.v)
    new = data.linearize(trial, sigma).residual(data.y)
    before = jnp.sum(r**2)
    gain = (before - jnp.sum(new**2)) / promised
    better = gain > 0  # NaN is not
    factor = jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
    at_floor = jnp.linalg.norm(r) <= NEAR_FLOOR * rounding_floor(at)
    lost = jnp.where(at_floor, RESULTS.rounding.code, RESULTS.step_too_small.code)
    hopeless = ~better & ~(promised > jnp.finfo(r.dtype).eps * before)
    params, r = jax.tree.map(partial(jnp.where, better), (trial, new), (params, r))
    return LevenbergMarquardtState(
        params=params,
        residual=r,
        damping=state.damping * jnp.where(better, factor, state.growth),
        growth=jnp.where(better, jnp.full_like(state.growth, 2), 2 * state.growth),
        num_steps=state.num_steps + 1,
        code=jnp.where(hopeless, lost, RUNNING).astype(int),
    )


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def _run(
    start: Params | LevenbergMarquardtState,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
    max_steps: int,
) -> tuple[LevenbergMarquardtState, dict[str, Any]]:
    data, XX = prepare(X, y), X @ X.T

    def judged(state: LevenbergMarquardtState, tried: Array) -> tuple:
        loss, residual = half_mean_square(state.residual), length(state.residual) / data.target
        row = {"loss": loss, "residual": residual, "damping": tried}
        state = state._replace(code=judge(state.code, residual <= tol, loss, state.damping))
        return state, state.code, row

    def step(state: LevenbergMarquardtState) -> tuple[LevenbergMarquardtState, Array, Row]:
        return judged(advance(state, data, XX, sigma), state.damping)

    state = start if isinstance(start, LevenbergMarquardtState) else first_state(start, data, sigma)
    state, code, row = judged(state._replace(code=running()), state.damping)
    end = iterate(step, state, code, row, max_steps)
    floor = rounding_floor(linearize(end.state.params, X, sigma)) / data.target
    stats = {"loss": end.row["loss"], "residual": end.row["residual"], "unit": data.target}
    return end.state, stats | {"floor": floor, "num_steps": end.steps, "history": end.history}
