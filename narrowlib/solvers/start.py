"""Where a run starts: at weights, or where an earlier run ended."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from narrowlib._checks import check_int, check_number, fail, shown
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_finite_problem, check_problem

State = TypeVar("State")


class Given(NamedTuple):
    """What a run is given, checked; the start is `Params` or a state."""

    start: Any
    X: Array
    y: Array
    sigma: Activation
    tol: Array
    max_steps: int


def read_run(
    start: Any,
    X: ArrayLike,
    y: ArrayLike,
    states: type,
    activation: str | Activation,
    tol: Any,
    max_steps: Any,
) -> Given:
    """The arguments of a run, which may go on from one of these `states`."""
    max_steps = check_int("max_steps", max_steps, 1)
    check_number("tol", tol, minimum=0)
    sigma = get_activation(activation)
    if isinstance(start, states):
        X, y = read_data(start, X, y)
    else:
        start, X, y = read_problem(start, X, y)
    return Given(start, X, y, sigma, jnp.asarray(tol, X.dtype), max_steps)


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
