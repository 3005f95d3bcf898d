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


def residual_bound(
    facts: dict[str, Any], r_dot_F: float, s: float, L: float, n: int
) -> tuple[float, bool]:
    """The least bound on ‖r‖ that holds at the point, and whether any does."""
    bound = n * facts["gradient"] / s if s > 0 else math.inf
    if np.any(facts["multiplier"] > 0):
        e, a = facts["distance"], facts["least_move"]
        denominator = s * a - 0.5 * L * e**2 - facts["start_output"]
        if denominator > 0:
            numerator = n * facts["delta"] * (a + e) + max(0.0, -r_dot_F)
            return min(bound, numerator / denominator), True
        return bound, False
    return bound, s > 0


def kkt_hypotheses(
    params: Params, X: Array, constraint: Product, sigma: Activation
) -> tuple[dict[str, bool], float | None]:
    """The KKT theorem's hypotheses about the feasible set, and the radius that it allows."""
    ball, cone, m = constraint.W, constraint.v, params.W.shape[0]
    is_ball = isinstance(ball, Ball)
    mirrored = (
        is_ball and m % 2 == 0 and bool(jnp.all(ball.center[: m // 2] == ball.center[m // 2 :]))
    )
    hypotheses = {
        "smooth activation": sigma.smooth,
        "W in a ball": is_ball,
        "mirrored start": mirrored,
        "v in a paired cone": isinstance(cone, PairedCone),
        "ζ > 0": isinstance(cone, PairedCone | CircularCone) and float(cone.zeta) > 0,
    }
    guaranteed = None
    if mirrored and isinstance(cone, PairedCone) and sigma.smooth:
        signs = jnp.concatenate([jnp.ones(m // 2, X.dtype), -jnp.ones(m // 2, X.dtype)])
        unit = Params(ball.center, signs)
        s1, L1 = least_singular_value(unit, X, sigma), lipschitz_in_W(unit, X, sigma)
        hypotheses["full rank at the start"] = s1 > 0
        scale = math.sqrt(m) + m / 2 if ball.per_neuron else 1.5
        guaranteed = s1 / (scale * float(cone.kappa) * L1)
        hypotheses["ε under the guaranteed radius"] = float(ball.radius) < guaranteed
    return hypotheses, guaranteed
