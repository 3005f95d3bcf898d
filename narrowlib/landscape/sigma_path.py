r"""The least singular value of J along a path of weights, with few decompositions.

At each point the Gram matrix $K = JJ^\top$ is made, and a small block of vectors, warm started
from the point before, is improved by Rayleigh–Ritz steps: the best block in the span of U, of
$M U$ and of M times the residuals. Here $M = (K' - \tau I)^{-1}$ comes from a Cholesky factor at
an earlier point, kept over many, with τ just below the least eigenvalue. That the factor exists
proves that no eigenvalue is less than τ. Away from that point the least singular value changes
by at most $\|J - J'\|$, and

$$\|J - J'\|^2 = \|(J - J')(J - J')^\top\| \le \|(X X^\top) \circ (E E^\top)\|_F, \quad
  E = D - D', \quad D_{ij} = v_j\, \sigma'(w_j \cdot x_i).$$

A point costs n²(4 m + 44 q) operations, q from 1 to 8 being the number of steps; a Cholesky
factor n³/3; an eigendecomposition, which is needed at the first point and where a factor fails,
about 9 n³; all with n K for n where there are K outputs. Memory: four n × n matrices.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from narrowlib._checks import check_int, check_number, fail, float_array, shown, single_at_least
from narrowlib._runs import runs
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import linearize, tangent_kernel
from narrowlib.network.model import Params
from narrowlib.network.rounding import gram_slack
from narrowlib.network.theory import check_size, check_theory

BLOCK = 4  # vectors followed at once, so that singular values may cross
ROUNDS = 8  # of Rayleigh–Ritz at a point before the factor is called too old
FIRST = 1 << 30  # the age of a reference that is none


class SigmaPath(NamedTuple):
    """What `sigma_min_path` returns, as a pytree; T points of time.

    Args:
        sigma_min: σ_min(J) at each point, shape (T,); never below the true value, but for
            rounding of the order of ϵ times the largest singular value.
        lower: a proved lower bound on σ_min(J), shape (T,).
        error: some singular value lies within this of `sigma_min`, shape (T,).
        vector: the left singular vector that belongs to it, shape (T, n) or (T, n, K): the
            residual that is hardest to remove.
        factored: where the Gram matrix was factored, shape (T,).
        factorizations: how many Cholesky factors were made.
        decompositions: how many eigendecompositions were made.
    """

    sigma_min: Float[Array, " time"]
    lower: Float[Array, " time"]
    error: Float[Array, " time"]
    vector: Float[Array, "time n *K"]
    factored: Bool[Array, " time"]
    factorizations: Int[Array, ""]
    decompositions: Int[Array, ""]


@runs("jit")
def sigma_min_path(
    params: Params,
    X: Float[ArrayLike, "n d"],
    *,
    activation: str | Activation = "tanh",
    refresh: int = 10,
    rtol: float = 1e-3,
    allow_float32: bool = False,
) -> SigmaPath:
    r"""σ_min(J) at every point of a path of weights, without a decomposition at each.

    At the first point, at every `refresh`-th and wherever the block does not settle, a Cholesky
    factor of $K - \tau I$ with $\tau = (1 - \text{rtol})^2 \sigma_{\min}^2$ proves the value
    found to `rtol`; where it fails, an eigendecomposition follows. Between those points `lower`
    falls with the distance from the last of them. With `refresh=1` all points are proved.

    The Gram matrix cannot see below about $\sqrt{n\,\epsilon}$ times the largest singular value:
    there `lower` is 0, and `sigma_min` is an upper bound that may be too large. Within one
    interval between factors a value can be missed that falls from above the block to the bottom;
    `lower` stays right, and the next factor finds out. Under `vmap` both sides of each decision
    are computed, eigendecompositions included.

    Args:
        params: the path, with time as first axis of both: `W` (T, m, d), `v` (T, m) or (T, m, K).
            Where v stands still, pass `jnp.broadcast_to(v, (T, *v.shape))`.
        X: samples, shape (n, d).
        activation: a name of `activations()` or an `Activation`.
        refresh: a new factor after so many points.
        rtol: how closely a factor proves the value, and how large a block's residual may be,
            relative to σ_min².
        allow_float32: answer in single precision too.

    Returns:
        A `SigmaPath`.

    Raises:
        ValueError: in float32 unless allowed, or if shapes do not match or an entry is not finite.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     data = nl.gaussian(jax.random.key(0), n=20, d=5)
        ...     start = nl.mirrored_lecun(jax.random.key(1), d=5, m=10)
        ...     times = jnp.linspace(1, 2, 50)  # all weights grow
        ...     path = jax.tree.map(lambda a: times.reshape(-1, *[1] * a.ndim) * a, start)
        ...     found = nl.sigma_min_path(path, data.X)
        ...     int(found.factored.sum()), int(found.decompositions)
        (5, 1)

    References:
        Davidson (1975) for the block steps; the lower bound is proved in the chapter "Full rank
        makes stationary points global".
    """
    W, v = _path(params)
    _, X, sigma = check_theory((W[0], v[0]), X, activation=activation, allow_float32=allow_float32)
    check_size("params.W", W)
    check_size("params.v", v)
    refresh = check_int("refresh", refresh, 1)
    rtol = check_number("rtol", rtol, above=0, below=1)
    out = _follow(W, v, X, sigma, jnp.asarray(rtol, W.dtype), jnp.asarray(refresh))
    return out._replace(vector=out.vector.reshape(len(W), len(X), *v.shape[2:]))


def _path(params: Any) -> Params:
    """The weights at all points of time, as arrays with one time axis in front."""
    if not (isinstance(params, tuple | list) and len(params) == 2):
        fail("params", shown(params), "Pass a narrowlib.Params, or a pair (W, v).")
    W = single_at_least(float_array("params.W", params[0], (3,)))
    v = single_at_least(float_array("params.v", params[1], (2, 3)))
    if 0 in W.shape[:1] or v.shape[0] != W.shape[0]:
        mend = "Both need the same time axis in front, with at least one point."
        fail("params", f"W {W.shape} and v {v.shape}", mend)
    return Params(W, v)


def jacobian_distance(E: Float[Array, "rows m"], XX: Float[Array, "n n"]) -> Float[Array, ""]:
    """A bound on the spectral norm ‖J − J′‖ where the features differ by E, from X Xᵀ."""
    return jnp.sqrt(jnp.linalg.norm(tangent_kernel(XX, E)))


class Ritz(NamedTuple):
    """A block of approximate eigenvectors of K, the least first; as columns."""

    values: Float[Array, " block"]
    vectors: Float[Array, "rows block"]
    residuals: Float[Array, "rows block"]

    @property
    def error(self) -> Float[Array, ""]:
        """The size of the first residual: some eigenvalue is as near to the first value."""
        return jnp.linalg.norm(self.residuals[:, 0])


def ritz(K: Float[Array, "rows rows"], Z: Float[Array, "rows columns"], block: int) -> Ritz:
    """The best block in the span of Z."""
    Q = jnp.linalg.qr(Z)[0]
    KQ = K @ Q
    H = Q.T @ KQ
    values, Y = jnp.linalg.eigh((H + H.T) / 2)
    values, Y = values[:block], Y[:, :block]
    U = Q @ Y
    return Ritz(values, U, KQ @ Y - U * values[None])


def settle(
    K: Float[Array, "rows rows"],
    factor: Float[Array, "rows rows"],
    U: Float[Array, "rows block"],
    goal: Array,
    rtol: Array,
) -> Ritz:
    """Improve a block until the residual of its first vector is small, absolutely or relatively."""
    tiny, block = jnp.finfo(K.dtype).tiny, U.shape[1]
    probe = jax.random.normal(jax.random.key(0), (K.shape[0], 1), K.dtype)

    def unsettled(carry: tuple[Array, Ritz]) -> Array:
        i, found = carry
        small = found.error <= jnp.maximum(goal, rtol * found.values[0])
        return (i < 1) | (i < ROUNDS) & ~small

    def improve(carry: tuple[Array, Ritz]) -> tuple[Array, Ritz]:
        i, (_, U, residuals) = carry
        # the probe has a part in all directions: in one too that comes down from above
        outside = probe - U @ (U.T @ probe)
        new = jnp.concatenate([U, residuals, outside], axis=1)
        new = jax.scipy.linalg.cho_solve((factor, True), new)
        new = new / jnp.maximum(jnp.linalg.norm(new, axis=0), tiny)[None]
        return i + 1, ritz(K, jnp.concatenate([U, new], axis=1), block)

    first = (jnp.zeros((), int), ritz(K, U, block))
    return jax.lax.while_loop(unsettled, improve, first)[1]


def factor_below(
    K: Float[Array, "rows rows"], value: Array, slack: Array, rtol: Array
) -> tuple[Array, Array, Array]:
    """A factor of K − τI just below a value, what it proves of σ_min, and whether there is one."""
    tau = (1 - rtol) ** 2 * value
    visible = value - tau > 2 * slack
    shift = jnp.where(visible, tau, -2 * slack)
    factor = jnp.linalg.cholesky(K - shift * jnp.eye(K.shape[0], dtype=K.dtype))
    proved = jnp.where(visible, jnp.sqrt(jnp.maximum(tau - slack, 0.0)), 0.0)
    return factor, proved, jnp.all(jnp.isfinite(jnp.diagonal(factor)))


class _Reference(NamedTuple):
    """The last point with a factor."""

    features: Array
    factor: Array  # of K − τI, lower triangular
    lower: Array  # proved of σ_min there
    age: Array


class _Bounded(NamedTuple):
    """What is known at a point."""

    reference: _Reference
    block: Ritz
    lower: Array
    decomposed: Array


def _keep(features: Array, block: Ritz, reference: _Reference, XX: Array) -> _Bounded:
    """The reference serves on: what it proved, less the way that J has gone since."""
    distance = jacobian_distance(features - reference.features, XX)
    lower = jnp.maximum(reference.lower - distance, 0.0)
    aged = reference._replace(age=reference.age + 1)
    return _Bounded(aged, block, lower, jnp.zeros((), int))


def _renew(
    K: Array, features: Array, block: Ritz, reference: _Reference, slack: Array, rtol: Array
) -> _Bounded:
    """A new factor, by an eigendecomposition where there is none below the value found."""
    U = block.vectors

    def decompose() -> tuple:
        least, vectors = jnp.linalg.eigh(K)
        factor, lower, _ = factor_below(K, least[0], slack, rtol)
        floor = jnp.sqrt(jnp.maximum(least[0] - slack, 0.0))
        return factor, jnp.maximum(lower, floor), vectors[:, : U.shape[1]], jnp.ones((), int)

    factor, lower, exists = factor_below(K, block.values[0], slack, rtol)
    exists &= reference.age < FIRST
    factor, lower, start, counted = jax.lax.cond(
        exists, lambda: (factor, lower, U, jnp.zeros((), int)), decompose
    )
    new = _Reference(features, factor, lower, jnp.ones((), int))
    return _Bounded(new, settle(K, factor, start, slack, rtol), lower, counted)


@partial(jax.jit, static_argnames="sigma")
def _follow(
    W: Array, v: Array, X: Array, sigma: Activation, rtol: Array, refresh: Array
) -> SigmaPath:
    XX, tiny = X @ X.T, jnp.finfo(X.dtype).tiny
    outputs = v.shape[2] if v.ndim == 3 else 1
    rows, width = len(X) * outputs, W.shape[1]

    def advance(carry: tuple, point: tuple) -> tuple:
        reference, U = carry
        at = linearize(Params(*point), X, sigma)
        K, features = at.gram(XX), at.features
        # proved: rounding in K's entries, and in the factor's
        slack = gram_slack(rows + width + X.shape[1] + 4, jnp.trace(K), K.dtype)
        block = settle(K, reference.factor, U, slack, rtol)
        settled = block.error <= jnp.maximum(slack, rtol * block.values[0])  # NaN is not
        due = (reference.age >= refresh) | ~settled
        reference, block, lower, decomposed = jax.lax.cond(
            due,
            lambda: _renew(K, features, block, reference, slack, rtol),
            lambda: _keep(features, block, reference, XX),
        )
        u = block.vectors[:, 0]
        found = jnp.linalg.norm(at.vjp(u.reshape(len(X), *v.shape[2:])))
        error = jnp.minimum(jnp.sqrt(block.error), block.error / jnp.maximum(found, tiny))
        out = found, jnp.minimum(lower, found), error, u, due, decomposed
        return (reference, block.vectors), out

    eye = jnp.eye(rows, dtype=X.dtype)
    none = jnp.zeros((rows, width), X.dtype)
    first = _Reference(none, eye, jnp.zeros((), X.dtype), jnp.full((), FIRST))
    start = eye[:, : min(BLOCK, max(rows // 3, 1))]
    out = jax.lax.scan(advance, (first, start), (W, v))[1]
    found, lower, error, vector, due, decomposed = out
    return SigmaPath(found, lower, error, vector, due, jnp.sum(due), jnp.sum(decomposed))
