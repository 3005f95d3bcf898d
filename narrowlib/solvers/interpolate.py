r"""The expressivity theorem as a function: width about 2n/d, fitting every sample exactly.

From a mirrored start $W_0$ with output weights $\alpha(u; -u)$, minimum-norm Gauss–Newton steps

$$W \leftarrow W - t\, J^\top (J J^\top)^{-1} r$$

are the theorem's continuous Newton path, taken in steps of length t ≤ 1. The larger α, the less
the neurons need to move and the straighter the path; the price is rounding, which grows with α.

One Cholesky factor of J Jᵀ at the start says whether the rank is full, gives α, and serves all
steps; `minimum_norm.py` says how.
"""

from __future__ import annotations

import hashlib
from typing import Any

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
from narrowlib.network.gram_factor import check_memory
from narrowlib.network.linearization import Linearization
from narrowlib.network.model import Params
from narrowlib.network.rounding import rounding_floor
from narrowlib.network.starts import mirrored_lecun
from narrowlib.solvers.loop import RUNNING, End, Row, judge, running
from narrowlib.solvers.measure import target_size
from narrowlib.solvers.minimum_norm import (
    MinimumNormState,
    Solver,
    descend,
    first_state,
    linearized,
)
from narrowlib.solvers.result import RESULTS, Solution, finish
from narrowlib.solvers.start import read_data, read_state
from narrowlib.solvers.width_search import smallest_width

FIRST_MOVE = 0.1  # the first full step may move no pre-activation by more than this
# with more rows a factor costs more than what it saves: J is to stay so close that one will do
MANY, FIRST_MOVE_OF_MANY = 4000, 0.005
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

    n targets (n times K with K outputs) take 4 n² bytes beside the data in float64: 0.4 GB for
    10,000, 10 GB for 50,000. Before it starts it refuses what this machine has no room for. A
    matrix is factored once, with n²d + n³/3 operations, for the rank, the scale and all steps; then
    there are some ten iterations of 2 n² + 4 n d m. It is factored again where the steps lead so
    far that this costs less than more iterations.

    Args:
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`; smooth, or Newton has no reason
            to converge.
        key: a JAX random key for the start; needed unless a `state` is given.
        width: number of neurons, even. `None` takes the smallest even m ≥ 2 ⌈n/d⌉ (times K) whose
            start has full numerical rank, the rows of J scaled to one length: every width is tried
            in turn with the same key, up to four times the first.
        scale: α. `None` takes the least α for which the first full step moves no pre-activation
            $w_j \cdot x_i$ by more than 0.1 (0.005 with more than 4,000 targets, so that one
            factor will do); no more than keeps rounding under a tenth of `tol`, and no less than
            the root mean square of the targets.
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
        `largest_move` (of one neuron), `bytes` (the memory of the factor), `factorizations`,
        `cg_steps` (iterations in all) and `history` (`loss`, `residual` and `step_size`, the
        length t of the step, 1 where it was not shortened). What limited a run is in `result`:
        `rank_deficient` (J does not see the residual), `rounding` (at the floor), `damped` (close
        to losing rank, and out of steps), `max_steps`, `completed` (out of steps with `tol` 0) or
        `non_finite` (targets so large that their loss has no number).

    Raises:
        ValueError: if shapes do not match, an entry is not finite, the width is odd, two equal
            samples have different targets, there is no key, or in float32 unless allowed.
        MemoryError: if the factor would not fit into this machine's memory.
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
    unit, solver = _unit(y), Solver(A)
    needed = check_memory("X", A, y.size // len(y))
    if state is None:
        start, full = _begin(solver, b / unit, sigma, check_key("key", key), width)
        alpha = _scale(solver, start, b / unit, sigma, scale, unit, tol)
        code = RUNNING if full else RESULTS.rank_deficient.code
        now = first_state(start, alpha, A, b / unit, sigma, solver.shift)
        now = now._replace(code=jnp.asarray(code, int))
    else:
        read_data(read_state(state, MinimumNormState), A, b)
        now = state._replace(code=running()).times(1 / unit)
    goal = jnp.asarray(tol, X.dtype)
    end = descend(now, b / unit, sigma, solver, jnp.asarray(copies), goal, max_steps)
    counts = {
        "factorizations": solver.factorizations,
        "cg_steps": solver.cg_steps,
        "bytes": needed,
    }
    return finish(_solution(end, X, y / unit, sigma, unit, counts), tol, throw)


@jax.jit
def _unit(y: Array) -> Array:
    """A power of two near the largest target."""
    return power_of_two(jnp.max(jnp.abs(y)))


def _begin(
    solver: Solver, y: Array, sigma: Activation, key: Array, width: int | None
) -> tuple[Params, bool]:
    """The mirrored weights at α = 1, factored, and whether J has full rank where that decides."""
    X = solver.X

    def start_of_width(m: int) -> Params:
        outputs = None if y.ndim == 1 else y.shape[1]
        return mirrored_lecun(key, d=X.shape[1], m=m, outputs=outputs, dtype=X.dtype)

    full = True
    if width is None:
        width, full = smallest_width(start_of_width, solver, y.size, sigma)
    start = start_of_width(check_even("width", width))
    if solver.factor is None:
        solver.make(linearized(start, X, sigma=sigma), start.W)
    return start, full


def _scale(
    solver: Solver, start: Params, y: Array, sigma: Activation, scale: float | None, unit: Array,
    tol: float,
) -> Array:  # fmt: skip
    """α, in units of `unit`: the one asked for, or the least that keeps the path straight.

    The solver goes over to it.
    """
    if scale is not None:
        alpha = jnp.asarray(check_number("scale", scale, above=0), y.dtype) / unit
    else:
        at = linearized(start, solver.X, sigma=sigma)
        delta, _ = solver.step(at, start.W, y, float(jnp.finfo(y.dtype).eps) ** 0.5)
        alpha = _straight_scale(at, delta, y, 0.1 * (tol or TOL))
    solver.stretch(alpha)
    return alpha


@jax.jit
def _straight_scale(at: Linearization, delta: Array, y: Array, tol: Any) -> Array:
    """The least α at which Δ/α, the first full step, moves no pre-activation far.

    It is no larger than rounding allows, since the floor grows with α and has to stay below the
    goal, and no less than the targets.
    """
    move = FIRST_MOVE if y.size <= MANY else FIRST_MOVE_OF_MANY
    alpha = jnp.max(jnp.abs(delta @ at.X.T)) / move
    alpha = jnp.where(jnp.isfinite(alpha), alpha, 0)
    mean_square, floor = jnp.mean(y**2), rounding_floor(at) / target_size(y)
    least = jnp.sqrt(jnp.where(mean_square > 0, mean_square, 1))
    return jnp.maximum(jnp.minimum(alpha, tol / floor), least)


def _solution(
    end: End, X: Array, y: Array, sigma: Activation, unit: Array, counts: dict[str, int]
) -> Solution:
    """What is returned, from a run whose targets y were measured in `unit`."""
    state = _in_units(end.state, unit)
    last = linearized(end.state.params, X, sigma=sigma)
    with np.errstate(over="ignore"):
        losses = end.history["loss"] * np.asarray(unit) * np.asarray(unit)
    stats = _numbers(state, last, end.row, unit, y) | {
        "num_steps": end.steps,
        "width": len(state.start.W),
        "start": state.start,
        "history": {k: jnp.asarray(x) for k, x in (end.history | {"loss": losses}).items()},
        **counts,
    }
    code = judge(state.code, jnp.zeros((), bool), stats["loss"])
    return Solution(state.params, code, stats, state._replace(code=code))


_in_units = jax.jit(MinimumNormState.times)


@jax.jit
def _numbers(
    state: MinimumNormState, last: Linearization, row: Row, unit: Array, y: Array
) -> dict[str, Any]:
    """The stats that are computed; `last`, `row` and y are in units of `unit`."""
    moves = jnp.linalg.norm(state.params.W - state.start.W, axis=1)
    target = target_size(y)
    return {
        "loss": unit * (unit * row["loss"]),
        "residual": row["residual"],
        "unit": unit * target,
        "floor": rounding_floor(last) / target,
        "scale": state.scale,
        "distance": jnp.linalg.norm(moves),
        "largest_move": jnp.max(moves),
    }


def _distinct(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One index for each different sample, and for each sample which of those it equals.

    Equal samples cannot have different targets.
    """
    first: dict[bytes, int] = {}
    kept, copies = [], np.empty(len(X), int)
    for i, row in enumerate(X):
        seen = hashlib.sha256(row + 0.0).digest()  # adding 0.0 turns -0.0 into 0.0
        copies[i] = first.setdefault(seen, len(kept))
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
