"""What the KKT theorem and its version for approximate KKT points say, as arithmetic."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib.activations import Activation
from narrowlib.certificates import least_singular_value, lipschitz_in_W
from narrowlib.cones import CircularCone, PairedCone
from narrowlib.constraints import Ball, Product
from narrowlib.model import Params
from narrowlib.projections import paired_part


def stationarity_bound(facts: dict[str, Any], r_dot_F: float, s: float, L: float, n: int) -> float:
    """What ‖r‖ cannot exceed by near-stationarity alone; infinite where the bound is void."""
    if s == 0:
        return math.inf
    if not np.any(facts["multiplier"] > 0):
        return n * facts["gradient"] / s
    e, a = facts["distance"], facts["least_move"]
    denominator = s * a - 0.5 * L * e**2 - facts["start_output"]
    numerator = n * facts["delta"] * (a + e) + max(0.0, -r_dot_F)
    return numerator / denominator if denominator > 0 else math.inf


def kkt_hypotheses(
    params: Params, X: Array, constraint: Product, sigma: Activation
) -> tuple[dict[str, bool], float | None]:
    """The KKT theorem's hypotheses about the feasible set, and the radius that it allows."""
    ball, cone, m = constraint.W, constraint.v, params.W.shape[0]
    half, mirrored = m // 2, False
    if isinstance(ball, Ball):
        mirrored = m % 2 == 0 and bool(jnp.all(ball.center[:half] == ball.center[half:]))
    hypotheses = {
        "smooth activation": sigma.smooth,
        "W in a ball": isinstance(ball, Ball),
        "mirrored start": mirrored,
        "v in a paired or a circular cone": isinstance(cone, PairedCone | CircularCone),
        "ζ > 0": isinstance(cone, PairedCone | CircularCone) and float(cone.zeta) > 0,
    }
    guaranteed = None
    if mirrored and isinstance(ball, Ball) and sigma.smooth:
        least, fastest = None, None
        if isinstance(cone, PairedCone):
            signs = jnp.concatenate([jnp.ones(half, X.dtype), -jnp.ones(half, X.dtype)])
            unit = Params(ball.center, signs)
            least = start = least_singular_value(unit, X, sigma)
            fastest = float(cone.kappa) * lipschitz_in_W(unit, X, sigma)
            hypotheses["full rank at the start"] = start > 0
        if isinstance(cone, CircularCone):
            start, least, fastest = _in_circular_cone(ball.center, X, cone, sigma)
            hypotheses["full rank at the start"] = start > 0
            hypotheses["full rank in the whole cone"] = least > 0
        if least is not None and fastest is not None:
            scale = math.sqrt(m) + m / 2 if ball.per_neuron else 1.5
            guaranteed = max(least, 0.0) / (scale * fastest)
            hypotheses["ε under the guaranteed radius"] = float(ball.radius) < guaranteed
    return hypotheses, guaranteed


def _in_circular_cone(
    center: Array, X: Array, cone: CircularCone, sigma: Activation
) -> tuple[float, float, float]:
    r"""σ_min at the axis, a lower bound of it over the cone at height 1, and L over it likewise.

    At height 1 the cone holds $(A_0 + E; -A_0 - E)$ with $\|E\| \le \|A_0\| \tan\theta$. J is
    linear in V, and the norm of $J(W_0, (E; -E))$ is at most
    $\sqrt2\, \|E\| \max_j \|\mathrm{diag}(\sigma'(X w_j))\, X\|$.
    """
    axis = jnp.asarray(cone.axis, X.dtype)
    at_axis = Params(center, axis)
    half = paired_part(axis)
    spread = float(jnp.linalg.norm(half)) * math.tan(float(cone.half_angle))
    slopes = sigma.derivative(X @ center.T)
    largest = max(float(jnp.linalg.norm(column[:, None] * X, 2)) for column in slopes.T)
    start = least_singular_value(at_axis, X, sigma)
    sizes = jnp.linalg.norm(half.reshape(half.shape[0], -1), axis=1)
    longest = float(jnp.max(sizes))
    rate = lipschitz_in_W(at_axis, X, sigma) / longest
    return start, start - math.sqrt(2) * spread * largest, rate * (longest + spread)
