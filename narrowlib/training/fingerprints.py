"""Hashes of arrays and settings: which data, which run."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def numbers(leaf: Any) -> np.ndarray:
    """A leaf as an array of numbers, also a random key."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def fingerprint(*parts: Any) -> str:
    """A hash of pytrees of arrays, keys and numbers, and of their structure."""
    digest = hashlib.sha256(str(jax.tree.structure(parts)).encode())
    for leaf in jax.tree.leaves(parts):
        array = numbers(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def data_hash(*arrays: Any) -> str:
    """Sixteen hexadecimal digits that change with any entry, shape or precision of the data.

    Args:
        arrays: X, y, ….

    Returns:
        The first digits of a SHA-256 hash.

    Example:
        >>> import numpy as np
        >>> import narrowlib as nl
        >>> nl.data_hash(np.zeros(3)) == nl.data_hash(np.zeros(3))
        True
        >>> nl.data_hash(np.zeros(3)) == nl.data_hash(np.zeros((3, 1)))
        False
    """
    return fingerprint(arrays)[:16]
