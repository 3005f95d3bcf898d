"""A fair race: the same number of tries for everyone, other seeds for the verdict."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from narrowlib._checks import check_bool, check_function, check_int, check_number, fail, shown
from narrowlib._lists import check_list
from narrowlib._provenance import origin
from narrowlib._runs import runs
from narrowlib.study.shared import rounded
from narrowlib.study.sweep import (
    Device,
    Run,
    check_devices,
    check_found,
    check_seeds,
    check_settings,
    check_traceable,
    sweep_program,
)
from narrowlib.study.tables import Table

RESERVED = ("entry", "chosen", "at_edge", "grid", "results", "seconds")  # names of a row's parts
Cells = list[tuple[dict[str, float], int]]  # settings and a seed


@runs("host")
def race(
    run: Run,
    entries: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    tuning: Sequence[int],
    reporting: Sequence[int],
    goal: str = "loss",
    static: Mapping[str, Sequence[Any]] | None = None,
    chunk: int = 16,
    devices: Sequence[Device] | None = None,
    vectorize: bool = True,
) -> Table:
    """Tune every entrant on some seeds, and report it on others.

    For each combination of `static` settings and each entrant, all points of its grid run on all
    tuning seeds. The point with the lowest median of `goal` runs on the reporting seeds. A run
    whose goal is NaN or infinite counts as infinity; of equal points the first wins.

    Args:
        run: a function of a random key, of `entry=` the entrant's name, and of the settings by
            name; it returns scalars or arrays by name.
        entries: for each entrant its grid: values of its settings, which may be traced.
        tuning: seeds on which settings are chosen; a run's key is `jax.random.key(seed)`.
        reporting: seeds that the results are from. None may be a tuning seed.
        goal: the name of the scalar that is to be low.
        static: settings that fix shapes or branches, the same for all entrants, numbers or words.
        chunk: how many runs a device takes side by side, at most.
        devices: which of `jax.local_devices()` to use where vectorised; None for all (see `sweep`).
        vectorize: `vmap` and compile `run`; with False it is called run by run as it is.

    Returns:
        A `Table`, a row for each combination and entrant: the `static` settings, `entry`, `chosen`
        (the settings), `at_edge` (those chosen at an end of their grid, where better ones may lie
        beyond), `grid` (each point with its goals, a value a tuning seed), `results` (lists by
        name, an entry a reporting seed) and `seconds` (of a reporting run, without compilation
        where vectorised). Numbers have four digits; what is not finite is None.

    Raises:
        ValueError: if a list is empty, a reporting seed is a tuning seed, a setting has two
            places or is named like a part of a row or the goal, or the runs have no such goal.

    Example:
        >>> import jax, optax
        >>> import narrowlib as nl
        >>> def run(key, *, entry, step_size):
        ...     data = nl.gaussian(key, n=20, d=5)
        ...     start = nl.mirrored_lecun(key, d=5, m=8)
        ...     make = {"GD": optax.sgd, "Adam": optax.adam}[entry]
        ...     path = nl.trajectory(start, data.X, data.y, make(step_size), num_steps=100)
        ...     return {"loss": path.loss[-1]}
        >>> steps = {"step_size": [0.01, 0.1, 1.0]}
        >>> rows = nl.race(run, {"GD": steps, "Adam": steps}, tuning=[0, 1], reporting=[2, 3, 4])
        >>> losses = {row["entry"]: row["results"]["loss"] for row in rows}
        >>> nl.compare_runs(losses["Adam"], losses["GD"])
        'ahead'

    References:
        Chapter "A fair race".
    """
    check_function("run", run, "def run(key, entry, step_size): return {'loss': …}")
    devices = check_devices(devices)
    chunk, vectorize = check_int("chunk", chunk, 1), check_bool("vectorize", vectorize)
    entries, static = _check_entries(entries, static, goal, vectorize)
    tuning, reporting = check_seeds("tuning", tuning), check_seeds("reporting", reporting)
    if both := set(tuning) & set(reporting):
        fail("reporting", sorted(both), "Report on seeds that have not chosen the settings.")
    start, rows = time.perf_counter(), []
    for choice in itertools.product(*static.values()):
        fixed = dict(zip(static, choice, strict=True))
        for entry, grid in entries.items():
            alone = partial(run, entry=entry, **fixed)
            points = [dict(zip(grid, p, strict=True)) for p in itertools.product(*grid.values())]
            most = max(len(points) * len(tuning), len(reporting))
            go = partial(_by_one, alone)
            if vectorize:
                go = _vectorized(alone, min(chunk, -(-most // len(devices))), devices)
            tried = go([(point, seed) for point in points for seed in tuning])
            goals = _goals(tried, goal).reshape(len(points), len(tuning))
            best = int(np.median(_failed_last(goals), 1).argmin())
            began = time.perf_counter()
            found = go([(points[best], seed) for seed in reporting])
            seconds = (time.perf_counter() - began) / len(reporting)
            rows.append({
                **fixed,
                "entry": entry,
                "chosen": points[best],
                "at_edge": [k for k, v in grid.items()
                            if len(v) > 1 and points[best][k] in (v[0], v[-1])],
                "grid": [{**p, goal: rounded(g)} for p, g in zip(points, goals, strict=True)],
                "results": {name: rounded(values) for name, values in found.items()},
                "seconds": float(f"{seconds:.3g}"),
            })  # fmt: skip
    return Table(rows, origin(start) | {"tuning": tuning, "reporting": reporting, "goal": goal})


@runs("host")
def compare_runs(a: Sequence[float | None], b: Sequence[float | None], factor: float = 2.0) -> str:
    """The book's rule for a verdict on two entrants' final losses on the same seeds.

    Args:
        a: one entrant's losses, shape (seeds,); a failed run is None, NaN or infinite.
        b: the other's, on the same seeds.
        factor: how far apart the medians must be, at least 1.

    Returns:
        "ahead" if a's median is lower than b's by more than the factor and a is lower on every
        seed, "behind" if that holds with a and b exchanged, "undecided" otherwise.

    Raises:
        ValueError: if the lists differ in length or are empty, or the factor is below 1.

    Example:
        >>> import narrowlib as nl
        >>> nl.compare_runs([0.1, 0.2, 0.1], [0.5, 0.4, None])
        'ahead'

    References:
        Chapter "A fair race".
    """
    factor = check_number("factor", factor, minimum=1)
    first, second = _losses("a", a), _losses("b", b)
    if len(first) != len(second):
        text = f"There are {len(first)} of a: pass both on the same seeds."
        fail("b", f"{len(second)} losses", text)
    for name, low, high in (("ahead", first, second), ("behind", second, first)):
        if np.median(high) > factor * np.median(low) and (low < high).all():
            return name
    return "undecided"


def _losses(name: str, values: Any) -> np.ndarray:
    """One loss a seed, with infinity for those that failed."""
    listed = check_list(name, values)
    for value in listed:
        number = np.asarray(np.nan if value is None else value)
        if number.dtype.kind not in "iuf" or number.ndim:
            fail(name, shown(value), "Pass a number for each seed, or None.")
    return _failed_last(listed)


def _failed_last(losses: Any) -> np.ndarray:
    """The losses, with infinity for what is None, NaN or infinite of either sign."""
    values = np.array(losses, float)
    return np.where(np.isfinite(values), values, np.inf)


def _check_entries(
    entries: Any, static: Any, goal: Any, vectorize: bool
) -> tuple[dict[str, dict[str, list[Any]]], dict[str, list[Any]]]:
    """The grids and the static settings, each in one place and under a name of its own."""
    if not isinstance(entries, Mapping) or not all(isinstance(entry, str) for entry in entries):
        fail("entries", shown(entries), "Pass a dictionary: for each entrant its grid.")
    if not entries:
        fail("entries", "nothing", "Pass at least one.")
    if not isinstance(goal, str):
        fail("goal", shown(goal), "Pass the name of a result, such as 'loss'.")
    static, grids = check_settings("static", static), {}
    if wrong := set(static) & set(RESERVED):
        fail("static", sorted(wrong), f"A row has {', '.join(RESERVED)} itself: rename it.")
    for entry, grid in entries.items():
        name = f"entries[{entry!r}]"
        checked = check_settings(name, grid)
        if vectorize:
            checked = {k: check_traceable(f"{name}[{k!r}]", v) for k, v in checked.items()}
        if twice := set(checked) & set(static):
            fail(name, sorted(twice), "Give every setting one place.")
        if wrong := set(checked) & {"entry", goal}:
            fail(name, sorted(wrong), "Name settings unlike the goal, and not 'entry'.")
        grids[entry] = checked
    return grids, static


def _goals(tried: dict[str, np.ndarray], goal: str) -> np.ndarray:
    if goal not in tried:
        fail("goal", repr(goal), f"The runs return {', '.join(tried)}.")
    if tried[goal].ndim != 1:
        fail(f"run's {goal!r}", f"shape {tried[goal].shape[1:]}", "The goal is a scalar.")
    return tried[goal]


def _vectorized(
    run: Run, chunk: int, devices: list[Device]
) -> Callable[[Cells], dict[str, np.ndarray]]:
    """Runs in chunks of one size, the last filled up, by a program that is compiled once."""
    program, size = sweep_program(run, chunk=chunk, devices=devices), chunk * len(devices)

    def go(cells: Cells) -> dict[str, np.ndarray]:
        parts = []
        for i in range(0, len(cells), size):
            part = [cells[min(k, len(cells) - 1)] for k in range(i, i + size)]
            keys = jax.vmap(jax.random.key)(jnp.array([seed for _, seed in part]))
            settings = {k: jnp.array([float(p[k]) for p, _ in part]) for k in part[0][0]}
            parts.append(jax.tree.map(np.asarray, program((keys, settings))))
        return {k: np.concatenate([p[k] for p in parts])[: len(cells)] for k in parts[0]}

    return go


def _by_one(run: Run, cells: Cells) -> dict[str, np.ndarray]:
    found = [dict(check_found(run(jax.random.key(seed), **point))) for point, seed in cells]
    results = {}
    for name in found[0]:
        try:
            results[name] = np.array([np.asarray(f[name], float) for f in found])
        except (KeyError, TypeError, ValueError):
            mend = "Return the same names from every run, with numbers of one shape."
            fail(f"run's {name!r}", "something else in another run, or no number", mend)
    return results
