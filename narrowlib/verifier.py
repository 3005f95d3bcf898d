"""Check a certificate file again, with NumPy and nothing else.

    python verifier.py certificate.npz

It shares no code with narrowlib: σ, the Jacobian, the sets and every bound are written out a
second time below, in the plainest way. The file must hold exactly the arrays and the claims of its
kind. All is computed in double precision from the exact numbers in it. A claim that is a bound may
not be better than what comes out here, rounding counted against it; a claim that follows from
others must follow from them as they are claimed. A file is accepted if every claim comes out again,
and else the claims that do not are named. Exit status 0 for accepted, 1 for rejected.
"""

from __future__ import annotations

import functools
import io
import json
import math
import os
import sys
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
CLOSE = 1e-9  # a claim that follows from others may be off by this share
LONGEST = 2**24  # bytes of the header
LARGEST, SMALLEST = 2.0**256, 2.0**-256  # of the largest entry of an array, if it is not 0
MOST = 2**26  # numbers that the file, the network on all samples, or J Jᵀ may have


class Rejected(Exception):
    """The file is not accepted, for the reason given."""


def _erf(z: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[float])(z)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))


def _phi(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _Phi(z: np.ndarray) -> np.ndarray:
    return (1 + _erf(z / math.sqrt(2))) / 2


# name: (σ, σ′, sup|σ″|)
ACTIVATIONS = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(np.clip(z, -350, 350)) ** 2, 4 / (3 * math.sqrt(3))),
    "softplus": (lambda z: np.logaddexp(0, z), _sigmoid, 0.25),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z), math.sqrt(3) / 18),
    "gelu": (lambda z: z * _Phi(z), lambda z: _Phi(z) + z * _phi(z), math.sqrt(2 / math.pi)),
    "silu": (
        lambda z: z * _sigmoid(z),
        lambda z: _sigmoid(z) * (1 + z * _sigmoid(-z)),
        0.5,
    ),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, math.inf),
    "square": (np.square, lambda z: 2 * z, 2.0),
}

# ---- Reading: nothing is unpacked before its size is known, nothing is taken that is not asked for


def read(path: str) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    """The kind of the file, its arrays as they are, and its claims."""
    if not os.path.isfile(path):
        raise Rejected("file: there is no such file")
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > 8 * MOST:
            raise Rejected("file: it is larger than what is read")
        # of two with one name the later counts, as for NumPy
        last = {member.filename: member for member in archive.infolist()}
        members = {name.removesuffix(".npy"): member for name, member in last.items()}
        if len(members) < len(last):
            raise Rejected("file: two members have names that NumPy does not tell apart")
        if "header" not in members:
            raise Rejected("header: the file is no certificate")
        if members["header"].file_size > LONGEST:
            raise Rejected("header: it is longer than what is read")
        kind, claims = read_header(_member(archive, "header", members))
        needed = {"X", "y", "W", "v"} | set(own_arrays(claims) if kind == "kkt" else ())
        if set(members) - {"header"} != needed:
            names = ", ".join(sorted(set(members) - {"header"}))
            raise Rejected(f"arrays: {', '.join(sorted(needed))} are needed, not {names}")
        return kind, {name: _member(archive, name, members) for name in needed}, claims


def _member(archive: zipfile.ZipFile, name: str, members: dict[str, zipfile.ZipInfo]) -> np.ndarray:
    stream = io.BytesIO(archive.read(members[name]))
    value = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):
        raise Rejected(f"{name}: there is more behind the array")
    return value


def _no_constant(word: str) -> NoReturn:
    raise Rejected(f"header: {word} is no number")


def read_header(header: np.ndarray) -> tuple[str, dict[str, Any]]:
    """The kind and the claims: all that belong to the kind, and no others."""
    if header.ndim or header.dtype.kind != "U":
        raise Rejected("header: it is no text")
    read = json.loads(str(header), parse_constant=_no_constant)
    if not isinstance(read, dict) or set(read) != {"format", "kind", "claims"}:
        raise Rejected("header: format, kind and claims are needed, and nothing else")
    kind, version, claims = read["kind"], read["format"], read["claims"]
    if kind == "existence proof":
        raise Rejected("header: an existence proof is checked by proof_verifier.py")
    if not isinstance(kind, str) or kind not in CLAIMS or type(version) is not int or version != 2:
        raise Rejected(f"header: kind {kind!r}, format {version!r} is not read")
    if not isinstance(claims, dict) or set(claims) != set(CLAIMS[kind]):
        odd = sorted(set(claims) ^ set(CLAIMS[kind])) if isinstance(claims, dict) else ["all"]
        raise Rejected(f"claims: missing or unknown: {', '.join(odd)}")
    if not isinstance(claims["activation"], str) or claims["activation"] not in ACTIVATIONS:
        raise Rejected(f"activation: {claims['activation']!r} is unknown: nothing can be checked")
    return kind, claims


def own_arrays(claims: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The arrays of the two claimed sets: the name in the file, whose it is, and its own name."""
    kinds = claims["sets"]
    if not isinstance(kinds, dict) or set(kinds) != {"W", "v"}:
        raise Rejected(f"sets: claimed {kinds!r}, and one for W and one for v are needed")
    names = {}
    for part, kind in kinds.items():
        if not isinstance(kind, str) or kind not in SETS:
            raise Rejected(f"sets: claimed {kind!r}, which is not one of {', '.join(SETS)}")
        for own in SETS[kind].arrays:
            names[own if own in OWN_NAMES[part] else f"{own}_{part}"] = (part, own)
    return names


def as_doubles(arrays: dict[str, np.ndarray], claims: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays in double precision, after a look at their types, shapes and ranges."""
    own = own_arrays(claims) if "sets" in claims else {}
    for name, value in arrays.items():
        if name in own and own[name][1] == "per_neuron":
            if value.dtype != bool or value.ndim:
                raise Rejected(f"{name}: true or false is needed")
        elif value.dtype.kind != "f" or value.dtype.itemsize > 8:
            raise Rejected(f"{name}: entries of type {value.dtype} are not read")
        elif not np.all(np.isfinite(value)):
            raise Rejected(f"{name}: NaN or infinite entries")
        elif value.ndim and np.any(value) and not SMALLEST <= np.abs(value).max() <= LARGEST:
            raise Rejected(f"{name}: products of its entries leave the range of numbers")
    a = {k: value if value.dtype == bool else value.astype(float) for k, value in arrays.items()}
    X, y, W, v = (a[name] for name in ("X", "y", "W", "v"))
    fits = X.ndim == W.ndim == 2 and y.ndim == v.ndim and v.ndim in (1, 2)
    fits = fits and min(X.size, W.size, v.size) > 0 and X.shape[1] == W.shape[1]
    if not fits or len(v) != len(W) or len(y) != len(X) or y.shape[1:] != v.shape[1:]:
        raise Rejected("arrays: their shapes do not fit together")
    if max(y.size**2, y.size * len(W)) > MOST:
        raise Rejected("arrays: more samples and neurons than what is read")
    for name, (part, key) in own.items():
        allowed = [a[part].shape] if key in ("center", "axis", "fixed") else [()]
        if a[name].shape not in allowed + [()] * (key == "fixed"):
            raise Rejected(f"{name}: its shape is {a[name].shape}")
        if key in RANGES and not RANGES[key](a[name]):
            raise Rejected(f"{name}: no such set has {a[name].tolist()!r}"[:200])
    if "sets" in claims:
        for part, kind in claims["sets"].items():
            shape = a[part].shape
            if SETS[kind].paired and (shape[0] % 2 or (kind == "PairedCone" and len(shape) > 1)):
                raise Rejected(f"{part}: a {kind} has no elements of shape {shape}")
    return a


# ---- The network, with how far rounding can have moved each number


def facts(a: dict[str, np.ndarray], activation: str) -> dict[str, Any]:
    """What every bound rests on; `off_…` bound the error of what they name.

    A sum of k products is off by at most k ε of their absolute values. An error e in z moves σ(z)
    by at most (|σ′(z)| + sup|σ″| e) e, and σ′(z) by sup|σ″| e. Beside that σ and σ′ are trusted to
    4 ε (1 + |value|). An entry of J Jᵀ is a sum of d times a sum of m products, and the trace
    bounds the norm of the matrix of their absolute values.
    """
    sigma, slope, curvature = ACTIVATIONS[activation]
    X, W = a["X"], a["W"]
    (n, d), m, smooth = X.shape, len(W), math.isfinite(curvature)
    v, y = a["v"].reshape(m, -1), a["y"].reshape(n, -1)
    Z, off_Z = X @ W.T, d * EPS * (np.abs(X) @ np.abs(W).T)
    phi, D = sigma(Z), slope(Z)
    # the slope of relu is off by 1 where the sign of z is not sure
    off_D = curvature * off_Z + 4 * EPS * (1 + np.abs(D)) if smooth else (np.abs(Z) <= off_Z) * 1.0
    off_phi = (np.abs(D) + off_D if smooth else 1.0) * off_Z + 4 * EPS * (1 + np.abs(phi))
    F, sums = phi @ v, np.abs(phi) @ np.abs(v)
    r, off_F = F - y, off_phi @ np.abs(v) + m * EPS * sums
    lengths, sizes = np.linalg.norm(X, axis=1), np.linalg.norm(v, axis=1)
    features = np.einsum("ij,jk->ikj", D, v).reshape(y.size, -1)
    inner, outer = X @ X.T, features @ features.T
    gram = np.kron(inner, np.ones((v.shape[1],) * 2)) * outer
    eigenvalues = np.linalg.eigvalsh(gram)
    slack = (y.size + d + m) * EPS * float(np.trace(gram))
    # and what is lost where products are too small for a double
    slack += y.size * TINY * float(1 + m * np.abs(inner).max() + d * np.abs(outer).max())
    off_J = float(np.linalg.norm(lengths[:, None] * off_D * sizes))
    terms = ((n + v.shape[1] + 4) * EPS * np.abs(D) + off_D) * (np.abs(r) @ np.abs(v).T)

    def at_least(times: float) -> float:
        """σ_min(J), with so many times its error taken off."""
        return max(math.sqrt(max(eigenvalues[0] - times * slack, 0)) - times * off_J, 0.0)

    return {
        "residual": float(np.linalg.norm(r)),
        "rounding": float(np.linalg.norm(off_F) + (y.size + 2) * EPS * np.linalg.norm(r)),
        "size_F": float(np.linalg.norm(F)),
        "r_dot_F": float(np.sum(r * F)),
        "off_r_dot_F": (n + m) * EPS * float(np.sum(np.abs(r) * sums)),
        "pull": (D * (r @ v.T)).T @ X,  # Jᵀ r
        "off_pull": float(np.linalg.norm(terms.T @ np.abs(X))),
        "norm_J": math.sqrt(max(eigenvalues[-1], 0)),
        "pull_v": (phi.T @ r).reshape(a["v"].shape),
        "off_pull_v": float(np.linalg.norm((off_phi + (n + 2) * EPS * np.abs(phi)).T @ np.abs(r))),
        "norm_phi": float(np.linalg.norm(phi)),
        "sigma_min": at_least(1),
        "sigma_min_low": at_least(4),
        "lipschitz": float(curvature * lengths.max() * np.linalg.norm(X, 2) * sizes.max())
        if smooth
        else math.inf,
    }


def judged(check: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """What stops a check is what is wrong with the file."""

    @functools.wraps(check)
    def judge(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
        try:
            return check(a, claims)
        except Rejected as reason:
            return [str(reason)]

    return judge


@judged
def check_existence(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of an existence certificate that do not come out again."""
    a = as_doubles(a, claims)
    found, floors, _ = common(a, claims)
    R, s, L = (number(claims, name) for name in ("residual", "sigma_min", "lipschitz"))
    floors["residual"] = (0.0, 5 * found["rounding"])
    found["residual"] += found.pop("rounding")
    square = s * s
    h = L * R / square if square > 0 and math.isfinite(L) else math.inf
    exists = h < 0.5
    radius = 2 * R / s / (1 + math.sqrt(1 - 2 * h)) if exists else math.inf
    found |= {"h": h, "radius": radius, "verdict": "exists" if exists else "inconclusive"}
    return differences(claims, found, floors)


def common(
    a: dict[str, np.ndarray], claims: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]], dict[str, Any]]:
    """What both kinds of certificates claim, how far it may be off, and the facts."""
    f = facts(a, claims["activation"])
    if not all(np.all(np.isfinite(x)) for name, x in f.items() if name != "lipschitz"):
        raise Rejected("arrays: their products overflow")
    found = {name: f[name] for name in ("residual", "rounding", "sigma_min", "lipschitz")}
    found |= {"samples": len(a["X"]), "neurons": len(a["W"])}
    return found, {"sigma_min": (f["sigma_min"] - f["sigma_min_low"], 0.0)}, f


@judged
def check_kkt(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of a KKT certificate that do not come out again."""
    single = any(a[name].dtype.itemsize < 8 for name in ("W", "v"))
    a, kinds, n = as_doubles(a, claims), claims["sets"], len(a["X"])
    own = own_arrays(claims)
    sets = {part: {key: a[k] for k, (p, key) in own.items() if p == part} for part in kinds}
    found, floors, f = common(a, claims)
    off_F = found.pop("rounding")
    # two computed residuals differ by at most twice their error, and so on
    turned = 2 * f["norm_J"] * off_F
    off = {
        "W": (2 * f["off_pull"] + turned) / n,
        "v": 2 * (f["off_pull_v"] + f["norm_phi"] * off_F) / n,
    }
    R = number(claims, "residual")
    found |= {"loss": R * R / (2 * n), "ray": f["r_dot_F"] / n}
    floors["residual"] = (2 * off_F, 2 * off_F)
    off_ray = 2 * (f["off_r_dot_F"] + off_F * (f["size_F"] + f["residual"] + off_F)) / n
    floors["ray"] = (off_ray, off_ray)
    away = distances(a, claims, sets)
    for checks in (by_rank(f, claims, turned), on_the_sets(a, f, claims, sets, away, off)):
        found, floors = found | checks[0], floors | checks[1]
    found |= {"radius": None, "distance": None, "start_output": None, "multiplier": 0.0}
    found["stationarity_bound"] = number(claims, "residual_bound")
    if kinds["W"] == "Ball":
        place = in_ball(a, claims, f, sets["W"], off["W"])
        found, floors = found | place[0], floors | place[1]
    found["hypotheses"], found["guaranteed_radius"], slack = hypotheses(a, claims, sets)
    floors["guaranteed_radius"] = (slack, 0.0)
    found["verdict"] = verdict(a, claims, away, single)
    found["target_loss"] = number(claims, "target_loss")
    return differences(claims, found, floors)


Found = tuple[dict[str, Any], dict[str, tuple[Any, Any]]]


def by_rank(f: dict[str, Any], claims: dict[str, Any], turned: float) -> Found:
    """‖r‖ ≤ ‖Jᵀr‖/σ_min with what rounding adds; in no case less than ‖r‖ itself can be."""
    s, off_F, n = number(claims, "sigma_min"), f["rounding"], claims["samples"]
    if s == 0 or type(n) is not int:
        return {"residual_bound": math.inf, "loss_bound": math.inf}, {}
    pull, least = float(np.linalg.norm(f["pull"])), f["residual"] + off_F
    value = max((pull + 3 * f["off_pull"]) / s + 3 * off_F, least)
    low, more = max((pull - turned) / s, least), (f["off_pull"] + turned) / s + 5 * off_F
    bound = number(claims, "residual_bound")
    found = {"residual_bound": value, "loss_bound": bound * bound / (2 * n)}
    return found, {"residual_bound": (value - low, more)}


def on_the_sets(
    a: dict[str, np.ndarray], f: dict[str, Any], claims: dict[str, Any], sets: dict[str, dict],
    away: dict[str, float], errors: dict[str, float],
) -> Found:  # fmt: skip
    """How far the point is from the two sets, and the gradient from their normal cones."""
    kinds, n = claims["sets"], len(a["X"])
    slacks = {}
    for part in kinds:  # rounding in large weights hides nothing in small ones
        places = [a[part], *(x for x in sets[part].values() if x.ndim)]
        slacks[part] = 16 * EPS * sum(float(np.linalg.norm(x)) for x in places)
    value = math.hypot(*away.values())
    low = math.hypot(*(max(away[part] - slacks[part], 0.0) for part in kinds))
    high = math.hypot(*(away[part] + slacks[part] for part in kinds))
    found, floors = {"violation": value}, {"violation": (value - low, high - value)}
    for part, gradient in (("W", f["pull"] / n), ("v", f["pull_v"] / n)):
        # a face is active within √ε, give or take a millionth of that
        tangent = functools.partial(SETS[kinds[part]].tangent, a[part], -gradient, **sets[part])
        shares = (1 - 1e-6, 1.0, 1 + 1e-6)
        low, value, high = sorted(float(np.linalg.norm(tangent(share=x))) for x in shares)
        slack = errors[part] + 1e-11 * float(np.linalg.norm(gradient))
        found[f"stationarity_{part}"] = value
        floors[f"stationarity_{part}"] = (value - low + slack, high - value + slack)
    return found, floors


def distances(
    a: dict[str, np.ndarray], claims: dict[str, Any], sets: dict[str, dict]
) -> dict[str, float]:
    """How far W and v are from their sets."""
    return {
        part: float(np.linalg.norm(a[part] - SETS[kind].project(a[part], **sets[part])))
        for part, kind in claims["sets"].items()
    }


def verdict(
    a: dict[str, np.ndarray], claims: dict[str, Any], away: dict[str, float], single: bool
) -> str:
    """The word that follows from what is claimed; which of two, where rounding may decide."""
    feasible = 2e-6 if single else 1e-9  # relative to the weights: a violation by rounding
    share = max(
        distance / (feasible * (1 + float(np.linalg.norm(a[part]))))
        for part, distance in away.items()
    )
    unsure = abs(share - 1) < 1e-4
    if (share > 1 and not unsure) or (unsure and claims["verdict"] == "infeasible"):
        return "infeasible"
    if number(claims, "loss_bound") <= number(claims, "target_loss"):
        return "nearly global"
    # without rays the derivative along them says nothing about stationarity
    speaks = number(claims, "stationarity_bound") < math.inf
    return "not stationary" if speaks and SETS[claims["sets"]["v"]].scalable else "inconclusive"


def in_ball(
    a: dict[str, np.ndarray], claims: dict[str, Any], f: dict[str, Any], ball: dict[str, Any],
    off: float,
) -> Found:  # fmt: skip
    """The claims about W's place in its ball."""
    move, pull = a["W"] - ball["center"], -f["pull"] / len(a["X"])
    e = float(np.linalg.norm(move))
    start = facts({**a, "W": ball["center"], "y": 0 * a["y"]}, claims["activation"])
    found = {"radius": float(ball["radius"]), "distance": e, "start_output": start["residual"]}
    floors = {
        "distance": (8 * EPS * (1 + e), 8 * EPS * (1 + e)),
        "start_output": (2 * start["rounding"], 2 * start["rounding"]),
    }
    length, push, on_sphere = in_rows(a["W"], pull, ball, 1 + 1e-6)
    sure = in_rows(a["W"], pull, ball, 1 - 1e-6)[2]
    moved = np.where(length > 0, length, 1.0)
    multiplier, errors = (np.where(on_sphere, x, 0.0) / moved for x in (push, off))
    errors = errors + 1e-11 * multiplier
    downs = np.where(sure, errors, errors + multiplier)  # a face that may not be active
    alone = not ball["per_neuron"]
    found["multiplier"] = multiplier[0].item() if alone else multiplier.tolist()
    floors["multiplier"] = (downs[0].item(), errors[0].item()) if alone else (downs, errors)
    claimed = np.array(numbers(claims, "multiplier", len(multiplier), alone))
    if np.any(claimed > 0) and number(claims, "sigma_min") > 0:
        least = e if alone else float(length[claimed > 0].min())
        value, slack = by_stationarity(claims, f, (e, least), start["rounding"], len(a["X"]))
        found["stationarity_bound"], floors["stationarity_bound"] = value, slack
    else:
        found["stationarity_bound"] = number(claims, "residual_bound")
    return found, floors


def by_stationarity(
    claims: dict[str, Any], f: dict[str, Any], moves: tuple[float, float], off_start: float, n: int
) -> tuple[float, tuple[float, float]]:
    """What ‖r‖ cannot exceed on the sphere, and how far less or more may be claimed."""
    names = ("sigma_min", "lipschitz", "stationarity_W", "start_output", "residual_bound")
    s, L, delta, offset, direct = (number(claims, name) for name in names)
    (e, least), ray = moves, number(claims, "ray", -math.inf)
    top = n * delta * (least + e) + n * max(0.0, -ray)
    room = s * least - L * e**2 / 2 - offset

    def bound(times: float) -> float:
        """With so many times what rounding can do to it."""
        left = room - times * (off_start + f["rounding"])
        more = times * f["off_pull"] * (least + e)
        return (top + more) / left + times * f["rounding"] if left > 0 else math.inf

    value, low, high = (max(bound(times), direct) for times in (3, 1, 6))
    if math.isinf(low):
        return math.inf, (0.0, 0.0)
    value = value if value < math.inf else low
    return value, (value - low, high - value)


def hypotheses(
    a: dict[str, np.ndarray], claims: dict[str, Any], sets: dict[str, dict[str, Any]]
) -> tuple[dict[str, bool], float | None, float]:
    """The KKT theorem's hypotheses, the radius that it guarantees, and how much less may stand.

    Where rounding may decide, what is claimed is taken.
    """
    kinds, m, activation = claims["sets"], len(a["W"]), claims["activation"]
    _, slope, curvature = ACTIVATIONS[activation]
    smooth, half, ball = math.isfinite(curvature), m // 2, kinds["W"] == "Ball"
    cone, v = kinds["v"] in ("PairedCone", "CircularCone"), sets["v"]
    mirrored = ball and m % 2 == 0 and np.array_equal(a["center"][:half], a["center"][half:])
    holds = {
        "smooth activation": smooth,
        "W between two balls": ball,
        "ε > 0": ball and float(a["radius"]) > 0,
        "mirrored start": bool(mirrored),
        "v in a paired or a circular cone": cone,
        "ζ > 0": cone and float(v["zeta"]) > 0,
    }
    if not (mirrored and smooth and cone):
        return holds, None, 0.0
    paired = kinds["v"] == "PairedCone"
    axis = np.repeat([1.0, -1.0], half) if paired else v["axis"]
    unit = facts(
        {**a, "W": a["center"], "v": axis, "y": np.zeros((len(a["X"]), *axis.shape[1:]))},
        activation,
    )
    low, high, fastest = unit["sigma_min_low"], unit["sigma_min"], unit["lipschitz"]
    rank = {"full rank at the start": (low, high)}
    if not paired:  # v = height · (A + E; −A − E) with ‖E‖ ≤ ‖A‖ tan θ
        A = axis[:half].reshape(half, -1)
        spread = float(np.linalg.norm(A)) * math.tan(float(v["half_angle"]))
        slopes = slope(a["X"] @ a["center"].T)
        widest = max(float(np.linalg.norm(column[:, None] * a["X"], 2)) for column in slopes.T)
        less = math.sqrt(2) * spread * widest
        low, high = low - less * (1 + CLOSE), high - less
        fastest *= 1 + spread / float(np.linalg.norm(A, axis=1).max())
        rank["full rank in the whole cone"] = (low, high)
    claimed = claims["hypotheses"] if isinstance(claims["hypotheses"], dict) else {}
    for name, (least, most) in rank.items():
        holds[name] = most > 0 and (least > 0 or claimed.get(name) is not False)
    factor = math.sqrt(m) + m / 2 if a["per_neuron"] else 1.5
    low, high = (x / (factor * fastest) if x > 0 else 0.0 for x in (low, high))
    given = claims["guaranteed_radius"]
    given = given if type(given) in (int, float) else high
    holds["ε under the guaranteed radius"] = float(a["radius"]) < given
    return holds, high, high - low


# ---- The sets: the nearest point, and the nearest element of the tangent cone to a direction


def project_pairs(x: np.ndarray) -> np.ndarray:
    """Each pair's average, with both signs."""
    half = len(x) // 2
    u = (x[:half] - x[half:]) / 2
    return np.concatenate([u, -u])


def least_size(low: np.ndarray, high: np.ndarray, kappa: float) -> float:
    """The t with the least Σ (t − low)₊² + Σ (high − κt)₊², by bisection."""
    most = max(np.abs(low).max(initial=0), np.abs(high).max(initial=0))
    left, right = -most, most
    for _ in range(200):
        t = (left + right) / 2
        rising = np.maximum(t - low, 0).sum() >= kappa * np.maximum(high - kappa * t, 0).sum()
        left, right = (left, t) if rising else (t, right)
    return right


def project_paired_cone(x: np.ndarray, zeta: Any, kappa: Any) -> np.ndarray:
    """All sizes between the least size t ≥ ζ and κt."""
    zeta, kappa = float(zeta), float(kappa)
    u = project_pairs(x)[: len(x) // 2]
    t = max(least_size(u, u, kappa), zeta)
    u = np.clip(u, t, max(kappa * t, t))
    return np.concatenate([u, -u])


def project_circular_cone(x: np.ndarray, axis: Any, half_angle: Any, zeta: Any) -> np.ndarray:
    """The nearest of three spots in the plane of the axis and x: edge, cut, or x itself."""
    angle = float(half_angle)
    height, side, unit, outward = in_plane(x, axis)
    floor, slope = float(zeta) * float(np.linalg.norm(axis)), math.tan(angle)
    along = max(height * math.cos(angle) + side * math.sin(angle), floor / math.cos(angle))
    spots = [(along * math.cos(angle), along * math.sin(angle))]
    spots.append((floor, min(side, floor * slope)))
    if height >= floor and side <= slope * height:
        spots.append((height, side))
    h, b = min(spots, key=lambda spot: math.hypot(spot[0] - height, spot[1] - side))
    return h * unit + b * outward


def in_plane(x: np.ndarray, axis: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    """The pairs of x in the plane of the axis and themselves: height, side, and two directions."""
    unit, pairs = axis / np.linalg.norm(axis), project_pairs(x)
    height = float(np.sum(pairs * unit))
    rest = pairs - height * unit
    side = float(np.linalg.norm(rest))
    return height, side, unit, rest / side if side > 0 else rest


def in_rows(
    x: np.ndarray, direction: np.ndarray, ball: dict[str, Any], share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For the ball, or each: how far x has moved, its outward pull, and whether on the sphere."""
    shape = (len(x), -1) if ball["per_neuron"] else (1, -1)
    move, pull = (x - ball["center"]).reshape(shape), direction.reshape(shape)
    length = np.linalg.norm(move, axis=1)
    outwards = move / np.where(length > 0, length, 1)[:, None]
    push = np.maximum(np.sum(pull * outwards, axis=1), 0)
    near = share * math.sqrt(EPS)
    return length, push, (length >= float(ball["radius"]) * (1 - near)) & (length > 0)


def project_ball(x: np.ndarray, center: Any, radius: Any, per_neuron: Any) -> np.ndarray:
    """Shorten x − center, or each of its rows, to the radius."""
    rows = (x - center).reshape(len(x) if per_neuron else 1, -1)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    short = np.minimum(1, float(radius) / np.where(length > 0, length, 1))
    return np.where(np.all(length <= radius), x, center + (rows * short).reshape(x.shape))


def tangent_ball(x: np.ndarray, direction: np.ndarray, share: float, **ball: Any) -> np.ndarray:
    """On the sphere a direction loses what leads outwards; in a ball of radius 0, all."""
    if float(ball["radius"]) == 0:
        return 0 * direction
    move = (x - ball["center"]).reshape((len(x), -1) if ball["per_neuron"] else (1, -1))
    length, push, on_sphere = in_rows(x, direction, ball, share)
    factor = np.where(on_sphere, push, 0) / np.where(length > 0, length, 1)
    return direction - (factor[:, None] * move).reshape(x.shape)


def tangent_paired_cone(
    x: np.ndarray, direction: np.ndarray, share: float, zeta: Any, kappa: Any
) -> np.ndarray:
    """On the floor the least sizes may only grow; on the ratio they lead the largest."""
    half, near = len(x) // 2, 1 + share * math.sqrt(EPS)
    u, b = project_pairs(x)[:half], project_pairs(direction)[:half]
    zeta, kappa = float(zeta), float(kappa)
    on_floor, on_ratio = u.min() <= zeta * near, u.max() * near >= kappa * u.min()
    is_least, is_most = u <= u.min() * near, u * near >= u.max()
    low = np.full(half, -np.inf)
    high = np.full(half, np.inf)
    if on_ratio:
        s = least_size(b[is_least], b[is_most], kappa)
        s = max(s, 0.0) if on_floor else s
        low[is_least], high[is_most] = s, kappa * s
    elif on_floor:
        low[is_least] = 0.0
    b = np.minimum(np.maximum(b, low), high)
    return np.concatenate([b, -b])


def tangent_circular_cone(
    x: np.ndarray, direction: np.ndarray, share: float, axis: Any, half_angle: Any, zeta: Any
) -> np.ndarray:
    """In the plane of the axis and x, one or two half planes bound the directions."""
    height, side, unit, outward = in_plane(x, axis)
    size, pairs, angle = math.hypot(height, side), project_pairs(direction), float(half_angle)
    if size == 0:  # the tip: only with ζ = 0
        return project_circular_cone(direction, axis, half_angle, 0.0)
    near, normals = share * math.sqrt(EPS) * size, []
    if side * math.cos(angle) >= height * math.sin(angle) - near:
        normals.append((-math.sin(angle), math.cos(angle)))
    if height <= float(zeta) * float(np.linalg.norm(axis)) + near:
        normals.append((-1.0, 0.0))
    a, b = float(np.sum(pairs * unit)), float(np.sum(pairs * outward))
    spots = [(a, b), (0.0, 0.0)]
    for p, q in normals:
        spots.append((a - (a * p + b * q) * p, b - (a * p + b * q) * q))
    tiny = 4 * EPS * math.hypot(a, b)
    allowed = [z for z in spots if all(z[0] * p + z[1] * q <= tiny for p, q in normals)]
    new_a, new_b = min(allowed, key=lambda z: math.hypot(z[0] - a, z[1] - b))
    return pairs + (new_a - a) * unit + (new_b - b) * outward


class Kind(NamedTuple):
    """A kind of set, as this file knows it.

    Args:
        arrays: the names of its arrays.
        project: the nearest point of the set to x.
        tangent: the nearest element of the tangent cone at x to a direction, where a face counts as
            active within a share of √ε.
        paired: whether its elements come in pairs.
        scalable: whether αx stays in it for all large α.
    """

    arrays: tuple[str, ...]
    project: Callable[..., np.ndarray]
    tangent: Callable[..., np.ndarray]
    paired: bool = False
    scalable: bool = False


SETS = {
    "Free": Kind((), lambda x: x, lambda x, d, share: d, scalable=True),
    "Fixed": Kind(("fixed",), lambda x, fixed: 0 * x + fixed, lambda x, d, share, fixed: 0 * d),
    "Ball": Kind(("center", "radius", "per_neuron"), project_ball, tangent_ball),
    "Pairs": Kind((), project_pairs, lambda x, d, share: project_pairs(d), True, True),
    "PairedCone": Kind(("zeta", "kappa"), project_paired_cone, tangent_paired_cone, True, True),
    "CircularCone": Kind(
        ("axis", "half_angle", "zeta"), project_circular_cone, tangent_circular_cone, True, True
    ),
}
# arrays of a set that lie in the file under their own names; others have "_W" or "_v" behind
OWN_NAMES = {"W": ("center", "radius", "per_neuron"), "v": ("zeta", "kappa", "axis", "half_angle")}
RANGES = {
    "radius": lambda x: x >= 0,
    "zeta": lambda x: x >= 0,
    "kappa": lambda x: x >= 1,
    "half_angle": lambda x: 0 < x < math.pi / 2,
    "axis": lambda x: len(x) % 2 == 0 and np.array_equal(x, project_pairs(x)) and np.any(x),
}


# ---- What is claimed, against what is found


def number(claims: dict[str, Any], name: str, least: float = 0.0) -> float:
    """A claimed number that is none too strange; infinite for null where that is allowed."""
    if claims[name] is None and name in INFINITE:
        return math.inf
    return _number(name, claims[name], least)


def _number(name: str, value: Any, least: float) -> float:
    if type(value) not in (int, float) or not least <= value < math.inf or value == -math.inf:
        raise Rejected(f"{name}: claimed {value!r}, which is no such number")
    return float(value)


def numbers(claims: dict[str, Any], name: str, count: int, alone: bool) -> list[float]:
    """A claimed number, or a list of so many."""
    value = [claims[name]] if alone else claims[name]
    if not isinstance(value, list) or len(value) != count:
        raise Rejected(f"{name}: {count} numbers are needed")
    return [_number(name, x, 0.0) for x in value]


def differences(
    claims: dict[str, Any], found: dict[str, Any], floors: dict[str, tuple[Any, Any]]
) -> list[str]:
    """The claims that are not what was found.

    A number may be less or more by its two floors and by a billionth, all else must be the same.
    """
    wrong = []
    for name, value in found.items():
        claimed = claims[name]
        if isinstance(value, float | list):
            low, high = (np.asarray(x) for x in floors.get(name, (0.0, 0.0)))
            least = -math.inf if name == "ray" else 0.0
            if isinstance(value, list):
                claimed = numbers(claims, name, len(value), False)
            elif claimed is None and name in INFINITE:
                claimed = math.inf
            else:
                claimed = _number(name, claimed, least)
            value, got = np.asarray(value), np.asarray(claimed)
            close = CLOSE * np.where(np.isfinite(value), np.abs(value), 0)
            same = np.all((value - low - close <= got) & (got <= value + high + close))
        else:
            same = _same(claimed, value)
        if not same:
            wrong.append(f"{name}: claimed {claimed!r}, found {_shown(value)}")
    return wrong


def _same(claimed: Any, value: Any) -> bool:
    """Equal, and of one type: 1 is not true, and 1.0 no count."""
    if isinstance(claimed, dict) and isinstance(value, dict):
        return set(claimed) == set(value) and all(_same(claimed[k], value[k]) for k in value)
    return type(claimed) is type(value) and claimed == value


def _shown(value: Any) -> str:
    return repr(value.tolist()) if isinstance(value, np.ndarray) else repr(value)


def verify(path: str) -> list[str]:
    """Every claim of the file that does not come out again; an empty list accepts it.

    Args:
        path: a certificate file.

    Returns:
        One line for each wrong claim.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "empty.npz"
        ...     np.savez(path)
        ...     verify(str(path))
        ['header: the file is no certificate']
    """
    try:
        with np.errstate(all="ignore"):
            kind, arrays, claims = read(path)
            return (check_kkt if kind == "kkt" else check_existence)(arrays, claims)
    except Rejected as reason:
        return [str(reason)]
    except Exception as error:  # whatever else is wrong with the file, it is not accepted
        return [f"file: cannot be read as a certificate ({type(error).__name__}: {error})"[:300]]


COMMON = ("activation", "verdict", "samples", "neurons", "residual", "sigma_min", "lipschitz")
CLAIMS = {
    "existence": (*COMMON, "h", "radius"),
    "kkt": (
        *COMMON, "loss", "violation", "stationarity_W", "stationarity_v", "multiplier", "ray",
        "distance", "start_output", "sets", "hypotheses", "radius", "guaranteed_radius",
        "residual_bound", "loss_bound", "stationarity_bound", "target_loss",
    ),
}  # fmt: skip
# claims that are null where they are infinite
INFINITE = ("lipschitz", "h", "radius", "residual_bound", "loss_bound", "stationarity_bound")


def plain(line: str) -> str:
    """A line with nothing in it that a terminal obeys: names in a file are not ours."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def main() -> int:
    """Read the command line, print the finding, return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without Greek gets the verdict too
        sys.stdout.reconfigure(errors="backslashreplace")
    if len(sys.argv) != 2:
        print("usage: python verifier.py certificate.npz")
        return 2
    wrong = [plain(line) for line in verify(sys.argv[1])]
    print("rejected\n  " + "\n  ".join(wrong) if wrong else "accepted: every claim came out again")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
