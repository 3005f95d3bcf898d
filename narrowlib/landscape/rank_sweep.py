r"""Ranks of the Jacobian at many mirrored starts at once, compiled once.

At a mirrored start $J = [J_U, -J_U]$, so the singular values of J are √2 times those of its half
$J_U$. All cells, whatever their n and m, share one padded shape: rows beyond n and neurons beyond
m/2 are zero, and a row or column of zeros adds nothing to a spectrum but zeros. So a whole diagram
of (n, m) is one compilation and one batch of singular value decompositions. Draws and spectra are
two programs, since drawing compiles longest and several activations can share it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

from narrowlib._checks import (
    check_choice,
    check_double,
    check_even,
    check_int,
    check_key,
    fail,
    shown,
)
from narrowlib._runs import runs
from narrowlib.landscape.rank import VERDICTS, judge
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params
from narrowlib.network.rounding import svd_floor

BATCH = 1 << 23  # numbers in the Jacobians that are decomposed together: 64 MiB


@dataclasses.dataclass(frozen=True, eq=False)
class RankSweep:
    r"""Ranks of J at mirrored starts with output weights (1; −1), for many draws of (X, U).

    The cells are n and m, broadcast; the last axis of all else is the draws.

    Args:
        n: number of samples of each cell, shape (\*cells).
        m: number of neurons of each cell, shape (\*cells).
        d: number of inputs.
        rank: how many singular values lie above the threshold, shape (\*cells, draws).
        verdict: "full", "deficient" or "undecided", by the rule of `numerical_rank`.
        sigma_min: the n-th singular value of J, the book's s₁; 0 where (m/2) d < n.
        sigma_max: the largest singular value of J.
        threshold: what rounding alone can produce, max(n, m d) ε σ_max.
        key: the random key of the sweep.
    """

    n: np.ndarray
    m: np.ndarray
    d: int
    rank: np.ndarray
    verdict: np.ndarray
    sigma_min: np.ndarray
    sigma_max: np.ndarray
    threshold: np.ndarray
    key: Key[Array, ""]

    def share(self, verdict: str = "full") -> Float[np.ndarray, "*cells"]:
        """The share of draws with this verdict, cell by cell."""
        return (self.verdict == check_choice("verdict", verdict, VERDICTS)).mean(axis=-1)

    def draw(self, *index: int) -> tuple[Params, Float[Array, "n d"]]:
        """The mirrored start and the samples of one draw, by its index in `rank`."""
        if len(index) != self.rank.ndim:
            mend = f"Pass {self.rank.ndim} numbers: the cell's and the draw's."
            fail("index", shown(index), mend)
        sizes = zip(index, self.rank.shape, strict=True)
        index = tuple(check_int("index", i, -size, size - 1) for i, size in sizes)
        padded, rows = int(self.n.max()), int(self.n.max()) + int(self.m.max()) // 2
        shape = (*self.rank.shape, rows, self.d)
        own = _draw(self.key, shape=shape)[index]
        n, half = int(self.n[index[:-1]]), int(self.m[index[:-1]]) // 2
        X, U = own[:n], own[padded : padded + half]
        U = U / jnp.sqrt(jnp.asarray(self.d, U.dtype))
        u = jnp.ones(len(U), U.dtype)
        return Params(jnp.concatenate([U, U]), jnp.concatenate([u, -u])), X


@runs("host")
def rank_sweep(
    key: Key[Array, ""],
    *,
    n: Int[ArrayLike, "*n_cells"] | Sequence[Any],
    d: int,
    m: Int[ArrayLike, "*m_cells"] | Sequence[Any],
    draws: int = 20,
    activation: str | Activation = "tanh",
    allow_float32: bool = False,
) -> RankSweep:
    r"""Rank and extreme singular values of J at mirrored starts, draw by draw.

    Each draw has its own samples $X_{ik} \sim N(0, 1)$ and neurons $U_{jk} \sim N(0, 1/d)$. The
    numbers of samples and of neurons may be arrays. They are broadcast as NumPy does it: equal
    shapes make pairs, a row of n against a column of m makes a table of all pairs. All share one
    padded shape, so keep very different sizes in sweeps of their own.

    Args:
        key: a JAX random key; `RankSweep.draw` gives every draw back.
        n: numbers of samples, a whole number or an array of them.
        d: number of inputs.
        m: numbers of neurons, all even.
        draws: how many times (X, U) is drawn in each cell.
        activation: a name of `activations()` or an `Activation`.
        allow_float32: answer in single precision too.

    Returns:
        A `RankSweep`, whose arrays have shape (\*cells, draws).

    Raises:
        ValueError: in float32 unless allowed, or if a size is not positive, an m is odd, the key is
            none, or n and m do not broadcast.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     sweep = nl.rank_sweep(jax.random.key(0), n=[9, 10, 11], d=5, m=4, draws=30)
        >>> sweep.share("full").tolist()  # (m/2) d = 10
        [1.0, 1.0, 0.0]

    References:
        The full-rank theorem; "Almost every start has full rank", Part 1, Chapter 3.
    """
    sigma, dtype = get_activation(activation), jnp.result_type(float)
    check_double("the default float", dtype, allow_float32)
    d, draws = check_int("d", d, 1), check_int("draws", draws, 1)
    key = check_key("key", key)
    n = _sizes("n", n, partial(check_int, minimum=1))
    m = _sizes("m", m, check_even)
    try:
        n_cells, m_cells = (a.copy() for a in np.broadcast_arrays(n, m))
    except ValueError:
        fail("n, m", f"shapes {np.shape(n)} and {np.shape(m)}", "Pass shapes that broadcast.")
    if n_cells.size == 0:
        fail("n, m", "no cells", "Pass at least one n and one m.")
    padded, half = int(n_cells.max()), int(m_cells.max()) // 2
    shape = (*n_cells.shape, draws, padded + half, d)
    total, limit = n_cells.size * draws, BATCH // (padded * half * d)
    singular = _spectra(
        _draw(key, shape=shape).reshape(total, padded + half, d),
        np.repeat(n_cells, draws),
        np.repeat(m_cells // 2, draws),
        padded=padded,
        sigma=sigma,
        # a divisor: what is left over would be a program of its own
        batch=next(b for b in range(min(total, max(1, limit)), 0, -1) if total % b == 0),
    )
    singular = np.asarray(singular).reshape(*n_cells.shape, draws, padded)
    n_all, m_all = n_cells[..., None], m_cells[..., None]
    sigma_max = singular[..., 0]
    threshold = svd_floor(n_all, m_all * d, sigma_max, singular.dtype)
    rows, columns = (np.broadcast_to(size, sigma_max.shape) for size in (n_all, m_all // 2 * d))
    rank, verdict, _ = judge(singular, threshold, rows, np.minimum(rows, columns))
    at_n = np.broadcast_to(n_all[..., None] - 1, (*sigma_max.shape, 1))
    sigma_min = np.take_along_axis(singular, at_n, axis=-1)[..., 0]
    return RankSweep(n_cells, m_cells, d, rank, verdict, sigma_min, sigma_max, threshold, key)


def _sizes(name: str, sizes: Any, check: Callable[[str, Any], int]) -> np.ndarray:
    """The sizes as an array of whole numbers, each checked."""
    try:
        entries = np.ravel(sizes).tolist()
    except ValueError:
        fail(name, shown(sizes), "Pass a whole number, or an array of them.")
    return np.reshape([check(name, entry) for entry in entries], np.shape(sizes)).astype(int)


@partial(jax.jit, static_argnames="shape")
def _draw(key: Key[Array, ""], *, shape: tuple[int, ...]) -> Float[Array, "*cells draws rows d"]:
    """Rows of N(0, 1) for every draw: padded samples first, neurons after them."""
    flat = jax.random.normal(key, (math.prod(shape),))  # in one axis: compiles 4 to 20 times faster
    return flat.reshape(shape)


@partial(jax.jit, static_argnames=("padded", "sigma", "batch"))
def _spectra(
    rows: Float[Array, "draws rows d"],
    n: Int[Array, " draws"],
    half: Int[Array, " draws"],
    *,
    padded: int,
    sigma: Activation,
    batch: int,
) -> Float[Array, "draws padded"]:
    """The singular values of J for each draw, largest first, then zeros."""
    d = rows.shape[2]

    def spectrum(draw: tuple[Array, Array, Array]) -> Float[Array, " padded"]:
        both, n, half = draw
        U = both[padded:] / jnp.sqrt(jnp.asarray(d, both.dtype))
        X = jnp.where((jnp.arange(padded) < n)[:, None], both[:padded], 0)
        v = (jnp.arange(len(U)) < half).astype(X.dtype)
        values = jnp.linalg.svd(linearize(Params(U, v), X, sigma).dense, compute_uv=False)
        filled = jnp.zeros(padded, X.dtype).at[: len(values)].set(values)
        # a zero row or column leaves a zero up to rounding: make it one
        counted = jnp.arange(padded) < jnp.minimum(n, half * d)
        return jnp.sqrt(jnp.asarray(2, X.dtype)) * jnp.where(counted, filled, 0)

    return jax.lax.map(spectrum, (rows, n, half), batch_size=batch)
