"""The KKT certificate: a check at one point that bounds its loss by its stationarity."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, ArrayLike, Float

from narrowlib._checks import check_bool, check_number, fail
from narrowlib._runs import runs
from narrowlib.certificates.base import Certificate
from narrowlib.certificates.kkt_theory import (
    OnSets,
    Rates,
    kkt_hypotheses,
    on_sets,
    place_in,
    residual_and_gradient,
    residual_bound,
    stationarity_bound,
)
from narrowlib.certificates.rounding import (
    check_range,
    checked_numbers,
    double_precision,
    in_double,
    point,
    rank_and_rate,
)
from narrowlib.certificates.sets import described
from narrowlib.constraints.base import Constraint, Product, as_product
from narrowlib.network.activations import Activation
from narrowlib.network.model import Params
from narrowlib.network.theory import check_theory_problem
from narrowlib.verifier import SETS

# a violation up to this, relative to the size of the weights, is rounding
FEASIBLE, FEASIBLE_IN_SINGLE = 1e-9, 2e-6


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
        distance: ‖W − W₀‖; None where W's set lies between no two balls.
        start_output: ‖F(W₀, v)‖, zero for mirrored networks.
        sigma_min: the least singular value of J, with a bound on its error taken off.
        lipschitz: L(v), the Lipschitz constant of J in W.
        sets: the kinds of the two sets, by name: W and v.
        hypotheses: the KKT theorem's, one by one, true or false.
        radius: ε of the ball, or of one inside of W's set; None where there is none.
        guaranteed_radius: the ε under which the KKT theorem covers every KKT point; None where the
            theorem does not speak of such sets.
        residual_bound: ‖Jᵀr‖/σ_min with rounding added, which ‖r‖ cannot exceed.
        loss_bound: the same for the loss.
        stationarity_bound: what ‖r‖ cannot exceed by near-stationarity alone; infinite where
            that bound is void. It is never below `residual_bound`.
        target_loss: the loss bound that the verdict asks for.
        verdict: "nearly global", "not stationary", "inconclusive" or "infeasible".
    """

    kind: ClassVar[str] = "kkt"
    verdicts: ClassVar[tuple[str, ...]] = (
        "nearly global", "not stationary", "inconclusive", "infeasible",
    )  # fmt: skip
    infinite: ClassVar[tuple[str, ...]] = (
        "lipschitz", "residual_bound", "loss_bound", "stationarity_bound",
    )  # fmt: skip
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

    def save(self, path: str | os.PathLike[str]) -> Path:
        for name, kind in self.sets.items():
            if kind not in SETS:
                mend = "verifier.py does not know that set: the file could not be checked."
                fail(f"sets[{name!r}]", repr(kind), mend)
        return super().save(path)

    @property
    def theorem_applies(self) -> bool:
        """Whether every hypothesis of the KKT theorem holds, so that all KKT points are global."""
        return all(self.hypotheses.values())

    def explain(self) -> str:
        """The certificate read aloud: what was checked, and what follows."""
        largest = max(np.ravel(self.multiplier), default=0.0)
        place = (
            "W's set lies between no two balls."
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
        by_stationarity = self.stationarity_bound * self.stationarity_bound / (2 * self.samples)
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


@runs("host")
def kkt_certificate(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    constraint: Product | Mapping[str, Constraint],
    *,
    activation: str | Activation = "tanh",
    target_loss: float | None = None,
    verifiable: bool = True,
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
        constraint: the feasible set: a `Product`, or the sets that a `ConstrainedTrainer` keeps
            around a `OneHiddenLayer`, `trainer.sets(net)`.
        activation: a name of `activations()` or an `Activation`.
        target_loss: the loss bound to ask for; `None` for a millionth of the loss of F = 0.
        verifiable: refuse a set that `verifier.py` does not know. With False a set of one's own
            will do, if it has a tangent cone; its certificate cannot be saved.
        allow_float32: take single precision too: its numbers are read as the exact ones they are,
            and all is computed in double.

    Returns:
        A `KKTCertificate`; its `explain()` is its reading.

    Raises:
        ValueError: if shapes do not match, an entry is not finite, the constraint is none or one
            that cannot be verified or has no tangent cone, or in float32 unless allowed.

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
    params, X, y, sigma = check_theory_problem(
        params, X, y, activation=activation, allow_float32=allow_float32
    )
    constraint = as_product(constraint)
    kinds, arrays = described(constraint, params, check_bool("verifiable", verifiable))
    arrays = {"X": X, "y": y, **params._asdict(), **arrays}
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    single = any(arrays[name].dtype.itemsize < 8 for name in Params._fields)
    check_range(**{name: value for name, value in arrays.items() if value.ndim})
    with double_precision():
        weights, samples, targets, sets = in_double((params, X, y, constraint))
        numbers, left = _numbers(weights, samples, targets, sets, sigma, target_loss)
        verdict = _verdict(numbers, left, sets.v.scalable, weights, single)
    return KKTCertificate(
        arrays=arrays, activation=sigma.name, sets=kinds, verdict=verdict, **numbers
    )


def _numbers(
    params: Params, X: Array, y: Array, constraint: Product, sigma: Activation, target: Any
) -> tuple[dict[str, Any], OnSets]:
    """All that a certificate claims but for words, and what the sets say."""
    there, n = point(params, X, sigma), X.shape[0]
    r, gradient = residual_and_gradient(there.at, y)
    residual, zero_loss = float(np.linalg.norm(r)), float(np.square(y).sum() / (2 * n))  # of F = 0
    loss = residual * residual / (2 * n)
    checked_numbers(loss=loss, zero_loss=zero_loss)
    target = 1e-6 * zero_loss if target is None else target
    check_number("target_loss", target, minimum=0)
    s, L = rank_and_rate(there, params, X, sigma)
    rates = Rates(s, L, there.off_residual(r), there.off_pull(r))
    left = on_sets(constraint, params, gradient)
    place = place_in(constraint.W, params, X, gradient.W, sigma, left)
    bound = residual_bound(place.gradient, n, rates)
    hypotheses, guaranteed = kkt_hypotheses(params, X, constraint, sigma)
    numbers = {
        "samples": n,
        "neurons": params.W.shape[0],
        "loss": loss,
        "residual": residual,
        "violation": math.hypot(left.violation_W, left.violation_v),
        "stationarity_W": place.delta,
        "stationarity_v": left.rest_v,
        "multiplier": place.multiplier.tolist(),
        "ray": left.ray,
        "distance": place.distance,
        "start_output": place.start_output,
        "sigma_min": s,
        "lipschitz": L,
        "hypotheses": hypotheses,
        "radius": place.radius,
        "guaranteed_radius": guaranteed,
        "residual_bound": bound,
        "loss_bound": bound * bound / (2 * n),
        "stationarity_bound": stationarity_bound(place, left.ray, n, rates),
        "target_loss": float(target),
    }
    finite = ("loss", "violation", "stationarity_W", "stationarity_v", "multiplier", "ray")
    checked_numbers(**{name: numbers[name] for name in finite})
    return numbers, left


def _verdict(
    numbers: dict[str, Any], left: OnSets, scalable: bool, params: Params, single: bool
) -> str:
    allowed = FEASIBLE_IN_SINGLE if single else FEASIBLE
    for violation, x in zip(left[:2], params, strict=True):
        if violation > allowed * (1 + float(np.linalg.norm(x))):
            return "infeasible"
    if numbers["loss_bound"] <= numbers["target_loss"]:
        return "nearly global"
    # without rays ρ says nothing about stationarity
    speaks = numbers["stationarity_bound"] < math.inf and scalable
    return "not stationary" if speaks else "inconclusive"
