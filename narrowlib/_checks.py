"""The one door: every argument of a public function enters through a check of this file.

A *static* mistake (a shape, a sign, a missing value, something that is no number) raises
``ValueError`` here, before anything is computed. The message always has three parts: the argument,
the value received, and the mend. What the meaning of is clear is taken: lists, whole numbers,
pandas frames, arrays of another byte order. Values are looked at only when they are concrete, so
that functions still work under ``jax.jit``, ``jax.vmap`` and ``jax.grad``.
"""

from __future__ import annotations

import contextlib
import functools
import numbers
import operator
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from narrowlib._seen import is_known, remember

LARGEST = 2**31 - 1  # of a count: more steps or samples than that are a slip
SHOWN = 60  # characters of a value that a message repeats


def fail(argument: str, got: Any, mend: str) -> NoReturn:
    """Raise the error of a static mistake: the argument, the value, the mend."""
    raise ValueError(f"{argument}: got {got}. {mend}")


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, and not too long."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of {value.dtype} of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def is_traced(*xs: Any) -> bool:
    """Whether a leaf is a tracer or a placeholder of `jax.eval_shape`."""
    try:
        leaves = jax.tree.leaves(xs, is_leaf=lambda x: isinstance(x, Iterator))
    except (TypeError, ValueError):  # a dictionary whose keys have no order is no pytree
        return False
    return any(isinstance(x, jax.core.Tracer | jax.ShapeDtypeStruct) for x in leaves)


def is_concrete(*xs: Any) -> bool:
    """Whether every leaf is there to be looked at."""
    return not is_traced(xs)


def check_int(name: str, value: Any, minimum: int, maximum: int = LARGEST) -> int:
    """A whole number within bounds; True and 2.0 are none."""
    number: int | None = None
    if not (isinstance(value, bool | np.bool_) or getattr(value, "ndim", 0) or is_traced(value)):
        with contextlib.suppress(TypeError):
            number = operator.index(value)
    if number is None or not minimum <= number <= maximum:
        above = f" and at most {maximum}" if number is not None and number > maximum else ""
        fail(name, shown(value), f"Pass a whole number of at least {minimum}{above}.")
    return number


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
    batch: bool = False,
) -> Any:
    """A finite real number within bounds; a traced one passes.

    With `batch` an array of them passes too, for a `vmap` over it.
    """
    if is_traced(value):
        return value
    bounds = (("above", above), ("at least", minimum), ("below", below))
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    mend = f"Pass a finite number {wanted}.".replace(" .", ".")
    array = isinstance(value, np.ndarray | jax.Array) and (batch or value.ndim == 0)
    if not (array or isinstance(value, int | float | np.number)) or isinstance(value, bool):
        fail(name, shown(value), mend)
    x = np.asarray(value)
    if (x.dtype.kind not in "iuf" and x.dtype.name != "bfloat16") or x.size == 0:
        fail(name, shown(value), mend)
    x = x.astype(float)
    bad = ~np.isfinite(x)
    bad |= False if above is None else x <= above
    bad |= False if minimum is None else x < minimum
    bad |= False if below is None else x >= below
    if bad.any():
        fail(name, f"{x[bad].flat[0]:g}", mend)
    return value


def check_bool(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one of them."""
    if not isinstance(value, bool | np.bool_):
        fail(name, shown(value), "Pass True or False.")
    return bool(value)


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """One of several words or whole numbers."""
    choices = tuple(choices)
    plain = int(value) if isinstance(value, np.integer) else value
    for choice in choices:
        if type(plain) is type(choice) and plain == choice:
            return choice
    fail(name, shown(value), f"Choose one of {', '.join(map(repr, choices))}.")


def check_function(name: str, value: Any, example: str) -> Callable[..., Any]:
    """Something that can be called."""
    if not callable(value):
        fail(name, shown(value), f"Pass a function, such as {example}.")
    return value


def check_key(name: str, key: Any) -> jax.Array:
    """One JAX random key, new (`jax.random.key`) or old (`jax.random.PRNGKey`)."""
    mend = "Pass a JAX random key, such as jax.random.key(0)."
    if not isinstance(key, jax.Array):
        fail(name, shown(key), mend)
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim:
            fail(name, f"{key.size} keys", "Pass one of them, or vmap over them.")
        return key
    if key.dtype != jnp.uint32 or key.shape != (2,):
        fail(name, shown(key), mend)
    return jax.random.wrap_key_data(key)


def check_path(name: str, path: Any) -> Path:
    """A path on this machine, with ~ for the home folder."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else b""
    if isinstance(text, str) and text and not re.match(r"[A-Za-z][\w+.-]+:/|.*\0", text, re.DOTALL):
        with contextlib.suppress(RuntimeError, UnicodeError):  # a home or a name that nobody has
            return Path(os.fsdecode(os.fsencode(text))).expanduser()
    fail(name, shown(path), "Pass a path on this machine, as text or pathlib.Path.")


def check_optimizer(name: str, optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """An Optax transformation, or an object such as `optax.MultiSteps` that makes one."""
    make = getattr(optimizer, "gradient_transformation", None)
    if not isinstance(optimizer, type) and callable(make):
        optimizer = make()
    if not isinstance(optimizer, optax.GradientTransformation):
        fail(name, shown(optimizer), "Pass an Optax transformation, such as optax.sgd(0.1).")
    return _with_extra_args(optimizer)


_with_extra_args = functools.lru_cache(256)(optax.with_extra_args_support)  # compiled once


def check_module(name: str, module: Any) -> nnx.Module:
    """A Flax NNX module: no Linen module, no class, no function."""
    if not isinstance(module, nnx.Module):
        what = module.__name__ if isinstance(module, type) else type(module).__name__
        what = f"the class {what}" if isinstance(module, type) else what
        mend = "Pass a Flax NNX module, such as nl.OneHiddenLayer(params) or an nnx.Linear."
        if isinstance(module, linen.Module):
            mend = "That is a Flax Linen module: wrap it in nnx.bridge.ToNNX, or write it in NNX."
        fail(name, what, mend)
    return module


def check_finite(name: str, x: Any) -> None:
    """No NaN and no infinity, as far as values can be seen."""
    if not is_concrete(x) or is_known(x):
        return
    with np.errstate(over="ignore", invalid="ignore"):  # NumPy's: under jit JAX's would be traced
        finite = np.isfinite(np.sum(np.asarray(x)))  # then all are: one pass without a copy
    if not finite and (count := int(np.sum(~np.isfinite(np.asarray(x))))):
        fail(name, f"{count} entries that are NaN or infinite", "Remove or fill them first.")
    remember(x)


def float_array(
    name: str, x: Any, ndims: tuple[int, ...] | None, *, whole: Any = float
) -> jax.Array:
    """``x`` as a floating-point JAX array, whatever holds its numbers.

    Whole numbers and truth values become `whole`, the default float.
    """
    x = real_array(name, x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(whole)
    if ndims is not None and x.ndim not in ndims:
        shapes = " or ".join(f"{k} axes" if k > 1 else "1 axis" for k in ndims)
        fail(name, f"shape {x.shape}", f"Pass an array with {shapes}.")
    return jnp.asarray(x)


def real_array(name: str, x: Any) -> np.ndarray | jax.Array:
    """``x`` as an array of real numbers of any kind, in the order of bytes that JAX reads."""
    if isinstance(x, jax.Array):
        wanted = (jnp.floating, jnp.integer, jnp.bool_)
        return x if any(jnp.issubdtype(x.dtype, kind) for kind in wanted) else _refuse(name, x)
    if hasattr(x, "toarray"):
        fail(name, f"a sparse {type(x).__name__}", "Pass its toarray().")
    if x is None or isinstance(x, str | bytes | dict | set | jax.ShapeDtypeStruct):
        _refuse(name, x)
    if is_traced(x):  # a list of traced numbers
        try:
            return jnp.asarray(x)
        except (TypeError, ValueError):
            _refuse(name, x)
    try:
        array = np.asarray(x)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        fail(name, shown(x), "Pass an array of numbers, all rows of the same length.")
    if array.dtype == object:
        array = _numbers_of(name, x, array)
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        _refuse(name, array)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(float)  # an extended precision that JAX lacks
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _refuse(name: str, x: Any) -> NoReturn:
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "kind", "") == "c":
        fail(name, f"dtype {dtype}", "Complex numbers are not supported: pass real ones.")
    fail(name, shown(x), "Pass an array of real numbers.")


def _numbers_of(name: str, x: Any, array: np.ndarray) -> np.ndarray:
    """An object array (of a pandas frame, say) as floats, if it holds nothing but numbers."""
    for entry in array.flat:
        if not isinstance(entry, numbers.Real | np.number | np.bool_):
            fail(name, f"the entry {shown(entry)}", "Pass an array of real numbers.")
    try:
        return array.astype(float)
    except (OverflowError, TypeError, ValueError):
        _refuse(name, x)


def single_at_least(x: jax.Array) -> jax.Array:
    """Half precision in single: no solver works in half precision."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def check_inputs(X: Any, *, d: int | None = None, dtype: Any = None) -> jax.Array:
    """The samples: a float array (n, d) with n, d >= 1."""
    X = single_at_least(float_array("X", X, (2,), whole=dtype or float))
    if 0 in X.shape:
        fail("X", f"shape {X.shape}", "Pass at least one sample and one input.")
    if d is not None and X.shape[1] != d:
        fail("X", f"shape {X.shape}", f"params.W reads d = {d} inputs: pass X of shape (n, {d}).")
    if dtype is not None and X.dtype != dtype:
        mend = f"The parameters are {dtype}: convert one, so that both agree."
        fail("X", f"dtype {X.dtype}", mend)
    return X


def check_targets(y: Any, X: jax.Array, outputs: tuple[int, ...] | None = None) -> jax.Array:
    """The targets: a float array (n,) or (n, K), as many rows as X, in X's precision."""
    y = float_array("y", y, (1, 2))
    if y.shape[0] != X.shape[0]:
        fail("y", f"shape {y.shape}", f"X has {X.shape[0]} samples: pass as many targets.")
    if outputs is not None and y.shape[1:] != outputs:
        want = (X.shape[0], *outputs)
        fail("y", f"shape {y.shape}", f"The network gives {want}: pass y of that shape.")
    if 0 in y.shape:
        fail("y", f"shape {y.shape}", "Pass at least one target a sample.")
    return y.astype(X.dtype)


def check_double(name: str, dtype: Any, allow_float32: bool) -> None:
    """Refuse to draw conclusions about rank from single precision, unless told to."""
    check_bool("allow_float32", allow_float32)
    if jnp.finfo(dtype).bits < 64 and not allow_float32:
        mend = (
            "Rank and certificates need float64: in float32 singular values below about 1e-3 of "
            "the largest are rounding noise. Call jax.config.update('jax_enable_x64', True) "
            "before making arrays, or pass allow_float32=True if you know why."
        )
        fail(name, f"dtype {dtype}", mend)
