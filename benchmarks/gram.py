"""The Gram matrix J Jᵀ against neural-tangents, PyTorch and its own bare products, in float64.

J is the Jacobian of the outputs in the hidden weights W only; v is fixed. All compute the same
(n, n) matrix. neural-tangents runs jitted, with `vmap_axes=0`: each of its implementations 1, 2
and 3 is timed once after compiling, and the fastest enters the comparison (its "auto" picks one
of these by a count of operations, which fails on this JAX; without `vmap_axes` all are slower).
PyTorch does what its tutorial does: `vmap(jacrev)` over samples, then one product. The bare
products are X Xᵀ and D Dᵀ, jitted together, given D: a floor for any method of this form that
does not use symmetry and has to write two matrices rather than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import driver

SIZES = ((2000, 100, 40), (4000, 50, 160))
PEERS = {"neural-tangents": "nt", "torch vmap(jacrev)": "bench", "bare products": "bench"}
ROUNDS = 15


def problem_arrays(problem: dict[str, int]) -> tuple[Any, Any, Any]:
    """X, W and v as NumPy arrays: the same numbers in every environment."""
    import numpy as np

    rng = np.random.default_rng(problem["seed"])
    n, d, m = problem["n"], problem["d"], problem["m"]
    U = rng.standard_normal((m // 2, d)) / np.sqrt(d)
    u = np.ones(m // 2) / np.sqrt(m)
    return (
        rng.standard_normal((n, d)),
        np.concatenate([U, U]),
        np.concatenate([u, -u]),
    )


def prepare(implementation: str, problem: dict[str, int]) -> tuple[Callable, Callable]:
    """One call and its digest; see worker.py."""
    X, W, v = problem_arrays(problem)
    details: dict[str, Any] = {}
    if implementation == "torch vmap(jacrev)":
        call = prepare_torch(X, W, v)
    else:
        import jax

        jax.config.update("jax_enable_x64", True)
        arrays = (jax.numpy.asarray(X), jax.numpy.asarray(W), jax.numpy.asarray(v))
        if implementation == "neural-tangents":
            call = prepare_neural_tangents(*arrays, details)
        elif implementation == "bare products":
            call = prepare_bare(*arrays)
        else:
            call = prepare_narrowlib(*arrays)

    def digest(result: Any) -> dict[str, Any]:
        import numpy as np

        if implementation == "bare products":
            result = result[0] * result[1]
        D = (1 - np.tanh(X @ W.T) ** 2) * v
        expected = (X @ X.T) * (D @ D.T)
        error = np.max(np.abs(np.asarray(result) - expected)) / np.max(np.abs(expected))
        return {"relative_error": float(error), **details}

    return call, digest


def prepare_narrowlib(X: Any, W: Any, v: Any) -> Callable:
    """The library's own function, as a user calls it."""
    import jax

    import narrowlib as nl

    params = nl.Params(W, v)
    return lambda: jax.block_until_ready(nl.gram(params, X))


def prepare_bare(X: Any, W: Any, v: Any) -> Callable:
    """Only the two products, both returned."""
    import jax
    import jax.numpy as jnp

    D = jax.block_until_ready((1 - jnp.tanh(X @ W.T) ** 2) * v)
    products = jax.jit(lambda A, B: (A @ A.T, B @ B.T))
    return lambda: jax.block_until_ready(products(X, D))


def prepare_neural_tangents(X: Any, W: Any, v: Any, details: dict[str, Any]) -> Callable:
    """The fastest of its implementations for this problem."""
    import jax
    import jax.numpy as jnp
    from jax._src import source_info_util
    from jax.interpreters import ad

    ad.source_info_util, ad.config = source_info_util, jax.config  # implementation 3 asks for them
    import neural_tangents as nt

    def outputs(weights: Any, x: Any) -> Any:
        return (jnp.tanh(x @ weights.T) @ v)[:, None]

    calls, seconds = {}, {}
    for number in (1, 2, 3):
        kernel = jax.jit(
            nt.empirical_ntk_fn(
                outputs, trace_axes=(-1,), vmap_axes=0, implementation=nt.NtkImplementation(number)
            )
        )
        calls[number] = lambda kernel=kernel: jax.block_until_ready(kernel(X, None, W))
        calls[number]()
        start = time.perf_counter()
        calls[number]()
        seconds[number] = time.perf_counter() - start
    best = min(seconds, key=seconds.__getitem__)
    details |= {"implementation": best, "seconds_of_each": seconds}
    return calls[best]


def prepare_torch(X: Any, W: Any, v: Any) -> Callable:
    """Per-sample gradients of the output, flattened, times their transpose."""
    import torch

    X, W, v = (torch.from_numpy(a) for a in (X, W, v))

    def output(weights: Any, x: Any) -> Any:
        return torch.tanh(weights @ x) @ v

    rows = torch.func.vmap(torch.func.jacrev(output), in_dims=(None, 0))

    def call() -> Any:
        J = rows(W, X).flatten(1)
        return J @ J.T

    return call


def main() -> None:
    """Run the comparison and judge it."""
    cases, targets = [], []
    for n, d, m in SIZES:
        problem = {"n": n, "d": d, "m": m, "seed": 0}
        case = driver.compare("gram", problem, {"narrowlib": "bench", **PEERS}, rounds=ROUNDS)
        results = case["results"]
        size = f"n, d, m = {n}, {d}, {m}"
        for peer in ("neural-tangents", "torch vmap(jacrev)"):
            targets.append(
                driver.target(f"{peer} / narrowlib, {size}", results[peer]["ratio"], ">", 15)
            )
        cost = 1 / results["bare products"]["ratio"]
        targets.append(driver.target(f"narrowlib / bare products, {size}", cost, "<", 1.3))
        doubles = results["narrowlib"]["peak_bytes"] / 8 / n**2
        targets.append(driver.target(f"peak memory in n² doubles, {size}", doubles, "<", 4))
        error = max(result["digest"]["relative_error"] for result in results.values())
        targets.append(driver.target(f"largest error against NumPy, {size}", error, "<", 1e-12))
        cases.append(case)
    driver.save("gram", cases, targets)


if __name__ == "__main__":
    main()
