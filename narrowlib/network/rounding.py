r"""What rounding can hide: in the spectrum of J Jᵀ, in J and in the network's residual.

The library has one rule for spectra. The eigenvalues of a computed Gram matrix are good to

$$\text{slack} = \text{rows} \cdot \epsilon \cdot \lambda_{\max},$$

so singular values of J below $\sqrt{\text{slack}}$, the `floor`, are noise. A value to be looked
at is the root of the eigenvalue as it is (`singular_values`); one to build on is the root of the
eigenvalue less the slack (`at_least`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params

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


@partial(jax.jit, static_argnames="sigma")
def jacobian_rounding(params: Params, X: Array, sigma: Activation) -> Float[Array, ""]:
    r"""How far rounding in z and σ′ moves J, in the Frobenius norm.

    An error of ε times its absolute terms in z moves σ′(z) by $L_2$ times as much. Beside that σ′
    is trusted to ε (1 + |σ′(z)|); one without $L_2$ to ε |σ′(z)|, wherever it jumps.
    """
    eps, at = float(jnp.finfo(X.dtype).eps), linearize(params, X, sigma)
    moved = eps * jnp.abs(at.slope)
    if sigma.smooth:
        moved = moved + eps * (1 + sigma.curvature * (jnp.abs(params.W) @ jnp.abs(X).T))
    sizes = jnp.linalg.norm(params.v.reshape(len(params.v), -1), axis=1)
    return jnp.linalg.norm(moved * sizes[:, None] * jnp.linalg.norm(X, axis=1)[None])


def rounding_floor(at: Linearization) -> Float[Array, ""]:
    """The residual that rounding in the sum over neurons leaves, however good the weights are."""
    terms = jnp.abs(at.phi).T @ jnp.abs(at.v)
    return jnp.finfo(terms.dtype).eps * jnp.linalg.norm(terms)
