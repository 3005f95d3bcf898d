r"""Newton's method in a trust region: small networks, to a stationary point of second order.

A step solves the model problem exactly,

$$\min_{\|s\| \le \varrho}\ \langle g, s\rangle + \tfrac12 \langle s, H s\rangle, \qquad
  s = -(H + \lambda I)^{-1} g, \quad \lambda \ge \max(0, -\lambda_1),$$

with $g$ and $H$ the gradient and the Hessian of the loss in W and v, and $\lambda_1$ the least
eigenvalue. In the eigenvectors of H the length of s is a sum of fractions in λ, and
$\|s(\lambda)\| = \varrho$ is solved by Newton's method on $1/\|s\|$. In the hard case, where g has
no part along the lowest eigenvectors, one of them fills what is left of the radius ϱ.

So the method leaves saddles, along negative curvature where the gradient is zero, and close to a
minimum with an invertible Hessian the number of right digits doubles with each step.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_int, check_number
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.hessian import dense_hessian
from narrowlib.network.model import Params, check_finite_problem, check_problem, half_mean_square
from narrowlib.solvers.newton import NEAR_FLOOR, rounding_floor
from narrowlib.solvers.result import RESULTS, Solution, finish, hold_last

FIRST_RADIUS = 0.1  # ϱ at the start, in units of the length of all weights
SECULAR_STEPS = 60  # at most; the least radius solved for is reached in fewer than ten
ROUNDED = 1000.0  # in units of the machine's precision: what of the radius may stay unfilled
SHRINKINGS = 40  # of the radius, by four, before a step is given up


def trust_region_newton(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    max_steps: int = 200,
    tol: float = 1e-12,
    throw: bool = True,
) -> Solution:
    r"""Go downhill to a stationary point of second order of the loss, over W and v.

    $$\nabla \ell(W, v) = 0, \qquad \nabla^2 \ell(W, v) \succeq 0$$

    For small networks: a step costs one dense Hessian and its eigenvectors, about $10 p^3$
    operations for $p = m (d + K)$ weights, so keep p below a few hundred. Take
    `levenberg_marquardt` to reach zero loss, which is cheaper and better at it. Take this to
    come to rest at a local minimum whose loss is positive, where Levenberg–Marquardt creeps, and
    give the end to `stationary_point`. The function works under `jit`, and under `vmap` over
    starts and over data.

    Gradients are measured in units of $\|J\|_F \|y\| / n$ at the same point, with J the Jacobian
    in W and v (and with 1 for ‖y‖ where y = 0). In these units rounding leaves about
    $10^{-15}$ of them, more where the weights are large.

    Args:
        params: the start, `W` (m, d) and `v` (m,) or (m, K), such as `lecun(key, d=…, m=…)`, or
            the end of another solver.
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`, twice differentiable.
        max_steps: the most steps to take; a step that is rejected is shortened, and counts once.
        tol: stop once the gradient is at most this, in the units above.
        throw: raise `SolverError` where no stationary point was reached. Pass False under jit
            and vmap.

    Returns:
        A `Solution`. `stats` hold `loss`, `gradient` (‖∇ℓ‖ in the units above), `floor` (what
        rounding alone leaves of it), `least_eigenvalue` (of the Hessian), `num_steps`, and
        `history` with `loss`, `gradient` and `radius` a step; `state` is the start. `result` is
        `converged` (the gradient fell to `tol`, and no eigenvalue is below $-\sqrt{\epsilon}$
        times the largest, ϵ the machine's precision; the loss may be positive), `rounding` (the
        gradient is as small as rounding lets it be, but above `tol`), `step_too_small` or
        `max_steps`. Inside jit or vmap histories keep the length `max_steps` and repeat their
        last entry once the run has stopped.

    Raises:
        ValueError: if shapes or precisions do not match, or an entry is not finite.
        SolverError: with `throw`, if the run did not converge; it carries the solution.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     data = nl.gaussian(jax.random.key(0), n=20, d=4)
        ...     start = nl.lecun(jax.random.key(1), d=4, m=2)  # 10 weights, too few for 20 samples
        ...     sol = nl.trust_region_newton(start, data.X, data.y, activation="gelu")
        ...     sol.result.name, bool(sol.stats["loss"] > 0.1), bool(sol.stats["gradient"] < 1e-12)
        ('converged', True, True)

    References:
        Moré, Sorensen (1983), "Computing a trust region step". Chapter "What can go wrong in a
        narrow net".
    """
    sigma = get_activation(activation)
    params, X, y = check_problem(params, X, y)
    check_finite_problem(params, X, y)
    check_int("max_steps", max_steps, 1)
    check_number("tol", tol, above=0)
    goal = jnp.asarray(tol, X.dtype)
    end, code, stats = _run(params, X, y, sigma, goal, int(max_steps))
    return finish(Solution(end, code, stats, params), throw)


def trust_region_step(
    c: Float[Array, " p"], eigenvalues: Float[Array, " p"], radius: Float[Array, ""]
) -> tuple[Float[Array, " p"], Float[Array, ""]]:
    """The model problem's solution in the Hessian's eigenvectors, and the decrease it promises.

    `c` is the gradient there, and the eigenvalues ascend. The unknown is μ = λ + λ₁, counted
    from the lowest eigenvalue, or μ = λ₁ at least where that is positive: so nothing cancels.
    """
    gaps = eigenvalues - eigenvalues[0]
    convex = eigenvalues[0] > 0
    lowest = jnp.maximum(eigenvalues[0], 0.0)

    def parts(mu: Array) -> tuple[Array, Array]:
        pole = jnp.where(c == 0, 1.0, gaps + mu)  # no part, no pole: the hard case
        return -c / pole, pole

    def advance(carry: tuple) -> tuple:
        i, mu, _ = carry
        s, pole = parts(mu)
        size = jnp.linalg.norm(s)
        # Newton on 1/‖s‖, which is concave: from below it never oversteps
        move = (size / radius - 1) * size**2 / jnp.sum(s**2 / pole)
        return i + 1, jnp.where(move > 0, mu + move, mu), move

    def unfinished(carry: tuple) -> Array:
        i, mu, move = carry
        return (i < SECULAR_STEPS) & (move > 4 * jnp.finfo(c.dtype).eps * mu)

    inside = convex & (jnp.linalg.norm(parts(lowest)[0]) <= radius)
    below = jnp.maximum(jnp.max(jnp.abs(c) / radius - gaps), lowest)  # no part exceeds the radius
    first = jnp.where(inside, 0.0, jnp.inf).astype(c.dtype)
    mu = jax.lax.while_loop(unfinished, advance, (jnp.zeros((), int), below, first))[1]
    s = parts(jnp.where(inside, lowest, mu))[0]
    missing = radius**2 - jnp.sum(s**2)
    missing = jnp.where(missing > ROUNDED * jnp.finfo(c.dtype).eps * radius**2, missing, 0.0)
    fill = missing / (jnp.abs(s[0]) + jnp.sqrt(s[0] ** 2 + missing) + jnp.finfo(c.dtype).tiny)
    s = jnp.where(convex, s, s.at[0].add(jnp.where(s[0] < 0, -fill, fill)))
    return s, -jnp.sum(s * (c + eigenvalues * s / 2))


class _Point(NamedTuple):
    """Where a run stands: the weights, the loss there, and what a step needs."""

    params: Params
    loss: Array
    gradient: Array  # flat
    eigenvalues: Array
    vectors: Array
    scale: Array  # the unit of gradients


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def _run(
    start: Params, X: Array, y: Array, sigma: Activation, tol: Array, max_steps: int
) -> tuple[Params, Array, dict[str, Any]]:
    running, converged, stuck, rounded = (
        jnp.asarray(result.code)
        for result in (
            RESULTS.max_steps, RESULTS.converged, RESULTS.step_too_small, RESULTS.rounding,
        )
    )  # fmt: skip
    n, dtype = X.shape[0], X.dtype
    eps = jnp.finfo(dtype).eps
    length, unravel = ravel_pytree(start)
    length = jnp.linalg.norm(length)
    targets = jnp.where(jnp.any(y != 0), jnp.linalg.norm(y), 1.0).astype(dtype)

    def loss(params: Params) -> Array:
        return half_mean_square(sigma.fn(X @ params.W.T) @ params.v - y)

    def gradient(params: Params) -> Array:
        return ravel_pytree(jax.grad(loss)(params))[0]

    def jacobian_size(params: Params) -> Array:
        Z = X @ params.W.T
        rows = jnp.sum(X**2, axis=1) @ sigma.derivative(Z) ** 2
        of_W = rows @ jnp.sum(params.v.reshape(len(params.v), -1) ** 2, axis=1)
        return jnp.sqrt(of_W + jnp.sum(sigma.fn(Z) ** 2) * (y.size / n))

    def look(params: Params) -> _Point:
        values, vectors = jnp.linalg.eigh(dense_hessian(params, X, y, sigma))
        unit = jacobian_size(params) * targets / n
        return _Point(params, loss(params), gradient(params), values, vectors, unit)

    def attempt(point: _Point, radius: Array) -> tuple[Params, Array, Array, Array, Array]:
        """A step of at most this length: its end, how far it is, whether to take it."""
        s, promised = trust_region_step(point.gradient @ point.vectors, point.eigenvalues, radius)
        move = unravel(point.vectors @ s)
        trial = Params(point.params.W + move.W, point.params.v + move.v)
        gain = (point.loss - loss(trial)) / promised
        # where the decrease drowns in the loss's last digits, the gradient decides
        unseen = promised <= 100 * eps * point.loss
        old, new = jnp.linalg.norm(point.gradient), jnp.linalg.norm(gradient(trial))
        good = jnp.where(unseen, new < old / 2, gain > 1e-4)
        return trial, jnp.linalg.norm(s), jnp.where(unseen, 1.0, gain), good, unseen

    def floor(point: _Point) -> Array:
        """What rounding alone leaves of the gradient, in its units."""
        noise = rounding_floor(point.params, X, sigma) + eps * jnp.linalg.norm(y)
        return n**0.5 * noise / targets

    def advance(carry: tuple) -> tuple:
        i, params, radius, stalled, _, _, history = carry
        point = look(params)
        values, slope = point.eigenvalues, jnp.linalg.norm(point.gradient) / point.scale
        bends = values[0] < -jnp.sqrt(eps) * jnp.max(jnp.abs(values))
        code = jnp.where(slope <= NEAR_FLOOR * floor(point), rounded, stuck)
        code = jnp.where(stalled, code, running)
        code = jnp.where((slope <= tol) & ~bends, converged, code)
        ahead = (code == running) & (i < max_steps)

        def again(tried: tuple) -> Array:
            k, _, (_, _, _, good, unseen) = tried
            return ahead & ~good & ~unseen & (k < SHRINKINGS)

        def shorter(tried: tuple) -> tuple:
            k, size, (_, last, *_) = tried
            size = jnp.where(k == 0, size, jnp.minimum(size, last) / 4)
            return k + 1, size, attempt(point, size)

        no, nil = jnp.zeros((), bool), jnp.zeros((), dtype)
        first = (jnp.zeros((), int), radius, (params, nil, nil, no, no))
        _, radius, (trial, size, gain, good, _) = jax.lax.while_loop(again, shorter, first)
        at_edge = size >= 0.99 * radius
        radius = jnp.where((gain > 0.75) & at_edge, 2 * radius, radius)
        radius = jnp.where(gain < 0.25, size / 4, radius)
        params = jax.tree.map(partial(jnp.where, ahead & good), trial, params)
        before = jnp.where(i > 0, i - 1, max_steps)  # the step that led here, or nowhere
        now = jnp.where(ahead, i, max_steps)
        history = {
            "loss": history["loss"].at[before].set(point.loss, mode="drop"),
            "gradient": history["gradient"].at[before].set(slope, mode="drop"),
            "radius": history["radius"].at[now].set(size, mode="drop"),
        }
        stats = {"loss": point.loss, "gradient": slope, "floor": floor(point)}
        stats["least_eigenvalue"] = values[0]
        return i + ahead.astype(int), params, radius, ahead & ~good, (code, ahead), stats, history

    numbers = ("loss", "gradient", "floor", "least_eigenvalue")
    empty = {name: jnp.zeros(max_steps, dtype) for name in ("loss", "gradient", "radius")}
    steps, params, _, _, (code, _), stats, history = jax.lax.while_loop(
        lambda carry: carry[4][1],
        advance,
        (jnp.zeros((), int), start, FIRST_RADIUS * jnp.where(length > 0, length, 1.0),
         jnp.zeros((), bool), (running, jnp.ones((), bool)),
         {name: jnp.zeros((), dtype) for name in numbers}, empty),
    )  # fmt: skip
    return params, code, stats | {"num_steps": steps, "history": hold_last(history, steps)}
