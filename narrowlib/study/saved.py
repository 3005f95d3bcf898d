"""Results of runs that are too long for a page: the rows, and where they come from.

A chapter shows such rows only together with their provenance: what was asked, with which
versions, on what machine, how long it took, and the command that runs it again.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import textwrap
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from narrowlib._files import find_named

PACKAGES = ("narrowlib", "jax", "jaxlib", "flax", "optax", "numpy")
PACKAGE = Path(__file__).resolve().parent.parent
# inside an installed package, and in a checkout
FOLDERS = (PACKAGE / "results", PACKAGE.parent / "benchmarks" / "results" / "experiments")


def origin(began: float) -> dict[str, Any]:
    """What provenance has in common: today, the versions, the seconds since `began`.

    Args:
        began: `time.perf_counter()` at the start.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "seconds": round(time.perf_counter() - began, 1),
    }


@dataclasses.dataclass(frozen=True)
class SavedResults:
    """The rows of one experiment, with their provenance; printing it shows the latter.

    Args:
        name: the experiment's name.
        record: what was asked: every setting of the run.
        rows: one dictionary for each measurement.
        provenance: `date`, `versions`, `machine` and `seconds` of the run; `commit` where it was
            saved, `scale` where the experiment had several.
    """

    name: str
    record: dict[str, Any]
    rows: list[dict[str, Any]]
    provenance: dict[str, Any]

    def where(self, **wanted: Any) -> list[dict[str, Any]]:
        """The rows whose entries equal those named."""
        return [row for row in self.rows if all(row.get(k) == v for k, v in wanted.items())]

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


def saved_results(name: str) -> SavedResults:
    """Read the saved results of an experiment of the book.

    Args:
        name: the experiment, such as "memorize_photos".

    Returns:
        A `SavedResults`.

    Raises:
        ValueError: if there are none of that name.

    Example:
        >>> import narrowlib as nl
        >>> photos = nl.saved_results("memorize_photos")
        >>> all(row["loss"] < 1e-18 for row in photos.where(data="cifar10", n=1000))
        True
    """
    file = find_named(name, FOLDERS, ".json", "saved results of")
    return SavedResults(**json.loads(file.read_text(encoding="utf-8")))
