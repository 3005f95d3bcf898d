r"""The nearest weights at which J loses rank: an upper bound of the nice region's radius.

J(W + Δ) loses rank exactly where some u ≠ 0 solves the m d equations

$$c(\Delta, u) = J(W + \Delta)^\top u = 0,$$

so the nearest such point is the least ‖Δ‖ under that constraint. It is looked for by a quadratic
penalty, $\frac12\|\Delta\|^2 + \frac\beta2\|c\|^2$ with β growing, one damped Gauss–Newton step a
time; Newton steps then take the point onto the constraint, to rounding. Multiplying a row of J by
a number changes no rank, so all rows are kept at length 1 on the way. Everything is dense, of size
m d × (m d + n): this is for small networks.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import check_int, fail
from narrowlib.activations import Activation
from narrowlib.jacobian import jacobian
from narrowlib.model import Params
from narrowlib.nice_region import (
    columns,
    normal,
    output_sizes,
    region_problem,
    second_derivative,
    unit_outputs,
)

STEPS = 100  # of the penalty method, for each start
LANDING = 6  # Newton steps onto the constraint: three reach rounding from where the penalty ends
GROWTH = 1.5  # β grows by this factor with every step that is accepted
HEAVY = 100.0  # where a start is displaced, β starts so many times heavier: it is to stay
FIRST, PENALTY, LAST = range(3)  # the phases
NOISE = 1.0  # how far, at most, later rounds move u away from the best one so far


class NearestSingular(NamedTuple):
    """The nearest point found at which J loses rank, as a pytree.

    Args:
        radius: ‖Δ‖; ρ* is at most `radius + error`. `inf` where no singular point was found.
        delta: Δ, shape (m, d); zero where none was found.
        left: u, shape (n,) or (n, K), of length 1: J(W + Δ)ᵀu = 0 up to rounding.
        sigma_min: the least singular value of J at W + Δ, output weights scaled to rows of length
            1, from a decomposition of J itself.
        threshold: what rounding alone can leave of it: max(n, m d) ε times the largest singular
            value, of J at W or at W + Δ.
        error: an exact singular point lies within this distance of W + Δ; `inf` where that is not
            proved.
        found: the radius that each start of the first round ended with, `inf` for none.
    """

    radius: Array
    delta: Array
    left: Array
    sigma_min: Array
    threshold: Array
    error: Array
    found: Array


class _Point(NamedTuple):
    delta: Array
    u: Array  # (n, K), even where K = 1


class _End(NamedTuple):  # what a start ended with; the names are those of NearestSingular
    point: _Point
    radius: Array
    error: Array
    sigma_min: Array
    threshold: Array


def nearest_singular(
    params: Params,
    X: Float[ArrayLike, "n d"],
    *,
    key: Key[Array, ""],
    starts: int = 16,
    rounds: int = 4,
    activation: str | Activation = "tanh",
    allow_float32: bool = False,
) -> NearestSingular:
    r"""Look for the least displacement Δ of the hidden weights at which J loses rank.

    $$\min_{\Delta,\ \|u\| = 1} \|\Delta\|_F \quad\text{such that}\quad
      J(W + \Delta, v)^\top u = 0$$

    A point counts if σ_min(J) there is at most `threshold`, what rounding can leave. It is
    *proved* if an exact singular point lies nearby: with a the least singular value of the
    derivative of $c = J^\top u$ in (Δ, u), and Λ a Lipschitz constant of that derivative, it is
    enough that $h = \Lambda\|c\|/a^2 < \frac12$, and the distance is at most 2‖c‖/a. The test tells
    a loss of rank from neurons that saturate far away, where J is singular to rounding only. It
    needs the activation's `jerk`, and a point that is no degenerate solution. The nearest proved
    point is returned; where none is proved, the nearest that counts, with `error` infinite. A
    start that is singular to rounding has radius 0.

    The first start takes Δ = 0 and u the last left singular vector of J, the others a random u
    with the small singular values preferred; every fourth is displaced too, which helps where
    neurons saturate. Later rounds start near the best u so far. The
    problem has many local minima: nothing says that what is found is the nearest. It works under
    `jit`, and under `vmap` over weights and data.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K); neurons with a zero row in v are left
            where they are.
        X: samples, shape (n, d).
        key: a JAX random key.
        starts: how many u in each round.
        rounds: how many rounds.
        activation: a name of `activations()` or an `Activation` that is smooth.
        allow_float32: answer in single precision too.

    Returns:
        A `NearestSingular`.

    Raises:
        ValueError: in float32 unless allowed, for an activation with a kink, if a number is not
            positive, or if shapes do not match.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     params = nl.mirrored_lecun(jax.random.key(0), d=5, m=12)
        ...     X = jax.random.normal(jax.random.key(1), (20, 5))
        ...     near = nl.nearest_singular(params, X, key=jax.random.key(2))
        ...     print(f"{near.radius:.3f}", bool(near.error < 1e-10))
        0.483 True

    References:
        The test is the Newton–Kantorovich lemma of "From full rank to zero loss"; chapter "The
        nice region".
    """
    params, X, sigma = region_problem(params, X, activation, allow_float32)
    if not sigma.smooth:
        fail("activation", repr(sigma.name), "σ′ has to be differentiable: choose a smooth one.")
    starts, rounds = check_int("starts", starts, 1), check_int("rounds", rounds, 1)
    each = params.W.size + X.shape[0] * columns(params.v).shape[1]
    draws = normal(key, (rounds, starts, each), X.dtype)
    return _search(params, X, draws, sigma)


@partial(jax.jit, static_argnames="sigma")
def _search(params: Params, X: Array, draws: Array, sigma: Activation) -> NearestSingular:
    W, v = params.W, unit_outputs(params.v)
    net = _Net(W, columns(v), output_sizes(v) == 0, X, sigma)
    rows = (X.shape[0], net.v.shape[1])
    here = _Point(jnp.zeros_like(W), jnp.ones(rows, X.dtype))

    def spectrum(delta: Array) -> tuple[Array, Array]:
        J = jacobian(Params(W + delta, v), X, activation=sigma)
        values = jnp.linalg.svd(J, compute_uv=False)
        return (values[-1] if len(values) == len(J) else 0 * values[0]), values[0]

    least, largest = spectrum(here.delta)
    noise = jnp.asarray(max(here.u.size, W.size) * jnp.finfo(X.dtype).eps, X.dtype)
    _, _, B = net.constraint(here, net.row_sizes(here.delta))
    left, values, _ = jnp.linalg.svd(B.T, full_matrices=B.shape[0] < B.shape[1])
    values = jnp.zeros(here.u.size, X.dtype).at[: len(values)].set(values)
    solve = partial(_solve, net, _first_weight(net, left[:, -1].reshape(rows)))

    def end(start: _Point) -> _End:
        point = solve(start)
        sigma_min, sigma_max = spectrum(point.delta)
        threshold = noise * jnp.maximum(sigma_max, largest)
        infinite = jnp.full_like(least, jnp.inf)
        radius = jnp.where(sigma_min <= threshold, jnp.linalg.norm(point.delta), infinite)
        error = jnp.where(jnp.isfinite(radius), _distance_to_exact(net, point), infinite)
        return _End(point, radius, error, sigma_min, threshold)

    # every fourth start is displaced, at its longest so that pre-activations change by about 2
    longest = 2 * math.sqrt(W.shape[0]) / jnp.linalg.norm(X, axis=1).max()
    starts, k = draws.shape[1], jnp.arange(draws.shape[1])
    reaches = jnp.where(k % 4 == 3, longest * 2.0 ** -(k // 4 % 4).astype(X.dtype), 0)

    def search_round(best: _End, draws: Array) -> tuple[_End, Array]:
        fresh, moved = draws[:, : here.u.size], draws[:, here.u.size :]
        preferred = (fresh / jnp.maximum(values, noise * values[0])[None]) @ left.T
        size = NOISE * 2.0 ** -(k % 4).astype(X.dtype) / math.sqrt(here.u.size)
        near = best.point.u.reshape(1, -1) + size[:, None] * fresh
        us = jnp.where(jnp.isfinite(best.radius), near, preferred.at[0].set(left[:, -1]))
        moved = (reaches / jnp.linalg.norm(moved, axis=1))[:, None] * moved
        points = _Point(moved.reshape(starts, *W.shape), us.reshape(starts, *rows))
        ends = jax.vmap(end)(points)
        both = jax.tree.map(lambda a, b: jnp.append(a, b[None], axis=0), ends, best)
        proved = jnp.where(jnp.isfinite(both.error), both.radius, jnp.inf)
        radius = jnp.where(jnp.isfinite(proved).any(), proved, both.radius)
        return jax.tree.map(lambda a: a[jnp.argmin(radius)], both), ends.radius

    none = jnp.full_like(least, jnp.inf)
    start = _End(here._replace(u=left[:, -1].reshape(rows)), none, none, least, noise * largest)
    best, found = jax.lax.scan(search_round, start, draws)
    singular = least <= noise * largest
    best = jax.tree.map(partial(jnp.where, singular), start._replace(radius=0 * least), best)
    u = best.point.u / net.row_sizes(best.point.delta)[:, None]
    return NearestSingular(
        best.radius, best.point.delta, (u / jnp.linalg.norm(u)).reshape(rows[0], *v.shape[1:]),
        best.sigma_min, best.threshold, best.error, jnp.where(singular, 0, found[0]),
    )  # fmt: skip


class _Net(NamedTuple):
    """The network around which a point is looked for, output weights in rows of length 1."""

    W: Array
    v: Array  # (m, K)
    silent: Array
    X: Array
    sigma: Activation

    def row_sizes(self, delta: Array) -> Array:
        """The length of each sample's rows of J; 1 where it is zero."""
        D = self.sigma.derivative(self.X @ (self.W + delta).T)
        squares = jnp.where(self.silent[None], 0, D**2).sum(axis=1) * (self.X**2).sum(axis=1)
        return jnp.where(squares > 0, jnp.sqrt(squares), jnp.ones_like(squares))

    def constraint(self, point: _Point, scale: Array) -> tuple[Array, Array, Array]:
        """The constraint c (m d,), its derivative in Δ by blocks (m, d, d), and in u (m d, n K).

        Rows of J are divided by `scale`: a sample at which all neurons saturate would else look
        like a loss of rank. A silent neuron takes no part in J: its equations are Δ_j = 0.
        """
        Z = self.X @ (self.W + point.delta).T
        D = self.sigma.derivative(Z) / scale[:, None]
        bend = second_derivative(self.sigma, Z) / scale[:, None]
        pulled = point.u @ self.v.T  # (n, m): what u asks of each neuron
        c = jnp.where(self.silent[:, None], point.delta, (D * pulled).T @ self.X)
        H = jnp.einsum("ij,ia,ib->jab", bend * pulled, self.X, self.X)
        H = jnp.where(self.silent[:, None, None], jnp.eye(self.X.shape[1], dtype=c.dtype), H)
        B = jnp.einsum("ij,jk,ia->jaik", D, self.v, self.X)
        return c.reshape(-1), H, B.reshape(c.size, point.u.size)


def _first_weight(net: _Net, u: Array) -> Array:
    """The first β: a step to the first-order estimate s / ‖∇σ_min‖ pays for itself."""
    point = _Point(jnp.zeros_like(net.W), u)
    c, H, B = net.constraint(point, net.row_sizes(point.delta))
    fall = jnp.einsum("jab,jb->ja", H, c.reshape(net.W.shape))
    slope = jnp.linalg.norm(jnp.where(net.silent[:, None], 0, fall)) / jnp.linalg.norm(c)
    # σ_min may not fall at first order at all
    return jnp.fmax(slope, 1e-3 * jnp.linalg.norm(B)) ** -2


def _tangent(B: Array, u: Array) -> Array:
    """The derivative in u along the sphere of unit u only."""
    u = u.reshape(-1)
    return B - jnp.outer(B @ u, u)


def _solve(net: _Net, weight: Array, point: _Point) -> _Point:
    """The penalty method from a point, then Newton steps onto c = 0.

    Where the start is displaced, Newton steps come first too: u alone does not fit the new W.
    """
    eps = jnp.finfo(weight.dtype).eps  # in float64 β grows up to 1e10 times, prices fall to 1e-6
    last, lowest = float(eps**-0.64), float(eps**0.375)

    def unit(point: _Point) -> _Point:
        return point._replace(u=point.u / jnp.linalg.norm(point.u))

    def move(point: _Point, scale: Array, price: Array, pull: Array, ridge: Array) -> _Point:
        """The least (pull/2)‖Δ + δ‖² + (price/2)‖(δ, δu)‖² with c + c′(δ, δu) + ridge·μ = 0."""
        c, H, B = net.constraint(point, scale)
        B, m, d = _tangent(B, point.u), *point.delta.shape
        squares = jnp.einsum("jab,jbc->jac", H, H) / (pull + price)
        S = B @ B.T / price + _block_diagonal(squares)
        ridge = ridge + m * d * eps * jnp.trace(S)
        back = pull / (pull + price) * point.delta
        rhs = c - jnp.einsum("jab,jb->ja", H, back).reshape(-1)
        mu = jax.scipy.linalg.solve(S.at[jnp.diag_indices(m * d)].add(ridge), rhs, assume_a="pos")
        step = jnp.einsum("jab,jb->ja", H, mu.reshape(m, d)) / (pull + price)
        u = point.u - (mu @ B).reshape(point.u.shape) / price
        return unit(_Point(point.delta - back - step, u))

    def step(carry: tuple, phase: Array) -> tuple[tuple, None]:
        point, scale, beta, price = carry

        def cost(point: _Point) -> Array:
            return jnp.sum(point.delta**2) + beta * jnp.sum(net.constraint(point, scale)[0] ** 2)

        penalty = phase == PENALTY  # else a Newton step: no pull to Δ = 0, no price, no ridge
        pull, ridge = jnp.where(penalty, 1, zero), jnp.where(penalty, 1 / beta, zero)
        trial = move(point, scale, jnp.where(penalty, price, one), pull, ridge)
        keep = jnp.where(penalty, cost(trial) < cost(point), (phase == LAST) | displaced)
        keep &= jnp.isfinite(jnp.sum(trial.delta))
        damped = jnp.clip(jnp.where(keep, price / 3, 4 * price), lowest, 1e6)
        heavier = jnp.minimum(jnp.where(keep, GROWTH * beta, beta), last * weight)
        price, beta = jnp.where(penalty, damped, price), jnp.where(penalty, heavier, beta)
        point = jax.tree.map(partial(jnp.where, keep), trial, point)
        new = net.row_sizes(point.delta)  # of J at the new point; u moves against the rows' change
        point = unit(point._replace(u=point.u * (new / scale)[:, None]))
        return (point, new, beta, price), None

    one, zero = jnp.ones_like(weight), jnp.zeros_like(weight)
    displaced = jnp.any(point.delta != 0)
    first = jnp.where(displaced, HEAVY * weight, weight)
    phases = jnp.array([FIRST] * LANDING + [PENALTY] * STEPS + [LAST] * LANDING)
    start = (unit(point), net.row_sizes(point.delta), first, one)
    return jax.lax.scan(step, start, phases)[0][0]


def _block_diagonal(blocks: Float[Array, "m d d"]) -> Float[Array, "md md"]:
    m, d, _ = blocks.shape
    spread = blocks[:, :, None, :] * jnp.eye(m, dtype=blocks.dtype)[:, None, :, None]
    return spread.reshape(m * d, m * d)


def _distance_to_exact(net: _Net, point: _Point) -> Array:
    """2‖c‖/a, where an exact zero of c is proved to lie within that; else infinity."""
    X, sigma, scale = net.X, net.sigma, net.row_sizes(point.delta)
    c, H, B = net.constraint(point, scale)
    A = jnp.concatenate([_block_diagonal(H), _tangent(B, point.u)], axis=1)
    # directions of W that no sample sees take no part; a silent neuron has all its equations
    equations = jnp.where(net.silent, X.shape[1], jnp.linalg.matrix_rank(X)).sum()
    a = jnp.linalg.svd(A, compute_uv=False)[jnp.maximum(equations - 1, 0)]
    M = jnp.sqrt(jnp.linalg.eigvalsh((X @ X.T) ** 2 / jnp.outer(scale, scale))[-1])
    Lambda = M * (sigma.curvature + sigma.jerk * jnp.linalg.norm(X, axis=1).max())
    # rounding in c, generously
    size = jnp.linalg.norm(c) + 10 * jnp.finfo(c.dtype).eps * jnp.linalg.norm(B)
    return jnp.where(2 * Lambda * size < a**2, 2 * size / a, jnp.full_like(a, jnp.inf))
