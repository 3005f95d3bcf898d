"""Check an existence proof again, in whole numbers.

    python proof_verifier.py proof.npz

NumPy reads the arrays. From there on every number is one of Python's integers, read in units of
a power of 1/2, with a whole-number bound on its error. No floating point is computed with, no
elementary function of a library is called, and no code is shared with narrowlib or with Arb.
A file is accepted only if every number that it claims is implied by its data and its weights.
Exit status 0 for accepted, 1 for rejected.

What is proved: let R ≥ ‖F(W) − y‖, let s > 0 and s² ≤ λ_min(J Jᵀ), let L be a Lipschitz constant of
J, and h = L R / s² < 1/2. Then hidden weights within the smaller root ρ of s ρ − L ρ²/2 = R of W
fit every target exactly (the lemma "An exact fit close by" of the book).
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import zipfile
from fractions import Fraction
from operator import mul
from typing import Any

import numpy as np

Q = 384  # binary places of the elementary functions
P = 160  # binary places of their results, and the most that an entry of the file may have
MOST, LONGEST = 2**29, 2**24  # bytes of arrays, and of the header
NAMES = {"X", "y", "W", "v", "factor"}
TIGHT = Fraction(1, 10**6)  # h and the radius may be claimed too large by this share


class Rejected(Exception):
    """The file is not accepted, for the reason given."""


class Ball:
    """Every real number within r units of c units; a unit is 2^-Q."""

    __slots__ = ("c", "r")

    def __init__(self, c: int, r: int = 0):
        self.c, self.r = c, r

    def __neg__(self) -> Ball:
        return Ball(-self.c, self.r)

    def __add__(self, other: Ball) -> Ball:
        return Ball(self.c + other.c, self.r + other.r)

    def __sub__(self, other: Ball) -> Ball:
        return Ball(self.c - other.c, self.r + other.r)

    def __mul__(self, other: Ball) -> Ball:
        # |ab − a₀b₀| ≤ |a₀| r_b + |b₀| r_a + r_a r_b; each of the two floors is off by less than 1
        spread = abs(self.c) * other.r + abs(other.c) * self.r + self.r * other.r
        return Ball(self.c * other.c >> Q, (spread >> Q) + 2)

    def __truediv__(self, other: Ball) -> Ball:
        # |a/b − a₀/b₀| ≤ (b₀ r_a + |a₀| r_b) / (b₀ (b₀ − r_b)) for b₀ > r_b
        if other.c <= other.r:
            raise Rejected("arithmetic: a divisor may be zero")
        spread = other.c * self.r + abs(self.c) * other.r
        low = other.c * (other.c - other.r)
        return Ball((self.c << Q) // other.c, (spread << Q) // low + 2)

    def times(self, k: int) -> Ball:
        """The product with a whole number, without an error of its own."""
        return Ball(self.c * k, self.r * abs(k))

    def over(self, k: int) -> Ball:
        """The quotient by a positive whole number."""
        return Ball(self.c // k, self.r // k + 2)

    def wider(self, r: int) -> Ball:
        """The same centre and r units more around it."""
        return Ball(self.c, self.r + r)


ONE = Ball(1 << Q)


def log1p(p: Ball) -> Ball:
    """log(1 + p) = 2 atanh u with u = p / (2 + p), for 0 ≤ p ≤ 1, where u ≤ 1/3."""
    power = p / (ONE.times(2) + p)
    square, total, k = power * power, Ball(0), 1
    while power.c > 0:
        total, power, k = total + power.over(k), power * square, k + 2
    # what is left is at most u^k (1 + 1/9 + 1/81 + …) < 2 u^k, and u^k is at most power.r
    return total.wider(2 * power.r).times(2)


LN2 = log1p(ONE)


def exp(x: Ball) -> Ball:
    """e^x for x ≤ 0: x + k ln 2 lies in [0, ln 2), and its 512th part is put into the series."""
    k = -(x.c // LN2.c)
    if k > Q + 4:
        return Ball(0, 1)  # e^x < 2^-Q
    y = (x + LN2.times(k)).over(512)
    term, total, i = ONE, Ball(0), 1
    while term.c > 0:
        total, term, i = total + term, (term * y).over(i), i + 1
    total = total.wider(2 * term.r)  # the terms left at least halve, and the first is ≤ term.r
    for _ in range(9):
        total = total * total
    return total.over(1 << k)


def arctan_of_inverse(k: int) -> Ball:
    """arctan(1/k): an alternating series with falling terms."""
    power, total, i, sign = ONE.over(k), Ball(0), 1, 1
    while power.c > 0:
        total, power = total + power.over(i).times(sign), power.over(k * k)
        i, sign = i + 2, -sign
    return total.wider(power.r)  # an alternating series is off by its first term left out


PI = arctan_of_inverse(5).times(16) - arctan_of_inverse(239).times(4)
# the root's slope is below 1 above 1/4
ROOT_2PI = Ball(math.isqrt(2 * PI.c << Q), 2 * PI.r + 1)


def density(z: Ball) -> Ball:
    """The normal density e^{−z²/2} / √(2π)."""
    return exp(-(z * z).over(2)) / ROOT_2PI


def normal_cdf(z: Ball) -> Ball:
    """Φ(z) for z ≥ 0: ½ + density(z) (z + z³/3 + z⁵/(3·5) + …), whose terms are all positive."""
    if z.c >= 15 << Q:
        return ONE.wider(1 << (Q - 167))  # 1 − Φ(z) ≤ density(z)/z < 2^-167 from 15 on
    square, term, total, k = z * z, z, Ball(0), 1
    while term.c > 0 or k < 450:
        total, k = total + term, k + 2
        term = (term * square).over(k)
    total = total.wider(2 * term.r)  # the terms left at least halve: z² ≤ 225, and k ≥ 450
    return ONE.over(2) + density(z) * total


def sigma_and_slope(name: str, z: Ball) -> tuple[Ball, Ball]:
    """The activation and its derivative at every point of the ball."""
    positive = z.c >= 0
    t = z if positive else -z
    if name == "tanh":
        q = exp(t.times(-2))
        value, slope = (ONE - q) / (ONE + q), q.times(4) / ((ONE + q) * (ONE + q))
        return (value if positive else -value), slope
    if name == "square":
        return z * z, z.times(2)
    if name == "gelu":
        high = normal_cdf(t)
        Phi = high if positive else ONE - high
        return z * Phi, Phi + z * density(t)
    p = exp(-t)
    high, low = ONE / (ONE + p), p / (ONE + p)
    s, other = (high, low) if positive else (low, high)
    if name == "softplus":
        return (z if positive else Ball(0)) + log1p(p), s
    if name == "silu":
        return z * s, s * (ONE + z * other)
    return s, s * other


# the squares of sup|σ″|, from above
CURVATURE_SQUARED = {
    "tanh": Fraction(16, 27),
    "softplus": Fraction(1, 16),
    "sigmoid": Fraction(1, 108),
    "gelu": Fraction(2 << Q, PI.c - PI.r),
    "silu": Fraction(1, 4),
    "square": Fraction(4),
}


def whole(name: str, rows: list[list[float]]) -> tuple[list[list[int]], int]:
    """The rows in units of 2^-e, exactly, with the least e that allows it."""
    ratios = [[x.as_integer_ratio() for x in row] for row in rows]
    e = max(den.bit_length() - 1 for row in ratios for _, den in row)
    if e > P:
        raise Rejected(f"{name}: an entry has {e} binary places, and {P} are read")
    return [[num * ((1 << e) // den) for num, den in row] for row in ratios], e


def dot(a: list[int], b: list[int]) -> int:
    """The exact inner product, of as many terms as the shorter has."""
    return sum(map(mul, a, b))


def facts(a: dict[str, list[list[float]]], activation: str, shift: float) -> dict[str, Fraction]:
    """Bounds from above on ‖F − y‖², L⁴ and ‖J Jᵀ − M Mᵀ − t I‖_F², from data and weights alone."""
    X, e_X = whole("X", a["X"])
    W, e_W = whole("W", a["W"])
    v, e_v = whole("v", a["v"])
    y, e_y = whole("y", a["y"])
    M, e_M = whole("factor", a["factor"])
    ((t,),), e_t = whole("shift", [[shift]])
    columns, m, K = list(map(list, zip(*v, strict=True))), len(W), len(v[0])

    # σ and σ′ at every w_j·x_i, in units of 2^-P, with one bound for the errors of each
    phi, slopes, off_phi, off_slope = [], [], 0, 0
    places = Q - e_X - e_W  # not below 0: e_X and e_W are at most P, and 2 P < Q
    for x in X:
        row = [sigma_and_slope(activation, Ball(dot(w, x) << places)) for w in W]
        phi.append([b.c >> (Q - P) for b, _ in row])
        slopes.append([b.c >> (Q - P) for _, b in row])
        # a unit of 2^-P for each of the two floors
        off_phi = max(off_phi, *((b.r >> (Q - P)) + 2 for b, _ in row))
        off_slope = max(off_slope, *((b.r >> (Q - P)) + 2 for _, b in row))

    unit = P + e_v  # outputs and features are in units of 2^-unit
    squares = 0
    for f, targets in zip(phi, y, strict=True):
        for column, target in zip(columns, targets, strict=True):
            r = abs(dot(f, column) - (target << (unit - e_y)))
            squares += (r + off_phi * sum(map(abs, column))) ** 2
    residual = Fraction(squares, 1 << 2 * unit)

    inner = [[dot(x, z) for z in X[: i + 1]] for i, x in enumerate(X)]  # X Xᵀ, lower triangle
    frobenius = sum(2 * dot(row, row) - row[-1] ** 2 for row in inner)  # ≥ ‖X‖⁴
    longest = max(row[-1] for row in inner)
    heaviest = max(dot(row, row) for row in v)
    size = Fraction(frobenius * longest**2 * heaviest**2, 1 << (8 * e_X + 4 * e_v))

    # J Jᵀ = (X Xᵀ) ∘ (B Bᵀ); an entry of B is off by off_slope |v_jk|, one of B Bᵀ by off
    B = [list(map(mul, row, column)) for row in slopes for column in columns]
    widest, largest = max(abs(b) for row in B for b in row), max(abs(x) for row in v for x in row)
    off = m * (2 * widest * off_slope * largest + (off_slope * largest) ** 2)
    scale = 2 * unit + 2 * e_X
    misfit = 0
    for i, (b, factor) in enumerate(zip(B, M, strict=True)):
        for j in range(i + 1):
            G = inner[i // K][j // K]
            E = G * dot(b, B[j]) - (dot(factor[: j + 1], M[j]) << (scale - 2 * e_M))
            if i == j:
                E -= t << (scale - e_t)
            misfit += (1 if i == j else 2) * (abs(E) + abs(G) * off) ** 2
    return {
        "residual": residual,
        "lipschitz": size * CURVATURE_SQUARED[activation] ** 2,
        "slack": Fraction(misfit, 1 << 2 * scale),
    }


def number(claims: dict[str, Any], name: str, infinite: bool = False) -> float:
    """A claimed number that is none too strange."""
    value = claims[name]
    if infinite and value is None:  # JSON has no word for it
        return math.inf
    if type(value) not in (int, float) or not (0 <= value < math.inf or (infinite and value > 0)):
        raise Rejected(f"{name}: claimed {value!r}, which is no such number")
    return float(value)


def check(arrays: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of the file that are not implied."""
    a, activation = read(arrays), claims["activation"]
    if activation not in CURVATURE_SQUARED:
        return [f"activation: {activation!r} is unknown: nothing can be checked"]
    wrong = []
    for name, length in (("samples", len(a["X"])), ("neurons", len(a["W"]))):
        if type(claims[name]) is not int or claims[name] != length:
            wrong.append(f"{name}: claimed {claims[name]!r}, the file holds {length}")
    found = facts(a, activation, number(claims, "shift"))
    R, L, slack, t, s = (
        Fraction(number(claims, name))
        for name in ("residual", "lipschitz", "slack", "shift", "sigma_min")
    )
    for name, claimed in (("residual", R**2), ("lipschitz", L**4), ("slack", slack**2)):
        if claimed < found[name]:
            wrong.append(f"{name}: claimed at most {claims[name]:.6e}, which is not implied")
    if s > 0 and s**2 > t - slack:
        wrong.append(f"sigma_min: claimed at least {claims['sigma_min']:.6e}, more than implied")
    h, radius = number(claims, "h", True), number(claims, "radius", True)
    exact_h = L * R / s**2 if s > 0 else None
    if not follows(h, exact_h):
        wrong.append(f"h: claimed {h:.6e}, which does not follow from L, ‖r‖ and σ_min")
    proved = h < 0.5
    if not (follows_radius(radius, R, s, L) if proved and s > 0 else radius == math.inf):
        wrong.append(f"radius: claimed {radius:.6e}, which does not follow from L, ‖r‖ and σ_min")
    if claims["verdict"] != ("proved" if proved else "inconclusive"):
        wrong.append(f"verdict: claimed {claims['verdict']!r}, but h is claimed to be {h:.6e}")
    return wrong


def follows(claimed: float, exact: Fraction | None) -> bool:
    """Whether a claimed float is at least the exact number, and not much more."""
    if exact is None or exact > Fraction(sys.float_info.max):
        return claimed == math.inf
    return claimed < math.inf and exact <= Fraction(claimed) <= exact * (1 + TIGHT)


def follows_radius(radius: float, R: Fraction, s: Fraction, L: Fraction) -> bool:
    """Whether ρ is at least the smaller root of s ρ − L ρ²/2 = R, and not much more."""

    def reaches(rho: Fraction) -> bool:
        return L * rho >= s or s * rho - L * rho**2 / 2 >= R

    if radius == math.inf:
        return False
    rho = Fraction(radius)
    return reaches(rho) and (rho == 0 or not reaches(rho * (1 - TIGHT)))


def read(arrays: dict[str, np.ndarray]) -> dict[str, list[list[float]]]:
    """The arrays as lists of Python's floats, after a look at their shapes."""
    if set(arrays) != NAMES:
        raise Rejected(f"arrays: {', '.join(sorted(NAMES))} are needed, not {', '.join(arrays)}")
    for name, value in arrays.items():
        if value.dtype.kind != "f" or value.dtype.itemsize > 8:
            raise Rejected(f"{name}: entries of type {value.dtype} are not read")
        if not np.all(np.isfinite(value)):
            raise Rejected(f"{name}: NaN or infinite entries")
    X, y, W, v, factor = (arrays[name] for name in ("X", "y", "W", "v", "factor"))
    fits = X.ndim == W.ndim == factor.ndim == 2 and y.ndim == v.ndim and v.ndim in (1, 2)
    fits = fits and min(X.size, W.size, v.size) > 0 and factor.shape == (y.size, y.size)
    fits = fits and X.shape[1] == W.shape[1] and len(v) == len(W) and len(y) == len(X)
    if not fits or y.shape[1:] != v.shape[1:]:
        raise Rejected("arrays: their shapes do not fit together")
    if np.any(np.triu(factor, 1)):
        raise Rejected("factor: it has entries above its diagonal")
    return {name: value.reshape(len(value), -1).tolist() for name, value in arrays.items()}


CLAIMS = {
    "activation", "verdict", "samples", "neurons", "residual", "sigma_min", "lipschitz", "h",
    "radius", "shift", "slack",
}  # fmt: skip


def unpacked(path: str) -> dict[str, np.ndarray]:
    """The arrays of the file by name, after a look at their names and sizes."""
    if not os.path.isfile(path):
        raise Rejected("file: there is no such file")
    with zipfile.ZipFile(path) as archive:
        # of two with one name the later counts, as for NumPy
        last = {member.filename: member for member in archive.infolist()}
        members = {name.removesuffix(".npy"): member for name, member in last.items()}
        if "header" not in members:
            raise Rejected("header: the file is no proof")
        if len(members) < len(last) or not set(members) <= NAMES | {"header"}:
            raise Rejected(f"arrays: {', '.join(sorted(NAMES))} are needed, and nothing else")
        sizes = [member.file_size for member in archive.infolist()]
        if sum(sizes) > MOST or members["header"].file_size > LONGEST:
            raise Rejected("file: it is larger than what is read")
        streams = {name: io.BytesIO(archive.read(one)) for name, one in members.items()}
    return {
        name: np.lib.format.read_array(stream, allow_pickle=False)
        for name, stream in streams.items()
    }


def examine(path: str) -> tuple[list[str], dict[str, Any]]:
    """The reasons not to accept the file, and its claims."""
    try:
        arrays = unpacked(path)
        header = json.loads(str(arrays.pop("header")))
        kind, version, claims = header["kind"], header["format"], header["claims"]
        if kind != "existence proof" or type(version) is not int or version != 1 or len(header) > 3:
            return [f"header: kind {kind!r}, format {version!r} is not read"], {}
        if set(claims) != CLAIMS:
            return [f"claims: {', '.join(sorted(CLAIMS))} are needed, and nothing else"], {}
        return check(arrays, claims), claims
    except Rejected as reason:
        return [str(reason)], {}
    except Exception as error:  # whatever else is wrong with the file, it is not accepted
        return [f"file: cannot be read as a proof ({type(error).__name__}: {error})"], {}


def verify(path: str) -> list[str]:
    """Every reason not to accept the file; an empty list accepts it.

    Args:
        path: a file that an `ExistenceProof` saved.

    Returns:
        One line for each reason.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "empty.npz"
        ...     np.savez(path)
        ...     verify(str(path))
        ['header: the file is no proof']
    """
    return examine(path)[0]


def plain(line: str) -> str:
    """A line with nothing in it that a terminal obeys: names in a file are not ours."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def main() -> int:
    """Read the command line, print the finding, return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without Greek gets the verdict too
        sys.stdout.reconfigure(errors="backslashreplace")
    if len(sys.argv) != 2:
        print("usage: python proof_verifier.py proof.npz")
        return 2
    wrong, claims = examine(sys.argv[1])
    if wrong:
        print("rejected\n  " + "\n  ".join(plain(line) for line in wrong))
        return 1
    print("accepted: every claim is implied")
    if claims["verdict"] == "proved":
        n, m, radius = (claims[name] for name in ("samples", "neurons", "radius"))
        print(f"{m} {claims['activation']} neurons within {radius!r} of those in the file")
        print(f"fit all {n} samples exactly")
    else:
        print("inconclusive: nothing is proved")
    return 0


if __name__ == "__main__":
    sys.exit(main())
