r"""Newton's method in a trust region: small networks, to a stationary point of second order.

A step solves a model problem exactly (`trust_region_step.py`), with the gradient and the Hessian of
the loss in W and v. So the method leaves saddles, along negative curvature where the gradient is
zero, and close to a minimum with an invertible Hessian the number of right digits doubles with
each step.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from narrowlib._runs import runs
from narrowlib.constraints.base import Free, Product
from narrowlib.constraints.lengths import length
from narrowlib.network.activations import Activation
from narrowlib.network.hessian import dense_hessian
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params, half_mean_square
from narrowlib.network.rounding import rounding_floor
from narrowlib.solvers.loop import NEAR_FLOOR, RUNNING, Row, iterate, judge, running
from narrowlib.solvers.measure import Data, block_units, prepare, shown_unit, stationarity
from narrowlib.solvers.result import RESULTS, Solution, finish
from narrowlib.solvers.start import read_run
from narrowlib.solvers.trust_region_step import trust_region_step

FIRST_RADIUS = 0.1  # ϱ at the start, in units of the length of all weights
SHRINKINGS = 40  # of the radius, by four, before a step is given up
EVERYWHERE = Product(W=Free(), v=Free())


class Point(NamedTuple):
    """The loss at one point, to second order.

    Args:
        params: the weights, p of them.
        residual: F − y there.
        loss: half the mean squared residual.
        gradient: its gradient in W and v.
        eigenvalues: of its Hessian, ascending, shape (p,).
        vectors: the eigenvectors as columns, shape (p, p).
        stationarity: the gradient in relative units.
        floor: what rounding alone leaves of that.
    """

    params: Params
    residual: Array
    loss: Array
    gradient: Params
    eigenvalues: Array
    vectors: Array
    stationarity: Array
    floor: Array


class TrustRegionState(NamedTuple):
    """Where a run stands: all that the next step needs.

    Args:
        point: the weights, and the loss there to second order.
        radius: ϱ of the next step.
        num_steps: steps taken or given up.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    point: Point
    radius: Array
    num_steps: Array
    code: Array

    @property
    def params(self) -> Params:
        """The weights."""
        return self.point.params

    @property
    def residual(self) -> Array:
        """F − y at the weights."""
        return self.point.residual


@runs("jit")
def trust_region_newton(
    params: Params | TrustRegionState,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    max_steps: int = 200,
    tol: float = 1e-12,
    throw: bool = True,
) -> Solution:
    r"""Go downhill to a stationary point of second order of the loss, over W and v.

    $$\nabla \ell(W, v) = 0, \qquad \nabla^2 \ell(W, v) \succeq 0$$

    For small networks: a step costs one dense Hessian and its eigenvectors, about $10 p^3$
    operations for $p = m (d + K)$ weights, so keep p below a few hundred. Take
    `levenberg_marquardt` to reach zero loss, which is cheaper and better at it. Take this to
    come to rest at a local minimum whose loss is positive, where Levenberg–Marquardt creeps, and
    give the end to `stationary_point`. The function works under `jit`, and under `vmap` over
    starts and over data.

    Args:
        params: the start, `W` (m, d) and `v` (m,) or (m, K), such as `lecun(key, d=…, m=…)`, or
            the end of another solver; or the `state` of an earlier run on the same data, to go on
            from.
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`, twice differentiable.
        max_steps: the most steps to take; a step that is rejected is shortened, and counts once.
        tol: stop once the gradient is at most this, W's block in units of $\|J_W\|_F \|y\| / n$
            and v's in units of $\|J_v\|_F \|y\| / n$, J at the same point (1 for ‖y‖ where
            y = 0). Rounding leaves about $10^{-15}$ of them, more where the weights are large. 0
            to take all steps that help.
        throw: raise `SolverError` where no stationary point was reached. Pass False under jit
            and vmap.

    Returns:
        A `Solution`. `stats` hold `loss`, `stationarity` (the gradient in the units above), `unit`
        (times it, ‖∇ℓ‖), `floor` (what rounding alone leaves of it), `least_eigenvalue` (of the
        Hessian), `num_steps`, and `history` with `loss`, `stationarity` and `radius` a step.
        `result` is `converged` (the gradient fell to `tol`, and no eigenvalue is below
        $-\sqrt{\epsilon}$ times the largest, ϵ the machine's precision; the loss may be
        positive), `rounding` (the gradient is as small as rounding lets it be, but above `tol`),
        `step_too_small`, `non_finite` (the loss at the start is no number), `max_steps`, or
        `completed` in its place where `tol` is 0. Inside jit or vmap histories keep the length
        `max_steps` and repeat their last row once the run has stopped.

    Raises:
        ValueError: if shapes or precisions do not match, or an entry is not finite.
        SolverError: with `throw`, if the run did not converge; it carries the solution.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     data = nl.gaussian(jax.random.key(0), n=20, d=4)
        ...     start = nl.lecun(jax.random.key(1), d=4, m=2)  # 10 weights, too few for 20 samples
        ...     sol = nl.trust_region_newton(start, data.X, data.y, activation="gelu")
        ...     rests = bool(sol.stats["stationarity"] < 1e-12)
        ...     sol.result.name, bool(sol.stats["loss"] > 0.1), rests
        ('converged', True, True)

    References:
        Moré, Sorensen (1983), "Computing a trust region step". Chapter "What can go wrong in a
        narrow net".
    """
    given = read_run(params, X, y, TrustRegionState, activation, tol, max_steps)
    state, stats = _run(*given)
    return finish(Solution(state.params, state.code, stats, state), tol, throw)


def look(params: Params, data: Data, sigma: Activation) -> Point:
    """One linearisation, one dense Hessian and its eigenvectors."""
    at = data.linearize(params, sigma)
    r = at.residual(data.y)
    gradient = at.gradient(r)
    values, vectors = jnp.linalg.eigh(dense_hessian(params, data.X, data.y, sigma))
    noise = rounding_floor(at) + jnp.finfo(r.dtype).eps * length(data.y)
    return Point(
        params=params,
        residual=r,
        loss=half_mean_square(r),
        gradient=gradient,
        eigenvalues=values,
        vectors=vectors,
        stationarity=stationarity(EVERYWHERE, params, gradient, block_units(at, data)),
        floor=len(r) ** 0.5 * noise / data.target,
    )


def first_state(params: Params, data: Data, sigma: Activation) -> TrustRegionState:
    """The state before the first step."""
    length = jnp.linalg.norm(ravel_pytree(params)[0])
    radius = FIRST_RADIUS * jnp.where(length > 0, length, 1.0)
    return TrustRegionState(look(params, data, sigma), radius, jnp.zeros((), int), running())


class Attempt(NamedTuple):
    """A step of at most some length: where it leads, and what it is worth."""

    params: Params
    length: Array
    gain: Array  # the share of the promised decrease that is there
    good: Array  # whether to take it
    unseen: Array  # whether the decrease drowns in the loss's last digits


def attempt(point: Point, radius: Array, data: Data, sigma: Activation) -> Attempt:
    """The step that solves the model problem in this radius."""
    flat, unravel = ravel_pytree(point.gradient)
    s, promised = trust_region_step(flat @ point.vectors, point.eigenvalues, radius)
    move = unravel(point.vectors @ s)
    trial = Params(point.params.W + move.W, point.params.v + move.v)
    at = data.linearize(trial, sigma)
    r = at.residual(data.y)
    gain = (point.loss - half_mean_square(r)) / promised
    unseen = promised <= 100 * jnp.finfo(r.dtype).eps * point.loss
    new = ravel_pytree(at.gradient(r))[0]
    shorter = jnp.linalg.norm(new) < jnp.linalg.norm(flat) / 2  # where unseen, the gradient decides
    good = jnp.where(unseen, shorter, gain > 1e-4)
    return Attempt(trial, jnp.linalg.norm(s), jnp.where(unseen, 1.0, gain), good, unseen)


def shorten(point: Point, radius: Array, data: Data, sigma: Activation) -> tuple[Array, Attempt]:
    """The first attempt that is good, or past help, and the radius it was made in."""

    def rejected(carry: tuple[Array, Array, Attempt]) -> Array:
        k, _, tried = carry
        return ~tried.good & ~tried.unseen & (k < SHRINKINGS)

    def shrink(carry: tuple[Array, Array, Attempt]) -> tuple[Array, Array, Attempt]:
        k, radius, tried = carry
        radius = jnp.minimum(radius, tried.length) / 4
        return k + 1, radius, attempt(point, radius, data, sigma)

    first = (jnp.ones((), int), radius, attempt(point, radius, data, sigma))
    return jax.lax.while_loop(rejected, shrink, first)[1:]


def advance(state: TrustRegionState, data: Data, sigma: Activation) -> tuple[Any, Array]:
    """One step, if one is possible, else a code that says why not; and the length tried."""
    point = state.point
    radius, tried = shorten(point, state.radius, data, sigma)
    size, gain = tried.length, tried.gain
    radius = jnp.where((gain > 0.75) & (size >= 0.99 * radius), 2 * radius, radius)
    radius = jnp.where(gain < 0.25, size / 4, radius)
    lost = jnp.where(
        point.stationarity <= NEAR_FLOOR * point.floor,
        RESULTS.rounding.code,
        RESULTS.step_too_small.code,
    )
    point = jax.lax.cond(tried.good, lambda: look(tried.params, data, sigma), lambda: point)
    code = jnp.where(tried.good, RUNNING, lost).astype(int)
    return TrustRegionState(point, radius, state.num_steps + 1, code), size


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def _run(
    start: Params | TrustRegionState,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
    max_steps: int,
) -> tuple[TrustRegionState, dict[str, Any]]:
    data = prepare(X, y)

    def judged(state: TrustRegionState, tried: Array) -> tuple[TrustRegionState, Array, Row]:
        point, values = state.point, state.point.eigenvalues
        bends = values[0] < -jnp.sqrt(jnp.finfo(X.dtype).eps) * jnp.max(jnp.abs(values))
        code = judge(state.code, (point.stationarity <= tol) & ~bends, point.loss)
        row = {"loss": point.loss, "stationarity": point.stationarity, "radius": tried}
        return state._replace(code=code), code, row

    def step(state: TrustRegionState) -> tuple[TrustRegionState, Array, Row]:
        return judged(*advance(state, data, sigma))

    state = start if isinstance(start, TrustRegionState) else first_state(start, data, sigma)
    state, code, row = judged(state._replace(code=running()), state.radius)
    end = iterate(step, state, code, row, max_steps)
    point, units = end.state.point, block_units(linearize(end.state.params, X, sigma), data)
    measure = point.stationarity
    stats = {
        "loss": point.loss,
        "stationarity": measure,
        "unit": shown_unit(EVERYWHERE, point.params, point.gradient, units, measure),
        "floor": point.floor,
        "least_eigenvalue": point.eigenvalues[0],
        "num_steps": end.steps,
        "history": end.history,
    }
    return end.state, stats
