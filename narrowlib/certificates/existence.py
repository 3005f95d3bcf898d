"""The existence certificate: a check at one point that proves an exact interpolant close by."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, overload

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from narrowlib._checks import check_bool
from narrowlib._runs import runs
from narrowlib.certificates.base import Certificate
from narrowlib.certificates.existence_proof import ExistenceProof, prove_existence
from narrowlib.certificates.many import MANY, Numbers, numbers_of_many
from narrowlib.certificates.rounding import (
    AGAIN,
    check_range,
    checked_numbers,
    double_precision,
    in_double,
    point,
    rank_and_rate,
)
from narrowlib.network.activations import Activation
from narrowlib.network.gram_factor import check_memory
from narrowlib.network.model import Params
from narrowlib.network.theory import check_theory_problem


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ExistenceCertificate(Certificate):
    r"""The lemma of the expressivity theorem at a point, with its numbers.

    If $h = L \|r\| / s^2 < \tfrac12$, then hidden weights within `radius` of these, with the same
    output weights, fit every target **exactly**.

    Args:
        samples: n.
        neurons: m.
        residual: ‖r‖ = ‖F − y‖, with a bound on its rounding error added.
        sigma_min: s, a lower bound of the least singular value of J. Up to 8,192 rows it is that
            value, with a bound on its error taken off; beyond, what the lemma needs, or 0.
        lipschitz: L, the Lipschitz constant of J in W; infinite where σ′ jumps.
        h: L ‖r‖ / s²; the lemma needs less than ½.
        radius: (s/L)(1 − √(1 − 2h)), at most 2‖r‖/s; infinite where h ≥ ½.
        verdict: "exists" or "inconclusive".
    """

    kind: ClassVar[str] = "existence"
    verdicts: ClassVar[tuple[str, ...]] = ("exists", "inconclusive")
    infinite: ClassVar[tuple[str, ...]] = ("lipschitz", "h", "radius")
    samples: int
    neurons: int
    residual: float
    sigma_min: float
    lipschitz: float
    h: float
    radius: float

    def explain(self) -> str:
        """The certificate read aloud: what was checked, and what follows."""
        lines = [
            f"{self.neurons} {self.activation} neurons, {self.samples} samples.",
            f"They miss the targets by ‖r‖ = {self.residual:.2e} in all, rounding included.",
            f"The Jacobian there has σ_min ≥ {self.sigma_min:.2e} and changes with W "
            f"at rate L = {self.lipschitz:.2e} at most.",
            f"h = L‖r‖/σ_min² = {self.h:.2e}; the lemma needs h < 1/2.",
        ]
        if self.verdict == "exists":
            lines.append(
                f"So exact interpolation is possible: hidden weights within {self.radius:.2e} "
                "of these fit every sample with no error at all."
            )
        else:
            lines.append(
                "So nothing follows. Reduce the residual first, or add neurons to raise σ_min."
            )
        return "\n".join(lines)


@overload
def existence_certificate(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    rigorous: Literal[False] = False,
    allow_float32: bool = False,
) -> ExistenceCertificate: ...
@overload
def existence_certificate(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    rigorous: Literal[True],
    allow_float32: bool = False,
) -> ExistenceProof: ...
@runs("host")
def existence_certificate(
    params: Params,
    X: Float[ArrayLike, "n d"],
    y: Float[ArrayLike, "n *K"],
    *,
    activation: str | Activation = "tanh",
    rigorous: bool = False,
    allow_float32: bool = False,
) -> ExistenceCertificate | ExistenceProof:
    r"""Check whether an exact interpolant exists near these weights.

    The lemma: let J have least singular value s at W and Lipschitz constant L. If
    $2 L \|r\| < s^2$, following $\dot W = -J^+ r$ ends at a W with $F = y$, no farther than
    $2\|r\|/s$ away. The residual and s are bounded with worst-case rounding errors of their
    sums; elementary functions and the eigenvalue routine are trusted to their usual accuracy.
    With `rigorous` nothing is: every number is enclosed by ball arithmetic, for the exact binary
    fractions in X, y, W and v, and the verdict "proved" is a theorem about them.

    With more than 8,192 rows (n times K) no spectrum is computed: one Cholesky factorisation, of
    n³/3 operations in 4 n² bytes, proves that s is as large as h = 0.4 asks for, or nothing.
    `verifier.py` does not read files of that size.

    Args:
        params: weights `W` (m, d) and `v` (m,) or (m, K).
        X: samples, shape (n, d).
        y: targets, shape (n,) or (n, K).
        activation: a name of `activations()` or an `Activation` with a finite `curvature`.
        rigorous: prove it: an `ExistenceProof`, for the registry's activations without `relu`.
            It needs python-flint, which `narrowlib[book]` installs.
        allow_float32: take single precision too: its numbers are read as the exact ones they are,
            and all is computed in double.

    Returns:
        An `ExistenceCertificate`, or an `ExistenceProof`; its `explain()` is its reading.

    Raises:
        ValueError: if shapes do not match, an entry is not finite, or in float32 unless allowed;
            with `rigorous`, if the activation has no version in ball arithmetic.
        ModuleNotFoundError: with `rigorous`, if python-flint is missing.

    Example:
        >>> import jax
        >>> import narrowlib as nl
        >>> with jax.enable_x64(True):
        ...     X = jax.random.normal(jax.random.key(0), (20, 5))
        ...     sol = nl.interpolate(X, X[:, 0] > 0, key=jax.random.key(1))
        ...     cert = nl.existence_certificate(sol.params, X, X[:, 0] > 0)
        >>> cert.verdict, cert.h < 1e-4
        ('exists', True)

    References:
        The expressivity theorem and its lemma; the argument is Newton–Kantorovich's.
    """
    params, X, y, sigma = check_theory_problem(
        params, X, y, activation=activation, allow_float32=allow_float32
    )
    if check_bool("rigorous", rigorous):
        return prove_existence(params, X, y, sigma)
    arrays = {name: np.asarray(x) for name, x in {"X": X, "y": y, **params._asdict()}.items()}
    check_range(**arrays)
    if y.size > MANY:
        check_memory("X", X, y.size // len(y))
    with double_precision():
        weights, samples, targets = in_double((params, X, y))
        many = y.size > MANY and sigma.smooth
        numbers = numbers_of_many if many else numbers_of_few
        residual, s, L = numbers(weights, np.asarray(samples), np.asarray(targets), sigma)
    checked_numbers(residual=residual)
    square = s * s
    h = L * residual / square if square > 0 and math.isfinite(L) else math.inf
    exists = h < 0.5
    # (s/L)(1 − √(1 − 2h)), in a form that does not cancel
    radius = 2 * residual / s / (1 + math.sqrt(1 - 2 * h)) if exists else math.inf
    return ExistenceCertificate(
        arrays=arrays,
        activation=sigma.name,
        samples=len(arrays["X"]),
        neurons=len(params.W),
        residual=residual,
        sigma_min=s,
        lipschitz=L,
        h=h,
        radius=radius,
        verdict="exists" if exists else "inconclusive",
    )


def numbers_of_few(params: Params, X: np.ndarray, y: np.ndarray, sigma: Activation) -> Numbers:
    """The same from the spectrum of J Jᵀ, which takes four n × n matrices."""
    there = point(params, jnp.asarray(X), sigma)
    r = there.outputs - y.reshape(len(X), -1)
    residual = float(np.linalg.norm(r)) + AGAIN * there.off_residual(r)
    return Numbers(residual, *rank_and_rate(there, params, jnp.asarray(X), sigma))
