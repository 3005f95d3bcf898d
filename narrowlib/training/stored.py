"""A module's variables as arrays that a file can hold, and back into a module of the same make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.training.epochs import path_name
from narrowlib.training.fingerprints import numbers

Kind = dict[str, Any]


def to_arrays(module: Any) -> tuple[dict[str, Kind], list[np.ndarray]]:
    """Precision and shape of each variable by its path, as JSON can hold it; and the arrays."""
    leaves = _variables(module)
    arrays = [numbers(leaf) for leaf in leaves.values()]
    # NumPy cannot write bfloat16 and its like
    plain = [a.view(f"u{a.itemsize}") if a.dtype.kind == "V" else a for a in arrays]
    return {path: _kind(leaf) for path, leaf in leaves.items()}, plain


def from_arrays(module: Any, kinds: Mapping[str, Kind], arrays: Sequence[np.ndarray]) -> Any:
    """A copy of a module with these arrays.

    Raises:
        ValueError: if the module has other variables.
    """
    copy = nnx.clone(module)
    leaves = _variables(copy)
    for path in [*kinds, *leaves]:
        held, here = kinds.get(path), _kind(leaves[path]) if path in leaves else None
        if held != here:
            mend = f"The file holds {_say(held)}: pass a module made like the one trained."
            fail("module", f"{path}: {_say(here)}", mend)
    new = [_like(array, leaves[path]) for array, path in zip(arrays, kinds, strict=True)]
    nnx.update(copy, jax.tree.structure(nnx.state(copy)).unflatten(new))
    return copy


def _variables(module: Any) -> dict[str, Array]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(nnx.state(module))
    return {path_name(path): leaf for path, leaf in leaves}


def _kind(leaf: Any) -> Kind:
    return {"dtype": str(leaf.dtype), "shape": list(leaf.shape)}


def _say(kind: Kind | None) -> str:
    return "no such variable" if kind is None else f"{kind['dtype']}, shape {tuple(kind['shape'])}"


def _like(array: np.ndarray, leaf: Any) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    return jnp.asarray(array if array.dtype == leaf.dtype else array.view(leaf.dtype))
