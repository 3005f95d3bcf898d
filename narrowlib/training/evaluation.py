"""A module evaluated: its outputs, and means of functions of them, batch by batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from narrowlib.training.epochs import Loss, Parts

Functions = tuple[tuple[str, Loss], ...]
EVALUATED = 1000  # samples that are evaluated together


@partial(jax.jit, static_argnames="structure")
def outputs_of(structure: Any, params: Any, rest: Any, X: Array) -> Any:
    """What a module makes of a batch."""
    return nnx.merge(structure, params, rest)(X)


@partial(jax.jit, static_argnames=("structure", "functions"))
def _measured(
    structure: Any, functions: Functions, params: Any, rest: Any, X: Array, y: Array
) -> dict[str, Array]:
    outputs = nnx.merge(structure, params, rest)(X)
    return {name: function(outputs, y) for name, function in functions}


def measure(parts: Parts, functions: Functions, X: Array, y: Array) -> dict[str, float]:
    """Means over the samples of functions of outputs and targets, batch by batch."""
    totals = dict.fromkeys((name for name, _ in functions), 0.0)
    for i in range(0, len(X), EVALUATED):
        batch = X[i : i + EVALUATED], y[i : i + EVALUATED]
        for name, value in _measured(parts.structure, functions, *parts[2:], *batch).items():
            totals[name] += float(value) * len(batch[0]) / len(X)
    return totals


def predict(parts: Parts, X: Array) -> Any:
    """A module's outputs on all samples, batch by batch."""
    chunks = [X[i : i + EVALUATED] for i in range(0, len(X), EVALUATED)]
    outputs = [outputs_of(*parts[1:], chunk) for chunk in chunks]
    return jax.tree.map(lambda *each: jnp.concatenate(each), *outputs)
