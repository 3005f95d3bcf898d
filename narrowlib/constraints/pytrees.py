"""How objects of this library pass through JAX: records with leaves, and sets of one's own.

`frozen_pytree` makes a record. A plain subclass of `Constraint` needs nothing of it: it becomes a
pytree when its first object is made, unless its author has registered it by then.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

Class = TypeVar("Class", bound=type)
_KNOWN: set[type] = set()  # classes that are pytrees
_LEAVES = "_leaves"  # where an object that JAX has rebuilt keeps the names of its leaves


@dataclass_transform(frozen_default=True)
def frozen_pytree(*meta: str) -> Callable[[Class], Class]:
    """Make a class a frozen dataclass whose fields are pytree leaves, but for the static ones.

    JAX rebuilds it without calling `__init__`: what a user passes is checked, what a
    transformation passes through (tracers, batches, placeholders) is not.

    Args:
        meta: the names of the static fields.

    Returns:
        A decorator of classes.

    Example:
        >>> import jax, narrowlib as nl
        >>> @nl.frozen_pytree("name")
        ... class Interval:
        ...     low: float
        ...     high: float
        ...     name: str = "interval"
        >>> jax.tree.leaves(Interval(0.0, 1.0))
        [0.0, 1.0]
    """

    def decorate(cls: Class) -> Class:
        cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
        data = [field.name for field in dataclasses.fields(cls) if field.name not in meta]

        def flatten(self: Any) -> tuple[list, tuple]:
            leaves = [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in data]
            return leaves, tuple(getattr(self, name) for name in meta)

        def unflatten(static: tuple, leaves: Iterable[Any]) -> Any:
            self = object.__new__(cls)
            for name, value in zip((*data, *meta), (*leaves, *static), strict=True):
                object.__setattr__(self, name, value)
            return self

        jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
        _KNOWN.add(cls)
        return cls

    return decorate


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
    if cls in _KNOWN:
        return
    _KNOWN.add(cls)

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
