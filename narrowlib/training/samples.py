"""What goes into a run fits together: samples, labels, module, loss. Nothing is compiled for it.

Samples and targets take the parameters' precision. Targets have the shape of the module's outputs;
where outputs (n, K) meet labels (n,), whole numbers are classes, and count from 0 to K − 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import JAXTypeError
from jaxtyping import Array

from narrowlib._checks import check_finite, fail, real_array, shown
from narrowlib.training.epochs import Loss, Parts, first_line
from narrowlib.training.evaluation import Functions, outputs_of

Struct = jax.ShapeDtypeStruct
UNDONE = (TypeError, ValueError, IndexError)  # of a function that was given the wrong shapes


def dtype_of(parts: Parts) -> Any:
    """The floating-point precision of a module's parameters."""
    kinds = {jnp.result_type(leaf) for leaf in jax.tree.leaves(parts.params)}
    floats = [kind for kind in kinds if jnp.issubdtype(kind, jnp.floating)]
    if not floats:
        mend = "It has no parameters (nnx.Param) of floating-point numbers: nothing to train."
        fail("module", parts.name, mend)
    return jnp.result_type(*floats)


def check_pair(name: str, pair: Any) -> tuple[Any, Any]:
    """Samples and targets in a pair."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        what = f"{len(pair)} entries" if isinstance(pair, tuple | list) else shown(pair)
        fail(name, what, "Pass a pair (X, y).")
    return pair[0], pair[1]


def check_samples(name: str, X: Any, parts: Parts) -> Array:
    """Samples with n in front; whole numbers, which may be an embedding's, stay whole."""
    X = _whole_or_floating(real_array(name, X), dtype_of(parts))
    if X.ndim == 0 or 0 in X.shape:
        fail(name, f"shape {X.shape}", "Pass at least one sample, with n in front.")
    check_finite(name, X)
    return X


def _check_labels(name: str, y: Any, n: int) -> np.ndarray | Array:
    """Numbers with n in front: no text."""
    if _holds_text(y):
        mend = "Number the classes from 0: numpy.unique(y, return_inverse=True)[1]."
        fail(name, "text", mend)
    y = real_array(name, y)
    if y.ndim == 0 or y.shape[0] != n:
        fail(name, f"shape {y.shape}", f"There are {n} samples: pass as many targets.")
    check_finite(name, y)
    return y


def _holds_text(y: Any) -> bool:
    if isinstance(y, jax.Array | str):
        return isinstance(y, str)
    try:
        array = np.asarray(y)
    except (TypeError, ValueError):
        return False
    if array.dtype.kind == "O":
        return any(isinstance(entry, str | bytes) for entry in array.flat)
    return array.dtype.kind in "SUT"


def _whole_or_floating(x: np.ndarray | Array, dtype: Any) -> Array:
    """Whole numbers as they are, if JAX has room for them; all others in the given precision."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.asarray(x, dtype)
    whole = jnp.asarray(x)
    return whole if whole.dtype == x.dtype or np.array_equal(whole, x) else jnp.asarray(x, dtype)


def check_data(
    names: tuple[str, str], X: Any, y: Any, parts: Parts, functions: Functions
) -> tuple[Array, Array]:
    """Samples and targets as the module and the functions take them.

    Args:
        names: what the caller calls X and y.
        X: samples.
        y: targets.
        parts: the module.
        functions: the loss, then the metrics, each with the name by which the caller knows it.

    Raises:
        ValueError: if they do not fit together.
    """
    X = check_samples(names[0], X, parts)
    y = _check_labels(names[1], y, len(X))
    outputs = outputs_like(names[0], parts, X)
    return X, _read(names[1], y, outputs, functions, dtype_of(parts))


def outputs_like(name: str, parts: Parts, X: Array) -> Any:
    """The shapes of a module's outputs on these samples.

    Raises:
        ValueError: if it cannot take them, looks at values, or makes not one row a sample.
    """
    try:
        outputs = outputs_of.eval_shape(*parts[1:], X)
    except JAXTypeError:
        fail("module", parts.name, "It looks at values: write it with jax.numpy, without `if`.")
    except UNDONE as error:
        _pass_on(error, "X", name)
        mend = f"The module {parts.name} cannot take that: {first_line(error)}"
        fail(name, f"shape {X.shape}", mend)
    for leaf in jax.tree.leaves(outputs):
        if leaf.shape[:1] != X.shape[:1]:
            mend = f"It makes shape {leaf.shape} of {len(X)} samples: let it make a row of each."
            fail("module", parts.name, mend)
    return outputs


def _pass_on(error: Exception, inner: str, outer: str) -> None:
    """Raise an error of this library again, under the name that the caller knows."""
    if str(error).startswith(f"{inner}: got"):
        raise ValueError(outer + str(error).removeprefix(inner)) from None


def _read(
    name: str, y: np.ndarray | Array, outputs: Any, functions: Functions, dtype: Any
) -> Array:
    """The targets in the first reading that the loss takes."""
    (_, loss), *_ = functions
    first = None
    for reading in _readings(name, y, outputs, dtype):
        result = _result("loss", loss, outputs, reading)
        if not isinstance(result, Exception):
            for function_name, function in functions:
                _check_function(name, function_name, function, outputs, reading)
            return reading
        first = first or result
    assert first is not None
    _pass_on(first, "y", name)
    got, mend = f"shape {y.shape} of {y.dtype}", first_line(first)
    if is_classes(y, outputs):
        rows = Struct(outputs.shape, dtype)
        if not isinstance(_result("loss", loss, outputs, rows), Exception):
            mend = f"It takes a row a sample: pass jax.nn.one_hot(y, {outputs.shape[-1]})."
    fail(name, got, f"The loss cannot compare that with outputs of {_shape(outputs)}. {mend}")


def is_classes(y: np.ndarray | Array, outputs: Any) -> bool:
    """Whether labels (n,) meet outputs (n, K)."""
    shape = getattr(outputs, "shape", ())
    return len(shape) > 1 and shape[-1] > 1 and y.shape == shape[:-1]


def is_one_hot(y: np.ndarray | Array, outputs: Any) -> bool:
    """Whether targets are one-hot rows, as many as there are outputs."""
    if y.ndim < 2 or y.shape[-1] < 2 or y.shape != getattr(outputs, "shape", ()):
        return False
    y = np.asarray(y)
    return bool(np.all((y == 0) | (y == 1)) and np.all(np.sum(y, axis=-1) == 1))


def _readings(name: str, y: np.ndarray | Array, outputs: Any, dtype: Any) -> Iterator[Array]:
    """What the targets may mean, the likeliest first."""
    whole, truth = (jnp.issubdtype(y.dtype, kind) for kind in (jnp.integer, jnp.bool_))
    if is_classes(y, outputs) and (whole or truth):
        yield read_classes(name, y, outputs.shape[-1])
    elif whole and y.shape != getattr(outputs, "shape", ()):
        yield _whole_or_floating(y, dtype)
    else:
        yield jnp.asarray(y, dtype)
        if is_classes(y, outputs) and np.all(np.asarray(y) == np.round(np.asarray(y))):
            yield read_classes(name, y, outputs.shape[-1])
        if is_one_hot(y, outputs):
            yield jnp.asarray(np.argmax(np.asarray(y), axis=-1).astype(np.int32))


def read_classes(name: str, y: np.ndarray | Array, K: int) -> Array:
    """Labels that number K classes from 0.

    Raises:
        ValueError: if one is negative or above K − 1, or truth values meet more than two classes.
    """
    y = np.asarray(y)
    if y.dtype == bool and K != 2:
        fail(name, "truth values", f"The module tells {K} classes apart: number them from 0.")
    least, most = y.min(), y.max()
    if least < 0 or most >= K:
        mend = f"The module tells {K} classes apart: number them from 0 to {K - 1}"
        mend += ": pass y - 1." if least == 1 and most == K else "."
        fail(name, f"classes from {least:g} to {most:g}", mend)
    return jnp.asarray(y.astype(np.int32))


def _result(argument: str, function: Loss, outputs: Any, y: Any) -> Any:
    """What a function makes of outputs and targets, as shapes; or its error."""
    try:
        return jax.eval_shape(function, outputs, y)
    except JAXTypeError:
        fail(argument, _name(function), "It looks at values: write it with jax.numpy.")
    except UNDONE as error:
        return error


def _check_function(name: str, argument: str, function: Loss, outputs: Any, y: Array) -> None:
    """A loss or metric that is a scalar, and compares each sample with its own target."""
    result = _result(argument, function, outputs, y)
    if isinstance(result, Exception):
        mend = f"It cannot compare y of shape {y.shape} with outputs of {_shape(outputs)}. "
        fail(argument, _name(function), mend + first_line(result))
    shape = getattr(result, "shape", None)
    if shape != () or not (jnp.issubdtype(result.dtype, jnp.floating) or argument != "loss"):
        got = type(result).__name__ if shape is None else f"shape {shape} of {result.dtype}"
        fail(argument, f"{_name(function)}, which returns {got}", "Return a mean, a scalar.")
    if not hasattr(outputs, "shape") or y.shape == outputs.shape:
        return
    mend = f"The module gives {outputs.shape}, which would be broadcast: pass y of that shape."
    given, meant = y.shape[1:], outputs.shape[1:]  # such as () and (1,)
    alike = y.size == outputs.size
    if alike and _pairs(function, outputs, given) and not _pairs(function, outputs, meant):
        fail(name, f"shape {y.shape}", mend)
    n, axes = len(y), (*outputs.shape[1:], *y.shape[1:])
    if n == 1 or n in axes:  # what fits by chance
        other = [Struct((1 + max((n, *axes)), *a.shape[1:]), a.dtype) for a in (outputs, y)]
        if isinstance(_result(argument, function, *other), Exception):
            fail(name, f"shape {y.shape}", mend)


def _pairs(function: Loss, outputs: Any, target: tuple[int, ...]) -> bool:
    """Whether a function makes a number for each pair of samples on its way."""
    n = 1_000_003  # a number that is no layer's size
    like = [Struct((n, *shape), outputs.dtype) for shape in (outputs.shape[1:], target)]
    try:
        return f"{n},{n}" in str(jax.make_jaxpr(function)(*like))
    except UNDONE:
        return False


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _shape(outputs: Any) -> str:
    shapes = [str(leaf.shape) for leaf in jax.tree.leaves(outputs)]
    return f"shape {', '.join(shapes)}"
