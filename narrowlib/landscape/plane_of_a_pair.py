r"""The plane of a pair: two neurons that move apart, their output weight at its best size.

Where a pair starts at one place, or in a small ball, its two neurons move in opposite directions:
$W = W_0 + (\delta; -\delta)/\sqrt2$. F is linear in u, so the best u is known, and with two inputs
what is left of the constrained problem is a loss over a disc: $\|W - W_0\| = \|\delta\|$.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import (
    check_inputs,
    check_number,
    check_targets,
    fail,
    float_array,
    is_concrete,
    single_at_least,
)
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params, half_mean_square


class PairPlane(NamedTuple):
    """A pair of neurons at many displacements, the output weights at their best size.

    Args:
        params: the networks: `W` (…, 2, d) and `v` (…, 2), v = (u, −u).
        loss: their training losses, shape (…).
    """

    params: Params
    loss: Array


@runs("jit and grad")
def plane_of_a_pair(
    delta: Float[ArrayLike, "*grid d"],
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, " n"],
    *,
    center: Float[ArrayLike, "2 d"] | None = None,
    zeta: Any = 0.0,
    u_max: Any = None,
    activation: str | Activation = "tanh",
) -> PairPlane:
    r"""The loss of a pair of neurons over their displacement, at the best output weight.

    $$\min_{\zeta \le u \le u_{\max}} \ell(W, (u, -u)), \qquad
      W = W_0 + \frac1{\sqrt2} \begin{pmatrix} \delta \\ -\delta \end{pmatrix}$$

    F is linear in u: the best u is $\langle F_1, y\rangle / \|F_1\|^2$ for the outputs $F_1$ at
    u = 1, cut at its bounds; where $F_1 = 0$ every u is as good, and the least is taken. With
    $d = 2$ a grid of δ makes a picture, in which the ball $\|W - W_0\| \le \varepsilon$ is a disc.

    Args:
        delta: the displacements δ, shape (…, d).
        X: samples, shape (n, d).
        y: targets, shape (n,).
        center: $W_0$, shape (2, d); `None` for zero.
        zeta: $\zeta \ge 0$, the least u.
        u_max: the largest u; `None` for no bound.
        activation: a name of `activations()` or an `Activation`.

    Returns:
        A `PairPlane`: the networks and their losses, of the leading shape of `delta`.

    Raises:
        ValueError: if shapes or precisions do not match, zeta < 0 or u_max < zeta.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> X, y = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([1.0, -1.0])
        >>> pair = nl.plane_of_a_pair(jnp.array([[0.1, -0.1], [0.1, 0.1]]), X, y)
        >>> print(pair.loss.round(3))
        [0.  0.5]

    References:
        Chapter "Every KKT point is global".
    """
    sigma = get_activation(activation)
    delta = single_at_least(float_array("delta", delta, None))
    if delta.ndim == 0 or 0 in delta.shape:
        fail("delta", f"shape {delta.shape}", "Pass displacements, an array of shape (…, d).")
    X, d = check_inputs(X, dtype=delta.dtype), delta.shape[-1]
    if X.shape[1] != d:
        fail("X", f"shape {X.shape}", f"delta has {d} entries a point: pass X of shape (n, {d}).")
    y = check_targets(y, X, outputs=())
    W0 = jnp.zeros((2, d)) if center is None else float_array("center", center, (2,))
    if W0.shape != (2, d):
        fail("center", f"shape {W0.shape}", f"Pass the start of two neurons: shape (2, {d}).")
    zeta = check_number("zeta", zeta, minimum=0)
    if u_max is not None:
        u_max = check_number("u_max", u_max)
        if is_concrete(zeta, u_max) and u_max < zeta:
            fail("u_max", u_max, f"Pass at least zeta, {zeta:g}, or None.")
    W0 = W0.astype(X.dtype)

    def at(point: Array) -> PairPlane:
        W = W0 + jnp.stack([point, -point]) / math.sqrt(2)
        phi = sigma.fn(X @ W.T)
        F1 = phi[:, 0] - phi[:, 1]
        square = F1 @ F1
        u = jnp.where(square == 0, 0.0, (F1 @ y) / jnp.where(square == 0, 1.0, square))
        u = jnp.clip(u, zeta, u_max).astype(X.dtype)
        return PairPlane(Params(W, jnp.stack([u, -u])), half_mean_square(u * F1 - y))

    found = jax.vmap(at)(delta.reshape(-1, d))
    return jax.tree.map(lambda a: a.reshape(*delta.shape[:-1], *a.shape[1:]), found)
