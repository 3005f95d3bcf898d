"""What the solvers of the constrained problem share: `init`, `step` and `run`."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import jax
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import is_concrete
from narrowlib._runs import runs
from narrowlib.constraints.base import Product
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params
from narrowlib.solvers.loop import End, Row, iterate, judge, running
from narrowlib.solvers.measure import Data, block_units, prepare, shown_unit
from narrowlib.solvers.result import Solution, finish
from narrowlib.solvers.start import read_data, read_problem, read_run, read_state

State = TypeVar("State")


class ConstrainedSolver(Generic[State]):
    """A method on a product of two sets: a subclass says what a state is, and what one step does.

    A state has `params`, `residual`, `loss`, `gradient`, `stationarity`, `num_steps` and `code`.
    """

    constraint: Product
    _states: ClassVar[type]
    _tried: ClassVar[str]  # what a step tries, as the history calls it
    _loop: ClassVar[Any] = staticmethod(iterate)

    def _traced(self) -> Any:
        """The solver as compiled programs take it."""
        return self

    def _checked(self, given: tuple) -> tuple:
        """The solver and its arguments; a derivative that cannot be had is refused in words."""
        return given

    def _first(self, params: Params, data: Data, sigma: Activation) -> State:
        """The state at feasible parameters."""
        raise NotImplementedError

    def _shared(self, data: Data) -> Any:
        """What is made once and used by all steps."""
        return None

    def _advance(
        self, state: State, data: Data, shared: Any, sigma: Activation
    ) -> tuple[State, Array]:
        """One step, or a code that says why none is possible; and what it tried."""
        raise NotImplementedError

    @property
    def _blind(self) -> bool:
        """Whether steps can do without the measure, so that `tol=0` takes all by `_all_steps`."""
        return False

    def _all_steps(
        self, state: State, code: Array, data: Data, sigma: Activation, max_steps: int
    ) -> End:
        """All steps, if the code of the first state says that they may be taken."""
        raise NotImplementedError

    @runs("jit and grad")
    def init(
        self,
        params: Params,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
    ) -> State:
        """The state of a run that starts at the projection of `params`.

        Args:
            params: weights `W` (m, d) and `v` (m,) or (m, K).
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.

        Returns:
            The state before the first step.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
        """
        params, X, y = read_problem(params, X, y)
        return _first_state(self._traced(), params, X, y, get_activation(activation))

    @runs("jit and grad")
    def step(
        self,
        state: State,
        X: Float[ArrayLike, "n d"],
        y: Float[ArrayLike, "n *K"],
        *,
        activation: str | Activation = "tanh",
    ) -> State:
        """One step. `state.code` says if none was possible; stopping at a tolerance is `run`'s.

        Args:
            state: from `init` or from the last `step`.
            X: samples, shape (n, d).
            y: targets, shape (n,) or (n, K).
            activation: a name of `activations()` or an `Activation`.

        Returns:
            The state after the step.

        Raises:
            ValueError: if shapes or precisions do not match, or an entry is not finite.
        """
        self, state, X, y = self._checked((self, state, X, y))
        state = read_state(state, self._states)
        X, y = read_data(state, X, y)
        return _next_state(self._traced(), state, X, y, get_activation(activation))

    def _solve(
        self,
        start: Params | State,
        X: ArrayLike,
        y: ArrayLike,
        activation: str | Activation,
        max_steps: int,
        tol: float,
        throw: bool,
    ) -> Solution:
        """A run, as one compiled program after `init`; its arguments are checked here."""
        self, start, X, y = self._checked((self, start, X, y))
        solver = self._traced()
        given = read_run(start, X, y, self._states, activation, tol, max_steps)
        if isinstance(given.start, Params):
            first = _first_state(solver, given.start, given.X, given.y, given.sigma)
            given = given._replace(start=first)
        blind = solver._blind and is_concrete(tol) and float(tol) == 0
        end, unit = _run(solver, *given, blind=blind)
        state = end.state
        stats = {
            "loss": state.loss,
            "stationarity": state.stationarity,
            "unit": unit,
            "num_steps": end.steps,
            "history": end.history,
        }
        return finish(Solution(state.params, state.code, stats, state), tol, throw)


@partial(jax.jit, static_argnames="sigma")
def _first_state(solver: Any, params: Params, X: Array, y: Array, sigma: Activation) -> Any:
    """The state at the projection of the parameters."""
    return solver._first(solver.constraint.project(params), prepare(X, y), sigma)


@partial(jax.jit, static_argnames="sigma")
def _next_state(solver: Any, state: Any, X: Array, y: Array, sigma: Activation) -> Any:
    """The state after one step."""
    data = prepare(X, y)
    return solver._advance(state._replace(code=running()), data, solver._shared(data), sigma)[0]


@partial(jax.jit, static_argnames=("sigma", "max_steps", "blind"))
def _run(
    solver: Any,
    state: Any,
    X: Array,
    y: Array,
    sigma: Activation,
    tol: Array,
    max_steps: int,
    blind: bool,
) -> tuple[End, Array]:
    """Steps until the measure is at most `tol`, and the unit of the measure at the end."""
    data = prepare(X, y)
    shared = solver._shared(data)

    def judged(state: Any, tried: Array) -> tuple[Any, Array, Row]:
        met, ready = state.stationarity <= tol, getattr(state, solver._tried)
        code = judge(state.code, met, state.loss, ready)
        row = {"loss": state.loss, "stationarity": state.stationarity, solver._tried: tried}
        return state._replace(code=code), code, row

    def step(state: Any) -> tuple[Any, Array, Row]:
        return judged(*solver._advance(state, data, shared, sigma))

    first = judged(state._replace(code=running()), getattr(state, solver._tried))
    if blind:
        end = solver._all_steps(*first[:2], data, sigma, max_steps)
        end = end._replace(state=judged(end.state, end.state.step_size)[0])
    else:
        end = solver._loop(step, *first, max_steps)
    state = end.state
    units = block_units(linearize(state.params, X, sigma), data)
    unit = shown_unit(solver.constraint, state.params, state.gradient, units, state.stationarity)
    return end, unit
