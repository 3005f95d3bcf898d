"""Tables of measurements: by rows, by columns, and with where they come from."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import html
import json
import math
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar, overload

import jax
import numpy as np

from narrowlib._checks import check_path, fail, is_traced, shown
from narrowlib._files import write_whole

Kind = TypeVar("Kind", bound="Table")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Table(Sequence[dict[str, Any]]):
    """Rows of measurements, and where they come from.

    A table is a sequence of its rows: `len(table)`, `table[0]`, `for row in table`. A name gives
    a column, `table["loss"]`, an array with an entry a row. No name is guessed: one that no row
    has is refused.

    Args:
        rows: a dictionary for each measurement: its settings and its results by name, as plain
            numbers, words, lists and dictionaries.
        provenance: what was run, when, with which versions, for how long, as JSON.
        names: of the columns; only needed where there are no rows.

    Raises:
        ValueError: if the rows are no dictionaries with words as keys, or the provenance holds
            what JSON cannot.

    Example:
        >>> import narrowlib as nl
        >>> rows = [{"m": 4, "loss": 0.5}, {"m": 8, "loss": 0.25}, {"m": 8, "loss": 0.125}]
        >>> table = nl.Table(rows, {"date": "2026-01-31"})
        >>> table.where(m=8)["loss"].tolist()
        [0.25, 0.125]

    References:
        Chapter "Use it in your course".
    """

    rows: list[dict[str, Any]]
    provenance: dict[str, Any]
    names: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.rows, Sequence) or isinstance(self.rows, str):
            fail("rows", shown(self.rows), "Pass a list of dictionaries.")
        for name, value in [("rows", row) for row in self.rows] + [("provenance", self.provenance)]:
            if not isinstance(value, Mapping):
                fail(name, shown(value), "Pass a dictionary.")
        names = tuple(dict.fromkeys(name for row in self.rows for name in row)) or self.names
        object.__setattr__(self, "rows", plain("rows", self.rows, finite=False))
        object.__setattr__(self, "provenance", plain("provenance", self.provenance))
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    @overload
    def __getitem__(self, index: str) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self: Kind, index: slice) -> Kind: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            self._check_names("column", [index])
            return self.columns[index]
        if isinstance(index, slice):
            return dataclasses.replace(self, rows=self.rows[index])
        try:
            return self.rows[operator.index(index)]
        except IndexError:
            raise IndexError(f"row: got {index}. The table has {len(self)} rows.") from None
        except TypeError:
            fail("row or column", shown(index), "Pass a number, a slice or a column's name.")

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self)} rows: {', '.join(self.names)}"

    def _repr_html_(self) -> str | None:
        """What a notebook shows: numbers to three digits; nothing of this of a long table."""
        if len(self) > 24:
            return None
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.names)
        rows = [[row.get(name) for name in self.names] for row in self.rows]
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        return f'<table class="dataframe"><tr>{head}</tr>{body}</table>'

    @functools.cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Every column by its name, an array with an entry a row.

        Numbers become numbers, with NaN for None; lists of equal lengths become further axes.
        Everything else stays as it is, with None where a row lacks the name.
        """
        return {name: _column([row.get(name) for row in self.rows]) for name in self.names}

    def where(self: Kind, /, **wanted: Any) -> Kind:
        """The table of the rows whose entries equal those named.

        Args:
            wanted: by name, a value for each; a row that lacks the name counts as None there.

        Returns:
            A table of the same kind, perhaps without rows.

        Raises:
            ValueError: if there is no such column.
        """
        self._check_names("where", wanted)
        values = {name: plain(name, value, finite=False) for name, value in wanted.items()}
        rows = [row for row in self.rows if all(row.get(k) == v for k, v in values.items())]
        return dataclasses.replace(self, rows=rows)

    def to_pandas(self) -> Any:
        """The table as a `pandas.DataFrame`, with the provenance in its `attrs`.

        Raises:
            ModuleNotFoundError: if pandas is not installed; nothing else here needs it.
        """
        try:
            import pandas  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError:
            text = "to_pandas needs pandas: pip install pandas. `columns` needs nothing."
            raise ModuleNotFoundError(text) from None
        frame = pandas.DataFrame(self.rows, columns=list(self.names))
        frame.attrs["provenance"] = self.provenance
        return frame

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything as JSON, whole or not at all; NaN and infinity as null.

        Args:
            path: where to; a link is followed.

        Returns:
            The path of the file.

        Raises:
            ValueError: if the path is none, or a folder.
            OSError: if it cannot be written.
        """
        path = check_path("path", path)
        own = [f.name for f in dataclasses.fields(self)]
        order = [name for name in own if name not in ("rows", "provenance", "names")]
        saved = {name: getattr(self, name) for name in (*order, "rows", "provenance")}
        saved = _without_nan(plain("table", saved, finite=False))
        text = json.dumps(saved, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        with write_whole(path) as stream:
            stream.write(text.encode())
        return path

    def _check_names(self, argument: str, names: Any) -> None:
        if unknown := sorted(set(names) - set(self.names)):
            fail(argument, unknown, f"The columns are {', '.join(self.names) or 'none'}.")


def _column(values: list[Any]) -> np.ndarray:
    """An entry a row: numbers or words where all are, in lists of one shape; else objects."""
    kinds = set(map(type, _leaves(values)))
    dtype = None
    if kinds <= {int, float, type(None)} and kinds & {int, float}:
        dtype = int if kinds == {int} else float
    elif len(kinds) == 1 and kinds <= {bool, str}:
        dtype = kinds.pop()
    if dtype is not None:
        try:
            return np.array(values, dtype)
        except (ValueError, OverflowError):  # lists of several lengths, or a number too large
            pass
    column = np.empty(len(values), object)
    for k, value in enumerate(values):
        column[k] = value
    return column


def _cell(value: Any) -> str:
    """An entry of a table on a page."""
    number = isinstance(value, float)
    text = "" if value is None else f"{value:.3g}" if number else str(value)
    return f"<td>{html.escape(text)}</td>"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value


def plain(name: str, value: Any, *, finite: bool = True) -> Any:
    """A value as JSON has it: numbers, words, truth values, None, lists and dictionaries of them.

    Arrays and tuples become lists, dates and paths words. What JSON cannot hold is refused, NaN
    and infinity only if `finite`.
    """
    if value is None or type(value) in (str, bool, int):
        return value
    if isinstance(value, np.ndarray | np.generic | jax.Array) and not is_traced(value):
        if getattr(value.dtype, "kind", "O") not in "biufUM" and value.dtype.name != "bfloat16":
            fail(name, shown(value), "Pass numbers or words, which JSON can hold.")
        if value.dtype.kind == "M":
            value = np.datetime_as_string(np.asarray(value))
        value = value.tolist()
    if isinstance(value, float) and finite and not math.isfinite(value):
        fail(name, value, "JSON has no such number: pass a finite one, or a word.")
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        if unnamed := [key for key in value if not isinstance(key, str)]:
            fail(name, f"the key {shown(unnamed[0])}", "Pass words as keys.")
        return {k: plain(f"{name}[{k!r}]", v, finite=finite) for k, v in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(name, v, finite=finite) for v in value]
    fail(name, shown(value), "Pass numbers, words, lists or dictionaries, which JSON can hold.")


def _without_nan(value: Any) -> Any:
    """The same with None for NaN and infinity."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
