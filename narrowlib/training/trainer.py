"""`ConstrainedTrainer`: any Flax module, any Optax optimiser, constraints by parameter path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, ArrayLike, Key, Shaped

from narrowlib._checks import (
    check_bool,
    check_function,
    check_int,
    check_module,
    check_optimizer,
    fail,
    shown,
)
from narrowlib._runs import runs
from narrowlib.constraints.base import Constraint
from narrowlib.constraints.kernels import placed
from narrowlib.network.model import half_mean_squared_error
from narrowlib.solvers.result import RESULTS, SolverError
from narrowlib.training.epochs import Loss, Program, first_state, parameters_by_path, take_apart
from narrowlib.training.fitting import Plan, carry_out
from narrowlib.training.hyperparams import with_hyperparams
from narrowlib.training.lifted import without_numbers
from narrowlib.training.minibatches import check_batches
from narrowlib.training.reports import Callback, Course, check_callbacks, check_patience
from narrowlib.training.run import TrainingRun
from narrowlib.training.samples import check_data, check_pair

REPORTS = 100  # at most so many pauses in a run, unless asked for more


class ConstrainedTrainer:
    r"""Train a Flax NNX module with an Optax optimiser, inside a feasible set.

    After each step every constrained parameter is moved to the nearest point of its set:

    $$\theta_{k+1} = P_C\bigl(\theta_k + u(\nabla \ell_{B_k}(\theta_k))\bigr)$$

    With plain `optax.sgd` that is the paper's projected gradient method. After Adam it is no
    projected gradient step, and its fixed points need not be KKT points (see `projected`).

    Epochs are compiled; data stays on the device. In an epoch every sample is seen once, in a
    random order, but for the n mod `batch_size` last ones. A run with another learning rate (or
    schedule of the same kind), radius or seed compiles nothing anew.

    What it takes:

    - **Modules**: Flax NNX, with any layers; dropout and running means are carried along.
    - **Optimisers**: any Optax transformation, also schedules, `optax.MultiSteps`, `optax.lbfgs`
      and others that look at the loss: they receive the loss of the minibatch, before projection.
    - **Samples**: arrays, lists, frames, with n in front. They take the parameters' precision;
      whole numbers stay whole, as an embedding wants them.
    - **Targets**: numbers or truth values of the outputs' shape, one-hot rows among them; or, for
      outputs (n, K), classes (n,): whole numbers from 0 to K − 1. A loss that takes classes, such
      as `optax.softmax_cross_entropy_with_integer_labels`, gets one-hot rows as classes.
    - **Losses and metrics**: functions of outputs and targets, means over the samples.

    Args:
        optimizer: an Optax transformation, with learning-rate schedules if wanted.
        constraints: sets by parameter path, such as `{"hidden.kernel": BallAroundStart(3.0)}`. A
            value is a constraint (`OfNeurons(PairedCone(...), axis=-2)`), or a rule that makes one
            from the parameter at the start (`BallAroundStart`, `ConeAroundStart`, any function).
        loss: a function of outputs and targets, a mean over the samples. Use a named function:
            each new `lambda` is compiled anew.
        metrics: more functions like it, by name, for validation. "loss" and "epoch" are taken.
        batch_size: samples a step; None for all of them.

    Raises:
        ValueError: if the optimiser, a constraint, the loss, a metric or the batch size is none.

    Example:
        >>> import jax, optax
        >>> import narrowlib as nl
        >>> data = nl.gaussian(jax.random.key(0), n=40, d=10)
        >>> start = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(1), d=10, m=16))
        >>> trainer = nl.ConstrainedTrainer(
        ...     optax.sgd(0.3),
        ...     {"W": nl.BallAroundStart(3.0), "v": nl.PairedCone(zeta=0.1, kappa=10.0)},
        ... )
        >>> run = trainer.fit(start, data.X, data.y, epochs=500)
        >>> run.result.name, bool(run.history["loss"][-1] < run.history["loss"][0] / 10)
        ('completed', True)

    References:
        Zhang et al. (2021), Algorithm 2; chapter "Use it in your course".
    """

    def __init__(
        self,
        optimizer: optax.GradientTransformation,
        constraints: Mapping[str, Constraint | Callable[[Any], Constraint]] | None = None,
        *,
        loss: Loss = half_mean_squared_error,
        metrics: Mapping[str, Loss] | None = None,
        batch_size: int | None = None,
    ):
        self.optimizer = check_optimizer("optimizer", optimizer)
        self.constraints = _dictionary("constraints", constraints, '{"W": nl.BallAroundStart(1.0)}')
        for path, rule in self.constraints.items():
            is_set = isinstance(rule, Constraint)
            if not (is_set or callable(rule)) or rule is Constraint or _is_set_class(rule):
                mend = "Pass a constraint or a rule, which makes one of the parameter at the start."
                fail(f"constraints[{path!r}]", shown(rule), mend)
        self.loss = check_function("loss", loss, "nl.half_mean_squared_error")
        made = _dictionary("metrics", metrics, '{"accuracy": accuracy}')
        for name, metric in made.items():
            if name in ("epoch", "loss"):
                fail("metrics", repr(name), "The history has a column of that name: take another.")
            check_function(f"metrics[{name!r}]", metric, "accuracy(outputs, y)")
        self.metrics = tuple(made.items())
        self.batch_size = None if batch_size is None else check_int("batch_size", batch_size, 1)

    @property
    def functions(self) -> tuple[tuple[str, Loss], ...]:
        """The loss and the metrics, by name."""
        return (("loss", self.loss), *self.metrics)

    @runs("jit and grad")
    def sets(self, module: Any) -> dict[str, Constraint]:
        """The feasible set around a module's parameters, path by path.

        Args:
            module: a Flax NNX module, as it is when training starts.

        Returns:
            A constraint for each constrained path.

        Raises:
            ValueError: if the module has no such parameter, or a rule makes no constraint of it.
        """
        there, sets = parameters_by_path(check_module("module", module)), {}
        for path, rule in self.constraints.items():
            if path not in there:
                fail("constraints", repr(path), f"The module's parameters are {', '.join(there)}.")
            rule = placed(rule, module, path)
            made = rule if isinstance(rule, Constraint) else rule(there[path])
            if not isinstance(made, Constraint):
                fail(f"constraints[{path!r}]", shown(made), "Let the rule return a constraint.")
            sets[path] = made
        return sets

    @runs("host")
    def violation(self, module: Any, start: Any) -> float:
        """How far a module is from the feasible set around a start, in the Euclidean norm.

        Args:
            module: a Flax NNX module.
            start: the module from which training started, of the same parameters.

        Returns:
            The distance, 0 in the set.

        Raises:
            ValueError: if one of the two is no module, or they differ in a constrained parameter.
        """
        there = parameters_by_path(check_module("module", module))
        begun = parameters_by_path(check_module("start", start))
        each = []
        for path, constraint in self.sets(start).items():
            found = there[path].shape if path in there else "none"
            if found != begun[path].shape:
                mend = f"The start has {begun[path].shape}: pass a module like it."
                fail("module", f"the parameter {path} of shape {found}", mend)
            each.append(float(constraint.violation(there[path])))
        return float(np.linalg.norm(each)) if each else 0.0

    @runs("host")
    def fit(
        self,
        module: Any,
        X: Shaped[ArrayLike, "n *shape"],
        y: Shaped[ArrayLike, "n *K"],
        *,
        epochs: int,
        key: Key[Array, ""] | None = None,
        validation: tuple[Any, Any] | None = None,
        report_every: int | None = None,
        patience: int | None = None,
        callbacks: Sequence[Callback] | Callback = (),
        checkpoints: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        throw: bool = True,
        hyperparams: Mapping[str, float] | None = None,
    ) -> TrainingRun:
        """Train for a number of epochs, from a module that is left as it is.

        Every `report_every` epochs the run pauses: the validation data are evaluated, callbacks
        are called, a checkpoint is written and the progress bar moves. With `checkpoints` a run
        that was killed goes on from the newest complete checkpoint when it is started again in
        the same way, and ends with the same bits as an unbroken run on the same number of cores.
        Where the newest was damaged since, a warning says so and the run goes on from the one
        before. Metrics and validation data may be added when a run goes on; the history has NaN
        for a metric that was not there.

        Args:
            module: a Flax NNX module that maps a batch of samples to a batch of outputs.
            X: samples, with n in front.
            y: targets or classes, with n in front.
            epochs: how many times the samples are gone through; with the full batch, steps.
            key: a JAX random key for the order of the samples; needed with `batch_size`.
            validation: (X, y) to evaluate in evaluation mode.
            report_every: epochs between two pauses; None for at most a hundred pauses a run.
            patience: stop where the validation loss has found no new minimum for so many epochs,
                as far as reports see; None for never.
            callbacks: functions of a report, which has `epoch`, `loss` (the mean since the report
                before) and `validation`, a dictionary. One that returns True stops the run.
            checkpoints: a folder for this run's checkpoints; the last two are kept. One process at
                a time may train in it.
            progress: True for a progress bar in terminals and notebooks, None for terminals
                only, False for none. It is gone when the run ends.
            throw: raise `SolverError` if the run diverges.
            hyperparams: other values for what `optax.inject_hyperparams` keeps in the optimiser's
                state: `{"learning_rate": 0.1}`.

        Returns:
            A `TrainingRun`.

        Raises:
            ValueError: if the arguments do not fit together, an entry of X or y is not finite,
                or the folder is in use, cannot be written, or holds another run, a longer one, or
                damaged checkpoints only.
            SolverError: with `throw`, if the loss or a parameter became NaN or infinite; its
                `solution` is the `TrainingRun`.
        """
        check_module("module", module)
        epochs = check_int("epochs", epochs, 1)
        report_every = -(-epochs // REPORTS) if report_every is None else report_every
        report_every = check_int("report_every", report_every, 1)
        check_bool("throw", throw)
        if progress is not None:
            check_bool("progress", progress)
        validated = validation is not None
        course = Course(check_callbacks(callbacks), check_patience(patience, validated))
        train, test = (take_apart(module, train=mode) for mode in (True, False))
        # by the names that messages use
        functions = (("loss", self.loss), *((f"metrics[{k!r}]", f) for k, f in self.metrics))
        X, y = check_data(("X", "y"), X, y, train, functions)
        names, held_out = ("validation[0]", "validation[1]"), None
        if validated:
            held_out = check_data(names, *check_pair("validation", validation), test, functions)
        batch_size, key = check_batches(self.batch_size, key, len(X))
        sets = self.sets(module)
        state = first_state(self.optimizer, sets, train.params, train.rest)
        if hyperparams is not None:
            state = state._replace(opt_state=with_hyperparams(hyperparams, state.opt_state))
        update, numbers = without_numbers(self.optimizer, state.params, state.opt_state)
        plan = Plan(
            program=Program(train.structure, test.structure, update, self.loss, batch_size),
            numbers=numbers,
            optimizer=self.optimizer,
            structure=nnx.graphdef(module),
            start=state,
            sets=sets,
            X=X,
            y=y,
            key=jax.random.key(0) if key is None else key,
            epochs=epochs,
            report_every=report_every,
            functions=self.functions,
            held_out=held_out,
        )
        run = carry_out(plan, course, checkpoints, progress)
        if throw and run.result is RESULTS.non_finite:
            raise SolverError(run)
        return run


def _dictionary(argument: str, value: Any, example: str) -> dict[str, Any]:
    value = {} if value is None else value
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        fail(argument, shown(value), f"Pass a dictionary such as {example}.")
    return dict(value)


def _is_set_class(rule: Any) -> bool:
    return isinstance(rule, type) and issubclass(rule, Constraint)
