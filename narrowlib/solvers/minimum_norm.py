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
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from narrowlib.constraints.lengths import length
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params, half_mean_square
from narrowlib.network.rounding import rounding_floor
from narrowlib.solvers.loop import NEAR_FLOOR, RUNNING, End, Row, iterate, judge, running
from narrowlib.solvers.measure import target_size
from narrowlib.solvers.result import RESULTS

HALVINGS = 30
OUT_OF_SIGHT = 0.5  # a step that leaves more than this share of the residual: rank is lost


class MinimumNormState(NamedTuple):
    """Where a run of `interpolate` stands: all that the next step needs.

    Args:
        params: the weights.
        residual: F − y there, of the samples that differ.
        start: the mirrored weights from which the first run began.
        scale: α, the size of their v.
        num_steps: steps taken.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Params
    residual: Array
    start: Params
    scale: Array
    num_steps: Array
    code: Array

    def times(self, factor: Array) -> MinimumNormState:
        """The same state of the problem whose targets are larger by this factor."""
        return self._replace(
            params=Params(self.params.W, factor * self.params.v),
            residual=factor * self.residual,
            start=Params(self.start.W, factor * self.start.v),
            scale=factor * self.scale,
        )


def first_state(
    unit: Params, scale: Array, X: Array, y: Array, sigma: Activation
) -> MinimumNormState:
    """The state before the first step, at the mirrored weights of size α = `scale`."""
    start = Params(unit.W, scale * unit.v)
    residual = linearize(start, X, sigma).residual(y)
    return MinimumNormState(start, residual, start, scale, jnp.zeros((), int), running())


def newton_step(at: Linearization, r: Array, XX: Array) -> tuple[Array, Array, Array]:
    """The step Δ for W, how it moves the pre-activations (m, n), and the share of r it leaves."""
    kernel = at.gram(XX)
    ridge = jnp.finfo(r.dtype).eps * jnp.trace(kernel)
    kernel = kernel.at[jnp.diag_indices(kernel.shape[0])].add(ridge)
    factor = jax.scipy.linalg.cho_factor(kernel, lower=True)
    multipliers = jax.scipy.linalg.cho_solve(factor, r.reshape(-1)).reshape(r.shape)
    back = at.pull_back(multipliers)
    left = ridge * jnp.linalg.norm(multipliers) / jnp.linalg.norm(r)
    return -back @ at.X, -back @ XX, left


def advance(
    state: MinimumNormState, X: Array, y: Array, XX: Array, sigma: Activation
) -> tuple[MinimumNormState, Array]:
    """A step, halved until the residual falls as it should, and its length t."""
    (W, v), r = state.params, state.residual
    at = linearize(state.params, X, sigma)
    delta, _, left = newton_step(at, r, XX)

    def residual(t: Array) -> Array:
        return linearize(Params(W + t * delta, v), X, sigma).residual(y)

    def too_far(carry: tuple[Array, Array]) -> Array:
        t, new = carry
        falls = jnp.linalg.norm(new) <= (1 - t / 4) * jnp.linalg.norm(r)
        return ~falls & (t > 0.5**HALVINGS)

    def halve(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return carry[0] / 2, residual(carry[0] / 2)

    whole = jnp.ones((), X.dtype)
    t, new = jax.lax.while_loop(too_far, halve, (whole, residual(whole)))
    found = t > 0.5**HALVINGS
    seen = left <= OUT_OF_SIGHT  # NaN is not
    lost = jnp.where(seen, RESULTS.step_too_small.code, RESULTS.rank_deficient.code)
    at_floor = jnp.linalg.norm(r) <= NEAR_FLOOR * rounding_floor(at)
    lost = jnp.where(at_floor, RESULTS.rounding.code, lost)
    take = found & seen
    W, r = (jnp.where(take, a, b) for a, b in ((W + t * delta, W), (new, r)))
    code = jnp.where(take, RUNNING, lost).astype(int)
    return state._replace(
        params=Params(W, v), residual=r, num_steps=state.num_steps + 1, code=code
    ), t


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def descend(
    state: MinimumNormState,
    X: Array,
    y: Array,
    sigma: Activation,
    XX: Array,
    copies: Array,
    tol: Array,
    max_steps: int,
) -> End:
    """Gauss–Newton in W until ‖r‖ ≤ tol ‖y‖, from a state whose code says whether it may.

    No two samples are equal; `copies` lists them as often as the measure is to count them.
    """
    target = target_size(y[copies])

    def judged(state: MinimumNormState, t: Array) -> tuple[MinimumNormState, Array, Row]:
        r = state.residual[copies]
        loss, residual = half_mean_square(r), length(r) / target
        code = judge(state.code, residual <= tol, loss)
        row = {"loss": loss, "residual": residual, "step_size": t}
        return state._replace(code=code), code, row

    def step(state: MinimumNormState) -> tuple[MinimumNormState, Array, Row]:
        return judged(*advance(state, X, y, XX, sigma))

    first = judged(state, jnp.ones((), X.dtype))
    end = iterate(step, *first, max_steps)
    shortened = (end.state.code == RUNNING) & (end.row["step_size"] < 1)
    code = jnp.where(shortened, RESULTS.damped.code, end.state.code).astype(int)
    return end._replace(state=end.state._replace(code=code))
