"""Minibatches: one rule for the trainer and for trajectories.

An epoch goes through the samples in a random order that depends on the key and the epoch's number
alone, so that an interrupted run goes on exactly as it would have. Every batch is full: the
n mod batch_size samples at the order's end are left out, in each epoch others.
"""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array, Int, Key

from narrowlib._checks import check_int, check_key, fail


def check_batches(batch_size: Any, key: Any, n: int) -> tuple[int | None, Array | None]:
    """The size of the batches of a run over n samples and its key, which they need."""
    if batch_size is not None:
        batch_size = check_int("batch_size", batch_size, 1)
        if batch_size > n:
            fail("batch_size", batch_size, f"There are {n} samples: pass at most {n}.")
        if key is None:
            fail("key", None, "Minibatches are drawn at random: pass a JAX random key.")
    return batch_size, None if key is None else check_key("key", key)


def batches_of_epoch(
    key: Key[Array, ""], epoch: Int[Array, ""], n: int, batch_size: int
) -> Int[Array, "batches size"]:
    """The rows of each batch of an epoch."""
    order = jax.random.permutation(jax.random.fold_in(key, epoch), n)
    count = n // batch_size
    return order[: count * batch_size].reshape(count, batch_size)
