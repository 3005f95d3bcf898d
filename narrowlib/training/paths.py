"""Parameters of Flax NNX modules by their path, such as "layers.0.kernel"."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array


def _name(path: tuple[Any, ...]) -> str:
    """Keys of dictionaries and lists, joined by dots; the variable's own field is left out."""
    keys = (getattr(key, "key", getattr(key, "idx", None)) for key in path)
    return ".".join(str(key) for key in keys if key is not None)


def named_leaves(params: Any) -> tuple[dict[str, Array], Any]:
    """The arrays of an NNX state by path, and the structure that takes them back in order."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
    return {_name(path): leaf for path, leaf in leaves}, treedef


def parameters_by_path(module: Any) -> dict[str, Array]:
    """Every `nnx.Param` of a module, by its path."""
    return named_leaves(nnx.state(module, nnx.Param))[0]


def with_parameters(module: Any, changed: dict[str, Array]) -> Any:
    """The module with some parameters replaced, in place."""
    leaves, treedef = named_leaves(nnx.state(module, nnx.Param))
    nnx.update(module, jax.tree.unflatten(treedef, list((leaves | changed).values())))
    return module
