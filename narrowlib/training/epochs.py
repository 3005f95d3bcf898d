"""The compiled part of training: epochs over minibatches, kept feasible, guarded against NaN.

Parameters of Flax NNX modules go by their path, such as "layers.0.kernel".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.constraints.base import Constraint
from narrowlib.constraints.paths import named_leaves, project_by_path
from narrowlib.solvers.result import RESULTS
from narrowlib.training.minibatches import batches_of_epoch

Loss = Callable[[Array, Array], Array]
Functions = tuple[tuple[str, Loss], ...]
EVALUATED = 1000  # samples that are evaluated together
LONGEST = 200  # characters of another library's error


def path_name(path: tuple[Any, ...]) -> str:
    """Keys of dictionaries and lists, joined by dots; the variable's own field is left out."""
    keys = (getattr(key, "key", getattr(key, "idx", None)) for key in path)
    return ".".join(str(key) for key in keys if key is not None)


def parameters_by_path(module: Any) -> dict[str, Array]:
    """Every `nnx.Param` of a module, by its path."""
    return named_leaves(nnx.state(module, nnx.Param))[0]


def with_parameters(module: Any, changed: dict[str, Array]) -> Any:
    """The module with some parameters replaced, in place."""
    leaves, treedef = named_leaves(nnx.state(module, nnx.Param))
    nnx.update(module, jax.tree.unflatten(treedef, list((leaves | changed).values())))
    return module


class Parts(NamedTuple):
    """A module taken apart, in training or in evaluation mode.

    Args:
        name: of its class.
        structure: all but its arrays.
        params: its parameters.
        rest: its other variables (running means, random states, …).
    """

    name: str
    structure: Any
    params: Any
    rest: Any


def take_apart(module: Any, *, train: bool) -> Parts:
    """The parts of a copy of a module in one of its two modes."""
    copy = nnx.clone(module)
    if train:
        copy.train()
    else:
        copy.eval()
    return Parts(type(module).__name__, *nnx.split(copy, nnx.Param, ...))


class Program(NamedTuple):
    """What is fixed at compile time.

    Args:
        train: the module's structure while it trains (dropout on, …).
        evaluate: its structure while it is evaluated.
        optimizer: an Optax transformation.
        loss: of outputs and targets, a mean over the samples.
        batch_size: samples a step; None for all.
    """

    train: Any
    evaluate: Any
    optimizer: optax.GradientTransformationExtraArgs
    loss: Loss
    batch_size: int | None


class TrainingState(NamedTuple):
    """Where a run stands: all that the next epoch needs.

    Args:
        params: the module's parameters, feasible.
        rest: its other variables (running means, random states, …).
        good: the last parameters and other variables whose loss was finite.
        opt_state: the optimiser's state.
        num_epochs: epochs done.
        num_steps: steps taken.
        code: a `RESULTS` code; `max_steps` while the run may go on.
    """

    params: Any
    rest: Any
    good: tuple[Any, Any]
    opt_state: Any
    num_epochs: Array
    num_steps: Array
    code: Array


def alike(new: Any, old: Any) -> Any:
    """The new arrays in the precision of the old: a loop's state keeps its types."""
    return jax.tree.map(lambda a, b: a if a.dtype == b.dtype else a.astype(b.dtype), new, old)


def settled(leaf: Any) -> Array:
    """A leaf as an array whose type is its own, so that the first epochs compile all epochs."""
    leaf = leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf)
    return jnp.asarray(leaf, leaf.dtype) if getattr(leaf, "weak_type", False) else leaf


def first_state(
    program: Program, constraints: dict[str, Constraint], params: Any, rest: Any
) -> TrainingState:
    """The state before the first epoch, at the projection of the parameters.

    Raises:
        ValueError: if a set does not fit its parameter.
    """
    params, rest = jax.tree.map(settled, (params, rest))
    leaves, treedef = named_leaves(params)
    for path, constraint in constraints.items():
        leaves[path] = _projected(path, constraint, leaves[path])
    params = jax.tree.unflatten(treedef, list(leaves.values()))
    zero = jnp.zeros((), int)
    return TrainingState(
        params=params,
        rest=rest,
        good=(params, rest),
        opt_state=jax.tree.map(settled, program.optimizer.init(params)),
        num_epochs=zero,
        num_steps=zero,
        code=jnp.asarray(RESULTS.max_steps.code, int),
    )


def _projected(path: str, constraint: Constraint, leaf: Array) -> Array:
    argument, what = f"constraints[{path!r}]", type(constraint).__name__
    try:
        moved = constraint.project(leaf)
    except (TypeError, ValueError) as error:
        mend = f"It cannot project that parameter, of shape {leaf.shape}: {first_line(error)}"
        fail(argument, what, mend)
    if moved.shape != leaf.shape:
        fail(argument, what, f"It makes {moved.shape} of a parameter of shape {leaf.shape}.")
    return alike(moved, leaf)


def first_line(error: Exception) -> str:
    """What an error of another library says, in a line that is not too long."""
    line, *_ = str(error).strip().splitlines() or [type(error).__name__]
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    return line if line.endswith(".") else f"{line}."


@partial(jax.jit, static_argnames=("program", "epochs"))
def run_epochs(
    program: Program,
    constraints: dict[str, Constraint],
    state: TrainingState,
    X: Array,
    y: Array,
    key: Array,
    epochs: int,
) -> tuple[TrainingState, Array]:
    """A number of epochs; the loss of every step, on its minibatch and before the step."""
    n = X.shape[0]

    def guarded(state: TrainingState, rows: Array | None) -> tuple[TrainingState, Array]:
        going = state.code == RESULTS.max_steps.code
        batch = (X, y) if rows is None else (X[rows], y[rows])
        after, loss = _step(program, constraints, state, *batch)
        held = jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state)
        return held, jnp.where(going, loss, jnp.nan)

    def epoch(state: TrainingState, _: None) -> tuple[TrainingState, Array]:
        if program.batch_size is None:
            state, losses = guarded(state, None)
            losses = losses[None]
        else:
            rows = batches_of_epoch(key, state.num_epochs, n, program.batch_size)
            state, losses = jax.lax.scan(guarded, state, rows)
        return state._replace(num_epochs=state.num_epochs + 1), losses

    state, losses = jax.lax.scan(epoch, state, length=epochs)
    return state, losses.reshape(-1)


def advance(
    program: Program,
    constraints: dict[str, Constraint],
    state: TrainingState,
    X: Array,
    y: Array,
    key: Array,
    epochs: int,
) -> tuple[TrainingState, np.ndarray]:
    """The same as `run_epochs`, with the losses on the host.

    Raises:
        ValueError: if the optimiser cannot make a step; all else was checked before.
    """
    try:
        state, losses = run_epochs(program, constraints, state, X, y, key, epochs)
    except (KeyError, TypeError, ValueError) as error:
        mend = f"It cannot make a step: {first_line(error)}"
        fail("optimizer", "one that does not fit", mend)
    return state, np.asarray(losses)


def _step(
    program: Program,
    constraints: dict[str, Constraint],
    state: TrainingState,
    X: Array,
    y: Array,
) -> tuple[TrainingState, Array]:
    def loss(params: Any) -> tuple[Array, Any]:
        rest = jax.tree.map(lambda x: x, state.rest)  # variables that belong to this trace
        module = nnx.merge(program.train, params, rest)
        value = program.loss(module(X), y)
        return value, nnx.split(module, nnx.Param, ...)[2]

    (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    # for optimisers that look at the loss, on this batch and with this dropout
    given = {"value": value, "grad": gradient, "value_fn": lambda params: loss(params)[0]}
    updates, opt_state = program.optimizer.update(gradient, state.opt_state, state.params, **given)
    moved = alike(optax.apply_updates(state.params, updates), state.params)
    params = project_by_path(constraints, moved)
    finite = jnp.isfinite(value)
    for leaf in jax.tree.leaves(params):
        finite &= jnp.all(jnp.isfinite(leaf))
    here = (state.params, state.rest)
    good = jax.tree.map(partial(jnp.where, jnp.isfinite(value)), here, state.good)
    code = jnp.where(finite, state.code, RESULTS.non_finite.code).astype(state.code.dtype)
    steps = state.num_steps + finite.astype(state.num_steps.dtype)
    kept = alike((rest, opt_state), (state.rest, state.opt_state))
    after = TrainingState(params, kept[0], good, kept[1], state.num_epochs, steps, code)
    return after, value.astype(jnp.result_type(float))


@partial(jax.jit, static_argnames="structure")
def outputs_of(structure: Any, params: Any, rest: Any, X: Array) -> Any:
    """What a module makes of a batch."""
    return nnx.merge(structure, params, rest)(X)


@partial(jax.jit, static_argnames=("structure", "functions"))
def _measured(
    structure: Any, functions: Functions, params: Any, rest: Any, X: Array, y: Array
) -> dict[str, Array]:
    outputs = nnx.merge(structure, params, rest)(X)
    return {name: function(outputs, y) for name, function in functions}


def measure(parts: Parts, functions: Functions, X: Array, y: Array) -> dict[str, float]:
    """Means over the samples of functions of outputs and targets, batch by batch."""
    totals = dict.fromkeys((name for name, _ in functions), 0.0)
    for i in range(0, len(X), EVALUATED):
        batch = X[i : i + EVALUATED], y[i : i + EVALUATED]
        for name, value in _measured(parts.structure, functions, *parts[2:], *batch).items():
            totals[name] += float(value) * len(batch[0]) / len(X)
    return totals


def predict(parts: Parts, X: Array) -> Any:
    """A module's outputs on all samples, batch by batch."""
    chunks = [X[i : i + EVALUATED] for i in range(0, len(X), EVALUATED)]
    outputs = [outputs_of(*parts[1:], chunk) for chunk in chunks]
    return jax.tree.map(lambda *each: jnp.concatenate(each), *outputs)
