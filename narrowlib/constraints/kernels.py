"""Constraints on kernels that keep their neurons on another axis than the first.

The sets of this library read neuron j in row j, and rows j and j + m/2 as a pair. Flax stores the
neurons of a `Linear` or `Conv` layer on the kernel's last axis, and what they send to the next
layer on that layer's axis −2. `OfNeurons` looks at a kernel row by row; the rules make such a set
from the weights that a run starts with, or the plain set where there is nothing to turn.

Where the neurons are. A rule with `axis=None` asks the module. A module says it by an attribute
`neuron_axes`, a mapping from the paths of its own parameters ("W", or "layer.kernel" for one of a
part) to the axis of neurons: `OneHiddenLayer` has `{"W": 0, "v": 0}`. `placed(rule, module, path)`
looks it up and returns `rule.at(axis)`, which is the rule itself where that has an axis of its own;
then `rule(start)` makes the set. Where nothing is said, a rule takes Flax's axes: −1 for the layer
that the neurons form, −2 for the one that reads them. Any other function of the start is a rule
too, and needs no `at`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Shaped

from narrowlib._checks import check_bool, check_int, check_number, fail, float_array
from narrowlib.constraints.ball import Ball
from narrowlib.constraints.base import (
    BetweenBalls,
    Constraint,
    CrossSection,
    check_constraint,
    frozen_pytree,
    point_and_direction,
)
from narrowlib.constraints.circular import CircularCone

AXES = 32  # more than any array has


def axis_of_neurons(module: Any, path: str) -> int | None:
    """Which axis of a parameter counts the neurons, if the module or a part of it says so."""
    keys, here = path.split("."), module
    for i, key in enumerate(keys):
        axes = getattr(here, "neuron_axes", None)
        rest = ".".join(keys[i:])
        if isinstance(axes, Mapping) and rest in axes:
            return check_int("neuron_axes", axes[rest], -AXES, AXES)
        here = _part(here, key)
    return None


def placed(rule: Any, module: Any, path: str) -> Any:
    """A rule that knows where the module keeps its neurons, if the module says so."""
    axis = axis_of_neurons(module, path)
    return rule if axis is None or not hasattr(rule, "at") else rule.at(axis)


def _part(module: Any, key: str) -> Any:
    try:
        return module[int(key)] if key.isdigit() else getattr(module, key, None)
    except (TypeError, KeyError, IndexError):
        return None


def _first_axis(kernel: Array, axis: int) -> int:
    """The axis, counted from the front."""
    if not -kernel.ndim <= axis < kernel.ndim:
        fail("axis", axis, f"The kernel has shape {kernel.shape}: pass one of its axes.")
    return axis % kernel.ndim


def neuron_rows(kernel: Array, axis: int, positions: int) -> Array:
    """A kernel as (m, rest), or as (m,) where nothing is left, with neuron j in row j."""
    kernel = jnp.moveaxis(kernel, _first_axis(kernel, axis), 0)
    if kernel.shape[0] % positions:
        fail(
            "positions",
            positions,
            f"Axis {axis} of the kernel has {kernel.shape[0]} entries: pass a divisor.",
        )
    kernel = kernel.reshape(positions, kernel.shape[0] // positions, -1)
    rows = jnp.moveaxis(kernel, 0, 1).reshape(kernel.shape[1], -1)
    return rows[:, 0] if rows.shape[1] == 1 else rows


def from_neuron_rows(rows: Array, like: Array, axis: int, positions: int) -> Array:
    """The inverse of `neuron_rows`: a kernel shaped like another."""
    front = jnp.moveaxis(like, axis, 0).shape
    split = jnp.moveaxis(rows.reshape(rows.shape[0], positions, -1), 1, 0)
    return jnp.moveaxis(split.reshape(front), 0, axis)


@frozen_pytree("axis", "positions")
class OfNeurons(Constraint):
    r"""A set for a kernel whose neurons lie on another axis, in any number of dimensions.

    Args:
        constraint: a set of arrays (m, rest), or (m,) where a neuron has one weight: a `Ball`,
            a `PairedCone` (one weight a neuron) or a `CircularCone`.
        axis: the kernel's axis of neurons: −1 for the layer that they form, −2 for the weights
            with which the next `Linear` or `Conv` layer reads them.
        positions: for a `Linear` layer that reads flattened images, how many places each of
            their channels has (height × width); 1 otherwise.

    Raises:
        ValueError: if `constraint` is none, or `positions` is no whole number.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> kernel = jnp.array([[3.0, 0.0], [4.0, 1.0]])  # (d, m): two neurons, in columns
        >>> ball = nl.Ball(jnp.zeros((2, 2)), radius=1.0, per_neuron=True)
        >>> print(nl.OfNeurons(ball).project(kernel).round(1))
        [[0.6 0. ]
         [0.8 1. ]]

    References:
        Chapter "Use it in your course".
    """

    constraint: Constraint
    axis: int = -1
    positions: int = 1

    def __post_init__(self) -> None:
        check_constraint("constraint", self.constraint)
        object.__setattr__(self, "axis", check_int("axis", self.axis, -AXES, AXES))
        object.__setattr__(self, "positions", check_int("positions", self.positions, 1))

    @property
    def scalable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.constraint.scalable

    @property
    def is_free(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.constraint.is_free

    @property
    def is_fixed(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.constraint.is_fixed

    def _rows(self, x: Array) -> Array:
        if x.size == 0:
            fail("x", f"shape {x.shape}", "Pass a kernel of at least one weight.")
        return neuron_rows(x, self.axis, self.positions)

    def _kernel(self, rows: Array, like: Array) -> Array:
        return from_neuron_rows(rows, like, self.axis, self.positions)

    def project(self, x: Array) -> Array:
        x = float_array("x", x, None)
        return self._kernel(self.constraint.project(self._rows(x)), x)

    def tangent(self, x: Array, direction: Array) -> Array:
        x, direction = point_and_direction(x, direction)
        moved = self.constraint.tangent(self._rows(x), self._rows(direction))
        return self._kernel(moved, x)

    def least_scale(self, x: Array) -> Array:
        return self.constraint.least_scale(self._rows(float_array("x", x, None)))

    def _plain(self) -> Constraint | None:
        """The same set of matrices (or vectors) without a layout, where there is one."""
        rows_first = self.axis in (0, -2)
        if self.positions == 1 and rows_first:
            return self.constraint
        ball = self.constraint.as_ball()
        if ball is None or ball.per_neuron or self.axis not in (0, 1, -1, -2):
            return self.constraint if self.is_free else None
        count, rest = (
            ball.center.shape[0] * self.positions,
            ball.center.size // ball.center.shape[0],
        )
        shape = (count, rest // self.positions)
        like = jnp.empty(shape if rows_first else shape[::-1])
        return Ball(self._kernel(ball.center, like), ball.radius)

    def as_ball(self) -> Ball | None:
        plain = self._plain()
        ball = None if plain is None else plain.as_ball()
        if ball is not None and ball.center.ndim == 1:  # neurons of one weight
            return Ball(ball.center[:, None], ball.radius, per_neuron=ball.per_neuron)
        return ball

    def between(self) -> BetweenBalls | None:
        plain = self._plain()
        return super().between() if plain is None else plain.between()

    def cross_section(self, m: int) -> CrossSection | None:
        plain = self._plain()
        return None if plain is None else plain.cross_section(m)

    def describe(self) -> tuple[str, dict[str, Any]] | None:
        plain = self._plain()
        return None if plain is None else plain.describe()


@dataclasses.dataclass(frozen=True)
class BallAroundStart:
    r"""A rule: the ball of this radius around whatever a kernel is when training starts.

    Args:
        radius: $\varepsilon \ge 0$, in the Frobenius norm.
        axis: the kernel's axis of neurons; None to ask the module, or −1.
        per_neuron: one ball for each neuron instead of one for the kernel.

    Raises:
        ValueError: if the radius is negative; when a run starts, if the kernel has no such axis.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> ball = nl.BallAroundStart(0.5)(jnp.zeros((3, 3, 1, 8)))  # a convolution's kernel
        >>> round(float(jnp.linalg.norm(ball.project(jnp.ones((3, 3, 1, 8))))), 6)
        0.5
    """

    radius: Any
    axis: int | None = None
    per_neuron: bool = False

    def __post_init__(self) -> None:
        check_number("radius", self.radius, minimum=0)
        _check_axis(self.axis)
        check_bool("per_neuron", self.per_neuron)

    def at(self, axis: int) -> BallAroundStart:
        """The same rule for neurons on this axis, unless it has an axis of its own."""
        return self if self.axis is not None else dataclasses.replace(self, axis=axis)

    def __call__(self, start: Shaped[ArrayLike, "..."]) -> Constraint:
        """The set for a kernel that starts here."""
        start = _start(start)
        axis = _first_axis(start, -1 if self.axis is None else self.axis)
        if axis == 0 or not self.per_neuron:  # one ball does not ask where the neurons are
            return Ball(start, self.radius, per_neuron=self.per_neuron)
        return OfNeurons(Ball(neuron_rows(start, axis, 1), self.radius, per_neuron=True), axis)


@dataclasses.dataclass(frozen=True)
class ConeAroundStart:
    r"""A rule: the circular cone around the paired output weights that training starts with.

    Args:
        half_angle: $\theta$ in radians, $0 < \theta < \pi/2$.
        zeta: $\zeta \ge 0$, the least height along the start, in units of it.
        axis: the kernel's axis of neurons; None to ask the module, or −2 (0 for a vector).
        positions: see `OfNeurons`.

    Raises:
        ValueError: if the angle or zeta is out of its range; when a run starts, if the kernel has
            no such axis, or its halves are not (A; −A): make the start with `mirrored`.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> start = jnp.array([[1.0, 2.0], [-1.0, -2.0]])  # (m, K): a pair, two outputs
        >>> cone = nl.ConeAroundStart(half_angle=0.1, zeta=0.5)(start)
        >>> print(cone.project(0.0 * start).round(3))
        [[ 0.5  1. ]
         [-0.5 -1. ]]
    """

    half_angle: Any
    zeta: Any = 0.0
    axis: int | None = None
    positions: int = 1

    def __post_init__(self) -> None:
        check_number("half_angle", self.half_angle, above=0, below=float(jnp.pi / 2))
        check_number("zeta", self.zeta, minimum=0)
        _check_axis(self.axis)
        check_int("positions", self.positions, 1)

    def at(self, axis: int) -> ConeAroundStart:
        """The same rule for neurons on this axis, unless it has an axis of its own."""
        return self if self.axis is not None else dataclasses.replace(self, axis=axis)

    def __call__(self, start: Shaped[ArrayLike, "..."]) -> Constraint:
        """The set for a kernel that starts here."""
        start = _start(start)
        axis = _first_axis(start, -min(start.ndim, 2) if self.axis is None else self.axis)
        if axis == 0 and self.positions == 1 and start.ndim <= 2:
            return CircularCone(start, self.half_angle, self.zeta)
        rows = neuron_rows(start, axis, self.positions)
        return OfNeurons(CircularCone(rows, self.half_angle, self.zeta), axis, self.positions)


def _check_axis(axis: Any) -> None:
    if axis is not None:
        check_int("axis", axis, -AXES, AXES)


def _start(start: Any) -> Array:
    start = float_array("start", start, None)
    if start.size == 0 or start.ndim == 0:
        fail("start", f"shape {start.shape}", "Pass the weights that a run starts with.")
    return start
