"""`ProjectedGaussNewton` beside the methods that a user would pick for the same least squares.

Gaussian samples, ±1 labels, tanh, m = 2n/d, float64, the ball of radius 3 around a mirrored start
and a paired cone. Each method runs until the loss, half the mean squared error, is under a goal:
1e-6, and 1e-20 for those that get there. All but ours are free of constraints and train W and v
from the same start with LeCun's output weights; ours ends in the feasible set with a certificate.

- Levenberg–Marquardt in the Gram matrix (`levenberg_marquardt`), Optimistix's, and SciPy's
  `least_squares` (trf with its exact solver and J in closed form, in W alone);
- L-BFGS (SciPy, with JAX's gradients);
- Adam, one compiled loop that ends at the goal, the best of five step sizes.

A method has two minutes a call; what it leaves by then is its digest. Two more cases: 2,000
CIFAR-10 images with random labels on four neurons, and projected gradient with and without ray
scaling in small balls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import driver
import peers
from interpolate import data_folder

RADIUS, SEED, ROUNDS = 3.0, 0, 5
GOALS = (1e-6, 1e-20)
SIZES = ((400, 10), (1000, 20))
ADAM = (0.001, 0.003, 0.01, 0.03, 0.1)
ADAM_STEPS = 20_000
PEERS = {
    1e-6: ("dual LM", "Adam", "scipy L-BFGS", "scipy trf", "Optimistix LM"),
    1e-20: ("dual LM", "scipy L-BFGS", "scipy trf", "Optimistix LM"),
}
BALLS, BALL_GOAL, BALL_STEPS = (0.1, 0.03), 1e-3, 200_000


def problem_data(problem: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The start, X and y."""
    import jax

    import narrowlib as nl

    keys = jax.random.split(jax.random.key(problem["seed"]), 3)
    if problem.get("data") == "CIFAR-10":
        data = nl.cifar10(data_folder(), n=problem["n"], labels="random", key=keys[0])
        X, y = data.X, data.y
    else:
        X = jax.random.normal(keys[0], (problem["n"], problem["d"]))
        y = jax.random.rademacher(keys[1], (problem["n"],), float)
    return nl.mirrored_lecun(keys[2], d=X.shape[1], m=problem["m"], dtype=X.dtype), X, y


def feasible_set(start: Any, radius: float) -> Any:
    """The ball and the cone of every case."""
    import narrowlib as nl

    zeta = 0.1 / math.sqrt(len(start.v))
    return nl.Product(W=nl.Ball(start.W, radius), v=nl.PairedCone(zeta, 10.0))


def prepare(implementation: str, problem: dict[str, Any]) -> tuple[Callable, Callable]:
    """One call and its digest; see worker.py."""
    import jax

    jax.config.update("jax_enable_x64", True)
    start, X, y = problem_data(problem)
    makers = {
        "narrowlib": prepare_ours,
        "dual LM": prepare_dual,
        "Adam": prepare_adam,
        "scipy L-BFGS": prepare_lbfgs,
        "scipy trf": prepare_trf,
        "Optimistix LM": prepare_optimistix,
        "ray scaling": partial(prepare_projected, problem.get("epsilon", RADIUS), True),
        "plain": partial(prepare_projected, problem.get("epsilon", RADIUS), False),
    }
    return makers[implementation](start, X, y, problem["goal"])


def until(goal: float, losses: Any) -> int:
    """The number of steps after which a history is under the goal; all of them if it never is."""
    import numpy as np

    below = np.flatnonzero(np.asarray(losses) < goal)
    return int(below[0]) + 1 if len(below) else len(losses)


def solution_digest(solution: Any) -> dict[str, Any]:
    """What a Solution came to."""
    return {"loss": float(solution.stats["loss"]), "steps": int(solution.stats["num_steps"])}


def prepare_ours(start: Any, X: Any, y: Any, goal: float) -> tuple[Callable, Callable]:
    """ProjectedGaussNewton for as many steps as the goal takes."""
    import jax

    import narrowlib as nl

    sets = feasible_set(start, RADIUS)
    solver = nl.ProjectedGaussNewton(sets)
    history = solver.run(start, X, y, tol=0.0, throw=False).stats["history"]["loss"]
    steps = until(goal, history)

    def call() -> Any:
        sol = solver.run(start, X, y, tol=0.0, max_steps=steps, throw=False)
        return jax.block_until_ready(sol)

    def digest(sol: Any) -> dict[str, Any]:
        cert = nl.kkt_certificate(sol.params, X, y, sets)
        proved = {"loss_bound": cert.loss_bound, "violation": cert.violation}
        return solution_digest(sol) | proved | {"verdict": cert.verdict}

    return call, digest


def prepare_dual(start: Any, X: Any, y: Any, goal: float) -> tuple[Callable, Callable]:
    """Levenberg–Marquardt on all weights."""
    import jax
    import jax.numpy as jnp

    import narrowlib as nl

    tol = float(jnp.sqrt(2 * goal * len(y)) / jnp.linalg.norm(y))

    def call() -> Any:
        return jax.block_until_ready(nl.levenberg_marquardt(start, X, y, tol=tol, throw=False))

    return call, solution_digest


def prepare_adam(start: Any, X: Any, y: Any, goal: float) -> tuple[Callable, Callable]:
    """Adam in one compiled loop, at the step size that needs the fewest steps."""
    import jax
    import jax.numpy as jnp
    import optax

    import narrowlib as nl

    @jax.jit
    def run(step_size: Any) -> tuple[Any, Any]:
        optimizer = optax.adam(step_size)

        def goes_on(carry: tuple) -> Any:
            i, _, _, now = carry
            return (now > goal) & (i < ADAM_STEPS)

        def step(carry: tuple) -> tuple:
            i, params, state, _ = carry
            now, gradient = jax.value_and_grad(nl.loss)(params, X, y)
            updates, state = optimizer.update(gradient, state, params)
            return i + 1, optax.apply_updates(params, updates), state, now

        first = (jnp.zeros((), int), start, optimizer.init(start), jnp.asarray(jnp.inf))
        steps, _, _, now = jax.lax.while_loop(goes_on, step, first)
        return steps, now

    best = min(ADAM, key=lambda step_size: int(run(step_size)[0]))

    def call() -> Any:
        return jax.block_until_ready(run(best))

    def digest(result: Any) -> dict[str, Any]:
        return {"loss": float(result[1]), "steps": int(result[0]), "step_size": best}

    return call, digest


def prepare_lbfgs(start: Any, X: Any, y: Any, goal: float) -> tuple[Callable, Callable]:
    """SciPy's L-BFGS-B in all weights."""
    return peers.lbfgs(start, X, y, goal), dict


def prepare_trf(start: Any, X: Any, y: Any, goal: float) -> tuple[Callable, Callable]:
    """SciPy's least_squares in W, with v as large as ours ends with: at LeCun's size it stalls."""
    import narrowlib as nl

    ours = nl.ProjectedGaussNewton(feasible_set(start, RADIUS)).run(start, X, y, throw=False)
    return peers.least_squares(nl.Params(start.W, ours.params.v), X, y, goal), dict


def prepare_optimistix(start: Any, X: Any, y: Any, goal: float) -> tuple[Callable, Callable]:
    """Optimistix's Levenberg–Marquardt on all weights, with tolerances that reach the goal."""
    import jax
    import optimistix

    import narrowlib as nl

    def residual(params: Any, _: Any) -> Any:
        return nl.forward(params, X) - y

    def run(tol: float) -> Any:
        solver = optimistix.LevenbergMarquardt(rtol=tol, atol=tol)
        return optimistix.least_squares(residual, solver, start, max_steps=300, throw=False)

    # the loosest tolerance whose end is under the goal
    for tol in (1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
        sol = run(tol)
        if float(nl.loss(sol.value, X, y)) < goal:
            break

    def call() -> Any:
        return jax.block_until_ready(run(tol))

    def digest(sol: Any) -> dict[str, Any]:
        steps = int(sol.stats["num_steps"])
        return {"loss": float(nl.loss(sol.value, X, y)), "steps": steps}

    return call, digest


def prepare_projected(
    epsilon: float, ray_scaling: bool, start: Any, X: Any, y: Any, goal: float
) -> tuple[Callable, Callable]:
    """Projected gradient with backtracking, for as many steps as the goal takes."""
    import jax

    import narrowlib as nl

    solver = nl.ProjectedGradient(feasible_set(start, epsilon), ray_scaling=ray_scaling)
    history = solver.run(start, X, y, tol=0.0, max_steps=BALL_STEPS, throw=False).stats["history"]
    steps = until(goal, history["loss"])

    def call() -> Any:
        sol = solver.run(start, X, y, tol=0.0, max_steps=steps, throw=False)
        return jax.block_until_ready(sol)

    return call, solution_digest


def ratio(case: dict[str, Any], name: str) -> float:
    """A peer's time over ours."""
    return case["results"][name]["ratio"]


def judge(n: int, goal: float, case: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets of one problem and goal."""
    where = f"at n = {n} to {goal:g}"
    reached = {k: v for k, v in case["results"].items() if v["digest"]["loss"] < goal}
    if goal == GOALS[0]:
        best = min(r["ratio"] for r in reached.values())
        return [driver.target(f"time over the best method's {where}", 1 / best, "<", 2)]
    least = 10 if n == SIZES[0][0] else 3
    goals = {"scipy L-BFGS": least, "scipy trf": least, "Optimistix LM": 20}
    return [
        driver.target(f"times faster than {name} {where}", ratio(case, name), ">", wanted)
        for name, wanted in goals.items()
    ]


def main() -> None:
    """Run all cases and judge them."""
    cases, targets = [], []
    for n, d in SIZES:
        for goal in GOALS:
            problem = {"n": n, "d": d, "m": 2 * n // d, "goal": goal, "seed": SEED}
            asked = {name: "bench" for name in ("narrowlib", *PEERS[goal])}
            case = driver.compare("gauss_newton", problem, asked, rounds=ROUNDS)
            cases.append(case)
            targets += judge(n, goal, case)
    if data_folder() is None:
        print("gauss_newton: CIFAR-10 is skipped, no cifar10.npz (set NARROWLIB_DATA)")
    else:
        problem = {"data": "CIFAR-10", "n": 2000, "m": 4, "goal": 1e-18, "seed": SEED}
        case = driver.compare("gauss_newton", problem, {"narrowlib": "bench"}, rounds=ROUNDS)
        ours = case["results"]["narrowlib"]
        cases.append(case)
        targets.append(driver.target("loss on CIFAR-10", ours["digest"]["loss"], "<", 1e-18))
        targets.append(driver.target("seconds on CIFAR-10", ours["median"], "<", 5))
    for epsilon in BALLS:
        problem = {"n": 100, "d": 10, "m": 24, "epsilon": epsilon, "goal": BALL_GOAL, "seed": SEED}
        both = {"ray scaling": "bench", "plain": "bench"}
        case = driver.compare("gauss_newton", problem, both, rounds=3, baseline="ray scaling")
        cases.append(case)
        what = f"ray scaling, times faster than plain at ε = {epsilon}"
        targets.append(driver.target(what, ratio(case, "plain"), ">", 5))
    driver.save("gauss_newton", cases, targets)


if __name__ == "__main__":
    main()
