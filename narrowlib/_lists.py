"""Lists, dictionaries and arrays that stay on the host, whatever holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from narrowlib._checks import fail, real_array, shown


def check_list(name: str, values: Any, least: int = 1) -> list[Any]:
    """A list of at least so many values; words and what has no order are none."""
    no_list = isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable)
    if no_list or getattr(values, "ndim", 1) == 0:
        fail(name, shown(values), "Pass a list.")
    listed = list(values)
    if len(listed) < least:
        few = f"{len(listed)} of them" if listed else "nothing"
        fail(name, few, f"Pass at least {['none', 'one', 'two'][least] if least < 3 else least}.")
    return listed


def check_mapping(name: str, mapping: Any) -> Mapping[Any, Any]:
    """A dictionary with at least one entry."""
    if not isinstance(mapping, Mapping) or not mapping:
        fail(name, shown(mapping), "Pass a dictionary with at least one entry.")
    return mapping


def check_numbers(name: str, x: Any, ndim: int) -> np.ndarray:
    """An array of numbers of so many axes, in double precision whatever JAX's is."""
    array = np.asarray(real_array(name, x), float)
    if array.ndim != ndim:
        fail(name, f"shape {array.shape}", f"Pass an array with {ndim} axes.")
    return array
