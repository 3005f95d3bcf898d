r"""Projected gradient descent on the constrained problem, the paper's trainer.

$$(W, v) \leftarrow P_C\bigl(W - \eta_W \nabla_W \ell,\ v - \eta \nabla_v \ell\bigr)$$

A step costs two products of an n × d by a d × m matrix: one forward at the new point, one back
through X for the gradient there, with which the next step begins. A rejected trial of
backtracking costs one more; the projection, the normal cone and the ray cost O(m d + m log m + n).
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_bool, fail
from narrowlib._runs import runs, without_derivative
from narrowlib.constraints.base import Constraint, Product, as_product
from narrowlib.constraints.pytrees import frozen_pytree
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization
from narrowlib.network.model import Params, half_mean_square
from narrowlib.solvers.base import ConstrainedSolver
from narrowlib.solvers.loop import RUNNING, End, iterate_differentiably, running, take_all
from narrowlib.solvers.measure import Data, evaluate
from narrowlib.solvers.result import RESULTS, Solution
from narrowlib.solvers.step_sizes import Backtracking, as_rule


class ProjectedGradientState(NamedTuple):
    """Where a run stands: all that the next step needs. Nothing n × m: a step copies it.

    Args:
        params: the feasible parameters.
        residual: F − y there, shape (n,) or (n, K).
        loss: half the mean squared residual.
        gradient: its gradient, shaped like the parameters.
        step_size: the η used last; before the first step, the first to be tried.
        stationarity: what the normal cone leaves of −∇ℓ there, in relative units.
        num_steps: steps taken.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    residual: Array
    loss: Array
    gradient: Params
    step_size: Array
    stationarity: Array
    num_steps: Array
    code: Array


@frozen_pytree("ray_scaling")
class ProjectedGradient(ConstrainedSolver[ProjectedGradientState]):
    r"""Projected gradient descent, full batch, with an optional exact step along the ray.

    **Ray scaling** (ours): αv is feasible for every large enough α, and the loss is a parabola
    in α. After each step v is scaled to its minimum on the ray, and the step in W is
    $\eta/\operatorname{mean}(v^2)$, which keeps η's size independent of the size of v. Without
    it a small ball makes the method crawl: v must grow like 1/ε, one small step after the other.

    Args:
        constraint: the feasible set, a `Product` of a set for W and one for v, or the sets by
            name, `{"W": …, "v": …}`.
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
        remembers everything". Calamai, Moré (1987): what the normal cone leaves of −∇ℓ goes to
        zero along the steps.
    """

    constraint: Product
    step_size: Any = Backtracking()
    ray_scaling: bool = False
    _states: ClassVar[type] = ProjectedGradientState
    _tried: ClassVar[str] = "step_size"
    _loop: ClassVar[Any] = staticmethod(iterate_differentiably)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint", as_product(self.constraint))
        as_rule(self.step_size)
        check_bool("ray_scaling", self.ray_scaling)
        if self.ray_scaling and not self.constraint.v.scalable:
            fail(
                "ray_scaling",
                f"True with v in {type(self.constraint.v).__name__}",
                "That set holds no ray: pass ray_scaling=False.",
            )

    def _checked(self, given: tuple) -> tuple:
        if not isinstance(self.step_size, Backtracking):
            return given
        mend = "Backtracking stops where its values tell it to: pass a number or a schedule."
        return without_derivative(given, "step_size", mend)

    def _traced(self) -> ProjectedGradient:
        return dataclasses.replace(self, step_size=as_rule(self.step_size))

    init = ConstrainedSolver.init
    step = ConstrainedSolver.step

    @runs("jit and grad")
    def run(
        self,
        params: Params | ProjectedGradientState,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
        max_steps: int = 1000,
        tol: float = 1e-8,
        throw: bool = True,
    ) -> Solution:
        r"""Run to stationarity or for `max_steps`, as one compiled program.

        Derivatives can be taken of a run with a number or a schedule for a step size.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K), projected first if not feasible; or
                the `state` of an earlier run on the same data, to go on from.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.
            max_steps: the most steps to take.
            tol: stop once the distance from −∇ℓ to the normal cone is at most this, W's block in
                units of $\|J_W\|_F \|y\| / n$ and v's in units of $\|J_v\|_F \|y\| / n$, J at the
                same point (1 for ‖y‖ where y = 0); 0 to take all steps, which saves a small
                problem half its time: without `Backtracking` the distance is then measured at
                the end alone, and the history has no `stationarity`.
            throw: raise `SolverError` where the run ends without meeting `tol`.

        Returns:
            A `Solution`. Its `stats` hold `loss` and `stationarity` (the distance, in the units
            above) at the end, `unit` (times it, the distance itself), `num_steps`, and `history`
            with `loss`, `stationarity` and `step_size` a step. `result` is `converged`,
            `step_too_small` (no trial of `Backtracking` decreases the loss enough), `non_finite`,
            `max_steps`, or `completed` in its place where `tol` is 0. Inside jit or vmap histories
            keep the length `max_steps` and repeat their last row once the run has stopped.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
            SolverError: with `throw`, if the run did not converge; it carries the solution.
        """
        return self._solve(params, X, y, activation, max_steps, tol, throw)

    def _first(self, params: Params, data: Data, sigma: Activation) -> ProjectedGradientState:
        at = data.linearize(params, sigma)
        rule = self.step_size
        eta = rule.initial if isinstance(rule, Backtracking) else rule.at(jnp.zeros((), int))
        return ProjectedGradientState(
            params=params,
            step_size=jnp.asarray(eta, data.X.dtype),
            num_steps=jnp.zeros((), int),
            code=running(),
            **evaluate(self.constraint, params, at, at.residual(data.y), data),
        )

    def _advance(
        self, state: ProjectedGradientState, data: Data, shared: None, sigma: Activation
    ) -> tuple[ProjectedGradientState, Array]:
        rule = self.step_size
        if isinstance(rule, Backtracking):
            eta, params, at, found = self._search(rule, state, data, sigma)
        else:
            eta = jnp.asarray(rule.at(state.num_steps), data.X.dtype)
            params = self._trial(state.params, state.gradient, eta)
            at, found = data.linearize(params, sigma), jnp.asarray(True)
        params, at, residual = self._on_ray(params, at, data.y)
        found_there = evaluate(self.constraint, params, at, residual, data)
        after = state._replace(params=params, num_steps=state.num_steps + 1, **found_there)
        finite = jnp.isfinite(after.stationarity) & jnp.isfinite(after.loss)
        state = jax.tree.map(partial(jnp.where, found & finite), after, state)
        code = jnp.where(found, RUNNING, RESULTS.step_too_small.code)
        code = jnp.where(finite, code, RESULTS.non_finite.code).astype(int)
        return state._replace(step_size=eta, code=code), eta

    _blind = property(lambda self: not isinstance(self.step_size, Backtracking))

    def _all_steps(
        self, state: Any, code: Array, data: Data, sigma: Activation, max_steps: int
    ) -> End:
        def step(params: Params, gradient: Params, eta: Array) -> tuple[Params, Params, Array]:
            params = self._trial(params, gradient, eta)
            params, at, residual = self._on_ray(params, data.linearize(params, sigma), data.y)
            return params, at.gradient(residual), half_mean_square(residual)

        sizes = jax.vmap(self.step_size.at)(state.num_steps + jnp.arange(max_steps))
        sizes = jnp.asarray(sizes, data.X.dtype)
        first = (state.params, state.gradient, state.loss)
        params, losses, taken = take_all(step, *first, sizes, code == RUNNING)
        at = data.linearize(params, sigma)
        found = evaluate(self.constraint, params, at, at.residual(data.y), data)
        failed = (code == RUNNING) & ((taken < max_steps) | ~jnp.isfinite(found["stationarity"]))
        steps = jnp.where(code == RUNNING, jnp.minimum(taken + 1, max_steps), 0).astype(int)
        sizes = sizes[jnp.minimum(jnp.arange(max_steps), jnp.maximum(steps - 1, 0))]
        state = state._replace(
            params=params,
            step_size=jnp.where(steps > 0, sizes[-1], state.step_size),
            num_steps=state.num_steps + taken,
            code=jnp.where(failed, RESULTS.non_finite.code, code).astype(int),
            **found | {"loss": losses[-1]},
        )
        return End(state, {}, steps, {"loss": losses, "step_size": sizes})

    def _on_ray(
        self, params: Params, at: Linearization, y: Array
    ) -> tuple[Params, Linearization, Array]:
        """The point that is stepped to: with ray scaling, the best on its ray; and F − y there."""
        outputs = at.outputs
        if self.ray_scaling:
            # outputs no larger than rounding are those of twins that cancel
            noise = (sum(params.W.shape) * jnp.finfo(y.dtype).eps) ** 2 * jnp.sum(at.phi**2)
            alpha = ray_minimum(self.constraint.v, params.v, outputs, y, noise)
            params, outputs = Params(params.W, alpha * params.v), alpha * outputs
            at = at._replace(v=params.v)
        return params, at, outputs - y

    def _scale(self, v: Array) -> Array:
        """By how much the step in W is shorter than that in v."""
        if not self.ray_scaling:
            return jnp.ones((), v.dtype)
        mean_square = jnp.sum(v**2) / v.shape[0]
        return jnp.where(mean_square > 0, mean_square, 1)

    def _trial(self, params: Params, gradient: Params, eta: Array) -> Params:
        """The projected point of a step of this size."""
        W, v = params
        eta_W = eta / self._scale(v)
        return self.constraint.project(Params(W - eta_W * gradient.W, v - eta * gradient.v))

    def _search(
        self, rule: Backtracking, state: ProjectedGradientState, data: Data, sigma: Activation
    ) -> tuple[Array, Params, Linearization, Array]:
        """Shrink η until the step decreases the loss enough."""
        params, scale = state.params, self._scale(state.params.v)

        def attempt(eta: Array) -> tuple[Array, Params, Array, Array, Array]:
            new = self._trial(params, state.gradient, eta)
            at = data.linearize(new, sigma)
            moved_W, moved_v = jnp.sum((new.W - params.W) ** 2), jnp.sum((new.v - params.v) ** 2)
            predicted = (scale * moved_W + moved_v) / eta
            # a step so short that rounding swallows it is no step
            loss = half_mean_square(at.residual(data.y))
            enough = (predicted > 0) & (loss <= state.loss - rule.decrease * predicted)
            return eta, new, at.phi, at.slope, enough

        # in a batch a run that has stopped turns idly: the others need not wait for its search
        running = state.code == RUNNING

        def rejected(carry: tuple) -> Array:
            trials, (*_, enough) = carry
            return running & ~enough & (trials < rule.max_trials)

        def shrink(carry: tuple) -> tuple:
            trials, (eta, *_) = carry
            return trials + 1, attempt(eta * rule.shrink)

        grown = state.step_size * rule.grow
        first = jnp.where(state.num_steps > 0, grown, rule.initial).astype(grown.dtype)
        start = (jnp.ones((), int), attempt(first))
        eta, new, phi, slope, enough = jax.lax.while_loop(rejected, shrink, start)[1]
        return eta, new, Linearization(data.X, new.v, phi, slope), enough


def ray_minimum(
    constraint: Constraint, v: Array, outputs: Array, y: Array, noise: Array | float = 0.0
) -> Array:
    """The least loss on {αv}: α = ⟨F, y⟩/⟨F, F⟩, feasible; 1 where ‖F‖² ≤ noise · ‖v‖²."""
    square = jnp.sum(outputs**2)
    seen = square > noise * jnp.sum(v**2)
    alpha = jnp.sum(outputs * y) / jnp.where(seen, square, 1)
    alpha = jnp.maximum(alpha, constraint.least_scale(v))
    return jnp.where(seen & jnp.isfinite(alpha), alpha, 1)
