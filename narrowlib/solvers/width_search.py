r"""The smallest width whose mirrored start has full rank, by one Cholesky factorisation a width.

$J J^\top - \theta I$ has a Cholesky factorisation if and only if every eigenvalue of $J J^\top$
is above θ, up to rounding far below θ. With θ the square of `numerical_rank`'s bound for the
verdict "full", this answers the same question in n³/3 operations, where eigenvalues take many
times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from narrowlib.network.activations import Activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params
from narrowlib.network.rounding import MARGIN, gram_slack

WIDEST = 4  # the search ends at this many times the theorem's width
POWER_STEPS = 30


@partial(jax.jit, static_argnames="sigma")
def has_full_rank(params: Params, X: Array, XX: Array, sigma: Activation) -> Array:
    """Whether `numerical_rank(method="gram")` would call J full."""
    kernel = linearize(params, X, sigma).gram(XX)

    def power(_: Array, q: Array) -> Array:
        q = kernel @ q
        return q / jnp.linalg.norm(q)

    rows = kernel.shape[0]
    q = jax.lax.fori_loop(0, POWER_STEPS, power, jnp.sqrt(jnp.diagonal(kernel)))
    largest = q @ (kernel @ q)
    threshold = MARGIN**2 * gram_slack(rows, largest, kernel.dtype)
    shifted = kernel.at[jnp.diag_indices(rows)].add(-threshold)
    return jnp.all(jnp.isfinite(jnp.diagonal(jnp.linalg.cholesky(shifted))))


def smallest_width(
    start_of_width: Callable[[int], Params], X: Array, XX: Array, rows: int, sigma: Activation
) -> tuple[int, bool]:
    """The smallest even width from the theorem's on with full rank, and whether there is one."""
    least = 2 * max(1, -(-rows // X.shape[1]))
    for m in range(least, WIDEST * least + 1, 2):
        if has_full_rank(start_of_width(m), X, XX, sigma):
            return m, True
    return WIDEST * least, False
