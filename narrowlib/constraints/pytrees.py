"""Records that pass through JAX: frozen dataclasses that are pytrees."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

import jax

Class = TypeVar("Class", bound=type)


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
        return cls

    return decorate
