"""Sets for the parameters of any pytree, by path: "W", "layers.0.kernel".

A path joins the keys of dictionaries, lists and records by dots. What a Flax variable or a label of
Optax adds on the way to the array is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.constraints.base import Constraint

PathLeaves = dict[str, Array]


def _name(path: tuple[Any, ...]) -> str:
    """Keys of dictionaries (`key`), lists (`idx`) and records (`name`), joined by dots."""
    keys = (getattr(k, "key", getattr(k, "idx", getattr(k, "name", None))) for k in path)
    return ".".join(map(str, keys))


def _is_node(x: Any) -> bool:
    return isinstance(x, nnx.Variable | optax.MaskedNode)


def named_leaves(params: Any) -> tuple[PathLeaves, Any]:
    """The arrays of a pytree by path, and the structure that takes them back in order."""
    named = {}
    for path, node in jax.tree_util.tree_flatten_with_path(params, is_leaf=_is_node)[0]:
        for inner, leaf in jax.tree_util.tree_flatten_with_path(node)[0]:
            own = inner[1:] if isinstance(node, nnx.Variable) else inner
            named[_name((*path, *own))] = leaf
    return named, jax.tree.structure(params)


def _masked(params: Any) -> set[str]:
    """The paths that Optax has masked out: another transformation takes care of them."""
    nodes = jax.tree_util.tree_flatten_with_path(params, is_leaf=_is_node)[0]
    return {
        _name(path)
        for path, node in nodes
        if isinstance(node, optax.MaskedNode) or not jax.tree.leaves(node)
    }


def project_by_path(sets: Mapping[str, Constraint], params: Any) -> Any:
    """The nearest feasible parameters; a path that is not there is passed over."""
    leaves, treedef = named_leaves(params)
    moved = [sets[k].project(x) if k in sets else x for k, x in leaves.items()]
    return jax.tree.unflatten(treedef, moved)


def check_sets(sets: Mapping[str, Constraint], params: Any, name: str = "constraint") -> None:
    """Refuse a path that the parameters lack, and a set that does not fit its parameter."""
    leaves, _ = named_leaves(params)
    masked = _masked(params)
    for path, constraint in sets.items():
        if path in leaves:
            check_fits(f"{name}[{path!r}]", constraint, leaves[path])
        elif path not in masked:
            fail(name, repr(path), f"The parameters are {', '.join(leaves)}.")


def check_fits(name: str, constraint: Constraint, x: Any) -> None:
    """Refuse a set that cannot project a parameter, without projecting it."""
    try:
        jax.eval_shape(constraint.project, x)
    except (TypeError, ValueError) as error:
        line, *_ = str(error).strip().splitlines() or [type(error).__name__]
        mend = f"It cannot project a parameter of shape {jnp.shape(x)}: {line}"
        fail(name, type(constraint).__name__, mend)
