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
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from narrowlib._checks import check_bool, check_function, fail, is_traced, shown
from narrowlib._runs import runs


@runs("jit and grad")
@dataclasses.dataclass(frozen=True)
class Activation:
    r"""One activation function $\sigma$ with what the theorems need to know about it.

    Pass an instance wherever an `activation` is asked for, to use one that the registry lacks.

    Args:
        name: what it is called in messages and files.
        fn: $\sigma$, applied entrywise, written in `jax.numpy`.
        derivative: $\sigma'$, likewise.
        curvature: $L_2 = \sup_z |\sigma''(z)| > 0$; `inf` where $\sigma'$ jumps. For a straight
            line any number above 0 is a bound.
        analytic: whether $\sigma$ is real-analytic on the whole line.
        polynomial: whether $\sigma$ is a polynomial.
        slope: $\sup_z |\sigma'(z)|$; `inf` where there is no bound, or none is known.
        jerk: $\sup_z |\sigma'''(z)|$; `inf` where there is no bound, or none is known.

    Raises:
        ValueError: if a function is none or does not work entrywise, a bound is no bound, or the
            curvature is not above 0.

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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            fail("name", shown(self.name), "Pass what messages and files shall call it.")
        for part in ("fn", "derivative"):
            _check_entrywise(part, getattr(self, part))
        for part in ("analytic", "polynomial"):
            object.__setattr__(self, part, check_bool(part, getattr(self, part)))
        for part in ("curvature", "slope", "jerk"):
            object.__setattr__(self, part, _check_bound(part, getattr(self, part)))
        if self.curvature == 0:  # what rests on it would hold at any distance
            fail("curvature", "0", "Pass sup |σ″|, or a number above 0 if σ is a straight line.")

    @property
    def generic(self) -> bool:
        """Whether the full-rank theorem covers it: real-analytic and no polynomial."""
        return self.analytic and not self.polynomial

    @property
    def smooth(self) -> bool:
        """Whether the bound on σ″ is finite, as every other theorem needs."""
        return math.isfinite(self.curvature)


def _check_entrywise(part: str, fn: Any) -> None:
    """A function that JAX can trace, from arrays to arrays of the same shape."""
    check_function(part, fn, "jnp.sin")
    x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    mend = "Pass a function of an array, entry by entry, written in jax.numpy."
    try:
        hash(fn)  # compiled programs are found again by it
        y = jax.eval_shape(lambda z: fn(z), x)  # not fn itself: JAX dies of some of NumPy's
    except Exception as error:
        fail(part, f"a function that fails with {type(error).__name__}", mend)
    if getattr(y, "shape", None) != x.shape or not jnp.issubdtype(y.dtype, jnp.floating):
        what = f"{getattr(y, 'dtype', type(y).__name__)} of shape {getattr(y, 'shape', None)}"
        fail(part, f"a function that makes {what} of {x.dtype} of shape {x.shape}", mend)


def _check_bound(part: str, bound: Any) -> float:
    """A bound on a derivative's size; `inf` says that there is none."""
    mend = "Pass a number of at least 0, or inf where there is no bound."
    if isinstance(bound, bool | str) or is_traced(bound) or getattr(bound, "ndim", 0):
        fail(part, shown(bound), mend)
    try:
        value = float(bound)
    except (TypeError, ValueError, OverflowError):
        fail(part, shown(bound), mend)
    if not value >= 0:  # NaN is not
        fail(part, f"{value:g}", mend)
    return value


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


@runs("jit and grad")
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


@runs("jit and grad")
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
            shown(activation),
            f"Choose one of {', '.join(_REGISTRY)}, or pass a narrowlib.Activation of your own.",
        )
    return _REGISTRY[activation]


def second_derivative(sigma: Activation, Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """σ″, entry by entry."""
    return jax.jvp(sigma.derivative, (Z,), (jnp.ones_like(Z),))[1]
