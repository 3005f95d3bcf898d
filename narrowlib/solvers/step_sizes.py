"""Rules for the step size of projected gradient: a number, a schedule, or backtracking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Array

from narrowlib._checks import check_int, check_number, fail, shown
from narrowlib.constraints.pytrees import frozen_pytree


@frozen_pytree("max_trials")
class Backtracking:
    r"""Armijo's rule along the projection arc.

    A step of size η from x to $x^+ = P(x - \eta \nabla\ell)$ is taken once
    $\ell(x^+) \le \ell(x) - c\, \|x^+ - x\|^2 / \eta$. Until then η shrinks; the next search
    starts from a larger one than was taken last.

    Args:
        initial: the first η tried, above 0.
        shrink: the factor after a rejected trial, in (0, 1).
        grow: the factor after an accepted step, at least 1.
        decrease: $c$ in (0, 1), the share of the predicted decrease that must be there.
        max_trials: how many trials before the solver stops with `step_too_small`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> import narrowlib as nl
        >>> nl.Backtracking(initial=0.5).shrink
        0.5

    References:
        Bertsekas (1976), "On the Goldstein–Levitin–Polyak gradient projection method".
    """

    initial: Any = 1.0
    shrink: Any = 0.5
    grow: Any = 2.0
    decrease: Any = 1e-4
    max_trials: int = 60

    def __post_init__(self) -> None:
        check_number("initial", self.initial, above=0)
        check_number("shrink", self.shrink, above=0, below=1)
        check_number("grow", self.grow, minimum=1)
        check_number("decrease", self.decrease, above=0, below=1)
        object.__setattr__(self, "max_trials", check_int("max_trials", self.max_trials, 1))


@frozen_pytree()
class Constant:
    """The same step size at every step. Solvers make it from a plain number."""

    value: Any

    def at(self, step: Array) -> Any:
        return self.value


@frozen_pytree("schedule")
class Scheduled:
    """A step size for each step, from an Optax schedule. Solvers make it from a callable."""

    schedule: Callable[..., Any]

    def at(self, step: Array) -> Any:
        return self.schedule(step)


def as_rule(step_size: Any) -> Backtracking | Constant | Scheduled:
    """Read a step size given as a number, a schedule or a `Backtracking`."""
    if isinstance(step_size, Backtracking | Constant | Scheduled):
        return step_size
    if isinstance(step_size, type | str) or step_size is None:
        fail("step_size", shown(step_size), "Pass a number, a schedule or Backtracking().")
    if callable(step_size):
        return Scheduled(step_size)
    return Constant(check_number("step_size", step_size, above=0))
