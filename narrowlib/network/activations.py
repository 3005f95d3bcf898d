"""Activation functions, with the facts about each that the theorems ask for.

The theorems need σ, σ′, the bound L₂ = sup |σ″| that makes the Jacobian Lipschitz, and whether
σ is real-analytic without being a polynomial; where v moves too, or Hessians are compared, also
sup |σ′| and sup |σ‴|. `relu` and `square` are here as controls: the first
has no second derivative, the second is a polynomial.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from narrowlib._checks import fail


@dataclasses.dataclass(frozen=True)
class Activation:
    r"""One activation function $\sigma$ with what the theorems need to know about it.

    Pass an instance wherever an `activation` is asked for, to use one that the registry lacks.

    Args:
        name: what it is called in messages and files.
        fn: $\sigma$, applied entrywise.
        derivative: $\sigma'$, applied entrywise.
        curvature: $L_2 = \sup_z |\sigma''(z)|$; `inf` where $\sigma'$ jumps.
        analytic: whether $\sigma$ is real-analytic on the whole line.
        polynomial: whether $\sigma$ is a polynomial.
        slope: $\sup_z |\sigma'(z)|$; `inf` where there is no bound, or none is known.
        jerk: $\sup_z |\sigma'''(z)|$; `inf` where there is no bound, or none is known.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> sine = nl.Activation("sine", jnp.sin, jnp.cos, curvature=1.0)
        >>> sine.generic
        True

    References:
        The full-rank theorem asks for `generic`, all others for a finite `curvature`. Bounds that
        hold while v moves too, and the certificate of a stationary point, take `slope` and `jerk`.
    """

    name: str
    fn: Callable[[jax.Array], jax.Array]
    derivative: Callable[[jax.Array], jax.Array]
    curvature: float
    analytic: bool = True
    polynomial: bool = False
    slope: float = math.inf
    jerk: float = math.inf

    @property
    def generic(self) -> bool:
        """Whether the full-rank theorem covers it: real-analytic and no polynomial."""
        return self.analytic and not self.polynomial

    @property
    def smooth(self) -> bool:
        """Whether the bound on σ″ is finite, as every other theorem needs."""
        return math.isfinite(self.curvature)


def _tanh_derivative(z: jax.Array) -> jax.Array:
    return 1 - jnp.tanh(z) ** 2


def _sigmoid_derivative(z: jax.Array) -> jax.Array:
    s = jax.nn.sigmoid(z)
    return s * (1 - s)


def _gelu(z: jax.Array) -> jax.Array:
    return jax.nn.gelu(z, approximate=False)


def _gelu_derivative(z: jax.Array) -> jax.Array:
    return jax.scipy.stats.norm.cdf(z) + z * jax.scipy.stats.norm.pdf(z)


def _silu_derivative(z: jax.Array) -> jax.Array:
    s = jax.nn.sigmoid(z)
    return s * (1 + z * (1 - s))


def _relu_derivative(z: jax.Array) -> jax.Array:
    return (z > 0).astype(z.dtype)


def _double(z: jax.Array) -> jax.Array:
    return 2 * z


_GELU_SLOPE = (1 + math.erf(1)) / 2 + math.exp(-1) / math.sqrt(math.pi)  # at √2
_GELU_PEAK = math.sqrt((7 - math.sqrt(33)) / 2)  # where its fourth derivative is zero
_GELU_JERK = (4 - _GELU_PEAK**2) * _GELU_PEAK * math.exp(-(_GELU_PEAK**2) / 2)
_ROOT3_18 = math.sqrt(3) / 18

_REGISTRY = {
    a.name: a
    for a in (
        Activation("tanh", jnp.tanh, _tanh_derivative, 4 / (3 * math.sqrt(3)), slope=1, jerk=2),
        Activation("softplus", jax.nn.softplus, jax.nn.sigmoid, 1 / 4, slope=1, jerk=_ROOT3_18),
        Activation(
            "sigmoid", jax.nn.sigmoid, _sigmoid_derivative, _ROOT3_18, slope=1 / 4, jerk=1 / 8
        ),
        Activation(
            "gelu", _gelu, _gelu_derivative, math.sqrt(2 / math.pi),
            slope=_GELU_SLOPE, jerk=_GELU_JERK / math.sqrt(2 * math.pi),
        ),
        Activation(  # these two bounds have no closed form: rounded up
            "silu", jax.nn.silu, _silu_derivative, 1 / 2, slope=1.09983932013, jerk=0.30818151580
        ),
        Activation("relu", jax.nn.relu, _relu_derivative, math.inf, analytic=False, slope=1),
        Activation("square", jnp.square, _double, 2.0, polynomial=True, jerk=0),
    )
}  # fmt: skip


def activations() -> tuple[str, ...]:
    """The names that the registry knows.

    Args:
        (none)

    Returns:
        The names, smooth generic ones first, the controls `relu` and `square` last.

    Example:
        >>> import narrowlib as nl
        >>> nl.activations()
        ('tanh', 'softplus', 'sigmoid', 'gelu', 'silu', 'relu', 'square')
    """
    return tuple(_REGISTRY)


def get_activation(activation: str | Activation) -> Activation:
    """Look an activation up by name.

    Args:
        activation: a name of `activations()`, or an `Activation`, which is returned as it is.

    Returns:
        The `Activation`.

    Raises:
        ValueError: if the name is unknown.

    Example:
        >>> import narrowlib as nl
        >>> round(nl.get_activation("tanh").curvature, 4)
        0.7698
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str) or activation not in _REGISTRY:
        fail(
            "activation",
            repr(activation),
            f"Choose one of {', '.join(_REGISTRY)}, or pass a narrowlib.Activation of your own.",
        )
    return _REGISTRY[activation]
