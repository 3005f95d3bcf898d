"""A run on the host, once all arguments are checked: epochs, reports, checkpoints, the end."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.constraints.base import Constraint
from narrowlib.solvers.result import RESULTS
from narrowlib.training.checkpoints import Checkpoints, Saved, open_checkpoints
from narrowlib.training.epochs import Parts, Program, TrainingState, advance
from narrowlib.training.evaluation import Functions, measure
from narrowlib.training.fingerprints import behaviour, data_hash, fingerprint
from narrowlib.training.progress import progress_bar
from narrowlib.training.reports import Course
from narrowlib.training.run import TrainingRun


class Plan(NamedTuple):
    """What a run is to do; all of it was checked.

    Args:
        program: what is fixed at compile time.
        numbers: those of the optimiser that are not.
        optimizer: the Optax transformation itself.
        structure: of the module, in the mode in which it was given.
        start: the state before the first epoch.
        sets: constraints by path.
        X: samples.
        y: targets.
        key: for the order of the samples.
        epochs: how many.
        report_every: epochs between two reports.
        functions: the loss and the metrics, by name.
        held_out: validation data; None without.
    """

    program: Program
    numbers: tuple
    optimizer: optax.GradientTransformationExtraArgs
    structure: Any
    start: TrainingState
    sets: dict[str, Constraint]
    X: Array
    y: Array
    key: Array
    epochs: int
    report_every: int
    functions: Functions
    held_out: tuple[Array, Array] | None


def carry_out(plan: Plan, course: Course, folder: Any, progress: bool | None) -> TrainingRun:
    """Train until the epochs are done, or the run diverges or is stopped.

    Args:
        plan: what to do.
        course: what is known so far; it is written on.
        folder: for checkpoints; None for none.
        progress: see `progress_bar`.
    """
    state, saved, validation = plan.start, None, None
    with contextlib.ExitStack() as stack:
        if folder is not None:
            saved = stack.enter_context(open_checkpoints(folder, _name(plan)))
            state, validation = _resumed(plan, course, saved)
        bar = stack.enter_context(progress_bar(plan.epochs, shown=progress))
        while (done := int(state.num_epochs)) < plan.epochs and not course.ended():
            now = min(plan.report_every - done % plan.report_every, plan.epochs - done)
            given = (plan.sets, state, plan.X, plan.y, plan.key, now)
            state, new = advance(plan.program, plan.numbers, *given)
            course.losses.append(new)
            if _diverged(state):
                break
            here = state.params, state.rest
            course.report(done + now, new, _validate(plan, *here), here)
            if saved is not None:
                saved.save(_to_save(state, course, validation))
            bar(done + now, float(new[-1]))
    return _end(plan, state, course)


def _diverged(state: TrainingState) -> bool:
    return int(state.code) == RESULTS.non_finite.code


def _validate(plan: Plan, params: Any, rest: Any) -> dict[str, float]:
    if plan.held_out is None:
        return {}
    parts = Parts("", plan.program.evaluate, params, rest)
    return measure(parts, plan.functions, *plan.held_out)


def _name(plan: Plan) -> str:
    """What tells this run from others."""
    start, batch_size = plan.start, plan.program.batch_size or 0
    given = (start, plan.sets, plan.X, plan.y, plan.key, batch_size)
    return fingerprint(given, behaviour(plan.program, plan.optimizer, start, plan.X, plan.y))


def _to_save(state: TrainingState, course: Course, validation: str | None) -> Saved:
    notes = {"records": course.records, "stopped": course.stopped, "validation": validation}
    losses = np.concatenate(course.losses)
    return Saved(int(state.num_epochs), state, course.best, losses, notes)


def _resumed(plan: Plan, course: Course, saved: Checkpoints) -> tuple[TrainingState, str | None]:
    """Go on from the newest checkpoint, or from the start where there is none.

    Returns:
        The state, and the hash of the data on which the run is or was validated.
    """
    start, validation = plan.start, data_hash(*plan.held_out) if plan.held_out else None
    found = saved.latest(Saved(0, start, (start.params, start.rest), np.zeros(0), {}))
    if found is None:
        return start, validation
    if found.epoch > plan.epochs:
        mend = f"The folder holds {found.epoch} epochs: pass at least that, or another."
        fail("epochs", plan.epochs, mend)
    if validation and found.notes["validation"] not in (None, validation):
        mend = "The run in the folder was validated on others: pass those, or an empty folder."
        fail("validation", "other data", mend)
    _check_metrics(plan, found)
    course.best, course.losses = found.best, [found.losses]
    course.records, course.stopped = found.notes["records"], found.notes["stopped"]
    return found.state, validation or found.notes["validation"]


def _check_metrics(plan: Plan, found: Saved) -> None:
    """A metric has to say of the last checkpoint what it said then; the loss is in the name."""
    last = (found.notes["records"] or [{"epoch": -1}])[-1]
    if last["epoch"] != found.epoch:
        return
    for name, now in _validate(plan, found.state.params, found.state.rest).items():
        # a sample near a boundary may change its class on another machine
        if name != "loss" and not np.isclose(now, last.get(name, now), 0.05, 1e-6, equal_nan=True):
            mend = (
                f"The run in the folder measured {last[name]:g} where it gives {now:g}: "
                "take another name, or an empty folder."
            )
            fail(f"metrics[{name!r}]", "another function", mend)


def _end(plan: Plan, state: TrainingState, course: Course) -> TrainingRun:
    diverged = _diverged(state)
    params, rest = state.good if diverged else (state.params, state.rest)
    code = RESULTS.stopped.code if course.ended() else RESULTS.completed.code
    names = ("epoch", *(name for name, _ in plan.functions)) if course.records else ()
    columns = {k: np.array([r.get(k, np.nan) for r in course.records]) for k in names}
    losses = np.concatenate(course.losses)[: int(state.num_steps) + diverged]
    n = len(plan.X)
    return TrainingRun(
        module=nnx.merge(plan.structure, params, rest),
        code=state.code if diverged else jnp.asarray(code),
        history={"loss": losses, "validation": columns},
        best=nnx.merge(plan.structure, *course.best) if course.best else None,
        steps_per_epoch=n // (plan.program.batch_size or n),
        functions=plan.functions,
    )
