r"""The network at one point: its outputs, and its Jacobian without forming it.

Everything that is asked of a network at weights (W, v) is made from σ and σ′ at the pre-activations
$Z = W X^\top$. They are computed once, by `linearize`, with samples last, (m, n): on a CPU that is
up to 1.5 times as fast as the other way round.

$J = \partial F/\partial \operatorname{vec} W$ has a row for each sample (and output) and a column
for each hidden weight: (n K, m d). Row (i, k), block j is $v_{jk}\,\sigma'(w_j \cdot x_i)\, x_i$.
So with $D_{ji} = \sigma'(w_j \cdot x_i)$, one output, everything is made of n × d × m products:

- $J \operatorname{vec}\Delta = \bigl(D \circ (\Delta X^\top)\bigr)^\top v$,
- $J^\top r = (D \circ v r^\top)\, X$,
- $J J^\top = (X X^\top) \circ (B B^\top)$, $B = D^\top \mathrm{diag}(v)$: n²(d + m)
  multiplications instead of n² m d.

Rows of several outputs are numbered sample by sample: row i K + k. The Jacobian in all weights has
the columns of v behind those of W: $[\,J,\ \Phi^\top \otimes I_K\,]$ with $\Phi = \sigma(Z)$.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from narrowlib.network.activations import Activation
from narrowlib.network.model import Params

COLUMNS = 2_000_000  # so many numbers X may have to be kept by columns too
BLOCK = 400  # rows of the Gram matrix made at a time: the fastest measured, from 256 to 2000


class Linearization(NamedTuple):
    """The network at one point, as a pytree of arrays; made by `linearize`.

    A product with J costs one with X, n m d multiplications; `outputs` cost none.

    Args:
        X: samples, shape (n, d).
        v: output weights, shape (m,) or (m, K).
        phi: σ at the pre-activations, samples last, shape (m, n).
        slope: σ′ there, shape (m, n).
    """

    X: Float[Array, "n d"]
    v: Float[Array, "m *K"]
    phi: Float[Array, "m n"]
    slope: Float[Array, "m n"]

    @property
    def outputs(self) -> Float[Array, "n *K"]:
        """F: the network's outputs."""
        return self.v @ self.phi if self.v.ndim == 1 else self.phi.T @ self.v

    def residual(self, y: Float[Array, "n *K"]) -> Float[Array, "n *K"]:
        """F − y."""
        return self.outputs - y

    def jvp(self, delta: Float[Array, "m d"]) -> Float[Array, "n *K"]:
        """J vec Δ: how the outputs change, to first order, when W moves by Δ."""
        return (self.slope * (delta @ self.X.T)).T @ self.v

    def pull_back(self, r: Float[Array, "n *K"]) -> Float[Array, "m n"]:
        """r, sent back through v and σ′ to the pre-activations."""
        return self.slope * (jnp.outer(self.v, r) if self.v.ndim == 1 else self.v @ r.T)

    def vjp(self, r: Float[Array, "n *K"]) -> Float[Array, "m d"]:
        """Jᵀ r, shaped like W."""
        return self.pull_back(r) @ self.X

    def vjp_all(self, r: Float[Array, "n *K"]) -> Params:
        """The same product in all weights: n times the loss's gradient where r is the residual."""
        return Params(W=self.vjp(r), v=self.phi @ r)

    def gradient(self, r: Float[Array, "n *K"]) -> Params:
        """The gradient of the loss in (W, v), r being the residual."""
        return self.vjp_all(r / self.X.shape[0])

    @property
    def num_outputs(self) -> int:
        """K, the rows that J has for each sample."""
        return 1 if self.v.ndim == 1 else self.v.shape[1]

    @property
    def features(self) -> Float[Array, "rows m"]:
        """B: the factor v_jk σ′(w_j·x_i) that row i K + k of J has in block j."""
        columns = self.v.reshape(self.v.shape[0], -1)
        return (self.slope.T[:, None, :] * columns.T[None]).reshape(-1, self.v.shape[0])

    def gram(self, XX: Float[Array, "n n"] | None = None) -> Float[Array, "rows rows"]:
        """J Jᵀ, a block of rows at a time; pass X Xᵀ where it is at hand."""
        if XX is None:
            return hadamard_gram(self.X, self.features)
        return tangent_kernel(XX, self.features)

    def gram_all(self, XX: Float[Array, "n n"] | None = None) -> Float[Array, "rows rows"]:
        """The Gram matrix of the Jacobian in all weights: J Jᵀ + (Φᵀ Φ) ⊗ I."""
        square = self.phi.T @ self.phi
        eye = jnp.eye(self.num_outputs, dtype=square.dtype)
        return self.gram(XX) + (square if self.v.ndim == 1 else jnp.kron(square, eye))

    @property
    def gram_diagonal(self) -> Float[Array, " rows"]:
        """The diagonal of J Jᵀ; its sum is ‖J‖²."""
        lengths = jnp.sum(self.X**2, axis=1)
        return jnp.repeat(lengths, self.num_outputs) * jnp.sum(self.features**2, axis=1)

    @property
    def dense(self) -> Float[Array, "rows columns"]:
        """J itself, for small cases: n m d K numbers."""
        X = jnp.repeat(self.X, self.num_outputs, axis=0)
        return (self.features[:, :, None] * X[:, None, :]).reshape(X.shape[0], -1)

    @property
    def dense_all(self) -> Float[Array, "rows p"]:
        """The Jacobian in all weights, vec W row by row, then vec v."""
        in_v = jnp.kron(self.phi.T, jnp.eye(self.num_outputs, dtype=self.phi.dtype))
        return jnp.concatenate([self.dense, in_v], axis=1)

    @property
    def frobenius(self) -> Float[Array, ""]:
        """The Frobenius norm of the Jacobian in all weights."""
        return jnp.sqrt(jnp.sum(self.gram_diagonal) + self.num_outputs * jnp.sum(self.phi**2))


def linearize(
    params: Params, X: Float[Array, "n d"], sigma: Activation, XT: Float[Array, "d n"] | None = None
) -> Linearization:
    """The network at checked parameters: one product with X; pass `columns(X)` if at hand."""
    Z = (X @ params.W.T).T if XT is None else params.W @ XT
    return Linearization(X, params.v, sigma.fn(Z), sigma.derivative(Z))


def columns(X: Float[Array, "n d"]) -> Float[Array, "d n"] | None:
    """Xᵀ as an array of its own, with which W Xᵀ takes half the time; None where X is large.

    There it would take twice as long (measured on CPUs, from 10⁶ numbers on).
    """
    return None if X.size > COLUMNS else jax.lax.optimization_barrier(X.T)


def hadamard_gram(A: Float[Array, "n p"], B: Float[Array, "rows q"]) -> Float[Array, "rows rows"]:
    """(A Aᵀ) ∘ (B Bᵀ), where B has K rows for each row of A; a block of rows at a time."""

    def inner(first: Array, count: int) -> Array:
        return jax.lax.dynamic_slice_in_dim(A, first, count) @ A.T

    return _by_blocks(inner, A.shape[0], B)


def tangent_kernel(XX: Float[Array, "n n"], B: Float[Array, "rows q"]) -> Float[Array, "rows rows"]:
    """(X Xᵀ) ∘ (B Bᵀ) where X Xᵀ is at hand already."""

    def inner(first: Array, count: int) -> Array:
        return jax.lax.dynamic_slice_in_dim(XX, first, count)

    return _by_blocks(inner, XX.shape[0], B)


def _by_blocks(
    inner: Callable[[Array, int], Array], n: int, B: Float[Array, "rows q"]
) -> Float[Array, "rows rows"]:
    """The product with B Bᵀ, made in place; `inner(first, count)` are `count` of the n rows."""
    K = B.shape[0] // n
    block = min(max(BLOCK // K, 1), n)

    def fill(i: Array, matrix: Array) -> Array:
        first = jnp.minimum(i * block, n - block)  # the last block overlaps the one before
        left = inner(first, block)
        left = jnp.repeat(jnp.repeat(left, K, axis=0), K, axis=1) if K > 1 else left
        right = jax.lax.dynamic_slice_in_dim(B, first * K, block * K) @ B.T
        return jax.lax.dynamic_update_slice_in_dim(matrix, left * right, first * K, 0)

    return jax.lax.fori_loop(0, -(-n // block), fill, jnp.zeros((n * K, n * K), B.dtype))


def output_sizes(v: Float[Array, "m *K"]) -> Float[Array, " m"]:
    """|v_j|, or the length of row j where there are several outputs."""
    return jnp.linalg.norm(v.reshape(v.shape[0], -1), axis=1)


def lipschitz_in_W(params: Params, X: Array, sigma: Activation) -> Float[Array, ""]:
    """L(v) = L₂ max‖xᵢ‖ ‖X‖ max|v_j|, the Lipschitz constant of J in W (see Notation)."""
    longest = jnp.max(jnp.linalg.norm(X, axis=1))
    return sigma.curvature * longest * jnp.linalg.norm(X, 2) * jnp.max(output_sizes(params.v))
