"""`ConstrainedTrainer`: any Flax module, any Optax optimiser, constraints by parameter path."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, ArrayLike, Key, Shaped

from narrowlib._checks import check_finite, check_int, fail
from narrowlib.constraints.base import Constraint
from narrowlib.constraints.kernels import placed
from narrowlib.network.model import half_mean_squared_error as half_mean_squared_error
from narrowlib.solvers.result import RESULTS, SolverError, result_of
from narrowlib.training.checkpoints import Checkpoints, open_checkpoints
from narrowlib.training.epochs import Loss, Program, evaluate, first_state, run_epochs
from narrowlib.training.fingerprints import fingerprint
from narrowlib.training.paths import parameters_by_path
from narrowlib.training.progress import progress_bar

REPORTS = 100  # at most so many pauses in a run, unless asked for more
EVALUATED = 1000  # samples that are evaluated together


class TrainingRun(NamedTuple):
    """What `ConstrainedTrainer.fit` returns.

    Args:
        module: the trained module, a copy in the mode (training or evaluation) of the one given:
            the last parameters, or where the run diverged the last with a finite loss, which may
            be large: look at the history.
        code: why it stopped, as an integer array; read it through `result`.
        history: `loss`, of every step, on its minibatch, before the step, shape (steps,); and
            `validation`, a dictionary of arrays with an entry a report: `epoch`, `loss` and the
            metrics.
    """

    module: Any
    code: Array
    history: dict[str, Any]

    @property
    def result(self) -> Any:
        """`RESULTS.completed` or `RESULTS.non_finite`."""
        return result_of(self.code)


class ConstrainedTrainer:
    r"""Train a Flax NNX module with an Optax optimiser, inside a feasible set.

    After each step every constrained parameter is moved to the nearest point of its set:

    $$\theta_{k+1} = P_C\bigl(\theta_k + u(\nabla \ell_{B_k}(\theta_k))\bigr)$$

    With plain `optax.sgd` that is the paper's projected gradient method. After Adam it is no
    projected gradient step, and its fixed points need not be KKT points (see `projected`).

    Epochs are compiled; data stays on the device. In an epoch every sample is seen once, in a
    random order, but for the n mod `batch_size` last ones.

    Args:
        optimizer: an Optax transformation, with learning-rate schedules if wanted.
        constraints: sets by parameter path, such as `{"hidden.kernel": BallAroundStart(3.0)}`. A
            value is a constraint (`OfNeurons(PairedCone(...), axis=-2)`), or a rule that makes one
            from the parameter at the start (`BallAroundStart`, `ConeAroundStart`, any function).
        loss: a function of outputs and targets, a mean over the samples. Use a named function:
            each new `lambda` is compiled anew.
        metrics: more functions like it, by name, for validation.
        batch_size: samples a step; None for all of them.

    Raises:
        ValueError: if the optimiser, a constraint or the batch size is none.

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
        if not isinstance(optimizer, optax.GradientTransformation):
            mend = "Pass an optax.GradientTransformation, such as optax.sgd(0.1)."
            fail("optimizer", type(optimizer).__name__, mend)
        for path, rule in (constraints or {}).items():
            if not (isinstance(rule, Constraint) or callable(rule)):
                fail(f"constraints[{path!r}]", repr(rule), "Pass a constraint or a rule.")
        if batch_size is not None:
            check_int("batch_size", batch_size, 1)
        self.optimizer = optax.with_extra_args_support(optimizer)
        self.constraints = dict(constraints or {})
        self.loss, self.metrics = loss, tuple((metrics or {}).items())
        self.batch_size = batch_size

    def sets(self, module: Any) -> dict[str, Constraint]:
        """The feasible set around a module's parameters, path by path.

        Args:
            module: a Flax NNX module, as it is when training starts.

        Returns:
            A constraint for each constrained path.

        Raises:
            ValueError: if the module has no such parameter, or a rule makes no constraint of it.
        """
        there, sets = parameters_by_path(module), {}
        for path, rule in self.constraints.items():
            if path not in there:
                fail("constraints", repr(path), f"The module's parameters are {', '.join(there)}.")
            rule = placed(rule, module, path)
            made = rule if isinstance(rule, Constraint) else rule(there[path])
            if not isinstance(made, Constraint):
                fail(f"constraints[{path!r}]", repr(made), "Let the rule return a constraint.")
            sets[path] = made
        return sets

    def violation(self, module: Any, start: Any) -> float:
        """How far a module is from the feasible set around a start, in the Euclidean norm."""
        there = parameters_by_path(module)
        each = [float(c.violation(there[path])) for path, c in self.sets(start).items()]
        return float(np.linalg.norm(each)) if each else 0.0

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
        checkpoints: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        throw: bool = True,
        hyperparams: Mapping[str, float] | None = None,
    ) -> TrainingRun:
        """Train for a number of epochs, from a module that is left as it is.

        Every `report_every` epochs the run pauses: the validation data are evaluated, a
        checkpoint is written and the progress bar moves. With `checkpoints` a run that was killed
        goes on from the newest complete checkpoint when it is started again in the same way, and
        ends with the same bits as an unbroken run.

        Args:
            module: a Flax NNX module that maps a batch of samples to a batch of outputs.
            X: samples, with n in front.
            y: targets, with n in front.
            epochs: how many times the samples are gone through; with the full batch, steps.
            key: a JAX random key for the order of the samples; needed with `batch_size`.
            validation: (X, y) to evaluate in evaluation mode.
            report_every: epochs between two pauses; None for at most a hundred pauses a run.
            checkpoints: a folder for this run's checkpoints; the last two are kept.
            progress: True for a progress bar in terminals and notebooks, None for terminals
                only, False for none. It is gone when the run ends.
            throw: raise `SolverError` if the run diverges.
            hyperparams: other values for what the optimiser keeps in its state by name, as one
                made by `optax.inject_hyperparams` does: `{"learning_rate": 0.1}`. Runs of one
                trainer that differ in these only are compiled once.

        Returns:
            A `TrainingRun`.

        Raises:
            ValueError: if the arguments do not fit together, an entry of X or y is not finite,
                or the folder holds another run or a longer one.
            SolverError: with `throw`, if the loss or a parameter became NaN or infinite; its
                `solution` is the `TrainingRun`.
        """
        X, y = _samples("X", "y", X, y)
        n = X.shape[0]
        check_int("epochs", epochs, 1)
        if report_every is None:
            report_every = -(-epochs // REPORTS)
        check_int("report_every", report_every, 1)
        if self.batch_size is not None:
            if self.batch_size > n:
                fail("batch_size", self.batch_size, f"There are {n} samples: pass at most {n}.")
            if key is None:
                fail("key", None, "Minibatches are drawn at random: pass a JAX random key.")
        key = jax.random.key(0) if key is None else key
        held_out = None if validation is None else _samples("validation", "validation", *validation)
        sets = self.sets(module)
        program, params, rest = self._program(module)
        state = first_state(program, sets, params, rest)
        if hyperparams:
            state = state._replace(opt_state=_with(hyperparams, state.opt_state))
        losses: list[np.ndarray] = []
        records: list[dict[str, float]] = []
        with contextlib.ExitStack() as stack:
            saved: Checkpoints | None = None
            if checkpoints is not None:
                first = self._first_step(program, state, X, y)
                given = (params, rest, sets, X, y, key, self.batch_size or 0, first)
                saved = stack.enter_context(open_checkpoints(checkpoints, fingerprint(given)))
                if (found := saved.latest(state)) is not None:
                    state, before, records = found
                    losses.append(before)
                    if (done := int(state.num_epochs)) > epochs:
                        mend = f"The folder holds {done} epochs: pass at least that, or another."
                        fail("epochs", epochs, mend)
            bar = stack.enter_context(progress_bar(epochs, shown=progress))
            while (done := int(state.num_epochs)) < epochs and _goes_on(state):
                now = min(report_every - done % report_every, epochs - done)
                state, new = run_epochs(program, sets, state, X, y, key, now)
                losses.append(np.asarray(new))
                if held_out is not None and _goes_on(state):
                    values = self._evaluate(program, state, *held_out)
                    records.append({"epoch": done + now, **values})
                if saved is not None and _goes_on(state):
                    saved.save(done + now, state, np.concatenate(losses), records)
                bar(done + now, float(new[-1]))
        return self._finish(nnx.graphdef(module), state, losses, records, throw)

    def _program(self, module: Any) -> tuple[Program, Any, Any]:
        copy = nnx.clone(module)
        copy.eval()
        structure = nnx.graphdef(copy)
        copy.train()
        train, params, rest = nnx.split(copy, nnx.Param, ...)
        program = Program(train, structure, self.optimizer, self.loss, self.batch_size)
        return program, params, rest

    def _first_step(self, program: Program, state: Any, X: Array, y: Array) -> tuple[Any, str]:
        """What optimiser and loss do at the start: functions cannot be compared otherwise."""
        ones = jax.tree.map(jnp.ones_like, state.params)
        update, _ = self.optimizer.update(ones, state.opt_state, state.params)
        value = evaluate(program, (), state.params, state.rest, X[:1], y[:1])["loss"]
        return update, f"{float(value):.5e}"

    def _evaluate(self, program: Program, state: Any, X: Array, y: Array) -> dict[str, float]:
        totals: dict[str, float] = {}
        for i in range(0, len(X), EVALUATED):
            batch = X[i : i + EVALUATED], y[i : i + EVALUATED]
            values = evaluate(program, self.metrics, state.params, state.rest, *batch)
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(batch[0]) / len(X)
        return totals

    def _finish(
        self,
        structure: Any,
        state: Any,
        losses: list[np.ndarray],
        records: list[dict[str, float]],
        throw: bool,
    ) -> TrainingRun:
        diverged = not _goes_on(state)
        params, rest = state.good if diverged else (state.params, state.rest)
        code = state.code if diverged else jnp.asarray(RESULTS.completed.code)
        loss = np.concatenate(losses)[: int(state.num_steps) + diverged]
        names = ("epoch", "loss", *dict(self.metrics)) if records else ()
        validation = {name: np.array([record[name] for record in records]) for name in names}
        history = {"loss": loss, "validation": validation}
        run = TrainingRun(nnx.merge(structure, params, rest), code, history)
        if throw and diverged:
            raise SolverError(run)
        return run


def _goes_on(state: Any) -> bool:
    return int(state.code) == RESULTS.max_steps.code


def _with(hyperparams: Mapping[str, float], opt_state: Any) -> Any:
    """An optimiser's state with these values, in the precision of those that were there."""
    values = {}
    for name, value in hyperparams.items():
        now = optax.tree.get(opt_state, name)
        if now is None:
            mend = "The optimiser keeps no such value: make it with optax.inject_hyperparams."
            fail("hyperparams", repr(name), mend)
        values[name] = jnp.asarray(value, jnp.result_type(now))
    return optax.tree.set(opt_state, **values)


def _samples(x_name: str, y_name: str, X: Any, y: Any) -> tuple[Array, Array]:
    X, y = jnp.asarray(X), jnp.asarray(y)
    if X.ndim == 0 or X.shape[0] == 0:
        fail(x_name, f"shape {X.shape}", "Pass at least one sample, with n in front.")
    if y.ndim == 0 or y.shape[0] != X.shape[0]:
        fail(y_name, f"shape {y.shape}", f"There are {X.shape[0]} samples: pass as many targets.")
    for name, values in ((x_name, X), (y_name, y)):
        if jnp.issubdtype(values.dtype, jnp.floating):
            check_finite(name, values)
    return X, y
