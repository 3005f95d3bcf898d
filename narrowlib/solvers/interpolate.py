r"""The expressivity theorem as a function: width about 2n/d, fitting every sample exactly.

From a mirrored start $W_0$ with output weights $\alpha(u; -u)$, minimum-norm Gauss–Newton steps

$$W \leftarrow W - t\, J^\top (J J^\top)^{-1} r$$

are the theorem's continuous Newton path, taken in steps of length t ≤ 1. The larger α, the less
the neurons need to move and the straighter the path; the price is rounding, which grows with α.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import (
    check_double,
    check_even,
    check_finite,
    check_inputs,
    check_int,
    check_key,
    check_number,
    check_targets,
    fail,
)
from narrowlib._runs import runs
from narrowlib.constraints.lengths import power_of_two
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params
from narrowlib.network.rounding import rounding_floor
from narrowlib.network.starts import mirrored_lecun
from narrowlib.solvers.loop import RUNNING, End, judge, running
from narrowlib.solvers.measure import target_size
from narrowlib.solvers.minimum_norm import MinimumNormState, descend, first_state, newton_step
from narrowlib.solvers.result import RESULTS, Solution, finish
from narrowlib.solvers.start import read_data, read_state
from narrowlib.solvers.width_search import smallest_width

FIRST_MOVE = 0.1  # the first full step may move no pre-activation by more than this
TOL = 1e-10


@runs("host")
def interpolate(
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    key: Key[Array, ""] | None = None,
    width: int | None = None,
    scale: float | None = None,
    tol: float = TOL,
    max_steps: int = 200,
    state: MinimumNormState | None = None,
    allow_float32: bool = False,
    throw: bool = True,
) -> Solution:
    r"""Find weights of a narrow network that fit every sample: zero training loss, to rounding.

    Only W moves. The output weights stay at $\alpha(u; -u)$. Where steps have to be damped, J is
    close to losing rank on the way: more neurons help, and so does a larger α, until rounding in
    the outputs, which grows with α, is as large as the residual asked for.

    n samples take 24 n² bytes beside the data in float64 (n = 10,000: 2.4 GB), and n²d operations
    once, then n³/3 a step.

    Args:
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`; smooth, or Newton has no reason
            to converge.
        key: a JAX random key for the start; needed unless a `state` is given.
        width: number of neurons, even. `None` takes the smallest even m ≥ 2 ⌈n/d⌉ (times K) whose
            start has full numerical rank: every width is tried in turn with the same key, up to
            four times the first.
        scale: α. `None` takes the least α for which the first full step moves no pre-activation
            $w_j \cdot x_i$ by more than 0.1; no more than keeps rounding under a tenth of `tol`,
            and no less than the root mean square of the targets.
        tol: stop once $\|r\| \le$ tol · ‖y‖ (tol where y = 0); 0 to take all steps that help.
        max_steps: the most Gauss–Newton steps.
        state: the `state` of an earlier run on the same data, to go on from; it holds the start,
            so `key`, `width` and `scale` are not read then.
        allow_float32: run in single precision too; it stops near ‖r‖ = 1e-5 ‖y‖.
        throw: raise `SolverError` where `tol` was not reached.

    Returns:
        A `Solution`. `stats` hold `loss`, `residual` (‖r‖/‖y‖, or ‖r‖ where y = 0), its `unit`,
        `floor` (the residual that rounding alone would leave, in the same units), `num_steps`,
        `width`, `scale`, `start` (the mirrored weights, a `Params`), `distance` (‖W − W₀‖),
        `largest_move` (of one neuron) and `history` (`loss`, `residual` and `step_size`, the
        length t of the step, 1 where it was not shortened). What limited a run is in `result`:
        `rank_deficient` (J does not see the residual), `rounding` (at the floor), `damped` (close
        to losing rank, and out of steps), `max_steps`, `completed` (out of steps with `tol` 0) or
        `non_finite` (targets so large that their loss has no number).

    Raises:
        ValueError: if shapes do not match, an entry is not finite, the width is odd, two equal
            samples have different targets, there is no key, or in float32 unless allowed.
        SolverError: with `throw`, if the residual did not reach `tol`; it carries the solution.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     X = jax.random.normal(jax.random.key(0), (60, 12))
        ...     y = jax.random.rademacher(jax.random.key(1), (60,), float)
        ...     sol = nl.interpolate(X, y, key=jax.random.key(2))
        ...     sol.stats["width"], bool(sol.stats["loss"] < 1e-20)  # 10 = 2n/d
        (10, True)

    References:
        The expressivity theorem; chapter "A handful of neurons remembers everything".
    """
    sigma = get_activation(activation)
    X = check_inputs(X)
    check_double("X", X.dtype, allow_float32)
    y = check_targets(y, X)
    check_finite("X", X)
    check_finite("y", y)
    max_steps = check_int("max_steps", max_steps, 1)
    tol = check_number("tol", tol, minimum=0)
    kept, copies = _distinct(np.asarray(X), np.asarray(y))
    A, b = (X, y) if len(kept) == len(X) else (X[kept], y[kept])
    # a problem in other units is the same problem: solved where ‖y‖ is near 1, scaled exactly
    unit, XX = power_of_two(jnp.max(jnp.abs(y))), A @ A.T
    if state is None:
        start, full = _begin(A, b / unit, XX, sigma, check_key("key", key), width)
        alpha = _scale(start, A, b / unit, XX, sigma, scale, unit, tol)
        code = RUNNING if full else RESULTS.rank_deficient.code
        now = first_state(start, alpha, A, b / unit, sigma)._replace(code=jnp.asarray(code, int))
    else:
        read_data(read_state(state, MinimumNormState), A, b)
        now = state._replace(code=running()).times(1 / unit)
    goal = jnp.asarray(tol, X.dtype)
    end = descend(now, A, b / unit, sigma, XX, jnp.asarray(copies), goal, max_steps)
    return finish(_solution(end, X, y / unit, sigma, unit), tol, throw)


def _begin(
    X: Array, y: Array, XX: Array, sigma: Activation, key: Array, width: int | None
) -> tuple[Params, bool]:
    """The mirrored weights at α = 1, and whether J has full rank where that decides the width."""

    def start_of_width(m: int) -> Params:
        outputs = None if y.ndim == 1 else y.shape[1]
        return mirrored_lecun(key, d=X.shape[1], m=m, outputs=outputs, dtype=X.dtype)

    full = True
    if width is None:
        width, full = smallest_width(start_of_width, X, XX, y.size, sigma)
    return start_of_width(check_even("width", width)), full


def _scale(
    start: Params,
    X: Array,
    y: Array,
    XX: Array,
    sigma: Activation,
    scale: float | None,
    unit: Array,
    tol: float,
) -> Array:
    """α, in units of `unit`: the one asked for, or the least that keeps the path straight."""
    if scale is not None:
        return jnp.asarray(check_number("scale", scale, above=0), X.dtype) / unit
    alpha = _straight_scale(start, X, y, sigma, XX)
    # no larger than rounding allows: the floor grows with α, and has to stay below the goal
    floor = rounding_floor(linearize(start, X, sigma)) / target_size(y)
    mean_square = jnp.mean(y**2)
    least = jnp.sqrt(jnp.where(mean_square > 0, mean_square, 1))
    return jnp.maximum(jnp.minimum(alpha, 0.1 * (tol or TOL) / floor), least)


def _solution(end: End, X: Array, y: Array, sigma: Activation, unit: Array) -> Solution:
    """What is returned, from a run whose targets were measured in `unit`."""
    state = end.state.times(unit)
    moves = jnp.linalg.norm(state.params.W - state.start.W, axis=1)
    target, loss = target_size(y), unit * (unit * end.row["loss"])
    stats = {
        "loss": loss,
        "residual": end.row["residual"],
        "unit": unit * target,
        "floor": rounding_floor(linearize(end.state.params, X, sigma)) / target,
        "num_steps": end.steps,
        "width": state.start.W.shape[0],
        "scale": state.scale,
        "start": state.start,
        "distance": jnp.linalg.norm(moves),
        "largest_move": jnp.max(moves),
        "history": end.history | {"loss": unit * (unit * end.history["loss"])},
    }
    code = judge(state.code, jnp.zeros((), bool), loss)
    return Solution(state.params, code, stats, state._replace(code=code))


def _distinct(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One index for each different sample, and for each sample which of those it equals.

    Equal samples cannot have different targets.
    """
    first: dict[bytes, int] = {}
    kept, copies = [], np.empty(len(X), int)
    for i, row in enumerate(X + 0.0):  # adding 0.0 turns -0.0 into 0.0
        copies[i] = first.setdefault(row.tobytes(), len(kept))
        if copies[i] == len(kept):
            kept.append(i)
        j = kept[copies[i]]
        if not np.array_equal(y[i], y[j]):
            fail(
                "y",
                f"{y[j]} at sample {j} and {y[i]} at sample {i}, whose rows of X are equal",
                "No function fits both: drop one, or give them one target.",
            )
    return np.asarray(kept), copies


@partial(jax.jit, static_argnames="sigma")
def _straight_scale(start: Params, X: Array, y: Array, sigma: Activation, XX: Array) -> Array:
    """The least α whose first full step moves no pre-activation by more than FIRST_MOVE; or 0."""
    _, moves, _ = newton_step(linearize(start, X, sigma), -y, XX)
    alpha = jnp.max(jnp.abs(moves)) / FIRST_MOVE
    return jnp.where(jnp.isfinite(alpha), alpha, 0)
