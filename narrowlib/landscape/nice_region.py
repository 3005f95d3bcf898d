r"""The nice region: all hidden weights at which J has full rank, with v as it is.

There every point that is stationary in W has zero loss. The nice radius ρ\* is the distance from W
to the nearest weights at which J loses rank. This file bounds it from below, by two formulas;
`nearest_singular.py` and `least_on_sphere.py` look at it from outside.

With $G(w; c) = \sum_i c_i\,\sigma'(w \cdot x_i)\, x_i$ row j of $J^\top c$ is $v_j\, G(w_j; c)$: J
loses rank exactly where one $c \ne 0$ makes G vanish at every neuron. So ρ\* does not depend on
the sizes of the $v_j$, as long as none is zero, and all may be taken as one.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_choice
from narrowlib._runs import runs
from narrowlib.network.activations import Activation, second_derivative
from narrowlib.network.linearization import linearize, lipschitz_in_W, output_sizes
from narrowlib.network.model import Params
from narrowlib.network.rounding import spectrum
from narrowlib.network.theory import check_theory


@runs("jit and grad")
def guaranteed_radius(
    params: Params,
    X: Float[ArrayLike, "n d"],
    *,
    order: int = 1,
    activation: str | Activation = "tanh",
    allow_float32: bool = False,
) -> Float[Array, ""]:
    r"""A radius within which J provably keeps full rank: a lower bound of ρ\*.

    With `order=1`, the theorem's: $s / L(v)$, where $s = \sigma_{\min}(J)$ and
    $L(v) = L_2 \max\|x_i\| \|X\| \max|v_j|$ is a Lipschitz constant of J in W. With `order=2`, the
    larger of that and the positive root r of

    $$s_1 (1 - \nu\,r) = \tfrac12 S_3 \|X_3\| r^2, \qquad
      \nu^2 = \max_j \lambda_{\max}\bigl(K^{-1/2} Q_j K^{-1/2}\bigr), \qquad
      \|X_3\|^2 = \lambda_{\max}\bigl((X X^\top)^{\circ 3}\bigr)$$

    Here $K = J J^\top$ and $s_1 = \sigma_{\min}(J)$ belong to output weights scaled to ±1,
    $Q_j = (b_j b_j^\top) \circ (X X^\top)^{\circ 2}$ with $b_{ji} = \sigma''(w_j \cdot x_i)$, and
    $S_3 = \sup|\sigma'''|$. It uses σ″ where the network is, not where it could be largest.

    J is not formed: n²(d + m) + n³ operations with `order=1`, and m n³ with `order=2`. What
    rounding in J Jᵀ can hide is taken off, so the radius is 0 where $s$ is below
    $\sqrt{n\epsilon}$ times the largest singular value.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K); neurons with a zero row in v are silent.
        X: samples, shape (n, d).
        order: 1 or 2.
        activation: a name of `activations()` or an `Activation`.
        allow_float32: answer in single precision too.

    Returns:
        The radius, in the Frobenius norm of W, a scalar: 0 where rank or a bound on the
        derivatives is missing.

    Raises:
        ValueError: in float32 unless allowed, for another order, or if shapes do not match.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     params = nl.mirrored_lecun(jax.random.key(0), d=5, m=12)
        ...     X = jax.random.normal(jax.random.key(1), (20, 5))
        ...     for order in (1, 2):
        ...         print(f"{nl.guaranteed_radius(params, X, order=order):.4f}")
        0.0176
        0.0550

    References:
        Chapter "The nice region", with `order=1`; its workshop page "A second radius".
    """
    order = check_choice("order", order, (1, 2))
    params, X, sigma = check_theory(params, X, activation=activation, allow_float32=allow_float32)
    return _guaranteed_radius(params, X, sigma, order)


@partial(jax.jit, static_argnames=("sigma", "order"))
def _guaranteed_radius(params: Params, X: Array, sigma: Activation, order: int) -> Float[Array, ""]:
    s = spectrum(linearize(params, X, sigma).gram()).at_least[0]
    first = jnp.where(s > 0, s / lipschitz_in_W(params, X, sigma), jnp.zeros_like(s))
    return first if order == 1 else jnp.maximum(first, _second_order(params, X, sigma))


def _second_order(params: Params, X: Array, sigma: Activation) -> Float[Array, ""]:
    unit = unit_outputs(params.v)
    found = spectrum(linearize(Params(params.W, unit), X, sigma).gram(), vectors=True)
    full = found.certain[0] > 0
    values = jnp.where(full, found.certain, jnp.ones_like(found.certain))
    root = found.vectors / jnp.sqrt(values)[None]  # K^{-1/2}, up to a rotation
    root = root.reshape(X.shape[0], -1, len(values))
    XX = X @ X.T

    def largest(neuron: tuple[Array, Array]) -> Array:
        bend, out = neuron  # σ″(w_j·x_i) for all i; the neuron's row of v
        A = bend[:, None] * jnp.einsum("ika,k->ia", root, out)
        return jnp.linalg.eigvalsh(A.T @ (XX**2 @ A))[-1]

    bends = second_derivative(sigma, params.W @ X.T)
    nu = jnp.sqrt(jnp.maximum(jax.lax.map(largest, (bends, columns(unit))).max(), 0))
    cubic = sigma.jerk * jnp.sqrt(jnp.linalg.eigvalsh(XX**3)[-1])
    radius = 2 / (nu + jnp.sqrt(nu**2 + 2 * cubic / jnp.sqrt(values[0])))
    return jnp.where(full & (radius > 0), radius, jnp.zeros_like(radius))  # NaN is not above 0


def columns(v: Float[Array, "m *K"]) -> Float[Array, "m K"]:
    """The output weights with an axis of outputs, even where there is one."""
    return v.reshape(v.shape[0], -1)


def unit_outputs(v: Float[Array, "m *K"]) -> Float[Array, "m *K"]:
    """The output weights with every row scaled to length 1; rows of zeros stay."""
    sizes = output_sizes(v)
    scaled = columns(v) / jnp.where(sizes > 0, sizes, jnp.ones_like(sizes))[:, None]
    return scaled.reshape(v.shape)
