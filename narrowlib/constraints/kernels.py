"""Constraints on kernels that keep their neurons on another axis than the first.

The sets of this library read neuron j in row j, and rows j and j + m/2 as a pair. Flax stores the
neurons of a `Linear` or `Conv` layer on the kernel's last axis, and what they send to the next
layer on that layer's axis −2. `OfNeurons` looks at a kernel row by row; the rules make such a set
from the weights that a run starts with.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Shaped

from narrowlib._checks import check_int, check_number, fail
from narrowlib.constraints.base import Ball, Constraint, frozen_pytree
from narrowlib.constraints.cones import CircularCone


def neuron_rows(kernel: Array, axis: int, positions: int) -> Array:
    """A kernel as (m, rest), or as (m,) where nothing is left, with neuron j in row j."""
    kernel = jnp.moveaxis(kernel, axis, 0)
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
        if not isinstance(self.constraint, Constraint):
            fail("constraint", repr(self.constraint), "Pass a constraint such as Ball.")
        check_int("positions", self.positions, 1)

    def _rows(self, x: Array) -> Array:
        return neuron_rows(x, self.axis, self.positions)

    def _kernel(self, rows: Array, like: Array) -> Array:
        return from_neuron_rows(rows, like, self.axis, self.positions)

    def project(self, x: Array) -> Array:
        return self._kernel(self.constraint.project(self._rows(x)), x)

    def tangent(self, x: Array, direction: Array) -> Array:
        moved = self.constraint.tangent(self._rows(x), self._rows(direction))
        return self._kernel(moved, x)

    def least_scale(self, x: Array) -> Array:
        return self.constraint.least_scale(self._rows(x))


@dataclasses.dataclass(frozen=True)
class BallAroundStart:
    r"""A rule: the ball of this radius around whatever a kernel is when training starts.

    Args:
        radius: $\varepsilon \ge 0$, in the Frobenius norm.
        axis: the kernel's axis of neurons.
        per_neuron: one ball for each neuron instead of one for the kernel.

    Raises:
        ValueError: if the radius is negative.

    Example:
        >>> import jax.numpy as jnp
        >>> import narrowlib as nl
        >>> ball = nl.BallAroundStart(0.5)(jnp.zeros((3, 3, 1, 8)))  # a convolution's kernel
        >>> round(float(jnp.linalg.norm(ball.project(jnp.ones((3, 3, 1, 8))))), 6)
        0.5
    """

    radius: Any
    axis: int = -1
    per_neuron: bool = False

    def __post_init__(self) -> None:
        check_number("radius", self.radius, minimum=0)

    def __call__(self, start: Shaped[ArrayLike, "..."]) -> OfNeurons:
        """The set for a kernel that starts here."""
        # one ball for the whole kernel does not ask where the neurons are: no transpose a step
        axis = self.axis if self.per_neuron else 0
        center = neuron_rows(jnp.asarray(start), axis, 1)
        return OfNeurons(Ball(center, self.radius, per_neuron=self.per_neuron), axis)


@dataclasses.dataclass(frozen=True)
class ConeAroundStart:
    r"""A rule: the circular cone around the paired output weights that training starts with.

    Args:
        half_angle: $\theta$ in radians, $0 < \theta < \pi/2$.
        zeta: $\zeta \ge 0$, the least height along the start, in units of it.
        axis: the kernel's axis of neurons.
        positions: see `OfNeurons`.

    Raises:
        ValueError: if the angle or zeta is out of its range; when a run starts, if the kernel's
            halves are not (A; −A): make the start with `mirrored`.

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
    axis: int = -2
    positions: int = 1

    def __post_init__(self) -> None:
        check_number("half_angle", self.half_angle, above=0, below=float(jnp.pi / 2))
        check_number("zeta", self.zeta, minimum=0)

    def __call__(self, start: Shaped[ArrayLike, "..."]) -> OfNeurons:
        """The set for a kernel that starts here."""
        rows = neuron_rows(jnp.asarray(start), self.axis, self.positions)
        cone = CircularCone(rows, self.half_angle, self.zeta)
        return OfNeurons(cone, self.axis, self.positions)
