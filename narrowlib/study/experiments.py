"""The book's long experiments: declared records, in three sizes, run again or read as saved.

A chapter shows rows of runs that are too long for a page only together with their provenance: what
was asked, with which versions, on what machine, how long it took, and the command that runs it
again.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from narrowlib._checks import check_choice, fail
from narrowlib._files import find_named
from narrowlib._provenance import machine, origin
from narrowlib._runs import runs
from narrowlib.study.tables import Table, plain

PACKAGE = Path(__file__).resolve().parent.parent
# inside an installed package, and in a checkout
FOLDERS = (PACKAGE / "experiments", PACKAGE.parent / "experiments")
RESULTS = (PACKAGE / "results", PACKAGE.parent / "benchmarks" / "results" / "experiments")
SCALES = ("seconds", "minute", "paper")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SavedResults(Table):
    """The table of one experiment; printing it shows where its rows come from.

    Args:
        rows: a dictionary for each measurement.
        provenance: `date`, `versions`, `machine` and `seconds` of the run; `commit` where it was
            saved, `scale` where the experiment had several.
        name: the experiment's name.
        record: what was asked: every setting of the run.
    """

    name: str
    record: dict[str, Any]

    def __str__(self) -> str:
        p = self.provenance
        versions = ", ".join(f"{k} {v}" for k, v in p["versions"].items())
        commit = f"commit {p['commit']}, " if "commit" in p else ""
        scale = p.get("scale", "paper")
        kept = "Saved results" if commit else f"A run at the scale of {scale}"
        text = (
            f"{kept} of {p['date']}: {len(self.rows)} rows, {commit}"
            f"{p['seconds']:.0f} s on {p['machine']}; {versions}."
        )
        again = f"make experiments NAME={self.name}" + f" SCALE={scale}" * (scale != "paper")
        return f"{textwrap.fill(text, 76)}\nTo run them again: {again}"


@runs("host")
def saved_results(name: str) -> SavedResults:
    """Read the saved results of an experiment of the book.

    Args:
        name: the experiment, such as "memorize_photos".

    Returns:
        A `SavedResults`, which is a `Table`.

    Raises:
        ValueError: if there are none of that name, or their file is damaged.

    Example:
        >>> import narrowlib as nl
        >>> photos = nl.saved_results("memorize_photos")
        >>> bool((photos.where(data="cifar10", n=1000)["loss"] < 1e-18).all())
        True
    """
    file = find_named(name, RESULTS, ".json", "saved results of")
    try:
        return SavedResults(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):  # no text, no JSON, or of something else
        again = f"Get it again, or run: make experiments NAME={name}."
        fail("name", f"{name!r}, whose file {str(file)!r} is damaged", again)


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

    @runs("host")
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
        record = copy.deepcopy(self.records[check_choice("scale", scale, self.records)])
        began = time.perf_counter()
        rows = plain("rows", self.rows(record))
        device = jax.devices()[0]
        here = machine("CPU only" if device.platform == "cpu" else device.device_kind)
        provenance = origin(began) | {"machine": here, "scale": scale}
        return SavedResults(rows, provenance, self.name, self.records[scale])


@runs("host")
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
