"""Many short runs as one program: seeds × settings, vmapped, in chunks that fit into memory."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_int, fail
from narrowlib._files import write_whole
from narrowlib.study.saved import origin


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """A tidy table, a row a run, and where it comes from.

    Args:
        columns: arrays of equal length by name: the settings, `seed`, and what the runs gave.
            `pandas.DataFrame(sweep.columns)` reads it.
        provenance: `date`, `versions`, `device`, `precision` (JAX's default), `seconds`, and what
            was passed as `about`.
    """

    columns: dict[str, np.ndarray]
    provenance: dict[str, Any]

    def __len__(self) -> int:
        return len(self.columns["seed"])

    def rows(self) -> list[dict[str, Any]]:
        """The table row by row, as plain numbers and words."""
        lists = {name: column.tolist() for name, column in self.columns.items()}
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]

    def where(self, **wanted: Any) -> dict[str, np.ndarray]:
        """The columns of the runs with these settings."""
        if unknown := set(wanted) - set(self.columns):
            fail("where", sorted(unknown), f"The columns are {', '.join(self.columns)}.")
        chosen = np.ones(len(self), bool)
        for name, value in wanted.items():
            chosen &= self.columns[name] == value
        return {name: column[chosen] for name, column in self.columns.items()}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write rows and provenance as JSON, whole or not at all; NaN and infinity as null."""
        path = Path(path)

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not np.isfinite(value) else value

        rows = [{name: plain(value) for name, value in row.items()} for row in self.rows()]
        saved = {"rows": rows, "provenance": self.provenance}
        with write_whole(path) as stream:
            text = json.dumps(saved, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
            stream.write(text.encode())
        return path


def sweep(
    run: Callable[..., Mapping[str, Any]],
    *,
    seeds: Sequence[int],
    over: Mapping[str, Sequence[float]] | None = None,
    static: Mapping[str, Sequence[Any]] | None = None,
    chunk: int = 32,
    about: Mapping[str, Any] | None = None,
) -> Sweep:
    """Run a function for every seed and every combination of settings.

    The runs of one combination of `static` settings are one compiled program, which takes `chunk`
    of them at a time, side by side. Vectorised runs go on until the last of a chunk has finished:
    let the function take a fixed number of steps, or put runs of like length together.

    Args:
        run: a function of a random key and of the settings by name, which JAX can trace and
            `vmap`; it returns scalars by name. Solvers need `throw=False`.
        seeds: whole numbers; a run's key is `jax.random.key(seed)`.
        over: settings that are numbers which may be traced (step sizes, radii), with their values.
        static: settings that fix shapes or branches (widths, sizes, methods), with their values;
            a compilation for each combination.
        chunk: how many runs at a time, at most.
        about: what else to keep in the provenance, as JSON: a commit, a data set's hash, ….

    Returns:
        A `Sweep`, with static settings in front, then the others, then seeds, in order.

    Raises:
        ValueError: if a list is empty, a name is used twice or is "seed", or a result is no
            scalar.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import narrowlib as nl
        >>> def run(key, step_size, m):
        ...     data = nl.gaussian(key, n=10, d=5)
        ...     solver = nl.ProjectedGradient(nl.Product(W=nl.Free(), v=nl.Free()), step_size)
        ...     start = nl.mirrored_lecun(key, d=5, m=m)
        ...     sol = solver.run(start, data.X, data.y, max_steps=50, throw=False)
        ...     return {"loss": sol.stats["loss"]}
        >>> table = nl.sweep(run, seeds=range(3), over={"step_size": [0.1, 0.3]},
        ...                  static={"m": [4, 8]})
        >>> len(table), list(table.columns)
        (12, ['m', 'step_size', 'seed', 'loss'])

    References:
        Chapter "A fair race".
    """
    check_int("chunk", chunk, 1)
    over, static = dict(over or {}), dict(static or {})
    named = {**{f"over[{k!r}]": v for k, v in over.items()},
             **{f"static[{k!r}]": v for k, v in static.items()}, "seeds": seeds}  # fmt: skip
    for name, values in named.items():
        if len(values) == 0:
            fail(name, "no values", "Pass at least one.")
    if twice := (set(over) & set(static)) | ({"seed"} & (set(over) | set(static))):
        fail("over", sorted(twice), 'Give every setting one place; "seed" belongs to `seeds`.')
    began = time.perf_counter()
    cells = list(itertools.product(*over.values(), [int(seed) for seed in seeds]))
    numbers = [np.array(column) for column in zip(*cells, strict=True)]
    # chunks of equal size, the last filled up: another size would be compiled anew
    chunks = -(-len(cells) // chunk)
    size = -(-len(cells) // chunks)
    padded = [column[np.minimum(np.arange(chunks * size), len(cells) - 1)] for column in numbers]
    keys = jax.vmap(jax.random.key)(jnp.asarray(padded[-1]))
    settings = {k: jnp.asarray(v, float) for k, v in zip(over, padded, strict=False)}
    parts: list[dict[str, np.ndarray]] = []
    for choice in itertools.product(*static.values()):
        fixed = dict(zip(static, choice, strict=True))
        program = sweep_program(partial(run, **fixed), chunk=size)
        found = {k: np.asarray(v)[: len(cells)] for k, v in program((keys, settings)).items()}
        for name, values in found.items():
            if values.ndim != 1:
                fail(f"run's {name!r}", f"shape {values.shape[1:]}", "Return scalars.")
        repeated = {k: np.full(len(cells), v) for k, v in fixed.items()}
        inputs = dict(zip((*over, "seed"), numbers, strict=True))
        parts.append({**repeated, **inputs, **found})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    here = {"device": jax.devices()[0].device_kind, "precision": str(jnp.zeros(()).dtype)}
    return Sweep(columns, origin(began) | here | dict(about or {}))


def sweep_program(run: Callable[..., Mapping[str, Any]], *, chunk: int) -> Callable[..., Any]:
    """What `sweep` compiles: a function of (keys, settings by name), batched in front."""

    def one(cell: tuple[Array, dict[str, Array]]) -> dict[str, Any]:
        key, settings = cell
        return dict(run(key, **settings))

    return jax.jit(lambda cells: jax.lax.map(one, cells, batch_size=chunk))
