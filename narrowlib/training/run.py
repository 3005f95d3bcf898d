"""What training returns: the module, how it got there, and what it makes of new samples."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Shaped

from narrowlib._checks import check_bool, check_finite, check_module, check_path, fail, real_array
from narrowlib._files import open_archive, write_whole
from narrowlib._runs import runs
from narrowlib.solvers.result import RESULTS, result_of
from narrowlib.training.epochs import Parts, take_apart
from narrowlib.training.evaluation import Functions, measure, predict
from narrowlib.training.run_file import Contents, of_archive, to_archive
from narrowlib.training.samples import (
    check_data,
    check_samples,
    is_classes,
    is_one_hot,
    outputs_like,
    read_classes,
)
from narrowlib.training.stored import from_arrays, to_arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TrainingRun:
    """What `ConstrainedTrainer.fit` returns.

    Args:
        module: the trained module, a copy in the mode (training or evaluation) of the one given:
            the last parameters, or where the run diverged the last with a finite loss, which may
            be large: look at the history.
        code: why it stopped, as an integer array; read it through `result`.
        history: `loss`, of every step, on its minibatch, before the step, shape (steps,); and
            `validation`, a dictionary of arrays with an entry a report: `epoch`, `loss` and the
            metrics.
        best: a module like it with the parameters of the report whose validation loss was the
            lowest; None without validation data.
        steps_per_epoch: how many minibatches.
        functions: the loss and the metrics with which it was trained; empty where it was loaded
            without its trainer.

    Example:
        >>> import jax, optax
        >>> import narrowlib as nl
        >>> data = nl.gaussian(jax.random.key(0), n=20, d=5)
        >>> start = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(1), d=5, m=16))
        >>> trainer = nl.ConstrainedTrainer(optax.sgd(1.0))
        >>> run = trainer.fit(start, data.X, data.y, epochs=300)
        >>> run.predict(data.X).shape, bool(run.score(data.X, data.y) > 0.5)
        ((20,), True)
    """

    module: Any
    code: Array
    history: dict[str, Any]
    best: Any = None
    steps_per_epoch: int = 1
    functions: Functions = ()

    @property
    def result(self) -> Any:
        """`RESULTS.completed`, `RESULTS.stopped` or `RESULTS.non_finite`."""
        return result_of(self.code)

    @property
    def epochs(self) -> int:
        """How many epochs were begun."""
        return -(-len(self.history["loss"]) // self.steps_per_epoch)

    def __repr__(self) -> str:
        losses, validation = self.history["loss"], self.history["validation"]
        text = f"{self.result.name} after {self.epochs} epoch{'s' * (self.epochs != 1)}"
        if len(losses):
            text += f", loss {losses[0]:.3g} to {losses[-1]:.3g}"
        if self.best is not None:
            k = int(np.nanargmin(validation["loss"]))
            best = f"{validation['loss'][k]:.3g} after {validation['epoch'][k]:g} epochs"
            text += f", best validation loss {best}"
        return f"TrainingRun({text})"

    def _parts(self, best: bool) -> Parts:
        if check_bool("best", best) and self.best is None:
            fail("best", True, "There is none: train with validation=(X, y).")
        return take_apart(self.best if best else self.module, train=False)

    @runs("host")
    def predict(self, X: Shaped[ArrayLike, "n *shape"], *, best: bool = False) -> Any:
        """The module's outputs in evaluation mode, a thousand samples at a time.

        Args:
            X: samples, with n in front.
            best: take `best` instead of `module`.

        Returns:
            The outputs, with n in front. The class of each is `outputs.argmax(axis=-1)`.

        Raises:
            ValueError: if the module cannot take the samples, or there is no `best`.
        """
        parts = self._parts(best)
        X = check_samples("X", X, parts)
        outputs_like("X", parts, X)
        return predict(parts, X)

    @runs("host")
    def evaluate(
        self, X: Shaped[ArrayLike, "n *shape"], y: Shaped[ArrayLike, "n *K"], *, best: bool = False
    ) -> dict[str, float]:
        """The loss and the metrics, in evaluation mode.

        Args:
            X: samples, with n in front.
            y: targets or classes, with n in front.
            best: take `best` instead of `module`.

        Returns:
            A dictionary: `loss`, and each metric by its name.

        Raises:
            ValueError: if the arguments do not fit together, or the run was loaded without its
                trainer.
        """
        if not self.functions:
            fail("trainer", None, "A file holds no functions: load_run(path, module, trainer).")
        parts = self._parts(best)
        X, y = check_data(("X", "y"), X, y, parts, self.functions)
        return measure(parts, self.functions, X, y)

    @runs("host")
    def score(
        self, X: Shaped[ArrayLike, "n *shape"], y: Shaped[ArrayLike, "n *K"], *, best: bool = False
    ) -> float:
        r"""The accuracy for classes, $R^2$ for targets, in evaluation mode.

        Classes are whole numbers (n,) where the outputs are (n, K), or one-hot rows: the share of
        samples whose largest output is at their class. Targets have the outputs' shape, and
        $\bar y$ is their mean over the samples:

        $$R^2 = 1 - \|F - y\|^2 / \|y - \bar y\|^2$$

        Args:
            X: samples, with n in front.
            y: classes or targets, with n in front.
            best: take `best` instead of `module`.

        Returns:
            A number of at most 1.

        Raises:
            ValueError: if outputs and y do not fit together, or all targets are equal.
        """
        outputs, y = self.predict(X, best=best), real_array("y", y)
        if is_classes(y, outputs):
            found = jnp.argmax(outputs, axis=-1)
            return float(jnp.mean(found == read_classes("y", y, outputs.shape[-1])))
        if y.shape != getattr(outputs, "shape", None):
            shape = getattr(outputs, "shape", "several arrays")
            fail("y", f"shape {y.shape}", f"The module gives {shape}: pass targets like it.")
        if is_one_hot(y, outputs):
            found = jnp.argmax(outputs, axis=-1)
            return float(jnp.mean(found == jnp.argmax(jnp.asarray(y), axis=-1)))
        check_finite("y", y)
        F, y = np.asarray(outputs, float), np.asarray(y, float)
        spread = np.sum((y - y.mean(axis=0)) ** 2)
        if not spread > 0:
            fail("y", "equal targets", "R² compares with their mean: pass some that differ.")
        return float(1 - np.sum((F - y) ** 2) / spread)

    @runs("host")
    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the loss of every step and the validation loss.

        Args:
            ax: where to draw; None for a new figure.

        Returns:
            The axes.

        Raises:
            ValueError: if `ax` is no Matplotlib axes.
        """
        from narrowlib.training.drawing import draw_history

        return draw_history(self.history, self.steps_per_epoch, ax)

    @runs("host")
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the run to a file, whole or not at all: arrays and a header, never a pickle.

        Args:
            path: where to; `.npz` is appended if the name lacks it.

        Returns:
            The path of the file; read it with `load_run`.

        Raises:
            ValueError: if `path` is no path.
        """
        path = check_path("path", path)
        if path.name in ("", ".."):
            fail("path", repr(str(path)), "That is a folder: name a file in it.")
        path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        modules = [({}, []) if m is None else to_arrays(m) for m in (self.module, self.best)]
        contents = Contents(self.result.name, self.steps_per_epoch, self.history, modules)
        arrays: dict[str, Any] = to_archive(contents)
        with write_whole(path) as stream:
            np.savez_compressed(stream, **arrays)
        return path


@runs("host")
def load_run(path: str | os.PathLike[str], module: Any, trainer: Any = None) -> TrainingRun:
    """Read a training run back from its file.

    Args:
        path: a file that `TrainingRun.save` wrote.
        module: a Flax NNX module made like the one that was trained; it is left as it is.
        trainer: the `ConstrainedTrainer`, whose loss and metrics `evaluate` needs; a file holds no
            functions.

    Returns:
        The `TrainingRun`.

    Raises:
        ValueError: if the file holds no run, is damaged, or holds another module's.
        FileNotFoundError: if there is no such file.

    Example:
        >>> import jax, optax, pathlib, tempfile
        >>> import narrowlib as nl
        >>> data = nl.gaussian(jax.random.key(0), n=20, d=5)
        >>> start = nl.OneHiddenLayer(nl.mirrored_lecun(jax.random.key(1), d=5, m=16))
        >>> trainer = nl.ConstrainedTrainer(optax.sgd(1.0))
        >>> run = trainer.fit(start, data.X, data.y, epochs=300)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = nl.load_run(run.save(pathlib.Path(folder) / "run"), start)
        >>> bool((again.predict(data.X) == run.predict(data.X)).all())
        True
    """
    file, functions = check_path("path", path), getattr(trainer, "functions", ())
    if trainer is not None and not functions:
        fail("trainer", type(trainer).__name__, "Pass the ConstrainedTrainer that trained it.")
    check_module("module", module)
    with open_archive("path", file) as archive:
        contents = of_archive({name: archive[name] for name in archive.files})
    if contents is None:
        fail("path", repr(str(file)), "That file holds no training run, or a damaged one.")
    made = [from_arrays(module, *held) if held[1] else None for held in contents.modules]
    code = jnp.asarray(RESULTS[contents.result].code)
    return TrainingRun(
        made[0], code, contents.history, made[1], contents.steps_per_epoch, functions
    )
