"""`project_paired_cone` at a million output weights against `jnp.sort` of the same vector.

Sorting is the least that a method by breakpoints has to do (the projection sorts half as many
numbers, the averages of the pairs). Exactness is recorded apart, at small sizes: the error
against the same minimum found in rational arithmetic, in units of the last place of the largest
entry.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import driver

SIZE, KAPPA, ZETA = 1_000_000, 10.0, 0.125
EXACT_SIZES, EXACT_SEEDS = (2, 4, 10, 32, 128), 5
ROUNDS = 25


def exact(v: list[float], zeta: float, kappa: float) -> list[Fraction]:
    """The projection in rational arithmetic: every piece between breakpoints is tried."""
    half, floor, ratio = len(v) // 2, Fraction(zeta), Fraction(kappa)
    u = [(Fraction(a) - Fraction(b)) / 2 for a, b in zip(v[:half], v[half:], strict=True)]
    points = sorted({floor, *(t for a in u for t in (a, a / ratio) if t > floor)})
    candidates = list(points)
    for left, right in zip(points, [*points[1:], None], strict=True):
        middle = left + 1 if right is None else (left + right) / 2
        low = [a for a in u if a < middle]
        high = [a for a in u if a > ratio * middle]
        if low or high:
            root = (sum(low) + ratio * sum(high)) / (len(low) + ratio**2 * len(high))
            if root > left and (right is None or root < right):
                candidates.append(root)

    def clipped(t: Fraction) -> list[Fraction]:
        return [min(max(a, t), ratio * t) for a in u]

    def distance(t: Fraction) -> Fraction:
        return sum((a - b) ** 2 for a, b in zip(clipped(t), u, strict=True))

    best = clipped(min(candidates, key=distance))
    return best + [-a for a in best]


def largest_error(dtype: str, m: int) -> float:
    """The largest error over some draws of m weights, in ulps of the largest entry."""
    import jax.numpy as jnp
    import numpy as np

    import narrowlib as nl

    worst = 0.0
    for seed in range(EXACT_SEEDS):
        v = np.random.default_rng(seed).standard_normal(m).astype(dtype)
        found = np.asarray(nl.project_paired_cone(jnp.asarray(v), zeta=ZETA, kappa=KAPPA))
        wanted = exact(v.tolist(), ZETA, KAPPA)
        error = max(abs(Fraction(float(a)) - b) for a, b in zip(found, wanted, strict=True))
        worst = max(worst, float(error) / float(np.spacing(max(abs(found)))))
    return worst


def prepare(implementation: str, problem: dict[str, Any]) -> tuple[Callable, Callable]:
    """One call and its digest; see worker.py."""
    import jax

    if problem["dtype"] == "float64":
        jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    import numpy as np

    import narrowlib as nl

    v = np.random.default_rng(problem["seed"]).standard_normal(problem["m"])
    v = jnp.asarray(v.astype(problem["dtype"]))
    if implementation == "jnp.sort":
        function = jax.jit(jnp.sort)
        digest = lambda result: {"sorted": bool(jnp.all(result[1:] >= result[:-1]))}  # noqa: E731
    else:
        function = jax.jit(lambda v: nl.project_paired_cone(v, zeta=ZETA, kappa=KAPPA))

        def digest(result: Any) -> dict[str, Any]:
            cone = nl.PairedCone(zeta=ZETA, kappa=KAPPA)
            errors = {str(m): largest_error(problem["dtype"], m) for m in EXACT_SIZES}
            return {"violation": float(cone.violation(result)), "ulps_by_m": errors}

    return lambda: jax.block_until_ready(function(v)), digest


def main() -> None:
    """Run the comparison and judge it."""
    cases, targets = [], []
    for dtype in ("float32", "float64"):
        problem = {"m": SIZE, "dtype": dtype, "seed": 0}
        implementations = dict.fromkeys(("narrowlib", "jnp.sort"), "bench")
        case = driver.compare("paired_cone", problem, implementations, rounds=ROUNDS)
        results = case["results"]
        cost = 1 / results["jnp.sort"]["ratio"]
        targets.append(driver.target(f"narrowlib / jnp.sort, m = 10⁶, {dtype}", cost, "<", 3))
        ulps = max(results["narrowlib"]["digest"]["ulps_by_m"].values())
        targets.append(driver.target(f"largest error in ulps, m ≤ 128, {dtype}", ulps, "<", 16))
        cases.append(case)
    driver.save("paired_cone", cases, targets)


if __name__ == "__main__":
    main()
