"""What is true of a certificate's file, in ball arithmetic of 320 bits.

An oracle for tests: it shares no code with narrowlib or its verifiers. `falsehoods` lists the
claims that the data do not imply. A claim is *material* where it is more favourable than the data
allow by more than a billionth, or by more than rounding where a difference is claimed.

Of a symmetric matrix only the number of eigenvalues under a bound is asked (Sylvester: it is the
number of negative pivots). A face of a set counts as active within √eps, as the library says.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx

BITS = 320
TOL = 1e-9
TINY = 1e-300  # below that doubles have no relative precision
# the violation, relative to 1 + the size of the weights, that counts as rounding
FEASIBLE, FEASIBLE_SINGLE = 1e-9, 2e-6
FACE = float(np.sqrt(np.finfo(float).eps))
FACE_SINGLE = float(np.sqrt(np.finfo(np.float32).eps))
EPS = float(np.finfo(float).eps)

Rows = list[list[arb]]


class Falsehood(NamedTuple):
    """A claim that is not implied: its name, what is claimed, what is true, and how badly."""

    claim: str
    claimed: Any
    true: Any
    material: bool = True


class Malformed(Exception):
    """The file is not of the form that it says, so its claims mean nothing."""


@contextlib.contextmanager
def precision() -> Iterator[None]:
    before, ctx.prec = ctx.prec, BITS
    try:
        yield
    finally:
        ctx.prec = before


# Activations: σ, σ′, sup|σ″|.


def clamped(z: arb) -> arb:
    """Beyond a million every σ here is flat or straight, far below the precision."""
    return z.min(arb(10**6)).max(arb(-(10**6)))


def logistic(z: arb) -> arb:
    return 1 / (1 + (-clamped(z)).exp())


def normal(z: arb) -> arb:
    return (-clamped(z) / arb(2).sqrt()).erfc() / 2


def density(z: arb) -> arb:
    z = clamped(z)
    return (-z * z / 2).exp() / (2 * arb.pi()).sqrt()


def step(z: arb) -> arb:
    return arb(1) if z > 0 else arb(0)


Function = Callable[[arb], arb]


def activation(name: str) -> tuple[Function, Function, arb | None]:
    known: dict[str, tuple[Function, Function, arb | None]] = {
        "tanh": (
            lambda z: clamped(z).tanh(),
            lambda z: clamped(z).sech() ** 2,
            4 / (3 * arb(3).sqrt()),
        ),
        "softplus": (
            lambda z: z.max(arb(0)) + (-abs(clamped(z))).exp().log1p(),
            logistic,
            arb(1) / 4,
        ),
        "sigmoid": (logistic, lambda z: logistic(z) * logistic(-z), arb(3).sqrt() / 18),
        "gelu": (
            lambda z: z * normal(z),
            lambda z: normal(z) + z * density(z),
            (2 / arb.pi()).sqrt(),
        ),
        "silu": (
            lambda z: z * logistic(z),
            lambda z: logistic(z) * (1 + z * logistic(-z)),
            arb(1) / 2,
        ),
        "square": (lambda z: z * z, lambda z: 2 * z, arb(2)),
        "relu": (lambda z: z.max(arb(0)), step, None),
    }
    if type(name) is not str or name not in known:
        raise Malformed(f"activation {name!r}")
    return known[name]


# Small linear algebra.


def rows_of(x: np.ndarray) -> Rows:
    """The exact numbers of an array, a row for each entry of its first axis."""
    return [[arb(float(t)) for t in row] for row in x.reshape(len(x), -1)]


def dot(a: Any, b: Any) -> arb:
    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))


def norm(entries: Any) -> arb:
    total = sum((x * x for x in entries), arb(0))
    return root(total)


def root(x: arb) -> arb:
    """√x for x ≥ 0; the ball of a sum of squares may reach below 0."""
    return x.nonnegative_part().sqrt()


def flat(rows: Any) -> list[arb]:
    return [x for row in rows for x in row]


def below(A: Rows, bound: arb) -> int | None:
    """How many eigenvalues of a symmetric matrix lie under a bound; None if undecided."""
    B = [[x - bound if i == j else x for j, x in enumerate(row)] for i, row in enumerate(A)]
    count, size = 0, len(B)
    for k in range(size):
        pivot = B[k][k]
        if pivot < 0:
            count += 1
        elif not pivot > 0:
            return None
        for i in range(k + 1, size):
            factor = B[i][k] / pivot
            for j in range(k + 1, i + 1):
                B[i][j] -= factor * B[j][k]
            for j in range(k + 1, i):
                B[j][i] = B[i][j]
    return count


def eigenvalue(A: Rows, index: int) -> tuple[arb, arb]:
    """The eigenvalue of this index of a positive semidefinite matrix, between two bounds."""
    high = sum((A[i][i] for i in range(len(A))), arb(0)).upper()
    high = high * (1 + arb(2) ** -40) + arb(2) ** -4000
    low = high * arb(2) ** -160
    count = below(A, low)
    if count is None or count > index:
        return arb(0), low
    while high > low * (1 + arb(2) ** -50):
        middle = root(low * high).mid() if high > 4 * low else ((low + high) / 2).mid()
        count = below(A, middle)
        if count is None:
            middle = (middle * (1 + arb(2) ** -60)).mid()
            count = below(A, middle)
        if count is None or count > index:
            high = middle
        else:
            low = middle
    return low, high


class Facts:
    """The numbers of a network at its data, as balls that hold them."""

    def __init__(self, name: str, X: Rows, y: Rows, W: Rows, v: Rows):
        sigma, slope, self.curvature = activation(name)
        self.name, self.X, self.y, self.W, self.v = name, X, y, W, v
        n, m, d, K = len(self.X), len(self.W), len(self.X[0]), len(self.v[0])
        self.n, self.m, self.d, self.K = n, m, d, K
        Z = [[dot(x, w) for w in self.W] for x in self.X]
        self.phi, self.D = ([[f(z) for z in row] for row in Z] for f in (sigma, slope))
        columns = list(zip(*self.v, strict=True))
        self.F = [[dot(row, column) for column in columns] for row in self.phi]
        self.r = [
            [f - t for f, t in zip(*pair, strict=True)] for pair in zip(self.F, self.y, strict=True)
        ]
        self.residual = norm(flat(self.r))
        self.inner = [[dot(x, z) for z in self.X] for x in self.X]
        weighted = [[dot(self.r[i], self.v[j]) * self.D[i][j] for j in range(m)] for i in range(n)]
        self.pull = [
            [dot([row[j] for row in weighted], [x[c] for x in self.X]) for c in range(d)]
            for j in range(m)
        ]
        self.pull_v = [
            [dot([row[j] for row in self.phi], [r[k] for r in self.r]) for k in range(K)]
            for j in range(m)
        ]

    @classmethod
    def of(cls, a: dict[str, np.ndarray], name: str) -> Facts:
        return cls(name, *(rows_of(a[key]) for key in ("X", "y", "W", "v")))

    def at(self, W: Rows, v: Rows) -> Facts:
        """The same data at other weights."""
        return Facts(self.name, self.X, self.y, W, v)

    def gram(self) -> Rows:
        """J Jᵀ, output k of sample i in row K i + k."""
        B = [[d * w for d, w in zip(row, col, strict=True)] for row in self.D for col in
             zip(*self.v, strict=True)]  # fmt: skip
        G, K = self.inner, self.K
        return [[G[i // K][j // K] * dot(b, c) for j, c in enumerate(B)] for i, b in enumerate(B)]

    def lipschitz(self) -> arb | None:
        """sup|σ″| max‖x_i‖ ‖X‖ max‖v_j‖, from below; None for ∞."""
        if self.curvature is None:
            return None
        widest = max((norm(x) for x in self.X), key=float)
        heaviest = max((norm(row) for row in self.v), key=float)
        low, _ = eigenvalue(self.inner, self.n - 1)
        return self.curvature * widest * heaviest * root(low)

    def rounding(self) -> arb:
        """How far a computed ‖r‖ may well be off, in doubles."""
        total = arb(0)
        for i, x in enumerate(self.X):
            e = [EPS * (self.d + 4) * dot(map(abs, x), map(abs, w)) for w in self.W]
            curve = self.curvature or arb(0)
            moved = [
                (abs(self.D[i][j]) + curve * e[j] if self.curvature else arb(1)) * e[j]
                + EPS * (self.m + 8) * (1 + abs(self.phi[i][j]))
                for j in range(self.m)
            ]
            for column in zip(*self.v, strict=True):
                total += dot(moved, map(abs, column)) ** 2
        return 2 * root(total) + 4 * EPS * self.residual

    def shaken(self) -> arb:
        """How far a computed Jᵀr may well be off; σ′ is known to some ε of 1 + |σ′|."""
        sizes = [norm(row) for row in self.v]
        sent = [
            [norm(r) * norm(x) * size for size in sizes]
            for r, x in zip(self.r, self.X, strict=True)
        ]
        terms = norm(p * q for row, slopes in zip(sent, self.D, strict=True)
                     for p, q in zip(row, slopes, strict=True))  # fmt: skip
        spread = 64 * EPS * (self.n + self.m + self.d)
        size = norm(flat(self.gram())).sqrt()
        return size * self.rounding() + spread * terms + 8 * EPS * norm(flat(sent))


# Sets: distances, and what the normal cone leaves of a gradient.


def paired(x: Rows) -> Rows:
    half = len(x) // 2
    return [
        [(p - q) / 2 for p, q in zip(*rows, strict=True)]
        for rows in zip(x[:half], x[half:], strict=True)
    ]


def unpaired(x: Rows) -> arb:
    """How far x is from its nearest (u; −u)."""
    half = len(x) // 2
    return norm((p + q) for rows in zip(x[:half], x[half:], strict=True)
                for p, q in zip(*rows, strict=True)) / arb(2).sqrt()  # fmt: skip


def threshold(low: list[arb], high: list[arb], kappa: arb) -> arb | None:
    """The t that minimises Σ(t − low)₊² + Σ(high − κt)₊²; None where every t does, or none."""

    def rising(t: arb) -> arb:
        pulled = sum((t - x for x in low if t > x), arb(0))
        return pulled - kappa * sum((x - kappa * t for x in high if x > kappa * t), arb(0))

    points = sorted([x.mid() for x in low] + [(x / kappa).mid() for x in high], key=exact_key)
    for left, right in itertools.pairwise(points):
        s, e = rising(left).mid(), rising(right).mid()
        if e >= 0:
            return (left + (right - left) * (-s) / (e - s)).mid() if e > s else left
    return points[0] if len(points) == 1 else None


def exact_key(x: arb) -> Any:
    """Orders exact balls whatever their size."""
    return _Ordered(x)


class _Ordered:
    def __init__(self, x: arb):
        self.x = x

    def __lt__(self, other: _Ordered) -> bool:
        return bool(self.x < other.x)


def between(x: arb, low: arb | None, high: arb | None) -> arb:
    if low is not None and x < low:
        return low
    return high if high is not None and x > high else x


def distance(kind: str, x: Rows, s: dict[str, Any]) -> arb:
    """From x to the set, as a Euclidean distance."""
    if kind == "Free":
        return arb(0)
    if kind == "Fixed":
        return norm(p - q for p, q in zip(flat(x), flat(s["fixed"]), strict=True))
    if kind == "Ball":
        return norm((length - s["radius"]).max(arb(0)) for _, _, length in moves(x, None, s))
    u, apart = paired(x), unpaired(x)
    if kind == "Pairs":
        return apart
    if kind == "PairedCone":
        entries, kappa, zeta = [t.mid() for t in flat(u)], s["kappa"], s["zeta"]
        t = threshold(entries, entries, kappa)
        t = zeta if t is None or t < zeta else t
        off = norm(e - between(e, t, kappa * t) for e in entries)
    else:
        height, side, _, _ = plane(u, paired(s["axis"]))
        off = wedge_distance(
            height, side, s["half_angle"], s["zeta"] * norm(flat(paired(s["axis"])))
        )
    return norm([apart, arb(2).sqrt() * off])


def wedge_distance(height: arb, side: arb, angle: arb, floor: arb) -> arb:
    """From (height, side ≥ 0) to {side ≤ height tan θ, height ≥ floor}."""
    sine, cosine = angle.sin(), angle.cos()
    spots = []
    if not side * cosine > height * sine and not height < floor:
        return arb(0)
    along = (height * cosine + side * sine).max(floor / cosine)
    spots.append(norm([height - along * cosine, side - along * sine]))
    spots.append(norm([height - floor, (side - floor * sine / cosine).max(arb(0))]))
    if not side * cosine > height * sine:
        spots.append((floor - height).max(arb(0)))
    return min(spots, key=lambda ball: exact_key(ball.mid()))


def plane(u: Rows, axis: Rows) -> tuple[arb, arb, list[arb], list[arb]]:
    """The height along the axis, the distance to its side, and both directions."""
    size, entries = norm(flat(axis)), flat(u)
    unit = [x / size for x in flat(axis)]
    height = dot(entries, unit)
    rest = [x - height * e for x, e in zip(entries, unit, strict=True)]
    side = norm(rest)
    if not side > arb(2) ** -200 * norm(entries):
        return height, arb(0), unit, [arb(0)] * len(unit)
    return height, side, unit, [x / side for x in rest]


def moves(x: Rows, g: Rows | None, s: dict[str, Any]) -> list[Any]:
    """For each ball: x − center, the gradient, and the length of the first."""
    move = [
        [p - q for p, q in zip(*rows, strict=True)] for rows in zip(x, s["center"], strict=True)
    ]
    pull = g if g is not None else [[arb(0)] * len(row) for row in x]
    if not s["per_neuron"]:
        move, pull = [flat(move)], [flat(pull)]
    return [(a, b, norm(a)) for a, b in zip(move, pull, strict=True)]


def left_over(kind: str, x: Rows, g: Rows, s: dict[str, Any], face: float) -> arb:
    """dist(−g, N(x)), a face being active within `face`, relative."""
    if kind == "Free":
        return norm(flat(g))
    if kind == "Fixed":
        return arb(0)
    if kind == "Ball":
        return norm(flat(rest for rest, _ in balanced(x, g, s, face)))
    b, u = paired([[-t for t in row] for row in g]), paired(x)
    if kind == "Pairs":
        return arb(2).sqrt() * norm(flat(b))
    if kind == "PairedCone":
        return arb(2).sqrt() * norm(cone_tangent(flat(u), flat(b), s, face))
    return arb(2).sqrt() * circular_tangent(u, b, s, face)


def balanced(x: Rows, g: Rows, s: dict[str, Any], face: float) -> list[Any]:
    """For each ball: what λ(x − center) leaves of −g, and λ ≥ 0."""
    found = []
    for move, pull, length in moves(x, g, s):
        share = arb(0)
        if not length < s["radius"] * (1 - arb(face)) and length > 0:
            share = (-dot(move, pull)).max(arb(0)) / length**2
        rest = [p + share * d for p, d in zip(pull, move, strict=True)]
        found.append(([arb(0)] * len(rest) if s["radius"] == 0 else rest, share))
    return found


def cone_tangent(u: list[arb], b: list[arb], s: dict[str, Any], face: float) -> list[arb]:
    """The nearest direction in the tangent cone of {ζ ≤ u, max u ≤ κ min u}."""
    slack, kappa = 1 + arb(face), s["kappa"]
    least, most = min((t.mid() for t in u), key=exact_key), max((t.mid() for t in u), key=exact_key)
    floor, ratio = not least > s["zeta"] * slack, not most * slack < kappa * least
    is_least, is_most = [not t > least * slack for t in u], [not t * slack < most for t in u]
    b = [t.mid() for t in b]
    low: arb | None = arb(0) if floor else None
    high: arb | None = None
    if ratio:
        lows = [t for t, yes in zip(b, is_least, strict=True) if yes]
        highs = [t for t, yes in zip(b, is_most, strict=True) if yes]
        t = threshold(lows, highs, kappa)
        low = arb(0) if t is None else t
        low = low.max(arb(0)) if floor else low
        high = kappa * low
    return [
        between(t, low if down else None, high if up else None)
        for t, down, up in zip(b, is_least, is_most, strict=True)
    ]


def circular_tangent(u: Any, b: Any, s: dict[str, Any], face: float) -> arb:
    axis = paired(s["axis"])
    sine, cosine = s["half_angle"].sin(), s["half_angle"].cos()
    height, side, unit, outward = plane(u, axis)
    size, entries = norm([height, side]), flat(b)
    if not size > 0:  # the apex: the cone itself is the tangent cone
        h, w, _, _ = plane(b, axis)
        off = wedge_distance(h, w, s["half_angle"], arb(0))
        return root(dot(entries, entries) - off * off)
    on_cut = not height > s["zeta"] * norm(flat(axis)) + face * size
    on_edge = not side * cosine < height * sine - face * size
    p, q = dot(entries, unit), dot(entries, outward)
    rest = dot(entries, entries) - p * p - q * q

    def allowed(a: arb, c: arb) -> bool:
        tiny = arb(2) ** -200 * (abs(a) + abs(c))
        inside = not on_edge or not c * cosine > a * sine + tiny
        return inside and (not on_cut or not a < -tiny)

    along = p * cosine + q * sine
    spots = [(p, q), (along * cosine, along * sine), (arb(0), q), (arb(0), arb(0))]
    near = min(
        (spot for spot in spots if allowed(*spot)),
        key=lambda spot: exact_key(norm([spot[0] - p, spot[1] - q]).mid()),
    )
    return root(rest + near[0] ** 2 + near[1] ** 2)


# The form of a file.

SETS = {
    "Free": (), "Fixed": ("fixed",), "Pairs": (), "Ball": ("center", "radius", "per_neuron"),
    "PairedCone": ("zeta", "kappa"), "CircularCone": ("axis", "half_angle", "zeta"),
}  # fmt: skip
SCALABLE = {"Free", "Pairs", "PairedCone", "CircularCone"}
UNSUFFIXED = {"W": SETS["Ball"], "v": ("zeta", "kappa", "axis", "half_angle")}
EXISTENCE = {
    "activation", "verdict", "samples", "neurons", "residual", "sigma_min", "lipschitz", "h",
    "radius",
}  # fmt: skip
CLAIMS = {
    "existence": EXISTENCE,
    "existence proof": EXISTENCE | {"shift", "slack"},
    "kkt": (EXISTENCE - {"h"}) | {
        "loss", "violation", "stationarity_W", "stationarity_v", "multiplier", "ray", "distance",
        "start_output", "sets", "hypotheses", "guaranteed_radius", "residual_bound", "loss_bound",
        "stationarity_bound", "target_loss",
    },
}  # fmt: skip
INFINITE = {
    "existence": {"lipschitz", "h", "radius"},
    "existence proof": {"h", "radius"},
    "kkt": {"lipschitz", "residual_bound", "loss_bound", "stationarity_bound"},
}
ABSENT = {"radius", "distance", "start_output", "guaranteed_radius"}  # null where undefined, in kkt


def file_names(kinds: dict[str, str]) -> dict[str, dict[str, str]]:
    """For each part, the arrays of its set by their names in a file."""
    return {
        part: {k: k if k in UNSUFFIXED[part] else f"{k}_{part}" for k in SETS[kinds[part]]}
        for part in ("W", "v")
    }


def wanted(kind: str, claims: dict[str, Any]) -> set[str]:
    """The names of the arrays of a file."""
    own = {"X", "y", "W", "v"} | ({"factor"} if kind == "existence proof" else set())
    if kind == "kkt":
        kinds = claims["sets"]
        if type(kinds) is not dict or set(kinds) != {"W", "v"}:
            raise Malformed(f"sets {kinds!r}")
        if any(type(k) is not str or k not in SETS for k in kinds.values()):
            raise Malformed(f"sets {kinds!r}")
        for names in file_names(kinds).values():
            own |= set(names.values())
    return own


def read_set(a: dict[str, np.ndarray], part: str, kinds: dict[str, str]) -> dict[str, Any]:
    """The numbers of a set, in the range that it needs."""
    x, s = a[part], {}
    for key, name in file_names(kinds)[part].items():
        value = a[name]
        if key in ("center", "axis", "fixed"):
            if value.shape != x.shape:
                raise Malformed(f"{name} has shape {value.shape}")
            s[key] = rows_of(value)
        elif value.shape != ():
            raise Malformed(f"{name} has shape {value.shape}")
        else:
            s[key] = bool(value) if key == "per_neuron" else arb(float(value))
    if kinds[part] in ("Pairs", "PairedCone", "CircularCone") and len(x) % 2:
        raise Malformed("an odd number of rows")
    bad = {
        "radius": lambda t: t < 0, "zeta": lambda t: t < 0, "kappa": lambda t: t < 1,
        "half_angle": lambda t: not (t > 0 and t < arb.pi() / 2),
        "axis": lambda t: bool(unpaired(t) > 0) or not norm(flat(t)) > 0,
    }  # fmt: skip
    for key, test in bad.items():
        if key in s and test(s[key]):
            raise Malformed(f"{key} out of its range")
    if kinds[part] == "PairedCone" and x.ndim != 1:
        raise Malformed("a paired cone of matrices")
    return s


def check_form(a: dict[str, np.ndarray], header: Any) -> None:
    """Raises `Malformed` for a file whose claims mean nothing."""
    if type(header) is not dict or set(header) != {"format", "kind", "claims"}:
        raise Malformed("header")
    kind, claims = header["kind"], header["claims"]
    if type(kind) is not str or kind not in CLAIMS or type(header["format"]) is not int:
        raise Malformed("kind or format")
    if type(claims) is not dict or set(claims) != CLAIMS[kind]:
        raise Malformed("names of claims")
    if set(a) != wanted(kind, claims):
        raise Malformed(f"arrays {sorted(a)}")
    for name, value in a.items():
        flag = name.startswith("per_neuron")
        if value.dtype != bool if flag and value.dtype.kind != "f" else value.dtype.kind != "f":
            raise Malformed(f"{name} has type {value.dtype}")
        if value.dtype.itemsize > 8 or not np.all(np.isfinite(value)):
            raise Malformed(f"{name}: long doubles, NaN or infinity")
        if flag and value.shape == () and value not in (0, 1):
            raise Malformed("per_neuron is neither true nor false")
    X, y, W, v = (a[name] for name in "XyWv")
    fits = X.ndim == W.ndim == 2 and y.ndim == v.ndim and v.ndim in (1, 2)
    fits = fits and min(X.size, W.size, v.size) > 0 and X.shape[1] == W.shape[1]
    if not (fits and len(v) == len(W) and len(y) == len(X) and y.shape[1:] == v.shape[1:]):
        raise Malformed("shapes")
    for name, value in claims.items():
        check_claim(kind, name, value)


def check_claim(kind: str, name: str, value: Any) -> None:
    """Raises `Malformed` for a claim of the wrong type."""
    if name in ("samples", "neurons"):
        good = type(value) is int
    elif name in ("activation", "verdict"):
        good = type(value) is str
    elif name == "sets":
        good = type(value) is dict
    elif name == "hypotheses":
        good = type(value) is dict and all(type(holds) is bool for holds in value.values())
    elif name == "multiplier":
        numbers = value if type(value) is list else [value]
        good = all(is_number(x) and x >= 0 for x in numbers)
    elif value is None:
        good = name in INFINITE[kind] or (kind == "kkt" and name in ABSENT)
    else:
        good = is_number(value) and (name == "ray" or value >= 0)
    if not good:
        raise Malformed(f"{name} = {value!r}"[:80])


def is_number(value: Any) -> bool:
    """A finite number of JSON, and no truth value."""
    return type(value) in (int, float) and abs(value) < 2**1024 and math.isfinite(float(value))


# Claims.


class Judge:
    """Collects falsehoods. `slack` is what a claimed difference may be off by rounding."""

    def __init__(self, claims: dict[str, Any]):
        self.claims, self.found = claims, []

    def ball(self, name: str) -> arb | None:
        value = self.claims[name]
        return None if value is None else arb(value)

    def say(self, name: str, true: Any, material: bool = True) -> None:
        true = float(true) if isinstance(true, arb) else true
        self.found.append(Falsehood(name, self.claims[name], true, material))

    def at_least(self, name: str, true: arb | None, slack: Any = 0, tol: float = TOL) -> None:
        """The claim is an upper bound of something that is `true`; None is ∞."""
        claimed = self.ball(name)
        if claimed is None:
            return
        if true is None:
            self.say(name, math.inf)
        elif claimed < true:
            self.say(name, true, bool(claimed < true * (1 - arb(tol)) - slack - TINY))

    def at_most(self, name: str, true: arb, slack: Any = 0) -> None:
        claimed = self.ball(name)
        if claimed is None:
            self.say(name, true)
        elif claimed > true:
            self.say(name, true, bool(claimed > true * (1 + arb(TOL)) + slack + TINY))

    def near(self, name: str, true: arb, slack: Any = 0, tol: float = TOL) -> None:
        self.near_value(name, self.claims[name], true, slack, tol)

    def near_value(self, name: str, value: Any, true: arb, slack: Any, tol: float = TOL) -> None:
        if value is None or abs(arb(value) - true) > abs(true) * tol + slack + TINY:
            self.say(name, true)

    def word(self, name: str, right: Any) -> None:
        if self.claims[name] != right:
            self.say(name, right)


def judge_common(judge: Judge, f: Facts) -> Rows:
    """Counts, σ_min and L; returns J Jᵀ."""
    judge.word("samples", f.n)
    judge.word("neurons", f.m)
    gram, s = f.gram(), judge.ball("sigma_min")
    assert s is not None
    if s > 0:
        under = [below(gram, (s * (1 - arb(tol))) ** 2) for tol in (0.0, TOL)]
        if under[0]:
            judge.say("sigma_min", root(eigenvalue(gram, 0)[0]), bool(under[1]))
    judge.at_least("lipschitz", f.lipschitz())
    return gram


def judge_existence(judge: Judge, a: dict[str, np.ndarray]) -> None:
    claims = judge.claims
    f = Facts.of(a, claims["activation"])
    judge_common(judge, f)
    judge.at_least("residual", f.residual)
    R, s, L = (judge.ball(name) for name in ("residual", "sigma_min", "lipschitz"))
    assert R is not None and s is not None
    h = L * R / s**2 if L is not None and s > 0 else None
    judge.at_least("h", h)
    claimed = judge.ball("h")
    if (claimed is not None and not claimed < 0.5) or h is None:
        claimed = None
    word = "proved" if "shift" in claims else "exists"
    judge.word("verdict", word if claimed is not None else "inconclusive")
    if claimed is None or h is None:
        judge.at_least("radius", None)
    else:
        judge.at_least("radius", 2 * R / s / (1 + root(1 - 2 * h)))


def judge_kkt(judge: Judge, a: dict[str, np.ndarray]) -> None:
    claims = judge.claims
    f, kinds = Facts.of(a, claims["activation"]), claims["sets"]
    sets = {part: read_set(a, part, kinds) for part in ("W", "v")}
    gram, n, R = judge_common(judge, f), f.n, f.residual
    rounding = f.rounding()
    judge.near("residual", R, 2 * rounding)
    judge.near("loss", R**2 / (2 * n), (4 * R * rounding + 4 * rounding**2) / n, 3 * TOL)
    # no bound lies under what it bounds, nor under what σ_min allows
    low, high = eigenvalue(gram, 0)
    bound = norm(flat(f.pull)) / root(high) if low > 0 else None
    if bound is None:
        judge.at_least("residual_bound", None)
    else:  # what r as computed says, and its rounding beside that
        judge.at_least("residual_bound", bound, 2 * f.shaken() / root(high))
    judge.at_least("residual_bound", R)
    judge.at_least("stationarity_bound", R)
    claimed = judge.ball("residual_bound")
    judge.at_least("loss_bound", None if claimed is None else claimed**2 / (2 * n))
    judge.at_least("loss_bound", R**2 / (2 * n))
    off = {part: distance(kinds[part], getattr(f, part), sets[part]) for part in ("W", "v")}
    rough = norm(
        1e-13 * (1 + norm(flat(getattr(f, part))))
        for part in ("W", "v")
        if not surely_inside(kinds[part], getattr(f, part), sets[part])
    )
    judge.at_least("violation", norm(off.values()), rough)
    judge.near("violation", norm(off.values()), rough + 1e-12 * (1 + norm(flat(f.W + f.v))))
    single = any(a[part].dtype.itemsize < 8 for part in ("W", "v"))
    allowed = FEASIBLE_SINGLE if single else FEASIBLE
    # each part by its own size: large hidden weights excuse no output weights
    outside = max(float(off[part] / (1 + norm(flat(getattr(f, part))))) / allowed for part in off)
    judge_stationarity(judge, f, a, kinds, sets, outside > 1)
    judge_place(judge, f, kinds["W"], sets["W"])
    judge_theorem(judge, f, kinds, sets)
    judge_verdict(judge, f, kinds, outside)


def surely_inside(kind: str, x: Rows, s: dict[str, Any]) -> bool:
    """Whether a projection that is rounded leaves the point where it is."""
    if kind == "Ball":
        return all(
            bool(length < s["radius"] * (1 - arb(1e-12))) for _, _, length in moves(x, None, s)
        )
    return kind in ("Free", "Fixed")


def faces(a: dict[str, np.ndarray]) -> list[float]:
    """The distances from a face at which it may count as active, a little more and less."""
    single = any(a[name].dtype.itemsize < 8 for name in "XyWv")
    near = [FACE, FACE_SINGLE] if single else [FACE]
    return [face * (1 + k) for face in near for k in (-1e-3, 1e-3)]


def judge_stationarity(
    judge: Judge, f: Facts, a: dict[str, np.ndarray], kinds: Any, sets: Any, infeasible: bool
) -> None:
    n, shaken = f.n, f.shaken()
    v_size = norm(flat(f.v))
    pulled = root(norm(flat(f.phi))) ** 2 * f.rounding() + 64 * EPS * (n + f.m) * f.residual * norm(
        flat(f.phi)
    )
    judge.near("ray", dot(flat(f.r), flat(f.F)) / n, 4 * v_size * pulled / n)
    if infeasible:
        return  # a normal cone is that of a point of the set
    for part, pull, slack in (("W", f.pull, shaken), ("v", f.pull_v, pulled)):
        g = [[t / n for t in row] for row in pull]
        slack = slack + 1e-11 * norm(flat(pull))  # of a difference that may be small
        values = [left_over(kinds[part], getattr(f, part), g, sets[part], e) for e in faces(a)]
        least = min(values, key=lambda ball: exact_key(ball.mid()))
        most = max(values, key=lambda ball: exact_key(ball.mid()))
        judge.at_least(f"stationarity_{part}", least, 4 * slack / n)
        claimed = judge.ball(f"stationarity_{part}")
        if claimed is None or claimed > most * (1 + 1e-3) + 8 * slack / n:
            judge.say(f"stationarity_{part}", most)


def judge_place(judge: Judge, f: Facts, kind: str, s: dict[str, Any]) -> None:
    """Where W lies in its set."""
    if kind != "Ball":
        for name in ("radius", "distance", "start_output"):
            judge.word(name, None)
        judge.word("multiplier", 0.0)
        return
    judge.near("radius", s["radius"])
    move = [p - q for p, q in zip(flat(f.W), flat(s["center"]), strict=True)]
    size = norm(flat(f.W)) + norm(flat(s["center"]))
    judge.near("distance", norm(move), 8 * EPS * size)
    start = f.at(s["center"], f.v)
    judge.at_least("start_output", norm(flat(start.F)), 4 * start.rounding())
    g = [[t / f.n for t in row] for row in f.pull]
    found = judge.claims["multiplier"]
    found = found if s["per_neuron"] else [found]
    options = [[share for _, share in balanced(f.W, g, s, face)] for face in (1e-7, FACE / 2, -1.0)]
    if type(found) is not list or len(found) != len(options[0]):
        return judge.say("multiplier", [float(x) for x in options[0]])
    slack = 8 * f.shaken() / f.n
    for j, claimed in enumerate(found):
        length = moves(f.W, None, s)[j][2]
        room = slack / length if length > 0 else arb(0)
        on = not length < s["radius"] * (1 - arb(1e-7))  # else the multiplier is 0
        surely = not length < s["radius"] * (1 - arb(FACE) / 2)
        value = options[0][j]
        good = abs(arb(claimed) - value) <= value * 1e-6 + room if on else claimed == 0
        if not good and not (on and not surely and claimed == 0):
            return judge.say("multiplier", [float(x[j]) for x in options])
    return None


BASIC = {
    "smooth activation", "W between two balls", "ε > 0", "mirrored start",
    "v in a paired or a circular cone", "ζ > 0",
}  # fmt: skip


def judge_theorem(judge: Judge, f: Facts, kinds: Any, sets: Any) -> None:
    """The KKT theorem's hypotheses and the radius that it allows."""
    W, v, half = sets["W"], sets["v"], f.m // 2
    ball, cone = kinds["W"] == "Ball", kinds["v"] in ("PairedCone", "CircularCone")
    mirrored = ball and f.m % 2 == 0
    mirrored = mirrored and all(
        bool(p == q)
        for p, q in zip(flat(W["center"][:half]), flat(W["center"][half:]), strict=True)
    )
    holds = {
        "smooth activation": f.curvature is not None,
        "W between two balls": ball,
        "mirrored start": mirrored,
        "v in a paired or a circular cone": cone,
        "ζ > 0": cone and bool(v["zeta"] > 0),
        "ε > 0": ball and bool(W["radius"] > 0),
    }
    claimed = judge.claims["hypotheses"]
    if ball and mirrored and cone and f.curvature is not None:
        start, limit = guaranteed(f, kinds["v"], W, v)
        holds["full rank at the start"] = start
        holds["full rank in the whole cone"] = limit > 0
        judge.at_most("guaranteed_radius", limit)
        allowed = judge.claims["guaranteed_radius"]
        under = allowed is not None and W["radius"] < allowed and W["radius"] < limit
        holds["ε under the guaranteed radius"] = bool(under)
    else:
        judge.word("guaranteed_radius", None)
    wrong = [
        name for name, yes in claimed.items() if name not in holds or (yes and not holds[name])
    ]
    lacking = BASIC - set(claimed)
    if wrong or lacking or (all(claimed.values()) and not all(holds.values())):
        judge.say("hypotheses", holds)


def guaranteed(f: Facts, kind: str, W: dict[str, Any], v: dict[str, Any]) -> tuple[bool, arb]:
    """Whether J has full rank at the start, and the largest radius of the theorem."""
    half = f.m // 2
    axis = [[arb(1)]] * half + [[arb(-1)]] * half if kind == "PairedCone" else v["axis"]
    unit, root_m = f.at(W["center"], axis), root(arb(f.m))
    gram, rate = unit.gram(), unit.lipschitz()
    assert rate is not None
    low, high = eigenvalue(gram, 0)
    start = bool(low > 0)
    least = root(high) if start else arb(0)
    if kind == "PairedCone":  # whatever κ is
        factor = root_m + root(arb(half)) if W["per_neuron"] else arb(3) / 2
    else:
        factor = root_m + half if W["per_neuron"] else arb(3) / 2
        A = paired(axis)
        spread = norm(flat(A)) * v["half_angle"].tan()
        widest = arb(0)
        for slopes in zip(*unit.D, strict=True):
            tilted = [
                [p * q * g for q, g in zip(slopes, row, strict=True)]
                for p, row in zip(slopes, f.inner, strict=True)
            ]
            widest = widest.max(root(eigenvalue(tilted, f.n - 1)[0]))
        least = (least - arb(2).sqrt() * spread * widest).max(arb(0))
        longest = max((norm(row) for row in A), key=float)
        rate = rate * (1 + spread / longest)
    return start, least / (factor * rate) if rate > 0 else arb(0)


def judge_verdict(judge: Judge, f: Facts, kinds: Any, outside: float) -> None:
    """The verdict, from the other claims and from the truth; `outside` is 1 where it turns."""
    claims, target = judge.claims, arb(judge.claims["target_loss"])
    bound = judge.ball("loss_bound")
    if outside > 1 + 1e-4:
        judge.word("verdict", "infeasible")
    elif outside > 1 - 1e-4:
        pass
    elif bound is not None and bound <= target * (1 - arb(TOL)):
        judge.word("verdict", "nearly global")
    elif bound is None or bound > target * (1 + arb(TOL)):
        speaks = claims["stationarity_bound"] is not None and kinds["v"] in SCALABLE
        judge.word("verdict", "not stationary" if speaks else "inconclusive")
    if claims["verdict"] == "nearly global" and f.residual**2 > 2 * f.n * target:
        judge.say("verdict", float(f.residual**2 / (2 * f.n)))


def falsehoods(a: dict[str, np.ndarray], header: Any) -> list[Falsehood]:
    """Every claim of a certificate that its own data do not imply.

    Args:
        a: the arrays of the file, as exact numbers; without the header.
        header: the header, read as JSON.

    Returns:
        The false claims; a file whose form is wrong has one, named "form".
    """
    with precision():
        try:
            check_form(a, header)
            judge = Judge(header["claims"])
            (judge_kkt if header["kind"] == "kkt" else judge_existence)(judge, a)
        except Malformed as reason:
            return [Falsehood("form", str(reason), None)]
    if header["kind"] == "existence proof":  # whatever a proof says holds to the last bit
        return [found._replace(material=True) for found in judge.found]
    return judge.found
