"""Rank in floating point: a number, a threshold, a gap, and a verdict that may be "undecided"."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import ArrayLike, Float

from narrowlib._checks import check_choice, fail
from narrowlib._runs import runs
from narrowlib.landscape.rank_bound import nearly_equal, rank_bound
from narrowlib.network.activations import Activation
from narrowlib.network.jacobian import gram, jacobian
from narrowlib.network.model import Params
from narrowlib.network.rounding import MARGIN, jacobian_rounding, spectrum, svd_floor
from narrowlib.network.theory import check_theory

VERDICTS = ("full", "deficient", "undecided")


@dataclasses.dataclass(frozen=True, eq=False)
class NumericalRank:
    r"""What can be said about the rank of J in floating point.

    Args:
        rank: how many singular values lie above the threshold.
        verdict: "full" where all values are counted, "deficient" where samples, neurons and inputs
            allow no higher rank, whatever rounds; both only if each value counted is at least 10
            times the threshold. With "svd" also "deficient" where each is at least
            $1/\sqrt\epsilon$ times the threshold: J is within rounding of a matrix of this rank,
            by a gap that neither rounding nor a falling spectrum makes. Else "undecided".
        singular_values: all n of them (n K for K outputs), largest first; those under the threshold
            cannot be told from 0.
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
    largest, and what lies under it may well be more than 0. With `method="svd"` J is formed and the
    floor is $\max(n, md)\,\epsilon$ times the largest, at n² m d operations and n m d numbers: the
    way to settle an "undecided". Both floors are higher where rounding moves J itself by more.

    Equal samples, equal neurons, a pair's among them, and inputs that few samples use bound the
    rank with no rounding at all, and so does an affine σ′: "deficient" by the Gram matrix says that
    such a bound is reached. The SVD asks that too where samples, neurons or outputs are nearly
    equal, or rounding hides one.

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
    X = np.asarray(X)
    bound, moved = rank_bound(params, X, sigma), float(jacobian_rounding(params, X, sigma))
    if method == "gram":
        found = spectrum(matrix)
        vanished = len(matrix) * params.W.size * float(np.finfo(matrix.dtype).tiny)
        threshold = max(float(found.floor), math.sqrt(vanished), moved)
        return _judge(found.singular_values[::-1], threshold, method, bound, False)
    singular = np.zeros(matrix.shape[0], matrix.dtype)
    values = np.linalg.svd(matrix, compute_uv=False)
    singular[: len(values)] = values  # fewer columns than rows leave zeros
    floor = svd_floor(len(matrix), matrix.shape[1], singular[0], matrix.dtype)
    threshold = max(float(floor), moved)
    faint = sigma.smooth and _faint(matrix, params, X, MARGIN * threshold)
    seen = not faint and not nearly_equal(params, X)
    return _judge(singular, threshold, method, bound, seen)


def _faint(J: np.ndarray, params: Params, X: np.ndarray, threshold: float) -> bool:
    """Whether a row or a column of J that is not zero is lost in rounding."""
    V = np.asarray(params.v).reshape(params.W.shape[0], -1)
    rows = np.outer(X.any(axis=1), V.any(axis=0)).ravel()
    columns = np.outer(V.any(axis=1), X.any(axis=0)).ravel()
    sizes = (np.linalg.norm(J, axis=axis) for axis in (1, 0))
    return any(
        bool(np.any(size[there] <= threshold))
        for size, there in zip(sizes, (rows, columns), strict=True)
    )


def judge(
    singular: Float[np.ndarray, "*cells width"],
    threshold: ArrayLike,
    rows: ArrayLike,
    bound: ArrayLike,
    seen: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rule of all ranks: counts, verdicts and gaps of spectra, largest value first.

    Each spectrum has `rows` values; what its array holds beyond them is not looked at. The rank is
    at most `bound`; a lower one is believed only where a higher one would be `seen`.
    """
    threshold, rows, bound = (np.asarray(array) for array in (threshold, rows, bound))
    counted = singular > threshold[..., None]
    counted &= np.arange(singular.shape[-1]) < np.minimum(rows, bound)[..., None]
    rank = counted.sum(axis=-1)

    def value(index: np.ndarray) -> np.ndarray:
        index = np.clip(index, 0, singular.shape[-1] - 1)
        return np.take_along_axis(singular, index[..., None], axis=-1)[..., 0]

    last = np.where(rank > 0, value(rank - 1), 0.0)
    following = np.where(rank < rows, value(rank), threshold)
    gap = np.full(last.shape, math.inf)
    np.divide(last, following, out=gap, where=following > 0)
    said = np.where(rank == rows, "full", "deficient")
    certain = (rank == bound) & ((rank == 0) | (last >= MARGIN * threshold))
    if seen:
        wide = math.sqrt(np.finfo(singular.dtype).eps) * last >= threshold
        certain |= (rank == 0) | wide
    return rank, np.where(certain, said, "undecided"), gap


def _judge(
    singular: np.ndarray, threshold: float, method: str, bound: int, seen: bool
) -> NumericalRank:
    rows = len(singular)
    (rank,), (verdict,), (gap,) = judge(singular[None], threshold, rows, bound, seen)
    return NumericalRank(int(rank), str(verdict), singular, float(threshold), float(gap), method)
