"""Checkpoints of a training run, through Orbax: whole or not there at all.

Orbax writes a checkpoint under another name and renames it when it is complete, and the one before
it stays until then: at whatever moment a run is killed, the newest complete checkpoint is there.
Each carries a hash of itself. One that was damaged afterwards is set aside for the one before.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib._checks import check_path, fail, shown
from narrowlib.training.epochs import first_line
from narrowlib.training.fingerprints import fingerprint, numbers

KEPT = 2


class Saved(NamedTuple):
    """What a checkpoint holds.

    Args:
        epoch: epochs done.
        state: a pytree, all that the next epoch needs.
        best: parameters and other variables at the lowest validation loss; None before the first.
        losses: of every step.
        notes: what JSON can hold: records, whether the run was stopped, …
    """

    epoch: int
    state: Any
    best: Any
    losses: np.ndarray
    notes: dict[str, Any]


class DamagedError(Exception):
    """A checkpoint cannot be read, or is not what was written."""


def _numbered(tree: Any) -> dict[str, np.ndarray]:
    """The leaves as arrays of numbers, by their place in the tree."""
    return {f"{i:05d}": numbers(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def _like(arrays: dict[str, Any], template: Any) -> Any:
    """Number arrays in the structure and the kinds of a template."""
    leaves, treedef = jax.tree.flatten(template)
    made = []
    for name, leaf in zip(sorted(arrays), leaves, strict=True):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            key = jnp.asarray(arrays[name])
            made.append(jax.random.wrap_key_data(key, impl=jax.random.key_impl(leaf)))
        else:
            made.append(jnp.asarray(arrays[name], leaf.dtype))
    return treedef.unflatten(made)


class Checkpoints:
    """The checkpoints of one run in one folder.

    Args:
        folder: where; made if missing.
        run: the run's `fingerprint`.
        manager: Orbax's manager of the folder.
    """

    def __init__(self, folder: Path, run: str, manager: Any):
        self.folder, self.run, self.manager = folder, run, manager

    def save(self, saved: Saved) -> None:
        """Write a checkpoint after an epoch; returns when it is complete.

        Raises:
            ValueError: if it cannot be written.
        """
        import orbax.checkpoint as ocp

        trees = {"state": saved.state, "best": saved.best, "losses": saved.losses}
        arrays = {name: _numbered(tree) for name, tree in trees.items()}
        header = {"run": self.run, "epoch": saved.epoch, "notes": saved.notes}
        header["sizes"] = {name: len(tree) for name, tree in arrays.items()}
        hashes = {"header": _hash(header), "arrays": fingerprint(arrays)}
        # Orbax stores no empty tree
        kept = {name: ocp.args.PyTreeSave(tree) for name, tree in arrays.items() if tree}
        parts = ocp.args.Composite(run=ocp.args.JsonSave({**header, "hashes": hashes}), **kept)
        try:
            self.manager.save(saved.epoch, args=parts)
        except Exception as error:
            fail(
                "checkpoints",
                repr(str(self.folder)),
                f"Checkpoint {saved.epoch} could not be written there: {first_line(error)} "
                "Make room, or see whether another process trains in that folder.",
            )

    def latest(self, template: Saved) -> Saved | None:
        """The newest complete checkpoint; None where there is none.

        Args:
            template: with a state and a best of the right structure.

        Raises:
            ValueError: if the folder holds another run, or nothing but damaged checkpoints.
        """
        damaged: list[int] = []
        for epoch in sorted(self.manager.all_steps(), reverse=True):
            try:
                header = self._header(epoch)
            except DamagedError:
                damaged.append(epoch)
                continue
            if header["run"] != self.run:
                fail(
                    "checkpoints",
                    repr(str(self.folder)),
                    "That folder holds checkpoints of another run (other data, start, key, batch "
                    "size, constraints, optimiser or loss): pass an empty folder, or what it was "
                    "given.",
                )
            try:
                found = self._read(epoch, header, template)
            except DamagedError:
                damaged.append(epoch)
                continue
            self._set_aside(damaged, epoch)
            return found
        if damaged:
            names = " and ".join(str(epoch) for epoch in sorted(damaged))
            mend = f"What it holds of checkpoints ({names}) is damaged: pass an empty folder."
            fail("checkpoints", repr(str(self.folder)), mend)
        return None

    def _header(self, epoch: int) -> dict[str, Any]:
        import orbax.checkpoint as ocp

        restore = ocp.args.Composite(run=ocp.args.JsonRestore())
        try:
            whole = dict(self.manager.restore(epoch, args=restore).run)
            header = {name: value for name, value in whole.items() if name != "hashes"}
            sound = whole["hashes"]["header"] == _hash(header) and header["epoch"] == epoch
        except Exception as error:
            raise DamagedError from error
        if not sound:
            raise DamagedError
        return whole

    def _read(self, epoch: int, header: dict[str, Any], template: Saved) -> Saved:
        import orbax.checkpoint as ocp

        names = [name for name, size in header["sizes"].items() if size]
        restore = ocp.args.Composite(**{name: ocp.args.PyTreeRestore() for name in names})
        try:
            found = self.manager.restore(epoch, args=restore)
            arrays = {name: dict(found[name] or {}) for name in names}
        except Exception as error:
            raise DamagedError from error
        arrays = {
            name: {key: np.asarray(arrays[name][key]) for key in sorted(arrays[name])}
            if size else {}
            for name, size in header["sizes"].items()
        }  # fmt: skip
        if fingerprint(arrays) != header["hashes"]["arrays"]:
            raise DamagedError
        best = _like(arrays["best"], template.best) if arrays["best"] else None
        state = _like(arrays["state"], template.state)
        return Saved(epoch, state, best, arrays["losses"]["00000"], header["notes"])

    def _set_aside(self, damaged: list[int], good: int) -> None:
        """Give damaged checkpoints another name, so that the run can write them again."""
        for epoch in damaged:
            names = (f"{epoch}.damaged{k or ''}" for k in itertools.count())
            aside = next(self.folder / name for name in names if not (self.folder / name).exists())
            try:
                os.rename(self.folder / str(epoch), aside)
            except OSError:
                mend = f"Checkpoint {epoch} is damaged: delete it to go on from {good}."
                fail("checkpoints", repr(str(self.folder)), mend)
        if damaged:
            warnings.warn(
                f"checkpoints: got {str(self.folder)!r} with damaged checkpoints "
                f"{sorted(damaged)}, now named .damaged. The run goes on from {good}.",
                stacklevel=2,
            )
            self.manager.reload()


def _hash(header: dict[str, Any]) -> str:
    return fingerprint(np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8))


@contextlib.contextmanager
def open_checkpoints(folder: str | os.PathLike[str], run: str) -> Iterator[Checkpoints]:
    """The checkpoints in a folder, which is made if missing; Orbax is imported here.

    Raises:
        ValueError: if there is no such folder, and none can be made.
    """
    path = check_path("checkpoints", folder)
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
    try:
        path = path.resolve()
        if path.exists() and not path.is_dir():
            fail("checkpoints", repr(str(path)), "That is a file: pass a folder.")
        manager = ocp.CheckpointManager(path, options=options)
    except OSError as error:
        mend = f"It cannot be opened: {error.strerror or first_line(error)}. Pass another folder."
        fail("checkpoints", shown(str(path)), mend)
    with manager:
        yield Checkpoints(path, run, manager)
