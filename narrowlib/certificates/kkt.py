"""The KKT certificate: a check at one point that bounds its loss by its stationarity."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_number
from narrowlib.certificates.base import (
    Certificate,
    certified_problem,
    least_singular_value,
)
from narrowlib.certificates.kkt_theory import kkt_hypotheses, stationarity_bound
from narrowlib.constraints.base import Constraint, Product, as_product
from narrowlib.network.activations import Activation
from narrowlib.network.jacobian import vjp
from narrowlib.network.linearization import lipschitz_in_W
from narrowlib.network.model import Params, forward, half_mean_square

# the arrays of a set that lie in a file under their own names; others get the part's name behind
OWN_NAMES = {"W": ("center", "radius", "per_neuron"), "v": ("zeta", "kappa", "axis", "half_angle")}
FEASIBLE = 1e-9  # a violation up to this, relative to the size of the weights, is rounding


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class KKTCertificate(Certificate):
    r"""How nearly a point is stationary on the feasible set, and what that says of its loss.

    Args:
        samples: n.
        neurons: m.
        loss: ½ mean squared error.
        residual: ‖r‖ = ‖F − y‖.
        violation: the distance from the feasible set.
        stationarity_W: dist(−∇_W ℓ, normal cone of W's set).
        stationarity_v: dist(−∇_v ℓ, normal cone of v's set).
        multiplier: λ ≥ 0 of the ball, 0 inside; a list per neuron; largest λ in `explain`.
        ray: ⟨∇_v ℓ, v⟩, at least 0 at KKT points of a set that αv cannot leave.
        distance: ‖W − W₀‖; None where W's set is no ball.
        start_output: ‖F(W₀, v)‖, zero for mirrored networks.
        sigma_min: the least singular value of J, with a bound on its error taken off.
        lipschitz: L(v), the Lipschitz constant of J in W.
        sets: the kinds of the two sets, by name: W and v.
        hypotheses: the KKT theorem's, one by one, true or false.
        radius: ε; None where W's set is no ball.
        guaranteed_radius: the ε under which the KKT theorem covers every KKT point; None where the
            theorem does not speak of such sets.
        residual_bound: ‖Jᵀr‖/σ_min, which ‖r‖ cannot exceed.
        loss_bound: the same for the loss.
        stationarity_bound: what ‖r‖ cannot exceed by near-stationarity alone; infinite where
            that bound is void. It is never below `residual_bound`.
        target_loss: the loss bound that the verdict asks for.
        verdict: "nearly global", "not stationary", "inconclusive" or "infeasible".
    """

    kind: ClassVar[str] = "kkt"
    samples: int
    neurons: int
    loss: float
    residual: float
    violation: float
    stationarity_W: float
    stationarity_v: float
    multiplier: Any
    ray: float
    distance: float | None
    start_output: float | None
    sigma_min: float
    lipschitz: float
    sets: dict[str, str]
    hypotheses: dict[str, bool]
    radius: float | None
    guaranteed_radius: float | None
    residual_bound: float
    loss_bound: float
    stationarity_bound: float
    target_loss: float

    @property
    def theorem_applies(self) -> bool:
        """Whether every hypothesis of the KKT theorem holds, so that all KKT points are global."""
        return all(self.hypotheses.values())

    def explain(self) -> str:
        """The certificate read aloud: what was checked, and what follows."""
        largest = max(np.ravel(self.multiplier), default=0.0)
        place = (
            "W's set is no ball."
            if self.distance is None or self.radius is None
            else f"‖W − W₀‖ = {self.distance:.4g} of ε = {self.radius:.4g}"
            + (f", on the sphere, λ = {largest:.2e}." if largest > 0 else ", inside.")
        )
        guaranteed = (
            "not defined here"
            if self.guaranteed_radius is None
            else f"{self.guaranteed_radius:.2e}"
        )
        missing = [name for name, holds in self.hypotheses.items() if not holds]
        theorem = "all hold" if not missing else "not met: " + "; ".join(missing)
        by_stationarity = self.stationarity_bound**2 / (2 * self.samples)
        ending = {
            "nearly global": "So this point is nearly a global minimiser.",
            "not stationary": "So the point is not stationary enough: run longer.",
            "inconclusive": "So the bound does not apply at this point: nothing follows.",
            "infeasible": "So the point is not feasible: project it first.",
        }[self.verdict]
        return "\n".join(
            [
                f"{self.neurons} {self.activation} neurons, {self.samples} samples, "
                f"loss {self.loss:.2e}.",
                f"Feasible? It violates the constraints by {self.violation:.1e}.",
                f"Stationary? −∇ℓ misses the normal cone by {self.stationarity_W:.1e} in W and "
                f"{self.stationarity_v:.1e} in v.",
                f"Where? {place}",
                f"Rank? σ_min(J) = {self.sigma_min:.2e}; J changes at rate {self.lipschitz:.2e}.",
                f"The KKT theorem's hypotheses: {theorem} (guaranteed ε: {guaranteed}).",
                f"The bound at this point: loss ≤ {self.loss_bound:.2e} (by stationarity alone "
                f"≤ {by_stationarity:.2e}); asked for: {self.target_loss:.2e}.",
                ending,
            ]
        )


def kkt_certificate(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    constraint: Product,
    *,
    activation: str | Activation = "tanh",
    target_loss: float | None = None,
    allow_float32: bool = False,
) -> KKTCertificate:
    r"""Bound the loss of a point by how nearly it is a KKT point of the constrained problem.

    Write $J^\top r = -\lambda \Delta + \delta$ with $\Delta = W - W_0$, λ ≥ 0, and
    $\rho = \max(0, -\langle r, F \rangle)$, which is 0 where v cannot improve along its ray. Then

    $$\|r\| \le \frac{2 e \|\delta\| + \rho}{\sigma e - \tfrac12 L e^2 - \|F(W_0, v)\|},
      \qquad e = \|\Delta\|,\ \sigma = \sigma_{\min}(J),$$

    wherever λ > 0 and the denominator is positive: being nearly stationary *on the set* is enough.
    (With a ball per neuron, one e in each term is the least ‖Δ_j‖ with λ_j > 0.) Nothing is
    assumed of ε beforehand. At a computed point $\|r\| \le \|J^\top r\| / \sigma$ is known too. It
    is never larger, since the proof of the first bound passes through it, so the verdict uses it.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        constraint: the feasible set, the same `Product` that the trainer received.
        activation: a name of `activations()` or an `Activation`.
        target_loss: the loss bound to ask for; `None` for a millionth of the loss of F = 0.
        allow_float32: answer in single precision too.

    Returns:
        A `KKTCertificate`; its `explain()` is its reading.

    Raises:
        ValueError: if shapes do not match, an entry is not finite, the constraint is no
            `Product`, or in float32 unless allowed.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     X = jax.random.normal(jax.random.key(0), (12, 8))
        ...     y = jax.random.rademacher(jax.random.key(1), (12,), float)
        ...     start = nl.mirrored_lecun(jax.random.key(2), d=8, m=4)
        ...     C = nl.Product(W=nl.Ball(start.W, radius=1.0), v=nl.PairedCone(zeta=0.1, kappa=2))
        ...     solver = nl.ProjectedGradient(C, ray_scaling=True)
        ...     sol = solver.run(start, X, y, max_steps=5000, tol=1e-7)
        ...     cert = nl.kkt_certificate(sol.params, X, y, C)
        >>> cert.verdict, cert.loss <= cert.loss_bound < 1e-6
        ('nearly global', True)

    References:
        The KKT theorem and its version for approximate KKT points (ours).
    """
    params, X, y, sigma = certified_problem(params, X, y, activation, allow_float32)
    constraint = as_product(constraint)
    F = forward(params, X, activation=sigma)
    r, n = F - y, X.shape[0]
    if target_loss is None:
        target_loss = 1e-6 * float(half_mean_square(y))
    check_number("target_loss", target_loss, minimum=0)
    gradient = Params(
        W=vjp(params, X, r, activation=sigma) / n, v=sigma.fn(X @ params.W.T).T @ r / n
    )
    facts = _place(params, X, constraint, gradient, sigma)
    s, L = least_singular_value(params, X, sigma), float(lipschitz_in_W(params, X, sigma))
    bound = n * facts["gradient"] / s if s > 0 else math.inf
    by_stationarity = stationarity_bound(facts, float(jnp.sum(r * F)), s, L, n)
    loss_bound = bound**2 / (2 * n)
    violation = float(constraint.violation(params))
    size = float(jnp.sqrt(jnp.sum(params.W**2) + jnp.sum(params.v**2)))
    if violation > FEASIBLE * (1 + size):
        verdict = "infeasible"
    elif loss_bound <= target_loss:
        verdict = "nearly global"
    else:
        # without rays ρ says nothing about stationarity
        speaks = by_stationarity < math.inf and constraint.v.scalable
        verdict = "not stationary" if speaks else "inconclusive"
    hypotheses, guaranteed = kkt_hypotheses(params, X, constraint, sigma)
    return KKTCertificate(
        arrays=_arrays(params, X, y, constraint),
        activation=sigma.name,
        samples=n,
        neurons=params.W.shape[0],
        loss=float(half_mean_square(r)),
        residual=float(jnp.linalg.norm(r)),
        violation=violation,
        stationarity_W=facts["delta"],
        stationarity_v=float(constraint.v.normal_cone_residual(params.v, gradient.v)),
        multiplier=facts["multiplier"].tolist(),
        ray=float(jnp.sum(gradient.v * params.v)),
        distance=facts["distance"],
        start_output=facts["start_output"],
        sigma_min=s,
        lipschitz=L,
        sets={name: _kind(getattr(constraint, name)) for name in Params._fields},
        hypotheses=hypotheses,
        radius=facts["radius"],
        guaranteed_radius=guaranteed,
        residual_bound=bound,
        loss_bound=loss_bound,
        stationarity_bound=by_stationarity,
        target_loss=target_loss,
        verdict=verdict,
    )


def _place(
    params: Params, X: Array, constraint: Product, gradient: Params, sigma: Activation
) -> dict[str, Any]:
    """Where W lies in its set, and what the ball leaves of the gradient there."""
    facts: dict[str, Any] = {
        "gradient": float(jnp.linalg.norm(gradient.W)),
        "delta": float(constraint.W.normal_cone_residual(params.W, gradient.W)),
        "multiplier": np.zeros(()),
        "distance": None,
        "start_output": None,
        "radius": None,
        "least_move": None,
    }
    if (ball := constraint.W.as_ball()) is not None:
        rows = jnp.linalg.norm(params.W - ball.center, axis=1)
        multiplier = np.asarray(ball.multiplier(params.W, gradient.W))
        start = forward(Params(ball.center, params.v), X, activation=sigma)
        distance = float(jnp.linalg.norm(rows))
        pushing = np.asarray(rows)[multiplier > 0] if ball.per_neuron else []
        least = float(min(pushing)) if len(pushing) else distance
        facts |= {
            "multiplier": multiplier,
            "distance": distance,
            "start_output": float(jnp.linalg.norm(start)),
            "radius": float(ball.radius),
            "least_move": least,
        }
    return facts


def _kind(part: Constraint) -> str:
    return (part.describe() or (type(part).__name__, {}))[0]


def _arrays(params: Params, X: Array, y: Array, constraint: Product) -> dict[str, np.ndarray]:
    arrays: dict[str, Any] = {"X": X, "y": y, "W": params.W, "v": params.v}
    for part, own in OWN_NAMES.items():
        for name, value in (getattr(constraint, part).describe() or ("", {}))[1].items():
            arrays[name if name in own else f"{name}_{part}"] = value
    return {name: np.asarray(value) for name, value in arrays.items()}
