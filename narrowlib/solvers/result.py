"""What a solver returns: the parameters, why it stopped, and how it got there."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import is_concrete
from narrowlib.network.model import Params


class RESULTS(enum.Enum):
    """Why a solver stopped. The value is the message; the order is the code in traced programs."""

    converged = "Converged: the stationarity measure fell to the tolerance."
    max_steps = "Stopped at max_steps before reaching the tolerance: allow more, or loosen tol."
    step_too_small = (
        "No step of any size decreases the loss: the limit of the arithmetic, or a kink."
    )
    non_finite = (
        "The next step gave NaN or infinity; the last finite parameters are kept. "
        "Take a smaller step_size."
    )
    rank_deficient = (
        "The Jacobian does not have full row rank: no Newton step exists. "
        "Use more neurons, or look for equal samples and inputs that hardly vary."
    )
    rounding = (
        "Stopped by rounding: no weights of this size bring the residual to the tolerance. "
        "Loosen tol, or use more neurons, which need a smaller scale."
    )
    damped = (
        "Stopped at max_steps with shortened steps: the Jacobian nearly loses rank on the way. "
        "Use more neurons or a larger scale, or look for samples that are nearly equal."
    )
    completed = "Completed: every step that was asked for was taken."
    stopped = "Stopped early, as asked: by patience or by a callback."

    @property
    def code(self) -> int:
        """The number that stands for it inside compiled programs."""
        return list(RESULTS).index(self)


def result_of(code: Array) -> Any:
    """The `RESULTS` member of a code; for a batch of codes, an object array of them."""
    if not is_concrete(code):
        raise ValueError(
            "result: got a traced value. Read `.code` inside jit or vmap, `.result` outside."
        )
    return np.array(list(RESULTS), dtype=object)[np.asarray(code)]


class SolverError(RuntimeError):
    """Raised with `throw=True` when a solver did not converge. It carries the `solution`."""

    def __init__(self, solution: Any):
        super().__init__(solution.result.value)
        self.solution = solution


class Solution(NamedTuple):
    """What every solver of this library returns, as a pytree.

    Args:
        params: the last (and feasible) parameters.
        code: why it stopped, as an integer array; read it through `result`.
        stats: what happened, a dictionary of numbers and of arrays with an entry a step.
        state: the solver's own state, for going on from here.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> nl.Solution(params=None, code=jnp.array(1), stats={}, state=None).result.name
        'max_steps'
    """

    params: Params
    code: Array
    stats: dict[str, Any]
    state: Any

    @property
    def result(self) -> Any:
        """The `RESULTS` member; for a batch of solutions, an object array of them."""
        return result_of(self.code)


def hold_last(history: dict[str, Array], steps: Array, **ends: Array) -> dict[str, Array]:
    """Histories that repeat, after the steps taken, their last entry, or what `ends` names."""

    def held(name: str, entries: Array) -> Array:
        last = ends.get(name, entries[jnp.maximum(steps - 1, 0)])
        return jnp.where(jnp.arange(entries.shape[0]) >= steps, last, entries)

    return {name: held(name, entries) for name, entries in history.items()}


def finish(solution: Solution, throw: bool) -> Solution:
    """Raise if asked to and not converged; cut histories to the steps taken, where known."""
    if not is_concrete(solution.code):
        if throw:
            raise ValueError(
                "throw: got True inside jit or vmap, where nothing can be raised. "
                "Pass throw=False and look at `.code`."
            )
        return solution
    steps = solution.stats["num_steps"]
    if np.ndim(steps) == 0:
        history = jax.tree.map(lambda a: a[: int(steps)], solution.stats["history"])
        solution = solution._replace(stats={**solution.stats, "history": history})
    if throw and bool(jnp.any(solution.code != RESULTS.converged.code)):
        raise SolverError(solution)
    return solution
