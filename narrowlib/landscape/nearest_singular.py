r"""The nearest weights found at which J loses rank: an upper bound of the nice region's radius.

J(W + Δ) loses rank exactly where some c of length 1 makes $J(W + \Delta)^\top c = 0$, so ρ\* is the
least ‖Δ‖ under that constraint. SciPy's SLSQP looks for it from several starts, Newton steps then
take its answer onto the constraint. Everything is dense: this is for small networks. The chapter's
c is `left` in the answer, and `u` in the code, where `c` holds the values of the constraint.
"""

from __future__ import annotations

import functools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import check_int, check_key, fail
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, second_derivative
from narrowlib.network.model import Params
from narrowlib.network.theory import check_theory

SINGULAR = 1e-10  # a point counts if σ_min of J is below, rows scaled to about length 1
STEPS = 60  # of SLSQP
NEWTON = 6


class NearestSingular(NamedTuple):
    """The nearest point found at which J loses rank.

    Args:
        radius: ‖Δ‖, an upper bound of ρ* up to rounding; `inf` where none was found.
        delta: Δ, shape (m, d); zero where none was found.
        left: c, shape (n,) or (n, K), of length 1: J(W + Δ)ᵀc = 0 up to rounding.
        sigma_min: the least singular value of J at W + Δ.
        found: the radius that each start ended with, `inf` for none, shape (starts,).
    """

    radius: Array
    delta: Array
    left: Array
    sigma_min: Array
    found: Array


@runs("host")
def nearest_singular(
    params: Params,
    X: Float[ArrayLike, "n d"],
    *,
    key: Key[Array, ""],
    starts: int = 24,
    activation: str | Activation = "tanh",
) -> NearestSingular:
    r"""Look for the least displacement Δ of the hidden weights at which J loses rank.

    $$\min_{\Delta,\ \|c\| = 1} \|\Delta\|_F \quad\text{such that}\quad
      J(W + \Delta, v)^\top c = 0$$

    The sizes of the v_j do not matter, and neurons that are equal, or a mirrored pair, move alike
    where Δ is least: they count as one. The first start is Δ = 0 with c the last left singular
    vector; the others are displaced, let two neurons meet, begin near the best point so far, or
    take a random c that prefers small singular values.

    The problem has many local minima, and nothing says that what is found is the nearest. A point
    counts if σ_min(J), rows scaled to a length of about 1, is below 10⁻¹⁰. So the radius is an
    upper bound of ρ\* up to rounding, and no proof: far away, where neurons saturate, J may be
    singular to rounding only. An SLSQP step takes about (m d)³ operations.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K); neurons with a zero row in v stay where
            they are.
        X: samples, shape (n, d).
        key: a JAX random key.
        starts: how many.
        activation: a name of `activations()` or an `Activation` that is smooth.

    Returns:
        A `NearestSingular`; its radius is 0 where J lacks rank already.

    Raises:
        ValueError: in float32, under `jit`, for an activation with a kink, if `starts` is not
            positive, or if shapes do not match.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     params = nl.mirrored_lecun(jax.random.key(0), d=5, m=12)
        ...     X = jax.random.normal(jax.random.key(1), (20, 5))
        ...     near = nl.nearest_singular(params, X, key=jax.random.key(2))
        ...     print(f"{near.radius:.3f}")
        0.483

    References:
        Chapter "The nice region".
    """
    params, X, sigma = check_theory(params, X, activation=activation)
    key = check_key("key", key)
    if not sigma.smooth:
        fail("activation", repr(sigma.name), "σ′ has to be differentiable: choose a smooth one.")
    starts = check_int("starts", starts, 1)
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))).tolist())
    # equal neurons count once; signs and sizes in v, and inputs that no sample has, play no part
    W, A = np.asarray(params.W), np.asarray(X)
    v = np.asarray(params.v).reshape(len(W), -1)
    largest = np.take_along_axis(v, abs(v).argmax(axis=1)[:, None], axis=1)
    loud = v.any(axis=1)
    V = v[loud] / (np.sign(largest[loud]) * np.linalg.norm(v[loud], axis=1, keepdims=True))
    rows, of, counts = np.unique(
        np.hstack([W[loud], V]), axis=0, return_inverse=True, return_counts=True
    )
    _, sizes, Q = np.linalg.svd(A, full_matrices=False)
    Q = Q[sizes > sizes[0] * max(A.shape) * np.finfo(float).eps]
    net = _Net(rows[:, : W.shape[1]] @ Q.T, rows[:, W.shape[1] :], A @ Q.T, counts, sigma)
    small, u, found = _search(net, starts, rng)
    delta = np.zeros_like(W)
    delta[loud] = (small @ Q)[of.ravel()]
    J = _Net(W, v, A, counts, sigma).jacobian(delta)[0]
    least = np.linalg.svd(J, compute_uv=False)[-1] if J.shape[0] <= J.shape[1] else 0.0
    left = u.reshape(len(A), *params.v.shape[1:])
    return NearestSingular(*map(jnp.asarray, (found.min(), delta, left, least, found)))


class _Net(NamedTuple):
    """The different neurons, how often each occurs, and the samples in coordinates of their own."""

    W: np.ndarray
    V: np.ndarray
    X: np.ndarray
    counts: np.ndarray
    sigma: Activation

    def slopes(self, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """σ′ and σ″ at all pre-activations, (n, neurons) each."""
        Z = self.X @ (self.W + delta).T
        padded = np.zeros(max(256, 1 << (Z.size - 1).bit_length()))  # few sizes are compiled
        padded[: Z.size] = Z.ravel()
        both = np.asarray(_slopes(padded, self.sigma))[:, : Z.size]
        return both[0].reshape(Z.shape), both[1].reshape(Z.shape)

    def constraint(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Jᵀu and (‖u‖² - 1)/2 at z = (Δ, u), and their derivative in z."""
        size, d = self.W.size, self.W.shape[1]
        u = z[size:].reshape(len(self.X), -1)
        D, bend = self.slopes(z[:size].reshape(self.W.shape))
        pulled = u @ self.V.T
        c = np.append((D * pulled).T @ self.X, (np.sum(u**2) - 1) / 2)
        A = np.zeros((c.size, z.size))
        for j, weights in enumerate((bend * pulled).T):
            A[j * d : (j + 1) * d, j * d : (j + 1) * d] = (self.X.T * weights) @ self.X
        A[:-1, size:] = np.einsum("ij,jk,ia->jaik", D, self.V, self.X).reshape(size, -1)
        A[-1, size:] = u.ravel()
        return c, A

    def jacobian(self, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """J, and a size of each row that fades where all neurons saturate, not where σ′ = 0."""
        D, bend = self.slopes(delta)
        J = np.einsum("ij,jk,ia->ikja", D, self.V, self.X)
        sizes = np.sqrt((D**2 + bend**2) @ self.V**2) * np.linalg.norm(self.X, axis=1)[:, None]
        sizes = np.where(sizes > 0, sizes, 1.0).reshape(-1, 1)
        return J.reshape(len(sizes), self.W.size), sizes

    def decompose(self, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Left singular vectors of J, as it is, and singular values of J with its rows scaled."""
        J, sizes = self.jacobian(delta)
        U, values, _ = np.linalg.svd(J / sizes)
        return U / sizes, np.append(values, np.zeros(len(sizes) - len(values)))


def _search(
    net: _Net, starts: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best Δ and u of all starts, and the radius that each ended with."""
    none, found = np.zeros_like(net.W), np.full(starts, np.inf)
    U, small = net.decompose(none)
    best = none, U[:, -1] / np.linalg.norm(U[:, -1])
    if small[-1] <= SINGULAR:
        return *best, np.zeros(starts)
    pairs = sorted(
        (np.linalg.norm(net.W[j] - sign * net.W[k]), j, k, sign)
        for j in range(len(net.W)) for k in range(j) for sign in (1, -1)
    )  # fmt: skip
    reach = 2 * np.sqrt(len(net.W)) / np.linalg.norm(net.X, axis=1).max()

    def start(k: int) -> tuple[np.ndarray, np.ndarray]:
        delta, u = none.copy(), rng.normal(size=len(small))
        turn, kind = divmod(k, 4)
        if k == 0:
            return best
        if kind == 3 and np.isfinite(found).any():
            return best[0], best[1] + 0.5 ** (turn % 4) * u / np.sqrt(len(u))
        if kind in (0, 3):
            return none, U @ (u / small)
        if kind == 2 and pairs:
            _, i, j, sign = pairs[turn % len(pairs)]
            delta[i] = (sign * net.W[j] - net.W[i]) / 2
            delta[j] = -sign * delta[i]
        else:
            delta = rng.normal(size=none.shape)
            delta *= reach * 0.5 ** (turn % 4) / np.linalg.norm(delta)
        return delta, net.decompose(delta)[0][:, -1]

    for k in range(starts):
        first = start(k)
        for landed in (False, True):  # where SLSQP fails, once more from a point that is singular
            delta = _descend(net, *first, landed)
            if not np.isfinite(delta).all():
                continue
            ends, values = net.decompose(delta)
            if values[-1] <= SINGULAR:
                found[k] = np.sqrt(net.counts @ (delta**2).sum(axis=1))
                if found[k] <= found.min():
                    best = delta, ends[:, -1] / np.linalg.norm(ends[:, -1])
                break
    return *best, found


def _descend(net: _Net, delta: np.ndarray, u: np.ndarray, landed: bool) -> np.ndarray:
    """SLSQP from one start, then Newton's shortest steps onto the constraint; or those first."""
    from scipy.optimize import minimize

    counts = net.counts / net.counts.mean()
    weights = np.append(np.repeat(counts, net.W.shape[1]), np.zeros(u.size))

    @functools.lru_cache(maxsize=1)  # SLSQP asks for value and derivative one after the other
    def evaluated(z: bytes) -> tuple[np.ndarray, np.ndarray]:
        return net.constraint(np.frombuffer(z))

    def land(z: np.ndarray) -> np.ndarray:
        for _ in range(NEWTON):
            c, A = net.constraint(z)
            if np.isfinite(A).all():
                z = z - np.linalg.lstsq(A, c, rcond=1e-12)[0]
        return z

    z = np.append(delta, u / np.linalg.norm(u))
    z = land(z) if landed else z
    z = minimize(
        lambda z: (weights @ z**2 / 2, weights * z), z,
        jac=True, method="SLSQP", options={"maxiter": STEPS, "ftol": 1e-12},
        constraints={
            "type": "eq", "fun": lambda z: evaluated(z.tobytes())[0],
            "jac": lambda z: evaluated(z.tobytes())[1],
        },
    ).x  # fmt: skip
    return land(z)[: net.W.size].reshape(net.W.shape)


@partial(jax.jit, static_argnames="sigma")
def _slopes(Z: Array, sigma: Activation) -> Array:
    return jnp.stack([sigma.derivative(Z), second_derivative(sigma, Z)])
