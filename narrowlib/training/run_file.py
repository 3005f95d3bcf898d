"""The file of a training run: arrays and a header, with a hash of them; never a pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from narrowlib.solvers.result import RESULTS
from narrowlib.training.fingerprints import hash_of_arrays
from narrowlib.training.stored import Kind

FORMAT = 2
KIND = "training run"
MODULES = ("module", "best")


class Contents(NamedTuple):
    """What the file of a run holds.

    Args:
        result: the name of why it stopped.
        steps_per_epoch: how many minibatches.
        history: as in `TrainingRun`.
        modules: kinds and arrays of the variables of the module, and of the best; none at all
            where there is no such module.
    """

    result: str
    steps_per_epoch: int
    history: dict[str, Any]
    modules: Sequence[tuple[dict[str, Kind], list[np.ndarray]]]


def to_archive(contents: Contents) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    validation = contents.history["validation"]
    arrays = {"loss": np.asarray(contents.history["loss"])}
    arrays |= {f"validation/{i}": np.asarray(a) for i, a in enumerate(validation.values())}
    header: dict[str, Any] = {"format": FORMAT, "kind": KIND, "validation": list(validation)}
    header |= {"result": contents.result, "steps_per_epoch": contents.steps_per_epoch}
    for name, (kinds, leaves) in zip(MODULES, contents.modules, strict=True):
        header[name] = kinds
        arrays |= {f"{name}/{i}": leaf for i, leaf in enumerate(leaves)}
    arrays["header"] = np.array(json.dumps(header))
    return {**arrays, "hash": np.array(hash_of_arrays(arrays))}


def of_archive(arrays: dict[str, np.ndarray]) -> Contents | None:
    """What the arrays of a file mean; None if they are not those of a run, as it was written."""
    arrays = dict(arrays)
    try:
        if str(arrays.pop("hash")) != hash_of_arrays(arrays):
            return None
        header = json.loads(str(arrays["header"]))
        if header["format"] != FORMAT or header["kind"] != KIND:
            return None
        columns = {name: arrays[f"validation/{i}"] for i, name in enumerate(header["validation"])}
        modules = []
        for name in MODULES:
            kinds = header[name]
            leaves = [arrays[f"{name}/{i}"] for i in range(len(kinds))]
            if not all(map(_fits, kinds.values(), leaves)):
                return None
            modules.append((kinds, leaves))
        history = {"loss": arrays["loss"], "validation": columns}
        result, steps = RESULTS[header["result"]].name, header["steps_per_epoch"]
        return Contents(result, steps, history, modules) if steps >= 1 else None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _fits(kind: Kind, leaf: np.ndarray) -> bool:
    if kind["dtype"].startswith("key"):  # the numbers of a random key have axes of their own
        return True
    leaf = leaf if str(leaf.dtype) == kind["dtype"] else leaf.view(jnp.dtype(kind["dtype"]))
    return list(leaf.shape) == kind["shape"]
