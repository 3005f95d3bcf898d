"""An optimiser's update as a program without its numbers, which others like it share.

`optax.adam(1e-3)` and `optax.adam(1e-2)` are different functions to JAX, which would compile a
training loop for each. Traced, they are the same operations on other constants. `without_numbers`
takes the floating-point constants out: what is left is compared operation by operation, and the
constants become arguments of the compiled loop.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

# rules for derivatives, which an update does not take
SAME = ("jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd")


class AsGiven:
    """An optimiser whose update is compiled with its constants: one that cannot be traced alone."""

    def __init__(self, optimizer: optax.GradientTransformationExtraArgs):
        self.optimizer = optimizer

    def __hash__(self) -> int:
        return hash(self.optimizer)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, AsGiven) and self.optimizer == other.optimizer

    def __call__(
        self, numbers: tuple, gradient: Any, opt_state: Any, params: Any, given: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Optax's update."""
        return self.optimizer.update(gradient, opt_state, params, **given)


class Pattern:
    """The operations of an update, with places for its numbers; equal where the operations are.

    Args:
        jaxpr: the update, traced.
        out_tree: how its outputs hang together.
        shape: the operations as a tuple, in which every number is a word.
    """

    def __init__(self, jaxpr: Jaxpr, out_tree: Any, shape: tuple):
        self.jaxpr, self.out_tree, self.shape = jaxpr, out_tree, shape
        self._hash = hash(shape)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Pattern) and self.shape == other.shape

    def __call__(
        self, numbers: tuple, gradient: Any, opt_state: Any, params: Any, given: dict[str, Any]
    ) -> tuple[Any, Any]:
        """The update with these numbers, operation by operation."""
        constants, rest = numbers
        values = dict(zip(self.jaxpr.constvars, constants, strict=True))
        args = jax.tree.leaves((gradient, opt_state, params))
        values.update(zip(self.jaxpr.invars, args, strict=True))
        rest = iter(rest)

        def read(atom: Any) -> Any:
            if not isinstance(atom, Literal):
                return values[atom]
            return next(rest) if _is_number(atom) else atom.val

        for equation in self.jaxpr.eqns:
            bound = equation.primitive.get_bind_params(equation.params)
            functions, options = bound if isinstance(bound, tuple) else ((), bound)  # before 0.10
            found = equation.primitive.bind(*functions, *map(read, equation.invars), **options)
            found = found if equation.primitive.multiple_results else [found]
            values.update(zip(equation.outvars, found, strict=True))
        return jax.tree.unflatten(self.out_tree, [read(atom) for atom in self.jaxpr.outvars])


def without_numbers(
    optimizer: optax.GradientTransformationExtraArgs, params: Any, opt_state: Any
) -> tuple[AsGiven | Pattern, tuple]:
    """An optimiser's update without its numbers, and the numbers.

    Optimisers that look at the loss, call back to Python, or cannot be traced by themselves keep
    their numbers: each of them is compiled by itself.
    """

    def update(gradient: Any, opt_state: Any, params: Any) -> tuple[Any, Any]:
        given = {"value": _NoLoss(), "grad": gradient, "value_fn": _NoLoss()}
        return optimizer.update(gradient, opt_state, params, **given)

    try:
        closed, shapes = jax.make_jaxpr(update, return_shape=True)(params, opt_state, params)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError):
        return AsGiven(optimizer), ()  # what is wrong is said where the loop is traced
    operations = _operations(closed.jaxpr)
    if operations is None:
        return AsGiven(optimizer), ()
    trees = (jax.tree.structure((params, opt_state)), jax.tree.structure(shapes))
    atoms = [atom for equation in closed.jaxpr.eqns for atom in equation.invars]
    found = [a for a in (*atoms, *closed.jaxpr.outvars) if _is_number(a)]
    numbers = tuple(jnp.asarray(a.val, _dtype(a)) for a in found)
    pattern = Pattern(closed.jaxpr, trees[1], (operations, *map(str, trees)))
    return pattern, (tuple(closed.consts), numbers)


class _NoLoss:
    """Stands for the loss where an update is traced alone: to compute with it is a TypeError."""


def _is_number(atom: Any) -> bool:
    return isinstance(atom, Literal) and jnp.issubdtype(_dtype(atom), jnp.floating)


def _dtype(atom: Any) -> Any:
    return atom.aval.dtype


def _operations(jaxpr: Jaxpr) -> tuple | None:
    """What is done to what, as words; None where words cannot say it."""
    names: dict[Any, int] = {}

    def word(atom: Any) -> tuple:
        if _is_number(atom):
            return "number", str(_dtype(atom))
        if isinstance(atom, Literal):
            return "literal", repr(atom.val), str(atom.aval)
        return names.setdefault(atom, len(names)), str(atom.aval)

    rows: list[tuple] = [tuple(map(word, (*jaxpr.constvars, *jaxpr.invars)))]
    for equation in jaxpr.eqns:
        if equation.effects or not all(map(_is_closed, _inner(equation))):
            return None
        options = tuple((name, str(value)) for name, value in sorted(equation.params.items()))
        if any(" at 0x" in text for name, text in options if name not in SAME):
            return None
        outputs = tuple(map(word, equation.outvars))
        rows.append((equation.primitive.name, tuple(map(word, equation.invars)), outputs, options))
    return (*rows, tuple(map(word, jaxpr.outvars)))


def _inner(equation: Any) -> list[Jaxpr]:
    """The programs that an operation calls."""
    found: list[Any] = []
    for value in equation.params.values():
        found.extend(value if isinstance(value, tuple | list) else [value])
    opened = (x.jaxpr if isinstance(x, ClosedJaxpr) else x for x in found)
    return [x for x in opened if isinstance(x, Jaxpr)]


def _is_closed(jaxpr: Jaxpr) -> bool:
    """Whether an inner program is what its text says: no constants, no effects, no callbacks."""
    inner = (j for equation in jaxpr.eqns for j in _inner(equation))
    return not jaxpr.constvars and not jaxpr.effects and all(map(_is_closed, inner))
