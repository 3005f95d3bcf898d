"""A training run as a picture; imported where one is asked for, since it imports Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from narrowlib._checks import fail, shown


def draw_history(history: Mapping[str, Any], steps_per_epoch: int, ax: Any) -> Axes:
    """The loss of every step, and the validation loss, against epochs.

    Args:
        history: of a `TrainingRun`.
        steps_per_epoch: how many minibatches.
        ax: where to draw; None for a new figure.
    """
    if not isinstance(ax, Axes | None):
        fail("ax", shown(ax), "Pass Matplotlib axes, or None for a new figure.")
    ax = plt.figure().add_subplot() if ax is None else ax
    losses, validation = history["loss"], history["validation"]
    epochs = np.arange(len(losses)) / steps_per_epoch  # each before its step
    ax.plot(epochs, losses, color="C0", linewidth=1.2, label="training")
    if validation:
        points = validation["epoch"], validation["loss"]
        ax.plot(*points, "o--", color="C1", markersize=4, label="validation")
    if np.all(losses > 0):  # none is NaN
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend()
    return ax
