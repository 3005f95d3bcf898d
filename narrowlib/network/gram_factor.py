r"""A Cholesky factor of J Jᵀ with the rows of J scaled to length 1, in n²/2 numbers.

$$\hat K = D\, J J^\top D, \qquad D = \mathrm{diag}(1/\|J_i\|),$$

has the rank of J Jᵀ, and on photographs a condition that is a hundred times better.

On a CPU only the lower triangle is kept, in column panels. Each is made from X and the features
when its turn comes, and factored where it lies: n² (d + m) + n³/3 operations, nearly all in
products of matrices, with one panel of work space. (LAPACK has two packed formats of its own: pptrf
makes no use of such products, and SciPy's pftrf counts in 32 bits, so it refuses n > 46,340.) It is
NumPy and SciPy alone, so that a small problem waits for no compiler. On an accelerator the whole
matrix is made and factored there.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from narrowlib.network.linearization import Linearization, hadamard_gram

BLOCK = 512  # columns of a panel
DENSE_COPIES = 3  # n × n matrices that the factor on an accelerator takes


@runtime_checkable
class Factor(Protocol):
    """A Cholesky factor of a Gram matrix."""

    def solve(self, z: Any) -> Any:
        """The Gram matrix's inverse, times a vector."""
        ...


@jax.jit
def unit_rows(at: Linearization) -> tuple[Float[Array, "rows m"], Float[Array, " rows"]]:
    """The features of J with its rows scaled to length 1, and their lengths; 1 for a row of 0."""
    squares = at.gram_diagonal
    lengths = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    return at.features / lengths[:, None], lengths


def factorize(
    X: Float[Array, "n d"], features: Float[Array, "rows m"], shift: Any
) -> Factor | None:
    """The factor of (X Xᵀ) ∘ (B Bᵀ) + diag(shift), B the features; None where it has none."""
    if on_host(X, features.shape[0]):
        shift = np.asarray(shift, X.dtype)
        return PanelFactor.of(np.asarray(X), np.asarray(features), shift)
    return DenseFactor.of(X, features, jnp.asarray(shift, X.dtype))


def on_host(X: Array, rows: int) -> bool:
    """Whether the factor is made in panels by the CPU: on a CPU, or where a device lacks room."""
    (device, *_) = X.devices()
    if device.platform == "cpu":
        return True
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return limit is not None and DENSE_COPIES * rows**2 * X.dtype.itemsize > limit


def factor_bytes(rows: int, dtype: Any) -> int:
    """What `PanelFactor` takes: the panels, and as much again as the first of them to work in."""
    width = min(BLOCK, rows)
    return np.dtype(dtype).itemsize * (rows * (rows + width) // 2 + rows * width)


def longest_sum(n: int, d: int, m: int, outputs: int) -> int:
    """So many ε an entry of a careful factor's product with its transpose is off, at most.

    That is for a matrix with ones on its diagonal: no sum of absolute values is then above 1. An
    entry of X Xᵀ is a sum of d products, that of B Bᵀ of m, and the factor takes off a sum of as
    many products as there are columns before.
    """
    columns = n * outputs
    return min(d, BLOCK) + -(-d // BLOCK) + m + min(columns, BLOCK) + -(-columns // BLOCK) + 8


def check_memory(name: str, X: Array, outputs: int = 1) -> int:
    """The bytes that the factor will take; refused before anything is allocated if too many."""
    rows = len(X) * outputs
    needed = factor_bytes(rows, X.dtype)
    there = memory_of_machine()
    if there is not None and needed > there:
        count = f"{len(X):,} different samples" + f" with {outputs} outputs" * (outputs > 1)
        got, have = (f"{x / 2**30:,.1f} GiB" for x in (needed, there))
        raise MemoryError(
            f"{name}: got {count}, whose factor takes {got}, and this machine has {have}. "
            "Take fewer samples, single precision (half as much), or a larger machine."
        )
    return needed


def memory_of_machine() -> int | None:
    """The bytes that this process may have in all; None where the system does not say."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # a container's share; "max" is none
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found, default=None)


class PanelFactor:
    """The factor L in column panels, made on the CPU.

    Panel k holds the columns from its `starts[k]` on, rows from there down, in rows: (rows − start,
    width). Above the diagonal of its first rows stands nothing that is read.

    A careful one makes every sum of products a sum of sums of at most `BLOCK`, each finished before
    it is added, so that rounding grows with `longest_sum` and not with the number of rows. It costs
    another pass over the memory.
    """

    def __init__(self, dtype: Any, careful: bool = False):
        from scipy.linalg import get_blas_funcs, get_lapack_funcs

        kind, self.careful = np.empty(0, dtype), careful
        self.starts: list[int] = []
        self.panels: list[np.ndarray] = []
        self._gemm, self._trsm, self._trsv = get_blas_funcs(("gemm", "trsm", "trsv"), (kind,))
        (self._potrf,) = get_lapack_funcs(("potrf",), (kind,))

    @classmethod
    def of(
        cls, X: np.ndarray, features: np.ndarray, shift: np.ndarray, careful: bool = False
    ) -> PanelFactor | None:
        """The factor; None, and no column further, where a pivot is not positive."""
        self, (n, rows) = cls(X.dtype, careful), (len(X), len(features))
        outputs = rows // n
        shift = np.broadcast_to(shift, rows)
        samples = max(BLOCK // outputs, 1)
        for first in range(0, n, samples):
            last = min(first + samples, n)
            panel = self._inner(X, first, last)
            if outputs > 1:
                panel = panel.repeat(outputs, axis=0).repeat(outputs, axis=1)
            start, end = first * outputs, last * outputs
            panel *= features[start:] @ features[start:end].T
            diagonal = np.arange(end - start)
            panel[diagonal, diagonal] += shift[start:end]
            if not self._append(start, panel):
                return None
        return self

    def _inner(self, X: np.ndarray, first: int, last: int) -> np.ndarray:
        """A panel of X Xᵀ."""
        parts = range(0, X.shape[1], BLOCK if self.careful else X.shape[1])
        columns = [slice(k, k + parts.step) for k in parts]
        panel = X[first:, columns[0]] @ X[first:last, columns[0]].T
        for part in columns[1:]:
            panel += X[first:, part] @ X[first:last, part].T
        return panel

    def _append(self, start: int, panel: np.ndarray) -> bool:
        """Take off what the panels before have explained, and factor what is left, in place.

        BLAS has its matrices in columns: to it a panel is its transpose.
        """
        width = panel.shape[1]
        for before, done in zip(self.starts, self.panels, strict=True):
            left, right = done[start - before :], done[start - before :][:width]
            if self.careful:
                panel -= left @ right.T
            else:
                self._gemm(-1.0, right.T, left.T, 1.0, panel.T, trans_a=1, overwrite_c=1)
        _, info = self._potrf(panel[:width].T, lower=1, overwrite_a=1, clean=0)
        if info or not np.isfinite(np.diagonal(panel)).all():  # one of the BLAS passes NaN by
            return False
        if len(panel) > width:
            self._trsm(1.0, panel[:width].T, panel[width:].T, lower=1, overwrite_b=1)
        self.starts.append(start)
        self.panels.append(panel)
        return True

    def solve(self, z: Any) -> np.ndarray:
        """(L Lᵀ)⁻¹ z, by two passes over the panels."""
        z = np.array(z, self.panels[0].dtype)
        for start, panel in zip(self.starts, self.panels, strict=True):
            width = panel.shape[1]
            here, below = slice(start, start + width), slice(start + width, None)
            z[here] = self._trsv(panel[:width].T, z[here], lower=1)
            z[below] -= panel[width:] @ z[here]
        for start, panel in zip(self.starts[::-1], self.panels[::-1], strict=True):
            width = panel.shape[1]
            here, below = slice(start, start + width), slice(start + width, None)
            z[here] -= z[below] @ panel[width:]
            z[here] = self._trsv(panel[:width].T, z[here], lower=1, trans=1)
        return z


class DenseFactor:
    """The factor as one matrix, on the device where X lies."""

    def __init__(self, lower: Array):
        self.lower = lower

    @classmethod
    def of(cls, X: Array, features: Array, shift: Array) -> DenseFactor | None:
        """The factor; None where a pivot is not positive."""
        lower = _dense(X, features, shift)
        return cls(lower) if bool(jnp.isfinite(jnp.diagonal(lower)).all()) else None

    def solve(self, z: Any) -> Array:
        """(L Lᵀ)⁻¹ z."""
        return _solve(self.lower, jnp.asarray(z))


@jax.jit
def _dense(X: Array, features: Array, shift: Array) -> Array:
    kernel = hadamard_gram(X, features)
    at = jnp.diag_indices(kernel.shape[0])
    return jnp.linalg.cholesky(kernel.at[at].add(shift), symmetrize_input=False)


@jax.jit
def _solve(lower: Array, z: Array) -> Array:
    return jax.scipy.linalg.cho_solve((lower, True), z)
