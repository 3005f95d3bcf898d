"""The door of all that draws conclusions: rank, regions, stationary points, certificates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_double, check_finite, check_targets, fail, is_traced
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, check_network


def check_theory(
    params: Any, X: Any, *, activation: str | Activation, allow_float32: bool = False
) -> tuple[Params, Array, Activation]:
    """A network and samples to draw conclusions from: in double, finite, and of a sane size."""
    params, X = check_network(params, X)
    check_double("params", X.dtype, allow_float32)
    for name, value in {"X": X, "params.W": params.W, "params.v": params.v}.items():
        check_size(name, value)
    return params, X, get_activation(activation)


def check_theory_problem(
    params: Any, X: Any, y: Any, *, activation: str | Activation, allow_float32: bool = False
) -> tuple[Params, Array, Array, Activation]:
    """The same with targets."""
    params, X, sigma = check_theory(params, X, activation=activation, allow_float32=allow_float32)
    y = check_targets(y, X, params.v.shape[1:])
    check_size("y", y)
    return params, X, y, sigma


def check_size(name: str, x: Array | np.ndarray) -> None:
    """Finite entries whose products do not overflow, as far as values can be seen."""
    if is_traced(x):
        return
    x = np.asarray(x)
    largest = float(max(x.max(), -x.min()))
    if largest <= float(np.finfo(x.dtype).max) ** 0.25:  # products of four entries occur
        return
    check_finite(name, x)  # NaN is not below anything
    if largest < math.inf:
        fail(name, f"entries of up to {largest:.1e}", "Their products overflow: scale them down.")
