"""Many short runs as one program: seeds × settings, in chunks that fit into memory."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_function, check_int, fail, is_traced, shown
from narrowlib._lists import check_list
from narrowlib._provenance import origin
from narrowlib._runs import runs
from narrowlib.study.tables import Table, plain

Run = Callable[..., Mapping[str, Any]]
Device = Any  # a jax.Device, which type checkers take for a variable
MEASURED = ("date", "versions", "seconds")  # of the provenance: not to be passed as `about`


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Sweep(Table):
    """A table with a row a run: its settings, `seed`, and what the run gave.

    `provenance` holds `date`, `versions`, `seconds`, `device`, `precision` (JAX's default), and
    what was passed as `about`.

    Args:
        rows: a dictionary for each run.
        provenance: where they come from.
    """


@runs("host")
def sweep(
    run: Run,
    *,
    seeds: Sequence[int],
    over: Mapping[str, Sequence[float]] | None = None,
    static: Mapping[str, Sequence[Any]] | None = None,
    chunk: int = 32,
    devices: Sequence[Device] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Sweep:
    """Run a function for every seed and every combination of settings.

    The runs of one combination of `static` settings are one compiled program, which deals them out
    to the devices; each takes `chunk` of its own at a time, side by side. Vectorised runs go on
    until the last of a chunk has finished: let the function take a fixed number of steps, or put
    runs of like length together.

    JAX counts all cores of a host as one device, and small runs use one core of it. For a device
    a core say so before anything is computed:
    `jax.config.update("jax_num_cpu_devices", os.cpu_count())`.

    Args:
        run: a function of a random key and of the settings by name, which JAX can trace and
            `vmap`; it returns scalars by name. Solvers need `throw=False`.
        seeds: whole numbers, at least 0; a run's key is `jax.random.key(seed)`.
        over: settings that are numbers which may be traced (step sizes, radii), with their values.
        static: settings that fix shapes or branches (widths, sizes, methods), with their values,
            numbers or words; a compilation for each combination.
        chunk: how many runs a device takes at a time, at most.
        devices: which of `jax.local_devices()` to use; None for all. The results are the same, to
            rounding.
        about: what else to keep in the provenance: a commit, a data set's hash, ….

    Returns:
        A `Sweep`, with static settings in front, then the others, then seeds, in order.

    Raises:
        ValueError: if a list is empty, a name is used twice (also by a result) or is "seed", a
            seed is no whole number, a result is no scalar, `devices` holds something else, or
            `about` holds what JSON cannot.

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
        >>> table
        Sweep of 12 rows: m, step_size, seed, loss
        >>> table.where(m=8, step_size=0.3)["loss"].shape
        (3,)

    References:
        Chapter "A fair race".
    """
    check_function("run", run, "def run(key, step_size): return {'loss': …}")
    devices = check_devices(devices)
    chunk, seeds = check_int("chunk", chunk, 1), check_seeds("seeds", seeds)
    over = {k: check_traceable(f"over[{k!r}]", v) for k, v in check_settings("over", over).items()}
    static = check_settings("static", static)
    if twice := (set(over) & set(static)) | ({"seed"} & (set(over) | set(static))):
        fail("over", sorted(twice), 'Give every setting one place; "seed" belongs to `seeds`.')
    more = plain("about", {} if about is None else about)
    if not isinstance(more, dict) or set(more) & set(MEASURED):
        mend = f"Pass a dictionary, without {', '.join(MEASURED)}: they are measured."
        fail("about", shown(about), mend)
    began = time.perf_counter()
    cells = list(itertools.product(*over.values(), seeds))
    # chunks of equal size, the last filled up: another size would be compiled anew
    share = -(-len(cells) // len(devices))
    chunks = -(-share // chunk)
    size = -(-share // chunks)
    padded = [cells[min(i, len(cells) - 1)] for i in range(len(devices) * chunks * size)]
    *values, last = (np.array(column) for column in zip(*padded, strict=True))
    keys = jax.vmap(jax.random.key)(jnp.asarray(last))
    inputs = {k: jnp.asarray(v, float) for k, v in zip(over, values, strict=True)}
    rows: list[dict[str, Any]] = []
    for choice in itertools.product(*static.values()):
        fixed = dict(zip(static, choice, strict=True))
        found = sweep_program(partial(run, **fixed), chunk=size, devices=devices)((keys, inputs))
        for name, column in found.items():
            if name in {"seed", *over, *static}:
                fail(f"run's {name!r}", "a result of that name", "Name it unlike every setting.")
            if column.ndim != 1:
                fail(f"run's {name!r}", f"shape {column.shape[1:]}", "Return scalars.")
        results = zip(*(np.asarray(column).tolist() for column in found.values()), strict=True)
        for cell, result in zip(cells, results, strict=False):
            named = zip((*over, "seed", *found), (*cell, *result), strict=True)
            rows.append({**fixed, **dict(named)})
    here = {"device": devices[0].device_kind, "precision": str(jnp.zeros(()).dtype)}
    return Sweep(rows, origin(began) | here | more)


def sweep_program(
    run: Run, *, chunk: int, devices: Sequence[Device]
) -> Callable[..., dict[str, Array]]:
    """What `sweep` compiles: a function of (keys, settings by name), batched in front.

    Each device takes an equal share of the batch, `chunk` runs at a time.
    """

    def one(cell: tuple[Array, dict[str, Array]]) -> dict[str, Array]:
        key, settings = cell
        return {k: _real(k, v) for k, v in check_found(run(key, **settings)).items()}

    def share(cells: tuple[Array, dict[str, Array]]) -> dict[str, Array]:
        return jax.lax.map(one, cells, batch_size=chunk)

    if len(devices) == 1:
        alone = jax.jit(share)
        return lambda cells: alone(jax.device_put(cells, devices[0]))
    mesh = jax.sharding.Mesh(np.array(devices), ("runs",))
    runs = jax.sharding.PartitionSpec("runs")
    return jax.jit(jax.shard_map(share, mesh=mesh, in_specs=runs, out_specs=runs, check_vma=False))


def check_devices(devices: Any) -> list[Device]:
    """Devices of this process; None stands for all."""
    if devices is None:
        return jax.local_devices()
    checked = check_list("devices", devices)
    if len(set(checked)) < len(checked) or not set(checked) <= set(jax.local_devices()):
        fail("devices", shown(devices), "Pass some of jax.local_devices(), each once.")
    return checked


def check_found(found: Any) -> Mapping[str, Any]:
    """What a run returned: something by name."""
    if not isinstance(found, Mapping) or not found or not all(isinstance(k, str) for k in found):
        fail("run", shown(found), "Let it return its results by name, such as {'loss': loss}.")
    return found


def _real(name: str, value: Any) -> Array:
    try:
        if isinstance(value, str) or value is None:
            raise TypeError
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        fail(f"run's {name!r}", shown(value), "Return numbers.")
    if not any(
        jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)
    ):
        fail(f"run's {name!r}", f"dtype {array.dtype}", "Return real numbers.")
    return array


def check_seeds(name: str, seeds: Any) -> list[int]:
    """Whole numbers of at least 0."""
    return [check_int(name, seed, 0) for seed in check_list(name, seeds)]


def check_settings(name: str, settings: Any) -> dict[str, list[Any]]:
    """For each setting its values, which a table can hold; None is none."""
    if settings is None:
        return {}
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        fail(name, shown(settings), "Pass a dictionary: for each setting a list of values.")
    checked = {k: check_list(f"{name}[{k!r}]", v) for k, v in settings.items()}
    for key, values in checked.items():
        plain(f"{name}[{key!r}]", values, finite=False)
    return checked


def check_traceable(name: str, values: list[Any]) -> list[float]:
    """Settings that a program may trace: numbers, no NaN; infinity may be a radius."""
    for value in values:
        number = not is_traced(value) and np.ndim(value) == 0 and np.asarray(value).dtype.kind
        if number not in ("b", "i", "u", "f") or np.isnan(value):
            fail(name, shown(value), "Pass numbers here; words go to `static`.")
    return [np.asarray(value).item() for value in values]
