r"""What a solver promises, and what it returns.

Every solver takes a start and data and returns a `Solution`. All keep these rules, and
`tests/solvers/test_contract.py` holds them to it:

- **Start.** `Params`, or the `state` in which an earlier run on the same data ended. k steps and,
  from their state, l more are the k + l steps of one run.
- **Measure.** `stats["residual"]` or `stats["stationarity"]`, at the end's parameters, is what
  `tol` is compared with. It is relative, in the units of `measure.py`: a problem in other units has
  the same verdict. Times `stats["unit"]` it is ‖r‖, or the distance from −∇ℓ to the normal cone.
- **Numbers.** `stats` hold `loss`, the measure, `unit`, `num_steps` (of this run) and `history`:
  an entry a step of the loss and the measure after it, and of what the solver tried in it. Inside
  jit or vmap histories keep the length `max_steps` and repeat their last row. Where `tol` is 0 and
  no step needs it, a measure that costs as much as a step is taken at the end alone
  (`ProjectedGradient`).
- **Verdict.** `converged` only where the measure is at most `tol` and the loss is a number;
  `non_finite` where it is none; `completed` where `tol` is 0 and all steps were taken.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_bool, is_concrete
from narrowlib.network.model import Params


class RESULTS(enum.Enum):
    """Why a solver stopped. The value is the message; the order is the code in traced programs."""

    converged = "Converged: the residual, or what is left of the gradient, fell to tol."
    max_steps = "Stopped at max_steps before reaching the tolerance: allow more, or loosen tol."
    step_too_small = (
        "No step of any size decreases the loss: the limit of the arithmetic, or a kink."
    )
    non_finite = (
        "The loss or the next step is NaN or infinite; the last finite parameters are kept. "
        "Take a smaller step_size, or data and weights of a more usual size."
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
        results = np.ravel(solution.result)
        super().__init__(" ".join(dict.fromkeys(result.value for result in results)))
        self.solution = solution

    def __reduce__(self) -> tuple[type[SolverError], tuple[Any]]:
        return type(self), (self.solution,)  # an error's own way passes the message alone


class Solution(NamedTuple):
    """What every solver of this library returns, as a pytree.

    Args:
        params: the last (and feasible) parameters.
        code: why it stopped, as an integer array; read it through `result`.
        stats: what happened, a dictionary of numbers and of arrays with an entry a step.
        state: where the run stands: pass it to the same solver in the place of a start, with the
            same data, to go on.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> sol = nl.Solution(params=None, code=jnp.array(1), stats={"num_steps": 3}, state=None)
        >>> sol.result.name
        'max_steps'
        >>> sol
        <Solution: max_steps, num_steps 3>
    """

    params: Params
    code: Array
    stats: dict[str, Any]
    state: Any

    @property
    def result(self) -> Any:
        """The `RESULTS` member; for a batch of solutions, an object array of them."""
        return result_of(self.code)

    def __repr__(self) -> str:
        if not is_concrete(self.code):
            return "<Solution: traced>"
        if np.ndim(self.code):
            counts = Counter(member.name for member in np.ravel(self.result))
            runs = ", ".join(f"{count} {name}" for name, count in counts.items())
            return f"<Solution: {np.size(self.code)} runs: {runs}>"
        shown = ("num_steps", "loss", "residual", "stationarity")
        facts = [f"{k} {float(self.stats[k]):.3g}" for k in shown if k in self.stats]
        return f"<Solution: {', '.join([self.result.name, *facts])}>"


def finish(solution: Solution, tol: Any, throw: bool) -> Solution:
    """`completed` where that was asked for; histories cut; an error if asked for and not met."""
    check_bool("throw", throw)
    out_of_steps = jnp.isin(
        solution.code, jnp.asarray([RESULTS.max_steps.code, RESULTS.damped.code])
    )
    done = out_of_steps & (jnp.asarray(tol) == 0)
    code = jnp.where(done, RESULTS.completed.code, solution.code).astype(solution.code.dtype)
    solution = solution._replace(code=code)
    if not is_concrete(code):
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
    met = (RESULTS.converged, RESULTS.completed)
    if throw and any(result not in met for result in np.ravel(solution.result)):
        raise SolverError(solution)
    return solution
