"""What happens between epochs: records, the best parameters so far, and reasons to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from narrowlib._checks import check_function, check_int, fail, shown


class Report(NamedTuple):
    """What a callback of `ConstrainedTrainer.fit` receives.

    Args:
        epoch: epochs done.
        loss: the mean over the minibatches since the report before.
        validation: the loss and the metrics of the validation data; empty without.
    """

    epoch: int
    loss: float
    validation: dict[str, float]


Callback = Callable[[Report], Any]


def check_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """A function, or several."""
    if callable(callbacks):
        return (callbacks,)
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str | bytes):
        fail("callbacks", shown(callbacks), "Pass a list of functions of a report.")
    for i, callback in enumerate(callbacks):
        check_function(f"callbacks[{i}]", callback, "print")
    return tuple(callbacks)


def check_patience(patience: Any, validated: bool) -> int | None:
    """A number of epochs, which needs validation data."""
    if patience is not None:
        patience = check_int("patience", patience, 1)
        if not validated:
            fail("patience", patience, "It watches the validation loss: pass validation=(X, y).")
    return patience


class Course:
    """The course of a run so far, as the host knows it.

    Args:
        callbacks: called at each report; one that returns True ends the run.
        patience: epochs without a lower validation loss after which the run ends.

    Attributes:
        losses: of every step, in pieces.
        records: a dictionary a report: its epoch, the validation loss and the metrics.
        best: parameters and other variables at the lowest validation loss.
        stopped: whether a callback ended the run.
    """

    def __init__(self, callbacks: tuple[Callback, ...], patience: int | None):
        self.callbacks, self.patience = callbacks, patience
        self.losses: list[np.ndarray] = []
        self.records: list[dict[str, float]] = []
        self.best: tuple[Any, Any] | None = None
        self.stopped = False

    def best_record(self) -> dict[str, float] | None:
        """The record of the lowest validation loss, the first of several."""
        finite = [record for record in self.records if np.isfinite(record["loss"])]
        return min(finite, key=lambda record: record["loss"]) if finite else None

    def report(
        self, epoch: int, losses: np.ndarray, values: dict[str, float], here: tuple[Any, Any]
    ) -> None:
        """Note what the validation data say, and tell the callbacks.

        Args:
            epoch: epochs done.
            losses: of the steps since the report before.
            values: of the validation data; empty without.
            here: the parameters and other variables.
        """
        if values:
            record = {"epoch": epoch, **values}
            self.records.append(record)
            if self.best_record() is record:
                self.best = here
        for i, callback in enumerate(self.callbacks):
            answer = callback(Report(epoch, float(np.mean(losses)), dict(values)))
            if not (answer is None or isinstance(answer, bool | np.bool_)):
                fail(f"callbacks[{i}]", f"the answer {shown(answer)}", "Return True to stop.")
            self.stopped |= bool(answer)

    def ended(self) -> bool:
        """Whether a callback or patience ends the run here."""
        if self.stopped and self.callbacks:
            return True
        if self.patience is None or not self.records:
            return False
        best = self.best_record()
        since = best["epoch"] if best else 0
        return self.records[-1]["epoch"] - since >= self.patience
