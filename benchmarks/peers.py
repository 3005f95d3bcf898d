"""SciPy's least squares and L-BFGS on the same losses, watched until they reach a goal."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

SECONDS = 120.0  # a call


class Done(Exception):
    """Raised inside a peer's callback when it has finished, or its two minutes are over."""


class Watch:
    """A peer's best loss, its evaluations and its clock, which starts when this is made."""

    def __init__(self, goal: float):
        self.begin, self.best, self.calls = time.perf_counter(), math.inf, 0
        self.goal = goal

    def saw(self, loss: float) -> None:
        """Count an evaluation; raise `Done` where it was the last."""
        self.best, self.calls = min(self.best, loss), self.calls + 1
        if self.best < self.goal or time.perf_counter() - self.begin > SECONDS:
            raise Done

    def report(self) -> dict[str, Any]:
        """What a peer's call answers."""
        took = time.perf_counter() - self.begin
        return {"loss": self.best, "evaluations": self.calls, "took": took}


def least_squares(start: Any, X: Any, y: Any, goal: float) -> Callable[[], dict[str, Any]]:
    """`scipy.optimize.least_squares` in W: trf, its exact solver, J dense and in closed form."""
    import jax
    import numpy as np
    import scipy.optimize

    import narrowlib as nl

    value = jax.jit(lambda W: nl.forward(start._replace(W=W), X) - y)
    matrix = jax.jit(lambda W: nl.jacobian(start._replace(W=W), X))
    shape = start.W.shape

    def slopes(flat: Any) -> Any:
        return np.asarray(matrix(flat.reshape(shape)))

    def call() -> dict[str, Any]:
        watch = Watch(goal)

        def residual(flat: Any) -> Any:
            r = np.asarray(value(flat.reshape(shape)))
            watch.saw(float(r @ r) / (2 * len(r)))
            return r

        first = np.asarray(start.W).ravel()
        # no tolerance of its own: Done ends it
        tight = {"xtol": None, "ftol": None, "gtol": 1e-15}
        with contextlib.suppress(Done):
            scipy.optimize.least_squares(
                residual, first, slopes, method="trf", tr_solver="exact", **tight
            )
        return watch.report()

    return call


def lbfgs(start: Any, X: Any, y: Any, goal: float) -> Callable[[], dict[str, Any]]:
    """SciPy's L-BFGS-B in W and v, with JAX's gradients."""
    import jax
    import jax.flatten_util
    import numpy as np
    from scipy.optimize import minimize

    import narrowlib as nl

    flat, restore = jax.flatten_util.ravel_pytree(start)
    value = jax.jit(jax.value_and_grad(lambda p: nl.loss(restore(p), X, y)))

    def call() -> dict[str, Any]:
        watch = Watch(goal)

        def function(p: Any) -> tuple[float, Any]:
            now, gradient = value(p)
            watch.saw(float(now))
            return float(now), np.asarray(gradient)

        options = {"maxiter": 10**6, "maxfun": 10**7, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
        with contextlib.suppress(Done):
            minimize(function, np.asarray(flat), jac=True, method="L-BFGS-B", options=options)
        return watch.report()

    return call
