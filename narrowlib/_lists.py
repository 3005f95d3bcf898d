"""Lists of values, whatever holds them in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from narrowlib._checks import fail, shown


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
