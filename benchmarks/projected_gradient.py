"""`ProjectedGradient.run` against the loop by hand, JAXopt, Optax and PyTorch, in float32.

Everyone takes the same number of steps of the same size on the same problem, full batch, on the
product of a ball and the paired cone, and never stops early. narrowlib, the loops by hand (samples
first, and samples last), Optax and PyTorch keep the loss of every step; JAXopt keeps none. The JAX
implementations call narrowlib's projections; PyTorch has its own, below. The final loss of each is
saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import driver

SIZES = ((200, 20, 20, 20_000), (1000, 100, 20, 5000), (10_000, 784, 32, 100))
GOALS = {"jaxopt": 1.8, "optax loop": 3.5, "torch eager": 2.0}
SCANS = ("scan by hand", "scan by hand, samples last")
RADIUS, KAPPA, STEP_SIZE = 10.0, 10.0, 0.05
ROUNDS = 7


def problem_arrays(problem: dict[str, int]) -> tuple[Any, Any, Any, Any]:
    """X, y, W and v in float32: Gaussian inputs, random labels, a mirrored start."""
    import numpy as np

    rng = np.random.default_rng(problem["seed"])
    n, d, m = problem["n"], problem["d"], problem["m"]
    U = rng.standard_normal((m // 2, d)) / np.sqrt(d)
    u = np.ones(m // 2) / np.sqrt(m)
    arrays = (
        rng.standard_normal((n, d)),
        rng.choice([-1.0, 1.0], n),
        np.concatenate([U, U]),
        np.concatenate([u, -u]),
    )
    return tuple(a.astype(np.float32) for a in arrays)


def prepare(implementation: str, problem: dict[str, int]) -> tuple[Callable, Callable]:
    """One call, which ends in the final loss, and its digest; see worker.py."""
    arrays = problem_arrays(problem)
    if implementation == "torch eager":
        call = prepare_torch(*arrays, problem["steps"])
    else:
        call = prepare_jax(implementation, *arrays, problem["steps"])
    return call, lambda final: {"loss": float(final)}


def prepare_jax(
    implementation: str, X: Any, y: Any, W: Any, v: Any, steps: int
) -> Callable[[], float]:
    """The call of one of the JAX implementations."""
    import jax
    import jax.numpy as jnp

    import narrowlib as nl

    X, y, W, v = (jnp.asarray(a) for a in (X, y, W, v))
    start = nl.Params(W, v)
    cone = nl.PairedCone(zeta=0.1 / len(v) ** 0.5, kappa=KAPPA)
    constraint = nl.Product(W=nl.Ball(W, radius=RADIUS), v=cone)

    def loss(params: Any, X: Any, y: Any) -> Any:
        if implementation.endswith("samples last"):  # X is transposed then
            return jnp.mean((params.v @ jnp.tanh(params.W @ X) - y) ** 2) / 2
        return jnp.mean((jnp.tanh(X @ params.W.T) @ params.v - y) ** 2) / 2

    def narrowlib() -> float:
        solver = nl.ProjectedGradient(constraint, step_size=STEP_SIZE)
        solution = solver.run(start, X, y, max_steps=steps, tol=0.0, throw=False)
        return float(solution.stats["loss"])

    @jax.jit
    def scanned(params: Any, constraint: Any, X: Any, y: Any) -> tuple[Any, Any]:
        def step(params: Any, _: None) -> tuple[Any, Any]:
            now, gradient = jax.value_and_grad(loss)(params, X, y)
            params = jax.tree.map(lambda p, g: p - STEP_SIZE * g, params, gradient)
            return constraint.project(params), now

        params, history = jax.lax.scan(step, params, length=steps)
        return loss(params, X, y), history

    def by_hand() -> float:
        given = X.T if implementation.endswith("samples last") else X
        return float(jax.block_until_ready(scanned(start, constraint, given, y))[0])

    if implementation == "optax loop":
        return prepare_optax(loss, constraint, start, X, y, steps)
    if implementation == "jaxopt":
        import jaxopt

        solver = jaxopt.ProjectedGradient(
            loss,
            lambda params, constraint: constraint.project(params),
            stepsize=STEP_SIZE,
            acceleration=False,
            maxiter=steps,
            tol=0.0,
        )
        final = jax.jit(loss)
        return lambda: float(final(solver.run(start, constraint, X, y).params, X, y))
    return narrowlib if implementation == "narrowlib" else by_hand


def prepare_optax(
    loss: Callable, constraint: Any, start: Any, X: Any, y: Any, steps: int
) -> Callable[[], float]:
    """A jitted step, called from Python."""
    import jax
    import optax

    optimizer = optax.sgd(STEP_SIZE)

    @jax.jit
    def step(params: Any, state: Any) -> tuple[Any, Any, Any]:
        now, gradient = jax.value_and_grad(loss)(params, X, y)
        updates, state = optimizer.update(gradient, state, params)
        return constraint.project(optax.apply_updates(params, updates)), state, now

    final = jax.jit(loss)

    def call() -> float:
        params, state, history = start, optimizer.init(start), []
        for _ in range(steps):
            params, state, now = step(params, state)
            history.append(now)
        return float(final(params, X, y))

    return call


def prepare_torch(X: Any, y: Any, W: Any, v: Any, steps: int) -> Callable[[], float]:
    """Autograd, one step after the other, and the projections in the plainest exact way."""
    import torch

    X, y, W0, v0 = (torch.from_numpy(a) for a in (X, y, W, v))
    half = len(v0) // 2
    zeta = 0.1 / len(v0) ** 0.5

    def project_ball(W: Any) -> Any:
        move = W - W0
        return W0 + move * (RADIUS / move.norm()).clamp(max=1.0)

    def project_cone(v: Any) -> Any:
        u = (v[:half] - v[half:]) / 2
        points = torch.sort(torch.cat([u, u / KAPPA])).values
        t = points[:, None]
        slopes = (t - u).clamp(min=0).sum(1) - KAPPA * (u - KAPPA * t).clamp(min=0).sum(1)
        k = (slopes < 0).sum()  # the root of the slope lies between these two points
        low, high = points[(k - 1).clamp(min=0)], points[k.clamp(max=len(points) - 1)]
        middle = (low + high) / 2
        below, above = u < middle, u > KAPPA * middle
        total = (u * below).sum() + KAPPA * (u * above).sum()
        t = total / (below.sum() + KAPPA**2 * above.sum()).clamp(min=1)
        t = torch.where(below.any() | above.any(), t, middle).clamp(min=zeta)
        u = u.clamp(t, KAPPA * t)
        return torch.cat([u, -u])

    def loss(W: Any, v: Any) -> Any:
        return ((torch.tanh(X @ W.T) @ v - y) ** 2).mean() / 2

    def call() -> float:
        W, v = W0.clone().requires_grad_(), v0.clone().requires_grad_()
        history = []
        for _ in range(steps):
            now = loss(W, v)
            gradient_W, gradient_v = torch.autograd.grad(now, (W, v))
            with torch.no_grad():
                W.copy_(project_ball(W - STEP_SIZE * gradient_W))
                v.copy_(project_cone(v - STEP_SIZE * gradient_v))
            history.append(now.detach())
        return float(loss(W, v))

    return call


def main() -> None:
    """Run the comparison and judge it."""
    cases, targets = [], []
    for n, d, m, steps in SIZES:
        problem = {"n": n, "d": d, "m": m, "steps": steps, "seed": 0}
        names = ["narrowlib", *SCANS, "jaxopt", "torch eager", "optax loop"]
        case = driver.compare(
            "projected_gradient", problem, dict.fromkeys(names, "bench"), rounds=ROUNDS
        )
        results = case["results"]
        size = f"n, d, m = {n}, {d}, {m}"
        cost = 1 / min(results[name]["ratio"] for name in SCANS)
        targets.append(driver.target(f"narrowlib / the faster scan, {size}", cost, "<", 1.1))
        for peer, goal in GOALS.items():
            if peer in results:
                ratio = results[peer]["ratio"]
                targets.append(driver.target(f"{peer} / narrowlib, {size}", ratio, ">", goal))
        losses = [result["digest"]["loss"] for result in results.values()]
        spread = max(losses) - min(losses)  # the start's loss is 0.5
        targets.append(driver.target(f"spread of final losses, {size}", spread, "<", 1e-6))
        cases.append(case)
    driver.save("projected_gradient", cases, targets)


if __name__ == "__main__":
    main()
