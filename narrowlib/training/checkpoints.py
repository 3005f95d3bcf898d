"""Checkpoints of a training run, through Orbax: whole or not there at all.

Orbax writes a checkpoint under another name and renames it when it is complete, and the one before
it stays until then: at whatever moment a run is killed, the newest complete checkpoint is there.
Each carries hashes of its files and of what it holds. One that was damaged afterwards is set aside
for the one before; nothing that is not a checkpoint of the run is deleted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib._checks import check_path, fail, shown
from narrowlib.training.epochs import first_line
from narrowlib.training.file_lists import is_as_listed, write_list
from narrowlib.training.fingerprints import hash_of_arrays, numbers
from narrowlib.training.locks import alone_in

KEPT = 2
DELETED = ".deleted"
NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


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
        self._own: set[int] = set()  # all that may be deleted

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
        header["arrays"] = _hash_all(arrays)
        # Orbax stores no empty tree
        kept = {name: ocp.args.PyTreeSave(tree) for name, tree in arrays.items() if tree}
        parts = ocp.args.Composite(run=ocp.args.JsonSave({**header, "hash": _hash(header)}), **kept)
        try:
            self.manager.save(saved.epoch, args=parts)
            write_list(self.folder / str(saved.epoch))
        except Exception as error:
            mend = f"Checkpoint {saved.epoch} could not be written there: {_reason(error)}"
            fail("checkpoints", repr(str(self.folder)), mend)
        self._own.add(saved.epoch)
        for epoch in sorted(self._own)[:-KEPT]:
            self._own.remove(epoch)
            with contextlib.suppress(OSError):
                # first the name: a kill leaves no half of a checkpoint
                gone = self.folder / f"{epoch}{DELETED}"
                os.rename(self.folder / str(epoch), gone)
                shutil.rmtree(gone)

    def latest(self, template: Saved) -> Saved | None:
        """The newest complete checkpoint; None where there is none.

        Args:
            template: with a state and a best of the right structure.

        Raises:
            ValueError: if the folder holds another run, or nothing but damaged checkpoints.
        """
        headers: dict[int, dict[str, Any]] = {}
        damaged: list[int] = []
        for epoch in self._numbers():
            try:
                headers[epoch] = self._header(epoch)
            except DamagedError:
                damaged.append(epoch)
        if any(header["run"] != self.run for header in headers.values()):
            self._refuse(
                "That folder holds checkpoints of another run (other data, module, start, key, "
                "batch size, constraints, optimiser or loss): pass an empty folder, or what it was "
                "given."
            )
        for epoch in sorted(headers, reverse=True):
            try:
                found = self._read(epoch, headers[epoch], template)
            except DamagedError:
                damaged.append(epoch)
                continue
            self._own.update(e for e in headers if e <= epoch)
            self._set_aside([e for e in damaged if e > epoch], epoch)
            return found
        if damaged:
            names = " and ".join(str(epoch) for epoch in sorted(damaged))
            self._refuse(
                f"What it holds of checkpoints ({names}) is damaged: delete it, or move it "
                "away, to begin anew, or pass an empty folder."
            )
        return None

    def _refuse(self, mend: str) -> NoReturn:
        fail("checkpoints", repr(str(self.folder)), mend)

    def _numbers(self) -> list[int]:
        """What has a checkpoint's name, whatever it is."""
        entries = [f for f in self.folder.iterdir() if re.fullmatch("0|[1-9][0-9]*", f.name)]
        for entry in entries:
            if entry.is_symlink():  # which Orbax cannot delete when its time has come
                self._refuse(
                    f"{entry.name} in it is a link: put the folder itself there, or pass another."
                )
        return [int(entry.name) for entry in entries]

    def _restore(self, epoch: int, **parts: Any) -> Any:
        import orbax.checkpoint as ocp

        try:
            return self.manager.restore(epoch, args=ocp.args.Composite(**parts))
        except MemoryError:
            raise
        except Exception as error:
            if getattr(error, "errno", None) in NOT_DAMAGE or "PERMISSION_DENIED" in str(error):
                self._refuse(f"Checkpoint {epoch} cannot be read: {_reason(error)}")
            raise DamagedError from error

    def _header(self, epoch: int) -> dict[str, Any]:
        import orbax.checkpoint as ocp

        folder = self.folder / str(epoch)
        try:
            if not folder.is_dir() or not is_as_listed(folder):
                raise DamagedError
        except OSError as error:
            self._refuse(f"Checkpoint {epoch} cannot be read: {_reason(error)}")
        found = self._restore(epoch, run=ocp.args.JsonRestore())
        try:
            whole = dict(found.run)
            header = {name: value for name, value in whole.items() if name != "hash"}
            sound = whole["hash"] == _hash(header) and header["epoch"] == epoch
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DamagedError from error
        if not sound:
            raise DamagedError
        return header

    def _read(self, epoch: int, header: dict[str, Any], template: Saved) -> Saved:
        import orbax.checkpoint as ocp

        names = [name for name, size in header["sizes"].items() if size]
        found = self._restore(epoch, **{name: ocp.args.PyTreeRestore() for name in names})
        try:
            arrays = {
                name: {key: np.asarray(found[name][key]) for key in sorted(found[name])}
                if size else {}
                for name, size in header["sizes"].items()
            }  # fmt: skip
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DamagedError from error
        if _hash_all(arrays) != header["arrays"]:
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
                self._refuse(f"Checkpoint {epoch} is damaged: delete it to go on from {good}.")
        if damaged:
            warnings.warn(
                f"checkpoints: got {str(self.folder)!r} with damaged checkpoints "
                f"{sorted(damaged)}, now named .damaged. The run goes on from {good}.",
                stacklevel=2,
            )
            self.manager.reload()


def _hash(header: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _hash_all(trees: dict[str, dict[str, np.ndarray]]) -> str:
    return hash_of_arrays(
        {f"{name}/{k}": a for name, tree in trees.items() for k, a in tree.items()}
    )


def _reason(error: Exception) -> str:
    """What the system said, or the library beneath of it."""
    if "No space left" in str(error):
        return "the disk is full. Make room."
    said = error.strerror if isinstance(error, OSError) else None
    return f"{said.lower()}." if said else first_line(error)


@contextlib.contextmanager
def open_checkpoints(folder: str | os.PathLike[str], run: str) -> Iterator[Checkpoints]:
    """The checkpoints in a folder, which is made if missing; Orbax is imported here.

    Raises:
        ValueError: if there is no such folder, and none can be made.
    """
    path = check_path("checkpoints", folder)
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    with contextlib.ExitStack() as stack:
        try:
            path = path.resolve()
            if path.exists() and not path.is_dir():
                fail("checkpoints", repr(str(path)), "That is a file: pass a folder.")
            path.mkdir(parents=True, exist_ok=True)
            # before Orbax, which removes what looks left over
            stack.enter_context(alone_in("checkpoints", path))
            for left in path.glob(f"*{DELETED}"):  # by a run that was killed meanwhile
                if left.stem.isdigit():
                    shutil.rmtree(left, ignore_errors=True)
            manager = stack.enter_context(ocp.CheckpointManager(path, options=options))
        except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 say the latter of a loop
            mend = f"It cannot be opened: {_reason(error)} Pass another folder."
            fail("checkpoints", shown(str(path)), mend)
        yield Checkpoints(path, run, manager)
