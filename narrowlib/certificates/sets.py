"""The feasible set in a certificate's file: kinds and arrays, as `verifier.py` reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.constraints.base import Constraint, Product
from narrowlib.constraints.paths import check_fits
from narrowlib.network.model import Params
from narrowlib.verifier import OWN_NAMES, SETS


def described(
    constraint: Product, params: Params, verifiable: bool
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The kinds of the two sets, and their arrays by their names in a file.

    Raises `ValueError` for a set that cannot be certified, and with `verifiable` for one that
    `verifier.py` does not know.
    """
    kinds: dict[str, str] = {}
    arrays: dict[str, np.ndarray] = {}
    for part in Params._fields:
        one, x, name = getattr(constraint, part), getattr(params, part), f"constraint.{part}"
        if type(one).tangent is Constraint.tangent:
            mend = "It has no tangent cone: write its method tangent(x, direction)."
            fail(name, type(one).__name__, mend)
        check_fits(name, one, x)
        kind, own = one.describe() or (f"own {type(one).__name__}", {})
        known = kind in SETS and set(SETS[kind].arrays) == set(own)
        if verifiable and not known:
            mend = f"verifier.py knows {', '.join(SETS)}: pass verifiable=False to do without it."
            fail(name, type(one).__name__, mend)
        kinds[part] = kind if known else f"own {type(one).__name__}"
        for key, value in own.items():
            arrays[key if key in OWN_NAMES[part] else f"{key}_{part}"] = _like(value, x)
    return kinds, arrays


def _like(value: Any, x: Array) -> np.ndarray:
    """An array of a set in the shape of the parameter; numbers stay numbers."""
    value = np.asarray(value)
    if value.ndim == 0:
        return value if value.dtype.kind in "fb" else value.astype(float)
    return value.reshape(x.shape) if value.size == x.size else np.broadcast_to(value, x.shape)
