r"""The numbers of an existence certificate for many samples: no spectrum, and no long sums.

σ_min is not computed. What the lemma needs of it, s with $L\|r\|/s^2$ = `ENOUGH`, is proved, or
not, by one Cholesky factorisation in n²/2 numbers: with D = diag(1/‖J_i‖),

$$D\,(J J^\top - s^2 I)\,D - e I = C\,C^\top \quad\Longrightarrow\quad \sigma_{\min}(J) \ge s$$

if e bounds the norm of all that rounding does to the matrix on the left, which is n times the most
that it does to an entry. ‖X‖ comes from the d × d matrix XᵀX. The pre-activations are summed in
NumPy's longest type, since with d = 3,072 inputs the rounding of those sums would be all that is
left of the residual.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from narrowlib.certificates.rounding import AGAIN, AGAIN_RANK, EPS, TINY, Point
from narrowlib.network.activations import Activation
from narrowlib.network.gram_factor import PanelFactor, longest_sum
from narrowlib.network.linearization import Linearization
from narrowlib.network.model import Params

MANY = 8192  # with more rows than this; `verifier.py` reads no more either
ENOUGH = 0.4  # the h that is aimed at; the lemma needs less than ½
ROWS = 1000  # samples summed in the longest type at a time
# one that is made of two doubles says of itself that it has no ε
LONG = max(float(np.finfo(np.longdouble).eps), 2.0**-100)


class Numbers(NamedTuple):
    """‖r‖ with its error added, a lower bound of σ_min(J), 0 if none is proved, and L."""

    residual: float
    sigma_min: float
    lipschitz: float


def numbers_of_many(params: Params, X: np.ndarray, y: np.ndarray, sigma: Activation) -> Numbers:
    """The numbers of checked arguments in double precision, σ being smooth."""
    there = long_point(params, X, sigma)
    outputs, off = long_outputs(there)
    r = np.asarray(outputs - y.reshape(outputs.shape), float)
    size = float(np.linalg.norm(r))
    # r is rounded to a double; its norm is a sum of as many squares as there are
    residual = size + AGAIN * (float(np.linalg.norm(off)) + (r.size + 2) * EPS * size)
    longest = float(np.linalg.norm(X, axis=1).max())
    L = sigma.curvature * longest * norm_of(X) * float(np.linalg.norm(there.v, axis=1).max())
    s = math.sqrt(L * residual / ENOUGH)
    return Numbers(residual, s if has_rank(there, s) else 0.0, L)


def long_point(params: Params, X: np.ndarray, sigma: Activation) -> Point:
    """`point` with pre-activations that are right to a few ε of their size."""
    W, v = np.asarray(params.W), np.asarray(params.v)
    wide = W.astype(np.longdouble)
    Z, off = np.empty((len(W), len(X))), np.empty((len(W), len(X)))
    for k in range(0, len(X), ROWS):
        rows = X[k : k + ROWS]
        Z[:, k : k + ROWS] = np.inner(wide, rows.astype(np.longdouble))
        off[:, k : k + ROWS] = X.shape[1] * LONG * (np.abs(W) @ np.abs(rows).T)
    off += EPS * np.abs(Z)
    phi, slope = (np.asarray(f(jnp.asarray(Z))) for f in (sigma.fn, sigma.derivative))
    off_slope = sigma.curvature * off + 4 * EPS * (1 + np.abs(slope))
    off_phi = (np.abs(slope) + off_slope) * off + 4 * EPS * (1 + np.abs(phi))
    at = Linearization(jnp.asarray(X), params.v, jnp.asarray(phi), jnp.asarray(slope))
    return Point(at, X, v.reshape(len(v), -1), phi, slope, off_phi, off_slope)


def long_outputs(there: Point) -> tuple[np.ndarray, np.ndarray]:
    """F in the longest type, (n, K), and how far each entry can be off."""
    wide = (x.astype(np.longdouble) for x in (there.phi.T, there.v))
    sums = len(there.v) * LONG * np.abs(there.phi)
    return np.matmul(*wide), (there.off_phi + sums).T @ np.abs(there.v)


def norm_of(X: np.ndarray) -> float:
    """An upper bound of ‖X‖, from the smaller of its two Gram matrices."""
    A = X.T if X.shape[1] < len(X) else X
    gram = A @ A.T
    slack = (max(X.shape) + len(gram)) * EPS * float(np.trace(gram))
    return math.sqrt(float(np.linalg.eigvalsh(gram)[-1]) + slack)


def has_rank(there: Point, s: float) -> bool:
    """Whether σ_min(J) ≥ s is proved."""
    (n, d), (m, K) = there.X.shape, there.v.shape
    features = (there.slope.T[:, None, :] * there.v.T).reshape(-1, m)
    sizes, lengths = np.linalg.norm(features, axis=1), np.linalg.norm(there.X, axis=1)
    rows = sizes * np.repeat(lengths, K)
    t = s + AGAIN_RANK * there.off_jacobian  # of J as computed
    if not (np.all(np.isfinite(rows)) and np.all(rows > t)):  # each is a bound of σ_min
        return False
    features /= rows[:, None]
    # products too small for a double; the trace of the scaled matrix is n K
    lost = 1 + m * float(lengths.max()) ** 2 + d / float(lengths.min()) ** 2
    slack = n * K * (longest_sum(n, d, m, K) * EPS + TINY * lost)
    shift = -((t / rows) ** 2) * (1 + 8 * EPS) - AGAIN_RANK * slack
    return PanelFactor.of(there.X, features, shift, careful=True) is not None
