"""Check a certificate file again, with NumPy and nothing else.

    python verifier.py certificate.npz

It shares no code with narrowlib: σ, the Jacobian and every bound are written out a second time
below, in the plainest way. It accepts a file whose every claim comes out again, and names the
claim otherwise. Exit status 0 for accepted, 1 for rejected.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np

_erf = np.vectorize(math.erf, otypes=[float])


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


def facts(a: dict[str, np.ndarray], activation: str) -> dict[str, Any]:
    """What every bound rests on, from the data and the weights."""
    sigma, slope, curvature = ACTIVATIONS[activation]
    X, W, v = a["X"], a["W"], a["v"].reshape(len(a["v"]), -1)
    y, n, eps = a["y"].reshape(len(X), -1), len(X), np.finfo(float).eps
    Z = X @ W.T
    phi, D = sigma(Z), slope(Z)
    F = phi @ v
    r = F - y
    features = np.einsum("ij,jk->ikj", D, v).reshape(n * v.shape[1], -1)
    gram = np.kron(X @ X.T, np.ones((v.shape[1],) * 2)) * (features @ features.T)
    eigenvalues = np.linalg.eigvalsh(gram)
    s = math.sqrt(max(eigenvalues[0] - eps * len(gram) * eigenvalues[-1], 0))
    widest = np.linalg.norm(X, axis=1).max() * np.linalg.norm(X, 2)
    # how far two orders of summation may differ
    error_Z = eps * W.shape[1] * (np.abs(X) @ np.abs(W).T)
    # σ′ changes by curvature · error_Z on the way; where it jumps (relu) it is at most 1
    steepest = np.abs(D) + curvature * error_Z if math.isfinite(curvature) else 1.0
    error = (steepest * error_Z + eps * (len(W) + 8) * (1 + np.abs(phi))) @ np.abs(v)
    return {
        "residual": float(np.linalg.norm(r)),
        "rounding": 2 * float(np.linalg.norm(error)),
        "norm_J": math.sqrt(eigenvalues[-1]),
        "r_dot_F": float(np.sum(r * F)),
        "pull": (D * (r @ v.T)).T @ X,  # Jᵀ r
        "pull_v": (phi.T @ r).reshape(a["v"].shape),
        "sigma_min": s,
        "lipschitz": float(curvature * widest * np.linalg.norm(v, axis=1).max())
        if math.isfinite(curvature)
        else math.inf,
        "samples": n,
        "neurons": len(W),
    }


def check_existence(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of an existence certificate that do not come out again."""
    f = facts(a, claims["activation"])
    residual, s, h, radius = claims["residual"], f["sigma_min"], math.inf, math.inf
    if s**2 > 0:
        h = f["lipschitz"] * residual / s**2
    if h < 0.5:
        radius = 2 * residual / s / (1 + math.sqrt(1 - 2 * h))
    found = {name: f[name] for name in ("sigma_min", "lipschitz", "samples", "neurons")}
    found |= {"h": h, "radius": radius, "verdict": "exists" if h < 0.5 else "inconclusive"}
    wrong = differences(claims, found)
    if not f["residual"] <= residual <= f["residual"] + 2 * f["rounding"]:
        wrong.append(f"residual: claimed {residual:.3e}, found {f['residual']:.3e} and rounding")
    return wrong


def check_kkt(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of a KKT certificate that do not come out again."""
    f, n, kinds = facts(a, claims["activation"]), len(a["X"]), claims["sets"]
    sets, wrong = read_sets(a, kinds)
    if wrong:
        return wrong
    s, L, g, g_v = f["sigma_min"], f["lipschitz"], f["pull"] / n, f["pull_v"] / n
    found = {name: f[name] for name in ("sigma_min", "lipschitz", "samples", "neurons")}
    floors = {"residual": f["rounding"], "stationarity_W": f["norm_J"] * f["rounding"] / n}
    spread = f["norm_J"] * f["rounding"] / s if s > 0 else 0.0
    floors["stationarity_bound"] = spread
    bound = n * float(np.linalg.norm(g)) / s if s > 0 else math.inf
    by_stationarity = bound
    multiplier, least, e, offset = np.zeros(()), 0.0, 0.0, 0.0
    if kinds["W"] == "Ball":
        multiplier, _, length = balance(a["W"], g, **sets["W"])
        e = float(np.linalg.norm(length))
        least = float(length[multiplier > 0].min()) if np.any(multiplier > 0) else e
        start = ACTIVATIONS[claims["activation"]][0](a["X"] @ sets["W"]["center"].T) @ a["v"]
        offset = float(np.linalg.norm(start))
        found |= {"radius": float(a["radius"]), "distance": e, "start_output": offset}
        floors["start_output"] = f["rounding"]
        floors["multiplier"] = floors["stationarity_W"] / max(least, 1e-300)
    else:
        found |= {"radius": None, "distance": None, "start_output": None}
    found["multiplier"] = multiplier.tolist()
    if s > 0 and np.any(multiplier > 0):
        room = s * least - L * e**2 / 2 - offset
        by_stationarity = math.inf
        if room > 0:
            delta = slopes("Ball", a["W"], g, sets["W"])[0]
            by_stationarity = (n * delta * (least + e) + max(0.0, -f["r_dot_F"])) / room
            floors["stationarity_bound"] = 4 * f["norm_J"] * f["rounding"] * e / room
    found |= {"residual": f["residual"], "loss": f["residual"] ** 2 / (2 * n)}
    found |= {"ray": float(np.sum(g_v * a["v"]))}
    found |= {"residual_bound": bound, "loss_bound": bound**2 / (2 * n)}
    if f["residual"] > f["rounding"]:  # else the sign of a multiplier is rounding, and all of it
        found["stationarity_bound"] = by_stationarity
    off = [a[part] - SETS[kinds[part]][1](a[part], **sets[part]) for part in ("W", "v")]
    found["violation"] = math.hypot(*(float(np.linalg.norm(x)) for x in off))
    floors |= {"residual_bound": spread, "violation": 1e-12 * (1 + _size(a))}
    floors["loss"] = f["residual"] * f["rounding"] / n + f["rounding"] ** 2 / n
    floors["loss_bound"] = bound * spread / n + spread**2 / n if s > 0 else 0.0
    floors["ray"] = float(np.linalg.norm(a["v"])) * np.sqrt(len(a["W"]) / n) * f["rounding"]
    floors["stationarity_v"] = floors["ray"] / max(float(np.linalg.norm(a["v"])), 1e-300)
    hypotheses, guaranteed = _hypotheses(a, kinds, sets, claims["activation"])
    found |= {"hypotheses": hypotheses, "guaranteed_radius": guaranteed}
    if found["violation"] > 1e-9 * (1 + _size(a)):
        verdict = "infeasible"
    elif found["loss_bound"] <= claims["target_loss"] * (1 + 1e-6):
        verdict = "nearly global"
    else:
        speaks = by_stationarity < math.inf and SETS[kinds["v"]][2]
        verdict = "not stationary" if speaks else "inconclusive"
    wrong = differences(claims, found | {"verdict": verdict}, floors)
    for part, gradient in (("W", g), ("v", g_v)):
        values = slopes(kinds[part], a[part], gradient, sets[part])
        if verdict != "infeasible" or len(values) == 1:  # no speed outside of the set
            wrong += _slope_differs(f"stationarity_{part}", claims, gradient, values, floors)
    return wrong


def _size(a: dict[str, np.ndarray]) -> float:
    return math.sqrt(np.sum(a["W"] ** 2) + np.sum(a["v"] ** 2))


def project_pairs(x: np.ndarray) -> np.ndarray:
    """Each pair's average, with both signs."""
    half = len(x) // 2
    u = (x[:half] - x[half:]) / 2
    return np.concatenate([u, -u])


def project_paired_cone(x: np.ndarray, zeta: Any, kappa: Any) -> np.ndarray:
    """The least size t by bisection: what lies under t pulls it down, what lies over κt up."""
    zeta, kappa = float(zeta), float(kappa)
    u = project_pairs(x)[: len(x) // 2]
    low, high = -np.abs(u).max() - 1, np.abs(u).max() + 1
    for _ in range(200):
        t = (low + high) / 2
        rising = np.maximum(t - u, 0).sum() >= kappa * np.maximum(u - kappa * t, 0).sum()
        low, high = (low, t) if rising else (t, high)
    t = max(low, zeta)
    u = np.clip(u, t, kappa * t)
    return np.concatenate([u, -u])


def project_circular_cone(x: np.ndarray, axis: Any, half_angle: Any, zeta: Any) -> np.ndarray:
    """The nearest of three spots in the plane of the axis and x: edge, cut, or x itself."""
    half, angle = len(x) // 2, float(half_angle)
    u, A = project_pairs(x)[:half], axis[:half]
    size = np.linalg.norm(A)
    height, floor = np.sum(u * A) / size, float(zeta) * size
    rest = u - height * A / size
    side = np.linalg.norm(rest)
    slope = math.tan(angle)
    along = max(height * math.cos(angle) + side * math.sin(angle), floor / math.cos(angle))
    spots = [(along * math.cos(angle), along * math.sin(angle))]
    spots.append((floor, min(side, floor * slope)))
    if height >= floor and side <= slope * height:
        spots.append((height, side))
    h, b = min(spots, key=lambda spot: math.hypot(spot[0] - height, spot[1] - side))
    u = h * A / size + (b * rest / side if side > 0 else 0)
    return np.concatenate([u, -u])


def project_ball(x: np.ndarray, center: Any, radius: Any, per_neuron: Any) -> np.ndarray:
    """Shorten x − center, or each of its rows, to the radius."""
    rows = (x - center).reshape(len(x) if per_neuron else 1, -1)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    short = np.minimum(1, float(radius) / np.where(length > 0, length, 1))
    return np.where(np.all(length <= radius), x, center + (rows * short).reshape(x.shape))


# kind: (names of its arrays, the nearest point of the set, whether αx stays in it for large α)
SETS = {
    "Free": ((), lambda x: x, True),
    "Fixed": (("fixed",), lambda x, fixed: np.broadcast_to(fixed, x.shape), False),
    "Ball": (("center", "radius", "per_neuron"), project_ball, False),
    "Pairs": ((), project_pairs, True),
    "PairedCone": (("zeta", "kappa"), project_paired_cone, True),
    "CircularCone": (("axis", "half_angle", "zeta"), project_circular_cone, True),
}
# arrays of a set that lie in the file under their own names; others have "_W" or "_v" behind
OWN_NAMES = {"W": ("center", "radius", "per_neuron"), "v": ("zeta", "kappa", "axis", "half_angle")}


def read_sets(a: dict[str, np.ndarray], kinds: Any) -> tuple[dict[str, dict], list[str]]:
    """The arrays of the two claimed sets: the file holds those, data and weights, and no others."""
    if set(kinds) != {"W", "v"} or any(kind not in SETS for kind in kinds.values()):
        return {}, [f"sets: claimed {kinds}, which are not two of {', '.join(SETS)}"]
    names = {
        part: {k: k if k in OWN_NAMES[part] else f"{k}_{part}" for k in SETS[kind][0]}
        for part, kind in kinds.items()
    }
    needed = {"X", "y", "W", "v", *names["W"].values(), *names["v"].values()}
    if set(a) != needed:
        return {}, [f"sets: claimed {kinds}, the file holds the arrays {', '.join(sorted(a))}"]
    return {part: {k: a[name] for k, name in named.items()} for part, named in names.items()}, []


def balance(
    x: np.ndarray, g: np.ndarray, center: Any, radius: Any, per_neuron: Any
) -> tuple[np.ndarray, float, np.ndarray]:
    """The ball's multipliers, what they leave of the gradient, and how far its rows have moved."""
    shape = (len(x), -1) if per_neuron else (1, -1)
    move, pull = (x - center).reshape(shape), g.reshape(shape)
    length = np.linalg.norm(move, axis=1)
    push = np.maximum(-np.sum(pull * move, axis=1), 0)
    on_sphere = (length >= radius * (1 - np.sqrt(np.finfo(float).eps))) & (length > 0)
    multiplier = np.where(on_sphere, push / np.where(length > 0, length, 1) ** 2, 0.0)
    left = pull + multiplier[:, None] * move
    delta = 0.0 if radius == 0 else float(np.linalg.norm(left))
    return (multiplier if per_neuron else multiplier[0]), delta, length


def slopes(kind: str, x: np.ndarray, g: np.ndarray, arrays: dict[str, Any]) -> list[float]:
    """dist(−g, N(x)): for a ball exactly, else the speed at which P(x − t g) leaves x.

    Near a face the speed depends on t: what a short and a longer step find are both right.
    """
    speed, size = float(np.linalg.norm(g)), max(float(np.linalg.norm(x)), 1e-12)
    if kind in ("Free", "Fixed", "Ball") or speed == 0:
        known = {"Free": speed, "Ball": balance(x, g, **arrays)[1] if kind == "Ball" else 0.0}
        return [known.get(kind, 0.0)]
    steps = [fraction * size / speed for fraction in (1e-9, 1e-7)]
    return [float(np.linalg.norm(SETS[kind][1](x - t * g, **arrays) - x) / t) for t in steps]


def _slope_differs(
    name: str, claims: dict, g: np.ndarray, found: list[float], floors: dict[str, float]
) -> list[str]:
    slack = floors[name] + (1e-5 * float(np.linalg.norm(g)) if len(found) > 1 else 0.0)
    claimed = claims[name]
    if any(math.isclose(claimed, value, rel_tol=1e-4, abs_tol=slack) for value in found):
        return []
    return [f"{name}: claimed {claimed:.3e}, found {found[0]:.3e}"]


def _hypotheses(
    a: dict, kinds: dict, sets: dict, activation: str
) -> tuple[dict[str, bool], float | None]:
    smooth, m = math.isfinite(ACTIVATIONS[activation][2]), len(a["W"])
    ball, half, guaranteed = kinds["W"] == "Ball", m // 2, None
    mirrored = ball and m % 2 == 0 and np.array_equal(a["center"][:half], a["center"][half:])
    holds = {"smooth activation": smooth, "W in a ball": ball, "mirrored start": mirrored}
    cone, v = kinds["v"] in ("PairedCone", "CircularCone"), sets["v"]
    holds["v in a paired or a circular cone"] = cone
    holds["ζ > 0"] = cone and float(v["zeta"]) > 0
    if mirrored and smooth and cone:
        paired = kinds["v"] == "PairedCone"
        axis = np.repeat([1.0, -1.0], half) if paired else v["axis"]
        unit = facts({**a, "W": a["center"], "v": axis}, activation)
        least, fastest = unit["sigma_min"], unit["lipschitz"]
        holds["full rank at the start"] = least > 0
        if paired:
            fastest *= float(v["kappa"])
        else:  # v = height · (A + E; −A − E) with ‖E‖ ≤ ‖A‖ tan θ
            A = axis[:half].reshape(half, -1)
            spread = np.linalg.norm(A) * math.tan(float(v["half_angle"]))
            slope = ACTIVATIONS[activation][1](a["X"] @ a["center"].T)
            widest = max(np.linalg.norm(column[:, None] * a["X"], 2) for column in slope.T)
            least = float(least - math.sqrt(2) * spread * widest)
            fastest *= float(1 + spread / np.linalg.norm(A, axis=1).max())
            holds["full rank in the whole cone"] = least > 0
        factor = math.sqrt(m) + m / 2 if a["per_neuron"] else 1.5
        guaranteed = max(least, 0.0) / (factor * fastest)
        holds["ε under the guaranteed radius"] = float(a["radius"]) < guaranteed
    return holds, guaranteed


def differences(
    claims: dict[str, Any], found: dict[str, Any], floors: dict[str, float] | None = None
) -> list[str]:
    """The claims that differ from what was found by more than a ten-thousandth or rounding."""
    wrong = []
    for name, value in found.items():
        claimed, floor = claims[name], (floors or {}).get(name, 0.0)
        if isinstance(value, (str, dict)) or value is None or claimed is None:
            same = claimed == value
        else:
            same = np.shape(claimed) == np.shape(value) and np.allclose(
                claimed, value, rtol=1e-4, atol=floor
            )
        if not same:
            wrong.append(f"{name}: claimed {claimed!r}, found {value!r}")
    return wrong


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
        with np.load(path, allow_pickle=False) as archive:
            a = {name: archive[name] for name in archive.files}
        if "header" not in a:
            return ["header: the file is no certificate"]
        header = json.loads(str(a.pop("header")))
        claims = header["claims"]
        if header["kind"] == "existence proof":
            return ["header: an existence proof is checked by proof_verifier.py, in whole numbers"]
        if header["format"] != 1 or header["kind"] not in KINDS:
            return [f"header: unknown kind {header['kind']!r} or format {header['format']!r}"]
        check, names, infinite = KINDS[header["kind"]]
        if set(claims) != set(names):
            odd = ", ".join(sorted(set(claims) ^ set(names)))
            return [f"claims: missing or unknown: {odd}"]
        claims |= {name: math.inf for name in infinite if claims[name] is None}
        if claims["activation"] not in ACTIVATIONS:
            return [f"activation: {claims['activation']!r} is unknown: nothing can be checked"]
        if not all(np.all(np.isfinite(value)) for value in a.values()):
            return ["arrays: NaN or infinite entries"]
        return check(a, claims)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever else is wrong with the file, it is not accepted
        return [f"file: cannot be read as a certificate ({type(error).__name__}: {error})"]


COMMON = ("activation", "verdict", "samples", "neurons", "residual", "sigma_min", "lipschitz")
# kind: (the check, its claims, those that are null where they are infinite)
KINDS = {
    "existence": (check_existence, (*COMMON, "h", "radius"), ("lipschitz", "h", "radius")),
    "kkt": (
        check_kkt,
        (
            *COMMON, "loss", "violation", "stationarity_W", "stationarity_v", "multiplier", "ray",
            "distance", "start_output", "sets", "hypotheses", "radius", "guaranteed_radius",
            "residual_bound", "loss_bound", "stationarity_bound", "target_loss",
        ),
        ("lipschitz", "residual_bound", "loss_bound", "stationarity_bound"),
    ),
}  # fmt: skip


def main() -> int:
    """Read the command line, print the finding, return the exit status."""
    if len(sys.argv) != 2:
        print("usage: python verifier.py certificate.npz")
        return 2
    wrong = verify(sys.argv[1])
    print("rejected\n  " + "\n  ".join(wrong) if wrong else "accepted: every claim came out again")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
