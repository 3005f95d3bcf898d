"""Sets of one's own: what makes a plain class with `project` fit wherever a set goes.

A subclass of `Constraint` needs no decorator. It becomes a pytree when its first object is made,
unless its author has registered it by then, and its projections come back in the shape and the
precision of their argument, as a compiled loop needs them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import fail, float_array, shown

_SEEN: set[type] = set()
_LEAVES = "_leaves"  # where an object that JAX has rebuilt keeps the names of its leaves


def answers_in_kind(project: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Array]:
    """A method `project` on float arrays, whose results have its argument's shape and precision."""

    @functools.wraps(project)
    def checked(self: Any, x: Any) -> Array:
        x = float_array("x", x, None)
        moved = project(self, x)
        if not isinstance(moved, jax.Array | np.ndarray) or moved.shape != x.shape:
            got = f"{type(self).__name__}, whose projection is {shown(moved)}"
            mend = f"Let its method project return an array of shape {x.shape}."
            fail("constraint", got, mend)
        return jnp.asarray(moved, x.dtype)

    return checked


class Static:
    """A value that is fixed at compile time: compared by type and value, or by identity."""

    def __init__(self, value: Any):
        self.value = value
        try:
            self.hash = hash((type(value), value))
        except TypeError:
            self.hash = None

    def __hash__(self) -> int:
        return id(self.value) if self.hash is None else self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static):
            return False
        if self.value is other.value:
            return True
        same = self.hash is not None and self.hash == other.hash
        return same and type(self.value) is type(other.value) and self.value == other.value


def ensure_pytree(cls: type, is_node: Callable[[Any], bool]) -> None:
    """Register a class of plain objects as a pytree, unless it is one.

    An attribute that holds arrays, or is a node itself, is a leaf or a branch; every other is
    static: a number is one that the code of a class may branch on.
    """
    if cls in _SEEN:
        return
    _SEEN.add(cls)

    def is_data(value: Any) -> bool:
        leaves = jax.tree.leaves(value)
        return is_node(value) or any(isinstance(x, jax.Array | np.ndarray) for x in leaves)

    def attributes(self: Any) -> dict[str, Any]:
        slots = (name for base in cls.__mro__ for name in getattr(base, "__slots__", ()))
        slotted = {name: getattr(self, name) for name in slots if hasattr(self, name)}
        return {k: v for k, v in (slotted | vars(self)).items() if k != _LEAVES}

    def flatten(self: Any) -> tuple[list, tuple]:
        values = attributes(self)
        # in a rebuilt object anything may stand where an array stood
        names = getattr(self, _LEAVES, None) or tuple(k for k, v in values.items() if is_data(v))
        static = tuple((k, Static(v)) for k, v in values.items() if k not in names)
        leaves = [(jax.tree_util.GetAttrKey(name), values[name]) for name in names]
        return leaves, (names, static)

    def unflatten(structure: tuple, leaves: Iterable[Any]) -> Any:
        names, static = structure
        self = object.__new__(cls)
        for name, value in zip(names, leaves, strict=True):
            object.__setattr__(self, name, value)
        for name, fixed in static:
            object.__setattr__(self, name, fixed.value)
        object.__setattr__(self, _LEAVES, names)
        return self

    with contextlib.suppress(ValueError):  # its author has registered it
        jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
