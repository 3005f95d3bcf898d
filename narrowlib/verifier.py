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
    error = (1.2 * error_Z + eps * (len(W) + 8) * (1 + np.abs(phi))) @ np.abs(v)
    return {
        "residual": float(np.linalg.norm(r)),
        "rounding": 2 * float(np.linalg.norm(error)),
        "norm_J": math.sqrt(eigenvalues[-1]),
        "r_dot_F": float(np.sum(r * F)),
        "pull": (D * (r @ v.T)).T @ X,  # Jᵀ r
        "pull_v": (phi.T @ r).reshape(a["v"].shape),
        "sigma_min": s,
        "lipschitz": float(curvature * widest * np.linalg.norm(v, axis=1).max()),
        "samples": n,
        "neurons": len(W),
    }


def check_existence(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of an existence certificate that do not come out again."""
    f = facts(a, claims["activation"])
    residual, s, h, radius = claims["residual"], f["sigma_min"], math.inf, math.inf
    if s > 0:
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
    f, n, sets = facts(a, claims["activation"]), len(a["X"]), _sets(a)
    if claims["sets"] != sets:
        return [f"sets: claimed {claims['sets']}, the file holds the arrays of {sets}"]
    s, L, g, g_v = f["sigma_min"], f["lipschitz"], f["pull"] / n, f["pull_v"] / n
    found = {name: f[name] for name in ("sigma_min", "lipschitz", "samples", "neurons")}
    floors = {"residual": f["rounding"], "stationarity_W": f["norm_J"] * f["rounding"] / n}
    spread = f["norm_J"] * f["rounding"] / s if s > 0 else 0.0
    floors["stationarity_bound"] = spread
    place = _place_W(a, sets["W"], g, claims["activation"])
    multiplier, delta, least, e, offset, off_W = place
    bound = n * float(np.linalg.norm(g)) / s if s > 0 else math.inf
    by_stationarity = bound
    if s > 0 and np.any(multiplier > 0):
        room = s * least - L * e**2 / 2 - offset
        by_stationarity = math.inf
        if room > 0:
            by_stationarity = (n * delta * (least + e) + max(0.0, -f["r_dot_F"])) / room
            floors["stationarity_bound"] = 4 * f["norm_J"] * f["rounding"] * e / room
    found |= {"residual": f["residual"], "loss": f["residual"] ** 2 / (2 * n)}
    found |= {"stationarity_W": delta, "ray": float(np.sum(g_v * a["v"]))}
    found |= {"residual_bound": bound, "loss_bound": bound**2 / (2 * n)}
    if f["residual"] > f["rounding"]:  # else the sign of a multiplier is rounding, and all of it
        found["stationarity_bound"] = by_stationarity
    off_v = float(np.linalg.norm(a["v"] - project_v(a, a["v"])))
    found["violation"] = math.hypot(off_W, off_v)
    floors |= {"residual_bound": spread, "violation": 1e-12 * (1 + _size(a))}
    floors["loss"] = f["residual"] * f["rounding"] / n + f["rounding"] ** 2 / n
    floors["loss_bound"] = bound * spread / n + spread**2 / n if s > 0 else 0.0
    floors["ray"] = float(np.linalg.norm(a["v"])) * np.sqrt(len(a["W"]) / n) * f["rounding"]
    hypotheses, guaranteed = _hypotheses(a, sets, claims["activation"])
    found |= {"hypotheses": hypotheses, "guaranteed_radius": guaranteed}
    if sets["W"] == "Ball":
        found |= {"radius": float(a["radius"]), "distance": e, "start_output": offset}
        found["multiplier"] = multiplier.tolist()
        floors["start_output"] = f["rounding"]
        floors["multiplier"] = floors["stationarity_W"] / max(least, 1e-300)
    if found["violation"] > 1e-9 * (1 + _size(a)):
        verdict = "infeasible"
    elif found["loss_bound"] <= claims["target_loss"] * (1 + 1e-6):
        verdict = "nearly global"
    else:
        speaks = by_stationarity < math.inf and sets["v"] != "Fixed"
        verdict = "not stationary" if speaks else "inconclusive"
    wrong = differences(claims, found | {"verdict": verdict}, floors)
    return wrong if verdict == "infeasible" else wrong + _slope_v(a, claims, g_v, floors)


def _sets(a: dict[str, np.ndarray]) -> dict[str, str]:
    """The kinds of the two sets, told by the arrays that describe them."""
    on_W = {"center": "Ball", "fixed_W": "Fixed"}
    on_v = {"kappa": "PairedCone", "axis": "CircularCone", "fixed_v": "Fixed"}
    W, v = ([kind for array, kind in on.items() if array in a] for on in (on_W, on_v))
    return {"W": W[0] if W else "Free", "v": v[0] if v else "Free"}


def _size(a: dict[str, np.ndarray]) -> float:
    return math.sqrt(np.sum(a["W"] ** 2) + np.sum(a["v"] ** 2))


def _place_W(a: dict[str, np.ndarray], kind: str, g: np.ndarray, activation: str) -> tuple:
    """The ball's multipliers, what they leave of the gradient, and where W lies."""
    if kind != "Ball":
        off = float(np.linalg.norm(a["W"] - a["fixed_W"])) if kind == "Fixed" else 0.0
        left = 0.0 if kind == "Fixed" else float(np.linalg.norm(g))
        return np.zeros(()), left, 0.0, 0.0, 0.0, off
    move, radius = a["W"] - a["center"], float(a["radius"])
    axis = 1 if a["per_neuron"] else None
    length = np.sqrt(np.sum(move**2, axis=axis))
    push = np.maximum(-np.sum(g * move, axis=axis), 0)
    on_sphere = (length >= radius * (1 - np.sqrt(np.finfo(float).eps))) & (length > 0)
    multiplier = np.where(on_sphere, push / np.where(length > 0, length, 1) ** 2, 0.0)
    left = g + (multiplier[:, None] if a["per_neuron"] else multiplier) * move
    delta = 0.0 if radius == 0 else float(np.linalg.norm(left))
    e = float(np.linalg.norm(move))
    least = float(length[multiplier > 0].min()) if np.any(multiplier > 0) else e
    start = ACTIVATIONS[activation][0](a["X"] @ a["center"].T) @ a["v"]
    offset = float(np.linalg.norm(start))
    off = float(np.linalg.norm(np.maximum(length - radius, 0)))
    return multiplier, delta, least, e, offset, off


def project_v(a: dict[str, np.ndarray], v: np.ndarray) -> np.ndarray:
    """The nearest point of v's set, by bisection or by comparing the candidates."""
    if "fixed_v" in a:
        return a["fixed_v"]
    if "kappa" not in a and "axis" not in a:
        return v
    half, zeta = len(v) // 2, float(a["zeta"])
    u = (v[:half] - v[half:]) / 2
    if "kappa" in a:
        kappa = float(a["kappa"])
        low, high = -np.abs(u).max() - 1, np.abs(u).max() + 1
        for _ in range(200):
            t = (low + high) / 2
            rising = np.maximum(t - u, 0).sum() >= kappa * np.maximum(u - kappa * t, 0).sum()
            low, high = (low, t) if rising else (t, high)
        t = max(low, zeta)
        u = np.clip(u, t, kappa * t)
    else:
        A, angle = a["axis"][:half], float(a["half_angle"])
        size = np.linalg.norm(A)
        height, floor = np.sum(u * A) / size, zeta * size
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


def _slope_v(a: dict, claims: dict, g: np.ndarray, floors: dict[str, float]) -> list[str]:
    """dist(−∇_v ℓ, N) is the speed at which the projected point leaves v along −∇_v ℓ."""
    size, speed, found = np.linalg.norm(a["v"]), np.linalg.norm(g), []
    if speed == 0:
        found = [0.0]
    for fraction in (1e-9, 1e-7) if speed > 0 else ():
        t = fraction * max(size, 1e-12) / speed
        found.append(float(np.linalg.norm(project_v(a, a["v"] - t * g) - a["v"]) / t))
    slack = 1e-5 * speed + floors["ray"] / max(size, 1e-300)
    claimed = claims["stationarity_v"]
    if any(math.isclose(claimed, value, rel_tol=1e-4, abs_tol=slack) for value in found):
        return []
    return [f"stationarity_v: claimed {claimed:.3e}, found {found[0]:.3e}"]


def _hypotheses(a: dict, sets: dict, activation: str) -> tuple[dict[str, bool], float | None]:
    smooth, m = math.isfinite(ACTIVATIONS[activation][2]), len(a["W"])
    ball, half, guaranteed = sets["W"] == "Ball", m // 2, None
    mirrored = ball and m % 2 == 0 and np.array_equal(a["center"][:half], a["center"][half:])
    holds = {"smooth activation": smooth, "W in a ball": ball, "mirrored start": mirrored}
    cones = ("PairedCone", "CircularCone")
    holds["v in a paired or a circular cone"] = sets["v"] in cones
    holds["ζ > 0"] = "zeta" in a and float(a["zeta"]) > 0
    if mirrored and smooth and sets["v"] in cones:
        paired = sets["v"] == "PairedCone"
        v = np.repeat([1.0, -1.0], half) if paired else a["axis"]
        unit = facts({**a, "W": a["center"], "v": v}, activation)
        least, fastest = unit["sigma_min"], unit["lipschitz"]
        holds["full rank at the start"] = least > 0
        if paired:
            fastest *= float(a["kappa"])
        else:  # v = height · (A + E; −A − E) with ‖E‖ ≤ ‖A‖ tan θ
            A = a["axis"][:half].reshape(half, -1)
            spread = np.linalg.norm(A) * math.tan(float(a["half_angle"]))
            slopes = ACTIVATIONS[activation][1](a["X"] @ a["center"].T)
            widest = max(np.linalg.norm(slope[:, None] * a["X"], 2) for slope in slopes.T)
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
        if claims["activation"] not in ACTIVATIONS:
            return [f"activation: {claims['activation']!r} is unknown: nothing can be checked"]
        if not all(np.all(np.isfinite(value)) for value in a.values()):
            return ["arrays: NaN or infinite entries"]
        return KINDS[header["kind"]](a, claims)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever else is wrong with the file, it is not accepted
        return [f"file: cannot be read as a certificate ({type(error).__name__}: {error})"]


KINDS = {"existence": check_existence, "kkt": check_kkt}


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
