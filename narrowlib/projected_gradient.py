r"""Projected gradient descent on the constrained problem, the paper's trainer.

$$(W, v) \leftarrow P_C\bigl(W - \eta_W \nabla_W \ell,\ v - \eta \nabla_v \ell\bigr)$$

One step costs two products of an n × d by a d × m matrix: one forward at the new point, one back
through X for the gradient there, with which the next step begins. A rejected trial of
backtracking costs one more; the projection and the ray cost O(m d + m log m + n).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_finite, check_int, check_number, fail
from narrowlib.activations import Activation, get_activation
from narrowlib.constraints import Product, frozen_pytree
from narrowlib.jacobian import pull_back
from narrowlib.model import Params, check_problem, half_mean_square
from narrowlib.result import RESULTS, Solution, finish
from narrowlib.step_sizes import Backtracking, as_rule


class Evaluation(NamedTuple):
    """The loss at one point. Nothing n × m: what a step carries is copied every time.

    Args:
        residual: F − y, shape (n,) or (n, K).
        loss: half the mean squared residual.
        gradient: its gradient, shaped like the parameters.
    """

    residual: Array
    loss: Array
    gradient: Params


class _Forward(NamedTuple):
    """The network at one point, as far as its gradient needs it.

    Args:
        phi: σ(X Wᵀ), shape (n, m).
        slope: σ′(X Wᵀ), shape (n, m).
        residual: F − y, shape (n,) or (n, K).
        loss: half the mean squared residual.
    """

    phi: Array
    slope: Array
    residual: Array
    loss: Array


class ProjectedGradientState(NamedTuple):
    """Where a run stands: all that the next step needs.

    Args:
        params: the feasible parameters.
        evaluation: the loss and its gradient there.
        step_size: the η used last; before the first step, the first to be tried.
        stationarity: ‖x − P(x − η∇ℓ)‖/η at the parameters before the last step.
        num_steps: steps taken.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    evaluation: Evaluation
    step_size: Array
    stationarity: Array
    num_steps: Array
    code: Array


@frozen_pytree("ray_scaling")
class ProjectedGradient:
    r"""Projected gradient descent, full batch, with an optional exact step along the ray.

    It stops where $\|x - P(x - \eta\nabla\ell)\|/\eta \le$ `tol` with the η it uses: the
    projected-gradient measure of stationarity, zero exactly at KKT points.

    **Ray scaling** (ours): αv is feasible for every large enough α, and the loss is a parabola
    in α. After each step v is scaled to its minimum on the ray, and the step in W is
    $\eta/\operatorname{mean}(v^2)$, which keeps η's size independent of the size of v. Without
    it a small ball makes the method crawl: v must grow like 1/ε, one small step after the other.

    Args:
        constraint: the feasible set, a `Product` of a set for W and one for v.
        step_size: a number, a schedule (a function of the step's number, as in Optax), or
            `Backtracking()`.
        ray_scaling: whether to scale v along its ray after each step.

    Raises:
        ValueError: for a step size that is not positive, or ray scaling on a set without rays.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> X = jax.random.normal(jax.random.key(0), (12, 8))
        >>> y = jax.random.rademacher(jax.random.key(1), (12,), float)
        >>> start = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
        >>> C = nl.Product(W=nl.Ball(start.W, radius=1.0), v=nl.PairedCone(zeta=0.1, kappa=10.0))
        >>> solver = nl.ProjectedGradient(C, step_size=nl.Backtracking(), ray_scaling=True)
        >>> sol = solver.run(start, X, y, max_steps=500, tol=1e-3)
        >>> sol.result.name, bool(sol.stats["loss"] < 1e-4)
        ('converged', True)

    References:
        Zhang et al. (2021), Algorithm 2, for the fixed step; chapter "A handful of neurons
        remembers everything".
    """

    constraint: Product
    step_size: Any = Backtracking()
    ray_scaling: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.step_size, int | float | str) or self.step_size is None:
            as_rule(self.step_size)
        if self.ray_scaling and not getattr(getattr(self.constraint, "v", None), "scalable", True):
            fail(
                "ray_scaling",
                f"True with v in {type(self.constraint.v).__name__}",
                "That set holds no ray: pass ray_scaling=False.",
            )

    def init(
        self,
        params: Params,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
    ) -> ProjectedGradientState:
        """The state of a run that starts at the projection of `params`.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K).
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.

        Returns:
            A `ProjectedGradientState`.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
        """
        params, X, y = check_problem(params, X, y)
        for name, value in (("X", X), ("y", y), ("params.W", params.W), ("params.v", params.v)):
            check_finite(name, value)
        return _init(self.constraint, as_rule(self.step_size), params, X, y,
                     get_activation(activation))  # fmt: skip

    def step(
        self,
        state: ProjectedGradientState,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
    ) -> ProjectedGradientState:
        """One step. `state.code` says if none was possible; stopping at a tolerance is `run`'s.

        Args:
            state: from `init` or from the last `step`.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.

        Returns:
            The state after the step.
        """
        _, X, y = check_problem(state.params, X, y)
        return _step(self.constraint, as_rule(self.step_size), self.ray_scaling, state, X, y,
                     get_activation(activation), jnp.asarray(-1.0, X.dtype))  # fmt: skip

    def run(
        self,
        params: Params,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
        max_steps: int = 1000,
        tol: float = 1e-8,
        throw: bool = True,
    ) -> Solution:
        """Run to stationarity or for `max_steps`, as one compiled program.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K); projected first if not feasible.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.
            max_steps: the most steps to take.
            tol: the stationarity measure at which to stop; 0 for never, unless it is met exactly.
            throw: raise `SolverError` where the run ends without meeting `tol`.

        Returns:
            A `Solution`. Its `stats` hold `loss` and `stationarity` at the end, `num_steps`, and
            `history`, with `loss` (after each step), `stationarity` (before it) and `step_size`,
            an entry a step. Inside jit or vmap histories keep the length `max_steps` and repeat
            their last entry once the run has stopped.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
            SolverError: with `throw`, if the run did not converge; it carries the solution.
        """
        check_int("max_steps", max_steps, 1)
        check_number("tol", tol, minimum=0)
        state = self.init(params, X, y, activation=activation)
        _, X, y = check_problem(state.params, X, y)
        state, history = _run(self.constraint, as_rule(self.step_size), self.ray_scaling, state,
                              X, y, get_activation(activation), jnp.asarray(tol, X.dtype),
                              int(max_steps))  # fmt: skip
        stats = {
            "loss": state.evaluation.loss,
            "stationarity": state.stationarity,
            "num_steps": state.num_steps,
            "history": history,
        }
        return finish(Solution(state.params, state.code, stats, state), throw)


def _forward(params: Params, X: Array, y: Array, sigma: Activation) -> _Forward:
    Z = X @ params.W.T
    phi = sigma.fn(Z)
    residual = phi @ params.v - y
    return _Forward(phi, sigma.derivative(Z), residual, half_mean_square(residual))


def _evaluate(params: Params, at: _Forward, X: Array) -> Evaluation:
    n = X.shape[0]
    gradient = Params(
        W=pull_back(at.slope, params.v, at.residual).T @ X / n, v=at.phi.T @ at.residual / n
    )
    return Evaluation(at.residual, at.loss, gradient)


@partial(jax.jit, static_argnames="sigma")
def _init(
    constraint: Product, rule: Any, params: Params, X: Array, y: Array, sigma: Activation
) -> ProjectedGradientState:
    params = constraint.project(params)
    first = rule.initial if isinstance(rule, Backtracking) else rule.at(jnp.zeros((), int))
    return ProjectedGradientState(
        params=params,
        evaluation=_evaluate(params, _forward(params, X, y, sigma), X),
        step_size=jnp.asarray(first, X.dtype),
        stationarity=jnp.asarray(jnp.inf, X.dtype),
        num_steps=jnp.zeros((), int),
        code=jnp.asarray(RESULTS.max_steps.code),
    )


def _trial(
    constraint: Product, params: Params, gradient: Params, scale: Array, eta: Array
) -> tuple[Params, Array]:
    """The projected point for η, and the square of the stationarity measure times η."""
    eta_W = eta / scale
    new = constraint.project(Params(params.W - eta_W * gradient.W, params.v - eta * gradient.v))
    moved = jnp.sum((new.W - params.W) ** 2) / eta_W + jnp.sum((new.v - params.v) ** 2) / eta
    return new, moved


@partial(jax.jit, static_argnames=("ray_scaling", "sigma"))
def _step(
    constraint: Product,
    rule: Any,
    ray_scaling: bool,
    state: ProjectedGradientState,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
) -> ProjectedGradientState:
    params, now = state.params, state.evaluation
    square = params.v**2 if params.v.ndim == 1 else jnp.sum(params.v**2, axis=1)
    scale = jnp.mean(square) if ray_scaling else jnp.ones((), X.dtype)
    scale = jnp.where(scale > 0, scale, 1)
    if isinstance(rule, Backtracking):
        eta, new, moved, at, found = _search(constraint, rule, state, scale, X, y, sigma)
    else:
        eta = jnp.asarray(rule.at(state.num_steps), X.dtype)
        new, moved = _trial(constraint, params, now.gradient, scale, eta)
        at, found = _forward(new, X, y, sigma), jnp.asarray(True)
    if ray_scaling:
        new, at = _scale_ray(constraint, new, at, y)
    after = _evaluate(new, at, X)
    stationarity = jnp.sqrt(moved / eta)
    stationary = stationarity <= tol
    finite = jnp.isfinite(stationarity) & jnp.isfinite(after.loss)
    code = jnp.where(found, state.code, RESULTS.step_too_small.code)
    code = jnp.where(finite, code, RESULTS.non_finite.code)
    code = jnp.where(stationary, RESULTS.converged.code, code)
    take = code == state.code
    new, after = jax.tree.map(partial(jnp.where, take), (new, after), (params, now))
    return ProjectedGradientState(
        new,
        after,
        eta,
        stationarity,
        state.num_steps + take.astype(state.num_steps.dtype),
        code.astype(state.code.dtype),
    )


def _search(
    constraint: Product,
    rule: Backtracking,
    state: ProjectedGradientState,
    scale: Array,
    X: Array,
    y: Array,
    sigma: Activation,
) -> tuple[Array, Params, Array, _Forward, Array]:
    """Shrink η until the step decreases the loss enough."""
    params, now = state.params, state.evaluation

    def attempt(eta: Array) -> tuple[Array, Params, Array, _Forward, Array]:
        new, moved = _trial(constraint, params, now.gradient, scale, eta)
        at = _forward(new, X, y, sigma)
        enough = at.loss <= now.loss - rule.decrease * moved
        return eta, new, moved, at, enough

    def rejected(carry: tuple) -> Array:
        trials, (_, _, _, _, enough) = carry
        return ~enough & (trials < rule.max_trials)

    def shrink(carry: tuple) -> tuple:
        trials, (eta, _, moved, _, _) = carry
        eta, new, moves, after, enough = attempt(eta * rule.shrink)
        # a step so small that rounding swallows it is no step, and no sign of stationarity: while
        # none is found, keep the largest moved/η seen (without rounding it grows as η shrinks)
        enough &= moves > 0
        moved = jnp.where(enough, moves, jnp.fmax(moves, moved * rule.shrink))
        return trials + 1, (eta, new, moved, after, enough)

    first = jnp.where(state.num_steps > 0, state.step_size * rule.grow, rule.initial)
    start = (jnp.ones((), int), attempt(first.astype(X.dtype)))
    return jax.lax.while_loop(rejected, shrink, start)[1]


def _scale_ray(
    constraint: Product, params: Params, at: _Forward, y: Array
) -> tuple[Params, _Forward]:
    """The least loss on {αv}: α = ⟨F, y⟩/⟨F, F⟩, but no less than stays feasible."""
    F = at.residual + y
    square = jnp.sum(F**2)
    alpha = jnp.sum(F * y) / jnp.where(square > 0, square, 1)
    alpha = jnp.maximum(alpha, constraint.v.least_scale(params.v))
    alpha = jnp.where((square > 0) & jnp.isfinite(alpha), alpha, 1)
    residual = alpha * F - y
    return (
        Params(params.W, alpha * params.v),
        at._replace(residual=residual, loss=half_mean_square(residual)),
    )


@partial(jax.jit, static_argnames=("ray_scaling", "sigma", "max_steps"))
def _run(
    constraint: Product,
    rule: Any,
    ray_scaling: bool,
    state: ProjectedGradientState,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
    max_steps: int,
) -> tuple[ProjectedGradientState, dict[str, Array]]:
    def advance(
        state: ProjectedGradientState, _: None
    ) -> tuple[ProjectedGradientState, dict[str, Array]]:
        state = jax.lax.cond(
            state.code == RESULTS.max_steps.code,
            lambda s: _step(constraint, rule, ray_scaling, s, X, y, sigma, tol),
            lambda s: s,
            state,
        )
        return state, {
            "loss": state.evaluation.loss,
            "stationarity": state.stationarity,
            "step_size": state.step_size,
        }

    return jax.lax.scan(advance, state, length=max_steps)
