"""What the KKT theorem and its version for approximate KKT points say, as arithmetic."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import JAXTypeError
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.certificates.rounding import AGAIN, point, rank_and_rate
from narrowlib.constraints.base import Constraint, Product
from narrowlib.constraints.lengths import length
from narrowlib.constraints.theory import BetweenBalls, CrossSection
from narrowlib.network.activations import Activation
from narrowlib.network.linearization import Linearization
from narrowlib.network.model import Params


class Place(NamedTuple):
    """Where W lies in its set, and what the set leaves of the gradient there.

    Args:
        gradient: ‖∇_W ℓ‖.
        delta: dist(−∇_W ℓ, normal cone of W's set).
        multiplier: λ ≥ 0 of the ball, (m,) per neuron; 0 where there is none.
        distance: ‖W − W₀‖; None where W's set lies between no two balls, as the rest.
        start_output: ‖F(W₀, v)‖.
        off_start: how far that can be off.
        radius: ε of the ball inside of the set.
        least_move: how far W has moved at least where the set holds it: the least ‖Δ_j‖ with
            λ_j > 0, ‖Δ‖ with one ball, else ε; None where the set does not hold it.
    """

    gradient: float
    delta: float
    multiplier: np.ndarray
    distance: float | None = None
    start_output: float | None = None
    off_start: float = 0.0
    radius: float | None = None
    least_move: float | None = None


def between_balls(constraint: Constraint, params: Params) -> BetweenBalls | None:
    """The two balls that W's set names, if it names any, as numbers."""
    named = constraint.between()
    if named is None:
        return None
    center, inner, outer = named
    center = np.asarray(center)
    if center.shape != params.W.shape:
        mend = f"W has shape {params.W.shape}: its method between() must name a center like it."
        fail("constraint.W", f"a center of shape {center.shape}", mend)
    if not 0 <= inner <= outer < math.inf:
        mend = "Its method between() must name 0 ≤ inner ≤ outer."
        fail("constraint.W", f"radii {inner} and {outer}", mend)
    return BetweenBalls(jnp.asarray(center), float(inner), float(outer))


def place_in(
    constraint: Constraint,
    params: Params,
    X: Array,
    gradient: Array,
    sigma: Activation,
    left: OnSets,
) -> Place:
    """The `Place` of W in its set, the gradient of the loss in W being given."""
    delta, size, ball = left.rest_W, left.gradient_W, constraint.as_ball()
    between = between_balls(constraint, params)
    if between is None:
        return Place(size, delta, np.zeros(()))
    move = np.asarray(params.W) - np.asarray(between.center)
    distance = float(np.linalg.norm(move))
    multiplier, least = np.zeros(()), between.inner if delta < size else None
    if ball is not None:
        multiplier, least = np.asarray(_multiplier(ball, params.W, gradient)), None
        if np.any(multiplier > 0):
            rows = np.linalg.norm(move, axis=1)
            least = float(np.min(rows[multiplier > 0])) if ball.per_neuron else distance
    start = point(params._replace(W=between.center), X, sigma)
    F = start.outputs
    output, off = float(np.linalg.norm(F)), start.off_residual(F)
    return Place(size, delta, multiplier, distance, output, off, between.inner, least)


@jax.jit
def residual_and_gradient(at: Linearization, y: Array) -> tuple[Array, Params]:
    """R = F − y, and the gradient of the loss."""
    r = at.residual(y)
    return r, at.gradient(r)


class OnSets(NamedTuple):
    """What the two sets say of a point and a gradient.

    Args:
        violation_W: how far W is from its set.
        violation_v: how far v is from its.
        rest_W: dist(−∇_W ℓ, normal cone of W's set).
        rest_v: the same of v.
        gradient_W: ‖∇_W ℓ‖.
        ray: ⟨∇_v ℓ, v⟩.
    """

    violation_W: float
    violation_v: float
    rest_W: float
    rest_v: float
    gradient_W: float
    ray: float


def on_sets(constraint: Product, params: Params, gradient: Params) -> OnSets:
    """See `OnSets`; as one program, unless a set of one's own cannot be traced."""
    try:
        found = _on_sets_compiled(constraint, params, gradient)
    except (TypeError, JAXTypeError):
        found = _on_sets(constraint, params, gradient)
    return OnSets(*map(float, found))


def _on_sets(constraint: Product, params: Params, gradient: Params) -> tuple[Array, ...]:
    (W, v), (in_W, in_v) = params, gradient
    return (
        constraint.W.violation(W),
        constraint.v.violation(v),
        constraint.W.normal_cone_residual(W, in_W),
        constraint.v.normal_cone_residual(v, in_v),
        length(in_W),
        jnp.sum(in_v * v),
    )


_on_sets_compiled = jax.jit(_on_sets)
_multiplier = jax.jit(lambda ball, W, gradient: ball.multiplier(W, gradient))


class Rates(NamedTuple):
    """What a bound on ‖r‖ rests on beside the place of W.

    Args:
        s: a lower bound of σ_min(J).
        L: the Lipschitz constant of J in W.
        off_outputs: how far F can be off.
        off_pull: how far Jᵀr can be off.
    """

    s: float
    L: float
    off_outputs: float
    off_pull: float


def residual_bound(gradient: float, n: int, rates: Rates) -> float:
    """‖Jᵀr‖/σ_min, with what rounding adds to it and to r."""
    if rates.s == 0:
        return math.inf
    return (n * gradient + AGAIN * rates.off_pull) / rates.s + AGAIN * rates.off_outputs


def stationarity_bound(place: Place, ray: float, n: int, rates: Rates) -> float:
    """What ‖r‖ cannot exceed by near-stationarity alone; infinite where the bound is void.

    `ray` is ⟨∇_v ℓ, v⟩ = ⟨r, F⟩/n.
    """
    direct = residual_bound(place.gradient, n, rates)
    e, a, offset = place.distance, place.least_move, place.start_output
    if rates.s == 0 or e is None or a is None or offset is None:
        return direct
    offset += AGAIN * (place.off_start + rates.off_outputs)
    denominator = rates.s * a - 0.5 * rates.L * e**2 - offset
    numerator = (n * place.delta + AGAIN * rates.off_pull) * (a + e) + n * max(0.0, -ray)
    if not denominator > 0:
        return math.inf
    return max(numerator / denominator + AGAIN * rates.off_outputs, direct)


def kkt_hypotheses(
    params: Params, X: Array, constraint: Product, sigma: Activation
) -> tuple[dict[str, bool], float | None]:
    """The KKT theorem's hypotheses about the feasible set, and the radius that it allows.

    With a convex set between balls of radii ε and qε, and per unit of height at least s for
    σ_min(J) and at most L for its rate, it is s / (L q (1 + q/2)).
    """
    m = params.W.shape[0]
    between, section = between_balls(constraint.W, params), constraint.v.cross_section(m)
    half, mirrored = m // 2, False
    if between is not None:
        center = np.asarray(between.center)
        mirrored = m % 2 == 0 and bool(np.array_equal(center[:half], center[half:]))
    hypotheses = {
        "smooth activation": sigma.smooth,
        "W between two balls": between is not None,
        "ε > 0": between is not None and between.inner > 0,
        "mirrored start": mirrored,
        "v in a paired or a circular cone": section is not None,
        "ζ > 0": section is not None and float(section.height) > 0,
    }
    if between is None or section is None or not (mirrored and sigma.smooth):
        return hypotheses, None
    over = over_cone(between.center, X, section, sigma)
    hypotheses["full rank at the start"] = over.start > 0
    if section.spread > 0:
        hypotheses["full rank in the whole cone"] = over.least > 0
    ball = constraint.W.as_ball()
    if ball is not None:  # also of radius 0
        q = math.sqrt(m) if ball.per_neuron else 1.0
    else:
        q = between.outer / between.inner if between.inner > 0 else math.inf
    rate = over.rate
    if ball is not None and section.pairwise:  # the theorem's form without a bound on the ratio
        rate = rate / section.stretch
    # samples that are all zero have neither rank nor a rate
    guaranteed = over.least / (q * (1 + q / 2) * rate) if over.least > 0 else 0.0
    hypotheses["ε under the guaranteed radius"] = between.inner < guaranteed
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
    there = point(at, X, sigma)
    start, rate = rank_and_rate(there, at, X, sigma)
    least = start
    if section.spread > 0:
        largest = max(float(np.linalg.norm(row[:, None] * there.X, 2)) for row in there.slope)
        least = start - math.sqrt(2) * section.spread * largest
    return OverCone(start, least, rate * section.stretch)
