"""Starting points: LeCun's, and the paper's mirrored version of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from narrowlib._checks import check_even, check_int, check_key, check_number, fail, shown
from narrowlib._runs import runs
from narrowlib.network.model import Params


def _float_type(dtype: DTypeLike | None) -> jnp.dtype:
    """A floating-point type as JAX has it: without x64 float64 is float32, with JAX's warning."""
    try:
        found = jnp.dtype(float if dtype is None else dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating) or found.itemsize > 8:
        fail("dtype", shown(dtype), "Pass a floating-point type, such as jnp.float32.")
    return jnp.zeros((), dtype if dtype is not None else float).dtype


def _output_shape(m: int, outputs: int | None) -> tuple[int, ...]:
    return (m,) if outputs is None else (m, check_int("outputs", outputs, 1))


@runs("jit and grad")
def lecun(
    key: Key[Array, ""],
    *,
    d: int,
    m: int,
    outputs: int | None = None,
    dtype: DTypeLike | None = None,
) -> Params:
    r"""LeCun's initialisation: $W_{jk} \sim N(0, 1/d)$ and $v_j \sim N(0, 1/m)$.

    Args:
        key: a JAX random key.
        d: number of inputs.
        m: number of hidden neurons.
        outputs: `None` for v of shape (m,), or K for shape (m, K).
        dtype: floating-point type; `None` is JAX's default (float64 where x64 is enabled).

    Returns:
        `Params` with W (m, d) and v (m,) or (m, K).

    Raises:
        ValueError: if a size is not positive, the key is none, or the type is not floating.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> nl.lecun(jax.random.key(0), d=64, m=60).W.shape
        (60, 64)

    References:
        LeCun, Bottou, Orr, Müller (1998), "Efficient BackProp".
    """
    d, m = check_int("d", d, 1), check_int("m", m, 1)
    key, dtype = check_key("key", key), _float_type(dtype)
    key_W, key_v = jax.random.split(key)
    W = jax.random.normal(key_W, (m, d), dtype) / jnp.sqrt(jnp.asarray(d, dtype))
    v = jax.random.normal(key_v, _output_shape(m, outputs), dtype) / jnp.sqrt(jnp.asarray(m, dtype))
    return Params(W, v)


@runs("jit and grad")
def mirrored_lecun(
    key: Key[Array, ""],
    *,
    d: int,
    m: int,
    outputs: int | None = None,
    scale: float = 1.0,
    dtype: DTypeLike | None = None,
) -> Params:
    r"""The mirrored start: every neuron has a twin with the opposite output weight.

    $$W_0 = \begin{pmatrix} U \\ U \end{pmatrix}, \quad
      v_0 = \begin{pmatrix} u \\ -u \end{pmatrix}, \quad U_{jk} \sim N(0, 1/d)$$

    so that $F(W_0, v_0) = 0$ whatever the data. With one output, $u_j = \alpha/\sqrt{m}$ for all
    j: LeCun's variance without its randomness, so the start lies in every paired cone that
    allows its size. With K outputs, $u$ is (m/2, K) with entries $N(0, \alpha^2/m)$.

    Args:
        key: a JAX random key.
        d: number of inputs.
        m: number of hidden neurons, even.
        outputs: `None` for v of shape (m,), or K for shape (m, K).
        scale: $\alpha > 0$, a factor on the output weights. Large: neurons need to move less.
        dtype: floating-point type; `None` is JAX's default (float64 where x64 is enabled).

    Returns:
        `Params` with W (m, d) and v (m,) or (m, K), rows j and j + m/2 a pair.

    Raises:
        ValueError: if m is odd, a size or the scale is not positive, the key is none, or the type
            is not floating.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> params = nl.mirrored_lecun(jax.random.key(0), d=64, m=4)
        >>> params.v.tolist()
        [0.5, 0.5, -0.5, -0.5]

    References:
        Zhang et al. (2021), Algorithm 1. That the paper's magnitudes are random and ours equal
        makes no difference to any theorem.
    """
    d, m = check_int("d", d, 1), check_even("m", m)
    scale = check_number("scale", scale, above=0)
    key, dtype = check_key("key", key), _float_type(dtype)
    key_U, key_u = jax.random.split(key)
    U = jax.random.normal(key_U, (m // 2, d), dtype) / jnp.sqrt(jnp.asarray(d, dtype))
    shape = _output_shape(m // 2, outputs)
    u = jnp.ones(shape, dtype) if outputs is None else jax.random.normal(key_u, shape, dtype)
    u = u * jnp.asarray(scale, dtype) / jnp.sqrt(jnp.asarray(m, dtype))
    return Params(W=jnp.concatenate([U, U]), v=jnp.concatenate([u, -u]))
