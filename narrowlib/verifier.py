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
KINDS = ("existence", "kkt")


def facts(a: dict[str, np.ndarray], activation: str) -> dict[str, Any]:
    """Everything the bounds rest on, from the data and the weights."""
    sigma, slope, curvature = ACTIVATIONS[activation]
    X, W, v = a["X"], a["W"], a["v"].reshape(len(a["v"]), -1)
    y, n = a["y"].reshape(len(X), -1), len(X)
    Z = X @ W.T
    F, D = sigma(Z) @ v, slope(Z)
    r = F - y
    features = np.einsum("ij,jk->ikj", D, v).reshape(n * v.shape[1], -1)
    gram = np.kron(X @ X.T, np.ones((v.shape[1],) * 2)) * (features @ features.T)
    eigenvalues = np.linalg.eigvalsh(gram)
    hidden = np.finfo(float).eps * len(gram) * eigenvalues[-1]
    widest = np.linalg.norm(X, axis=1).max() * np.linalg.norm(X, 2)
    return {
        "residual": float(np.linalg.norm(r)),
        "r_dot_F": float(np.sum(r * F)),
        "pull": (D * (r @ v.T)).T @ X,  # Jᵀ r
        "sigma_min": math.sqrt(max(eigenvalues[0] - hidden, 0)),
        "lipschitz": float(curvature * widest * np.linalg.norm(v, axis=1).max()),
    }


def check_existence(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of an existence certificate that do not come out again."""
    f, wrong = facts(a, claims["activation"]), []
    if f["residual"] > claims["residual"] * (1 + 1e-9):
        wrong.append(f"residual: claimed {claims['residual']:.3e}, found {f['residual']:.3e}")
    _compare(wrong, claims, f, ("sigma_min", "lipschitz"))
    residual = max(claims["residual"], f["residual"])
    h = f["lipschitz"] * residual / f["sigma_min"] ** 2 if f["sigma_min"] > 0 else math.inf
    radius = math.inf
    if h < 0.5:
        radius = 2 * residual / f["sigma_min"] / (1 + math.sqrt(1 - 2 * h))
    found = {"h": h, "radius": radius, "samples": len(a["X"]), "neurons": len(a["W"])}
    _compare(wrong, claims, found, tuple(found))
    _verdict(wrong, claims, "exists" if h < 0.5 else "inconclusive")
    return wrong


def check_kkt(a: dict[str, np.ndarray], claims: dict[str, Any]) -> list[str]:
    """The claims of a KKT certificate on which its verdict rests, that do not come out again."""
    f, wrong, n = facts(a, claims["activation"]), [], len(a["X"])
    size = math.sqrt(np.sum(a["W"] ** 2) + np.sum(a["v"] ** 2))
    slack = 1e-8 * (1 + size)
    feasible = _cone_excess(a) <= slack
    s, bound, applies = f["sigma_min"], math.inf, f["sigma_min"] > 0
    if s > 0:
        bound = float(np.linalg.norm(f["pull"])) / s
    multiplier = np.asarray(claims["multiplier"], float)
    if np.any(multiplier < 0):
        wrong.append("multiplier: claimed below 0")
    if "center" in a:
        move = a["W"] - a["center"]
        lengths = np.linalg.norm(move, axis=1)
        e = float(np.linalg.norm(move))
        farthest = lengths.max() if a["per_neuron"] else e
        feasible &= bool(farthest <= a["radius"] + slack)
        _compare(wrong, claims, {"distance": e}, ("distance",))
        if np.any(multiplier > 0):
            least = lengths[multiplier > 0].min() if a["per_neuron"] else e
            push = multiplier[:, None] * move if a["per_neuron"] else multiplier * move
            delta = float(np.linalg.norm(f["pull"] + n * push))
            start = {**a, "W": a["center"], "y": np.zeros_like(a["y"])}
            offset = facts(start, claims["activation"])["residual"]
            room = s * least - f["lipschitz"] * e**2 / 2 - offset
            applies = room > 0
            if applies:
                bound = min(bound, (delta * (least + e) + max(0.0, -f["r_dot_F"])) / room)
    _compare(wrong, claims, f, ("residual", "sigma_min", "lipschitz"))
    loss_bound = bound**2 / (2 * n)
    found = {"residual_bound": bound, "loss_bound": loss_bound}
    found |= {"loss": f["residual"] ** 2 / (2 * n), "samples": n, "neurons": len(a["W"])}
    _compare(wrong, claims, found, tuple(found))
    if loss_bound <= claims["target_loss"] * (1 + 1e-6):
        verdict = "nearly global"
    else:
        verdict = "not stationary" if applies else "inconclusive"
    _verdict(wrong, claims, verdict if feasible else "infeasible")
    return wrong


def _cone_excess(a: dict[str, np.ndarray]) -> float:
    """By how much v leaves its cone; 0 where the certificate names none."""
    v, half = a["v"], len(a["v"]) // 2
    u = v[:half]
    if "kappa" in a:
        ratio = u.max() - a["kappa"] * u.min()
        return float(max(np.abs(u + v[half:]).max(), a["zeta"] - u.min(), ratio, 0.0))
    if "axis" in a:
        axis = a["axis"][:half]
        height = np.sum(u * axis) / np.sum(axis**2)
        side = np.linalg.norm(u - height * axis)
        size = np.linalg.norm(axis)
        wide = side - math.tan(a["half_angle"]) * height * size
        low = (a["zeta"] - height) * size
        return float(max(np.abs(u + v[half:]).max(), wide, low, 0.0))
    return 0.0


def _compare(
    wrong: list[str], claims: dict[str, Any], found: dict[str, Any], names: tuple[str, ...]
) -> None:
    # near zero loss, residuals and bounds are differences of rounding errors: an absolute floor
    for name in names:
        if not math.isclose(claims[name], found[name], rel_tol=1e-4, abs_tol=1e-9):
            wrong.append(f"{name}: claimed {claims[name]:.6e}, found {found[name]:.6e}")


def _verdict(wrong: list[str], claims: dict[str, Any], found: str) -> None:
    if claims["verdict"] != found:
        wrong.append(f"verdict: claimed {claims['verdict']!r}, found {found!r}")


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
    with np.load(path, allow_pickle=False) as archive:
        a = {name: archive[name] for name in archive.files}
    if "header" not in a:
        return ["header: the file is no certificate"]
    header = json.loads(str(a.pop("header")))
    claims = header["claims"]
    if header["format"] != 1 or header["kind"] not in KINDS:
        return [f"header: unknown kind {header['kind']!r} or format {header['format']!r}"]
    if claims["activation"] not in ACTIVATIONS:
        return [f"activation: {claims['activation']!r} is unknown here: nothing can be checked"]
    if not all(np.all(np.isfinite(value)) for value in a.values()):
        return ["arrays: NaN or infinite entries"]
    return (check_existence if header["kind"] == "existence" else check_kkt)(a, claims)


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
