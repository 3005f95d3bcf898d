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
from narrowlib.training.lifted import AsGiven, Pattern
from narrowlib.training.minibatches import batches_of_epoch

Loss = Callable[[Array, Array], Array]
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
        update: the optimiser's, its numbers apart where that can be; see `lifted.py`.
        loss: of outputs and targets, a mean over the samples.
        batch_size: samples a step; None for all.
    """

    train: Any
    evaluate: Any
    update: AsGiven | Pattern
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
    optimizer: optax.GradientTransformationExtraArgs,
    constraints: dict[str, Constraint],
    params: Any,
    rest: Any,
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
        opt_state=jax.tree.map(settled, optimizer.init(params)),
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


@partial(jax.jit, static_argnames=("program", "epochs", "guarded"))
def run_epochs(
    program: Program,
    numbers: tuple,
    constraints: dict[str, Constraint],
    state: TrainingState,
    X: Array,
    y: Array,
    key: Array,
    epochs: int,
    guarded: bool,
) -> tuple[TrainingState, Array]:
    """A number of epochs; the loss of every step, on its minibatch and before the step.

    Unguarded, nothing is held back where a loss or a parameter is not finite: the code tells.
    """

    def step(state: TrainingState, batch: Any) -> tuple[TrainingState, Array]:
        samples, targets = batch
        samples = X if program.batch_size is None else X[samples]
        after, loss = _step(program, numbers, constraints, state, samples, targets)
        if not guarded:
            return after, loss
        going = state.code == RESULTS.max_steps.code
        good = jax.tree.map(
            partial(jnp.where, jnp.isfinite(loss)), (state.params, state.rest), state.good
        )
        after = after._replace(good=good)
        held = jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state)
        return held, jnp.where(going, loss, jnp.nan)

    def epoch(state: TrainingState, _: None) -> tuple[TrainingState, Array]:
        if program.batch_size is None:
            state, losses = step(state, (None, y))
            losses = losses[None]
        else:
            rows = batches_of_epoch(key, state.num_epochs, X.shape[0], program.batch_size)
            state, losses = jax.lax.scan(step, state, (rows, y[rows]))
        return state._replace(num_epochs=state.num_epochs + 1), losses

    state, losses = jax.lax.scan(epoch, state, length=epochs)
    return state, losses.reshape(-1)


def advance(
    program: Program,
    numbers: tuple,
    constraints: dict[str, Constraint],
    state: TrainingState,
    X: Array,
    y: Array,
    key: Array,
    epochs: int,
) -> tuple[TrainingState, np.ndarray]:
    """The same as `run_epochs`, with the losses on the host.

    What guards against NaN costs as much as a small step: it is left out, and epochs in which
    something was not finite are gone through again with it.

    Raises:
        ValueError: if the optimiser cannot make a step; all else was checked before.
    """
    run = partial(run_epochs, program, numbers, constraints, state, X, y, key, epochs)
    try:
        after, losses = run(guarded=False)
        if int(after.code) != RESULTS.max_steps.code:
            after, losses = run(guarded=True)
    except (KeyError, TypeError, ValueError) as error:
        mend = f"It cannot make a step: {first_line(error)}"
        fail("optimizer", "one that does not fit", mend)
    return after, np.asarray(losses)


def _step(
    program: Program,
    numbers: tuple,
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
    updates, opt_state = program.update(numbers, gradient, state.opt_state, state.params, given)
    moved = alike(optax.apply_updates(state.params, updates), state.params)
    params = project_by_path(constraints, moved)
    finite = jnp.isfinite(value)
    for leaf in jax.tree.leaves(params):
        finite &= jnp.all(jnp.isfinite(leaf))
    code = jnp.where(finite, state.code, RESULTS.non_finite.code).astype(state.code.dtype)
    steps = state.num_steps + finite.astype(state.num_steps.dtype)
    kept = alike((rest, opt_state), (state.rest, state.opt_state))
    here = (state.params, state.rest)
    after = TrainingState(params, kept[0], here, kept[1], state.num_epochs, steps, code)
    return after, value.astype(jnp.result_type(float))
