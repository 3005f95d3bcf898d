r"""What a constraint set says of itself, and the sets without a shape: `Free`, `Fixed`, `Product`.

Nothing outside this package asks of which class a set is. It asks the set: for the nearest point
(`project`), how far a point is from it (`violation`), and how nearly a gradient is balanced by its
normal cone (`normal_cone_residual`). The last rests on `tangent`, the projection of a direction on
the tangent cone: by Moreau's decomposition what the tangent cone leaves of −∇ℓ is the nearest
element of the normal cone, and its length is dist(−∇ℓ, N(x)).

All are pytrees whose numbers are leaves, so that a sweep may `vmap` over radii. A face of the set
counts as active at x when x is within √eps of it, relative to size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib._checks import check_finite, fail, float_array, is_concrete, shown
from narrowlib.constraints.lengths import length
from narrowlib.constraints.own import answers_in_kind, ensure_pytree
from narrowlib.constraints.pytrees import frozen_pytree
from narrowlib.constraints.theory import BetweenBalls as BetweenBalls
from narrowlib.constraints.theory import CrossSection as CrossSection
from narrowlib.network.model import Params, check_pair

if TYPE_CHECKING:
    from narrowlib.constraints.ball import Ball

PROJECTS = ("project", "tangent", "violation")  # whoever changes one of them makes another set
DESCRIBES = ("describe", "as_ball", "between", "cross_section", "is_free", "is_fixed")


def tolerance(x: Array) -> Array:
    """How near, relative to its size, a point must be to a face to count as on it."""
    return jnp.sqrt(jnp.finfo(x.dtype).eps).astype(x.dtype)


class Constraint:
    r"""A closed convex set, described by itself.

    A set of one's own is a subclass with `project`. That is enough for `ConstrainedTrainer`,
    `ProjectedGradient` and `projected`. With `tangent` it knows stationary points, with `scalable`
    and `least_scale` the ray of output weights; `describe` is for a set that `verifier.py` knows
    too. A subclass need not be decorated: the arrays and sets among its attributes are leaves of a
    pytree, all else about it is fixed when a program is compiled. With `frozen_pytree` numbers are
    leaves too.

    A subclass that changes `project`, `tangent` or `violation` must describe itself anew.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> class Box(nl.Constraint):
        ...     def __init__(self, top):
        ...         self.top = top
        ...
        ...     def project(self, x):
        ...         return jnp.clip(x, -self.top, self.top)
        >>> float(Box(0.5).violation(jnp.array([3.5, 4.5])))
        5.0
    """

    scalable: ClassVar[bool] = False  # whether αx stays in the set for every large enough α
    is_free: ClassVar[bool] = False  # whether it is the whole space: nothing is asked
    is_fixed: ClassVar[bool] = False  # whether it is one point: nothing moves

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError(f"{cls.__name__}() takes no arguments")
        ensure_pytree(cls, lambda value: isinstance(value, Constraint))
        return object.__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "project" in vars(cls):
            cls.project = answers_in_kind(cls.project)  # pyright: ignore[reportAttributeAccessIssue]
        if any(name in vars(cls) for name in PROJECTS):
            for name in set(DESCRIBES) - set(vars(cls)):
                setattr(cls, name, vars(Constraint)[name])

    def project(self, x: Array) -> Array:
        """The nearest point of the set, in x's shape and precision."""
        self._lacks("no projection: write its method project(x)")

    def tangent(self, x: Array, direction: Array) -> Array:
        """The nearest element of the tangent cone at x (a point of the set) to a direction."""
        self._lacks("no tangent cone: write its method tangent(x, direction)")

    def least_scale(self, x: Array) -> Array:
        """The least α for which αx lies in the set, where every larger α does too."""
        self._lacks("no rays: ask only a set that is scalable, and has a method least_scale(x)")

    def violation(self, x: Array) -> Array:
        """The Euclidean distance from x to the set; its gradient is 0 inside, up to rounding."""
        x = float_array("x", x, None)
        distance = length(x - self.project(x))
        rounding = 32 * jnp.finfo(x.dtype).eps.astype(distance.dtype) * length(x)
        return jnp.where(distance <= rounding, jax.lax.stop_gradient(distance), distance)

    def normal_cone_residual(self, x: Array, gradient: Array) -> Array:
        """dist(−gradient, N(x)): zero exactly where x is stationary on the set."""
        return length(self.tangent(x, -float_array("gradient", gradient, None)))

    def as_ball(self) -> Ball | None:
        """The set as a `Ball` of matrices with neuron j in row j, if it is one.

        It may be one ball or one a neuron: see its `per_neuron`.
        """
        return None

    def between(self) -> BetweenBalls | None:
        """Two balls around a start that the set lies between: what the KKT theorem asks of W's set.

        A ball a neuron contains one of its own radius, and lies in one that is √m times as large.
        """
        ball = self.as_ball()
        if ball is None:
            return None
        radius = float(ball.radius)
        outer = radius * math.sqrt(ball.center.shape[0]) if ball.per_neuron else radius
        return BetweenBalls(ball.center, radius, outer)

    def cross_section(self, m: int) -> CrossSection | None:
        """For m output weights, where the set is a cone of the KKT theorem."""
        return None

    def describe(self) -> tuple[str, dict[str, Any]] | None:
        """The set for a certificate's file: its kind and arrays, as `verifier.py` knows them."""
        return None

    def _lacks(self, what: str) -> NoReturn:
        fail("constraint", type(self).__name__, f"It has {what}.")


def check_constraint(name: str, value: Any) -> Constraint:
    """A set, and not a class of sets or a rule that makes one."""
    if not isinstance(value, Constraint):
        fail(name, shown(value), "Pass a constraint such as Ball, PairedCone or Free().")
    return value


def point_and_direction(x: Any, direction: Any) -> tuple[Array, Array]:
    """The checked arguments of `tangent`."""
    x = float_array("x", x, None)
    direction = float_array("direction", direction, None, whole=x.dtype).astype(x.dtype)
    if direction.shape != x.shape:
        fail("direction", f"shape {direction.shape}", f"The point has shape {x.shape}.")
    check_finite("x", x)
    check_finite("direction", direction)
    return x, direction


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
    is_free: ClassVar[bool] = True

    def project(self, x: Array) -> Array:
        return x

    def tangent(self, x: Array, direction: Array) -> Array:
        return point_and_direction(x, direction)[1]

    def least_scale(self, x: Array) -> Array:
        return jnp.asarray(-jnp.inf, float_array("x", x, None).dtype)

    def describe(self) -> tuple[str, dict[str, Any]]:
        return "Free", {}


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


@frozen_pytree()
class Fixed(Constraint):
    """The set of one point: what it holds does not move.

    Args:
        value: the point; a shape that broadcasts to the parameter's is enough.

    Raises:
        ValueError: if the value is no array of finite numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> nl.Fixed(jnp.ones(2)).project(jnp.zeros(2)).tolist()
        [1.0, 1.0]
    """

    value: Array
    is_fixed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float_array("value", self.value, None))
        check_finite("value", self.value)

    def project(self, x: Array) -> Array:
        if not _broadcasts(self.value.shape, x.shape):
            fail("value", f"shape {self.value.shape}", f"The parameter has shape {x.shape}.")
        return jnp.broadcast_to(self.value, x.shape).astype(x.dtype)

    def tangent(self, x: Array, direction: Array) -> Array:
        return jnp.zeros_like(point_and_direction(x, direction)[1])

    def describe(self) -> tuple[str, dict[str, Any]]:
        return "Fixed", {"fixed": self.value}


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
        check_constraint("W", self.W)
        check_constraint("v", self.v)

    def project(self, params: Params) -> Params:
        """The nearest feasible parameters."""
        params = check_pair(params)
        return Params(W=self.W.project(params.W), v=self.v.project(params.v))

    def violation(self, params: Params) -> Array:
        """The Euclidean distance from the parameters to the set; see `Constraint.violation`."""
        params = check_pair(params)
        return length(jnp.stack([self.W.violation(params.W), self.v.violation(params.v)]))

    def normal_cone_residual(self, params: Params, gradient: Params) -> Array:
        """dist(−gradient, N(params)): zero exactly at KKT points."""
        params, gradient = check_pair(params), check_pair(gradient, "gradient")
        pairs = ((self.W, params.W, gradient.W), (self.v, params.v, gradient.v))
        return length(jnp.stack([part.normal_cone_residual(x, g) for part, x, g in pairs]))


def as_product(constraint: Any) -> Product:
    """A `Product` from one, or from the sets of a `OneHiddenLayer` by path.

    Args:
        constraint: a `Product`, or a mapping such as `trainer.sets(net)` gives it, with sets for
            "W" and "v"; what is missing is `Free()`.

    Returns:
        The `Product`.

    Raises:
        ValueError: if it is neither, or holds another path.
    """
    if isinstance(constraint, Product):
        return constraint
    if not isinstance(constraint, Mapping):
        got = type(constraint).__name__ if is_concrete(constraint) else shown(constraint)
        mend = "Pass a narrowlib.Product, or sets by path: {'W': …, 'v': …}."
        fail("constraint", got, mend)
    for path in constraint:
        if path not in Params._fields:
            fail("constraint", repr(path), "The parameters of this network are W and v.")
    return Product(**{name: constraint.get(name, Free()) for name in Params._fields})
