"""Which large arrays were found finite: JAX's do not change, and a pass over them takes time."""

from __future__ import annotations

import weakref

import jax

LARGE = 1_000_000  # numbers; fewer are looked at in a millisecond
_found: dict[int, weakref.ref] = {}


def is_known(x: object) -> bool:
    """Whether this very array was remembered."""
    known = _found.get(id(x))
    return known is not None and known() is x


def remember(x: object) -> None:
    """Remember a large JAX array for as long as it lives."""
    if isinstance(x, jax.Array) and x.size >= LARGE:
        name = id(x)
        _found[name] = weakref.ref(x, lambda _: _found.pop(name, None))
