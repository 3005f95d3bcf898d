"""What the KKT theorem and its version for approximate KKT points say, as arithmetic."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from narrowlib.certificates.base import rank_and_rate
from narrowlib.constraints.base import Constraint, CrossSection, Product
from narrowlib.constraints.lengths import length
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import linearize
from narrowlib.network.model import Params


class Place(NamedTuple):
    """Where W lies in its set, and what the set leaves of the gradient there.

    Args:
        gradient: ‖∇_W ℓ‖.
        delta: dist(−∇_W ℓ, normal cone of W's set).
        multiplier: λ ≥ 0 of the ball, (m,) per neuron; 0 where there is none.
        distance: ‖W − W₀‖; None where W's set is no ball, as the rest.
        start_output: ‖F(W₀, v)‖.
        radius: ε.
        least_move: the least ‖Δ_j‖ with λ_j > 0; with one ball ‖W − W₀‖.
    """

    gradient: float
    delta: float
    multiplier: np.ndarray
    distance: float | None = None
    start_output: float | None = None
    radius: float | None = None
    least_move: float | None = None


def place_in(
    constraint: Constraint, params: Params, X: Array, gradient: Array, sigma: Activation
) -> Place:
    """The `Place` of W in its set, the gradient of the loss in W being given."""
    delta = float(constraint.normal_cone_residual(params.W, gradient))
    size, ball = float(length(gradient)), constraint.as_ball()
    if ball is None:
        return Place(size, delta, np.zeros(()))
    move = params.W - ball.center
    distance = least = float(length(move))
    multiplier = np.asarray(ball.multiplier(params.W, gradient))
    if ball.per_neuron and np.any(multiplier > 0):
        least = float(np.min(np.linalg.norm(np.asarray(move), axis=1)[multiplier > 0]))
    start = linearize(params._replace(W=ball.center), X, sigma).outputs
    output = float(jnp.linalg.norm(start))
    return Place(size, delta, multiplier, distance, output, float(ball.radius), least)


def stationarity_bound(place: Place, r_dot_F: float, s: float, L: float, n: int) -> float:
    """What ‖r‖ cannot exceed by near-stationarity alone; infinite where the bound is void."""
    if s == 0:
        return math.inf
    e, a, offset = place.distance, place.least_move, place.start_output
    if e is None or a is None or offset is None or not np.any(place.multiplier > 0):
        return n * place.gradient / s
    denominator = s * a - 0.5 * L * e**2 - offset
    numerator = n * place.delta * (a + e) + max(0.0, -r_dot_F)
    return numerator / denominator if denominator > 0 else math.inf


def kkt_hypotheses(
    params: Params, X: Array, constraint: Product, sigma: Activation
) -> tuple[dict[str, bool], float | None]:
    """The KKT theorem's hypotheses about the feasible set, and the radius that it allows."""
    m = params.W.shape[0]
    ball, section = constraint.W.as_ball(), constraint.v.cross_section(m)
    half, mirrored = m // 2, False
    if ball is not None:
        mirrored = m % 2 == 0 and bool(jnp.all(ball.center[:half] == ball.center[half:]))
    hypotheses = {
        "smooth activation": sigma.smooth,
        "W in a ball": ball is not None,
        "mirrored start": mirrored,
        "v in a paired or a circular cone": section is not None,
        "ζ > 0": section is not None and float(section.height) > 0,
    }
    if ball is None or section is None or not (mirrored and sigma.smooth):
        return hypotheses, None
    over = over_cone(ball.center, X, section, sigma)
    hypotheses["full rank at the start"] = over.start > 0
    if section.spread > 0:
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


def over_cone(center: Array, X: Array, section: CrossSection, sigma: Activation) -> OverCone:
    r"""See `OverCone`.

    At height 1 the cone holds $v + (E; -E)$ with $\|E\| \le$ `spread`, up to entries that are
    larger, which only help. J is linear in v, and the norm of $J(W_0, (E; -E))$ is at most
    $\sqrt2\, \|E\| \max_j \|\mathrm{diag}(\sigma'(X w_j))\, X\|$.
    """
    at = Params(center, jnp.asarray(section.v, X.dtype))
    start, rate = rank_and_rate(at, X, sigma)
    least = start
    if section.spread > 0:
        slopes = sigma.derivative(X @ center.T)
        largest = max(float(jnp.linalg.norm(column[:, None] * X, 2)) for column in slopes.T)
        least = start - math.sqrt(2) * section.spread * largest
    return OverCone(start, least, rate * section.stretch)
