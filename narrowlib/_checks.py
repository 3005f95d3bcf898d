"""Checks of arguments, shared by every public function.

A *static* mistake (a shape, a sign, a missing value) raises ``ValueError`` here, before anything is
computed. The message always has three parts: the argument, the value received, and the mend.
Values are looked at only when they are concrete, so that all functions still work under
``jax.jit``, ``jax.vmap`` and ``jax.grad``.
"""

from __future__ import annotations

from typing import Any, NoReturn

import jax
import jax.core
import jax.numpy as jnp
import numpy as np


def fail(argument: str, got: Any, mend: str) -> NoReturn:
    """Raise the error of a static mistake: the argument, the value, the mend."""
    raise ValueError(f"{argument}: got {got}. {mend}")


def is_concrete(*xs: Any) -> bool:
    """Whether every leaf holds numbers, not a tracer or an abstract placeholder."""
    return all(
        isinstance(x, (int, float, np.generic, np.ndarray))
        or (isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer))
        for x in jax.tree.leaves(xs)
    )


def check_int(name: str, value: Any, minimum: int) -> int:
    """A whole number of at least `minimum`; True and 2.0 are none."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < minimum:
        fail(name, repr(value), f"Pass a whole number of at least {minimum}.")
    return int(value)


def check_even(name: str, m: Any) -> int:
    """A number of neurons that can be halved."""
    m = check_int(name, m, 2)
    if m % 2:
        fail(name, m, "Mirrored halves need an even number of neurons.")
    return m


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
) -> Any:
    """A finite real number within bounds; a traced one passes."""
    if not is_concrete(value):
        return value
    if np.ndim(value) != 0:
        return value  # a batch of values, for a vmap over sets
    number = float(value)
    wanted = []
    if above is not None:
        wanted.append(f"above {above:g}")
    if minimum is not None:
        wanted.append(f"at least {minimum:g}")
    if below is not None:
        wanted.append(f"below {below:g}")
    if (
        not np.isfinite(number)
        or (above is not None and number <= above)
        or (minimum is not None and number < minimum)
        or (below is not None and number >= below)
    ):
        fail(name, f"{number:g}", f"Pass a finite number {' and '.join(wanted)}.")
    return value


def check_finite(name: str, x: Any) -> None:
    """No NaN and no infinity, as far as values can be seen."""
    if not is_concrete(x):
        return
    x = np.asarray(x)  # in NumPy: under jit even a JAX operation on numbers would be traced
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(x)):  # then all are: one pass without a copy
            return
    count = int(np.sum(~np.isfinite(x)))
    if count:
        fail(name, f"{count} entries that are NaN or infinite", "Remove or fill them first.")


def float_array(name: str, x: Any, ndims: tuple[int, ...]) -> jax.Array:
    """``x`` as a floating-point JAX array; whole numbers become the default float."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        fail(name, f"dtype {x.dtype}", "Complex numbers are not supported: pass real ones.")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(float)
    if x.ndim not in ndims:
        shapes = " or ".join(f"{k} axes" if k > 1 else "1 axis" for k in ndims)
        fail(name, f"shape {x.shape}", f"Pass an array with {shapes}.")
    return x


def check_inputs(X: Any, *, d: int | None = None, dtype: Any = None) -> jax.Array:
    """The samples: a float array (n, d) with n, d >= 1."""
    X = float_array("X", X, (2,))
    if 0 in X.shape:
        fail("X", f"shape {X.shape}", "Pass at least one sample and one input.")
    if d is not None and X.shape[1] != d:
        fail("X", f"shape {X.shape}", f"params.W reads d = {d} inputs: pass X of shape (n, {d}).")
    if dtype is not None and X.dtype != dtype:
        fail(
            "X", f"dtype {X.dtype}", f"The parameters are {dtype}: convert one, so that both agree."
        )
    return X


def check_targets(y: Any, X: jax.Array, outputs: tuple[int, ...] | None = None) -> jax.Array:
    """The targets: a float array (n,) or (n, K), as many rows as X, in X's precision."""
    y = float_array("y", y, (1, 2))
    if y.shape[0] != X.shape[0]:
        fail("y", f"shape {y.shape}", f"X has {X.shape[0]} samples: pass as many targets.")
    if outputs is not None and y.shape[1:] != outputs:
        want = (X.shape[0], *outputs)
        fail("y", f"shape {y.shape}", f"The network gives {want}: pass y of that shape.")
    return y.astype(X.dtype)


def check_double(name: str, dtype: Any, allow_float32: bool) -> None:
    """Refuse to draw conclusions about rank from single precision, unless told to."""
    if jnp.finfo(dtype).bits < 64 and not allow_float32:
        fail(
            name,
            f"dtype {dtype}",
            "Rank and certificates need float64: in float32 singular values below about 1e-3 of "
            "the largest are rounding noise. Call jax.config.update('jax_enable_x64', True) "
            "before making arrays, or pass allow_float32=True if you know why.",
        )
