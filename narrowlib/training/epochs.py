"""The compiled part of training: epochs over minibatches, kept feasible, guarded against NaN.

An epoch goes through the samples in an order that depends on the key and the epoch's number
alone, so that a run that was interrupted between epochs goes on exactly as it would have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from narrowlib.constraints.base import Constraint
from narrowlib.solvers.result import RESULTS
from narrowlib.training.paths import named_leaves

Loss = Callable[[Array, Array], Array]


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


def project_by_path(constraints: dict[str, Constraint], params: Any) -> Any:
    """The nearest feasible parameters."""
    leaves, treedef = named_leaves(params)
    return jax.tree.unflatten(
        treedef,
        [constraints[k].project(x) if k in constraints else x for k, x in leaves.items()],
    )


def first_state(
    program: Program, constraints: dict[str, Constraint], params: Any, rest: Any
) -> TrainingState:
    """The state before the first epoch, at the projection of the parameters."""
    params = project_by_path(constraints, params)
    zero = jnp.zeros((), int)
    return TrainingState(
        params=params,
        rest=rest,
        good=(params, rest),
        opt_state=program.optimizer.init(params),
        num_epochs=zero,
        num_steps=zero,
        code=jnp.asarray(RESULTS.max_steps.code),
    )


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
    size = n if program.batch_size is None else program.batch_size
    per_epoch = n // size

    def step(state: TrainingState, rows: Array | None) -> tuple[TrainingState, Array]:
        batch = (X, y) if rows is None else (X[rows], y[rows])
        return _step(program, constraints, state, *batch)

    def guarded(state: TrainingState, rows: Array | None) -> tuple[TrainingState, Array]:
        going = state.code == RESULTS.max_steps.code
        after, loss = step(state, rows)
        held = jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state)
        return held, jnp.where(going, loss, jnp.nan)

    def epoch(state: TrainingState, _: None) -> tuple[TrainingState, Array]:
        if program.batch_size is None:
            state, losses = guarded(state, None)
            losses = losses[None]
        else:
            order = jax.random.permutation(jax.random.fold_in(key, state.num_epochs), n)
            rows = order[: per_epoch * size].reshape(per_epoch, size)
            state, losses = jax.lax.scan(guarded, state, rows)
        return state._replace(num_epochs=state.num_epochs + 1), losses

    state, losses = jax.lax.scan(epoch, state, length=epochs)
    return state, losses.reshape(-1)


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
    updates, opt_state = program.optimizer.update(gradient, state.opt_state, state.params)
    params = project_by_path(constraints, optax.apply_updates(state.params, updates))
    finite = jnp.isfinite(value)
    for leaf in jax.tree.leaves(params):
        finite &= jnp.all(jnp.isfinite(leaf))
    here = (state.params, state.rest)
    good = jax.tree.map(partial(jnp.where, jnp.isfinite(value)), here, state.good)
    code = jnp.where(finite, state.code, RESULTS.non_finite.code).astype(state.code.dtype)
    steps = state.num_steps + finite.astype(state.num_steps.dtype)
    after = TrainingState(params, rest, good, opt_state, state.num_epochs, steps, code)
    return after, value.astype(jnp.result_type(float))


@partial(jax.jit, static_argnames=("program", "metrics"))
def evaluate(
    program: Program,
    metrics: tuple[tuple[str, Loss], ...],
    params: Any,
    rest: Any,
    X: Array,
    y: Array,
) -> dict[str, Array]:
    """The loss and the metrics of a batch, in evaluation mode."""
    outputs = nnx.merge(program.evaluate, params, rest)(X)
    return {name: metric(outputs, y) for name, metric in (("loss", program.loss), *metrics)}
