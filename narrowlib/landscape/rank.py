"""Rank in floating point: a number, a threshold, a gap, and a verdict that may be "undecided"."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import ArrayLike, Float

from narrowlib._checks import check_choice, fail
from narrowlib._runs import runs
from narrowlib.network.activations import Activation
from narrowlib.network.jacobian import gram, jacobian
from narrowlib.network.model import Params
from narrowlib.network.rounding import MARGIN, spectrum, svd_floor
from narrowlib.network.theory import check_theory

VERDICTS = ("full", "deficient", "undecided")


@dataclasses.dataclass(frozen=True, eq=False)
class NumericalRank:
    """What can be said about the rank of J in floating point.

    Args:
        rank: how many singular values lie above the threshold.
        verdict: "full" where every singular value is more than 10 times the threshold, "deficient"
            where some are under it and a gap of more than 10 sets them apart, else "undecided".
        singular_values: all n of them (n K for K outputs), largest first; those under the threshold
            are rounding noise.
        threshold: what rounding alone can produce, in the units of the singular values.
        gap: the ratio of the last singular value counted to the first that is not; with full rank,
            to the threshold.
        method: "gram" or "svd".
    """

    rank: int
    verdict: str
    singular_values: np.ndarray
    threshold: float
    gap: float
    method: str

    @property
    def sigma_min(self) -> float:
        """The smallest singular value, counted or not."""
        return float(self.singular_values[-1])

    def __str__(self) -> str:
        rows = len(self.singular_values)
        return (
            f"rank {self.rank} of {rows} ({self.verdict}): smallest singular value "
            f"{self.sigma_min:.2e}, threshold {self.threshold:.1e}, gap {self.gap:.1e}"
        )


@runs("host")
def numerical_rank(
    params: Params,
    X: Float[ArrayLike, "n d"],
    *,
    activation: str | Activation = "tanh",
    method: str = "gram",
    allow_float32: bool = False,
) -> NumericalRank:
    r"""The rank of the Jacobian J in the hidden weights, with its evidence.

    With `method="gram"` the singular values are square roots of the eigenvalues of $J J^\top$:
    n²(d + m) + n³ operations, but the noise floor is high, $\sqrt{n\,\epsilon}$ times the
    largest. With `method="svd"` J is formed and the floor is $\max(n, md)\,\epsilon$ times the
    largest, at n² m d operations and n m d numbers: the way to settle an "undecided".

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        activation: a name of `activations()` or an `Activation`.
        method: "gram" or "svd".
        allow_float32: answer in single precision too.

    Returns:
        A `NumericalRank`.

    Raises:
        ValueError: in float32 unless allowed, for an unknown method, or if shapes do not match or
            an entry is not finite.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     params = nl.mirrored_lecun(jax.random.key(0), d=5, m=4)
        ...     X = jax.random.normal(jax.random.key(1), (12, 5))
        ...     rank = nl.numerical_rank(params, X)
        >>> rank.rank, rank.verdict  # 12 samples, but only (m/2) d = 10 independent directions
        (10, 'deficient')

    References:
        The full-rank theorem.
    """
    check_choice("method", method, ("gram", "svd"))
    params, X, sigma = check_theory(params, X, activation=activation, allow_float32=allow_float32)
    matrix = np.asarray((gram if method == "gram" else jacobian)(params, X, activation=sigma))
    if not np.all(np.isfinite(matrix)):  # an activation of one's own can do that
        fail("activation", f"{sigma.name!r}, whose derivative is NaN or infinite", "Mend it.")
    if method == "gram":
        found = spectrum(matrix)
        singular, threshold = found.singular_values[::-1], found.floor
    else:
        singular = np.zeros(matrix.shape[0], matrix.dtype)
        values = np.linalg.svd(matrix, compute_uv=False)
        singular[: len(values)] = values  # fewer columns than rows leave zeros
        threshold = svd_floor(len(matrix), matrix.shape[1], singular[0], matrix.dtype)
    return _judge(singular, threshold, method)


def judge(
    singular: Float[np.ndarray, "*cells width"], threshold: ArrayLike, rows: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rule of all ranks: counts, verdicts and gaps of spectra, largest value first.

    Each spectrum has `rows` values; what its array holds beyond them is not looked at.
    """
    threshold, rows = np.asarray(threshold), np.asarray(rows)
    counted = singular > threshold[..., None]
    counted &= np.arange(singular.shape[-1]) < rows[..., None]
    rank = counted.sum(axis=-1)

    def value(index: np.ndarray) -> np.ndarray:
        index = np.clip(index, 0, singular.shape[-1] - 1)
        return np.take_along_axis(singular, index[..., None], axis=-1)[..., 0]

    last = np.where(rank > 0, value(rank - 1), 0.0)
    following = np.where(rank < rows, value(rank), threshold)
    gap = np.full(last.shape, math.inf)
    np.divide(last, following, out=gap, where=following > 0)
    full = np.where(last > MARGIN * threshold, "full", "undecided")
    short = np.where((rank == 0) | (gap > MARGIN), "deficient", "undecided")
    return rank, np.where(rank == rows, full, short), gap


def _judge(singular: np.ndarray, threshold: float, method: str) -> NumericalRank:
    (rank,), (verdict,), (gap,) = judge(singular[None], threshold, len(singular))
    return NumericalRank(int(rank), str(verdict), singular, float(threshold), float(gap), method)
