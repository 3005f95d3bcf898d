r"""Minimum-norm Gauss–Newton steps in the hidden weights, with one Cholesky factor for all of them.

The step $\Delta = -J^\top z$ with $J J^\top z = r$ is the shortest that removes the residual to
first order. J Jᵀ is made and factored once, with the rows of J scaled to length 1; the factor then
preconditions conjugate gradients at every place that the steps lead to, whose products with J need
no matrix. Near a mirrored start J Jᵀ changes by the square of the move only, since first-order
changes of twins cancel, so that a few iterations do. Where they cost more than another
factor, J Jᵀ is factored anew.

A step is solved for as closely as it is worth: to one per cent of the share ‖r‖/‖y‖ by which
Newton's method itself will miss (Dembo, Eisenstat and Steihaug, 1982).

A ridge μ as small as rounding keeps the factorisation alive where J is close to losing rank, and
shows where rank is lost: the share of the residual that it leaves is then no longer small.

The factor costs n²(d + m) + n³/3 operations, an iteration 2 n² + 4 n m d.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib.constraints.lengths import length
from narrowlib.network.activations import Activation
from narrowlib.network.gram_factor import Factor, factorize, unit_rows
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params, half_mean_square
from narrowlib.network.rounding import rounding_floor
from narrowlib.solvers.loop import (
    NEAR_FLOOR,
    RUNNING,
    End,
    Row,
    iterate_on_host,
    judge,
    running,
)
from narrowlib.solvers.measure import target_size
from narrowlib.solvers.result import RESULTS

HALVINGS = 30
OUT_OF_SIGHT = 0.5  # a step that leaves more than this share of the residual: rank is lost
PATIENCE = 4, 50  # least and most iterations after which a factor is called too old
SLOWER = 10  # an operation of an iteration waits for memory, one of a factor does not
CALL = 5e6  # operations that could be done while an iteration is called
MOST = 100  # iterations with a new one, where rounding alone is left to slow them
LOOSE = 0.01  # a step is solved for to this, times ‖r‖/‖y‖


class MinimumNormState(NamedTuple):
    """Where a run of `interpolate` stands: all that the next step needs.

    Args:
        params: the weights.
        residual: F − y there, of the samples that differ.
        start: the mirrored weights from which the first run began.
        scale: α, the size of their v.
        num_steps: steps taken.
        code: a `RESULTS` code; `max_steps` while the run may go on.
        factored: the hidden weights at which J Jᵀ was factored last.
        shift: what was added to its diagonal, where the rows of J have length 1.
    """

    params: Params
    residual: Array
    start: Params
    scale: Array
    num_steps: Array
    code: Array
    factored: Array
    shift: Array

    def times(self, factor: Array) -> MinimumNormState:
        """The same state of the problem whose targets are larger by this factor."""
        return self._replace(
            params=Params(self.params.W, factor * self.params.v),
            residual=factor * self.residual,
            start=Params(self.start.W, factor * self.start.v),
            scale=factor * self.scale,
        )


@jax.jit
def normal_product(at: Linearization, lengths: Array, z: Array) -> Array:
    """J Jᵀ z, the rows of J scaled to length 1."""
    scaled = (z / lengths).reshape(at.outputs.shape)
    return at.jvp(at.vjp(scaled)).reshape(-1) / lengths


linearized = jax.jit(linearize, static_argnames="sigma")


@jax.jit
def _pull(at: Linearization, z: Array, lengths: Array) -> Array:
    """The step −Jᵀ D z for W."""
    return -at.vjp((z / lengths).reshape(at.outputs.shape))


@partial(jax.jit, static_argnames="sigma")
def residual_after(
    params: Params, delta: Array, t: Any, X: Array, y: Array, sigma: Activation
) -> tuple[Params, Array, Array]:
    """The weights after a step of length t, and their residual with its norm."""
    there = Params(params.W + t * delta, params.v)
    r = linearize(there, X, sigma).residual(y)
    return there, r, jnp.linalg.norm(r)


class Solver:
    """Solves J Jᵀ z = r for samples X, and counts what that took.

    Args:
        X: samples, shape (n, d).

    Attributes:
        factored: the hidden weights whose J Jᵀ was factored last; None before the first time.
        shift: what was added to its diagonal.
        factorizations: how many were begun.
        cg_steps: how many iterations were made.
    """

    def __init__(self, X: Array):
        self.X = X
        self.factor: Factor | None = None
        self.factored: Array | None = None
        self.lengths: Any = None
        self.shift = 0.0
        self.factorizations = self.cg_steps = 0

    @property
    def ridges(self) -> list[float]:
        """What rounding does to a matrix with ones on its diagonal: ε times its trace; and more."""
        least = float(jnp.finfo(self.X.dtype).eps) * len(self.lengths)
        return [least * 100.0**k for k in range(4)]

    def make(self, at: Linearization, W: Array, shifts: Iterable[float] = ()) -> bool:
        """Factor J Jᵀ at W, with the first of these shifts for which there is a factor."""
        self.factor, self.factored = None, W  # its memory is needed
        features, lengths = unit_rows(at)
        self.lengths = np.asarray(lengths)
        for shift in shifts or self.ridges:
            self.shift, self.factorizations = shift, self.factorizations + 1
            self.factor = factorize(self.X, features, shift)
            if self.factor is not None:
                break
        return self.factor is not None

    def stretch(self, alpha: Array) -> None:
        """Go over to output weights that are larger by α: no row of J changes its direction."""
        self.lengths = np.asarray(alpha) * self.lengths

    def patience(self, m: int) -> int:
        """How many iterations cost what a factor costs."""
        (n, d), rows = self.X.shape, len(self.lengths)
        factor = rows**2 * (d + m) + rows**3 / 3
        iteration = SLOWER * (4 * n * d * m + 2 * rows**2) + CALL
        return int(np.clip(factor / iteration, *PATIENCE))

    @np.errstate(all="ignore")  # what is no number is seen by whoever looks at the step
    def step(self, at: Linearization, W: Array, r: Array, tol: float) -> tuple[Array, float]:
        """The step −Jᵀ z, and the share of r that the ridge leaves; NaN if there is no factor."""
        here = np.array_equal(np.asarray(self.factored), np.asarray(W))
        z, met = None, False
        if self.factor is not None:
            most = MOST if here else self.patience(len(W))
            z, met = self._iterate(self.factor, at, r, tol, most)
        if not (met or here) and self.make(at, W) and self.factor is not None:
            z, _ = self._iterate(self.factor, at, r, tol, MOST)
        if self.factor is None or z is None:
            return jnp.zeros_like(W), math.nan
        size = float(np.linalg.norm(np.ravel(r) / self.lengths))
        ridge = max(self.shift, self.ridges[0])
        left = ridge * float(np.linalg.norm(z)) / size if size > 0 else 0.0
        return _pull(at, z, self.lengths), left

    def _iterate(
        self, factor: Factor, at: Linearization, r: Array, tol: float, most: int
    ) -> tuple[np.ndarray, bool]:
        """Conjugate gradients with the factor, and whether they met `tol`."""
        residual = np.ravel(r) / self.lengths
        ridge = residual.dtype.type(max(self.shift, self.ridges[0]))
        goal = tol * float(np.linalg.norm(residual))
        z, direction, rho = np.zeros_like(residual), np.zeros_like(residual), residual.dtype.type(1)
        for _ in range(most):
            if not np.linalg.norm(residual) > goal:  # NaN is not
                break
            preconditioned = np.asarray(factor.solve(residual))
            before, rho = rho, residual @ preconditioned
            direction = preconditioned + (rho / before) * direction
            image = np.asarray(normal_product(at, self.lengths, direction)) + ridge * direction
            step = rho / (direction @ image)
            z, residual = z + step * direction, residual - step * image
            self.cg_steps += 1
        return z, bool(np.linalg.norm(residual) <= goal)


def first_state(
    unit: Params, scale: Array, X: Array, y: Array, sigma: Activation, shift: float
) -> MinimumNormState:
    """The state before the first step, at the mirrored weights of size α = `scale`."""
    unmoved = Params(unit.W, scale * unit.v)
    start, residual, _ = residual_after(unmoved, jnp.zeros_like(unit.W), 1.0, X, y, sigma)
    return MinimumNormState(
        params=start, residual=residual, start=start, scale=scale,
        num_steps=jnp.zeros((), int), code=running(),
        factored=start.W, shift=jnp.asarray(shift, X.dtype),
    )  # fmt: skip


def advance(
    state: MinimumNormState, y: Array, sigma: Activation, solver: Solver
) -> tuple[MinimumNormState, float]:
    """A step, halved until the residual falls as it should, and its length t."""
    (W, v), r, X = state.params, state.residual, solver.X
    at = linearized(state.params, X, sigma=sigma)
    if solver.factored is None:  # a run that goes on
        before = linearized(Params(state.factored, v), X, sigma=sigma)
        solver.make(before, state.factored, (float(state.shift),))
    size = float(np.linalg.norm(r))
    least = float(jnp.finfo(X.dtype).eps) ** 0.5
    tol = LOOSE * min(size / float(target_size(y)), 1.0)
    delta, left = solver.step(at, W, r, max(tol, least))
    seen, t = left <= OUT_OF_SIGHT, 1.0  # NaN is not
    there, new, norm = residual_after(state.params, delta, t, X, y, sigma)
    while seen and not float(norm) <= (1 - t / 4) * size and t > 0.5**HALVINGS:
        t /= 2
        there, new, norm = residual_after(state.params, delta, t, X, y, sigma)
    state = state._replace(
        num_steps=state.num_steps + 1,
        factored=solver.factored,
        shift=jnp.asarray(solver.shift, X.dtype),
    )
    if seen and t > 0.5**HALVINGS:
        return state._replace(params=there, residual=new, code=running()), t
    lost = RESULTS.step_too_small if seen else RESULTS.rank_deficient
    if size <= NEAR_FLOOR * float(rounding_floor(at)):
        lost = RESULTS.rounding
    return state._replace(code=jnp.asarray(lost.code, int)), t


def descend(
    state: MinimumNormState,
    y: Array,
    sigma: Activation,
    solver: Solver,
    copies: Array,
    tol: Array,
    max_steps: int,
) -> End:
    """Gauss–Newton in W until ‖r‖ ≤ tol ‖y‖, from a state whose code says whether it may.

    No two samples are equal; `copies` lists them as often as the measure is to count them.
    """

    def judged(state: MinimumNormState, t: float) -> tuple[MinimumNormState, Array, Row]:
        code, row = _judged(state.residual, y, copies, state.code, tol)
        return state._replace(code=code), code, row | {"step_size": np.asarray(t, y.dtype)}

    def step(state: MinimumNormState) -> tuple[MinimumNormState, Array, Row]:
        return judged(*advance(state, y, sigma, solver))

    end = iterate_on_host(step, *judged(state, 1.0), max_steps)
    if int(end.state.code) == RUNNING and end.row["step_size"] < 1:
        damped = jnp.asarray(RESULTS.damped.code, int)
        return end._replace(state=end.state._replace(code=damped))
    return end


@jax.jit
def _judged(r: Array, y: Array, copies: Array, code: Array, tol: Any) -> tuple[Array, Row]:
    r, target = r[copies], target_size(y[copies])
    loss, residual = half_mean_square(r), length(r) / target
    return judge(code, residual <= tol, loss), {"loss": loss, "residual": residual}
