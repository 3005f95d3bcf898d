r"""How far rounding can move the numbers of a certificate: bounds, for one point.

Certificates are computed in double precision from the exact numbers that they are given. What is
trusted is that σ and σ′ are good to $4 \epsilon (1 + |\text{value}|)$, and the eigenvalues of a
symmetric matrix to its size times ε times its norm. The rest is counted: a sum of k products errs
by at most k ε of their absolute values (half of which would do), and an error e in z moves σ(z) by
at most $(|\sigma'(z)| + L_2 e)\, e$ and σ′(z) by $L_2 e$. Where σ′ jumps, it is taken to jump at
0.

A bound that is claimed has three times its error in it, and σ_min twice: once for what is so, the
rest for `verifier.py`, whose sums run in another order.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization, linearize, lipschitz_in_W
from narrowlib.network.model import Params

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
LARGEST, SMALLEST = 2.0**256, 2.0**-256  # of an array's largest entry: products of four occur
AGAIN = 3.0  # so many times its error is in a bound
AGAIN_RANK = 2.0


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Where certificates are computed: what overflows is found by `checked_numbers`."""
    with jax.enable_x64(True), np.errstate(over="ignore", invalid="ignore"):
        yield


def in_double(tree: Any) -> Any:
    """The same numbers in double precision, for use there."""

    def double(leaf: Any) -> Any:
        floating = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
        return jnp.asarray(np.asarray(leaf), float) if floating else leaf

    return jax.tree.map(double, tree)


def checked_numbers(**numbers: Any) -> None:
    """Refuse to certify numbers that have left the range of their precision."""
    for name, value in numbers.items():
        if not np.all(np.isfinite(value)):
            mend = "The numbers overflow on the way: scale the samples, targets or weights."
            fail("params", f"{name} = {value}", mend)


def check_range(**arrays: Any) -> None:
    """Refuse arrays whose products would leave the range of double precision."""
    for name, value in arrays.items():
        largest = float(np.max(np.abs(value), initial=0.0))
        if largest > LARGEST or 0 < largest < SMALLEST:
            word, mend = ("overflow", "down") if largest > 1 else ("vanish", "up")
            got = f"entries of up to {largest:.1e}"
            fail(name, got, f"Their products {word}: scale them {mend}.")


class Point(NamedTuple):
    """A network at a point as computed, and how far its numbers can be off.

    Args:
        at: its `Linearization`; what follows are its numbers as NumPy's.
        X: samples, shape (n, d).
        v: output weights, shape (m, K).
        phi: σ at the pre-activations, shape (m, n).
        slope: σ′ there.
        off_phi: bounds of the errors of σ, shape (m, n).
        off_slope: of σ′, shape (m, n).
    """

    at: Linearization
    X: np.ndarray
    v: np.ndarray
    phi: np.ndarray
    slope: np.ndarray
    off_phi: np.ndarray
    off_slope: np.ndarray

    @property
    def outputs(self) -> np.ndarray:
        """F, shape (n, K)."""
        return self.phi.T @ self.v

    @property
    def off_outputs(self) -> float:
        """The error of F, in the norm over all samples."""
        sums = len(self.v) * EPS * np.abs(self.phi)
        return float(np.linalg.norm((self.off_phi + sums).T @ np.abs(self.v)))

    @property
    def off_jacobian(self) -> float:
        """The error of J, in the Frobenius norm."""
        sizes, lengths = (np.linalg.norm(x, axis=1) for x in (self.v, self.X))
        return float(np.linalg.norm(sizes[:, None] * self.off_slope * lengths))

    def off_residual(self, r: Array | np.ndarray) -> float:
        """The error of r = F − y, and of its norm."""
        size = float(np.linalg.norm(np.asarray(r)))
        return self.off_outputs + (np.size(r) + 2) * EPS * size

    def off_pull(self, r: Array) -> float:
        """The error of Jᵀr, for the r that was computed."""
        n, K = len(self.X), self.v.shape[1]
        sent = np.abs(self.v) @ np.abs(np.asarray(r)).reshape(n, K).T
        slopes = (n + K + 4) * EPS * np.abs(self.slope) + self.off_slope
        return float(np.linalg.norm((slopes * sent) @ np.abs(self.X)))

    @property
    def sigma_min(self) -> float:
        """A lower bound of σ_min(J)."""
        (m, K), XX = self.v.shape, self.X @ self.X.T
        features = (self.slope.T[:, None, :] * self.v.T).reshape(-1, m)
        outer = features @ features.T
        gram = np.repeat(np.repeat(XX, K, axis=0), K, axis=1) * outer
        checked_numbers(trace=float(np.trace(gram)))
        # the trace bounds the norm of the matrix of absolute terms
        slack = (len(gram) + self.X.shape[1] + m) * EPS * float(np.trace(gram))
        lost = 1 + m * np.abs(XX).max() + self.X.shape[1] * np.abs(outer).max()
        slack += len(gram) * TINY * float(lost)  # products too small for a double
        square = float(np.linalg.eigvalsh(gram)[0]) - AGAIN_RANK * slack
        return max(math.sqrt(max(square, 0.0)) - AGAIN_RANK * self.off_jacobian, 0.0)


# each is one compilation, where operation by operation they would be dozens
_linearize = jax.jit(linearize, static_argnames="sigma")
_lipschitz_in_W = jax.jit(lipschitz_in_W, static_argnames="sigma")


def point(params: Params, X: Array, sigma: Activation) -> Point:
    """The network at checked parameters, in double precision."""
    at = _linearize(params, X, sigma)
    samples, v, phi, slope = map(np.asarray, at)
    W = np.asarray(params.W)
    off = W.shape[1] * EPS * (np.abs(W) @ np.abs(samples).T)
    if sigma.smooth:
        off_slope = sigma.curvature * off + 4 * EPS * (1 + np.abs(slope))
        moved = (np.abs(slope) + off_slope) * off
    else:
        off_slope = np.where(np.abs(W @ samples.T) <= off, 2 * sigma.slope, 0.0)
        moved = np.zeros_like(off)
        np.multiply(sigma.slope, off, where=off > 0, out=moved)  # the slope may be ∞
    moved = moved + 4 * EPS * (1 + np.abs(phi))
    return Point(at, samples, v.reshape(len(v), -1), phi, slope, moved, off_slope)


def rank_and_rate(there: Point, params: Params, X: Array, sigma: Activation) -> tuple[float, float]:
    """σ_min(J), rounding taken off, and L, ∞ where σ′ jumps."""
    s = there.sigma_min
    L = float(_lipschitz_in_W(params, X, sigma)) if sigma.smooth else math.inf
    checked_numbers(sigma_min=s, lipschitz=L if sigma.smooth else 0.0)
    return s, L
