"""The existence certificate as a proof: every number enclosed by ball arithmetic (Arb)."""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import math
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array

from narrowlib._checks import fail
from narrowlib.certificates.base import Certificate
from narrowlib.certificates.rounding import checked_numbers
from narrowlib.network.activations import Activation, get_activation
from narrowlib.network.model import Params
from narrowlib.proof_verifier import P as PLACES

Arb = Any  # a flint.arb: a midpoint and a radius
Matrix = Any  # a flint.arb_mat

PRECISION = 128  # bits of every midpoint
SHARES = (0.99, 0.9, 0.5, 0.1, 0.01)  # of the computed λ_min, tried as shift
RESOLUTION = 2.0**-120  # residual bounds stay above it: the verifier's fixed point is absolute


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ExistenceProof(Certificate):
    r"""The lemma of the expressivity theorem at a point, proved by a finite computation.

    The numbers of an `ExistenceCertificate`, now as bounds that hold for the exact numbers. X, y,
    W and v stand for the binary fractions that they are. The file also holds a matrix M, `factor`,
    with

    $$J J^\top = M M^\top + t I + E, \qquad \|E\|_F \le \text{slack},$$

    so that $\sigma_{\min}(J)^2 \ge t - \text{slack}$, however M was found.

    Args:
        samples: n.
        neurons: m.
        residual: an upper bound of ‖r‖ = ‖F − y‖.
        sigma_min: a lower bound s of the least singular value of J.
        lipschitz: an upper bound L of the Lipschitz constant of J in W.
        h: an upper bound of L ‖r‖ / s²; the lemma needs less than ½.
        radius: an upper bound of (s/L)(1 − √(1 − 2h)); infinite where h ≥ ½.
        shift: t.
        slack: an upper bound of ‖E‖_F.
        verdict: "proved" or "inconclusive".
    """

    kind: ClassVar[str] = "existence proof"
    version: ClassVar[int] = 1
    verdicts: ClassVar[tuple[str, ...]] = ("proved", "inconclusive")
    infinite: ClassVar[tuple[str, ...]] = ("h", "radius")
    samples: int
    neurons: int
    residual: float
    sigma_min: float
    lipschitz: float
    h: float
    radius: float
    shift: float
    slack: float

    def explain(self) -> str:
        """The proof read aloud."""
        s = _three_digits(self.sigma_min, decimal.ROUND_FLOOR)
        residual, slack, L, h, radius = (
            _three_digits(bound, decimal.ROUND_CEILING)
            for bound in (self.residual, self.slack, self.lipschitz, self.h, self.radius)
        )
        lines = [
            f"{self.neurons} {self.activation} neurons, {self.samples} samples, taken as the exact "
            "binary fractions in this file.",
            f"1. They miss the targets by ‖r‖ ≤ {residual} in all.",
            f"2. J Jᵀ = M Mᵀ + t I + E with t = {self.shift:.4g} and ‖E‖ ≤ {slack}, "
            f"so σ_min(J) ≥ {s}.",
            f"3. J changes with W at rate L ≤ {L}.",
            f"4. h = L‖r‖/σ_min² ≤ {h}; the lemma needs h < 1/2.",
        ]
        if self.verdict == "proved":
            lines.append(
                f"So hidden weights within {radius} of these fit every sample with no error "
                "at all. ∎"
            )
        else:
            lines.append("So nothing is proved. Reduce the residual, or add neurons.")
        return "\n".join(lines)


def prove_existence(params: Params, X: Array, y: Array, sigma: Activation) -> ExistenceProof:
    """The proof for checked arguments; `existence_certificate(..., rigorous=True)` calls it."""
    _balls(sigma)  # errors first
    from flint import arb, arb_mat

    arrays = {"X": X, "y": y, "W": params.W, "v": params.v}
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in arrays.items():
        _check_places(name, value)
    exact = {name: arb_mat(_columns(value).tolist()) for name, value in arrays.items()}
    with _precision(PRECISION):
        value, slope, curvature = _balls(sigma)
        Z = exact["X"] * exact["W"].transpose()
        phi = arb_mat([[value(z) for z in row] for row in Z.tolist()])
        D = [[slope(z) for z in row] for row in Z.tolist()]
        residual = _norm((phi * exact["v"] - exact["y"]).entries())
        inner = exact["X"] * exact["X"].transpose()
        longest = _largest(inner[i, i] for i in range(inner.nrows())).sqrt()
        heaviest = _largest(_norm(row) for row in exact["v"].tolist())
        L = _upward(curvature * longest * _norm(inner.entries()).sqrt() * heaviest)
        R = max(_upward(residual), RESOLUTION)
        columns = exact["v"].transpose().tolist()
        features = [[b * c for b, c in zip(row, v, strict=True)] for row in D for v in columns]
        t, factor = _shifted_factor(inner, features)
        slack = _upward(_misfit(inner, features, arb_mat(factor.tolist()), arb(t)))
        square = arb(t) - arb(slack)
        s = _downward(square.sqrt()) if square > 0 else 0.0
        h = _upward(arb(L) * R / arb(s) ** 2) if s > 0 else math.inf
        proved = h < 0.5
        root = (1 - arb(L) * R / arb(s) ** 2 * 2).sqrt() if proved else arb(0)
        radius = _upward(2 * arb(R) / s / (1 + root)) if proved else math.inf
    checked_numbers(residual=R, lipschitz=L, slack=slack)
    return ExistenceProof(
        arrays=arrays | {"factor": factor},
        activation=sigma.name,
        samples=X.shape[0],
        neurons=params.W.shape[0],
        residual=R,
        sigma_min=s,
        lipschitz=L,
        h=h,
        radius=radius,
        shift=t,
        slack=slack,
        verdict="proved" if proved else "inconclusive",
    )


def _check_places(name: str, value: np.ndarray) -> None:
    """Refuse entries that `proof_verifier.py` does not read."""
    for x in np.ravel(value).tolist():
        places = x.as_integer_ratio()[1].bit_length() - 1
        if places > PLACES:
            mend = f"proof_verifier.py reads {PLACES}: scale the numbers up, or round them."
            fail(name, f"an entry {x!r} with {places} binary places", mend)


def _balls(sigma: Activation) -> tuple[Any, Any, Arb]:
    """σ, σ′ and sup |σ″| for balls, the last as the registry has it."""
    try:
        from flint import arb
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'rigorous: got True. It needs python-flint: pip install "narrowlib[book]".'
        ) from error

    def logistic(z: Arb) -> Arb:
        return 1 / (1 + (-z).exp())

    def Phi(z: Arb) -> Arb:
        return (1 + (z / arb(2).sqrt()).erf()) / 2

    def density(z: Arb) -> Arb:
        return (-z * z / 2).exp() / (2 * arb.pi()).sqrt()

    known = {
        "tanh": (arb.tanh, lambda z: z.sech() ** 2, 4 / (3 * arb(3).sqrt())),
        "softplus": (lambda z: z.exp().log1p(), logistic, arb(1) / 4),
        "sigmoid": (logistic, lambda z: logistic(z) * logistic(-z), arb(3).sqrt() / 18),
        "gelu": (lambda z: z * Phi(z), lambda z: Phi(z) + z * density(z), (2 / arb.pi()).sqrt()),
        "silu": (
            lambda z: z * logistic(z),
            lambda z: logistic(z) * (1 + z * logistic(-z)),
            arb(1) / 2,
        ),
        "square": (lambda z: z * z, lambda z: 2 * z, arb(2)),
    }
    # an activation of one's own may have the name of another
    if sigma.name not in known or sigma != get_activation(sigma.name):
        fail(
            "activation",
            repr(sigma.name),
            f"Ball arithmetic knows {', '.join(known)}, as they are in the registry. "
            "Choose one of them, or pass rigorous=False.",
        )
    return known[sigma.name]


@contextlib.contextmanager
def _precision(bits: int) -> Iterator[None]:
    from flint import ctx

    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def _columns(value: np.ndarray) -> np.ndarray:
    return value.reshape(value.shape[0], -1).astype(float)


def _norm(entries: Iterable[Arb]) -> Arb:
    """An upper bound; the ball of a square may reach below zero, so its upper end has the root."""
    from flint import arb

    return sum((x * x for x in entries), arb(0)).upper().sqrt()


def _largest(values: Iterable[Arb]) -> Arb:
    from flint import arb

    largest = arb(0)
    for x in values:
        largest = largest.max(x)
    return largest


def _shifted_factor(inner: Matrix, features: list[list[Arb]]) -> tuple[float, np.ndarray]:
    """A shift t just under λ_min(J Jᵀ) and a triangular M with M Mᵀ ≈ J Jᵀ − t I, in floats.

    Nothing is promised of either: their misfit is enclosed afterwards.
    """
    G = np.array([[float(x) for x in row] for row in inner.tolist()])
    B = np.array([[float(x) for x in row] for row in features])
    outputs = len(B) // len(G)
    K = np.kron(G, np.ones((outputs, outputs))) * (B @ B.T)
    least = float(np.linalg.eigvalsh(K)[0]) if np.all(np.isfinite(K)) else 0.0
    for share in SHARES if least > 0 else ():
        try:
            M = np.linalg.cholesky(K - share * least * np.eye(len(K)))
        except np.linalg.LinAlgError:
            continue
        # short integers for the verifier, and no more places than it reads
        grid = 2.0 ** max(math.frexp(np.abs(M).max())[1] - 53, -PLACES)
        shift = math.ldexp(math.floor(math.ldexp(share * least, PLACES)), -PLACES)
        return shift, np.rint(M / grid) * grid
    return 0.0, np.zeros_like(K)


def _misfit(inner: Matrix, features: list[list[Arb]], factor: Matrix, t: Arb) -> Arb:
    """‖J Jᵀ − M Mᵀ − t I‖_F."""
    from flint import arb, arb_mat

    B = arb_mat(features)
    BB, MM = B * B.transpose(), factor * factor.transpose()
    outputs, total = B.nrows() // inner.nrows(), arb(0)
    for a in range(B.nrows()):
        for b in range(a):
            total += 2 * (inner[a // outputs, b // outputs] * BB[a, b] - MM[a, b]) ** 2
        total += (inner[a // outputs, a // outputs] * BB[a, a] - MM[a, a] - t) ** 2
    return total.upper().sqrt()


def _upward(x: Arb) -> float:
    """A float above every number of the ball, by a unit in the last place and no more."""
    bound = float(x.upper())
    while not x <= bound:
        bound = math.nextafter(bound, math.inf) if bound < math.inf else math.nan
        if math.isnan(bound):
            return math.inf
    return math.nextafter(bound, math.inf)


def _downward(x: Arb) -> float:
    """A float below every number of the ball."""
    return -_upward(-x)


def _three_digits(bound: float, rounding: str) -> str:
    return f"{decimal.Context(prec=3, rounding=rounding).create_decimal_from_float(bound):.2e}"
