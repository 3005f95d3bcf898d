"""Checkpoints of a training run, through Orbax: whole or not there at all.

Orbax writes a checkpoint under another name and renames it when it is complete, and the one before
it stays until then: at whatever moment a run is killed, the newest complete checkpoint is there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib._checks import fail
from narrowlib.training.fingerprints import numbers

KEPT = 2


def _numbered(tree: Any) -> dict[str, np.ndarray]:
    """The leaves as arrays of numbers, by their place in the tree."""
    return {f"{i:05d}": numbers(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def _like(array: np.ndarray, leaf: Any) -> Any:
    """The number array in the kind of a leaf of the template."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    return jnp.asarray(array, leaf.dtype)


class Checkpoints:
    """The checkpoints of one run in one folder.

    Args:
        folder: where; made if missing.
        run: the run's `fingerprint`.
        manager: Orbax's manager of the folder.
    """

    def __init__(self, folder: Path, run: str, manager: Any):
        self.folder, self.run, self.manager = folder, run, manager

    def save(self, epoch: int, state: Any, losses: np.ndarray, records: list[Any]) -> None:
        """Write a checkpoint after an epoch; returns when it is complete."""
        import orbax.checkpoint as ocp

        self.manager.save(
            epoch,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_numbered(state)),
                losses=ocp.args.PyTreeSave({"losses": losses}),
                run=ocp.args.JsonSave({"fingerprint": self.run, "records": records}),
            ),
        )

    def latest(self, template: Any) -> tuple[Any, np.ndarray, list[Any]] | None:
        """State, losses and records of the newest complete checkpoint; None where there is none.

        Raises:
            ValueError: if the folder holds another run.
        """
        import orbax.checkpoint as ocp

        epoch = self.manager.latest_step()
        if epoch is None:
            return None
        run = self.manager.restore(epoch, args=ocp.args.Composite(run=ocp.args.JsonRestore())).run
        if run["fingerprint"] != self.run:
            fail(
                "checkpoints",
                repr(str(self.folder)),
                "That folder holds checkpoints of another run (other data, start, key, batch size, "
                "constraints, optimiser or loss): pass an empty folder, or what it was given.",
            )
        like = _numbered(template)
        found = self.manager.restore(
            epoch,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(like), losses=ocp.args.PyTreeRestore()
            ),
        )
        arrays = [found["state"][name] for name in sorted(like)]
        leaves, treedef = jax.tree.flatten(template)
        state = treedef.unflatten([_like(a, b) for a, b in zip(arrays, leaves, strict=True)])
        return state, np.asarray(found["losses"]["losses"]), run["records"]


@contextlib.contextmanager
def open_checkpoints(folder: str | os.PathLike[str], run: str) -> Iterator[Checkpoints]:
    """The checkpoints in a folder, which is made if missing; Orbax is imported here."""
    import orbax.checkpoint as ocp

    path = Path(folder).resolve()
    options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
    with ocp.CheckpointManager(path, options=options) as manager:
        yield Checkpoints(path, run, manager)
