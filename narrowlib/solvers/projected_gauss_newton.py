r"""Projected Gauss–Newton on the constrained problem (ours).

`gauss_newton_step.py` holds one step; here are the solver and its loop.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_int, check_number, fail
from narrowlib.constraints.ball import Ball
from narrowlib.constraints.base import Fixed, Free, Product, frozen_pytree
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_finite_problem, check_problem
from narrowlib.solvers.gauss_newton_step import Linear, attempt
from narrowlib.solvers.newton import NEAR_FLOOR, rounding_floor
from narrowlib.solvers.projected_step import Evaluation, evaluate, forward_pass
from narrowlib.solvers.result import RESULTS, Solution, finish, hold_last

SHORTEST, LONGEST = 1 / 3, 2.0  # by how much an accepted and a first rejected step change λ/‖r‖²
INNER = ("cholesky", "cg")


class GaussNewtonState(NamedTuple):
    """Where a run stands: all that the next step needs.

    Args:
        params: the feasible parameters.
        evaluation: the loss and its gradient there.
        damping: λ of the next step, in units of the eigenvalues of J Jᵀ.
        growth: by how much λ grows if that step is rejected.
        stationarity: dist(−∇ℓ, normal cone) at the parameters.
        num_steps: steps tried; each takes a factorisation.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    evaluation: Evaluation
    damping: Array
    growth: Array
    stationarity: Array
    num_steps: Array
    code: Array


@frozen_pytree("inner")
class ProjectedGaussNewton:
    r"""Projected Gauss–Newton, full batch, with the ball as trust region.

    A step solves the linearised problem with a price λ on its length,

    $$\min_{\Delta', \alpha}\ \|r + (\alpha - 1)\, q + J S\|^2 + \lambda \|S\|^2, \qquad
      S = \alpha\Delta' - \Delta, \quad \|\Delta'\| \le \varepsilon,$$

    with $\Delta = W - W_0$ and $q = F - J\Delta$, and moves to $(W_0 + \Delta', \alpha v)$. Where
    v's set holds rays, α is the least α ≥ 1 that lets the step fit the ball. For `Fixed` output
    weights α = 1, and the secular equation gives the ball's multiplier. λ/‖r‖² follows
    Nielsen's rule.
    Of v only the size changes: for its direction take `ProjectedGradient`.

    It stops where the distance from −∇ℓ to the normal cone is at most `tol`, the measure of the
    KKT certificate.

    With K outputs a step takes (nK)³/3 + 2 (nK)²m + 12 nmd operations and 24 (nK)² bytes in
    float64; with `inner="cg"` no matrix is stored, and a step takes up to 2,000 products with
    J and Jᵀ, each 2 nmd operations.

    Args:
        constraint: a `Product`; W in a `Ball` (of the Frobenius norm) or `Free`, v in a set that
            holds rays (`PairedCone`, `CircularCone`, `Free`) or `Fixed`.
        damping: the first λ, in units of the mean eigenvalue of J Jᵀ.
        inner: how the linear systems are solved: `"cholesky"`, or `"cg"` (conjugate gradients with
            products only) where (nK)² numbers do not fit.

    Raises:
        ValueError: for a constraint that is no `Product`, a ball per neuron, a ball of radius 0,
            another set, a damping that is not positive, or an unknown inner solver.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     X = jax.random.normal(jax.random.key(0), (40, 10))
        ...     y = jax.random.rademacher(jax.random.key(1), (40,), float)
        ...     start = nl.mirrored_lecun(jax.random.key(2), d=10, m=8)
        ...     C = nl.Product(W=nl.Ball(start.W, radius=0.5), v=nl.PairedCone(zeta=0.1, kappa=10))
        ...     sol = nl.ProjectedGaussNewton(C).run(start, X, y)
        >>> sol.result.name, bool(sol.stats["loss"] < 1e-20), bool(sol.stats["num_steps"] < 15)
        ('converged', True, True)

    References:
        The KKT theorem. Moré (1978) for the secular equation, Nielsen (1999)
        for λ; the ray as a way to keep the ball is ours.
    """

    constraint: Product
    damping: Any = 1e-3
    inner: str = "cholesky"

    def __post_init__(self) -> None:
        if not isinstance(self.constraint, Product):
            fail("constraint", type(self.constraint).__name__, "Pass a narrowlib.Product.")
        W, v = self.constraint.W, self.constraint.v
        if not isinstance(W, Ball | Free):
            fail("constraint.W", type(W).__name__, "Pass a Ball, or Free().")
        if isinstance(W, Ball) and W.per_neuron:
            fail(
                "constraint.W",
                "a ball per neuron",
                "Take one ball for the whole matrix, or ProjectedGradient.",
            )
        if isinstance(W, Ball):
            check_number("constraint.W.radius", W.radius, above=0)
        if not (v.scalable or isinstance(v, Fixed)):
            fail(
                "constraint.v",
                type(v).__name__,
                "Pass a set that holds rays (PairedCone, CircularCone, Free) or Fixed.",
            )
        check_number("damping", self.damping, above=0)
        if self.inner not in INNER:
            fail("inner", repr(self.inner), f"Choose one of {INNER}.")

    def init(
        self,
        params: Params,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
    ) -> GaussNewtonState:
        """The state of a run that starts at the projection of `params`.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K).
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.

        Returns:
            A `GaussNewtonState`.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
        """
        params, X, y = check_problem(params, X, y)
        check_finite_problem(params, X, y)
        return _first(self, params, X, y, get_activation(activation))

    def step(
        self,
        state: GaussNewtonState,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
    ) -> GaussNewtonState:
        """Try one step. `state.code` says if none can help; stopping at a tolerance is `run`'s.

        Args:
            state: from `init` or from the last `step`.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.

        Returns:
            The state after the step; where the step was rejected, with the same parameters and a
            larger damping.
        """
        _, X, y = check_problem(state.params, X, y)
        return _step(self, state, X, y, get_activation(activation), _outer(self, X))

    def run(
        self,
        params: Params,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
        max_steps: int = 100,
        tol: float = 1e-8,
        throw: bool = True,
    ) -> Solution:
        """Run to stationarity or for `max_steps`, as one compiled program.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K); projected first if not feasible.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.
            max_steps: the most steps to try; a step that is rejected counts.
            tol: the distance from −∇ℓ to the normal cone at which to stop; 0 to go on until
                rounding ends it.
            throw: raise `SolverError` where the run ends without meeting `tol`.

        Returns:
            A `Solution`. Its `stats` hold `loss` and `stationarity` at the end, `num_steps`, and
            `history`, with `loss` and `stationarity` (after each step) and `damping` (tried), an
            entry a step. `result` is `converged`, `rounding` (no step helps, at the limit of the
            arithmetic), `step_too_small` (no step helps, above it: W and the size of v are
            stationary, the direction of v is not, or the rank is lost) or `max_steps`. Inside jit
            or vmap histories keep the length `max_steps` and repeat their last entry once the run
            has stopped.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
            SolverError: with `throw`, if the run did not converge; it carries the solution.
        """
        check_int("max_steps", max_steps, 1)
        check_number("tol", tol, minimum=0)
        sigma = get_activation(activation)
        state = self.init(params, X, y, activation=sigma)
        _, X, y = check_problem(state.params, X, y)
        state, history = _run(
            self, state, X, y, sigma, jnp.asarray(tol, X.dtype), max_steps=int(max_steps)
        )
        stats = {
            "loss": state.evaluation.loss,
            "stationarity": state.stationarity,
            "num_steps": state.num_steps,
            "history": history,
        }
        return finish(Solution(state.params, state.code, stats, state), throw)


def _outer(solver: ProjectedGaussNewton, X: Array) -> Array | None:
    return X @ X.T if solver.inner == "cholesky" else None


@partial(jax.jit, static_argnames="sigma")
def _first(
    solver: ProjectedGaussNewton, params: Params, X: Array, y: Array, sigma: Activation
) -> GaussNewtonState:
    params = solver.constraint.project(params)
    at = forward_pass(params, X, y, sigma)
    evaluation = evaluate(params, at, X)
    mean_eigenvalue = jnp.mean(Linear(at.slope, params.v, X).gram_diagonal())
    return GaussNewtonState(
        params=params,
        evaluation=evaluation,
        damping=(solver.damping * mean_eigenvalue).astype(X.dtype),
        growth=jnp.asarray(LONGEST, X.dtype),
        stationarity=solver.constraint.normal_cone_residual(params, evaluation.gradient),
        num_steps=jnp.zeros((), int),
        code=jnp.asarray(RESULTS.max_steps.code),
    )


@partial(jax.jit, static_argnames="sigma")
def _step(
    solver: ProjectedGaussNewton,
    state: GaussNewtonState,
    X: Array,
    y: Array,
    sigma: Activation,
    XX: Array | None,
) -> GaussNewtonState:
    params, r = state.params, state.evaluation.residual
    Z = X @ params.W.T
    found = attempt(
        solver.constraint, params, sigma.fn(Z), sigma.derivative(Z), r, X, XX, state.damping
    )
    at = forward_pass(found.params, X, y, sigma)
    after = evaluate(found.params, at, X)
    before, left = jnp.sum(r**2), jnp.sum(after.residual**2)
    gain = (before - left) / found.promised
    better = (gain > 0) & (left < before)  # NaN is neither
    # v longer by a factor: the eigenvalues of J Jᵀ, λ's units, by its square
    calm = jnp.maximum(SHORTEST, 1 - (2 * gain - 1) ** 3) * found.ray**2 * left / before
    calm = found.damping * calm
    keep = partial(jnp.where, better)
    params, now = jax.tree.map(keep, (found.params, after), (params, state.evaluation))
    floor, size = rounding_floor(params, X, sigma), jnp.linalg.norm(r)
    hopeless = ~(found.promised > jnp.finfo(X.dtype).eps * before) | (size <= floor)
    lost = jnp.where(size <= NEAR_FLOOR * floor, RESULTS.rounding.code, RESULTS.step_too_small.code)
    return GaussNewtonState(
        params=params,
        evaluation=now,
        damping=keep(calm, found.damping * state.growth),
        growth=keep(jnp.asarray(LONGEST, X.dtype), LONGEST * state.growth),
        stationarity=solver.constraint.normal_cone_residual(params, now.gradient),
        num_steps=state.num_steps + 1,
        code=jnp.where(~better & hopeless, lost, state.code).astype(state.code.dtype),
    )


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def _run(
    solver: ProjectedGaussNewton,
    state: GaussNewtonState,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
    max_steps: int,
) -> tuple[GaussNewtonState, dict[str, Array]]:
    XX = _outer(solver, X)

    def met(state: GaussNewtonState) -> GaussNewtonState:
        code = jnp.where(state.stationarity <= tol, RESULTS.converged.code, state.code)
        return state._replace(code=code.astype(state.code.dtype))

    def goes_on(carry: tuple) -> Array:
        state, _ = carry
        return (state.code == RESULTS.max_steps.code) & (state.num_steps < max_steps)

    def advance(carry: tuple) -> tuple:
        state, history = carry
        i, tried = state.num_steps, state.damping
        state = met(_step(solver, state, X, y, sigma, XX))
        entries = {
            "loss": state.evaluation.loss,
            "stationarity": state.stationarity,
            "damping": tried,
        }
        return state, {name: history[name].at[i].set(entries[name]) for name in history}

    empty = jnp.zeros(max_steps, X.dtype)
    history = {"loss": empty, "stationarity": empty, "damping": empty}
    state, history = jax.lax.while_loop(goes_on, advance, (met(state), history))
    ends = {"loss": state.evaluation.loss, "stationarity": state.stationarity}
    return state, hold_last(history, state.num_steps, **ends)
