"""Where a run starts: at weights, or where an earlier run ended."""

from __future__ import annotations

from typing import Any, TypeVar

from jaxtyping import Array, ArrayLike

from narrowlib._checks import fail, shown
from narrowlib.network.model import Params, check_finite_problem, check_problem

State = TypeVar("State")


def read_start(start: Any, X: ArrayLike, y: ArrayLike, states: type) -> tuple[Any, Array, Array]:
    """The start, `Params` or one of these `states`, and the data, checked."""
    if isinstance(start, states):
        return start, *read_data(start, X, y)
    return read_problem(start, X, y)


def read_problem(params: Any, X: ArrayLike, y: ArrayLike) -> tuple[Params, Array, Array]:
    """Weights and data, checked."""
    params, X, y = check_problem(params, X, y)
    check_finite_problem(params, X, y)
    return params, X, y


def read_state(state: Any, states: type[State]) -> State:
    """One of these states."""
    if not isinstance(state, states):
        mend = f"Pass a {states.__name__}: what `init` or `step` gave, or a solution's `state`."
        fail("state", shown(state), mend)
    return state


def read_data(state: Any, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """The data of an earlier run, as far as shapes tell."""
    _, X, y = read_problem(state.params, X, y)
    if state.residual.shape != y.shape:
        fail("y", f"shape {y.shape}", f"The state's run had {state.residual.shape}: go on with it.")
    return X, y
