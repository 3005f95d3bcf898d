"""`interpolate` on 2,000 CIFAR-10 images with random labels, beside tuned gradient methods.

Width 4, tanh, float64, full batch. Gradient descent with momentum 0.9 and Adam train W and v from
the same mirrored start as `interpolate` does (with LeCun's output weights, not scaled up). Each
gets a short run for each step size of its grid; the best one then runs for a minute. Losses
are half the mean squared error. The two answer a wider question than `interpolate` does: they
take any loss and any batch, it needs least squares and all samples at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import driver

GRIDS = {
    "gd with momentum": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "adam": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
}
TUNING_SECONDS, BEST_SECONDS = 6.0, 60.0
CHUNK = 50  # steps between looks at the clock
ROUNDS = 5


def data_folder() -> Path | None:
    """Where cifar10.npz lies: in NARROWLIB_DATA, or beside the repository in shared/data."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    for folder in (os.environ.get("NARROWLIB_DATA"), beside):
        if folder and (Path(folder) / "cifar10.npz").is_file():
            return Path(folder)
    return None


def prepare(implementation: str, problem: dict[str, Any]) -> tuple[Callable, Callable]:
    """One call and its digest; see worker.py."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import narrowlib as nl

    data = nl.cifar10(
        data_folder(), n=problem["n"], labels="random", key=jax.random.key(problem["seed"])
    )
    key = jax.random.key(problem["seed"] + 1)
    if implementation != "narrowlib":
        return prepare_descent(implementation, data, key, problem["m"]), lambda result: result

    def call() -> Any:
        return jax.block_until_ready(nl.interpolate(data.X, data.y, key=key, width=problem["m"]))

    def digest(solution: Any) -> dict[str, Any]:
        stats = solution.stats
        return {
            "loss": float(stats["loss"]),
            "steps": int(stats["num_steps"]),
            "largest_move": float(stats["largest_move"]),
        }

    return call, digest


def prepare_descent(name: str, data: Any, key: Any, m: int) -> Callable[[], dict[str, Any]]:
    """Tune the step size, then run the best one for its minute."""
    import jax
    import optax

    import narrowlib as nl

    X, y = data.X, data.y
    start = nl.mirrored_lecun(key, d=X.shape[1], m=m, dtype=X.dtype)
    makers = {
        "gd with momentum": lambda step_size: optax.sgd(step_size, momentum=0.9),
        "adam": optax.adam,
    }

    @jax.jit
    def advance(step_size: Any, params: Any, state: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
        optimizer = makers[name](step_size)

        def step(carry: tuple, _: None) -> tuple[tuple, Any]:
            params, state = carry
            now, gradient = jax.value_and_grad(nl.loss)(params, X, y)
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), now

        (params, state), history = jax.lax.scan(step, (params, state), length=CHUNK)
        return params, state, history.min()

    def train(step_size: float, seconds: float) -> dict[str, Any]:
        params, state = start, makers[name](step_size).init(start)
        steps, best, begin = 0, float("inf"), time.perf_counter()
        while time.perf_counter() - begin < seconds:
            params, state, least = advance(step_size, params, state, X, y)
            steps, best = steps + CHUNK, min(best, float(least))
        return {"loss": best, "steps": steps, "step_size": step_size}

    def call() -> dict[str, Any]:
        train(GRIDS[name][0], 0.1)  # compiles
        tuning = [train(step_size, TUNING_SECONDS) for step_size in GRIDS[name]]
        best = min(tuning, key=lambda result: result["loss"])["step_size"]
        return {**train(best, BEST_SECONDS), "tuning": tuning}

    return call


def main() -> None:
    """Run the comparison and judge it; without the images, say so and end."""
    if data_folder() is None:
        print("interpolate: skipped, no cifar10.npz (set NARROWLIB_DATA to its folder)")
        return
    problem = {"data": "CIFAR-10, random labels", "n": 2000, "m": 4, "seed": 0}
    case = driver.compare("interpolate", problem, {"narrowlib": "bench"}, rounds=ROUNDS)
    ours = case["results"]["narrowlib"]
    for name in GRIDS:
        # their time is fixed: one call each, and no rounds
        print(f"  {name}: about {TUNING_SECONDS * len(GRIDS[name]) + BEST_SECONDS:.0f} s")
        with driver.workers("interpolate", {name: "bench"}) as running:
            result = running[name].ask(do="prepare", implementation=name, problem=problem)
        result |= {"median": BEST_SECONDS, "ratio": BEST_SECONDS / ours["median"]}
        case["results"][name] = result
        print(f"  {name}: loss {result['digest']['loss']:.3g}", flush=True)
    targets = [
        driver.target("loss of interpolate", ours["digest"]["loss"], "<", 1e-18),
        driver.target("seconds of interpolate, once compiled", ours["median"], "<", 5),
    ]
    driver.save("interpolate", [case], targets)


if __name__ == "__main__":
    main()
