r"""The expressivity theorem as a function: width about 2n/d, fitting every sample exactly.

From a mirrored start $W_0$ with output weights $\alpha(u; -u)$, minimum-norm Gauss–Newton steps

$$W \leftarrow W - t\, J^\top (J J^\top)^{-1} r$$

are the theorem's continuous Newton path, taken in steps of length t ≤ 1. The larger α, the less
the neurons need to move and the straighter the path; the price is rounding, which grows with α.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from narrowlib._checks import (
    check_double,
    check_even,
    check_finite,
    check_inputs,
    check_int,
    check_number,
    check_targets,
    fail,
)
from narrowlib.activations import Activation, get_activation
from narrowlib.initializers import mirrored_lecun
from narrowlib.jacobian import gram, output_features, pull_back
from narrowlib.model import Params, half_mean_square
from narrowlib.rank import MARGIN, numerical_rank
from narrowlib.result import RESULTS, Solution, finish

FIRST_MOVE = 0.1  # the first full step may move no pre-activation by more than this
WIDEST = 4  # the width search ends at this many times the theorem's width
HALVINGS = 30


def interpolate(
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    key: Key[Array, ""],
    width: int | None = None,
    scale: float | None = None,
    tol: float = 1e-10,
    max_steps: int = 50,
    allow_float32: bool = False,
    throw: bool = True,
) -> Solution:
    r"""Find weights of a narrow network that fit every sample: zero training loss, to rounding.

    Only W moves. The output weights stay at $\alpha(u; -u)$.

    Args:
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`; smooth, or Newton has no reason
            to converge.
        key: a JAX random key for the start.
        width: number of neurons, even. `None` takes the smallest even m ≥ 2 ⌈n/d⌉ (times K) whose
            start has full numerical rank: every width is tried in turn with the same key.
        scale: α. `None` takes the least α for which the first full step moves no pre-activation
            $w_j \cdot x_i$ by more than 0.1, and no less than 1.
        tol: stop once $\|r\| \le$ tol · ‖y‖.
        max_steps: the most Gauss–Newton steps.
        allow_float32: run in single precision too; it stops near ‖r‖ = 1e-5 ‖y‖.
        throw: raise `SolverError` where `tol` was not reached.

    Returns:
        A `Solution`. `stats` hold `loss`, `residual` (‖r‖/‖y‖, or ‖r‖ where y = 0), `num_steps`,
        `width`, `scale`, `distance` (‖W − W₀‖), `largest_move` (of one neuron) and `history`
        (`loss` and `damping` a step); `state` is the start, a `Params`. With `throw=False` a start
        that lacks full rank returns `RESULTS.rank_deficient`.

    Raises:
        ValueError: if shapes do not match, an entry is not finite, the width is odd, two equal
            samples have different targets, or in float32 unless allowed.
        SolverError: with `throw`, if the residual did not reach `tol`; it carries the solution.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     X = jax.random.normal(jax.random.key(0), (60, 12))
        ...     y = jax.random.rademacher(jax.random.key(1), (60,), float)
        ...     sol = nl.interpolate(X, y, key=jax.random.key(2))
        ...     sol.stats["width"], bool(sol.stats["loss"] < 1e-20)  # 10 = 2n/d
        (10, True)

    References:
        The expressivity theorem; chapter "A handful of neurons remembers everything".
    """
    sigma = get_activation(activation)
    X = check_inputs(X)
    check_double("X", X.dtype, allow_float32)
    y = check_targets(y, X)
    check_finite("X", X)
    check_finite("y", y)
    check_int("max_steps", max_steps, 1)
    check_number("tol", tol, above=0)
    kept = _distinct(np.asarray(X), np.asarray(y))
    A, b = X[kept], y[kept]

    def start_of_width(m: int) -> Params:
        outputs = None if y.ndim == 1 else y.shape[1]
        return mirrored_lecun(key, d=X.shape[1], m=m, outputs=outputs, dtype=X.dtype)

    full = True
    if width is None:
        width, full = _smallest_width(start_of_width, A, b.size, sigma, allow_float32)
    unit = start_of_width(check_even("width", width))
    XX = A @ A.T
    if scale is None:
        alpha = _straight_scale(unit, A, b, sigma, XX)
        alpha = jnp.where(jnp.isfinite(alpha), alpha, 1)
    else:
        alpha = jnp.asarray(check_number("scale", scale, above=0), X.dtype)
    start = Params(unit.W, alpha * unit.v)
    W, code, stats = _newton(start, A, b, sigma, XX, jnp.asarray(tol, X.dtype), max_steps)
    if not full:
        W, code = start.W, jnp.asarray(RESULTS.rank_deficient.code)
    params = Params(W, start.v)
    r = sigma.fn(X @ W.T) @ params.v - y
    moves = jnp.linalg.norm(W - start.W, axis=1)
    stats |= {
        "loss": half_mean_square(r),
        "residual": jnp.linalg.norm(r) / jnp.where(jnp.any(y != 0), jnp.linalg.norm(y), 1),
        "width": unit.W.shape[0],
        "scale": alpha,
        "distance": jnp.linalg.norm(moves),
        "largest_move": jnp.max(moves),
    }
    return finish(Solution(params, code, stats, start), throw)


def _distinct(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One index for each different sample. Equal samples cannot have different targets."""
    first: dict[bytes, int] = {}
    for i, row in enumerate(X + 0.0):  # adding 0.0 turns -0.0 into 0.0
        j = first.setdefault(row.tobytes(), i)
        if not np.array_equal(y[i], y[j]):
            fail(
                "y",
                f"{y[j]} at sample {j} and {y[i]} at sample {i}, whose rows of X are equal",
                "No function fits both: drop one, or give them one target.",
            )
    return np.fromiter(first.values(), int)


def _smallest_width(
    start_of_width: Callable[[int], Params],
    X: Array,
    rows: int,
    sigma: Activation,
    allow_float32: bool,
) -> tuple[int, bool]:
    """The smallest even width, from the theorem's on, whose start has full numerical rank."""
    least = 2 * max(1, -(-rows // X.shape[1]))
    for m in range(least, WIDEST * least + 1, 2):
        start = start_of_width(m)
        K = np.asarray(gram(start, X, activation=sigma))
        try:
            pivots = np.diag(np.linalg.cholesky(K)) ** 2
        except np.linalg.LinAlgError:
            continue
        # the smallest eigenvalue is below every pivot, the largest above the diagonal:
        # a small pivot rules full rank out at a fraction of the cost of the eigenvalues
        if pivots.min() <= MARGIN**2 * rows * np.finfo(K.dtype).eps * np.diag(K).max():
            continue
        rank = numerical_rank(start, X, activation=sigma, allow_float32=allow_float32)
        if rank.verdict == "full":
            return m, True
    return WIDEST * least, False


def _newton_step(
    params: Params, X: Array, r: Array, sigma: Activation, XX: Array
) -> tuple[Array, Array]:
    """The minimum-norm Gauss–Newton step Δ for W, and how it moves the pre-activations."""
    n, K = X.shape[0], r.size // X.shape[0]
    D = sigma.derivative(X @ params.W.T)
    features = output_features(D, params.v)
    kernel = (features @ features.T).reshape(n, K, n, K) * XX[:, None, :, None]
    factor = jax.scipy.linalg.cho_factor(kernel.reshape(n * K, n * K), lower=True)
    multipliers = jax.scipy.linalg.cho_solve(factor, r.reshape(-1)).reshape(r.shape)
    back = pull_back(D, params.v, multipliers)
    return -back.T @ X, -XX @ back


@partial(jax.jit, static_argnames="sigma")
def _straight_scale(unit: Params, X: Array, y: Array, sigma: Activation, XX: Array) -> Array:
    """The least α ≥ 1 whose first full step moves no pre-activation by more than FIRST_MOVE."""
    _, moves = _newton_step(unit, X, -y, sigma, XX)
    return jnp.maximum(jnp.max(jnp.abs(moves)) / FIRST_MOVE, 1)


@partial(jax.jit, static_argnames=("sigma", "max_steps"))
def _newton(
    start: Params, X: Array, y: Array, sigma: Activation, XX: Array, tol: Array, max_steps: int
) -> tuple[Array, Array, dict[str, Any]]:
    """Damped Gauss–Newton in W: halve a step until the residual falls as a share of it should."""
    size = jnp.linalg.norm(y)
    # zero targets: a mirrored start is exact, and misses them by rounding alone
    rounding = jnp.finfo(y.dtype).eps * jnp.linalg.norm(
        jnp.abs(sigma.fn(X @ start.W.T)) @ jnp.abs(start.v)
    )
    goal = jnp.where(size > 0, tol * size, rounding)
    running, converged, stuck, deficient = (
        jnp.asarray(r.code)
        for r in (
            RESULTS.max_steps,
            RESULTS.converged,
            RESULTS.step_too_small,
            RESULTS.rank_deficient,
        )
    )

    def residual(W: Array) -> Array:
        return sigma.fn(X @ W.T) @ start.v - y

    def damp(W: Array, r: Array, delta: Array) -> tuple[Array, Array, Array]:
        def too_far(carry: tuple[Array, Array]) -> Array:
            t, new = carry
            falls = jnp.linalg.norm(new) <= (1 - t / 4) * jnp.linalg.norm(r)
            return ~falls & (t > 0.5**HALVINGS)

        def halve(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            t = carry[0] / 2
            return t, residual(W + t * delta)

        t, new = jax.lax.while_loop(too_far, halve, (jnp.ones((), X.dtype), residual(W + delta)))
        return t, new, t > 0.5**HALVINGS

    def advance(carry: tuple) -> tuple:
        i, W, r, _, losses, dampings = carry
        delta, _ = _newton_step(Params(W, start.v), X, r, sigma, XX)
        t, new, found = damp(W, r, delta)
        solved = jnp.all(jnp.isfinite(delta))
        W, r = (jnp.where(found & solved, a, b) for a, b in ((W + t * delta, W), (new, r)))
        code = jnp.where(found, jnp.where(jnp.linalg.norm(r) <= goal, converged, running), stuck)
        code = jnp.where(solved, code, deficient)
        losses = losses.at[i].set(half_mean_square(r))
        return i + 1, W, r, code, losses, dampings.at[i].set(t)

    first = residual(start.W)
    code = jnp.where(jnp.linalg.norm(first) <= goal, converged, running)
    history = jnp.zeros(max_steps, X.dtype)
    steps, W, _, code, losses, dampings = jax.lax.while_loop(
        lambda carry: (carry[3] == running) & (carry[0] < max_steps),
        advance,
        (jnp.zeros((), int), start.W, first, code, history, history),
    )
    return W, code, {"num_steps": steps, "history": {"loss": losses, "damping": dampings}}
