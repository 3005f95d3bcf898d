"""The loop of every solver: a step gives a state, a code and a row of the history.

The code is that of `RESULTS.max_steps` while the run may go on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib.solvers.result import RESULTS

RUNNING = RESULTS.max_steps.code
NEAR_FLOOR = 100.0  # a residual within this factor of rounding's is stopped by rounding

Row = dict[str, Array]
Step = Callable[[Any], tuple[Any, Array, Row]]


class End(NamedTuple):
    """How a loop ended: the last state and its row, the number of steps, and the history."""

    state: Any
    row: Row
    steps: Array
    history: Row


def running() -> Array:
    """The code of a run that may go on; an array of the type that a step leaves."""
    return jnp.asarray(RUNNING, int)


def judge(code: Array, met: Array, *numbers: Array) -> Array:
    """A step's code, after a look at the measure and the loss: the one place of both verdicts.

    `numbers` are the loss, and what else has to be finite for a step to be made.
    """
    code = jnp.where(met, RESULTS.converged.code, code)
    finite = jnp.all(jnp.isfinite(jnp.stack(numbers)))
    return jnp.where(finite, code, RESULTS.non_finite.code).astype(int)


def iterate(step: Step, state: Any, code: Array, row: Row, max_steps: int) -> End:
    """Steps until a code says why to stop, `max_steps` at most.

    Args:
        step: makes of a state the next, the code and the row of the history.
        state: the first.
        code: of the first state; where that is no `RUNNING` one, no step is taken.
        row: what a row would be at the first state; a run of no step repeats it.
        max_steps: the length of the history.

    Returns:
        The `End`; its history repeats the last row behind the steps taken.
    """

    def goes_on(carry: tuple) -> Array:
        i, _, code, _, _ = carry
        return (code == RUNNING) & (i < max_steps)

    def advance(carry: tuple) -> tuple:
        i, state, _, _, history = carry
        state, code, row = step(state)
        return i + 1, state, code, row, {k: history[k].at[i].set(row[k]) for k in history}

    history = {k: jnp.zeros(max_steps, entry.dtype) for k, entry in row.items()}
    first = (jnp.zeros((), int), state, code, row, history)
    steps, state, _, row, history = jax.lax.while_loop(goes_on, advance, first)
    behind = jnp.arange(max_steps) >= steps
    return End(state, row, steps, {k: jnp.where(behind, row[k], history[k]) for k in history})


def iterate_on_host(step: Step, state: Any, code: Array, row: Row, max_steps: int) -> End:
    """The same for steps that cannot be traced; the history is NumPy's, and ends with them."""
    rows = []
    while int(code) == RUNNING and len(rows) < max_steps:
        state, code, row = step(state)
        rows.append(row)
    history: Any = {k: np.array([each[k] for each in rows], row[k].dtype) for k in row}
    return End(state, row, jnp.asarray(len(rows), int), history)


def iterate_differentiably(step: Step, state: Any, code: Array, row: Row, max_steps: int) -> End:
    """The same by `scan`, which has a derivative in reverse where the steps have one.

    It always turns `max_steps` times, the last ones idle where the run has stopped.
    """

    def turn(carry: tuple, _: None) -> tuple[tuple, Row]:
        steps, state, code, row = carry
        going = code == RUNNING
        state, code, row = jax.lax.cond(going, lambda s: step(s), lambda s: (s, code, row), state)
        return (steps + going.astype(int), state, code, row), row

    first = (jnp.zeros((), int), state, code, row)
    (steps, state, _, row), history = jax.lax.scan(turn, first, length=max_steps)
    return End(state, row, steps, history)


def take_all(
    step: Callable[[Any, Any, Array], tuple[Any, Any, Array]],
    params: Any,
    gradient: Any,
    loss: Array,
    sizes: Array,
    allowed: Array,
) -> tuple[Any, Array, Array]:
    """Steps of these sizes, one after the other, and no look at anything but the loss.

    It carries as little as it can: next to the products of a small network every number that a
    loop hands on counts. It has a derivative in reverse where the steps have one.

    Args:
        step: makes of (params, gradient, size) the same at the next point, and the loss there.
        params: where to start, at a finite loss.
        gradient: there.
        loss: there.
        sizes: of the steps.
        allowed: whether any step may be taken.

    Returns:
        The last parameters with a finite loss, the losses a step (behind a step that failed the
        one before it is repeated), and how many steps led to a finite loss.
    """

    def turn(carry: tuple, size: Array) -> tuple[tuple, Array]:
        before, gradient, going = carry
        params, gradient, loss = step(before, gradient, size)
        going &= jnp.isfinite(loss)
        return (jax.tree.map(partial(jnp.where, going), params, before), gradient, going), loss

    (params, *_), losses = jax.lax.scan(turn, (params, gradient, allowed), sizes)
    fine = jnp.isfinite(losses)
    taken = jnp.where(jnp.all(fine), len(sizes), jnp.argmin(fine))
    taken = jnp.where(allowed, taken, 0).astype(int)
    last = jnp.where(taken > 0, losses[jnp.maximum(taken - 1, 0)], loss)
    return params, jnp.where(jnp.arange(len(sizes)) < taken, losses, last), taken
