"""Constraint sets as objects: the trainer and the certificate receive the same one.

Each set knows three things: the nearest point (`project`), how far a point is from it
(`violation`), and how nearly a gradient is balanced by its normal cone
(`normal_cone_residual`). The last rests on `tangent`, the projection of a direction on the
tangent cone: by Moreau's decomposition what the tangent cone leaves of −∇ℓ is the nearest
element of the normal cone, and its length is dist(−∇ℓ, N(x)).

All are frozen dataclasses and pytrees whose numbers are leaves, so that a sweep may `vmap` over
radii. A face of the set counts as active at x when x is within √eps of it, relative to size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_number, fail, float_array, is_concrete
from narrowlib.constraints.projections import project_ball
from narrowlib.network.model import Params

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True)
def frozen_pytree(*meta: str) -> Callable[[Class], Class]:
    """Make a class a frozen dataclass whose fields are pytree leaves, but for the static ones.

    JAX rebuilds it without calling `__init__`: what a user passes is checked, what a
    transformation passes through (tracers, batches, placeholders) is not.
    """

    def decorate(cls: Class) -> Class:
        cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
        data = [field.name for field in dataclasses.fields(cls) if field.name not in meta]

        def flatten(self: Any) -> tuple[list, tuple]:
            leaves = [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in data]
            return leaves, tuple(getattr(self, name) for name in meta)

        def unflatten(static: tuple, leaves: Iterable[Any]) -> Any:
            self = object.__new__(cls)
            for name, value in zip((*data, *meta), (*leaves, *static), strict=True):
                object.__setattr__(self, name, value)
            return self

        jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
        return cls

    return decorate


def tolerance(x: Array) -> Array:
    """How near, relative to its size, a point must be to a face to count as on it."""
    return jnp.sqrt(jnp.finfo(x.dtype).eps).astype(x.dtype)


class Constraint:
    """A closed convex set; what the sets of this library have in common."""

    scalable: ClassVar[bool] = False  # whether αx stays in the set for every large enough α

    def project(self, x: Array) -> Array:
        """The nearest point of the set."""
        raise TypeError(f"{type(self).__name__} has no projection")

    def tangent(self, x: Array, direction: Array) -> Array:
        """The nearest element of the tangent cone at x (a point of the set) to a direction."""
        raise TypeError(f"{type(self).__name__} has no tangent cone")

    def least_scale(self, x: Array) -> Array:
        """The least α for which αx lies in the set, where every larger α does too."""
        raise TypeError(f"{type(self).__name__} holds no rays")

    def violation(self, x: Array) -> Array:
        """The Euclidean distance from x to the set, in x's units."""
        return jnp.linalg.norm(x - self.project(x))

    def normal_cone_residual(self, x: Array, gradient: Array) -> Array:
        """dist(−gradient, N(x)): zero exactly where x is stationary on the set."""
        return jnp.linalg.norm(self.tangent(x, -gradient))


@frozen_pytree()
class Free(Constraint):
    """No constraint.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> float(nl.Free().violation(jnp.ones(3)))
        0.0
    """

    scalable: ClassVar[bool] = True

    def project(self, x: Array) -> Array:
        return x

    def tangent(self, x: Array, direction: Array) -> Array:
        return direction

    def least_scale(self, x: Array) -> Array:
        return jnp.asarray(-jnp.inf, x.dtype)


@frozen_pytree()
class Fixed(Constraint):
    """The set of one point: what it holds does not move.

    Args:
        value: the point.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> nl.Fixed(jnp.ones(2)).project(jnp.zeros(2)).tolist()
        [1.0, 1.0]
    """

    value: Array

    def project(self, x: Array) -> Array:
        return jnp.broadcast_to(self.value, x.shape).astype(x.dtype)

    def tangent(self, x: Array, direction: Array) -> Array:
        return jnp.zeros_like(direction)


@frozen_pytree("per_neuron")
class Ball(Constraint):
    r"""Hidden weights within ε of the start: $\|W - W_0\|_F \le \varepsilon$, or row by row.

    Args:
        center: $W_0$, shape (m, d).
        radius: $\varepsilon \ge 0$.
        per_neuron: one ball for each row instead of one for the whole matrix.

    Raises:
        ValueError: if the radius is negative or the center is not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> ball = nl.Ball(center=jnp.zeros((2, 2)), radius=1.0)
        >>> W = jnp.array([[0.6, 0.0], [0.0, 0.8]])
        >>> pull = -3.0 * W  # a gradient that points straight inwards is balanced by the sphere
        >>> round(float(ball.normal_cone_residual(W, pull)), 6)
        0.0
        >>> round(float(ball.multiplier(W, pull)), 6)
        3.0

    References:
        The KKT theorem.
    """

    center: Array
    radius: Any
    per_neuron: bool = False

    def __post_init__(self) -> None:
        if is_concrete(self.center):
            float_array("center", self.center, (1, 2))
            if not np.all(np.isfinite(np.asarray(self.center))):
                fail("center", "entries that are NaN or infinite", "Pass a finite center.")
        check_number("radius", self.radius, minimum=0)

    @property
    def _axis(self) -> int | None:
        return -1 if self.per_neuron else None

    def _active(self, delta: Array) -> Array:
        norm = jnp.linalg.norm(delta, axis=self._axis, keepdims=True)
        return norm >= self.radius * (1 - tolerance(delta))

    def project(self, x: Array) -> Array:
        return project_ball(x, center=self.center, radius=self.radius, per_neuron=self.per_neuron)

    def multiplier(self, x: Array, gradient: Array) -> Array:
        """λ ≥ 0 with −gradient ≈ λ (x − center), 0 inside: a scalar, or (m,) per neuron."""
        delta = x - self.center
        square = jnp.sum(delta**2, axis=self._axis, keepdims=True)
        push = jnp.sum(-gradient * delta, axis=self._axis, keepdims=True)
        at_center = square == 0  # a ball of radius 0: every gradient is balanced, see tangent
        multiplier = jnp.where(at_center, 0, jnp.maximum(push, 0) / jnp.where(at_center, 1, square))
        multiplier = jnp.where(self._active(delta), multiplier, 0)
        return multiplier[..., 0] if self.per_neuron else multiplier.reshape(())

    def tangent(self, x: Array, direction: Array) -> Array:
        multiplier = self.multiplier(x, -direction)
        multiplier = multiplier[..., None] if self.per_neuron else multiplier
        rest = direction - multiplier * (x - self.center)
        return jnp.where(jnp.asarray(self.radius) == 0, 0, rest)


@frozen_pytree()
class Product:
    """The feasible set of a network: one constraint on W, one on v.

    Args:
        W: a constraint on the hidden weights, usually a `Ball`.
        v: a constraint on the output weights, usually a `PairedCone` or a `CircularCone`.

    Raises:
        ValueError: if one of the two is not a `Constraint`.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> start = nl.mirrored_lecun(jax.random.key(0), d=3, m=4)
        >>> C = nl.Product(W=nl.Ball(start.W, radius=0.5), v=nl.PairedCone(zeta=0.1, kappa=2))
        >>> float(C.violation(start))
        0.0
    """

    W: Constraint
    v: Constraint

    def __post_init__(self) -> None:
        for name, part in (("W", self.W), ("v", self.v)):
            if not isinstance(part, Constraint):
                fail(name, repr(part), "Pass a constraint such as Ball, PairedCone or Free().")

    def project(self, params: Params) -> Params:
        """The nearest feasible parameters."""
        return Params(W=self.W.project(params.W), v=self.v.project(params.v))

    def violation(self, params: Params) -> Array:
        """The Euclidean distance from the parameters to the set."""
        return jnp.hypot(self.W.violation(params.W), self.v.violation(params.v))

    def normal_cone_residual(self, params: Params, gradient: Params) -> Array:
        """dist(−gradient, N(params)): zero exactly at KKT points."""
        return jnp.hypot(
            self.W.normal_cone_residual(params.W, gradient.W),
            self.v.normal_cone_residual(params.v, gradient.v),
        )
