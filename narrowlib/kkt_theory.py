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
        "v in a paired cone": isinstance(cone, PairedCone),
        "ζ > 0": isinstance(cone, PairedCone | CircularCone) and float(cone.zeta) > 0,
    }
    guaranteed = None
    if mirrored and isinstance(ball, Ball) and isinstance(cone, PairedCone) and sigma.smooth:
        signs = jnp.concatenate([jnp.ones(half, X.dtype), -jnp.ones(half, X.dtype)])
        unit = Params(ball.center, signs)
        s1, L1 = least_singular_value(unit, X, sigma), lipschitz_in_W(unit, X, sigma)
        hypotheses["full rank at the start"] = s1 > 0
        scale = math.sqrt(m) + m / 2 if ball.per_neuron else 1.5
        guaranteed = s1 / (scale * float(cone.kappa) * L1)
        hypotheses["ε under the guaranteed radius"] = float(ball.radius) < guaranteed
    return hypotheses, guaranteed
