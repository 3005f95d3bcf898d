r"""What rounding can hide: in the spectrum of J Jᵀ, and in the network's outputs.

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
from narrowlib.network.jacobian import gram
from narrowlib.network.linearization import Linearization, linearize
from narrowlib.network.model import Params

MARGIN = 10.0  # a gap, or a distance from the floor, by less than this factor decides nothing


def gram_slack(count: int, largest: Any, dtype: Any) -> Any:
    """The rule: count · ε · λ_max.

    `count` is the number of rows. Where a proof is wanted, the lengths of all sums are added to it
    and the trace stands for λ_max, since it bounds the sums of absolute values too.
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


def least_singular_value(params: Params, X: Array, sigma: Activation) -> float:
    """σ_min(J), less what rounding can hide: for certificates, on the host."""
    return float(spectrum(np.asarray(gram(params, X, activation=sigma))).at_least[0])


@partial(jax.jit, static_argnames="sigma")
def output_rounding(params: Params, X: Array, sigma: Activation) -> Float[Array, ""]:
    r"""A bound on how far rounding moves the computed outputs, in the norm over all samples.

    Sums of d and of m terms err by at most d ε and m ε of their absolute terms, half of which is
    for σ, which rounds its argument too. An error e in z moves σ(z) by at most
    $(|\sigma'(z)| + L_2 e)\, e$; without $L_2$, by $\sup|\sigma'|\, e$. Beside that σ is
    trusted to 4 ε (1 + |σ(z)|).
    """
    eps = float(jnp.finfo(X.dtype).eps)
    (m, d), at = params.W.shape, linearize(params, X, sigma)
    error = d * eps * (jnp.abs(params.W) @ jnp.abs(X).T)
    if sigma.smooth:
        moved = (jnp.abs(at.slope) + sigma.curvature * error) * error
    else:
        moved = jnp.where(error > 0, sigma.slope * error, 0)
    size = jnp.abs(at.phi)
    moved = moved + 4 * eps * (1 + size) + m * eps * size
    return jnp.linalg.norm(moved.T @ jnp.abs(params.v))


def rounding_floor(at: Linearization) -> Float[Array, ""]:
    """The residual that rounding in the sum over neurons leaves, however good the weights are."""
    terms = jnp.abs(at.phi).T @ jnp.abs(at.v)
    return jnp.finfo(terms.dtype).eps * jnp.linalg.norm(terms)
