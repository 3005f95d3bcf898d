"""The book's long experiments: declared records, in three sizes, with one way to run them."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from narrowlib._checks import fail
from narrowlib._files import find_named
from narrowlib.study.saved import SavedResults, origin

PACKAGE = Path(__file__).resolve().parent.parent
# inside an installed package, and in a checkout
FOLDERS = (PACKAGE / "experiments", PACKAGE.parent / "experiments")
SCALES = ("seconds", "minute", "paper")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment of the book, as it was declared.

    Args:
        name: its name, and that of its file.
        question: what it asks.
        records: its settings, as JSON, at the scales "seconds", "minute" and "paper".
        rows: a function of a record that returns a dictionary for each measurement.
    """

    name: str
    question: str
    records: dict[str, dict[str, Any]]
    rows: Callable[[dict[str, Any]], list[dict[str, Any]]] = dataclasses.field(repr=False)

    def run(self, scale: str = "seconds") -> SavedResults:
        """Run it, at the scale "seconds", "minute" or "paper".

        "seconds" takes about ten on two cores, and only shows that all is there; "minute" one or
        two; "paper", whose rows are the ones that the chapters show, up to an hour. Nothing is
        written.

        Args:
            scale: one of the three.

        Returns:
            `SavedResults`, as `saved_results` reads them.

        Raises:
            ValueError: if there is no such scale.
        """
        if scale not in self.records:
            fail("scale", repr(scale), f"Choose one of {', '.join(self.records)}.")
        record = copy.deepcopy(self.records[scale])
        began = time.perf_counter()
        rows = json.loads(json.dumps(self.rows(record), allow_nan=False))
        machine = f"one {jax.devices()[0].device_kind} device"
        provenance = origin(began) | {"machine": machine, "scale": scale}
        return SavedResults(self.name, self.records[scale], rows, provenance)


def experiment(name: str) -> Experiment:
    """An experiment of the book by its name.

    Args:
        name: such as "kkt_points"; the name of its file in the folder `experiments`.

    Returns:
        An `Experiment`.

    Raises:
        ValueError: if there is none of that name.

    Example:
        >>> import narrowlib as nl
        >>> experiment = nl.experiment("kkt_points")
        >>> experiment.records["paper"]["starts"], experiment.records["seconds"]["starts"]
        (500, 20)

    References:
        Chapters "Synthetic data", "Ablations", "Real data", "Deeper narrow nets".
    """
    return load_experiment(find_named(name, FOLDERS, ".py", "the experiments"))


def module_of(file: Path) -> Any:
    """The file as a module of its own."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None  # true of every .py file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_experiment(file: Path) -> Experiment:
    """The experiment that a file declares by `RECORD`, `SMALLER` and `run`."""
    module = module_of(file)
    smaller = {scale: module.SMALLER[scale] for scale in SCALES[:-1]}
    if unknown := {k for part in smaller.values() for k in part} - set(module.RECORD):
        fail(f"SMALLER of {file.name}", sorted(unknown), "Only what RECORD has can be smaller.")
    records = {scale: module.RECORD | part for scale, part in smaller.items()}
    question = (module.__doc__ or "").partition("\n")[0]
    return Experiment(file.stem, question, records | {"paper": module.RECORD}, module.run)
