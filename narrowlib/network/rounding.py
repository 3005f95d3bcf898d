r"""What rounding can hide: in the spectrum of J Jᵀ, and in the network's residual.

The library has one rule for spectra. The eigenvalues of a computed Gram matrix are good to

$$\text{slack} = \text{rows} \cdot \epsilon \cdot \lambda_{\max},$$

so singular values of J below $\sqrt{\text{slack}}$, the `floor`, are noise. A value to be looked
at is the root of the eigenvalue as it is (`singular_values`); one to build on is the root of the
eigenvalue less the slack (`at_least`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from narrowlib.network.linearization import Linearization

MARGIN = 10.0  # a gap, or a distance from the floor, by less than this factor decides nothing


def gram_slack(count: int, largest: Any, dtype: Any) -> Any:
    """The rule: count · ε · λ_max.

    `count` is the number of rows. Where a bound is wanted (certificates), the lengths of all sums
    are added to it and the trace stands for λ_max, since it bounds the sums of absolute values too.
    """
    return count * float(jnp.finfo(dtype).eps) * largest


def svd_floor(rows: Any, columns: Any, largest: Any, dtype: Any) -> Any:
    """The floor where J itself is decomposed: max(rows, columns) · ε · σ_max."""
    return np.maximum(rows, columns) * float(jnp.finfo(dtype).eps) * largest


class Spectrum(NamedTuple):
    """The eigenvalues of a Gram matrix, with what rounding can hide of them.

    Args:
        eigenvalues: as computed, ascending, shape (rows,).
        slack: how far each may be off.
        vectors: the eigenvectors as columns, the left singular vectors of J; None if not asked for.
    """

    eigenvalues: Any
    slack: Any
    vectors: Any = None

    @property
    def singular_values(self) -> Any:
        """Ascending, as computed: roots of the eigenvalues, 0 for those that came out negative."""
        return self.eigenvalues.clip(0) ** 0.5

    @property
    def at_least(self) -> Any:
        """Lower bounds of the singular values, ascending."""
        return self.certain**0.5

    @property
    def certain(self) -> Any:
        """The eigenvalues less the slack, at least 0."""
        return (self.eigenvalues - self.slack).clip(0)

    @property
    def floor(self) -> Any:
        """What rounding alone can make a singular value look like."""
        return self.slack**0.5


def spectrum(K: Any, *, vectors: bool = False) -> Spectrum:
    """The spectrum of a Gram matrix: by NumPy for a NumPy array, else by JAX."""
    linalg: Any = np.linalg if isinstance(K, np.ndarray) else jnp.linalg
    values, columns = linalg.eigh(K) if vectors else (linalg.eigvalsh(K), None)
    return Spectrum(values, gram_slack(K.shape[0], values[-1].clip(0), K.dtype), columns)


def rounding_floor(at: Linearization) -> Float[Array, ""]:
    """The residual that rounding in the sum over neurons leaves, however good the weights are."""
    terms = jnp.abs(at.phi).T @ jnp.abs(at.v)
    return jnp.finfo(terms.dtype).eps * jnp.linalg.norm(terms)
