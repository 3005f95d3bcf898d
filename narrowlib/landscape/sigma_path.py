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
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from narrowlib._checks import (
    check_double,
    check_inputs,
    check_int,
    check_number,
    fail,
    float_array,
)
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.linearization import output_features, pull_back, tangent_kernel
from narrowlib.network.model import Params, check_finite_problem, check_params

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
        ValueError: in float32 unless allowed, or if shapes do not match.

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
    sigma = get_activation(activation)
    W = float_array("params.W", params.W, (3,))
    v = float_array("params.v", params.v, (2, 3))
    if 0 in W.shape[:1] or v.shape[0] != W.shape[0]:
        mend = "Both need the same time axis in front, with at least one point."
        fail("params", f"W {W.shape} and v {v.shape}", mend)
    check_params(Params(W[0], v[0]))
    X = check_inputs(X, d=W.shape[2], dtype=W.dtype)
    check_double("params.W", W.dtype, allow_float32)
    check_finite_problem(Params(W, v), X)
    check_int("refresh", refresh, 1)
    check_number("rtol", rtol, above=0, below=1)
    out = _follow(W, v, X, sigma, jnp.asarray(rtol, W.dtype), jnp.asarray(refresh))
    return out._replace(vector=out.vector.reshape(len(W), len(X), *v.shape[2:]))


class _Reference(NamedTuple):
    """The last point with a factor."""

    features: Array
    factor: Array  # of K − τI, lower triangular
    lower: Array  # proved of σ_min there
    age: Array


def jacobian_distance(E: Float[Array, "rows m"], XX: Float[Array, "n n"]) -> Float[Array, ""]:
    """A bound on the spectral norm ‖J − J′‖ where the features differ by E, from X Xᵀ."""
    return jnp.sqrt(jnp.linalg.norm(tangent_kernel(XX, E)))


@partial(jax.jit, static_argnames="sigma")
def _follow(
    W: Array, v: Array, X: Array, sigma: Activation, rtol: Array, refresh: Array
) -> SigmaPath:
    XX = X @ X.T
    eps, tiny = jnp.finfo(X.dtype).eps, jnp.finfo(X.dtype).tiny
    outputs = v.shape[2] if v.ndim == 3 else 1
    rows, width = len(X) * outputs, W.shape[1]
    block = min(BLOCK, max(rows // 3, 1))
    eye = jnp.eye(rows, dtype=X.dtype)
    probe = jax.random.normal(jax.random.key(0), (rows, 1), X.dtype)

    def ritz(K: Array, Z: Array) -> tuple[Array, Array, Array]:
        """The best block in the span of Z: its values, its vectors, its residuals."""
        Q = jnp.linalg.qr(Z)[0]
        KQ = K @ Q
        H = Q.T @ KQ
        values, Y = jnp.linalg.eigh((H + H.T) / 2)
        values, Y = values[:block], Y[:, :block]
        U = Q @ Y
        return values, U, KQ @ Y - U * values[None]

    def settle(K: Array, factor: Array, U: Array, goal: Array) -> tuple[Array, Array, Array]:
        """Improve the block until the residual of its first vector is small."""

        def unsettled(carry: tuple) -> Array:
            i, (values, _, residuals) = carry
            small = jnp.linalg.norm(residuals[:, 0]) <= jnp.maximum(goal, rtol * values[0])
            return (i < 1) | (i < ROUNDS) & ~small

        def improve(carry: tuple) -> tuple:
            i, (_, U, residuals) = carry
            # the probe has a part in all directions: in one too that comes down from above
            outside = probe - U @ (U.T @ probe)
            new = jnp.concatenate([U, residuals, outside], axis=1)
            new = jax.scipy.linalg.cho_solve((factor, True), new)
            new = new / jnp.maximum(jnp.linalg.norm(new, axis=0), tiny)[None]
            return i + 1, ritz(K, jnp.concatenate([U, new], axis=1))

        return jax.lax.while_loop(unsettled, improve, (jnp.zeros((), int), ritz(K, U)))[1]

    def factor_below(K: Array, value: Array, slack: Array) -> tuple[Array, Array, Array]:
        """A factor of K − τI, what it proves of σ_min, and whether there is one."""
        tau = (1 - rtol) ** 2 * value
        visible = value - tau > 2 * slack
        factor = jnp.linalg.cholesky(K - jnp.where(visible, tau, -2 * slack) * eye)
        proved = jnp.where(visible, jnp.sqrt(jnp.maximum(tau - slack, 0.0)), 0.0)
        return factor, proved, jnp.all(jnp.isfinite(jnp.diagonal(factor)))

    def advance(carry: tuple, point: tuple) -> tuple:
        reference, U = carry
        W, v = point
        D = sigma.derivative(X @ W.T)
        features = output_features(D, v)
        K = tangent_kernel(XX, features)
        # rounding in K's entries, and in the factor's
        slack = (rows + width + X.shape[1] + 4) * eps * jnp.trace(K)
        values, U, residuals = settle(K, reference.factor, U, slack)
        error = jnp.linalg.norm(residuals[:, 0])
        due = (reference.age >= refresh) | ~(error <= jnp.maximum(slack, rtol * values[0]))

        def keep() -> tuple:
            distance = jacobian_distance(features - reference.features, XX)
            lower = jnp.maximum(reference.lower - distance, 0.0)
            aged = reference._replace(age=reference.age + 1)
            return aged, values, U, residuals, lower, jnp.zeros((), int)

        def decompose() -> tuple:
            least, vectors = jnp.linalg.eigh(K)
            U = vectors[:, :block]
            factor, lower, _ = factor_below(K, least[0], slack)
            floor = jnp.sqrt(jnp.maximum(least[0] - slack, 0.0))
            return factor, jnp.maximum(lower, floor), U, jnp.ones((), int)

        def renew() -> tuple:
            factor, lower, exists = factor_below(K, values[0], slack)
            exists &= reference.age < FIRST
            factor, lower, start, counted = jax.lax.cond(
                exists, lambda: (factor, lower, U, jnp.zeros((), int)), decompose
            )
            new = _Reference(features, factor, lower, jnp.ones((), int))
            return new, *settle(K, factor, start, slack), lower, counted

        reference, values, U, residuals, lower, counted = jax.lax.cond(due, renew, keep)
        u = U[:, 0]
        found = jnp.linalg.norm(pull_back(D, v, u.reshape(len(X), *v.shape[1:])).T @ X)
        rho = jnp.linalg.norm(residuals[:, 0])
        error = jnp.minimum(jnp.sqrt(rho), rho / jnp.maximum(found, tiny))
        return (reference, U), (found, jnp.minimum(lower, found), error, u, due, counted)

    first = _Reference(
        jnp.zeros((rows, width), X.dtype), eye, jnp.zeros((), X.dtype), jnp.full((), FIRST)
    )
    out = jax.lax.scan(advance, (first, eye[:, :block]), (W, v))[1]
    found, lower, error, vector, due, counted = out
    return SigmaPath(found, lower, error, vector, due, jnp.sum(due), jnp.sum(counted))
