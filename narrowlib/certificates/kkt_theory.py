"""What the KKT theorem and its version for approximate KKT points say, as arithmetic."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib.certificates.base import least_singular_value
from narrowlib.constraints.base import Ball, Product
from narrowlib.constraints.cones import CircularCone, PairedCone
from narrowlib.constraints.projections import paired_part
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import lipschitz_in_W
from narrowlib.network.model import Params


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
    if not (mirrored and isinstance(ball, Ball) and sigma.smooth):
        return hypotheses, None
    if isinstance(cone, PairedCone):
        over = _over_paired_cone(ball.center, X, cone, sigma)
    elif isinstance(cone, CircularCone):
        over = _over_circular_cone(ball.center, X, cone, sigma)
    else:
        return hypotheses, None
    hypotheses["full rank at the start"] = over.start > 0
    if isinstance(cone, CircularCone):
        hypotheses["full rank in the whole cone"] = over.least > 0
    scale = math.sqrt(m) + m / 2 if ball.per_neuron else 1.5
    # samples that are all zero have neither rank nor a rate
    guaranteed = over.least / (scale * over.rate) if over.least > 0 else 0.0
    hypotheses["ε under the guaranteed radius"] = float(ball.radius) < guaranteed
    return hypotheses, guaranteed


class OverCone(NamedTuple):
    """The Jacobian at W₀ for all output weights of a cone that have height 1.

    Args:
        start: σ_min(J) at the cone's own output weights.
        least: a lower bound of σ_min(J) over the cone.
        rate: an upper bound of L(v) over the cone.
    """

    start: float
    least: float
    rate: float


def _over_paired_cone(center: Array, X: Array, cone: PairedCone, sigma: Activation) -> OverCone:
    half = jnp.ones(center.shape[0] // 2, X.dtype)
    unit = Params(center, jnp.concatenate([half, -half]))
    start = least_singular_value(unit, X, sigma)
    return OverCone(start, start, float(cone.kappa) * float(lipschitz_in_W(unit, X, sigma)))


def _over_circular_cone(center: Array, X: Array, cone: CircularCone, sigma: Activation) -> OverCone:
    r"""See `OverCone`.

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
    rate = float(lipschitz_in_W(at_axis, X, sigma)) / longest
    return OverCone(start, start - math.sqrt(2) * spread * largest, rate * (longest + spread))
