"""Hashes of arrays and settings: which data, which run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from narrowlib._checks import real_array
from narrowlib._runs import runs
from narrowlib.training.epochs import Program, TrainingState, alike

EARLY = 64  # steps of an optimiser in a row that are looked at
LATE = np.unique(np.round(EARLY * 1.15 ** np.arange(80)).astype(np.int32))  # to 4 million


def numbers(leaf: Any) -> np.ndarray:
    """A leaf as an array of numbers, also a random key."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def fingerprint(*parts: Any) -> str:
    """A hash of pytrees of arrays, keys and numbers, and of their structure."""
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(parts)))
    digest = hashlib.sha256(structure.encode())
    for leaf in jax.tree.leaves(parts):
        array = numbers(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def hash_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """A hash of arrays by name for files that are kept: of nothing that a new JAX may change."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\n{array.dtype}{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@runs("host")
def data_hash(*arrays: Any) -> str:
    """Sixteen hexadecimal digits that change with any entry, shape or precision of the data.

    Args:
        arrays: X, y, …: arrays, frames or lists of numbers.

    Returns:
        The first digits of a SHA-256 hash.

    Raises:
        ValueError: if there is none, or one does not hold real numbers.

    Example:
        >>> import numpy as np
        >>> import narrowlib as nl
        >>> nl.data_hash(np.zeros(3)) == nl.data_hash(np.zeros(3))
        True
        >>> nl.data_hash(np.zeros(3)) == nl.data_hash(np.zeros((3, 1)))
        False
    """
    return fingerprint(tuple(real_array(f"arrays[{i}]", a) for i, a in enumerate(arrays)))[:16]


def behaviour(
    program: Program,
    optimizer: optax.GradientTransformationExtraArgs,
    state: TrainingState,
    X: Array,
    y: Array,
) -> tuple[str, ...]:
    """What an optimiser and a loss do: functions cannot be compared otherwise.

    The optimiser makes steps on gradients of many signs and sizes, and then steps with its count
    set ever later, as far as schedules may reach; the loss is taken at several weights, in
    evaluation mode and, with what becomes of the other variables, in training mode.
    """
    steps, losses = _behaviour(program, optimizer, state, X[:3], y[:3])
    numbers = [np.asarray(leaf, float).ravel() for leaf in jax.tree.leaves((steps, losses))]
    # digits that another number of cores leaves alone
    return tuple(f"{number:.5e}" for number in np.concatenate(numbers))


@partial(jax.jit, static_argnames=("program", "optimizer"))
def _behaviour(
    program: Program,
    optimizer: optax.GradientTransformationExtraArgs,
    state: TrainingState,
    X: Array,
    y: Array,
) -> tuple[Any, Any]:
    leaves, treedef = jax.tree.flatten(state.params)

    def wave(k: Array) -> Any:
        """An array like each parameter, of another direction for each k."""
        each = [
            jnp.cos(k.astype(float) + i + jnp.arange(p.size, dtype=float))
            for i, p in enumerate(leaves)
        ]
        return treedef.unflatten(
            [w.reshape(p.shape).astype(p.dtype) for w, p in zip(each, leaves, strict=True)]
        )

    def moved(k: Array) -> Any:
        return jax.tree.map(lambda p, w: p + w, state.params, wave(k))

    def loss(params: Any) -> Array:
        rest = jax.tree.map(lambda x: x, state.rest)
        return program.loss(nnx.merge(program.evaluate, params, rest)(X), y)

    def in_training(params: Any) -> tuple[Array, list]:
        rest = jax.tree.map(lambda x: x, state.rest)
        module = nnx.merge(program.train, params, rest)
        value = program.loss(module(X), y)
        after = jax.tree.leaves(nnx.split(module, nnx.Param, ...)[2])
        return value, [jnp.sum(a) for a in after if jnp.issubdtype(a.dtype, jnp.floating)]

    def step(opt_state: Any, k: Array) -> tuple[Any, list]:
        late = jnp.asarray(np.concatenate([np.zeros(EARLY, np.int32), LATE]))[k]
        if optax.tree.get_all_with_path(opt_state, "count"):
            there = optax.tree.set(opt_state, count=late)
            there = alike(there, opt_state)
            opt_state = jax.tree.map(partial(jnp.where, k < EARLY), opt_state, there)
        size = 10.0 ** (2 * jnp.sin(k.astype(float)))
        gradient = jax.tree.map(lambda w: size.astype(w.dtype) * w, wave(k))
        params = moved(k)
        given = {"value": loss(params), "grad": gradient, "value_fn": loss}
        change, after = optimizer.update(gradient, opt_state, params, **given)
        pairs = zip(jax.tree.leaves(change), jax.tree.leaves(wave(k)), strict=True)
        sums = [(jnp.sum(u), jnp.vdot(u, w.astype(u.dtype))) for u, w in pairs]
        return alike(after, opt_state), sums

    steps = jnp.arange(EARLY + len(LATE))
    return jax.lax.scan(step, state.opt_state, steps)[1], jax.lax.map(
        lambda k: (loss(moved(k)), in_training(moved(k))), steps[:4].astype(float)
    )
