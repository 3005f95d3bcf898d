r"""Projected Gauss–Newton on the constrained problem (ours).

`gauss_newton_step.py` holds one step; here are the solver and its loop.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_choice, check_number, fail
from narrowlib._runs import runs
from narrowlib.constraints.base import Product, as_product
from narrowlib.constraints.pytrees import frozen_pytree
from narrowlib.network.activations import Activation
from narrowlib.network.model import Params
from narrowlib.network.rounding import rounding_floor
from narrowlib.solvers.base import ConstrainedSolver
from narrowlib.solvers.gauss_newton_step import attempt
from narrowlib.solvers.loop import NEAR_FLOOR, RUNNING, running
from narrowlib.solvers.measure import Data, evaluate
from narrowlib.solvers.result import RESULTS, Solution

SHORTEST, LONGEST = 1 / 3, 2.0  # by how much an accepted and a first rejected step change λ/‖r‖²
INNER = ("cholesky", "cg")


class GaussNewtonState(NamedTuple):
    """Where a run stands: all that the next step needs.

    Args:
        params: the feasible parameters.
        residual: F − y there, shape (n,) or (n, K).
        loss: half the mean squared residual.
        gradient: its gradient, shaped like the parameters.
        damping: λ of the next step, in units of the eigenvalues of J Jᵀ.
        growth: by how much λ grows if that step is rejected.
        stationarity: the distance from −∇ℓ to the normal cone there, in relative units.
        num_steps: steps tried; each takes a factorisation.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    residual: Array
    loss: Array
    gradient: Params
    damping: Array
    growth: Array
    stationarity: Array
    num_steps: Array
    code: Array


@frozen_pytree("inner")
class ProjectedGaussNewton(ConstrainedSolver[GaussNewtonState]):
    r"""Projected Gauss–Newton, full batch, with the ball as trust region.

    A step solves the linearised problem with a price λ on its length,

    $$\min_{\Delta', \alpha}\ \|r + (\alpha - 1)\, q + J S\|^2 + \lambda \|S\|^2, \qquad
      S = \alpha\Delta' - \Delta, \quad \|\Delta'\| \le \varepsilon,$$

    with $\Delta = W - W_0$ and $q = F - J\Delta$, and moves to $(W_0 + \Delta', \alpha v)$. Where
    v's set holds rays, α is the least α ≥ 1 that lets the step fit the ball. For `Fixed` output
    weights α = 1, and the secular equation gives the ball's multiplier. λ/‖r‖² follows
    Nielsen's rule.
    Of v only the size changes: for its direction take `ProjectedGradient`.

    With K outputs a step takes (nK)³/3 + 2 (nK)²m + 12 nmd operations and 24 (nK)² bytes in
    float64; with `inner="cg"` no matrix is stored, and a step takes up to 2,000 products with
    J and Jᵀ, each 2 nmd operations.

    Args:
        constraint: a `Product`, or the sets by name, `{"W": …, "v": …}`; W in a `Ball` (of the
            Frobenius norm) or `Free`, v in a set that holds rays (`PairedCone`, `CircularCone`,
            `Free`) or `Fixed`.
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
    _states: ClassVar[type] = GaussNewtonState
    _tried: ClassVar[str] = "damping"

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint", as_product(self.constraint))
        W, v = self.constraint.W, self.constraint.v
        ball = W.as_ball()
        if ball is not None:
            check_number("constraint.W.radius", ball.radius, above=0)
            if ball.per_neuron:
                mend = "Take one ball for the whole matrix, or ProjectedGradient."
                fail("constraint.W", "a ball per neuron", mend)
        elif not W.is_free:
            fail("constraint.W", type(W).__name__, "Pass a Ball, or Free().")
        if not (v.scalable or v.is_fixed):
            fail(
                "constraint.v",
                type(v).__name__,
                "Pass a set that holds rays (PairedCone, CircularCone, Free) or Fixed.",
            )
        check_number("damping", self.damping, above=0)
        check_choice("inner", self.inner, INNER)

    init = runs("jit")(ConstrainedSolver.init)
    step = runs("jit")(ConstrainedSolver.step)

    @runs("jit")
    def run(
        self,
        params: Params | GaussNewtonState,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
        max_steps: int = 100,
        tol: float = 1e-10,
        throw: bool = True,
    ) -> Solution:
        r"""Run to stationarity or for `max_steps`, as one compiled program.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K), projected first if not feasible; or
                the `state` of an earlier run on the same data, to go on from.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.
            max_steps: the most steps to try; a step that is rejected counts.
            tol: stop once the distance from −∇ℓ to the normal cone is at most this, W's block in
                units of $\|J_W\|_F \|y\| / n$ and v's in units of $\|J_v\|_F \|y\| / n$, J at the
                same point (1 for ‖y‖ where y = 0); 0 to go on until rounding ends it.
            throw: raise `SolverError` where the run ends without meeting `tol`.

        Returns:
            A `Solution`. Its `stats` hold `loss` and `stationarity` (the distance, in the units
            above) at the end, `unit` (times it, the distance itself, which the KKT certificate
            measures), `num_steps`, and `history` with `loss`, `stationarity` and `damping` (the λ
            tried) a step. `result` is `converged`, `rounding` (no step helps, at the limit of the
            arithmetic), `step_too_small` (no step helps, above it: W and the size of v are
            stationary, the direction of v is not, or the rank is lost), `non_finite` (the loss at
            the start is no number), `max_steps`, or `completed` in its place where `tol` is 0.
            Inside jit or vmap histories keep the length `max_steps` and repeat their last row once
            the run has stopped.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
            SolverError: with `throw`, if the run did not converge; it carries the solution.
        """
        return self._solve(params, X, y, activation, max_steps, tol, throw)

    def _first(self, params: Params, data: Data, sigma: Activation) -> GaussNewtonState:
        at = data.linearize(params, sigma)
        return GaussNewtonState(
            params=params,
            damping=(self.damping * jnp.mean(at.gram_diagonal)).astype(data.X.dtype),
            growth=jnp.asarray(LONGEST, data.X.dtype),
            num_steps=jnp.zeros((), int),
            code=running(),
            **evaluate(self.constraint, params, at, at.residual(data.y), data),
        )

    def _shared(self, data: Data) -> Array | None:
        return data.X @ data.X.T if self.inner == "cholesky" else None

    def _advance(
        self, state: GaussNewtonState, data: Data, shared: Array | None, sigma: Activation
    ) -> tuple[GaussNewtonState, Array]:
        params, r = state.params, state.residual
        here = data.linearize(params, sigma)
        found = attempt(self.constraint, params, here, r, shared, state.damping)
        there = data.linearize(found.params, sigma)
        new = there.residual(data.y)
        before, left = jnp.sum(r**2), jnp.sum(new**2)
        gain = (before - left) / found.promised
        better = (gain > 0) & (left < before)  # NaN is neither
        # v longer by a factor: the eigenvalues of J Jᵀ, λ's units, by its square
        calm = jnp.maximum(SHORTEST, 1 - (2 * gain - 1) ** 3) * found.ray**2 * left / before
        calm = found.damping * calm
        floor, size = rounding_floor(here), jnp.linalg.norm(r)
        hopeless = ~(found.promised > jnp.finfo(r.dtype).eps * before) | (size <= floor)
        at_floor = size <= NEAR_FLOOR * floor
        lost = jnp.where(at_floor, RESULTS.rounding.code, RESULTS.step_too_small.code)
        after = GaussNewtonState(
            params=found.params,
            damping=calm,
            growth=jnp.full_like(state.growth, LONGEST),
            num_steps=state.num_steps + 1,
            code=running(),
            **evaluate(self.constraint, found.params, there, new, data),
        )
        same = state._replace(
            damping=found.damping * state.growth,
            growth=LONGEST * state.growth,
            num_steps=after.num_steps,
            code=jnp.where(hopeless, lost, RUNNING).astype(int),
        )
        return jax.tree.map(partial(jnp.where, better), after, same), state.damping
