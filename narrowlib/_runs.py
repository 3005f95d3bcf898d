"""Where a function runs: on the host only, under `jit`, or under `jit` and `grad`.

One decorator says it, gives the message where it is used otherwise, and leaves the word for the
library reference.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import jax
import jax.core
import jax.numpy as jnp

from narrowlib._checks import fail, is_traced

Function = TypeVar("Function", bound=Callable[..., Any])
Where = Literal["host", "jit", "jit and grad"]
MEANING = {
    "host": "on the host only: it looks at values, so it cannot be traced",
    "jit": "under `jax.jit` and `jax.vmap`, not under `jax.grad`",
    "jit and grad": "under `jax.jit`, `jax.vmap` and `jax.grad`",
}


def runs(where: Where) -> Callable[[Function], Function]:
    """Say where a function runs, and refuse in words what it cannot do.

    Args:
        where: "host", "jit" (and `vmap`), or "jit and grad".

    Returns:
        A decorator; the function carries the word as `runs`.
    """

    def decorate(function: Function) -> Function:
        name = function.__qualname__
        parameters = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if is_traced((args, kwargs)):
                given = dict(zip(parameters, args, strict=False)) | kwargs
                traced = [argument for argument, value in given.items() if is_traced(value)]
                if where == "host":
                    mend = f"Call {name} outside of jit, vmap and grad: it looks at values."
                    fail(traced[0] if traced else name, "traced values", mend)
                mend = (
                    "It stops where its values tell it to: differentiate a fixed number of steps."
                )
                args, kwargs = without_derivative((args, kwargs), name, mend)
            return function(*args, **kwargs)

        checked.runs = where  # pyright: ignore[reportAttributeAccessIssue]
        if where == "jit and grad":  # nothing to refuse: no detour
            function.runs = where  # pyright: ignore[reportFunctionMemberAccess]
            return function
        return checked  # pyright: ignore[reportReturnType]

    return decorate


def without_derivative(tree: Any, name: str, mend: str) -> Any:
    """The same values; whoever asks for a derivative in them is told what to do instead."""
    return jax.tree.map(lambda x: _no_grad(x, name, mend), tree)


def _no_grad(x: Any, name: str, mend: str) -> Any:
    """The same value, whose derivative is asked for in vain."""
    if not isinstance(x, jax.core.Tracer) or not jnp.issubdtype(x.dtype, jnp.floating):
        return x

    @jax.custom_jvp
    def same(x: Any) -> Any:
        return x

    @same.defjvp
    def refuse(primals: Any, tangents: Any) -> Any:
        fail(name, "a derivative to take", mend)

    return same(x)
