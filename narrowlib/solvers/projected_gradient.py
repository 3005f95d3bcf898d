r"""Projected gradient descent on the constrained problem, the paper's trainer.

$$(W, v) \leftarrow P_C\bigl(W - \eta_W \nabla_W \ell,\ v - \eta \nabla_v \ell\bigr)$$

`projected_step.py` holds one step; here are the solver and its loop.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_int, check_number, fail
from narrowlib.constraints.base import Product, frozen_pytree
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_finite_problem, check_problem
from narrowlib.solvers.projected_step import ProjectedGradientState, first_state, projected_step
from narrowlib.solvers.result import RESULTS, Solution, finish
from narrowlib.solvers.step_sizes import Backtracking, as_rule


@frozen_pytree("ray_scaling")
class ProjectedGradient:
    r"""Projected gradient descent, full batch, with an optional exact step along the ray.

    It stops where $\|x - P(x - \eta\nabla\ell)\|/\eta \le$ `tol`: the projected-gradient measure
    of stationarity, zero exactly at KKT points. η is the step size in use, but no larger than 1,
    since long steps make the measure small.

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
        ValueError: for a constraint that is no `Product`, a step size that is not positive, or ray
            scaling on a set without rays.

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
        if not isinstance(self.constraint, Product):
            fail("constraint", type(self.constraint).__name__, "Pass a narrowlib.Product.")
        as_rule(self.step_size)
        if self.ray_scaling and not self.constraint.v.scalable:
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
        check_finite_problem(params, X, y)
        return first_state(self.constraint, as_rule(self.step_size), params, X, y,
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
        never = jnp.asarray(-1.0, X.dtype)
        return projected_step(self.constraint, as_rule(self.step_size), self.ray_scaling, state,
                              X, y, get_activation(activation), never)  # fmt: skip

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
            lambda s: projected_step(constraint, rule, ray_scaling, s, X, y, sigma, tol),
            lambda s: s,
            state,
        )
        return state, {
            "loss": state.evaluation.loss,
            "stationarity": state.stationarity,
            "step_size": state.step_size,
        }

    return jax.lax.scan(advance, state, length=max_steps)
