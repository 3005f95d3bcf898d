r"""The smallest width whose mirrored start has full rank, by one Cholesky factorisation a width.

$\hat K - \theta I$ has a Cholesky factorisation if and only if every eigenvalue of $\hat K$, the
Gram matrix of J with its rows scaled to length 1, is above θ, up to rounding far below θ. With θ
the square of `numerical_rank`'s bound for the verdict "full", this answers the same question, of a
matrix with the same rank, in n³/3 operations, where eigenvalues take many times as long. And the
factor is one to go on with: it preconditions all steps of `interpolate`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib.network.activations import Activation
from narrowlib.network.gram_factor import unit_rows
from narrowlib.network.linearization import Linearization
from narrowlib.network.model import Params
from narrowlib.network.rounding import MARGIN, gram_slack
from narrowlib.solvers.minimum_norm import Solver, linearized, normal_product

WIDEST = 4  # the search ends at this many times the theorem's width
POWER_STEPS = 30


@jax.jit
def rank_bound(at: Linearization) -> Array:
    """θ: what `numerical_rank` asks of the least eigenvalue, where the rows have length 1."""
    _, lengths = unit_rows(at)

    def power(_: Array, q: Array) -> Array:
        q = normal_product(at, lengths, q)
        return q / jnp.linalg.norm(q)

    q = jax.lax.fori_loop(0, POWER_STEPS, power, jnp.ones_like(lengths) / lengths.size**0.5)
    largest = q @ normal_product(at, lengths, q)
    return MARGIN**2 * gram_slack(lengths.size, largest, q.dtype)


def has_full_rank(solver: Solver, params: Params, sigma: Activation) -> bool:
    """Whether `numerical_rank` would call J full if its rows had length 1; the factor stays."""
    m = len(params.W)
    # neurons without output weight, so that widths up to a power of two share their programs
    copies = np.arange(1 << (m - 1).bit_length()) % m
    W, v = (np.asarray(a)[copies] for a in params)
    v[m:] = 0
    at = linearized(Params(jnp.asarray(W), jnp.asarray(v)), solver.X, sigma=sigma)
    return solver.make(at, params.W, (-float(rank_bound(at)),))


def smallest_width(
    start_of_width: Callable[[int], Params], solver: Solver, rows: int, sigma: Activation
) -> tuple[int, bool]:
    """The smallest even width from the theorem's on with full rank, and whether there is one."""
    least = 2 * max(1, -(-rows // solver.X.shape[1]))
    for m in range(least, WIDEST * least + 1, 2):
        if has_full_rank(solver, start_of_width(m), sigma):
            return m, True
    return WIDEST * least, False
