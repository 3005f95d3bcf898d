"""What the book's experiments share: a start with a switch, the paper's set, few digits."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from narrowlib.constraints.ball import Ball
from narrowlib.constraints.base import Product
from narrowlib.constraints.paired import PairedCone
from narrowlib.network.model import Params


def start_from(
    W: Float[Array, "m d"], v: Float[Array, " m"], mirrored: bool | Bool[Array, ""]
) -> Params:
    """The start with these weights, or the mirrored one with the same first half of neurons.

    Both run in one program, which differs in nothing but the switch.

    Args:
        W: hidden weights, shape (m, d), m even.
        v: output weights, shape (m,); those of the mirrored start are ±1/√m.
        mirrored: the switch, which may be traced.

    Returns:
        The weights.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> from narrowlib.study.shared import start_from
        >>> free = nl.lecun(jax.random.key(0), d=3, m=4)
        >>> X = jax.random.normal(jax.random.key(1), (5, 3))
        >>> bool((nl.forward(start_from(*free, mirrored=True), X) == 0).all())
        True
    """
    half = len(v) // 2
    u = jnp.full(half, len(v) ** -0.5, W.dtype)
    twins, pairs = jnp.concatenate([W[:half], W[:half]]), jnp.concatenate([u, -u])
    return Params(jnp.where(mirrored, twins, W), jnp.where(mirrored, pairs, v))


def set_around(
    start: Params,
    radius: float | Float[ArrayLike, ""],
    *,
    zeta: float | Float[ArrayLike, ""],
    kappa: float | Float[ArrayLike, ""],
) -> Product:
    """The paper's set: the hidden weights in a ball around the start, the output weights in a cone.

    Args:
        start: a mirrored start.
        radius: of the ball.
        zeta: the least output weight, in units of 1/√m, their size at the start.
        kappa: the largest ratio of two of them.

    Returns:
        The set.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> from narrowlib.study.shared import set_around
        >>> start = nl.mirrored_lecun(jax.random.key(0), d=3, m=4)
        >>> float(set_around(start, 1.0, zeta=0.1, kappa=10.0).violation(start))
        0.0
    """
    cone = PairedCone(zeta=zeta / len(start.v) ** 0.5, kappa=kappa)
    return Product(W=Ball(start.W, radius), v=cone)


def rounded(values: Any, digits: int = 4) -> Any:
    """Nested lists of numbers with few digits, None for what is not finite.

    Args:
        values: a number, or an array of them.
        digits: how many.

    Returns:
        A number, None, or lists of them.

    Example:
        >>> from narrowlib.study.shared import rounded
        >>> rounded([1 / 3, float("nan")]), rounded(2 / 3, 2)
        ([0.3333, None], 0.67)
    """
    if np.ndim(values):
        return [rounded(value, digits) for value in values]
    return float(f"{float(values):.{digits}g}") if np.isfinite(values) else None
