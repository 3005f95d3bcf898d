r"""The expressivity theorem as a function: width about 2n/d, fitting every sample exactly.

From a mirrored start $W_0$ with output weights $\alpha(u; -u)$, minimum-norm Gauss–Newton steps

$$W \leftarrow W - t\, J^\top (J J^\top)^{-1} r$$

are the theorem's continuous Newton path, taken in steps of length t ≤ 1. The larger α, the less
the neurons need to move and the straighter the path; the price is rounding, which grows with α.
"""

from __future__ import annotations

from functools import partial

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
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, half_mean_square
from narrowlib.network.starts import mirrored_lecun
from narrowlib.solvers.newton import damped_newton, newton_step, rounding_floor
from narrowlib.solvers.result import RESULTS, Solution, finish
from narrowlib.solvers.width_search import smallest_width

FIRST_MOVE = 0.1  # the first full step may move no pre-activation by more than this


def interpolate(
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    key: Key[Array, ""],
    width: int | None = None,
    scale: float | None = None,
    tol: float = 1e-10,
    max_steps: int = 200,
    allow_float32: bool = False,
    throw: bool = True,
) -> Solution:
    r"""Find weights of a narrow network that fit every sample: zero training loss, to rounding.

    Only W moves. The output weights stay at $\alpha(u; -u)$. Where steps have to be damped, J is
    close to losing rank on the way: more neurons help, and so does a larger α, until rounding in
    the outputs, which grows with α, is as large as the residual asked for.

    n samples take 24 n² bytes beside the data in float64 (n = 10,000: 2.4 GB), and n²d operations
    once, then n³/3 a step.

    Args:
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation`; smooth, or Newton has no reason
            to converge.
        key: a JAX random key for the start.
        width: number of neurons, even. `None` takes the smallest even m ≥ 2 ⌈n/d⌉ (times K) whose
            start has full numerical rank: every width is tried in turn with the same key, up to
            four times the first.
        scale: α. `None` takes the least α for which the first full step moves no pre-activation
            $w_j \cdot x_i$ by more than 0.1; no more than keeps rounding under a tenth of `tol`,
            and no less than 1.
        tol: stop once $\|r\| \le$ tol · ‖y‖.
        max_steps: the most Gauss–Newton steps.
        allow_float32: run in single precision too; it stops near ‖r‖ = 1e-5 ‖y‖.
        throw: raise `SolverError` where `tol` was not reached.

    Returns:
        A `Solution`. `stats` hold `loss`, `residual` (‖r‖/‖y‖, or ‖r‖ where y = 0), `num_steps`,
        `width`, `scale`, `floor` (the residual that rounding alone would leave, in the same
        units), `distance` (‖W − W₀‖), `largest_move` (of one neuron) and `history` (`loss` and
        `damping` a step); `state` is the start, a `Params`. What limited a run is in `result`:
        `rank_deficient` (J does not see the residual), `rounding` (at the floor), `damped` (close
        to losing rank, and out of steps) or `max_steps`.

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
    A, b = (X, y) if len(kept) == len(X) else (X[kept], y[kept])

    def start_of_width(m: int) -> Params:
        outputs = None if y.ndim == 1 else y.shape[1]
        return mirrored_lecun(key, d=X.shape[1], m=m, outputs=outputs, dtype=X.dtype)

    XX, full = A @ A.T, True
    if width is None:
        width, full = smallest_width(start_of_width, A, XX, b.size, sigma)
    unit = start_of_width(check_even("width", width))
    size, floor = jnp.linalg.norm(b), rounding_floor(unit, A, sigma)
    if scale is None:
        alpha = _straight_scale(unit, A, b, sigma, XX)
        # no larger than rounding allows: the floor grows with α, and has to stay below the goal
        alpha = jnp.maximum(jnp.minimum(alpha, 0.1 * tol * size / floor), 1)
    else:
        alpha = jnp.asarray(check_number("scale", scale, above=0), X.dtype)
    start = Params(unit.W, alpha * unit.v)
    # zero targets: a mirrored start is exact, and misses them by rounding alone
    goal = jnp.where(size > 0, tol * size, alpha * floor)
    W, code, stats = damped_newton(start, A, b, sigma, XX, goal, max_steps)
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
        "floor": rounding_floor(params, X, sigma) / jnp.where(size > 0, size, 1),
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


@partial(jax.jit, static_argnames="sigma")
def _straight_scale(unit: Params, X: Array, y: Array, sigma: Activation, XX: Array) -> Array:
    """The least α ≥ 1 whose first full step moves no pre-activation by more than FIRST_MOVE."""
    _, moves, _ = newton_step(unit, X, -y, sigma, XX)
    alpha = jnp.max(jnp.abs(moves)) / FIRST_MOVE
    return jnp.where(jnp.isfinite(alpha), jnp.maximum(alpha, 1), 1)
